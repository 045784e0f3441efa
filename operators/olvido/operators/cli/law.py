"""`olvido law …`: what privacy laws ask for, and by when a request is to be answered."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from olvido.core.rights.names import Right
from olvido.operators.cli.instants import instant_of
from olvido.operators.cli.output import Form, Output, console, messages, paper_width, print_data, show
from olvido.operators.desk.data import record_of

WIDTH_WITH_TEXT = 120  # columns; narrower, a rule's text would be folded into a tower
NO_ADVICE = "This is not legal advice. What is unsure is to be confirmed before anybody relies on it."


def register(app: typer.Typer) -> None:
    """Add the commands."""
    law = typer.Typer(help="What privacy laws ask for, and by when.", no_args_is_help=True)
    law.command("list")(list_laws)
    law.command("show")(show_law)
    law.command("due")(due)
    app.add_typer(law, name="law")


def list_laws(output: Form = Output.TABLE) -> None:
    """List the laws whose numbers Olvido knows; those that `[law]` of olvido.toml names come first.

    Examples:
        olvido law list
    """
    from olvido.operators.desk.law import regimes
    from olvido.operators.settings import deployment

    show(
        [record_of(one) for one in regimes(deployment())], ("code", "applies", "rules", "title"),
        output=output, empty="",
    )  # fmt: skip


def show_law(
    code: Annotated[str, typer.Argument(help="The law's code, as `olvido law list` has it.")],
    output: Form = Output.TABLE,
) -> None:
    """Show what one law asks for: each number with its source, the day it was reviewed, and how sure it is.

    Examples:
        olvido law show gdpr
        olvido law show mx -o json
    """
    from olvido.operators.desk.law import regime

    one = regime(code)
    rows = [{**record_of(rule), "period": rule.period} for rule in one.rules]
    if print_data(
        {"code": one.code, "title": one.title, "builds_on": one.builds_on, "rules": rows}, output=output
    ):
        return
    beside = f", beside {one.builds_on}" if one.builds_on else ""
    console.print(f"{one.title}{beside}\n", markup=False)
    show(
        rows, _with_text("kind", "period", "rights", "certainty", "reviewed_on"), output=output, empty=""
    )  # fmt: skip
    if paper_width() < WIDTH_WITH_TEXT:
        for row in rows:
            console.print(f"\n{row['kind']}: {row['text']}\n  {row['source']}", markup=False, style="dim")
    messages.print(NO_ADVICE, markup=False)


def due(
    right: Annotated[str, typer.Argument(help="What is asked for, such as ERASE.")],
    received: Annotated[
        str, typer.Option(help="When the request came: an instant, or 3d for three days ago.")
    ] = "",
    jurisdiction: Annotated[
        str, typer.Option(help="Under whose law the person asks, such as ES or US-CA.")
    ] = "",
    verified: Annotated[
        str, typer.Option(help="When it was proved who asks. Some clocks begin only then.")
    ] = "",
    extended: Annotated[
        bool, typer.Option("--extended", help="As if an extension had been announced.")
    ] = False,
    output: Form = Output.TABLE,
) -> None:
    """Show by when each law that applies here wants a request answered, the earliest first.

    Examples:
        olvido law due ERASE
        olvido law due ACCESS --received 2026-01-31T09:00:00Z --extended
    """
    from olvido.core.rights.known import RIGHTS
    from olvido.operators.desk.faults import check_known
    from olvido.operators.desk.law import last_days
    from olvido.operators.settings import deployment

    declared, now = deployment(), datetime.now(UTC)
    check_known("right", right.upper(), [one.value for one in RIGHTS])
    found = last_days(
        declared,
        Right(right.upper()),
        instant_of(received, field="received", now=now) if received else now,
        jurisdiction=jurisdiction,
        verified_at=instant_of(verified, field="verified", now=now) if verified else None,
        extended=extended,
    )
    show(
        [record_of(one) for one in found],
        _with_text("law", "kind", "last_day", "certainty", "provisional"), output=output,
        empty="no clock runs yet: each of them begins with the proof of identity (--verified)",
    )  # fmt: skip
    if output is Output.TABLE:
        messages.print(NO_ADVICE, markup=False)


def _with_text(*columns: str) -> tuple[str, ...]:
    """The columns, and a rule's text where there is room for it."""
    return (*columns, "text") if paper_width() >= WIDTH_WITH_TEXT else columns
