"""Options as values: a dataclass stands for its fields, and a fault has the name that was typed."""

from dataclasses import dataclass
from typing import Annotated

import pytest
import typer

from olvido.core.errors import InvalidInput
from olvido.operators.cli import helping
from olvido.operators.cli.options import spread


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    since: Annotated[str, typer.Option("--from", help="Since when.")]
    until: Annotated[str | None, typer.Option("--to", help="Until when.")] = None
    day: Annotated[list[str] | None, typer.Option(help="Which day; repeat.")] = None


@pytest.fixture
def called():
    """A command line with one command; what it was called with, and a way to call it."""
    seen: list[object] = []
    app = typer.Typer(rich_markup_mode=None)

    def look(name: Annotated[str, typer.Argument(metavar="NAME")], span: Span, loud: bool = False) -> None:
        """Look.

        Examples:
            look friday --from 2h
        """
        seen.append((name, span, loud))
        if name == "nobody":
            raise InvalidInput("name", "is nobody")
        if span.since == "never":
            raise InvalidInput("since", "never was")
        if span.since == "daily":
            raise InvalidInput("days", "are none")
        if span.since == "other":
            raise InvalidInput("email", "is no option of this command")

    app.command()(spread(look))
    app.command()(lambda: None)
    command = typer.main.get_command(app)
    for words, one in helping.commands_of(command):
        helping.finish(words, one)

    def call(*arguments: str) -> list[object]:
        command.main(args=["look", *arguments], standalone_mode=False)
        return seen

    return call


def test_each_field_is_an_option_and_the_command_gets_one_value(called):
    assert called("friday", "--from", "2h", "--to", "now", "--loud") == [
        ("friday", Span(since="2h", until="now"), True)
    ]


def test_a_field_without_a_default_must_be_given(called):
    with pytest.raises(Exception, match="since"):
        called("friday")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("friday", "--from", "never"), "--from: never was"),
        (("nobody", "--from", "2h"), "NAME: is nobody"),
        (("friday", "--from", "daily"), "--day: are none"),
        (("friday", "--from", "other"), "email: is no option"),
    ],
)
def test_a_fault_in_a_value_is_told_by_the_name_that_was_typed(called, arguments, says):
    with pytest.raises(InvalidInput, match=f"^{says}"):
        called(*arguments)
