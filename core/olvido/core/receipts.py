"""A sink's acknowledgement of one (task_id, generation), and which of several stands.

The algebra: the first final receipt of a (task_id, generation) stands. Receipts
in any order and any number of times give the same request state.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from olvido.core.ids import receipt_id
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
    """Of two receipts of one (task_id, generation), the one that stands.

    A final one beats one that is not. Of two final ones the one applied first
    stands, then the lesser outcome name: so the choice is commutative,
    associative and idempotent, whatever order they come in.
    """
    return min(first, second, key=_rank)


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


def _rank(receipt: Receipt) -> tuple[bool, datetime, str, str]:
    return (not receipt.outcome.final, receipt.applied_at, receipt.outcome.value, receipt.detail)
