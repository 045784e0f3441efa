"""A later look: a sink searches its target once more for people it erased, and says what it found.

Reading back in the transaction of the erasure sees what that transaction saw. A row that was committed
later, an import of yesterday's file or a restored table is found only by looking again. A sink keeps the
sealed box of each erasure until its last look; one record says what a look over many of them has found.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from olvido.core.events import Seal
from olvido.core.ids import look_id
from olvido.core.outcomes import Outcome

# When an erasure is looked at again, from the moment it was done: a transaction that was open
# meanwhile, a load of the night, an export of the week, a backup of the month.
LOOK_AGAIN = (timedelta(hours=1), timedelta(days=1), timedelta(days=7), timedelta(days=30))


# What a later look can verify. After another outcome something may well be there, or nobody has searched.
VERIFIABLE = frozenset({Outcome.ERASED, Outcome.ANONYMISED, Outcome.RETAINED, Outcome.NOT_FOUND})


class LookResult(StrEnum):
    """Why a look does not verify an erasure. What a look does not name was searched for, and not found."""

    FOUND_AGAIN = "found_again"  # rows that the erasure would have taken: it is asked for again
    UNDECIDED = "undecided"  # rows name the person, and nobody knows whose or how old they are
    NOT_LOOKED = "not_looked"  # its box cannot be opened, so nobody searched


@dataclass(frozen=True, slots=True, kw_only=True)
class NotVerified:
    """An erasure that a look does not verify."""

    request_id: UUID
    generation: int
    result: LookResult


@dataclass(frozen=True, slots=True, kw_only=True)
class LaterLook:
    """What one look of a sink has found, over all of its erasures from one instant to another."""

    look_id: UUID
    sink: str
    after_s: int  # which of the sink's looks it is: so long after the erasure. 0: a person asked for it
    applied_from: (
        datetime  # of the erasures that were looked at, the instants of their receipts; both included
    )
    applied_to: datetime
    looked_at: datetime
    looked: int  # how many were searched for
    forgotten: int  # how many were not, since the key of their boxes is destroyed: no look comes back to them
    not_verified: tuple[NotVerified, ...]
    decisions: int = 0  # withdrawals, objections and restrictions that were looked at; then no erasures were
    reapplied: int = 0  # of those, how many were applied again to rows that came later
    seal: Seal | None = None  # of the sink

    @property
    def of_erasures(self) -> bool:
        """Whether it speaks of what was erased between the two instants."""
        return not self.decisions

    @property
    def found_again(self) -> tuple[NotVerified, ...]:
        """What must be erased again."""
        return tuple(one for one in self.not_verified if one.result is LookResult.FOUND_AGAIN)


def reapplied_of(sink: str, looked_at: datetime, *, decisions: int, reapplied: int) -> LaterLook:
    """The record of a look at decisions: none of it is about erasures."""
    return LaterLook(
        look_id=look_id(sink, 0, looked_at, looked_at, looked_at),
        sink=sink,
        after_s=0,
        applied_from=looked_at,
        applied_to=looked_at,
        looked_at=looked_at,
        looked=0,
        forgotten=0,
        not_verified=(),
        decisions=decisions,
        reapplied=reapplied,
    )


def look_of(
    sink: str, after: timedelta, applied: Sequence[datetime], looked_at: datetime, *,
    looked: int, forgotten: int, not_verified: Sequence[NotVerified],
) -> LaterLook:  # fmt: skip
    """The record of one look.

    Args:
        sink: whose.
        after: which of its looks.
        applied: when each of the erasures was done; at least one.
        looked_at: when it looked.
        looked, forgotten, not_verified: what it found.
    """
    after_s, first, last = int(after.total_seconds()), min(applied), max(applied)
    return LaterLook(
        look_id=look_id(sink, after_s, first, last, looked_at),
        sink=sink,
        after_s=after_s,
        applied_from=first,
        applied_to=last,
        looked_at=looked_at,
        looked=looked,
        forgotten=forgotten,
        not_verified=tuple(not_verified),
    )
