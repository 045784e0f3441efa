"""`olvido status`: everything on one screen, problems first."""

import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from olvido.operators.cli.exits import Exit
from olvido.operators.cli.instants import span_of
from olvido.operators.cli.output import Form, Output, console, messages, print_data, show
from olvido.operators.cli.sinks import and_how_to_see
from olvido.operators.desk.data import record_of
from olvido.operators.desk.text import span
from olvido.operators.settings import process_of, project

if TYPE_CHECKING:
    from olvido.operators.desk.health import GroupHealth, Overview, Process, Report

LOOK_EVERY_S = 2.0
WIDTH_WITH_PROCESSES = 110  # columns; narrower, pid, uptime and restarts have no room
WELL = frozenset({"running", "given", "stable", "live", "-"})


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("status")(status)


def status(
    watch: Annotated[
        bool, typer.Option("--watch", help="Look again every two seconds, until Ctrl-C.")
    ] = False,
    exit_when_healthy: Annotated[
        bool, typer.Option("--exit-when-healthy", help="With --watch: end as soon as nothing is wrong.")
    ] = False,
    timeout: Annotated[
        str | None, typer.Option(help="With --watch: end after so long, such as 2m, with exit code 6.")
    ] = None,
    output: Form = Output.TABLE,
) -> None:
    """Show what runs, how far each reader is, and what is owed. Exit 10 if something is wrong.

    Examples:
        olvido status
        olvido status --watch
        olvido status --watch --exit-when-healthy --timeout 2m
        olvido status -o json
    """
    from olvido.operators.desk.health import overall

    limit = span_of(timeout, field="--timeout") if timeout else None
    deadline = time.monotonic() + limit.total_seconds() if limit else None
    with messages.status("looking at everything"):
        report = overall(project())
    print_report(report, output)
    while watch and not (exit_when_healthy and not report.problems):
        if deadline is not None and time.monotonic() > deadline:
            raise typer.Exit(Exit.TIMED_OUT)
        try:
            time.sleep(LOOK_EVERY_S)
            report = overall(project())
        except KeyboardInterrupt:  # it is how watching ends
            break
        if console.is_terminal and output is Output.TABLE:
            console.clear()
        print_report(report, output)
    if report.problems:
        raise typer.Exit(Exit.UNHEALTHY)


def print_report(report: "Report", output: Output) -> None:
    """Print one look at everything; what is wrong comes first, on stderr."""
    rows = _readers(report)
    # A line of CSV is one reader: what else there is has no place in a row.
    problems = [and_how_to_see(problem.text, problem.operation) for problem in report.problems]
    if print_data(
        rows if output is Output.CSV else {**record_of(report), "problems": problems}, output=output
    ):
        return
    for problem in problems:
        messages.print(f"! {problem}", markup=False, soft_wrap=True)
    # Two streams: what is wrong must stand above what is printed next.
    sys.stderr.flush()
    for line in _parts(report):
        console.print(line)
    if rows:
        console.print()
        more = ("pid", "up", "restarts") if console.width >= WIDTH_WITH_PROCESSES else ()
        columns = ("reader", "process", "members", "behind", "owed", "oldest", "parked", "standing", *more)
        show(rows, columns, output=Output.TABLE, empty="")
    if report.ledger:
        console.print()
        console.print(Text(_owed(report, report.ledger)))
    if not report.problems:
        console.print(Text("nothing is wrong", style="green"))


def _parts(report: "Report") -> list[Text]:
    """The processes that read no topic: broker, registry, database, the example shop."""
    readers = {process_of(row.reader) for row in report.readers}
    parts = [row for row in report.processes if not report.readers or row.name not in readers]
    if not parts:
        return [Text("nothing runs here by olvido up")] if not report.processes else []
    room = max(len(row.name) for row in parts)
    return [
        Text(f"{row.name.ljust(room)}  ")
        .append(row.state, style="" if row.state in WELL else "bold red")
        .append(f"  {row.address or ''}")
        for row in parts
    ]


def _readers(report: "Report") -> list[dict[str, Any]]:
    """One line for each reader: its process here, its group at the broker, its sink in the ledger."""
    processes = {row.name: row for row in report.processes}
    sinks = {row.sink: row for row in report.sinks}
    now = datetime.now(UTC)
    rows = []
    for reader in report.readers:
        process = processes.get(process_of(reader.reader))
        name = reader.reader.removeprefix("olvido.").removeprefix("sink.")
        sink = sinks.get(name)
        oldest = sink and sink.oldest_owed_at
        rows.append(
            {
                "reader": name,
                "process": _state(process, reader),
                "members": reader.members,
                "behind": reader.behind,
                "owed": sink and sink.owed,
                "oldest": span(now - oldest) if oldest else None,
                "parked": sink and sink.parked,
                "standing": sink and sink.standing,
                "pid": process and process.pid,
                "up": process and process.uptime,
                "restarts": process and process.restarts,
            }
        )
    return rows


def _state(process: "Process | None", reader: "GroupHealth") -> str:
    if process is None:
        return "elsewhere" if reader.members else "nowhere"
    return "not ready" if process.not_ready else process.state


def _owed(report: "Report", ledger: "Overview") -> str:
    causes = ", ".join(f"{row.letters} {row.cause}" for row in report.dead_letters)
    oldest = min((row.oldest_at for row in report.dead_letters), default=None)
    age = f", the oldest {span(datetime.now(UTC) - oldest)} old" if oldest else ""
    return (
        f"requests     {ledger.requests}, {ledger.requests_open} open{_due(ledger)}\n"
        f"tasks owed   {ledger.tasks_owed}, and {ledger.tasks_parked} parked\n"
        f"dead letters {causes or 'none'}{age}"
    )


def _due(ledger: "Overview") -> str:
    """How the open requests stand to their last days."""
    late = f", {ledger.requests_overdue} overdue" if ledger.requests_overdue else ""
    soon = f", {ledger.requests_due_soon} due within five days" if ledger.requests_due_soon else ""
    following = f", the next due by {ledger.next_due_at:%Y-%m-%d %H:%M}Z" if ledger.next_due_at else ""
    return late + (soon or following)
