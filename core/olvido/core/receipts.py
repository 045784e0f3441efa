"""A sink's acknowledgement of one (task_id, generation), and what the outcomes mean.

The algebra: the first final receipt of a (task_id, generation) stands. Receipts
in any order and any number of times give the same request state.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from olvido.core.ids import receipt_id
from olvido.core.tasks import Action, Task


class Outcome(StrEnum):
    """The closed list. A hash or a mask is never ``erased``."""

    ERASED = "erased"
    ANONYMISED = "anonymised"
    BLOCKED = "blocked"
    RETAINED = "retained"
    NOT_FOUND = "not_found"
    AMBIGUOUS = "ambiguous"
    SUPPRESSED = "suppressed"
    RESTRICTED = "restricted"
    RECTIFIED = "rectified"
    EXPORTED = "exported"
    CONSENT_APPLIED = "consent_applied"
    SUPERSEDED = "superseded"
    DEFERRED = "deferred"
    UNSUPPORTED = "unsupported"
    FAILED = "failed"

    @property
    def final(self) -> bool:
        """Whether nothing more will come. Only ``deferred`` is a promise and not an end."""
        return self not in NOT_FINAL


# The groups of outcomes. The ledger's SQL is given them by name: nothing repeats one of these lists.
NOT_FINAL = frozenset({Outcome.DEFERRED})
# An operation is not at its end as long as a task of it came to one of these: a person takes it over.
LEFT_OVER = frozenset({Outcome.FAILED})
# No trace of the task is in the system. A later receipt of this kind hides no earlier effect.
NO_EFFECT = frozenset({Outcome.NOT_FOUND, Outcome.FAILED, Outcome.UNSUPPORTED, Outcome.DEFERRED})
# What counts as having done what was asked. A suppressed person was not erased, and rows that
# were retained or blocked are still there: those make a request partial, and say so.
DONE: Mapping[Action, frozenset[Outcome]] = {
    Action.ERASE: frozenset({Outcome.ERASED, Outcome.ANONYMISED}),
    Action.ACCESS: frozenset({Outcome.EXPORTED}),
    Action.PORTABILITY: frozenset({Outcome.EXPORTED}),
    Action.RECTIFY: frozenset({Outcome.RECTIFIED}),
    Action.RESTRICT: frozenset({Outcome.RESTRICTED, Outcome.BLOCKED}),
    Action.OBJECT: frozenset({Outcome.SUPPRESSED}),
    Action.CONSENT: frozenset({Outcome.CONSENT_APPLIED, Outcome.SUPPRESSED, Outcome.SUPERSEDED}),
    Action.UNKNOWN: frozenset(),
}
PARTLY = frozenset({Outcome.SUPPRESSED, Outcome.RETAINED, Outcome.BLOCKED, Outcome.SUPERSEDED})


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
        generations: what it said each time it was asked, the oldest first; None for no answer yet.

    The newest word counts. Only ``not_found`` hides no earlier effect: a sink that is asked again
    after a restore and finds nobody has not undone what it did the first time.
    """
    newest = generations[-1]
    if newest is not Outcome.NOT_FOUND:
        return newest
    effects = [outcome for outcome in generations if outcome is not None and outcome not in NO_EFFECT]
    return effects[-1] if effects else newest


def _rank(receipt: Receipt) -> tuple[bool, datetime, str, str]:
    return (not receipt.outcome.final, receipt.applied_at, receipt.outcome.value, receipt.detail)
