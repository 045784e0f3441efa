"""What every command that changes something shares: a reason, and a confirmation."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import typer

from olvido.core.errors import OlvidoError

Reason = Annotated[
    str, typer.Option("--reason", help="Why. It is recorded for ever: name a ticket, never a person.")
]
NoInput = Annotated[bool, typer.Option("--no-input", help="Never ask; refuse where an answer is needed.")]


class NotConfirmed(OlvidoError):
    """A person, or a script without --confirm, did not agree: nothing was done. Exit code 4."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Why something is done, and how it is confirmed."""

    reason: Reason = ""
    confirm: Annotated[
        str | None, typer.Option("--confirm", metavar="NAME", help="Type the name here, for scripts.")
    ] = None
    no_input: NoInput = False

    def obtain(self, name: str, effects: Mapping[str, object] = {}) -> None:
        """Have a name typed before something is done.

        Args:
            name: what must be typed.
            effects: what will happen, shown before asking.

        Raises:
            NotConfirmed: another name was given, or none could be asked for.
        """
        from olvido.operators.cli.output import messages

        for what, value in effects.items():
            messages.print(f"{what}: {value}", markup=False)
        given = self.confirm
        if given is None:
            if self.no_input or not sys.stdin.isatty():
                raise NotConfirmed(f"not confirmed; nothing was done. In a script: --confirm {name}")
            given = typer.prompt(f"Type {name} to go on", err=True, default="", show_default=False)
        if given != name:
            raise NotConfirmed(f"not confirmed: that is not {name}; nothing was done")
