"""`olvido sinks …`: each system, and whether what was decided is so in it."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import typer

from olvido.core.errors import InvalidInput, did_you_mean
from olvido.core.sinks import Standing
from olvido.operators.cli.output import Form, Output, console, show

if TYPE_CHECKING:
    from olvido.schemas.settings.deployment import Deployment

APPLICATION = "olvido.cli"
WIDE = 100  # columns; narrower, what to do would be folded


def register(app: typer.Typer) -> None:
    """Add the commands."""
    sinks = typer.Typer(help="Look at the systems that hold personal data.", no_args_is_help=True)
    sinks.command("list")(list_sinks)
    app.add_typer(sinks, name="sinks")


def list_sinks(output: Form = Output.TABLE) -> None:
    """List the sinks: live, joining while a backfill is under way, unsafe while a restored backup is mended.

    Examples:
        olvido sinks list
        olvido sinks list -o json
    """
    from olvido.operators.settings import deployment

    more = ("kind", "region", "since") if console.width >= WIDE else ()
    show(rows_of(deployment()), ("sink", *more, "standing", "open", "to_do"), output=output, empty="")


def rows_of(declared: "Deployment") -> list[dict[str, Any]]:
    """Every sink of olvido.toml with its standing, what is open, and what to do.

    Raises:
        Unavailable: the ledger does not answer.
    """
    from olvido.ledger.connection import Database
    from olvido.ledger.figures import Figures
    from olvido.ledger.sink_operations import SinkOperations

    database = Database(declared.ledger_dsn, application=APPLICATION)
    counted = {row["sink"]: row for row in Figures(database).by_sink()}
    standings = SinkOperations(database).standings()
    rows = []
    for name, section in declared.sinks.items():
        standing, operation = standings.get(name, (Standing.LIVE, None))
        counts = counted.get(name, {"tasks": 0, "answered": 0})
        if operation is not None:
            to_do = f"olvido {operation.kind.value} show {operation.name}"
        elif not counts["tasks"] and counted:
            to_do = f"if it joins late: olvido backfill --sink {name}"
        else:
            to_do = ""
        rows.append(
            {
                "sink": name,
                "kind": section.kind,
                "region": section.region,
                "standing": standing,
                "open": counts["tasks"] - counts["answered"],
                "since": operation and operation.since,
                "to_do": to_do,
            }
        )
    return rows


def warnings_about(declared: "Deployment", sinks: Iterable[str]) -> list[str]:
    """A line for each of these sinks that is not live: what it said before does not hold there now."""
    from olvido.ledger.connection import Database
    from olvido.ledger.sink_operations import SinkOperations

    standings = SinkOperations(Database(declared.ledger_dsn, application=APPLICATION)).standings()
    return [
        f"{sink} is {standing.value} since {operation.since:%Y-%m-%d %H:%M}Z: "
        f"olvido {operation.kind.value} show {operation.name}"
        for sink, (standing, operation) in sorted(standings.items())
        if sink in set(sinks)
    ]


def known_sink(declared: "Deployment", name: str) -> str:
    """The name of a sink that can be asked for something.

    Raises:
        InvalidInput: there is no such sink, or its topic is not there yet.
        Unavailable: the broker does not answer.
    """
    from olvido.broker.admin import end_offsets
    from olvido.schemas.topics import tasks_topic

    if name not in declared.sinks:
        raise InvalidInput("--sink", f"olvido.toml has no sink {name!r}{did_you_mean(name, declared.sinks)}")
    topic = tasks_topic(name).name
    if not end_offsets(declared.kafka, [topic]):
        raise InvalidInput("--sink", f"its topic {topic} is not there; make it with: olvido topics apply")
    return name
