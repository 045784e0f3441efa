"""Applying decisions again: to rows that came after them, and to rows that something has overwritten.

A withdrawal, an objection and a restriction are marked in the rows that are there when they arrive. An import
of yesterday's file, or a sign-up under an old address, brings rows that say the contrary. So a sink keeps the
sealed box of each decision that protects a person, and from time to time marks the person's rows anew.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from olvido.core.events import Decision
from olvido.core.looks import LaterLook, reapplied_of
from olvido.core.outcomes import Outcome
from olvido.core.receipts import Receipt
from olvido.core.rights.consent import Consent
from olvido.core.rights.names import Action
from olvido.core.rights.object import Object
from olvido.core.rights.restrict import Restrict
from olvido.core.tasks import Task
from olvido.schemas.privacy.opening import Forgotten
from olvido.sinks.contract import OpenedTask, Reapplied
from olvido.sinks.rights import consent
from olvido.sinks.rights import object as objection
from olvido.sinks.rights.in_tables import IN_TABLES
from olvido.sinks.rights.marks import mark
from olvido.sinks.rights.restrict import restrict_anew
from olvido.sinks.rights.target import Target
from olvido.sinks.rights.task_progress import TaskProgress
from olvido.sinks.tables.engine import TableRows
from olvido.sinks.tables.kept_decisions import KeptDecisions

REAPPLIED_MAX = 500  # decisions in one transaction
NOT_NOW = timedelta(days=1)  # until a decision that the target refuses is tried again


def decisions_to_keep(
    batch: Iterable[OpenedTask], receipts: Iterable[Receipt], rows: TableRows
) -> list[Task]:
    """The decisions of a batch that were done in a transaction, protect a person and are not superseded."""
    return [
        one.task
        for one, receipt in zip(batch, receipts, strict=True)
        if receipt.applied_at == rows.at and receipt.outcome is not Outcome.SUPERSEDED and _protects(one.task)
    ]


def erased_handles(batch: Iterable[OpenedTask]) -> set[str]:
    """Those of the people of a batch who ask to be erased: nothing of theirs is kept for what comes later."""
    return {handle.value for one in batch if one.task.action is Action.ERASE for handle in one.task.handles}


def _protects(task: Task) -> bool:
    match task.what:
        case Consent(decision=decision):
            return decision is Decision.WITHDRAWN
        case Object() | Restrict():
            return True
    return False


@dataclass(frozen=True, slots=True)
class ReapplyTransaction:
    """One transaction of a target in which decisions are applied again."""

    target: Target
    kept: KeptDecisions
    sink: str
    opening: Callable[[Task], OpenedTask | None]  # None where the box does not open; Forgotten for ever
    publish: Callable[[LaterLook], None]

    def step(self, waits: Sequence[timedelta], limit: int) -> Reapplied | None:
        """Apply those again whose look is the longest overdue. Another process may do it: then nothing.

        Whoever opened the transaction commits it.
        """
        if not self.kept.alone():
            return None
        due = self.kept.due(limit)
        if not due:
            return Reapplied(looked=0, reapplied=0, more=False)
        ended: set[UUID] = set()
        opened: list[OpenedTask] = []
        for task, _ in due:
            try:
                one = self.opening(task)
            except Forgotten:
                ended.add(task.task_id)
                continue
            if one is not None:
                opened.append(one)
        tasks = [TaskProgress.of(n, one) for n, one in enumerate(opened)]
        standing = self._standing(tasks)
        ended |= {task.task.task_id for task in tasks if task.n not in standing}
        reapplied = self._apply([task for task in tasks if task.n in standing], tasks)
        if reapplied:
            at = self.target.rows.at
            self.publish(reapplied_of(self.sink, at, decisions=len(standing), reapplied=reapplied))
        # Killed before this transaction is committed: they are applied again, and a second record says so.
        self.kept.looked([one for one in due if one.task.task_id not in ended], waits)
        self.kept.drop(ended)
        return Reapplied(looked=len(standing), reapplied=reapplied, more=len(due) >= limit)

    def put_off(self) -> Task | None:
        """Leave the decision whose look is the longest overdue for another day: the target refuses it."""
        if not self.kept.alone():
            return None
        for task, place in self.kept.due(1):
            self.kept.put_off([task.task_id], self.target.rows.at + NOT_NOW, place=place)
            return task
        return None

    def _standing(self, tasks: Sequence[TaskProgress]) -> set[int]:
        """The tasks whose decisions still stand and are covered by the map; they have their marks then."""
        # Nobody is answered here: with an outcome a task is searched for by its marks alone.
        objection.mark_anew([task for task in tasks if task.task.action is Action.OBJECT], self.target)
        consent.mark_anew([task for task in tasks if task.task.action is Action.CONSENT], self.target)
        restricting = [task for task in tasks if task.task.action is Action.RESTRICT]
        if restricting:
            IN_TABLES[Action.RESTRICT].begin(restricting, self.target)
        return {task.n for task in tasks if task.searches}

    def _apply(self, standing: Sequence[TaskProgress], tasks: Sequence[TaskProgress]) -> int:
        """Mark what is not marked as it should be; of how many decisions there was any."""
        if not standing:
            return 0
        found = self.target.owned(standing, self.target.find(standing))
        mark(tasks, found, self.target, anew=True)
        restrict_anew([task for task in standing if task.task.action is Action.RESTRICT], found, self.target)
        return sum(bool(task.counts) for task in standing)
