"""Objection: recorded for each handle, so that no later grant undoes it, and marked in the rows."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from olvido.core.outcomes import Outcome
from olvido.core.rights.object import Object
from olvido.sinks.rights.progress import PurposeMark, TaskProgress
from olvido.sinks.rights.target import Found, Target, listed
from olvido.sinks.tables.engine import Mark


class ObjectInTables:
    """Keeps :class:`olvido.sinks.rights.contract.RightInTables`."""

    def begin(self, tasks: Sequence[TaskProgress], target: Target) -> None:
        """Record the objections against purposes that some table covers; the first of each stands."""
        objections: dict[tuple[str, str], tuple[str, str, datetime, UUID]] = {}
        for task in tasks:
            for purpose in _covered(task, target):
                for handle in task.task.handles:
                    objections.setdefault(
                        (handle.value, purpose),
                        (handle.value, purpose, task.task.effective_at, task.task.source_id),
                    )
        if objections:
            target.rows.save_objections([objections[pair] for pair in sorted(objections)])

    def apply(self, tasks: Sequence[TaskProgress], found: Found, target: Target) -> None:
        """Nothing: :meth:`begin` gave each task its outcome, and its marks."""


def mark_anew(tasks: Sequence[TaskProgress], target: Target) -> None:
    """Give tasks that were done before their marks again."""
    for task in tasks:
        _covered(task, target)


def _covered(task: TaskProgress, target: Target) -> Sequence[str]:
    """Give a task its outcome and its marks; the purposes that its objection is recorded for."""
    assert isinstance(task.task.what, Object)
    asked = task.task.what.purposes or target.purposes  # against nothing named is against everything
    used = [purpose for purpose in asked if purpose in target.purposes]
    covered = [purpose for purpose in used if target.data_map.objects_to(purpose)]
    missing = [purpose for purpose in used if purpose not in covered]
    at, request_id = task.task.effective_at, task.task.source_id
    task.marks = tuple(PurposeMark(purpose, Mark.OBJECTED, at, request_id) for purpose in covered)
    if not used:
        task.close(Outcome.NOT_FOUND, f"nothing here is used for {listed(asked)}")
    elif not covered:
        task.close(Outcome.UNSUPPORTED, f"not covered: no table has objection.{listed(used)}")
    elif missing:
        done = f"done for {listed(covered)}; not covered: no table has objection.{listed(missing)}"
        task.close(Outcome.UNSUPPORTED, done)
    else:
        task.close(Outcome.SUPPRESSED)
    return covered
