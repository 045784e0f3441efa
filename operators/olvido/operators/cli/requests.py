"""`olvido requests …`: what the ledger knows of privacy requests."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer
from rich.text import Text

from olvido.core.lifecycle import RequestState
from olvido.operators.cli.acting import Reason
from olvido.operators.cli.exits import Exit
from olvido.operators.cli.identities import Identities
from olvido.operators.cli.instants import instant_of, span_of
from olvido.operators.cli.options import spread
from olvido.operators.cli.output import (
    Form,
    Output,
    console,
    messages,
    paper_width,
    print_data,
    show,
    show_one,
)
from olvido.operators.cli.sinks import command_for
from olvido.operators.cli.timeline import draw, moments_of, rows_of
from olvido.operators.cli.words import uuid_of
from olvido.operators.desk.data import record_of
from olvido.operators.desk.text import counted, text_of

if TYPE_CHECKING:
    from olvido.operators.desk.requests import Filter, RequestWithTasks, TaskView
    from olvido.schemas.settings.deployment import Deployment

Limit = Annotated[int, typer.Option(min=1, max=10_000, help="How many at most, newest first.")]
WIDTH_WITH_INSTANTS = 100  # columns; narrower, an id would be folded to show an instant
# Why a request has no tasks.
_NO_TASKS = {
    RequestState.IDENTITY_PENDING: "it waits for its verification; no sink is asked before",
    RequestState.RECEIVED: "it is held, and no sink is asked yet; see: olvido brake list",
    RequestState.REFUSED: "two people discarded it; no sink was asked",
    RequestState.WITHDRAWN: "it was withdrawn; no sink was asked",
}
MARGIN = 10  # columns before what stands below a task


def register(app: typer.Typer) -> None:
    """Add the commands."""
    requests = typer.Typer(help="Look at privacy requests, withdraw one, or extend it.", no_args_is_help=True)
    requests.command("list")(spread(list_requests))
    requests.command("show")(show_request)
    requests.command("withdraw")(withdraw_request)
    requests.command("extend")(extend_request)
    app.add_typer(requests, name="requests")


@dataclass(frozen=True, slots=True, kw_only=True)
class Narrowed:
    """Which requests."""

    state: Annotated[RequestState | None, typer.Option(help="Only those in this state.")] = None
    right: Annotated[str | None, typer.Option(help="Only of this right, such as ERASE.")] = None
    sink: Annotated[str | None, typer.Option(help="Only those with a task for this sink.")] = None
    outcome: Annotated[
        str | None,
        typer.Option(help="Only those with such an outcome; `none` for a receipt that is missing."),
    ] = None
    overdue: Annotated[
        bool, typer.Option("--overdue", help="Only those that are open and whose last day is over.")
    ] = False
    due_in: Annotated[
        str | None,
        typer.Option(
            help="Only those that are open and due within this, such as 5d; the overdue among them."
        ),
    ] = None
    open_for: Annotated[
        str | None, typer.Option(help="Only those open for longer than this, such as 20d.")
    ] = None
    since: Annotated[
        str | None, typer.Option(help="Only those asked for since an instant, or since 2h or 3d ago.")
    ] = None
    subject: Annotated[
        str | None, typer.Option(metavar="SUBJECT_ID", help="Only this person's, by a pseudonym.")
    ] = None

    def filter(self, declared: "Deployment", person: Identities, now: datetime) -> "Filter":
        """The same as the desk takes it."""
        from olvido.operators.desk.requests import Filter

        handles = None
        if given := person.given():
            from olvido.operators.desk.people import (
                handles_of,  # it loads the rules of every kind of identity
            )

            handles = handles_of(declared, given)
        return Filter(
            state=self.state,
            right=self.right and self.right.upper(),
            sink=self.sink,
            outcome=self.outcome,
            overdue=self.overdue,
            due_in=span_of(self.due_in, field="due_in") if self.due_in else None,
            open_for=span_of(self.open_for, field="open_for") if self.open_for else None,
            since=instant_of(self.since, field="since", now=now) if self.since else None,
            subject=self.subject,
            handles=handles,
        )


def list_requests(
    narrowed: Narrowed,
    person: Identities,
    limit: Limit = 20,
    output: Form = Output.TABLE,
) -> None:
    """List privacy requests, newest first.

    A person's are found by handles that this machine computes with its handle key; the address goes nowhere.

    Examples:
        olvido requests list --state in_progress
        olvido requests list --email ana@example.es
        olvido requests list --sink crm --outcome none --since 1d
        olvido requests list --due-in 5d
        olvido requests list --overdue -o csv > overdue.csv
    """
    from olvido.operators.desk.requests import find
    from olvido.operators.settings import deployment

    declared, now = deployment(), datetime.now(UTC)
    found = find(declared, narrowed.filter(declared, person, now), now=now, limit=limit)
    rows = [
        {
            **record_of(one),
            "sinks": f"{one.answered}/{one.tasks}",
            "verified": f"{one.verified}/{one.tasks}",
        }
        for one in found
    ]
    wide = console.width >= WIDTH_WITH_INSTANTS
    columns = (
        "request_id",
        "right",
        "state",
        "sinks",
        *(("verified", "requested_at", "due_at") if wide else ()),
    )
    show(
        rows, columns, output=output, empty="no such requests; make one with: olvido request erase --email …"
    )


def show_request(
    request_id: Annotated[str, typer.Argument(help="The request's id.")],
    timeline: Annotated[
        bool, typer.Option("--timeline", help="Draw what happened when, and how long each sink took.")
    ] = False,
    output: Form = Output.TABLE,
) -> None:
    """Show one privacy request, what each sink has answered, and where it was verified afterwards.

    Examples:
        olvido requests show 019ac8d2-9a4e-7c30-8f6b-2b1d4c5e6f70
        olvido requests show 019ac8d2-9a4e-7c30-8f6b-2b1d4c5e6f70 --timeline
    """
    from olvido.operators.desk import requests as desk
    from olvido.operators.settings import deployment

    declared, wanted = deployment(), uuid_of(request_id, "request_id")
    if timeline:
        story = desk.story(declared, wanted)
        if not print_data(rows_of(moments_of(story)), output=output):
            draw(story, now=datetime.now(UTC))
        return
    shown = desk.show(declared, wanted)
    rows = [_task_row(task) for task in shown.tasks]
    days = [record_of(one) for one in shown.deadlines]
    if print_data({**record_of(shown.request), "tasks": rows, "deadlines": days}, output=output):
        return
    show_one(shown.request, output=output)
    console.print()
    if len(days) > 1:
        show(days, ("law", "kind", "last_day", "certainty", "provisional"), output=output, empty="")
        console.print()
    _show_tasks(shown, rows, output)
    _warn(declared, shown)


def withdraw_request(
    request_id: Annotated[str, typer.Argument(help="The request's id.")],
    reason: Reason = "",
) -> None:
    """Withdraw a request that no sink was asked for yet: within its grace period, held, or not verified.

    Where sinks were asked, nothing is done: it says which, and exits with 4.

    Examples:
        olvido requests withdraw 019ac8d2-9a4e-7c30-8f6b-2b1d4c5e6f70 --reason "ticket 17: she stays"
    """
    from olvido.operators.desk import brake as desk
    from olvido.operators.settings import deployment

    wanted = uuid_of(request_id, "request_id")
    past = desk.withdraw(deployment(), wanted, reason)
    if past is None:
        messages.print(f"{wanted} is withdrawn; no sink was asked", markup=False, soft_wrap=True)
        return
    asked = ", ".join(f"{task.sink} ({task.outcome or 'no receipt yet'})" for task in past.latest)
    messages.print(
        f"olvido: too late, {wanted} is {past.request.state}; these sinks were asked: {asked or 'none'}",
        markup=False, soft_wrap=True,
    )  # fmt: skip
    raise typer.Exit(Exit.REFUSED)


def extend_request(
    request_id: Annotated[str, typer.Argument(help="The request's id.")],
    reason: Reason = "",
) -> None:
    """Record that the person was told, in time, that the answer takes longer: as long as the laws allow.

    It is refused after the last day, a second time, and where the earliest law that applies allows none.
    Olvido tells nobody: tell the person first, with the reason.

    Examples:
        olvido requests extend 019ac8d2-9a4e-7c30-8f6b-2b1d4c5e6f70 --reason "OPS-17: three archives"
    """
    from olvido.operators.desk.law import extend
    from olvido.operators.settings import deployment

    wanted = uuid_of(request_id, "request_id")
    due = extend(deployment(), wanted, reason, now=datetime.now(UTC))
    provisional = ", provisional" if due.provisional else ""
    messages.print(
        f"{wanted} is due by {text_of(due.at)} ({due.by}{provisional})", markup=False, soft_wrap=True
    )


def _show_tasks(shown: "RequestWithTasks", rows: list[dict[str, Any]], output: Output) -> None:
    if not shown.tasks:
        empty = _NO_TASKS.get(RequestState(shown.request.state), "no sink is concerned")
        show([], (), output=output, empty=empty)
        return
    generations = any(task.generation for task in shown.tasks)
    columns = ("sink", *(("generation",) if generations else ()), "outcome", "applied_at", "verified")
    rows = [{**row, "verified": _verified(task)} for row, task in zip(rows, shown.tasks, strict=True)]
    if paper_width() >= WIDTH_WITH_INSTANTS:
        show(rows, (*columns, "attempts", "counts", "detail"), output=output, empty="")
    else:
        show(rows, columns, output=output, empty="")
        for task in shown.tasks:
            _show_below(task)
    sinks = counted(len(shown.latest), "sink")
    console.print(
        f"\nread back in {shown.read_back}, verified by a later look in {shown.verified} of {sinks}",
        markup=False,
    )


def _verified(task: "TaskView") -> datetime | str | None:
    """What is known of it since it was done: the newest of two looks, or only that it was read back."""
    if task.found_again_at and (task.verified_at is None or task.found_again_at > task.verified_at):
        return f"found again {text_of(task.found_again_at)}"
    return task.verified_at or ("read back" if task.read_back_at else None)


def _show_below(task: "TaskView") -> None:
    """What has no room in a table of 80 columns: what was done, and on which law."""
    details = [text_of(task.counts) if task.counts else "", task.detail or ""]
    for text in filter(None, details):
        head = f"{task.sink}: "
        lines = Text(f"{head}{text}").wrap(console, max(20, console.width - MARGIN))
        console.print(Text("\n" + " " * min(MARGIN, len(head))).join(lines))


def _warn(declared: "Deployment", shown: "RequestWithTasks") -> None:
    from olvido.operators.desk.sinks import not_live

    for task in shown.tasks:
        if task.parked:
            messages.print(f"{task.sink}: parked ({task.parked}); see: olvido dead-letters list")
    for standing, operation in not_live(declared, (task.sink for task in shown.tasks)):
        messages.print(
            f"{operation.sink} is {standing.value} since {operation.since:%Y-%m-%d %H:%M}Z: "
            f"{command_for(operation)}",
            markup=False,
            soft_wrap=True,
        )


def _task_row(task: "TaskView") -> dict[str, Any]:
    row = record_of(task)
    return {name: value for name, value in row.items() if not name.startswith("operation")}


def newest_ids(limit: int) -> list[UUID]:
    """The ids of the newest requests, for the shell to complete."""
    from olvido.operators.desk.requests import Filter, find
    from olvido.operators.settings import deployment

    return [one.request_id for one in find(deployment(), Filter(), now=datetime.now(UTC), limit=limit)]
