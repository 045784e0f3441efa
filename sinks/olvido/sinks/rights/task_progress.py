"""What has come of one task of a batch so far: from nothing to its answer."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from olvido.core.outcomes import Outcome
from olvido.core.rights.erase import Erase
from olvido.core.subject import Identity
from olvido.core.tasks import Task
from olvido.sinks.contract import OpenedTask
from olvido.sinks.tables.engine import Mark
from olvido.sinks.tables.journal import Answer

DETAIL_MAX = 1000  # characters: a receipt is read by people


class PurposeMark(NamedTuple):
    """What rows are to be marked with for a purpose, and by which event."""

    purpose: str
    mark: Mark
    occurred_at: datetime
    event_id: UUID
    only_new: bool = False  # rows that follow it already are left alone


@dataclass(slots=True)
class TaskProgress:
    """One task, and what is known of it."""

    n: int  # its place in the batch
    task: Task
    identities: tuple[Identity, ...]
    released: bool = False  # two people decided that what it takes is not limited
    outcome: Outcome | None = None  # None: its rows must be searched for
    counts: dict[str, int] = field(default_factory=dict)
    details: list[str] = field(default_factory=list)
    marks: tuple[PurposeMark, ...] = ()  # what its rows are to be marked with
    verified: bool = False  # a search after the work found no row that names the person

    @classmethod
    def of(cls, n: int, opened: OpenedTask) -> "TaskProgress":
        """A task that nothing was done for yet."""
        return cls(n, opened.task, opened.identities, opened.released)

    @property
    def searches(self) -> bool:
        """Whether its rows must be found."""
        return self.outcome is None or bool(self.marks)

    @property
    def fence(self) -> datetime | None:
        """Rows newer than this are not found: what the person did afterwards stays."""
        return self.task.effective_at if isinstance(self.task.what, Erase) else None

    @property
    def erases(self) -> bool:
        """Whether its rows are to be deleted or emptied."""
        return isinstance(self.task.what, Erase)

    @property
    def limited(self) -> bool:
        """Whether a sink limits what it takes."""
        return self.erases and not self.released

    @property
    def only_protects(self) -> bool:
        """Whether it may reach everybody who shares an identity: it takes nothing from any of them."""
        return bool(self.marks) and all(mark.mark in (Mark.WITHDRAWN, Mark.OBJECTED) for mark in self.marks)

    def count(self, what: str, rows: int = 1) -> None:
        """Count rows for the receipt, such as ``customers.deleted``."""
        self.counts[what] = self.counts.get(what, 0) + rows

    def close(self, outcome: Outcome, detail: str = "") -> None:
        """Say what has come of it. A later outcome takes an earlier one's place; details are kept."""
        self.outcome = outcome
        if detail:
            self.details.append(detail)

    def nothing_done(self, why: str) -> None:
        """Close it as ``ambiguous``: no row is changed now. Chunks of a heavy person may have gone before."""
        changed = (
            f"rows went in chunks before, and no more: {why}" if self.counts else f"no row was changed: {why}"
        )
        self.close(Outcome.AMBIGUOUS, changed)

    def answer(self, at: datetime) -> Answer:
        """The answer, once there is an outcome."""
        assert self.outcome is not None, f"task {self.task.task_id} was left without an outcome"
        return Answer(
            outcome=self.outcome,
            counts=self.counts,
            detail="; ".join(self.details)[:DETAIL_MAX],
            applied_at=at,
            verified_at=at if self.verified else None,
        )
