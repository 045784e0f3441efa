"""`olvido config …`: every setting that is in force, and where it comes from."""

from typing import Annotated

import typer

from olvido.operators.cli.output import Form, Output, console, messages, print_data
from olvido.operators.desk.data import record_of
from olvido.operators.desk.text import counted, text_of


def register(app: typer.Typer) -> None:
    """Add the commands."""
    config = typer.Typer(help="The settings: what is in force, where from, and whether it is right.",
                         no_args_is_help=True)  # fmt: skip
    config.command("show")(show_config)
    config.command("check")(check)
    app.add_typer(config, name="config")


def show_config(
    origin: Annotated[bool, typer.Option("--origin", help="Say where each setting comes from.")] = False,
    output: Form = Output.TABLE,
) -> None:
    """Show every setting that is in force. Passwords are masked.

    Flags stand above the environment, then .olvido/stack.env, olvido.toml, the user's own file, defaults.

    Examples:
        olvido config show --origin
        olvido config show -o yaml
    """
    from olvido.operators.desk.config import settings

    columns = ("key", "value", "origin") if origin else ("key", "value")
    rows = [{name: record_of(setting)[name] for name in columns} for setting in settings()]
    if not print_data(rows, output=output):
        for row in rows:
            comment = f"  # {row['origin']}" if origin else ""
            console.print(
                f"{row['key']} = {text_of(row['value'])}{comment}",
                markup=False,
                soft_wrap=not console.is_terminal,
            )


def check(output: Form = Output.TABLE) -> None:
    """Check olvido.toml and every sink's part of it, without asking any system. Exit 2 if one is wrong.

    Examples:
        olvido config check
    """
    from olvido.operators.desk.checking import checked

    declared = checked()
    rows = [{"sink": n, "kind": s.kind, "region": s.region} for n, s in declared.sinks.items()]
    if not print_data(rows, output=output):
        messages.print(f"right: {counted(len(rows), 'sink')} in regions {', '.join(declared.regions)}")
