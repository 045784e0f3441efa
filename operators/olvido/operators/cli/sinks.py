"""`olvido sinks …`: each system, and whether it holds what people decided."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from olvido.operators.cli import targets, verifying
from olvido.operators.cli.output import Form, Output, console, show

if TYPE_CHECKING:
    from olvido.ledger.sink_operations import OpenOperation
    from olvido.operators.desk.sinks import SinkRow

WIDTH_WITH_KINDS = 100  # columns; narrower, what to do would be folded


def register(app: typer.Typer) -> None:
    """Add the commands."""
    sinks = typer.Typer(help="Look at the systems that hold personal data.", no_args_is_help=True)
    sinks.command("list")(list_sinks)
    sinks.command("capabilities")(capabilities)
    targets.register(sinks)
    verifying.register(sinks)
    app.add_typer(sinks, name="sinks")


def list_sinks(output: Form = Output.TABLE) -> None:
    """List the sinks: live, joining while a backfill is under way, unsafe while a restored backup is mended.

    Examples:
        olvido sinks list
        olvido sinks list -o json
    """
    from olvido.operators.desk.sinks import rows
    from olvido.operators.settings import deployment

    more = ("kind", "region", "since", "looked_at") if console.width >= WIDTH_WITH_KINDS else ()
    found = [_row(one) for one in rows(deployment()) if one.kind]
    show(found, ("sink", *more, "standing", "open", "to_do"), output=output, empty="")


def capabilities(
    sink: Annotated[list[str] | None, typer.Argument(help="Some sinks; all if none is named.")] = None,
    output: Form = Output.TABLE,
) -> None:
    """Show what each sink can do of what people may ask, by its section: nothing is asked of its target.

    Examples:
        olvido sinks capabilities
        olvido sinks capabilities crm -o json
    """
    from olvido.operators.desk.capabilities import rows
    from olvido.operators.settings import deployment

    found = [
        {
            "sink": one.sink,
            "action": one.action.value,
            "extent": one.capability.extent.value,
            "why": one.capability.why,
        }
        for one in rows(deployment(), sink or ())
    ]
    show(found, ("sink", "action", "extent", "why"), output=output, empty="")


def command_for(operation: "OpenOperation") -> str:
    """What shows how far a restore or a backfill is."""
    return f"olvido {operation.kind.value} show {operation.name}"


def and_how_to_see(text: str, operation: "OpenOperation | None") -> str:
    """A text about a restore or backfill, with the command that shows it."""
    return f"{text}; see: {command_for(operation)}" if operation else text


def _row(one: "SinkRow") -> dict[str, Any]:
    if one.operation is not None:
        to_do = command_for(one.operation)
    else:
        to_do = f"if it joins late: olvido backfill --sink {one.sink}" if one.joins_late else ""
    return {
        "sink": one.sink,
        "kind": one.kind,
        "region": one.region,
        "standing": one.standing,
        "open": one.open,
        "since": one.operation and one.operation.since,
        "looked_at": one.looked_at,
        "reapplied": one.reapplied,
        "to_do": to_do,
    }
