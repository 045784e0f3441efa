"""`olvido audit`: who changed or revealed what, when and why."""

from typing import Annotated

import typer

from olvido.core.acts import Verb
from olvido.operators.cli.exits import Exit
from olvido.operators.cli.output import Form, Output, messages, show


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("audit")(audit)


def audit(
    verb: Annotated[Verb | None, typer.Option(help="Only acts of this kind.")] = None,
    who: Annotated[str | None, typer.Option(help="Only this person's, such as ana@host.")] = None,
    since: Annotated[
        str | None, typer.Option(help="Only those since an instant, or since 2h or 3d ago.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many at most, newest first.")] = 20,
    output: Form = Output.TABLE,
) -> None:
    """Show who did what, when and why: every replay, restore, redrive, discard, release and reveal.

    The record cannot be changed or deleted; it holds ids, counts and filters, and no person. Each act is
    linked to the one before it: exit code 10 if one was changed or taken away all the same.

    Examples:
        olvido audit --since 7d
        olvido audit --verb reveal -o csv
    """
    from datetime import UTC, datetime

    from olvido.operators.cli.instants import instant_of
    from olvido.operators.desk.audit import broken, chain, newest
    from olvido.operators.desk.text import counted
    from olvido.operators.settings import deployment

    after = instant_of(since, field="since", now=datetime.now(UTC)) if since else None
    rows = newest(deployment(), verb=verb, who=who, since=after, limit=limit)
    show(rows, ("at", "who", "verb", "reason", "details"), output=output, empty="nobody has done anything")
    found = chain(deployment())
    if fault := broken(found):
        messages.print(fault, markup=False)
        raise typer.Exit(Exit.UNHEALTHY)
    if found.acts:
        acts = counted(found.acts, "act")
        messages.print(f"{acts} on record, none changed or taken away; the last link is {found.link}")
