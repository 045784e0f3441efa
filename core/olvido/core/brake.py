"""The brake: how many erasures may start in an hour. What is above it waits until two people decide.

An erasure cannot be undone. Anybody who may write requests, or has a producer's key, could ask for all.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from uuid import UUID


class HeldFor(StrEnum):
    """Why no sink is asked for a request yet."""

    ERASURES_PER_HOUR_OF_ONE = "erasures_per_hour_of_one"
    ERASURES_PER_HOUR = "erasures_per_hour"
    ERASE_AFTER = "erase_after"  # its grace period is not over
    RELEASED = "released"  # two people have decided that it starts, and it is about to


# People decide about these; the others start by themselves.
BRAKED = frozenset({HeldFor.ERASURES_PER_HOUR_OF_ONE, HeldFor.ERASURES_PER_HOUR})


class HeldDecision(StrEnum):
    """What two people decide about an erasure above a limit."""

    RELEASE = "release"  # it starts, and is not counted
    DISCARD = "discard"  # it never starts: the request is refused


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What may start by itself."""

    erasures_per_hour_of_one: int = 1000
    erasures_per_hour: int = 5000
    erase_after: timedelta = timedelta()  # how long an erasure waits before any sink is asked


@dataclass(frozen=True, slots=True)
class Start:
    """An erasure that is about to start, and who asked for it."""

    request_id: UUID
    asked_by: str


def above(starts: Iterable[Start], counted: Mapping[str, int], limits: Limits) -> dict[UUID, HeldFor]:
    """Which of some erasures may not start.

    Args:
        starts: the erasures, in the order in which they were asked for.
        counted: how many started in the last hour, by who asked.
        limits: how many may.
    """
    by_one = dict(counted)
    total = sum(counted.values())
    held: dict[UUID, HeldFor] = {}
    for start in starts:
        if total >= limits.erasures_per_hour:
            held[start.request_id] = HeldFor.ERASURES_PER_HOUR
        elif by_one.get(start.asked_by, 0) >= limits.erasures_per_hour_of_one:
            held[start.request_id] = HeldFor.ERASURES_PER_HOUR_OF_ONE
        else:
            by_one[start.asked_by] = by_one.get(start.asked_by, 0) + 1
            total += 1
    return held
