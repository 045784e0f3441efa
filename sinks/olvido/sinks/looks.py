"""Looking again for people who were erased: what a target keeps for it, and what one look finds.

Beside its journal a sink keeps, for each erasure it answered for good, the task with its sealed box: no
identity in clear. From time to time it takes those whose next look is due, opens their boxes, and searches
for all of them as an erasure would: one statement a table, each person with the own fence.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

from pydantic import BeforeValidator

from olvido.core.looks import LaterLook, LookResult, NotVerified, look_of
from olvido.core.receipts import Receipt
from olvido.core.rights.names import Action
from olvido.core.tasks import IdempotencyKey, Task
from olvido.schemas.privacy.opening import Forgotten
from olvido.sinks.contract import OpenedTask, Swept
from olvido.sinks.rights.orphans import orphans, too_many
from olvido.sinks.rights.target import Found, Target
from olvido.sinks.rights.task_progress import TaskProgress
from olvido.sinks.tables.data_map import ErasureMethod
from olvido.sinks.tables.engine import TableRows
from olvido.sinks.tables.kept import DeletedKeys, KeptBatch, KeptErasures

# Erasures in one look, and the rest of the last one's transaction with it. Each may be named in the record,
# which has at most 64 KiB: 39 bytes each, with the 1,000 tasks that a transaction has at most, are 58 KB.
LOOKED_MAX = 500
# By what part of its wait a look may be late, so that what comes due meanwhile is in the same record. Of a
# sink that erases somebody each second there are some 1,500 a day, and not one for each erasure and wait.
GRAIN = 60
WAITS_MAX = 8
WAIT_MAX = timedelta(days=90)
_SPAN = re.compile(r"([1-9][0-9]{0,7})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def _waits(given: object) -> tuple[timedelta, ...]:
    spans = [_SPAN.fullmatch(str(one)) for one in given] if isinstance(given, list | tuple) else [None]
    if None in spans:
        raise ValueError('is a list of spans such as ["1h", "1d", "7d", "30d"]; [] for no later look')
    waits = tuple(timedelta(**{_UNITS[span[2]]: int(span[1])}) for span in spans if span)
    if len(waits) > WAITS_MAX or list(waits) != sorted(set(waits)) or (waits and waits[-1] > WAIT_MAX):
        raise ValueError(f"has at most {WAITS_MAX} spans, each longer than the one before, none above 90d")
    return waits


LookAgain = Annotated[
    tuple[timedelta, ...], BeforeValidator(_waits, json_schema_input_type=tuple[str, ...])
]  # `look_again` of a sink's section


def to_keep(batch: Iterable[OpenedTask], receipts: Iterable[Receipt], rows: TableRows) -> list[Task]:
    """The erasures of a batch that are answered for good in a transaction."""
    return [
        one.task
        for one, receipt in zip(batch, receipts, strict=True)
        if one.task.action is Action.ERASE and receipt.outcome.final and receipt.applied_at == rows.at
    ]


@dataclass(frozen=True, slots=True)
class LookTransaction:
    """One transaction of a target in which a sink looks again."""

    target: Target
    kept: KeptErasures
    sink: str
    opening: Callable[[Task], OpenedTask | None]  # None where the box does not open; Forgotten for ever
    publish: Callable[[LaterLook], None]

    def step(self, waits: Sequence[timedelta]) -> Swept | None:
        """Have those looked at whose look is the longest overdue. Another process may do it: then nothing.

        Whoever opened the transaction commits it.
        """
        if not self.kept.alone():
            return None
        at = self.target.rows.at
        self.kept.drop_beyond(waits, LOOKED_MAX)
        late = {
            place: overdue
            for place, done in self.kept.oldest_due(waits).items()
            if (overdue := at - done - waits[place] - waits[place] / GRAIN) >= timedelta()
        }
        if not late:
            return Swept(look=None, overdue=timedelta(), more=False)
        place = max(late, key=lambda one: late[one])
        due = self.kept.due(place, waits, LOOKED_MAX)
        look, forgotten = self._look(due, waits[place])
        if look is not None:
            self.publish(look)
        # Killed before this transaction is committed: the same are looked at again, and a second record says
        # so. It verifies no less, and nothing is asked for twice.
        self.kept.leave_out(due, forgotten)
        self.kept.looked(due, place, last=place == len(waits) - 1)
        more = sum(one.erasures for one in due) >= LOOKED_MAX or len(late) > 1
        return Swept(look=look, overdue=max(late.values()), more=more)

    def page(self, after: datetime) -> LaterLook | None:
        """Look at the next that were done after an instant, because a person asks; None if there are no more.

        Nothing is noted: their own looks come when they are due.
        """
        while found := self.kept.done_after(after, LOOKED_MAX):
            look, _ = self._look(found, timedelta())
            if look is not None:
                self.publish(look)
                return look
            after = found[-1].applied_at
        return None

    def _look(
        self, batches: Sequence[KeptBatch], wait: timedelta
    ) -> tuple[LaterLook | None, set[IdempotencyKey]]:
        """Open the boxes and search; what was found, and whose keys are destroyed.

        There is no record of erasures that have newer generations, all of them.
        """
        opened, results = [], dict[IdempotencyKey, LookResult]()
        forgotten: set[IdempotencyKey] = set()
        gone: list[DeletedKeys] = []
        due = [(task, one) for one in batches for task in one.tasks]
        if not due:
            return None, forgotten
        for task, batch in due:
            try:
                one = self.opening(task)
            except Forgotten:
                forgotten.add(task.key)
                one = None
            if one is None:
                results[task.key] = LookResult.NOT_LOOKED
            else:
                opened.append(one)
                gone.append(batch.gone.get(task.key, {}))
        tasks = [TaskProgress.of(n, one) for n, one in enumerate(opened)]
        results |= {tasks[n].task.key: result for n, result in _searched(self.target, tasks, gone).items()}
        look = look_of(
            self.sink, wait, [batch.applied_at for _, batch in due], self.target.rows.at,
            looked=len(opened), forgotten=len(forgotten),
            not_verified=[
                NotVerified(request_id=task.source_id, generation=task.generation, result=results[task.key])
                for task, _ in due
                if task.key in results
            ],
        )  # fmt: skip
        return look, forgotten


def _searched(
    target: Target, tasks: Sequence[TaskProgress], gone: Sequence[DeletedKeys]
) -> dict[int, LookResult]:
    """What a search finds of people who were erased, by their places; who is not in it was not found.

    Only what an erasure would take, and what is not newer than the request, was found again. Of a row
    without an instant nobody can say whether it is of a new life, so it is not taken for the old one.
    """
    if not tasks:
        return {}
    judgement = target.find(tasks)
    found = target.owned(tasks, judgement)
    undecided, again = {*judgement.shared, *judgement.held, *judgement.others, *found.joint}, set[int]()
    for name, table in target.data_map.tables.items():
        _search_mentions(name, tasks, found, target, again=again, undecided=undecided)
        if table.erase is ErasureMethod.RETAIN:
            continue
        for key, row in found.owned[name].items():
            dated = table.created is not None and key in judgement.roots.get(name, ())
            (again if dated else undecided).update(row.concerned)
        for number, parent in enumerate(table.parents):
            above = found.owned[parent.table]
            if above and target.data_map.tables[parent.table].erase is ErasureMethod.RETAIN:
                # Its person may use it still, so what hangs on it may be new.
                dated = target.rows.statements.leaves_newer(name, number)
                owners = [row.concerned for row in above.values()]
                reached = target.reached(name, number, above, found, {task.n: task for task in tasks})
                for child in target.rows.children(name, number, reached):
                    (again if dated else undecided).update(owners[child.place])
    undecided.update(n for n, deleted in enumerate(gone) if too_many(deleted))
    for way in orphans(target, dict(enumerate(gone)), {task.n: task.fence for task in tasks}):
        (again if way.certain else undecided).update(way.owners)
    return dict.fromkeys(undecided, LookResult.UNDECIDED) | dict.fromkeys(again, LookResult.FOUND_AGAIN)


def _search_mentions(
    name: str,
    tasks: Sequence[TaskProgress],
    found: Found,
    target: Target,
    *,
    again: set[int],
    undecided: set[int],
) -> None:
    """Rows of others that mention the people in a column: those stay, and the column is emptied."""
    table, shared = target.data_map.tables[name], found.judgement.shared
    for number, mention in enumerate(table.mentions):
        if mention.identity is None:
            continue
        searches = target.searches(task for task in tasks if task.n not in shared).get(mention.identity, ())
        for match in target.rows.mentioning(name, number, searches) if searches else ():
            (again if match.certain and table.created is not None else undecided).add(match.n)
