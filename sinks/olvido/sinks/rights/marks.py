"""Decisions about purposes, marked in the rows of the person: objections, their withdrawals, consent changes.

One row may be reached by both in one batch, and by several people, so both are marked together.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby

from olvido.core.outcomes import Outcome
from olvido.sinks.rights.target import KEPT, Found, Target
from olvido.sinks.rights.task_progress import TaskProgress
from olvido.sinks.tables.data_map import Scalar, Table
from olvido.sinks.tables.engine import Mark, RowMark
from olvido.sinks.tables.ownership import Key, Row


def mark(tasks: Sequence[TaskProgress], found: Found, target: Target, *, anew: bool = False) -> None:
    """Mark each row with the decision that stands for it; a task that may mark none is ``ambiguous``.

    Args:
        tasks: all of the batch, each at its place.
        found: their rows.
        target: the open transaction.
        anew: it was done before: only rows that do not say so are changed, and counted.
    """
    asking = [task for task in tasks if task.marks]
    if not asking:
        return
    reached: set[int] = set()
    for name, table in target.data_map.tables.items():
        given = [each for key, row in found.owned[name].items() for each in _marks(tasks, table, key, row)]
        reached.update(each.n for each in given)
        releases = _greatest(each for each in given if each.mark is Mark.RELEASED)
        stands = [each for each in given if not _taken_back(each, releases)]
        if releases:
            stands += _release(tasks, name, releases, target)
        if marks := _greatest(stands):
            _mark_table(tasks, name, marks, target, anew=anew)
    for task in asking:
        # The decision is recorded for its handles, but of the rows that name the person none follows it.
        unreached = task.n in found.judgement.others and task.n not in reached
        if unreached and task.outcome is not Outcome.SUPERSEDED:
            task.close(Outcome.AMBIGUOUS, KEPT)


def _greatest(marks: Iterable[RowMark]) -> dict[tuple[Key, str], RowMark]:
    """The mark of each row and purpose that stands among these."""
    found: dict[tuple[Key, str], RowMark] = {}
    for each in marks:
        known = found.get((each.key, each.purpose))
        if known is None or each.order > known.order:
            found[each.key, each.purpose] = each
    return found


def _taken_back(mark: RowMark, releases: Mapping[tuple[Key, str], RowMark]) -> bool:
    """Whether it marks nothing: it takes back what others mark, or is an objection that is taken back."""
    if mark.mark is Mark.RELEASED:
        return True
    release = releases.get((mark.key, mark.purpose))
    return mark.mark is Mark.OBJECTED and release is not None and release.order > mark.order


def _release(
    tasks: Sequence[TaskProgress], name: str, releases: Mapping[tuple[Key, str], RowMark], target: Target
) -> list[RowMark]:
    """Undo older objections in rows that this sink has marked; the consents that those rows follow now."""
    table = target.data_map.tables[name]
    released = sorted(
        (releases[pair] for pair in target.rows.release_row_marks(name, list(releases.values()))),
        key=lambda each: each.purpose,
    )
    for purpose, group in groupby(released, key=lambda each: each.purpose):
        same = list(group)
        if values := table.withdraw_objection.get(purpose):
            target.rows.set_columns(name, values, [each.key for each in same], table.about(purpose))
        for each in same:
            tasks[each.n].count(f"{name}.released")
    pairs = {(handle.value, each.purpose) for each in released for handle in tasks[each.n].task.handles}
    consents = target.rows.states(sorted(pairs)) if pairs else {}
    follow = []
    for each in released:
        decided = [
            state
            for handle in tasks[each.n].task.handles
            if (state := consents.get((handle.value, each.purpose))) is not None
        ]
        if decided:
            state = max(decided, key=lambda one: one.order)
            which = Mark.of(state.decision)
            follow.append(replace(each, mark=which, occurred_at=state.occurred_at, event_id=state.event_id))
    return follow


def _marks(tasks: Sequence[TaskProgress], table: Table, key: Key, row: Row) -> Iterator[RowMark]:
    for n in row.owners:
        for each in tasks[n].marks:
            if each.purpose in table.consent or each.purpose in table.objection:
                yield RowMark(
                    n=n,
                    key=key,
                    purpose=each.purpose,
                    mark=each.mark,
                    occurred_at=each.occurred_at,
                    event_id=each.event_id,
                    only_new=each.only_new,
                )


def _mark_table(
    tasks: Sequence[TaskProgress],
    name: str,
    marks: Mapping[tuple[Key, str], RowMark],
    target: Target,
    *,
    anew: bool,
) -> None:
    standing = target.rows.save_row_marks(name, list(marks.values()))
    ours = sorted((marks[pair] for pair in standing), key=lambda each: (each.purpose, each.mark))
    for (purpose, which), group in groupby(ours, key=lambda each: (each.purpose, each.mark)):
        values = _values(target.data_map.tables[name], purpose, which)
        same = list(group)
        if values:
            about = target.data_map.tables[name].about(purpose)
            counts = target.rows.set_columns(name, values, [each.key for each in same], about, anew=anew)
            for place, count in counts.items():
                tasks[same[place].n].count(f"{name}.{which.name.lower()}", count)


def _values(table: Table, purpose: str, which: Mark) -> Mapping[str, Scalar]:
    """The columns one mark sets; an objection falls back on what a withdrawal sets."""
    if which is Mark.OBJECTED:
        return table.objected(purpose) or {}
    consent = table.consent.get(purpose)
    if consent is None:
        return {}
    return consent.granted if which is Mark.GRANTED else consent.withdrawn
