"""`olvido sinks discover`: a sink's database and its data map, side by side."""

import sys
from typing import Annotated

import typer

from olvido.operators.cli.output import Form, Output, messages, print_data
from olvido.operators.cli.progress import progress
from olvido.operators.desk.text import counted

Name = Annotated[str, typer.Argument(metavar="SINK", help="Its name in olvido.toml.")]
Rows = Annotated[
    int, typer.Option(help="How many rows of each table to read at most; 0 goes by names and keys alone.")
]
ROWS = 200


def register(sinks: typer.Typer) -> None:
    """Add the commands to those of `olvido sinks`."""
    sinks.command("discover")(discover)


def discover(sink: Name, rows: Rows = ROWS, output: Form = Output.TABLE) -> None:
    """Read a sink's database and print a data map for it, with the evidence for each column.

    It reads the catalogue and a few rows of each table, in transactions that cannot write. It prints none of
    their values. The sink's section needs no tables yet. Read every line before you keep it.

    Examples:
        olvido sinks discover crm
        olvido sinks discover crm >> olvido.toml
        olvido sinks discover crm -o json
    """
    from olvido.operators.desk import discovering as desk
    from olvido.operators.settings import deployment

    declared = deployment()
    with desk.opened(declared, sink) as target:
        count = len(target.tables)
        with progress(f"reading {sink}", count, unit="tables") as bar:
            found = desk.discover(declared, target, rows=rows, advance=bar)
    if not print_data(found, output=output):
        sys.stdout.write(found.toml)
        looked = (
            f"{counted(found.tables, 'table')}, {counted(len(found.columns), 'column')} that look personal"
        )
        messages.print(looked + _to_decide(found.undecided), markup=False, soft_wrap=True)


def _to_decide(tables: tuple[str, ...]) -> str:
    return f"; you must decide about {', '.join(tables)}" if tables else ""
