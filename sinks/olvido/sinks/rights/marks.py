"""Decisions about purposes, marked in the rows of the person: those of objections and of consent changes.

One row may be reached by both in one batch, and by several people, so both are marked together.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

from olvido.core.outcomes import Outcome
from olvido.sinks.rights.progress import TaskProgress
from olvido.sinks.rights.target import KEPT, Found, Target
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
        marks: dict[tuple[Key, str], RowMark] = {}
        for key, row in found.owned[name].items():
            for each in _marks(tasks, table, key, row):
                reached.add(each.n)
                known = marks.get((key, each.purpose))
                if known is None or each.order > known.order:
                    marks[key, each.purpose] = each
        if marks:
            _mark_table(tasks, name, marks, target, anew=anew)
    for task in asking:
        # The decision is recorded for its handles, but of the rows that name the person none follows it.
        unreached = task.n in found.judgement.others and task.n not in reached
        if unreached and task.outcome is not Outcome.SUPERSEDED:
            task.close(Outcome.AMBIGUOUS, KEPT)


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
