"""`olvido backfill …`: a system joins late and gets what was decided before it came."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from olvido.core.errors import InvalidInput
from olvido.core.sinks import OperationKind
from olvido.operators.cli.acting import Reason
from olvido.operators.cli.exits import Exit
from olvido.operators.cli.output import messages
from olvido.operators.cli.progress import progress
from olvido.operators.cli.sink_operations import add_commands
from olvido.operators.desk.text import counted


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
        raise InvalidInput("sink", "is missing: say which system joins")
    from olvido.operators.desk import backfill as desk
    from olvido.operators.desk.acts import check_reason
    from olvido.operators.settings import deployment

    check_reason(reason)
    declared = deployment()
    before = desk.done_before(declared, sink)
    if before is not None:
        _say(f"{sink} was backfilled already: olvido backfill show {before.name}")
        return
    with messages.status(f"waiting until processors know {sink}"):
        joining = desk.join(declared, sink, reason, now=datetime.now(UTC))
    operation, position = joining.operation, joining.position
    if position.known_at is None:
        _say(
            f"{operation.name} is begun, but no processors know {sink}. Start all of them anew with this "
            "olvido.toml, then repeat this command."
        )
        raise typer.Exit(Exit.PARTIAL)
    with progress(operation.name, position.size, unit="requests and consents") as bar:
        bar.to(position.looked)
        for position in desk.carry_on(declared, joining):
            bar.to(position.looked)
    if not position.planned:
        _say(
            f"{position.late} came in meanwhile and were planned without {sink}: some processors do not know "
            "it yet. Start all of them anew, then repeat this command."
        )
        raise typer.Exit(Exit.PARTIAL)
    verb = "is" if position.tasks == 1 else "are"
    standing = (
        f"{counted(position.tasks, 'task')} {verb} asked of {sink}, which is joining until the last receipt "
        "is in. "
        if position.tasks
        else f"Nothing that was asked before concerns {sink}; it is live when the reconciler has looked. "
    )
    _say(f"{standing}How far it is: olvido backfill show {operation.name}")


def _say(text: str) -> None:
    messages.print(text, markup=False, soft_wrap=True)
