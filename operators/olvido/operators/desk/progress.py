"""What long work publishes about itself while it runs: how far it is, and why it waits."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

Advance = Callable[[int], None]  # so much more is done


@dataclass(frozen=True, slots=True)
class Paused:
    """Somebody paused it; it waits until somebody resumes it."""

    name: str


@dataclass(frozen=True, slots=True)
class Resumed:
    """It goes on."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """It waits for sinks that have too many tasks before them."""

    tasks: Mapping[str, int]  # by sink


Notice = Paused | Resumed | Waiting


class Progress(Protocol):
    """Where work publishes how far it is."""

    def __call__(self, count: int) -> None:
        """So much more is done."""
        ...

    def to(self, done: int) -> None:
        """So much of the total is done."""
        ...

    def notice(self, notice: Notice) -> None:
        """Something a person should know."""
        ...
