"""What `olvido restore` and `olvido backfill` share: how far it is, what is left to a person, closing it."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from olvido.core.acts import Verb
from olvido.core.sinks import OperationKind
from olvido.operators.cli.acting import Agreement
from olvido.operators.cli.options import spread
from olvido.operators.cli.output import Form, Output, console, messages, print_data, show, show_one
from olvido.operators.desk.data import record_of

if TYPE_CHECKING:
    from olvido.operators.desk.sink_operations import Operation

SHOWN_MAX = 100  # tasks that are left to a person
WIDTH_WITH_COUNTS = 100  # columns; narrower, not everything has room beside a name or an id


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
    @spread
    def close_(operation: Annotated[str, name], agreement: Agreement) -> None:
        _close(kind, operation, agreement)


def _list(kind: OperationKind, *, sink: str | None, output: Output) -> None:
    from olvido.operators.desk import sink_operations as desk
    from olvido.operators.settings import deployment

    rows = [_row(one) for one in desk.newest(deployment(), kind, sink=sink)]
    wide = ("tasks", "answered", "left", "parked", "failed", "forgotten")
    counts = wide if console.width >= WIDTH_WITH_COUNTS else ("tasks", "answered", "left", "stuck")
    show(rows, ("name", "state", *counts), output=output, empty=f"there is no {kind.value}")


def _show(kind: OperationKind, name: str, *, output: Output) -> None:
    from olvido.operators.desk import sink_operations as desk
    from olvido.operators.settings import deployment

    declared = deployment()
    found = desk.find(declared, kind, name)
    stuck = desk.stuck_tasks(declared, found, limit=SHOWN_MAX)
    if print_data({**_row(found), "left_to_you": [record_of(task) for task in stuck]}, output=output):
        return
    show_one(_row(found), output=output)
    if not stuck:
        return
    more = ("action", "state") if console.width >= WIDTH_WITH_COUNTS else ()
    show(stuck, ("task_id", *more, "detail"), output=output, empty="")
    if found.forgotten:
        messages.print(
            f"{found.forgotten} forgotten: the key of their boxes is destroyed, so nobody knows any "
            f"more whom to look for. What {found.sink} holds of them must be removed by hand.",
            soft_wrap=True,
        )
    messages.print(
        f"When that is done: olvido {kind.value} close {name} --reason …", markup=False, soft_wrap=True
    )


def _close(kind: OperationKind, name: str, agreement: Agreement) -> None:
    from olvido.operators.desk import sink_operations as desk
    from olvido.operators.desk.acts import new_act
    from olvido.operators.settings import deployment

    declared = deployment()
    found = desk.find(declared, kind, name)
    act = new_act(Verb.CANCEL, agreement.reason, operation=name, sink=found.sink, **found.left_over)
    if found.finished_at is not None:
        messages.print(f"{name} is at its end already: {found.state}", markup=False)
        return
    agreement.obtain(name, found.left_over)
    desk.close(declared, kind, found, act)
    messages.print(f"{name} is closed", markup=False)


def _row(found: "Operation") -> dict[str, Any]:
    row = record_of(found)
    plan = row.pop("plan")
    began_at, finished_at = row.pop("began_at"), row.pop("finished_at")
    del row["operation_id"]
    return {**row, "stuck": found.stuck, **plan, "began_at": began_at, "finished_at": finished_at}
