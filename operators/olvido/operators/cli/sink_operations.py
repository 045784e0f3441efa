"""What `olvido restore` and `olvido backfill` share: how far it is, what is left to a person, closing it."""

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from olvido.core.acts import Verb
from olvido.core.errors import did_you_mean
from olvido.core.sinks import OperationKind
from olvido.operators.cli.acting import Confirm, NoInput, Reason, confirm, new_act
from olvido.operators.cli.exits import Exit
from olvido.operators.cli.output import Form, Output, console, messages, print_data, show, show_one

if TYPE_CHECKING:
    from olvido.ledger.connection import Database
    from olvido.ledger.sink_operations import SinkOperations
    from olvido.schemas.settings.deployment import Deployment

SHOWN_MAX = 100  # tasks that are left to a person
WIDE = 100  # columns; narrower, not everything has room beside a name or an id


def database(declared: "Deployment") -> "Database":
    """The ledger database, for a command."""
    from olvido.ledger.connection import Database

    return Database(declared.ledger_dsn, application="olvido.cli")


def add_commands(group: typer.Typer, kind: OperationKind) -> None:
    """Add `list`, `show` and `close` to the commands of a kind."""
    name = typer.Argument(help=f"The {kind.value}'s name.")
    example = f"{kind.value}-crm-20261123-090000"

    @group.command(
        "list",
        help=f"List the {kind.value}s there are, newest first, and how far each is.\n\n"
        f"Examples:\n    olvido {kind.value} list\n    olvido {kind.value} list --sink crm -o json",
    )
    def list_(
        sink: Annotated[str | None, typer.Option(help="Only those of this sink.")] = None,
        output: Form = Output.TABLE,
    ) -> None:
        _list(kind, sink=sink, output=output)

    @group.command(
        "show",
        help=f"Show how far a {kind.value} is, and what of it is left to a person.\n\n"
        f"Examples:\n    olvido {kind.value} show {example}",
    )
    def show_(operation: Annotated[str, name], output: Form = Output.TABLE) -> None:
        _show(kind, operation, output=output)

    @group.command(
        "close",
        help=f"Close a {kind.value} whose rest you take over by hand: the sink counts as live again.\n\n"
        "What was not answered stays owed and is sent as ever.\n\n"
        f'Examples:\n    olvido {kind.value} close {example} --reason "OPS-17, three by hand"',
    )
    def close_(
        operation: Annotated[str, name],
        reason: Reason = "",
        given: Confirm = None,
        no_input: NoInput = False,
    ) -> None:
        _close(kind, operation, reason=reason, given=given, no_input=no_input)


def _list(kind: OperationKind, *, sink: str | None, output: Output) -> None:
    rows = [_progress(row) for row in _operations().newest(kind, sink=sink)]
    wide = ("tasks", "answered", "left", "parked", "failed", "forgotten")
    counts = wide if console.width >= WIDE else ("tasks", "answered", "left", "stuck")
    show(rows, ("name", "state", *counts), output=output, empty=f"there is no {kind.value}")


def _show(kind: OperationKind, name: str, *, output: Output) -> None:
    operations = _operations()
    row = _the_one(operations, kind, name)
    stuck = operations.open_tasks(row["operation_id"], stuck=True, limit=SHOWN_MAX)
    if print_data({**_progress(row), "left_to_you": stuck}, output=output):
        return
    show_one(_progress(row), output=output)
    if not stuck:
        return
    more = ("action", "state") if console.width >= WIDE else ()
    show(stuck, ("task_id", *more, "detail"), output=output, empty="")
    if row["forgotten"]:
        messages.print(
            f"{row['forgotten']} are forgotten: the key of their boxes is destroyed, so nobody knows any "
            f"more whom to look for. What {row['sink']} holds of them must be removed by hand.",
            soft_wrap=True,
        )
    messages.print(
        f"When that is done: olvido {kind.value} close {name} --reason …", markup=False, soft_wrap=True
    )


def _close(kind: OperationKind, name: str, *, reason: str, given: str | None, no_input: bool) -> None:
    operations = _operations()
    row = _the_one(operations, kind, name)
    told = _progress(row)
    left = {what: told[what] for what in ("left", "parked", "failed", "forgotten")}
    act = new_act(Verb.CANCEL, reason, operation=name, sink=row["sink"], **left)
    if row["finished_at"] is not None:
        messages.print(f"{name} is at its end already: {row['state']}", markup=False)
        return
    confirm(name, given=given, no_input=no_input, effects=left)
    operations.close(act, kind, name)
    messages.print(f"{name} is closed", markup=False)


def _the_one(operations: "SinkOperations", kind: OperationKind, name: str) -> Mapping[str, Any]:
    row = next(iter(operations.newest(kind, name=name)), None)
    if row is None:
        names = [one["name"] for one in operations.newest(kind)]
        messages.print(
            f"olvido: there is no {kind.value} {name!r}{did_you_mean(name, names)}",
            markup=False,
            soft_wrap=True,
        )
        raise typer.Exit(Exit.NOT_FOUND)
    return row


def _operations() -> "SinkOperations":
    from olvido.ledger.sink_operations import SinkOperations
    from olvido.operators.settings import deployment

    return SinkOperations(database(deployment()))


def _progress(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": row["name"],
        "sink": row["sink"],
        "state": row["state"],
        "tasks": row["tasks"],
        "answered": row["answered"],
        "left": row["unsent"] + row["waiting"],
        "parked": row["parked"],
        "failed": row["failed"],
        "forgotten": row["forgotten"],
        "stuck": row["parked"] + row["failed"] + row["forgotten"],
        **{name: datetime.fromisoformat(instant) for name, instant in row["plan"].items()},
        "began_at": row["created_at"],
        "finished_at": row["finished_at"],
    }
