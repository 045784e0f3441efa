"""What a target keeps of objections and restrictions, and what comes of taking them back."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum, auto

from olvido.core.objections import ObjectionState
from olvido.core.standing import latest
from olvido.sinks.rights.target import Target
from olvido.sinks.rights.task_progress import TaskProgress

OTHERS = "it was asked for by other identities as well; ask with all of them"


class TakenBack(Enum):
    """What has come of taking back the objection to one purpose, or a restriction."""

    RELEASED = auto()
    NONE_KNOWN = auto()  # the target has done none of the person's
    LATER = auto()  # the person objected again since
    OTHERS = auto()  # it was asked for by handles that do not take it back


def pairs_of(task: TaskProgress, purposes: Iterable[str]) -> list[tuple[str, str]]:
    """Each handle of a task with each purpose."""
    return [(handle.value, purpose) for purpose in purposes for handle in task.task.handles]


def stated(task: TaskProgress, purposes: Iterable[str], *, released: bool) -> Iterator[ObjectionState]:
    """What a task says about some purposes, once for each handle."""
    for handle, purpose in pairs_of(task, purposes):
        yield ObjectionState(
            handle=handle,
            purpose=purpose,
            occurred_at=task.task.effective_at,
            request_id=task.task.source_id,
            released=released,
        )


def take_back(
    asked: Sequence[tuple[TaskProgress, Sequence[str]]], target: Target
) -> Mapping[tuple[int, str], TakenBack]:
    """Record that tasks take back what is against these purposes; what came of it, by task and purpose.

    An objection of several handles stands as long as one of them does not take it back: rows that name both
    would be marked again by the next look. So nothing is recorded then.
    """
    journal = target.rows.journal
    known = journal.objections(
        sorted({pair for task, purposes in asked for pair in pairs_of(task, purposes)})
    )
    requests = {state.request_id for state in known.values() if not state.released}
    standing = journal.objections_of(sorted(requests)) if requests else []
    given = [(task, purpose) for task, purposes in asked for purpose in purposes]
    came = {(task.n, purpose): _judge(task, purpose, known, standing) for task, purpose in given}
    recorded = [
        state
        for task, purpose in given
        if came[task.n, purpose] is not TakenBack.OTHERS
        for state in stated(task, [purpose], released=True)
    ]
    if recorded:
        journal.save_objections([*latest(recorded).values()])
    return came


def _judge(
    task: TaskProgress,
    purpose: str,
    known: Mapping[tuple[str, str], ObjectionState],
    standing: Sequence[ObjectionState],
) -> TakenBack:
    states = {state.handle: state for state in stated(task, [purpose], released=True)}
    mine = [
        known[handle, purpose]
        for handle in states
        if (handle, purpose) in known and not known[handle, purpose].released
    ]
    if any(one.order > states[one.handle].order for one in mine):
        return TakenBack.LATER
    if not mine:
        return TakenBack.NONE_KNOWN
    requests = {one.request_id for one in mine}
    others = [
        one
        for one in standing
        if one.purpose == purpose and one.request_id in requests and one.handle not in states
    ]
    return TakenBack.OTHERS if others else TakenBack.RELEASED
