"""`olvido requests …`, `olvido dead-letters …`: what the ledger knows."""

from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

if TYPE_CHECKING:
    from olvido.ledger.store import Ledger

from olvido.core.causes import Cause
from olvido.core.errors import InvalidInput, Refused
from olvido.core.ids import canonical_uuid
from olvido.core.requests import RequestState
from olvido.operators.exits import Exit
from olvido.operators.output import Form, Output, console, messages, print_data, show, show_one

Limit = Annotated[int, typer.Option(min=1, max=10_000, help="How many at most, newest first.")]
WIDE = 100  # columns; narrower, an id would be folded to show an instant


def register(app: typer.Typer) -> None:
    """Add the commands."""
    requests = typer.Typer(help="Look at privacy requests.", no_args_is_help=True)
    requests.command("list")(list_requests)
    requests.command("show")(show_request)
    app.add_typer(requests, name="requests")
    dead_letters = typer.Typer(help="Look at records that could not be handled.", no_args_is_help=True)
    dead_letters.command("list")(list_dead_letters)
    dead_letters.command("show")(show_dead_letter)
    app.add_typer(dead_letters, name="dead-letters")


def list_requests(
    state: Annotated[RequestState | None, typer.Option(help="Only those in this state.")] = None,
    right: Annotated[str | None, typer.Option(help="Only of this right, such as ERASE.")] = None,
    limit: Limit = 20,
    output: Form = Output.TABLE,
) -> None:
    """List privacy requests, newest first."""
    rows = _ledger().list_requests(state=state, right=right.upper() if right else None, limit=limit)
    rows = [
        {
            **{("right" if name == "right_" else name): value for name, value in row.items()},
            "sinks": f"{row['answered']}/{row['tasks']}",
        }
        for row in rows
    ]
    wide = console.width >= WIDE
    columns = ("request_id", "right", "state", "sinks", *(("requested_at",) if wide else ()))
    show(rows, columns, output=output, empty="no requests; make one with: olvido request erase --email …")


def show_request(
    request_id: Annotated[str, typer.Argument(help="The request's id.")],
    output: Form = Output.TABLE,
) -> None:
    """Show one privacy request and what each sink has said."""
    ledger = _ledger()
    wanted = _uuid(request_id, "REQUEST_ID")
    request = ledger.show_request(wanted)
    if request is None:
        messages.print(f"olvido: there is no request {request_id}; list them with: olvido requests list")
        raise typer.Exit(Exit.NOT_FOUND)
    request = {("right" if name == "right_" else name): value for name, value in request.items()}
    tasks = ledger.show_tasks(wanted)
    if print_data({**request, "tasks": tasks}, output=output):
        return
    show_one(request, output=output)
    columns = ("sink", "outcome", "counts", "attempts", "applied_at", "detail")
    show(tasks, columns, output=output, empty="no sink is concerned")
    parked = [task for task in tasks if task["parked"]]
    for task in parked:
        messages.print(f"{task['sink']}: parked ({task['parked']}); see: olvido dead-letters list")


def list_dead_letters(
    cause: Annotated[Cause | None, typer.Option(help="Only of this cause.")] = None,
    limit: Limit = 20,
    output: Form = Output.TABLE,
) -> None:
    """List dead letters, newest first."""
    rows = _ledger().list_dead_letters(cause=cause.value if cause else None, limit=limit)
    rows = [{name.rstrip("_"): value for name, value in row.items()} for row in rows]
    columns = ("dead_letter_id", "cause", "field", "topic", "partition", "offset", "failed_at")
    show(rows, columns, output=output, empty="no dead letters")


def show_dead_letter(
    dead_letter_id: Annotated[str, typer.Argument(help="The dead letter's id.")],
    output: Form = Output.TABLE,
) -> None:
    """Show one dead letter: where the record is, and why it could not be handled."""
    row = _ledger().show_dead_letter(_uuid(dead_letter_id, "DEAD_LETTER_ID"))
    if row is None:
        messages.print(f"olvido: no dead letter {dead_letter_id}; list them with: olvido dead-letters list")
        raise typer.Exit(Exit.NOT_FOUND)
    show_one({name.rstrip("_"): value for name, value in row.items()}, output=output)


def _uuid(text: str, name: str) -> UUID:
    try:
        return canonical_uuid(text, field=name)
    except Refused as refused:
        raise InvalidInput(name, refused.reason) from None


def _ledger() -> "Ledger":
    from olvido.ledger.store import Ledger
    from olvido.operators.settings import deployment

    return Ledger(deployment().ledger_dsn, application="olvido.cli")
