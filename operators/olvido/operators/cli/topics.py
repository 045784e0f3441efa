"""`olvido topics …`, `olvido ledger …`: what must be as it is declared."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from olvido.operators.cli import tail
from olvido.operators.cli.exits import Exit
from olvido.operators.cli.output import Form, Output, console, messages, show

if TYPE_CHECKING:
    from olvido.broker.topics import Difference

WIDTH_WITH_WRITERS = 140  # columns; narrower, who writes and reads has no room


def register(app: typer.Typer) -> None:
    """Add the commands."""
    topics = typer.Typer(
        help="Topics and schemas, as the table of topics declares them.", no_args_is_help=True
    )
    topics.command("list")(list_topics)
    topics.command("check")(check)
    topics.command("diff")(diff)
    topics.command("apply")(apply)
    tail.register(topics)
    app.add_typer(topics, name="topics")
    ledger = typer.Typer(help="The ledger database.", no_args_is_help=True)
    ledger.command("migrate")(migrate)
    ledger.command("grants")(grants)
    app.add_typer(ledger, name="ledger")


def list_topics(output: Form = Output.TABLE) -> None:
    """Show the table of topics: what travels where, keyed how, kept how long, by whom.

    Examples:
        olvido topics list
        olvido topics list -o yaml
    """
    from olvido.operators.desk.topics import declared_topics
    from olvido.operators.settings import deployment

    declared = deployment()
    rows = [
        {
            "name": topic.name,
            "key": topic.key,
            "schema": topic.schema,
            "partitions": declared.kafka.partitions_of(topic.name),
            "cleanup": topic.cleanup,
            "retention": topic.retention,
            "writers": ", ".join(topic.writers),
            "readers": ", ".join(topic.readers),
        }
        for topic in declared_topics(declared)
    ]
    if output is Output.TABLE:
        rows = [{**row, "retention": row["retention"] or "for ever"} for row in rows]
    who = ("writers", "readers") if console.width >= WIDTH_WITH_WRITERS else ()
    show(rows, ("name", "key", "partitions", "retention", *who), output=output, empty="")


def check() -> None:
    """Exit 0 if topics and schemas are as declared, 2 if not.

    Examples:
        olvido topics check && olvido run processors
    """
    from olvido.operators.desk import topics
    from olvido.operators.settings import deployment

    with messages.status("asking the broker and the registry"):
        topics.check(deployment())
    messages.print("topics and schemas are as declared")


def diff(output: Form = Output.TABLE) -> None:
    """Show what is not as declared; changes nothing. Exit 1 if anything differs.

    Examples:
        olvido topics diff
    """
    from olvido.operators.desk import topics
    from olvido.operators.settings import deployment

    with messages.status("asking the broker and the registry"):
        differences = topics.differences(deployment())
    _print(differences, output)


def apply(output: Form = Output.TABLE) -> None:
    """Create and mend topics, register schemas as FULL_TRANSITIVE. A repeat changes nothing.

    Examples:
        olvido topics apply
    """
    from olvido.operators.desk import topics
    from olvido.operators.settings import deployment

    with messages.status("making what is missing"):
        differences = topics.apply(deployment())
    refused = topics.refused(differences)
    messages.print(f"mended {len(differences) - len(refused)}, refused {len(refused)}")
    if refused:
        _print(refused, output)


def _print(differences: "Sequence[Difference]", output: Output) -> None:
    rows = [
        {
            "topic": one.topic, "what": one.what, "is": one.is_, "should": one.should,
            "remedy": one.remedy, "why": one.why, "fix": one.fix,
        }
        for one in differences
    ]  # fmt: skip
    columns = ("topic", "what", "is", "should", "remedy", "why", "fix")
    show(rows, columns, output=output, empty="topics and schemas are as declared")
    if rows:
        raise typer.Exit(Exit.FAILURE)


def migrate() -> None:
    """Bring the ledger database to the form this version works with. A repeat changes nothing.

    Examples:
        olvido ledger migrate
    """
    from olvido.operators.desk.ledger import migrate
    from olvido.operators.settings import deployment

    applied = migrate(deployment())
    messages.print(f"applied {', '.join(applied)}" if applied else "nothing to migrate")


def grants(
    role: Annotated[str, typer.Option(help="The name of the login.")] = "olvido_ledger",
) -> None:
    """Print the SQL that makes a login for processes and operators, which can change no act on record.

    The ledger's owner reads it, runs it after each migration, and gives the login a password.

    Examples:
        olvido ledger grants | psql ledger
        olvido ledger grants --role eraser
    """
    from olvido.operators.desk.ledger import grants

    sys.stdout.write(grants(role))
