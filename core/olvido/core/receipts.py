"""A sink's acknowledgement of one (task_id, generation), and which of several stands.

The first final receipt of a (task_id, generation) that is received stands for ever: no instant and
no other content that a later one names changes it. Receipts of several tasks in any order and any
number of times give the same request state.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from olvido.core.causes import Cause
from olvido.core.errors import Refused
from olvido.core.events import Seal
from olvido.core.ids import receipt_id
from olvido.core.instants import CLOCK_SKEW_MAX
from olvido.core.outcomes import NO_EFFECT, Outcome
from olvido.core.rights.names import Action
from olvido.core.tasks import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What one sink did for one task."""

    receipt_id: UUID
    task_id: UUID
    generation: int
    sink: str
    action: Action
    request_id: UUID | None
    event_id: UUID | None
    subject_id: str
    outcome: Outcome
    counts: Mapping[str, int]  # rows per table and what was done, such as {"customers.deleted": 1}
    detail: str  # a ground, a code, what is not covered: never an identity
    applied_at: datetime
    verified_at: datetime | None  # when reading back found nothing left
    seal: Seal | None = None  # of who answers


def receipt_for(
    task: Task,
    outcome: Outcome,
    *,
    applied_at: datetime,
    verified_at: datetime | None = None,
    counts: Mapping[str, int] | None = None,
    detail: str = "",
) -> Receipt:
    """The receipt of a task. Its id follows from (task_id, generation) alone."""
    return Receipt(
        receipt_id=receipt_id(task.task_id, task.generation),
        task_id=task.task_id,
        generation=task.generation,
        sink=task.sink,
        action=task.action,
        request_id=task.request_id,
        event_id=task.event_id,
        subject_id=task.subject_id,
        outcome=outcome,
        counts=dict(counts or {}),
        detail=detail,
        applied_at=applied_at,
        verified_at=verified_at,
    )


def stands(first: Receipt, second: Receipt) -> Receipt:
    """Of two receipts of one (task_id, generation), in the order they were received, the one that stands.

    Only a final one comes over one that is not: so the choice is associative and idempotent.
    """
    return second if second.outcome.final and not first.outcome.final else first


def check_applied_at(receipt: Receipt, requested_at: datetime | None, now: datetime) -> None:
    """Check that the work can have been done when its receipt says so.

    Args:
        receipt: the receipt.
        requested_at: when the person asked; None for a consent change, whose instant only orders it.
        now: when.

    Raises:
        Refused: ``FUTURE``, or ``BEFORE_REQUEST``. Upstream's clock may be ahead of ours and the target's
            behind it, each by as much as clocks may differ.
    """
    if receipt.applied_at > now + CLOCK_SKEW_MAX:
        raise Refused(Cause.FUTURE, field="applied_at")
    if requested_at is not None and receipt.applied_at < requested_at - 2 * CLOCK_SKEW_MAX:
        raise Refused(Cause.BEFORE_REQUEST, field="applied_at")


def outcome_of(generations: Sequence[Outcome | None]) -> Outcome | None:
    """What a sink has come to with one source; None while it owes an answer.

    Args:
        generations: its outcome each time it was asked, the oldest first; None for no answer yet.

    The newest outcome counts. Only ``not_found`` hides no earlier effect: a sink that is asked again
    after a restore and finds nobody has not undone what it did the first time.
    """
    newest = generations[-1]
    if newest is not Outcome.NOT_FOUND:
        return newest
    effects = [outcome for outcome in generations if outcome is not None and outcome not in NO_EFFECT]
    return effects[-1] if effects else newest
