"""Instants that upstream states, judged by the time at which the broker took the record.

Each upstream service states by its own clock when a person asked or decided. A clock ahead places a decision
after others that the person makes later, and erases what the person does next. The broker writes down when it
took a record, and nothing that a record states can have happened after that.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
CLOCK_SKEW_MAX = timedelta(minutes=5)  # how far from ours another clock may be
LATE_AFTER = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class InstantLimits:
    """How far a stated instant may be from the broker's time."""

    ahead_max: timedelta = CLOCK_SKEW_MAX  # further ahead it is refused
    # Further behind it is shown. It is never refused: an outbox may be read hours after the person decided.
    late_after: timedelta = LATE_AFTER


def effective_at(stated: datetime, appended_at: datetime | None) -> datetime:
    """Since when an event counts: as upstream states it, and not later than the broker took it.

    Of an erasure it is the fence; of a decision its place in the order.

    Args:
        stated: ``requested_at`` or ``occurred_at``.
        appended_at: when the broker took it; None of what was planned before this was kept.
    """
    return stated if appended_at is None else min(stated, appended_at)


def is_late(stated: datetime, appended_at: datetime | None, late_after: timedelta) -> bool:
    """Whether a record came so long after what it states that a person should know."""
    return appended_at is not None and appended_at - stated > late_after


def microseconds(instant: datetime) -> int:
    """How many there are from 1970 to an instant."""
    since = instant - EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
