"""A consent change: the later decision stands for each handle and purpose, and is marked in the rows."""

from collections.abc import Collection, Iterator, Mapping, Sequence, Set

from olvido.core.consents import ConsentState
from olvido.core.events import Decision
from olvido.core.outcomes import Outcome
from olvido.core.rights.consent import Consent
from olvido.core.standing import latest
from olvido.core.tasks import Task
from olvido.sinks.contract import Capability
from olvido.sinks.rights.purposes import for_purposes
from olvido.sinks.rights.target import Found, Target
from olvido.sinks.rights.task_progress import PurposeMark, TaskProgress
from olvido.sinks.tables.data_map import DataMap
from olvido.sinks.tables.engine import Mark


class ConsentInTables:
    """Keeps :class:`olvido.sinks.rights.contract.RightInTables`."""

    def capability(self, data_map: DataMap, purposes: Collection[str]) -> Capability:
        """See :meth:`olvido.sinks.rights.contract.RightInTables.capability`."""
        return for_purposes(purposes, data_map.purposes.__contains__, "consent")

    def begin(self, tasks: Sequence[TaskProgress], target: Target) -> None:
        """Record the latest decision of each (handle, purpose), and see which tasks' decisions stand."""
        covered = [task for task in tasks if _is_covered(task, target)]
        if not covered:
            return
        states = latest(state for task in covered for state in _states(task.task))
        standing = target.rows.save_states([*states.values()])
        objected = target.rows.journal.objected([*states])
        for task in covered:
            _decide(task, standing, objected)

    def apply(self, tasks: Sequence[TaskProgress], found: Found, target: Target) -> None:
        """Nothing: :meth:`begin` gave each task its outcome, and its marks."""


def mark_anew(tasks: Sequence[TaskProgress], target: Target) -> None:
    """Give tasks that were done before their marks again, as far as their decisions still stand."""
    covered = [task for task in tasks if _is_covered(task, target)]
    pairs = {(handle.value, _what(task.task).purpose) for task in covered for handle in task.task.handles}
    standing = target.rows.states(sorted(pairs)) if pairs else {}
    for task in covered:
        ours = [
            state
            for handle in task.task.handles
            if (state := standing.get((handle.value, _what(task.task).purpose))) is not None
            and state.event_id == task.task.source_id
        ]
        task.marks = (_mark(ours[0]),) if ours else ()
        task.close(Outcome.SUPPRESSED if ours else Outcome.SUPERSEDED)


def _is_covered(task: TaskProgress, target: Target) -> bool:
    purpose = _what(task.task).purpose
    if purpose in target.data_map.purposes:
        return True
    task.close(Outcome.UNSUPPORTED, f"not covered: no table has consent.{purpose}")
    return False


def _decide(
    task: TaskProgress, standing: Mapping[tuple[str, str], ConsentState], objected: Set[tuple[str, str]]
) -> None:
    what = _what(task.task)
    pairs = [(handle.value, what.purpose) for handle in task.task.handles]
    ours = [standing[pair] for pair in pairs if standing[pair].event_id == task.task.source_id]
    if not ours:
        # Rows may have come since the later decision was applied: they follow it now.
        task.marks = tuple(
            _mark(standing[pair])._replace(only_new=True)
            for pair in pairs
            if standing[pair].decision is Decision.WITHDRAWN or pair not in objected
        )
        task.close(Outcome.SUPERSEDED, "a later decision is known")
    elif what.decision is Decision.WITHDRAWN:
        task.marks = (_mark(ours[0]),)
        task.close(Outcome.SUPPRESSED)
    elif any(pair in objected for pair in pairs):
        task.close(Outcome.SUPPRESSED, f"an objection to {what.purpose} stands")
    else:
        task.marks = (_mark(ours[0]),)
        task.close(Outcome.CONSENT_APPLIED)


def _mark(state: ConsentState) -> PurposeMark:
    return PurposeMark(state.purpose, Mark.of(state.decision), state.occurred_at, state.event_id)


def _states(task: Task) -> Iterator[ConsentState]:
    what = _what(task)
    for handle in task.handles:
        yield ConsentState(
            handle=handle.value,
            purpose=what.purpose,
            decision=what.decision,
            occurred_at=task.effective_at,
            event_id=task.source_id,
            policy_version=what.policy_version,
        )


def _what(task: Task) -> Consent:
    assert isinstance(task.what, Consent)
    return task.what
