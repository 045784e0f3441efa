"""What stands of what a person decided about one use of the data: the latest, for each handle and purpose.

The order of a kind of decision is total and a function of the decisions only, so every permutation and
repetition of the same ones ends in the same state.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Protocol, TypeVar


class PurposeState(Protocol):
    """A state that is kept for each (handle, purpose)."""

    @property
    def handle(self) -> str:
        """Of the person."""
        ...

    @property
    def purpose(self) -> str:
        """The use of the data."""
        ...

    @property
    def order(self) -> tuple[datetime, int, str]:
        """Its place among those of its kind; the greatest stands."""
        ...


S = TypeVar("S", bound=PurposeState)


def later(one: S, other: S) -> S:
    """The later of two about the same (handle, purpose)."""
    assert (one.handle, one.purpose) == (other.handle, other.purpose)
    return max(one, other, key=lambda state: state.order)


def latest(states: Iterable[S]) -> dict[tuple[str, str], S]:
    """The latest of each (handle, purpose), in their order."""
    found: dict[tuple[str, str], S] = {}
    for state in states:
        pair = (state.handle, state.purpose)
        found[pair] = later(found.get(pair, state), state)
    return {pair: found[pair] for pair in sorted(found)}
