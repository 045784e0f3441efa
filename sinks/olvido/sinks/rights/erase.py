"""Erasure: rows are deleted, anonymised or retained as the data map says, and what was done is counted."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence, Set
from dataclasses import replace
from functools import lru_cache

from olvido.core.causes import Cause
from olvido.core.errors import Refused
from olvido.core.outcomes import Outcome
from olvido.sinks.contract import Capability, Extent, OpenedTask
from olvido.sinks.rights.orphans import KEYS_MAX, may_be_left, orphans, recall_keys
from olvido.sinks.rights.purposes import FULL
from olvido.sinks.rights.target import HELD, JOINT, KEPT, Found, Target, listed
from olvido.sinks.rights.task_progress import TaskProgress
from olvido.sinks.tables.data_map import DataMap, ErasureMethod, Table
from olvido.sinks.tables.engine import BY_KEY, Reached
from olvido.sinks.tables.journal import row_key
from olvido.sinks.tables.ownership import Judgement, Key, Row

_OUTCOMES = (  # of a task that came to several, the first of these
    (ErasureMethod.RETAIN.done, Outcome.RETAINED),
    (ErasureMethod.ANONYMISE.done, Outcome.ANONYMISED),
    (ErasureMethod.DELETE.done, Outcome.ERASED),
    ("unlinked", Outcome.ANONYMISED),  # rows of others that mention the person, and no more
)


class EraseInTables:
    """Keeps :class:`olvido.sinks.rights.contract.RightInTables`."""

    def capability(self, data_map: DataMap, purposes: Collection[str]) -> Capability:
        """See :meth:`olvido.sinks.rights.contract.RightInTables.capability`."""
        kept = [name for name, table in data_map.tables.items() if table.ground]
        return Capability(extent=Extent.PARTIAL, why=f"rows of {listed(kept)} are kept") if kept else FULL

    def begin(self, tasks: Sequence[TaskProgress], target: Target) -> None:
        """Nothing: every data map says of each table what an erasure does."""

    def apply(self, tasks: Sequence[TaskProgress], found: Found, target: Target) -> None:
        """Destroy the persons' rows, those first that point at others.

        A statement's own count of what it changed is the proof that it did, unless something in the target
        acts on changes (a trigger, a rule): it may veto one, put a row back, or copy it to another table of
        the map. Then the rows are read back, what is found again is erased once more, and the second time
        nothing may be.
        """
        found = _with_orphans(tasks, found, target)
        asking = {task.n: task for task in tasks if task.n not in found.judgement.held}
        for task in tasks:
            if task.n not in asking:
                task.nothing_done(HELD)
        _Erasure(asking, found, target).carry_out()
        if any(target.acted_on(name) for name in target.data_map.tables):
            self._read_back(asking, found, target)
        _close(asking, found, target)

    @staticmethod
    def _read_back(asking: Mapping[int, TaskProgress], found: Found, target: Target) -> None:
        named = [task for n, task in asking.items() if n in found.judgement.named]
        if not named:
            return  # the search that found nothing is the reading back
        for last in (False, True):
            # By the outcome that is still None, the tasks are searched for like new ones.
            again = target.find(named)
            left = next((name for name, rows in again.roots.items() if rows and _goes(name, target)), None)
            if left is None:
                return
            if last:
                raise _still_there(left)
            _Erasure(asking, target.owned(named, again), target).carry_out()


def erase_chunk(one: OpenedTask, target: Target) -> Mapping[str, int]:
    """Destroy some of the rows of a person who has very many; nothing if what is left is done at once.

    Args:
        one: an erasure, alone in its transaction.
        target: the open transaction, with a limit.

    Returns:
        How many rows, by table and deed, as a receipt counts them.

    Raises:
        Refused: ``STILL_THERE``: roll back.
    """
    task = TaskProgress.of(0, one)
    judgement = target.find([task])
    found = target.owned([task], judgement)
    if judgement.shared or not target.rows.full:
        return {}
    recall_keys(target.rows, [one.task])
    _Erasure({0: task}, found, target).carry_out_chunk()
    return task.counts


def before_chunks(one: OpenedTask, target: Target) -> tuple[TaskProgress, Judgement, int]:
    """What an erasure in chunks would reach. Changes nothing.

    Args:
        one: an erasure, alone in its transaction.
        target: the open transaction. No table's rows are counted beyond its limit.

    Returns:
        The task, whose rows it finds, and how many rows would go or be emptied.
    """
    task = TaskProgress.of(0, one)
    judgement = target.find([task])
    found = target.owned([task], judgement)
    return task, judgement, _Erasure({0: task}, found, target).going()


def _goes(name: str, target: Target) -> bool:
    return target.data_map.tables[name].erase is not ErasureMethod.RETAIN


class _Erasure:
    """The erasures of one batch."""

    def __init__(self, asking: Mapping[int, TaskProgress], found: Found, target: Target) -> None:
        self._asking = asking
        self._found = found
        self._target = target
        self._rows = target.rows
        self._map = target.data_map
        # By table: rows that are not the persons' own, and that the target takes along; each for one task.
        self._along: dict[str, dict[Key, int]] = {name: {} for name in target.data_map.tables}
        # By table: which rows go, each for one task.
        self._doomed = {name: _first_owners(rows, asking) for name, rows in found.owned.items()}
        for name, rows in found.owned.items():
            table = target.data_map.tables[name]
            if (table.parents or table.pointed_at_by) and len(self._doomed[name]) < len(rows):
                kept = (row for key, row in rows.items() if key not in self._doomed[name])
                found.joint.update(n for row in kept for n in row.concerned)

    def carry_out(self) -> None:
        """Do to each table's rows what the data map says."""
        self._take_along()
        for name, keys in self._found.common.items():
            if keys and _goes(name, self._target):
                # Who erases the other people that point there at this moment has to look again.
                self._rows.journal.lock_shared_rows(name, keys)
        for name in self._map.erasing_order():
            self._empty_mentions(name)
            if self._map.tables[name].shared_by:
                self._prune(name)
            else:
                self._erase(name)
        # What is left is looked for only now: a row that has gone need not be emptied, and is counted once.
        for name, table in self._map.tables.items():
            for number, mention in enumerate(table.mentions):
                if mention.identity is not None:
                    self._empty_identities(name, number)

    def carry_out_chunk(self) -> None:
        """Do it to the tables up to the first of which there may be more rows than were read.

        Tables that point at others come first, so of those before it all rows are known that hang on the rows
        read, and of that one the rows read may go.
        """
        plain = [name for name in self._map.erasing_order() if not self._map.tables[name].shared_by]
        last = next(place for place, name in enumerate(plain) if name in self._rows.full)
        for name, keys in self._found.held.items():
            self._doomed[name] = {key: n for key, n in self._doomed[name].items() if key not in keys}
        for name in plain[last + 1 :]:
            self._doomed[name] = {}
        self._take_along()
        for name in plain[: last + 1]:
            if _goes(name, self._target):
                self._empty_mentions(name)
                self._erase(name)
        # Which shared rows those pointed at is known in this transaction only.
        for name, table in self._map.tables.items():
            if table.shared_by:
                self._prune(name)

    def _take_along(self) -> None:
        """Find the rows that the target itself deletes with those that go, and those that go with these.

        The data map names each such foreign key, so the rows are anybody's. They are counted for the task of
        the row that they point at, and what points at them is dealt with like what points at rows that go.
        """
        tables = self._map.tables
        todo = [(name, rows) for name, rows in self._doomed.items() if rows and tables[name].cascades]
        while todo:
            name, rows = todo.pop()
            keys = list(rows)
            for pointing, column in self._rows.takes_along(name):
                known = self._doomed[pointing].keys() | self._along[pointing].keys()
                fresh: dict[Key, int] = {}
                for place, key in self._rows.taken_along(name, pointing, column, keys):
                    if key not in known:
                        fresh.setdefault(key, rows[keys[place]])
                self._along[pointing] |= fresh
                for n in fresh.values():
                    self._asking[n].count(f"{pointing}.cascaded", 1)
                if fresh and tables[pointing].cascades:
                    todo.append((pointing, fresh))

    def going(self) -> int:
        """How many rows go or are emptied, as far as they are read; not those that only mention them."""
        self._take_along()
        for name, table in self._map.tables.items():
            self._count_cascades(name, table)
        cascaded = sum(sum(task.counts.values()) for task in self._asking.values())
        return cascaded + sum(len(rows) for name, rows in self._doomed.items() if _goes(name, self._target))

    def _empty_mentions(self, name: str) -> None:
        """Cut loose the rows that mention rows of a table, before a key would forbid what follows."""
        doomed = {**self._doomed[name], **self._along[name]} if _goes(name, self._target) else {}
        for other, mention in self._map.mentioned_by(name) if doomed else ():
            counts = self._rows.empty_mentions(other, mention, list(doomed))
            self._count(f"{other}.unlinked", list(doomed.values()), counts)

    def _empty_identities(self, name: str, number: int) -> None:
        mention = self._map.tables[name].mentions[number]
        assert mention.identity is not None
        untouched = self._found.judgement.shared
        searches = self._target.searches(task for n, task in self._asking.items() if n not in untouched).get(
            mention.identity, ()
        )
        owners: dict[Key, int] = {}
        for match in self._rows.mentioning(name, number, searches) if searches else ():
            if match.certain:
                owners.setdefault(match.key, match.n)
            else:
                self._found.judgement.others.add(match.n)
        if owners:
            column = {mention.column: mention.set_to}
            self._rows.destroyed = True
            counts = self._rows.set_columns(name, column, list(owners))
            self._count(f"{name}.unlinked", list(owners.values()), counts)

    def _erase(self, name: str) -> None:
        table = self._map.tables[name]
        done = f"{name}.{table.erase.done}"
        self._count_cascades(name, table)
        for number, owners, reached in self._ways(name, table):
            counts = self._rows.erase(name, number, reached)
            self._count(done, owners, counts)
            if number is BY_KEY and may_be_left(self._target, name):
                self._keep_keys(name, owners, reached)
            if table.erase is ErasureMethod.RETAIN:
                continue
            # Each key is one row's; of a row that is not there, or that a trigger protects, nothing is
            # returned.
            vetoed = number is BY_KEY and len(counts) != len(reached)
            if vetoed or (self._acted_on(name) and self._rows.remaining(name, number, reached)):
                raise _still_there(name)
        if table.pointed_at_by and table.erase is ErasureMethod.DELETE and self._doomed[name]:
            self._rows.journal.forget_shared_rows(name, [row_key(key) for key in self._doomed[name]])
        gone = [*self._doomed[name], *self._along[name]]
        if (table.consent or table.objection) and gone and _goes(name, self._target):
            self._rows.forget_row_marks(name, gone)

    def _keep_keys(self, name: str, owners: Sequence[int], reached: Sequence[Reached]) -> None:
        for n, (key, _) in zip(owners, reached, strict=True):
            keys = self._rows.gone.setdefault(self._asking[n].task.key, {}).setdefault(name, [])
            if len(keys) < KEYS_MAX:
                keys.append(key)

    def _acted_on(self, name: str) -> bool:
        return self._target.acted_on(name) and bool(self._map.tables[name].key)

    def _ways(self, name: str, table: Table) -> Iterator[tuple[int | None, list[int], list[Reached]]]:
        """How a table's rows are reached, by their own keys or their parents'; whose they are."""
        doomed = self._doomed[name]
        if doomed:
            yield BY_KEY, list(doomed.values()), [(key, None) for key in doomed]
        if table.parents and self._rows.limit is None and not self._map.row_by_row(name):
            [parent] = table.parents
            above = self._doomed[parent.table]
            if above:
                reached = self._target.reached(name, 0, above, self._found, self._asking)
                yield 0, list(above.values()), reached

    def _count_cascades(self, name: str, table: Table) -> None:
        """Count what the target does by itself to rows that are not known one by one, and so counted yet."""
        going = {**self._doomed[name], **self._along[name]}
        known = {f"{pointing}.{column}" for pointing, column in self._rows.takes_along(name)}
        for cascade in table.cascades if going else ():
            if cascade not in known:
                counts = self._rows.cascading(name, cascade, list(going))
                self._count(f"{cascade.rpartition('.')[0]}.cascaded", list(going.values()), counts)

    def _count(self, done: str, owners: Sequence[int], counts: Mapping[int, int]) -> None:
        for place, count in counts.items():
            self._asking[owners[place]].count(done, count)

    def _prune(self, name: str) -> None:
        """Shared rows go, or are emptied, with the last row that points at them."""
        last_owner: dict[Key, int] = {}
        for sharer in self._map.tables[name].shared_by:
            mine = self._map.sharers(sharer.table)
            place = next(
                i for i, one in enumerate(mine) if (one.table, one.columns) == (name, sharer.columns)
            )
            for key, n in self._doomed[sharer.table].items():
                shared = self._found.owned[sharer.table][key].shares[place]
                if shared is not None:
                    last_owner[shared] = min(n, last_owner.get(shared, n))
        left = self._rows.unpointed(name, list(last_owner)) if last_owner else []
        if not left:
            return
        table = self._map.tables[name]
        counts = self._rows.erase(name, BY_KEY, [(key, None) for key in left])
        if len(counts) != len(left):
            raise _still_there(name)
        self._count(f"{name}.{table.erase.done}", [last_owner[key] for key in left], counts)
        if table.erase is ErasureMethod.DELETE:
            self._rows.journal.forget_shared_rows(name, [row_key(key) for key in left])


def _with_orphans(tasks: Sequence[TaskProgress], found: Found, target: Target) -> Found:
    """Add what hangs on rows that earlier generations of the tasks have dealt with, and all below it."""
    again = [task for task in tasks if task.task.generation and task.n not in found.judgement.held]
    if not again:
        return found
    recall_keys(target.rows, [task.task for task in again])
    asking = {task.n: task for task in again}
    gone = {task.n: target.rows.gone[task.task.key] for task in again if task.task.key in target.rows.gone}
    uncertain: set[int] = set()
    roots = {name: dict(rows) for name, rows in found.judgement.roots.items()}
    added = False
    for way in orphans(target, gone, {n: asking[n].fence for n in gone}):
        if not way.certain:
            uncertain.update(way.owners)
        elif way.number is BY_KEY:
            added = True
            mine = roots.setdefault(way.table, {})
            for n, child in zip(way.owners, way.children, strict=True):
                owners = mine[child.key].owners if child.key in mine else ()
                mine[child.key] = Row((tuple(sorted({*owners, n})),), child.shares)
        else:
            # Nothing hangs on these, or they would be known by their keys.
            counts = target.rows.erase(way.table, way.number, way.reached)
            for place, count in counts.items():
                done = target.data_map.tables[way.table].erase.done
                asking[way.owners[place]].count(f"{way.table}.{done}", count)
    if added:
        found = target.owned(found.tasks.values(), replace(found.judgement, roots=roots))
    found.joint.update(uncertain)
    return found


def _close(asking: Mapping[int, TaskProgress], found: Found, target: Target) -> None:
    """Give each task its outcome, by what was counted and by what still names its person."""
    kept: dict[int, list[str]] = defaultdict(list)
    retained = {
        name: table.ground
        for name, table in target.data_map.tables.items()
        if table.erase is ErasureMethod.RETAIN
    }
    for name in retained:
        for n in found.naming[name]:
            kept[n].append(name)
    strangers = _still_named(asking, found, target)
    for n, task in asking.items():
        others = n in strangers
        task.verified = not others and n not in kept
        if others:
            task.close(Outcome.AMBIGUOUS, KEPT)
        elif n in found.joint:
            task.close(Outcome.AMBIGUOUS, JOINT)
        elif n in kept:
            # Rows that are retained, though an earlier task of the batch may have counted them.
            task.close(Outcome.RETAINED)
        else:
            task.close(_outcome(tuple([what for what, rows in task.counts.items() if rows])))
        if task.outcome is Outcome.NOT_FOUND:
            task.details.append(target.searched(task))
        # Why rows of the person stay: those it counted, and those that an earlier task has counted.
        task.details += [
            f"{name}: {ground}"
            for name, ground in retained.items()
            if f"{name}.{ErasureMethod.RETAIN.done}" in task.counts or n in found.naming[name]
        ]


def _still_named(asking: Mapping[int, TaskProgress], found: Found, target: Target) -> Set[int]:
    """The tasks whose identity stands in somebody else's row, unless that has gone in the same batch."""
    named = [task for n, task in asking.items() if n in found.judgement.others]
    return target.find(named).named if named else frozenset()


def _first_owners(rows: Mapping[Key, Row], asking: Mapping[int, TaskProgress]) -> Mapping[Key, int]:
    """Each row once, for the first task that asks for it: so it is destroyed and counted once.

    A row of several people goes when each of them asks, as it would with the last of them.
    """
    first: dict[Key, int] = {}
    for key, row in rows.items():
        if len(row.holders) == 1 and row.holders[0][0] in asking:  # nearly always
            first[key] = row.holders[0][0]
            continue
        askers = [n for holder in row.holders for n in [one for one in holder if one in asking][:1]]
        if len(askers) == len(row.holders):
            first[key] = min(askers)
    return first


@lru_cache(maxsize=1024)  # most tasks of a batch count the same
def _outcome(counted: tuple[str, ...]) -> Outcome:
    done = {name.rpartition(".")[2] for name in counted}
    return next((outcome for way, outcome in _OUTCOMES if way in done), Outcome.NOT_FOUND)


def _still_there(name: str) -> Refused:
    return Refused(Cause.STILL_THERE, field=name, reason=f"read back after the work, {name} still held rows")
