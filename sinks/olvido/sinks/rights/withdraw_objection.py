"""The withdrawal of an objection: rows that it marked follow the person's consent again."""

from collections.abc import Collection, Mapping, Sequence

from olvido.core.outcomes import Outcome
from olvido.core.rights.withdraw_objection import WithdrawObjection
from olvido.sinks.contract import Capability
from olvido.sinks.rights.objections import OTHERS, TakenBack, take_back
from olvido.sinks.rights.purposes import for_purposes
from olvido.sinks.rights.target import Found, Target, listed
from olvido.sinks.rights.task_progress import PurposeMark, TaskProgress
from olvido.sinks.tables.data_map import DataMap
from olvido.sinks.tables.engine import Mark


class WithdrawObjectionInTables:
    """Keeps :class:`olvido.sinks.rights.contract.RightInTables`."""

    def capability(self, data_map: DataMap, purposes: Collection[str]) -> Capability:
        """See :meth:`olvido.sinks.rights.contract.RightInTables.capability`."""
        return for_purposes(purposes, data_map.withdraws_objections_to, "withdraw_objection")

    def begin(self, tasks: Sequence[TaskProgress], target: Target) -> None:
        """Record which objections are taken back; the rows are marked with those of the batch."""
        asked = [(task, _covered(task, target)) for task in tasks]
        came = take_back([(task, covered) for task, covered in asked if covered], target)
        for task, covered in asked:
            _answer(task, covered, came)

    def apply(self, tasks: Sequence[TaskProgress], found: Found, target: Target) -> None:
        """Nothing: :meth:`begin` gave each task its outcome, and its marks."""


def _covered(task: TaskProgress, target: Target) -> Sequence[str]:
    """The purposes of which objections can be taken back; a task with any other is ``unsupported``."""
    assert isinstance(task.task.what, WithdrawObjection)
    asked = task.task.what.purposes or target.purposes  # about nothing named is about everything
    used = [purpose for purpose in asked if target.data_map.objects_to(purpose)]
    covered = [purpose for purpose in used if target.data_map.withdraws_objections_to(purpose)]
    missing = [purpose for purpose in used if purpose not in covered]
    if not used:
        task.close(Outcome.NOT_FOUND, f"no objection to {listed(asked)} is done here")
    elif missing:
        task.close(Outcome.UNSUPPORTED, f"not covered: no table has withdraw_objection.{listed(missing)}")
    return covered


def _answer(task: TaskProgress, covered: Sequence[str], came: Mapping[tuple[int, str], TakenBack]) -> None:
    by_result = {result: [one for one in covered if came[task.n, one] is result] for result in TakenBack}
    at, request_id = task.task.effective_at, task.task.source_id
    task.marks = tuple(
        PurposeMark(purpose, Mark.RELEASED, at, request_id) for purpose in by_result[TakenBack.RELEASED]
    )
    if task.outcome is not None:
        return
    if others := by_result[TakenBack.OTHERS]:
        task.close(Outcome.AMBIGUOUS, f"the objection to {listed(others)} stands: {OTHERS}")
    elif by_result[TakenBack.RELEASED]:
        task.close(Outcome.RELEASED)
    elif later := by_result[TakenBack.LATER]:
        task.close(Outcome.SUPERSEDED, f"a later objection to {listed(later)} is known")
    else:
        task.close(Outcome.NOT_FOUND, f"no objection to {listed(covered)} is known here")
