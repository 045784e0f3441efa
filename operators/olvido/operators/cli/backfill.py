"""`olvido backfill …`: a system joins late and gets what was decided before it came."""

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from olvido.core.acts import Verb
from olvido.core.errors import InvalidInput
from olvido.core.sinks import OperationKind
from olvido.operators.cli.acting import Reason, new_act
from olvido.operators.cli.exits import Exit
from olvido.operators.cli.output import messages
from olvido.operators.cli.progress import progress
from olvido.operators.cli.sink_operations import add_commands, database
from olvido.operators.cli.sinks import known_sink

if TYPE_CHECKING:
    from olvido.ledger.backfills import Backfills, Position
    from olvido.ledger.sink_operations import OpenOperation

TICKS_MAX = 3  # looks of the reconciler, the first of which tells whether it knows the sink
POLL_S = 0.2


def register(app: typer.Typer) -> None:
    """Add the commands."""
    backfill = typer.Typer(help=_backfill.__doc__)
    backfill.callback(invoke_without_command=True)(_backfill)
    add_commands(backfill, OperationKind.BACKFILL)
    app.add_typer(backfill, name="backfill")


def _backfill(
    context: typer.Context,
    sink: Annotated[str | None, typer.Option(help="The system that joins late.")] = None,
    reason: Reason = "",
) -> None:
    """Give a sink that joins late all past erasures, restrictions and objections, and the present consents.

    It is in olvido.toml, its topic is applied, and all processors were started anew. A repeat goes
    on where it was; the sink counts as joining until the last receipt is in.

    Examples:
        olvido backfill --sink ads --reason OPS-18
        olvido backfill show backfill-ads-20261123-090000
    """
    if context.invoked_subcommand is not None:
        return
    if sink is None:
        raise InvalidInput("--sink", "is missing: say which system joins")
    from uuid_utils.compat import uuid7

    from olvido.ledger.backfills import Backfills
    from olvido.ledger.sink_operations import SinkOperations
    from olvido.operators.desk.backfill import Backfill
    from olvido.operators.settings import deployment
    from olvido.schemas.registry import Registry

    now = datetime.now(UTC)
    name = f"backfill-{sink}-{now:%Y%m%d-%H%M%S}"
    act = new_act(Verb.BACKFILL, reason, sink=sink)
    declared = deployment()
    known_sink(declared, sink)
    ledger = database(declared)
    operations, backfills = SinkOperations(ledger), Backfills(ledger)
    before = next(iter(operations.newest(OperationKind.BACKFILL, sink=sink, limit=1)), None)
    if before is not None and before["state"] == "done":
        messages.print(
            f"{sink} was backfilled already: olvido backfill show {before['name']}",
            markup=False,
            soft_wrap=True,
        )
        return
    operation = backfills.join(
        act, operation_id=uuid7(), name=name, sink=sink, purposes=declared.sinks[sink].purposes
    )
    work = Backfill(Registry(declared.registry.url), backfills, declared.catalogue, operation, clock=_utc_now)
    position = _known(backfills, operation, patience_s=TICKS_MAX * declared.reconciler.every_s)
    with progress(operation.name, position.size, unit="requests and consents") as bar:
        bar.to(position.looked)
        for position in work.run():
            bar.to(position.looked)
    if not position.planned:
        messages.print(
            f"{position.late} came in meanwhile and were planned without {sink}: some processors do not know "
            "it yet. Start all of them anew, then repeat this command.",
            soft_wrap=True,
        )  # fmt: skip
        raise typer.Exit(Exit.PARTIAL)
    standing = (
        f"{position.tasks} tasks are asked of {sink}, which is joining until the last receipt is in. "
        if position.tasks
        else f"Nothing that was asked before concerns {sink}; it is live when the reconciler has looked. "
    )
    messages.print(
        f"{standing}How far it is: olvido backfill show {operation.name}",
        markup=False, soft_wrap=True,
    )  # fmt: skip


def _known(backfills: "Backfills", operation: "OpenOperation", *, patience_s: float) -> "Position":
    """Wait until processors say that they know the sink: what they plan without it would be missing there."""
    deadline = time.monotonic() + patience_s
    with messages.status(f"waiting until processors know {operation.sink}"):
        while (position := backfills.position(operation)).known_at is None:
            if time.monotonic() > deadline:
                messages.print(
                    f"{operation.name} is begun, but no processors know {operation.sink}. Start all of them "
                    "anew with this olvido.toml, then repeat this command.",
                    soft_wrap=True,
                )
                raise typer.Exit(Exit.PARTIAL)
            time.sleep(POLL_S)
    return position


def _utc_now() -> datetime:
    return datetime.now(UTC)
