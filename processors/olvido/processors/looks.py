"""Later looks: which of them can be true."""

from collections.abc import Sequence, Set
from datetime import datetime

from olvido.broker.reading import Read, dead_letter_of
from olvido.core.causes import Cause
from olvido.core.dead_letters import DeadLetter
from olvido.core.errors import Refused
from olvido.core.events import check_instant
from olvido.core.looks import LaterLook, NotVerified
from olvido.schemas.privacy.seals import ControlSeals
from olvido.schemas.topics import RECORDER_GROUP


def possible(
    batch: Sequence[Read[LaterLook]], seals: ControlSeals, now: datetime
) -> tuple[tuple[Read[LaterLook], ...], tuple[DeadLetter, ...]]:
    """The looks that can be true, and the dead letters of the others.

    Those speak of what was not yet, or their principal may not answer for the sink.
    """
    kept, letters = [], []
    for read in batch:
        try:
            _check(read.value, now)
            seals.check_look(read.value, read.received.value or b"", now)
        except Refused as refused:
            letters.append(dead_letter_of(read.received, refused, group=RECORDER_GROUP, now=now))
        else:
            kept.append(read)
    return tuple(kept), tuple(letters)


def of_nothing_known(
    batch: Sequence[Read[LaterLook]], known: Set[tuple[str, NotVerified]], now: datetime
) -> tuple[DeadLetter, ...]:
    """The looks that name a task that the ledger does not have. The rest of what they say stands."""
    cause = Refused(Cause.UNKNOWN_TASK, field="not_verified")
    return tuple(
        dead_letter_of(read.received, cause, group=RECORDER_GROUP, now=now)
        for read in batch
        if any((read.value.sink, one) not in known for one in read.value.not_verified)
    )


def _check(look: LaterLook, now: datetime) -> None:
    check_instant(look.applied_from, now, field="applied_from")
    check_instant(look.looked_at, now, field="looked_at")
    if not look.applied_from <= look.applied_to <= look.looked_at:
        raise Refused(Cause.BAD_TIME, field="applied_to")
