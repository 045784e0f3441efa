"""What every command that changes something shares: a reason, a confirmation, and the record of the act."""

import getpass
import os
import socket
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated

import typer
from uuid_utils.compat import uuid7

from olvido.core.acts import Act, Verb
from olvido.core.errors import InvalidInput, OlvidoError
from olvido.operators.cli.output import messages

OPERATOR = "OLVIDO_OPERATOR"  # who is recorded; without it user@host

Reason = Annotated[
    str, typer.Option("--reason", help="Why. It is recorded for ever: name a ticket, never a person.")
]
Confirm = Annotated[
    str | None, typer.Option("--confirm", metavar="NAME", help="Type the name here, for scripts.")
]
NoInput = Annotated[bool, typer.Option("--no-input", help="Never ask; refuse where an answer is needed.")]


class NotConfirmed(OlvidoError):
    """A person, or a script without --confirm, did not agree: nothing was done. Exit code 4."""


def who() -> str:
    """Who acts, for the record."""
    return os.environ.get(OPERATOR) or f"{getpass.getuser()}@{socket.gethostname()}"


def new_act(verb: Verb, reason: str, **details: object) -> Act:
    """An act of this person, now. It is not recorded yet.

    Raises:
        InvalidInput: the reason is empty, or looks as if it named a person.
    """
    if not reason.strip():
        raise InvalidInput("--reason", "is empty: say why, such as a ticket's number")
    if "@" in reason:
        raise InvalidInput("--reason", "is kept for ever and must name no person: leave the address out")
    return Act(
        act_id=uuid7(), at=datetime.now(UTC), who=who(), verb=verb, reason=reason.strip(), details=details
    )


def confirm(name: str, *, given: str | None, no_input: bool, effects: Mapping[str, object] = {}) -> None:
    """Have the name typed before something is done.

    Args:
        name: what must be typed.
        given: what --confirm said.
        no_input: whether asking is forbidden.
        effects: what will happen, told before asking.

    Raises:
        NotConfirmed: another name was given, or none could be asked for.
    """
    for what, value in effects.items():
        messages.print(f"{what}: {value}", markup=False)
    if given is None:
        if no_input or not sys.stdin.isatty():
            raise NotConfirmed(f"not confirmed; nothing was done. In a script: --confirm {name}")
        given = typer.prompt(f"Type {name} to go on", err=True, default="", show_default=False)
    if given != name:
        raise NotConfirmed(f"not confirmed: that is not {name}; nothing was done")
