"""The `olvido` command: everything an operator, a sink's machine or a shell script asks of Olvido."""

import os
import signal
import sys
import threading
from collections.abc import Sequence
from typing import Annotated, NoReturn

import typer

from olvido.core.errors import ConfigError, InvalidInput, OlvidoError, Unavailable
from olvido.operators.cli import (
    audit,
    backfill,
    bundle,
    completing,
    config,
    dead_letters,
    emitting,
    generate,
    helping,
    logs,
    replay,
    requests,
    restore,
    sinks,
    stack,
    status,
    top,
    topics,
)
from olvido.operators.cli.acting import NotConfirmed
from olvido.operators.cli.exits import Exit
from olvido.operators.cli.output import messages, without_colour

app = typer.Typer(
    name="olvido",
    help="Carries a person's decision to every system that holds their data, and proves that it arrived.\n\n"
    "Examples:\n"
    "    olvido up\n"
    "    olvido request erase --email ana@example.es\n"
    "    olvido requests list\n"
    "    olvido status",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain lines keep their shape at any width, and in a pipe
    context_settings={"help_option_names": ["-h", "--help"]},
)
run = typer.Typer(help="Run one process in the foreground, until SIGTERM or Ctrl-C.", no_args_is_help=True)
app.add_typer(run, name="run")
stack.register(app)
status.register(app)
top.register(app)
emitting.register(app)
requests.register(app)
dead_letters.register(app)
topics.register(app)
audit.register(app)
bundle.register(app)
config.register(app)
completing.register(app)
sinks.register(app)
restore.register(app)
backfill.register(app)
replay.register(app)
generate.register(app)


def _without_colour(wanted: bool) -> None:
    if wanted:
        without_colour()


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        sys.stdout.write(f"olvido {version('olvido')}\n")
        raise typer.Exit


@app.callback()
def _options(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say more on stderr.")] = False,
    no_color: Annotated[
        bool,
        typer.Option(
            "--no-color",
            help="No colours; NO_COLOR in the environment says the same.",
            is_eager=True,
            callback=_without_colour,
        ),
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_version)
    ] = False,
) -> None:
    logs.set_up(level="INFO" if verbose else "WARNING")


@run.command("processors")
def run_processors(
    engine: Annotated[str, typer.Option(help="faust, or loop for large replays.")] = "faust",
) -> None:
    """Plan: requests and consent changes become tasks; the reconciler and the offset audit run here too.

    Examples:
        olvido run processors
    """
    from olvido.operators.settings import deployment
    from olvido.processors.run import run_loop_engine, run_processors

    _as_a_service()
    if engine == "loop":
        run_loop_engine(deployment(), _stop_on_signal())
    elif engine == "faust":
        run_processors(deployment())
    else:
        raise InvalidInput("--engine", "is faust or loop")


@run.command("recorder")
def run_recorder() -> None:
    """Record: receipts and dead letters go into the ledger, request states come out.

    Examples:
        olvido run recorder
    """
    from olvido.operators.settings import deployment
    from olvido.processors.run import run_recorder

    _as_a_service()
    run_recorder(deployment(), _stop_on_signal())


@run.command("sink")
def run_sink(sink: Annotated[str, typer.Argument(help="The sink's name in olvido.toml.")]) -> None:
    """Apply: carry out one sink's tasks and acknowledge them.

    Examples:
        olvido run sink crm
    """
    from olvido.operators.settings import deployment
    from olvido.sinks.run import run_sink

    _as_a_service()
    run_sink(deployment(), sink, _stop_on_signal())


@run.command("relay")
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


def _as_a_service() -> None:
    from olvido.broker.runtime.collector import collect_rarely

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


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command and end the process with its exit code.

    What each code means stands in :class:`~olvido.operators.cli.exits.Exit`.
    """
    command = helping.finished(app)
    if completing.is_asked():
        completing.silence()
        completing.attach(command)
    try:
        code = command.main(
            args=None if arguments is None else list(arguments), prog_name="olvido", standalone_mode=False
        )
        sys.exit(code if isinstance(code, int) else 0)
    except (ConfigError, InvalidInput) as error:
        _complain(str(error), Exit.USAGE)
    except Unavailable as error:
        _complain(f"{error}\nWhat is wrong and what to do: olvido doctor", Exit.UNHEALTHY)
    except NotConfirmed as error:
        _complain(str(error), Exit.REFUSED)
    except OlvidoError as error:
        _complain(str(error), Exit.FAILURE)
    except typer.Exit as end:
        sys.exit(end.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        _complain("interrupted", Exit.INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except Exception as error:
        if not helping.show_misuse(error):
            raise
        sys.exit(Exit.USAGE)


def _complain(text: str, code: Exit) -> NoReturn:
    messages.print(f"olvido: {text}", markup=False, soft_wrap=True)
    sys.exit(code)
