"""`olvido requests …`, `olvido dead-letters …`: what the ledger knows."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

if TYPE_CHECKING:
    from olvido.ledger.figures import Figures

from olvido.core.errors import InvalidInput, Refused, did_you_mean
from olvido.core.events import RIGHTS
from olvido.core.ids import canonical_uuid
from olvido.core.lifecycle import RequestState
from olvido.core.receipts import Outcome
from olvido.operators.cli.exits import Exit
from olvido.operators.cli.instants import instant_of
from olvido.operators.cli.output import Form, Output, console, messages, print_data, show, show_one
from olvido.operators.cli.sinks import warnings_about
from olvido.operators.cli.timeline import draw, moments_of, rows_of

Limit = Annotated[int, typer.Option(min=1, max=10_000, help="How many at most, newest first.")]
WIDE = 100  # columns; narrower, an id would be folded to show an instant


def register(app: typer.Typer) -> None:
    """Add the commands."""
    requests = typer.Typer(help="Look at privacy requests.", no_args_is_help=True)
    requests.command("list")(list_requests)
    requests.command("show")(show_request)
    app.add_typer(requests, name="requests")


def list_requests(
    state: Annotated[RequestState | None, typer.Option(help="Only those in this state.")] = None,
    right: Annotated[str | None, typer.Option(help="Only of this right, such as ERASE.")] = None,
    sink: Annotated[str | None, typer.Option(help="Only those with a task for this sink.")] = None,
    outcome: Annotated[
        str | None,
        typer.Option(help="Only those with such an outcome; `none` for a receipt that is missing."),
    ] = None,
    overdue: Annotated[
        bool, typer.Option("--overdue", help="Only those open for more than 30 days.")
    ] = False,
    since: Annotated[
        str | None, typer.Option(help="Only those asked for since an instant, or since 2h or 3d ago.")
    ] = None,
    limit: Limit = 20,
    output: Form = Output.TABLE,
) -> None:
    """List privacy requests, newest first.

    Examples:
        olvido requests list --state in_progress
        olvido requests list --sink crm --outcome none --since 1d
        olvido requests list --overdue -o csv > overdue.csv
    """
    now = datetime.now(UTC)
    right = _one_of(right.upper(), [one.value for one in RIGHTS], "--right") if right else None
    sink = _one_of(sink, _sinks(), "--sink") if sink else None
    outcome = _one_of(outcome, ["none", *(one.value for one in Outcome)], "--outcome") if outcome else None
    after = instant_of(since, field="--since", now=now) if since else None
    found = figures().requests(
        now=now,
        state=state,
        right=right,
        sink=sink,
        outcome=outcome,
        since=after,
        overdue=overdue,
        limit=limit,
    )
    rows = [{**_named(row), "sinks": f"{row['answered']}/{row['tasks']}"} for row in found]
    wide = console.width >= WIDE
    columns = ("request_id", "right", "state", "sinks", *(("requested_at", "overdue") if wide else ()))
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
    """Show one privacy request and what each sink has said.

    Examples:
        olvido requests show 019ac8d2-9a4e-7c30-8f6b-2b1d4c5e6f70
        olvido requests show 019ac8d2-9a4e-7c30-8f6b-2b1d4c5e6f70 --timeline
    """
    from olvido.operators.settings import deployment

    ledger = figures()
    wanted = _uuid(request_id, "REQUEST_ID")
    found = ledger.request(wanted)
    if found is None:
        messages.print(
            f"olvido: there is no request {request_id}; list them with: olvido requests list", soft_wrap=True
        )
        raise typer.Exit(Exit.NOT_FOUND)
    request = _named(found)
    if timeline:
        story = ledger.story(wanted)
        if not print_data(rows_of(moments_of(request, story)), output=output):
            draw(request, story, now=datetime.now(UTC))
        return
    tasks = ledger.tasks(wanted)
    if print_data({**request, "tasks": tasks}, output=output):
        return
    show_one(request, output=output)
    console.print()
    columns = ("sink", "outcome", "counts", "attempts", "applied_at", "detail")
    waits = request["state"] == RequestState.IDENTITY_PENDING
    empty = "it waits for its verification; no sink is asked before" if waits else "no sink is concerned"
    show(tasks, columns, output=output, empty=empty)
    for task in tasks:
        if task["parked"]:
            messages.print(f"{task['sink']}: parked ({task['parked']}); see: olvido dead-letters list")
    for warning in warnings_about(deployment(), (task["sink"] for task in tasks)):
        messages.print(warning, markup=False, soft_wrap=True)


def _named(row: Mapping[str, Any]) -> dict[str, Any]:
    """A record under the names people use: `right` is a word of SQL, and cannot be a column's."""
    return {name.rstrip("_"): value for name, value in row.items()}


def _one_of(word: str, words: Iterable[str], option: str) -> str:
    known = list(words)
    if word not in known:
        raise InvalidInput(option, f"knows no {word!r}{did_you_mean(word, known)}")
    return word


def _sinks() -> Iterable[str]:
    from olvido.operators.settings import deployment

    return deployment().sinks


def _uuid(text: str, name: str) -> UUID:
    try:
        return canonical_uuid(text, field=name)
    except Refused as refused:
        raise InvalidInput(name, refused.reason) from None


def figures() -> "Figures":
    """What the ledger knows, to be looked at.

    Raises:
        ConfigError: its address is not given.
    """
    from olvido.ledger.connection import Database
    from olvido.ledger.figures import Figures
    from olvido.operators.settings import deployment

    return Figures(Database(deployment().ledger_dsn, application="olvido.cli"))
