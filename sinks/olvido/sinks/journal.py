"""The memory of a target: which tasks were done there, and what was answered.

It stands in the target itself, in schema ``olvido``, so that an effect and the memory of it
are one transaction. It holds no identity and no pseudonym: task ids, counts and outcomes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib.resources import files

from olvido.core.outcomes import Outcome
from olvido.core.receipts import Receipt, receipt_for
from olvido.core.sql import statements
from olvido.core.tasks import IdempotencyKey, Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a receipt says beyond its task: all that the journal keeps, for a task brings the rest along."""

    outcome: Outcome
    counts: Mapping[str, int]
    detail: str
    applied_at: datetime
    verified_at: datetime | None

    def receipt(self, task: Task) -> Receipt:
        """The receipt of the task this is the answer to."""
        return receipt_for(
            task,
            self.outcome,
            applied_at=self.applied_at,
            verified_at=self.verified_at,
            counts=self.counts,
            detail=self.detail,
        )


def recalled(answers: Mapping[IdempotencyKey, Answer], batch: Sequence[Task]) -> Sequence[Receipt | None]:
    """What was answered to each task, in their order."""
    found = (answers.get(task.key) for task in batch)
    return [
        None if answer is None else answer.receipt(task) for answer, task in zip(found, batch, strict=True)
    ]


@cache
def queries(dialect: str) -> Mapping[str, str]:
    """The fixed SQL of one dialect, by name, from ``sql/<dialect>.sql``."""
    return statements((files("olvido.sinks") / "sql" / f"{dialect}.sql").read_text(encoding="utf-8"))
