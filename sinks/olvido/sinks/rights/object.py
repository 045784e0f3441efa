"""Objection: recorded for each handle, so that no later grant undoes it, and marked in the rows."""

from collections.abc import Collection, Mapping, Sequence

from olvido.core.objections import ObjectionState
from olvido.core.outcomes import Outcome
from olvido.core.rights.object import Object
from olvido.core.standing import latest
from olvido.sinks.contract import Capability
from olvido.sinks.rights.objections import pairs_of, stated
from olvido.sinks.rights.purposes import for_purposes
from olvido.sinks.rights.target import Found, Target, listed
from olvido.sinks.rights.task_progress import PurposeMark, TaskProgress
from olvido.sinks.tables.data_map import DataMap
from olvido.sinks.tables.engine import Mark

WITHDRAWN = "a later withdrawal of it is known"


class ObjectInTables:
    """Keeps :class:`olvido.sinks.rights.contract.RightInTables`."""

    def capability(self, data_map: DataMap, purposes: Collection[str]) -> Capability:
        """See :meth:`olvido.sinks.rights.contract.RightInTables.capability`."""
        return for_purposes(purposes, data_map.objects_to, "objection")

    def begin(self, tasks: Sequence[TaskProgress], target: Target) -> None:
        """Record the objections against purposes that some table covers; the latest of each stands."""
        covered = {task.n: _covered(task, target) for task in tasks}
        states = latest(state for task in tasks for state in stated(task, covered[task.n], released=False))
        standing = target.rows.journal.save_objections([*states.values()])
        for task in tasks:
            _mark(task, covered[task.n], standing)

    def apply(self, tasks: Sequence[TaskProgress], found: Found, target: Target) -> None:
        """Nothing: :meth:`begin` gave each task its outcome, and its marks."""


def mark_anew(tasks: Sequence[TaskProgress], target: Target) -> None:
    """Give tasks that were done before their marks again, as far as their objections still stand."""
    covered = {task.n: _covered(task, target) for task in tasks}
    pairs = {pair for task in tasks for pair in pairs_of(task, covered[task.n])}
    standing = target.rows.journal.objections(sorted(pairs))
    for task in tasks:
        _mark(task, covered[task.n], standing)


def _mark(
    task: TaskProgress, covered: Sequence[str], standing: Mapping[tuple[str, str], ObjectionState]
) -> None:
    """Give a task its marks: for purposes of which one of its handles has not taken the objection back."""
    stands = [
        purpose
        for purpose in covered
        if any(pair not in standing or not standing[pair].released for pair in pairs_of(task, [purpose]))
    ]
    at, request_id = task.task.effective_at, task.task.source_id
    task.marks = tuple(PurposeMark(purpose, Mark.OBJECTED, at, request_id) for purpose in stands)
    if covered and not stands and task.outcome is Outcome.SUPPRESSED:
        task.close(Outcome.SUPERSEDED, WITHDRAWN)


def _covered(task: TaskProgress, target: Target) -> Sequence[str]:
    """Give a task its outcome; the purposes that its objection is recorded for."""
    assert isinstance(task.task.what, Object)
    asked = task.task.what.purposes or target.purposes  # against nothing named is against everything
    used = [purpose for purpose in asked if purpose in target.purposes]
    covered = [purpose for purpose in used if target.data_map.objects_to(purpose)]
    missing = [purpose for purpose in used if purpose not in covered]
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
