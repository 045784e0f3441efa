"""What `olvido restore` and `olvido backfill` share: how far it is, what is left to a person, closing it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import typer

from olvido.core.acts import Verb
from olvido.core.errors import did_you_mean
from olvido.core.sinks import OperationKind
from olvido.operators.acting import confirm, new_act
from olvido.operators.exits import Exit
from olvido.operators.output import Output, messages, print_data, show, show_one

if TYPE_CHECKING:
    from olvido.ledger.connection import Database
    from olvido.ledger.sink_operations import SinkOperations
    from olvido.schemas.deployment import Deployment

SHOWN_MAX = 100  # tasks that are left to a person


def database(declared: "Deployment") -> "Database":
    """The ledger database, for a command."""
    from olvido.ledger.connection import Database

    return Database(declared.ledger_dsn, application="olvido.cli")


def list_operations(kind: OperationKind, *, sink: str | None, output: Output) -> None:
    """List the operations of a kind, newest first."""
    rows = [_progress(row) for row in _operations().newest(kind, sink=sink)]
    columns = ("name", "state", "tasks", "answered", "left", "parked", "failed", "forgotten")
    show(rows, columns, output=output, empty=f"there is no {kind.value}")


def show_operation(kind: OperationKind, name: str, *, output: Output) -> None:
    """Show one operation and the tasks of it that are left to a person."""
    operations = _operations()
    row = _the_one(operations, kind, name)
    stuck = operations.open_tasks(row["operation_id"], stuck=True, limit=SHOWN_MAX)
    if print_data({**_progress(row), **row["plan"], "left_to_you": stuck}, output=output):
        return
    show_one({**_progress(row), **row["plan"]}, output=output)
    if not stuck:
        return
    show(stuck, ("task_id", "action", "state", "detail"), output=output, empty="")
    if row["forgotten"]:
        messages.print(
            f"{row['forgotten']} are forgotten: the key of their boxes is destroyed, so nobody knows any "
            f"more whom to look for. What {row['sink']} holds of them must be removed by hand.",
            soft_wrap=True,
        )
    messages.print(
        f"When that is done: olvido {kind.value} close {name} --reason …", markup=False, soft_wrap=True
    )


def close_operation(
    kind: OperationKind, name: str, *, reason: str, given: str | None, no_input: bool
) -> None:
    """Close an operation whose rest a person takes over. Closing it again changes nothing."""
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
        "began_at": row["created_at"],
        "finished_at": row["finished_at"],
    }
