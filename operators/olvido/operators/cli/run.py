"""`olvido run …`: one process in the foreground."""

import os
import signal
import threading
from typing import Annotated

import typer

from olvido.core.errors import ConfigError, InvalidInput
from olvido.operators.cli import logs


def register(app: typer.Typer) -> None:
    """Add the commands."""
    run = typer.Typer(
        help="Run one process in the foreground, until SIGTERM or Ctrl-C.", no_args_is_help=True
    )
    run.command("processors")(run_processors)
    run.command("recorder")(run_recorder)
    run.command("sink")(run_sink)
    run.command("relay")(run_relay)
    run.command("canary-people")(run_canary_people)
    app.add_typer(run, name="run")


def run_processors(
    engine: Annotated[str, typer.Option(help="faust, or loop: the same without Faust.")] = "faust",
) -> None:
    """Plan: requests and consent changes become tasks; the reconciler and the offset audit run here too.

    Examples:
        olvido run processors
    """
    from olvido.operators.settings import deployment

    _as_a_service()
    if engine == "loop":
        from olvido.processors.engine_loop import run_loop_engine

        run_loop_engine(deployment(), _stop_on_signal())
    elif engine == "faust":
        # Here alone: the plain loop and the recorder start in two thirds of the time without Faust.
        from olvido.processors.engine_faust.run import run_processors

        run_processors(deployment())
    else:
        raise InvalidInput("engine", "is faust or loop")


def run_recorder() -> None:
    """Record: receipts and dead letters go into the ledger, request states come out.

    Examples:
        olvido run recorder
    """
    from olvido.operators.settings import deployment
    from olvido.processors.recorder import run_recorder

    _as_a_service()
    run_recorder(deployment(), _stop_on_signal())


def run_sink(sink: Annotated[str, typer.Argument(help="The sink's name in olvido.toml.")]) -> None:
    """Apply: carry out one sink's tasks and acknowledge them.

    Examples:
        olvido run sink crm
    """
    from olvido.operators.settings import deployment
    from olvido.sinks.run import run_sink

    _as_a_service()
    run_sink(deployment(), sink, _stop_on_signal())


def run_relay(
    dsn_env: Annotated[
        str, typer.Option(help="The environment variable that holds the outbox database's address.")
    ] = "OLVIDO_OUTBOX_DSN",
) -> None:
    """Publish what an outbox table holds.

    Examples:
        olvido run relay --dsn-env SHOP_OUTBOX_DSN
    """
    from olvido.operators.settings import load_stack_env
    from olvido.producers.relay import run_relay
    from olvido.schemas.settings.deployment import Connections

    _as_a_service()
    load_stack_env()
    dsn = os.environ.get(dsn_env)
    if not dsn:
        raise ConfigError(f"{dsn_env} is not set; it holds the address of the database with the outbox table")
    run_relay(Connections.from_env(), dsn, _stop_on_signal())


def run_canary_people(
    sinks: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SINK]...", help="Sinks of olvido.toml; all with a section canary, if not given."
        ),
    ] = None,
) -> None:
    """Try: plant a canary person in each sink and day, have it erased, and look whether it is gone.

    Examples:
        olvido run canary-people
        olvido run canary-people crm
    """
    from olvido.operators.desk.canary_people import run_canary_people
    from olvido.operators.settings import deployment

    _as_a_service()
    run_canary_people(deployment(), _stop_on_signal(), sinks or ())


def _as_a_service() -> None:
    from olvido.broker.runtime.garbage import collect_rarely

    logs.as_a_service()
    collect_rarely()


def _stop_on_signal() -> threading.Event:
    """An event that SIGTERM or Ctrl-C sets; a second one ends the process at once."""
    stop = threading.Event()

    def stopping(number: int, _frame: object) -> None:
        if stop.is_set():
            os._exit(128 + number)
        stop.set()

    signal.signal(signal.SIGTERM, stopping)
    signal.signal(signal.SIGINT, stopping)
    return stop
