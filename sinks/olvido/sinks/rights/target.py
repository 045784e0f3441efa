"""One transaction of a target with its data map: finds the rows that name people, and whose they are."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime

from olvido.core.subject import IdentityKind
from olvido.sinks.rights.task_progress import TaskProgress
from olvido.sinks.tables.data_map import DataMap, ErasureMethod, ParentReference, Table
from olvido.sinks.tables.engine import Child, PointedRow, Reached, Search, TableRows
from olvido.sinks.tables.ownership import Holders, Judgement, Key, Lead, Match, Row, joined, judge, leads

KEPT = "rows that name the person belong to somebody else, or may do so, and were kept as they are"
JOINT = "rows that hang on the person and on somebody else as well, or may do so, were kept as they are"
HELD = "a foreign key holds rows of somebody else as well to the person's"

Owned = Mapping[str, Mapping[Key, Row]]  # by table, then by key


@dataclass(frozen=True, slots=True)
class Found:
    """The rows of a batch: which name its people, and which are theirs."""

    tasks: Mapping[int, TaskProgress]
    judgement: Judgement
    owned: Owned
    naming: Mapping[str, Set[int]]  # by table: the tasks that name a row of their own person there
    joint: set[int] = field(default_factory=set)  # tasks with rows that are somebody else's as well
    # By table: rows that rows of the persons point at, and rows of somebody else, too.
    common: Mapping[str, Sequence[Key]] = field(default_factory=dict)
    # By table: rows that would go, and to which a foreign key holds rows that stay.
    held: Mapping[str, Set[Key]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Hanging:
    """A row that hangs on rows of the persons, and by which of its parents it was come by."""

    child: Child
    ways: list[tuple[ParentReference, Key]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Target:
    """What a right works with."""

    rows: TableRows
    data_map: DataMap
    purposes: tuple[str, ...]  # what the system uses data for

    def searches(self, tasks: Iterable[TaskProgress]) -> Mapping[IdentityKind, Sequence[Search]]:
        """What is searched for, by kind."""
        found: dict[IdentityKind, list[Search]] = defaultdict(list)
        for task in tasks:
            if task.searches:
                fence = task.fence
                for identity in task.identities:
                    found[identity.kind].append(Search(task.n, identity, fence, identity.spellings))
        return found

    def find(self, tasks: Collection[TaskProgress]) -> Judgement:
        """Every row that names an identity of these tasks, and whose it is."""
        searches = self.searches(tasks)
        names = {kind: {search.n for search in searches.get(kind, ())} for kind in IdentityKind}
        protecting = {task.n for task in tasks if task.only_protects}
        tables = self.data_map.found_by_identity
        known: dict[str, dict[int, Key]] = {}
        found = {
            name: self.rows.match(name, {k: searches[k] for k in table.identities if searches.get(k)}, known)
            for name, table in tables.items()  # parents before children
        }
        if any(table.climbs for table in tables.values()):
            self._climb(found, names, {task.n: task.fence for task in tasks})
        return judge({name: self.data_map.tables[name] for name in found}, found, names, protecting)

    def _climb(
        self,
        found: dict[str, list[Match]],
        names: Mapping[IdentityKind, Set[int]],
        fences: Mapping[int, datetime | None],
    ) -> None:
        """Add the rows that those found lead to, children first: a row may climb over several tables.

        A match that leads to a row of a new life is of that life, too, and is taken out.
        """
        for name in reversed(tuple(self.data_map.tables)):  # children before parents
            table = self.data_map.tables[name]
            if not table.climbs or not found.get(name):
                continue
            led: dict[str, dict[Lead, list[Match]]] = defaultdict(lambda: defaultdict(list))
            for match, lead in leads(table, found[name], names):
                led[lead.table][lead].append(match)
            newer: set[int] = set()
            for parent, ways in led.items():
                given = list(ways)
                rows = self.rows.look_up(parent, [(lead.key, fences[lead.n]) for lead in given])
                for place, lead in enumerate(given):
                    if place in rows:
                        found.setdefault(parent, []).extend(
                            rows[place]._replace(n=lead.n, climbed=True, identity=identity)
                            for identity in dict.fromkeys(match.identity for match in ways[lead])
                        )
                    else:
                        newer |= {id(match) for match in ways[lead]}
            if newer:
                found[name] = [match for match in found[name] if id(match) not in newer]

    def owned(self, tasks: Iterable[TaskProgress], judgement: Judgement) -> Found:
        """All rows that are the tasks' persons': those found, and those that hang on them.

        A row that is somebody else's as well stays. Where a foreign key holds it to one that would go, the
        target would stop the deletion, or delete or change that row unseen: the erasure takes nothing then,
        and what it shares with the others of the batch is judged anew.
        """
        by_place = {task.n: task for task in tasks}
        while True:
            found = self._owned(by_place, judgement)
            held = {
                n
                for name, keys in found.held.items()
                for key in keys
                for n in found.owned[name][key].concerned
                if by_place[n].erases
            }
            # Of a chunk not all rows are known that another one hangs on: it leaves alone what is held.
            if not held or self.rows.limit is not None:
                return found
            judgement.held.update(held)

    def _owned(self, by_place: Mapping[int, TaskProgress], judgement: Judgement) -> Found:
        """The rows of the tasks that may take any."""
        fences = {n: task.fence for n, task in by_place.items()}
        untouched = judgement.held | {n for n in judgement.shared if not by_place[n].only_protects}
        erasing = {n for n, task in by_place.items() if task.erases}
        owned: dict[str, dict[Key, Row]] = {name: {} for name in self.data_map.tables}
        naming: dict[str, set[int]] = {name: set() for name in self.data_map.tables}
        joint: set[int] = set()
        held: dict[str, set[Key]] = {name: set() for name in self.data_map.tables}
        common: dict[str, Sequence[Key]] = {}
        pointing: dict[str, Mapping[Key, Holders]] = {}
        for name, table in self.data_map.tables.items():
            mine = owned[name]
            nobodys = self.data_map.stands_for_nobody(name)
            for key, row in judgement.roots.get(name, {}).items():
                if nobodys and nobodys.intersection(key):
                    judgement.others.update(row.owners)
                    continue
                left = [n for n in row.owners if n not in untouched] if untouched else row.owners
                if left:
                    mine[key] = Row((tuple(left),), row.shares) if untouched else row
                    naming[name].update(left)
            self._cut(name, table, mine)
            if table.pointed_at_by:
                common[name], pointing[name] = self._add_pointed_at(name, table, owned)
            if not table.parents:
                continue
            if self.rows.limit is not None or self.data_map.row_by_row(name):
                for parent, above in self._add_children(name, owned, fences, erasing=erasing, joint=joint):
                    holds = self.rows.statements.held_to_deleted(name, parent)
                    if holds and _goes(owned[parent.table][above], erasing):
                        held[parent.table].add(above)
            for match in judgement.hanging.get(name, ()):
                holders = _holders(table, match.parents, owned)
                if len(holders) == 1 and match.n in holders[0]:
                    naming[name].add(match.n)
                else:
                    judgement.others.add(match.n)
        # Only now: a row at which theirs point may be theirs by another way.
        joint.update(n for name, rows in pointing.items() for n in _left_out(rows, owned[name]))
        return Found(by_place, judgement, owned, naming, joint, common, held)

    def _add_children(
        self,
        name: str,
        owned: Mapping[str, dict[Key, Row]],
        fences: Mapping[int, datetime | None],
        *,
        erasing: Set[int],
        joint: set[int],
    ) -> Iterator[tuple[ParentReference, Key]]:
        """Add the rows that hang on known ones; those of a table that refers to itself by and by.

        Yields:
            On what those hang that stay, since they are somebody else's as well.
        """
        table = self.data_map.tables[name]
        # As far as is known: what a row hangs on may turn out to be the person's only later.
        passed: dict[Key, _Hanging] = {}
        several: list[_Hanging] = []
        mine = owned[name]
        new = {number: list(owned[parent.table]) for number, parent in enumerate(table.parents)}
        while any(new.values()):
            for number, keys in new.items():
                parent = table.parents[number]
                above = owned[parent.table]
                reached = [(key, _fence(above[key], fences)) for key in keys]
                for child in self.rows.children(name, number, reached) if reached else ():
                    if child.key not in mine:
                        hanging = passed.setdefault(child.key, _Hanging(child))
                        hanging.ways.append((parent, keys[child.place]))
            added = []
            for key, hanging in passed.items():
                if holders := _holders(table, hanging.child.parents, owned):
                    mine[key] = Row(holders, hanging.child.shares)
                    added.append(key)
                    several += [hanging] if len(holders) > 1 else []
            for key in added:
                del passed[key]
            new = {
                number: added if parent.table == name else [] for number, parent in enumerate(table.parents)
            }
        for hanging in passed.values():
            joint.update(n for parent, above in hanging.ways for n in owned[parent.table][above].concerned)
            yield from hanging.ways
        for hanging in several:
            if not _goes(mine[hanging.child.key], erasing):
                yield from hanging.ways

    def _cut(self, name: str, table: Table, mine: dict[Key, Row]) -> None:
        """Of the rows that name a heavy person, leave as many as one chunk takes."""
        limit = self.rows.limit
        if limit is not None and table.erase is not ErasureMethod.RETAIN and len(mine) >= limit:
            self.rows.chunked(name, len(mine))
            for key in list(mine)[limit:]:
                del mine[key]

    def _add_pointed_at(
        self, name: str, table: Table, owned: Mapping[str, dict[Key, Row]]
    ) -> tuple[list[Key], Mapping[Key, Holders]]:
        """Add the rows that rows of the persons point at, and nobody else's.

        Returns:
            Those at which rows of somebody else point, too; and of each row at which rows of the persons
            point, whose those are.
        """
        common: list[Key] = []
        ours: dict[Key, Counter[int]] = defaultdict(Counter)
        rows: dict[Key, PointedRow] = {}
        pointing: dict[Key, Holders] = defaultdict(tuple)
        for number, pointer in enumerate(table.pointed_at_by):
            keys = list(owned[pointer.table])
            for row in self.rows.pointed_at(name, number, keys) if keys else ():
                ours[row.key][number] += 1
                rows[row.key] = row
                pointing[row.key] += owned[pointer.table][keys[row.place]].holders
        nobodys = self.data_map.stands_for_nobody(name)
        for key in [key for key in rows if nobodys.intersection(key)]:
            del rows[key], pointing[key]
        for key, row in rows.items():
            alone = all(ours[key][number] == count for number, count in enumerate(row.pointing))
            hangs = any(parent is not None for parent in row.parents)
            above = _holders(table, row.parents, owned)
            if not alone:
                common.append(key)
            elif above or not hangs:
                owned[name].setdefault(key, Row(joined((*pointing[key], *above)), row.shares))
        return common, pointing

    def reached(
        self,
        name: str,
        number: int,
        keys: Iterable[Key],
        found: Found,
        tasks: Mapping[int, TaskProgress],
    ) -> list[Reached]:
        """Rows with the fences for the rows of a table that hang on them by one of its parents."""
        if not self.rows.statements.leaves_newer(name, number):
            return [(key, None) for key in keys]
        fences = {n: task.fence for n, task in tasks.items()}
        above = found.owned[self.data_map.tables[name].parents[number].table]
        return [(key, _fence(above[key], fences)) for key in keys]

    def searched(self, task: TaskProgress) -> str:
        """By what a person was searched for, for a receipt that says that nobody was found."""
        kinds = [kind for kind in self.data_map.kinds if any(i.kind is kind for i in task.identities)]
        return (
            f"searched by {listed(kinds)}"
            if kinds
            else "none of its identities is of a kind that is held here"
        )

    def acted_on(self, name: str) -> bool:
        """Whether something in the target acts when rows of this table are changed."""
        return bool(self.rows.statements.shape.tables[name].triggers)


def _holders(table: Table, parents: Sequence[Key | None], owned: Mapping[str, Mapping[Key, Row]]) -> Holders:
    """Whose a row is that hangs on others: theirs whose those are. Nobody's, if one of those is a stranger's.

    The holders of the rows above may be several people: each of them may say what becomes of their own, and
    only all of them together that the row goes.
    """
    found: Holders = ()
    for reference, key in zip(table.parents, parents, strict=True):
        if key is None:
            continue
        row = owned[reference.table].get(key)
        if row is None:
            return ()
        found += row.holders
    return joined(found) if found else ()


def _left_out(pointing: Mapping[Key, Holders], mine: Mapping[Key, Row]) -> Iterator[int]:
    """The tasks whose rows point at one that is not theirs."""
    for key, holders in pointing.items():
        if key not in mine:
            yield from (n for one in holders for n in one)


def _goes(row: Row, erasing: Set[int]) -> bool:
    """Whether an erasure takes a row: each of those who hold it asks."""
    return all(any(n in erasing for n in holder) for holder in row.holders)


def _fence(row: Row, fences: Mapping[int, datetime | None]) -> datetime | None:
    """The latest fence of those whose row it is; None if one of them has none."""
    given = [fences.get(n) for n in row.concerned]
    known = [fence for fence in given if fence is not None]
    return max(known) if len(known) == len(given) else None


def listed(names: Iterable[str]) -> str:
    """Names in a receipt's detail."""
    return ", ".join(names) or "anything"
