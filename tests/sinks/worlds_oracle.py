"""What an erasure must do to a world, by definition: over plain rows, one by one, without SQL."""

import copy
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sinks.worlds import CLOCKS, POINTED, SHARED, Person, Row, Table, World

Id = tuple[str, int]  # a row: its table, and its place in it at the beginning
State = dict[Id, Row]

COLUMN_OF = {"customer_id": ("who",), "email": ("mail", "mail2")}
ACTING = frozenset({"CASCADE", "SET NULL", "SET DEFAULT"})


def state_of(world: World) -> State:
    """What the tables of a world hold at the beginning."""
    return {(name, n): row for name, rows in world.rows.items() for n, row in enumerate(rows)}


@dataclass
class Deed:
    """What comes of a batch."""

    state: State
    counts: Counter[str] = field(default_factory=Counter)
    # What may be counted as well: what is done to rows that go in the same batch.
    perhaps: Counter[str] = field(default_factory=Counter)
    ambiguous: set[int] = field(default_factory=set)  # tasks that nobody can do, or not wholly
    untouched: set[int] = field(default_factory=set)  # tasks for which nothing is changed
    named: set[int] = field(default_factory=set)  # tasks whose person some row still names
    retained: set[int] = field(default_factory=set)  # tasks whose person's own rows stay, by the map


def erased(world: World, state: State, tasks: Sequence[Person]) -> Deed:
    """Erase some people at once."""
    return _Batch(world, state, tasks).deed()


def acts_unseen(world: World) -> bool:
    """Whether a deletion that the map asks for would delete or change rows that the map does not name."""
    for name, table in world.tables.items():
        if table.get("erase") != "delete":
            continue
        named = set(table.get("cascades", ()))
        if any(key.pointed == name and not _covered(world, key, named) for key in world.foreign_keys):
            return True
        taken = {
            key.table
            for key in world.foreign_keys
            if key.pointed == name and key.action == "CASCADE" and f"{key.table}.{key.columns[0]}" in named
        }
        # What goes by a cascade would take along what points at it in its turn.
        onward = [key for key in world.foreign_keys if key.pointed in taken and key.action in ACTING]
        if not all(_goes_on(world, key) for key in onward):
            return True
    return False


def _goes_on(world: World, key: Any) -> bool:
    """Whether the map names what a cascade does by this key in its turn."""
    if world.tables.get(key.pointed, {}).get("erase") != "delete":
        return False
    ways = [one for one in world.tables.get(key.table, {}).get("mentions", ()) if "where" not in one]
    mentioned = any(one.get("table") == key.pointed and _columns(one) == key.columns for one in ways)
    named = f"{key.table}.{key.columns[0]}" in world.tables[key.pointed].get("cascades", ())
    return named or mentioned


def _covered(world: World, key: Any, cascades: set[str]) -> bool:
    if key.action not in ACTING or f"{key.table}.{key.columns[0]}" in cascades:
        return True
    table = world.tables.get(key.table, {})
    ways = [one for one in (*table.get("parent", ()), *table.get("mentions", ())) if "where" not in one]
    ways = [one for one in ways if one.get("table") == key.pointed]
    ways += [one for one in world.tables[key.pointed].get("shared_by", ()) if one["table"] == key.table]
    return any(_columns(one) == key.columns for one in ways)


def _columns(reference: Mapping[str, Any]) -> tuple[str, ...]:
    column = reference["column"]
    return (column,) if isinstance(column, str) else tuple(column)


class _Batch:
    """A batch of erasures of one world."""

    def __init__(self, world: World, state: State, tasks: Sequence[Person]) -> None:
        self._world = world
        self._tasks = tasks
        self._before = state
        self._state = copy.deepcopy(state)
        self._at = {
            (table, tuple(row[c] for c in world.keys[table])): (table, n)
            for (table, n), row in state.items()
            if world.keys[table]
        }
        self._owners: dict[Id, list[set[int]]] = {}  # of each person who holds it, the tasks
        # Rows that stand for nobody, since others are cut loose to them.
        self._nobodys = {
            self._at.get((one["table"], (loose,)))
            for table in world.tables.values()
            for ways, key in ((table.get("parent", ()), None), (table.get("mentions", ()), "set"))
            for one in ways
            if "table" in one
            and not isinstance(loose := one.get(key) if key else table.get("unlink"), bool)
            and loose is not None
        }
        self._along: set[Id] = set()  # what the target takes along
        self._joint: dict[Id, set[int]] = {}  # rows of somebody else as well, and the tasks they hang on

    def deed(self) -> Deed:
        found = [self._find(task) for task in self._tasks]
        ambiguous = {n for n, (_, several) in enumerate(found) if several}
        untouched = set(ambiguous)
        while True:
            self._own([set() if n in untouched else theirs for n, (theirs, _) in enumerate(found)])
            stopped = self._stopped()
            if not stopped:
                break
            untouched |= stopped
        done = Deed(
            self._state,
            untouched=untouched,
            ambiguous=ambiguous | untouched | set().union(*self._joint.values()) | self._pointing_at_joint(),
        )
        done.retained = {
            n
            for n, (theirs, _) in enumerate(found)
            if any(self._alone(one, n) and self._erase(one[0]) == "retain" for one in theirs)
        }
        gone = {one for one in self._owners if self._erase(one[0]) == "delete"}
        self._along = self._taken_along(gone)
        self._mention(done, untouched)
        shared = self._shared_of(self._owners)
        for one in self._owners:
            done.counts[f"{one[0]}.{self._erase(one[0])}"] += 1
            self._change(one)
        self._cascade(gone | self._along, done)
        self._prune(shared, done.counts)
        for n, task in enumerate(self._tasks):
            if self._named_in(task, done.state):
                done.named.add(n)
        return done

    def _alone(self, one: Id, n: int) -> bool:
        """Whether a row is a task's person's, and nobody's beside."""
        holders = self._owners.get(one, [])
        return len(holders) == 1 and n in holders[0]

    def _table(self, name: str) -> Table:
        return self._world.tables.get(name, {})

    def _erase(self, name: str) -> str:
        erase: str = self._table(name).get("erase", "retain")
        return erase

    # --- who is named ------------------------------------------------------------------------

    def _newer(self, one: Id, row: Row) -> bool:
        """Whether a row was made after the person asked."""
        created = self._table(one[0]).get("created")
        if created is None or row["made"] is None:
            return False
        clock = created["clock"] if isinstance(created, dict) else "timestamp"
        _, at, after = CLOCKS[clock][2]
        # Of a second or a day it is not known whether it was before.
        return bool(row["made"] == after or (clock != "timestamp" and row["made"] == at))

    def _names(self, one: Id, row: Row, task: Person) -> bool:
        """Whether a row holds an identity of the person's, and is no new life."""
        table = self._table(one[0])
        held = any(
            _same(kind, row[column], task[kind])
            for kind, columns in COLUMN_OF.items()
            if kind in table.get("identities", ()) and kind in task
            for column in columns
            if column in row and column in _listed(table["identities"][kind])
        )
        return held and not self._newer(one, row)

    def _held(self, one: Id, row: Row, task: Person) -> set[str]:
        """By which kinds of identity a row names a person."""
        return {kind for kind in task if self._names(one, row, {kind: task[kind]})}

    def _tells_nobody(self, one: Id) -> bool:
        """Whether nothing in a row says which of those who share an identity it is about."""
        told = "person" in self._table(one[0]) and self._before[one]["who"] is not None
        return not told and not any(self._parents(one, self._before))

    def _stranger(self, one: Id, row: Row, task: Person) -> bool:
        """Whether a row says that it is another person's."""
        told = "person" in self._table(one[0]) and row["who"] is not None and "customer_id" in task
        return told and not _same("customer_id", row["who"], task["customer_id"])

    def _find(self, task: Person) -> tuple[set[Id], bool]:
        """The rows that name a person, or that such a row leads to; and whether they are several people's."""
        found = {one for one, row in self._before.items() if self._names(one, row, task)}
        kinds = {one: self._held(one, self._before[one], task) for one in found}  # by what each is named
        climbed: set[Id] = set()
        for name in reversed(self._world.tables):  # children before parents
            for number, parent in enumerate(self._table(name).get("parent", ())):
                if not parent.get("climb"):
                    continue
                for one in [one for one in found if one[0] == name]:
                    if self._stranger(one, self._before[one], task):
                        continue
                    above = self._parents(one, self._before)[number]
                    if above is None:
                        continue
                    if self._newer(above, self._before[above]):
                        found.discard(one)  # it is of the new life that it leads to
                    else:
                        climbed.add(above)
                        found.add(above)
                        kinds.setdefault(above, set()).update(kinds[one])
        strangers = {one for one in found if self._stranger(one, self._before[one], task)}
        several = set().union(*(kinds[one] for one in strangers))  # who asks shares these with somebody
        found -= strangers
        found = {one for one in found if not (kinds[one] <= several and self._tells_nobody(one))}
        people: dict[str, set[Any]] = defaultdict(set)
        for one in found:
            row = self._before[one]
            person = row["who"] if "person" in self._table(one[0]) else None
            if person is not None and "customer_id" not in task:
                people[""].add(person.rstrip(" "))
            elif one in climbed and person is None:
                people[one[0]].add(one)
        return found, any(len(several) > 1 for several in people.values())

    def _named_in(self, task: Person, state: State) -> bool:
        """Whether rows still name a person: their own, or anybody's."""
        for one, row in state.items():
            if self._names(one, row, task):
                leads = [
                    above
                    for parent, above in zip(
                        self._table(one[0]).get("parent", ()), self._parents(one, state), strict=True
                    )
                    if parent.get("climb") and above is not None and above in state
                ]
                if self._stranger(one, row, task) or not any(self._newer(a, state[a]) for a in leads):
                    return True
        return False

    # --- whose a row is ----------------------------------------------------------------------

    def _to(self, row: Row, reference: Mapping[str, Any], pointed: str) -> Id | None:
        """The row that columns point at, if it is there."""
        if not _meets(row, reference):
            return None
        return self._at.get((pointed, tuple(row[column] for column in _columns(reference))))

    def _parents(self, one: Id, state: State) -> list[Id | None]:
        """The row that a row hangs on by each of its parents. One that was cut loose hangs on none."""
        table, row = self._table(one[0]), state[one]
        loose = table.get("unlink", False)
        found: list[Id | None] = []
        for parent in table.get("parent", ()):
            cut = not isinstance(loose, bool) and row[_columns(parent)[0]] == loose
            above = None if cut else self._to(row, parent, parent["table"])
            found.append(above if above in state else None)
        return found

    def _own(self, theirs: Sequence[set[Id]]) -> None:
        """Whose every row is: of each that holds it, the tasks about that one person."""
        self._owners = owners = {}
        parents = {one: self._parents(one, self._before) for one in self._before}
        for n, found in enumerate(theirs):
            for one in found:
                if one not in self._nobodys and not any(parents[one]):
                    owners[one] = [{*owners.get(one, [set()])[0], n}]
        growing = True
        while growing:
            growing = False
            self._joint = {}
            for one, above in parents.items():
                if one in owners or not (reaching := self._reaching(one, above)):
                    continue
                if all(parent in owners for parent in above if parent):
                    owners[one] = _joined([each for parent in above if parent for each in owners[parent]])
                    growing = True
                else:
                    self._joint[one] = set().union(*(each for parent in reaching for each in owners[parent]))
            growing |= self._own_pointed()

    def _reaching(self, one: Id, above: Sequence[Id | None]) -> list[Id]:
        """The rows of the persons that a row hangs on; of a new life only those it cannot be without."""
        newer = self._newer(one, self._before[one])
        return [
            parent
            for parent, reference in zip(above, self._table(one[0]).get("parent", ()), strict=True)
            if parent in self._owners
            and (
                not newer
                or (
                    self._erase(parent[0]) == "delete"
                    and self._world.held(one[0], _columns(reference), reference["table"])
                )
            )
        ]

    def _own_pointed(self) -> bool:
        """A row is theirs if all that point at it are."""
        growing = False
        for one, pointing in self._pointed():
            if pointing and all(other in self._owners for other in pointing):
                self._owners[one] = _joined([each for other in pointing for each in self._owners[other]])
                growing = True
        return growing

    def _pointed(self) -> Iterator[tuple[Id, list[Id]]]:
        """The rows that are nobody's so far, each with the rows that lead to it."""
        for one in [one for one in self._before if one[0] == POINTED and one not in self._owners]:
            pointing = [
                other
                for pointer in self._table(POINTED)["pointed_at_by"]
                for other, row in self._before.items()
                if other[0] == pointer["table"] and self._to(row, pointer, POINTED) == one
            ]
            if one not in self._nobodys:
                yield one, pointing

    def _pointing_at_joint(self) -> set[int]:
        """The tasks whose rows point at one at which rows of somebody else point as well."""
        return {
            n
            for _, pointing in self._pointed()
            for other in pointing
            for each in self._owners.get(other, ())
            for n in each
        }

    def _stopped(self) -> set[int]:
        """The tasks whose rows cannot be deleted, because a key holds somebody else's to them."""
        stopped: set[int] = set()
        for one in self._joint:
            for reference, parent in zip(
                self._table(one[0])["parent"], self._parents(one, self._before), strict=True
            ):
                if parent not in self._owners or self._erase(parent[0]) != "delete":
                    continue
                if self._world.held(one[0], _columns(reference), reference["table"]):
                    stopped = stopped.union(*self._owners[parent])
        return stopped

    # --- what is done ------------------------------------------------------------------------

    def _mention(self, done: "Deed", untouched: set[int]) -> None:
        """Empty what names the persons in rows that may be anybody's."""
        named = (name for table in self._world.tables.values() for name in table.get("cascades", ()))
        cascaded = {name.rpartition(".")[0] for name in named}
        for one, row in self._state.items():
            goes_anyhow = one in self._owners and self._erase(one[0]) == "delete"
            goes_anyhow |= one[0] in cascaded  # perhaps: then it is emptied first, and counted by both
            counts = done.perhaps if goes_anyhow else done.counts
            for mention in self._table(one[0]).get("mentions", ()):
                if not _meets(row, mention):
                    continue
                column = mention["column"]
                if mention.get("array"):
                    goes = [
                        key
                        for key in row[column] or ()
                        if self._goes(self._at.get((mention["table"], (key,))))
                    ]
                    counts[f"{one[0]}.unlinked"] += len(set(goes))
                    if goes:
                        row[column] = [key for key in row[column] if key not in goes]
                elif "table" in mention:
                    if self._goes(self._at.get((mention["table"], (row[column],)))):
                        counts[f"{one[0]}.unlinked"] += 1
                        row[column] = mention.get("set")
                elif not self._newer(one, row) and any(
                    _same(mention["identity"], row[column], task.get(mention["identity"]))
                    for n, task in enumerate(self._tasks)
                    if n not in untouched
                ):
                    counts[f"{one[0]}.unlinked"] += 1
                    row[column] = mention.get("set")

    def _taken_along(self, gone: set[Id]) -> set[Id]:
        """The rows of anybody that the target deletes with those gone, and with these in their turn."""
        along: set[Id] = set()
        keys = [
            key
            for key in self._world.foreign_keys
            if key.action == "CASCADE"
            and f"{key.table}.{key.columns[0]}" in self._table(key.pointed).get("cascades", ())
        ]
        while True:
            fresh = {
                one
                for key in keys
                for one, row in self._before.items()
                if one[0] == key.table
                and self._at.get((key.pointed, tuple(row[c] for c in key.columns))) in gone | along
            } - (gone | along)
            if not fresh:
                return along
            along |= fresh

    def _goes(self, one: Id | None) -> bool:
        if one in self._along:
            return True
        return one in self._owners and self._erase(one[0]) != "retain"

    def _change(self, one: Id) -> None:
        table, row = self._table(one[0]), self._state[one]
        if table["erase"] == "delete":
            del self._state[one]
            return
        key = "-".join(str(row[column]) for column in self._world.keys[one[0]])
        for column, value in table.get("set", {}).items():
            row[column] = value.replace("{key}", key)
        row.update(dict.fromkeys(table.get("null", ())))
        if "unlink" in table:
            for parent in table["parent"]:
                row.update(
                    dict.fromkeys(_columns(parent), None if table["unlink"] is True else table["unlink"])
                )

    def _cascade(self, gone: set[Id], done: "Deed") -> None:
        """What the map says that the target itself does to rows that point at those gone."""
        for key in self._world.foreign_keys:
            if f"{key.table}.{key.columns[0]}" not in self._table(key.pointed).get("cascades", ()):
                continue
            for one, row in self._before.items():
                if (
                    one[0] != key.table
                    or self._at.get((key.pointed, tuple(row[c] for c in key.columns))) not in gone
                ):
                    continue
                (done.counts if one in self._state else done.perhaps)[f"{key.table}.cascaded"] += 1
                if key.action == "CASCADE":
                    self._state.pop(one, None)
                elif one in self._state:
                    default = 0 if key.action == "SET DEFAULT" else None
                    self._state[one].update(dict.fromkeys(key.columns, default))

    def _shared_of(self, owned: Mapping[Id, Any]) -> set[Id]:
        """The shared rows that the persons' rows point at."""
        return {
            shared
            for sharer in self._table(SHARED).get("shared_by", ())
            for one in owned
            if one[0] == sharer["table"]
            and (shared := self._to(self._before[one], sharer, SHARED)) is not None
        }

    def _prune(self, shared: set[Id], counts: Counter[str]) -> None:
        """Shared rows go with the last that points at them."""
        still = {
            self._to(row, sharer, SHARED)
            for sharer in self._table(SHARED).get("shared_by", ())
            for one, row in self._state.items()
            if one[0] == sharer["table"]
        }
        for one in shared - still:
            counts[f"{SHARED}.{self._erase(SHARED)}"] += 1
            self._change(one)


def _joined(holders: list[set[int]]) -> list[set[int]]:
    """Those who hold a row together: one, if some task is about all of them."""
    common = set.intersection(*holders)
    return [common] if common else holders


def _listed(value: Any) -> Iterator[str]:
    yield from [value] if isinstance(value, str) else value


def _meets(row: Row, reference: Mapping[str, Any]) -> bool:
    return all(row[column] in _listed(values) for column, values in reference.get("where", {}).items())


def _same(kind: str, held: str | None, asked: str | None) -> bool:
    if held is None or asked is None:
        return False
    return held.lower() == asked.lower() if kind == "email" else held.rstrip(" ") == asked
