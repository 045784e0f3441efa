"""`olvido sinks discover | check | grants | plan`: a sink's database and its data map, side by side."""

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from olvido.operators.cli.exits import Exit
from olvido.operators.cli.identities import Identities
from olvido.operators.cli.options import spread
from olvido.operators.cli.output import Form, Output, chosen, console, messages, print_data, show
from olvido.operators.desk.text import counted

if TYPE_CHECKING:
    from olvido.operators.desk.omissions import MapCheck

Name = Annotated[str, typer.Argument(metavar="SINK", help="Its name in olvido.toml.")]
Rows = Annotated[
    int, typer.Option(help="How many rows of each table to read at most; 0 goes by names and keys alone.")
]
ROWS = 200
TRYING = "trying columns that point at other tables without a foreign key"


def register(sinks: typer.Typer) -> None:
    """Add the commands to those of `olvido sinks`."""
    sinks.command("discover")(discover)
    sinks.command("check")(check)
    sinks.command("grants")(grants)
    sinks.command("plan")(spread(plan))


def discover(sink: Name, rows: Rows = ROWS, output: Form = Output.TABLE) -> None:
    """Read a sink's database and print a data map for it, with the evidence for each column.

    It reads the catalogue and a few rows of each table, in transactions that cannot write. It prints none of
    their values. The sink's section needs no tables yet. Read every line before you keep it.

    Examples:
        olvido sinks discover crm
        olvido sinks discover crm >> olvido.toml
        olvido sinks discover crm -o json
    """
    from olvido.operators.cli.progress import progress
    from olvido.operators.desk import discovering as desk
    from olvido.operators.settings import deployment

    declared = deployment()
    with desk.opened(declared, sink) as target:
        with progress(f"reading {sink}", len(target.tables), unit="tables") as bar:
            seen = desk.seen_in(target, rows=rows, advance=bar)
        with messages.status(TRYING):
            found = desk.discover(declared, target, seen, rows=rows)
    if not print_data(found, output=output):
        sys.stdout.write(found.toml)
        looked = (
            f"{counted(found.tables, 'table')}, {counted(len(found.columns), 'column')} that look personal"
        )
        messages.print(looked + _to_decide(found.undecided), markup=False, soft_wrap=True)


def _to_decide(tables: tuple[str, ...]) -> str:
    return f"; you must decide about {', '.join(tables)}" if tables else ""


class CheckOutput(StrEnum):
    """The forms of a check: those of all data, and annotations of a pull request."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    YAML = "yaml"
    CSV = "csv"
    GITHUB = "github"


CheckForm = Annotated[
    CheckOutput,
    typer.Option("--output", "-o", help="How findings are printed; github is annotations.", callback=chosen),
]


def check(sink: Name, rows: Rows = ROWS, output: CheckForm = CheckOutput.TABLE) -> None:
    """Hold a sink's data map against its database: what it leaves out, what is gone. Exit 10 if anything.

    Every column that looks personal must be in the map, or be excused with a reason. In a workflow of GitHub
    findings are annotations of the lines of olvido.toml.

    Examples:
        olvido sinks check crm
        olvido sinks check crm -o json
        olvido sinks check crm -o github
    """
    from olvido.operators.cli.progress import progress
    from olvido.operators.desk import discovering, omissions
    from olvido.operators.settings import deployment

    declared = deployment()
    with discovering.opened(declared, sink) as target:
        data_map = omissions.data_map_of(declared, sink)
        with progress(f"reading {sink}", len(target.tables), unit="tables") as bar:
            seen = discovering.seen_in(target, rows=rows, advance=bar)
        with messages.status(TRYING):
            found = omissions.check(declared, target, data_map, seen, rows=rows)
    if output is CheckOutput.TABLE and os.environ.get("GITHUB_ACTIONS") == "true":
        output = CheckOutput.GITHUB
    if output is CheckOutput.GITHUB:
        _annotate(found)
    elif not print_data(found, output=Output(output.value)):
        for one in found.omissions:
            console.print(f"[red]✗[/red] {one.omitted.ljust(17)}", end=" ")
            console.print(one.text, markup=False, soft_wrap=True)
            console.print(f"        → {one.fix}", markup=False, soft_wrap=True)
    _summarise(found)
    if found.omissions:
        raise typer.Exit(Exit.UNHEALTHY)


def _summarise(found: "MapCheck") -> None:
    if found.unread:
        tables = counted(len(found.unread), "table")
        messages.print(
            f"of {tables} this role may not read the rows, so their names alone were judged: "
            + ", ".join(found.unread),
            markup=False,
            soft_wrap=True,
        )
    left = counted(len(found.omissions), "finding") if found.omissions else "nothing is left out"
    messages.print(f"{counted(found.tables, 'table')} looked at; {left}", markup=False, soft_wrap=True)


def _annotate(found: "MapCheck") -> None:
    """Workflow commands: https://docs.github.com/actions/reference/workflow-commands-for-github-actions"""
    from olvido.operators.settings import deployment_file

    file = deployment_file()
    shown = file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file
    for one in found.omissions:
        where = f"file={_escaped(str(shown), inner=True)},line={one.line}"
        title = _escaped(f"{found.sink}: {one.omitted}", inner=True)
        sys.stdout.write(f"::warning {where},title={title}::{_escaped(f'{one.text}; {one.fix}')}\n")


def _escaped(text: str, *, inner: bool = False) -> str:
    """A text as a workflow command wants it: one line, and as a property without what ends one."""
    text = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return text.replace(":", "%3A").replace(",", "%2C") if inner else text


def grants(
    sink: Name,
    role: Annotated[str | None, typer.Option(help="The role's name, if not olvido_ and the sink's.")] = None,
    output: Form = Output.TABLE,
) -> None:
    """Print the SQL that makes the least role for a sink's data map. It asks no system.

    An administrator of the target reads it, runs it, and gives the role a password. A repeat brings the role
    to what the map needs then, and takes the rest away. For a file: the modes that it needs.

    Examples:
        olvido sinks grants crm
        olvido sinks grants crm --role eraser | psql shop
    """
    from olvido.operators.desk import grants as desk
    from olvido.operators.settings import deployment

    found = desk.grants(deployment(), sink, role=role)
    if not print_data(found, output=output):
        sys.stdout.write(found.statements)
        if found.password:
            messages.print(f"it has no password yet: {found.password}", markup=False, soft_wrap=True)


def plan(sink: Name, person: Identities, output: Form = Output.TABLE) -> None:
    """Show what an erasure would do in a sink's target, table by table. It is tried there and rolled back.

    Nothing is asked for, published or kept. Rows are locked for a moment, as an erasure locks them.

    Examples:
        olvido sinks plan crm --email ana@example.es
        olvido sinks plan crm --identities-from - -o json
    """
    from olvido.operators.desk.rehearsing import rehearse_erasure
    from olvido.operators.settings import deployment

    found = rehearse_erasure(deployment(), sink, person.required())
    if print_data(found, output=output):
        return
    show(found.rows, ("table", "done", "rows"), output=output, empty="")
    detail = f"; {found.detail}" if found.detail else ""
    messages.print(f"it would be answered: {found.outcome}{detail}", markup=False, soft_wrap=True)
    messages.print("nothing was changed", markup=False)
