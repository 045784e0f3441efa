"""Whose rows are they: which rows that name an identity belong to the person who asked.

Pure. An e-mail address may be shared, typed wrong, or stand in a row of somebody else; a row
is only ever the person's if nothing in it says otherwise. When that cannot be told, nobody's
rows are touched.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import NamedTuple

from olvido.core.subject import Identity, IdentityKind
from olvido.sinks.tables.data_map import Table

Key = tuple[str, ...]  # a row's key, column by column, as text that is the same value when sent back


class Match(NamedTuple):
    """One row that names one identity of one task, or that such a row leads to."""

    n: int  # the task's place in the batch
    key: Key
    by_person: bool  # the identity it names is the one that tells two people apart
    person: str | None  # what the row holds there
    identity: Identity | None = None  # which of the task's
    parents: tuple[
        Key | None, ...
    ] = ()  # for each of its table's parents the row it hangs on, if it is there
    shares: tuple[Key | None, ...] = ()  # the shared rows it points at
    certain: bool = True  # what it holds is what was asked, and not only equal to it by the target's rules
    climbed: bool = False  # it names nobody itself: a row that hangs on it does


Holders = tuple[tuple[int, ...], ...]


class Row(NamedTuple):
    """One row and whose it is. A row that hangs on rows of several people has several holders."""

    holders: Holders  # of each the tasks that are this one person's, the first one first
    shares: tuple[Key | None, ...] = ()

    @property
    def owners(self) -> tuple[int, ...]:
        """The tasks whose person alone it belongs to."""
        return self.holders[0] if len(self.holders) == 1 else ()

    @property
    def concerned(self) -> tuple[int, ...]:
        """The tasks of all who hold it."""
        return self.holders[0] if len(self.holders) == 1 else tuple(n for one in self.holders for n in one)


def joined(holders: Holders) -> Holders:
    """Those who hold a row together: one, if some task is about all of them."""
    if len(holders) == 1:
        return holders
    common = tuple(n for n in holders[0] if all(n in other for other in holders[1:]))
    return (common,) if common else tuple(dict.fromkeys(holders))


class Lead(NamedTuple):
    """A row that a match climbs to."""

    table: str
    key: Key
    n: int


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the matches of a batch mean."""

    roots: Mapping[str, Mapping[Key, Row]]  # by table: rows that hang on no other
    hanging: Mapping[str, Sequence[Match]]  # by table: rows that hang on others, and are theirs
    shared: Set[int]  # tasks whose identity several people share, so that nobody can be told
    named: Set[int]  # tasks whose identity some row names, whoever's it is
    people: Mapping[int, int]  # by task, how many people's rows it found in one table that tells them apart
    others: set[int] = field(default_factory=set)  # tasks whose identity stands in somebody else's rows
    # Tasks whose rows cannot go: a key holds somebody else's to them.
    held: set[int] = field(default_factory=set)


def judge(
    tables: Mapping[str, Table],
    found: Mapping[str, Sequence[Match]],
    names: Mapping[IdentityKind, Set[int]],
    protecting: Set[int] = frozenset(),
) -> Judgement:
    """Sort what was found into whose it is.

    Args:
        tables: the tables with rows found.
        found: every row that names an identity, or that such a row climbs to, by table.
        names: by kind, the tasks that give an identity of that kind.
        protecting: the tasks that take nothing from anybody, and so may reach all who share an identity.
    """
    strangers = {name: _strangers(table, found[name], names) for name, table in tables.items()}
    # Identities that stand in the row of somebody whom the task does not mean: several people use them.
    several = {
        (match.n, match.identity)
        for name in tables
        for match, stranger in zip(found[name], strangers[name], strict=True)
        if stranger and match.certain and match.n not in protecting
    }
    roots: dict[str, dict[Key, Row]] = {table: {} for table in tables}
    hanging: dict[str, list[Match]] = {table: [] for table in tables}
    people: dict[int, set[tuple[str, object]]] = defaultdict(set)
    others: set[int] = set()
    for name, table in tables.items():
        kind = table.person_kind
        certain = [match for match in found[name] if match.certain]
        sure = {(m.n, m.key) for m in certain} if len(certain) < len(found[name]) else set()
        alone = {(m.n, m.key) for m in certain if (m.n, m.identity) not in several} if several else set()
        for match, stranger in zip(found[name], strangers[name], strict=True):
            if not match.certain:
                if (match.n, match.key) not in sure:
                    others.add(match.n)  # perhaps the person's, perhaps a stranger's: nobody touches it
                continue
            if stranger:
                others.add(match.n)  # the row names another person beside this identity
                continue
            if (
                several
                and match.person is None
                and (match.n, match.key) not in alone
                and not any(match.parents)
            ):
                others.add(match.n)  # nothing in the row says whose of them it is
                continue
            if match.person is not None and kind is not None and match.n not in names[kind]:
                people[match.n].add((kind.value, match.person))
            elif match.climbed and match.person is None:
                people[match.n].add((name, match.key))  # its key is all that tells such people apart
            if any(match.parents):
                hanging[name].append(match)
                continue
            row = roots[name].get(match.key)
            if row is None:
                roots[name][match.key] = Row(((match.n,),), match.shares)
            elif match.n not in row.owners:
                roots[name][match.key] = Row((tuple(sorted((*row.owners, match.n))),), row.shares)
    return Judgement(
        roots=roots,
        hanging=hanging,
        shared={n for n, persons in people.items() if _several(persons)},
        named={match.n for matches in found.values() for match in matches},
        people=_people(tables, found, roots),
        others=others,
    )


def _people(
    tables: Mapping[str, Table],
    found: Mapping[str, Sequence[Match]],
    roots: Mapping[str, Mapping[Key, Row]],
) -> Mapping[int, int]:
    """Of each task, how many people's rows it found in that table that holds most of them."""
    most: dict[int, int] = {}
    for name, table in tables.items():
        if table.person is None:
            continue
        people: dict[int, set[str | Key]] = defaultdict(set)
        for match in found[name]:
            row = roots[name].get(match.key)
            if row is not None and match.n in row.owners:
                # Rows that say nothing of their person may each be another one's.
                people[match.n].add(match.key if match.person is None else match.person)
        for n, persons in people.items():
            most[n] = max(len(persons), most.get(n, 0))
    return most


def leads(
    table: Table, matches: Sequence[Match], names: Mapping[IdentityKind, Set[int]]
) -> Iterator[tuple[Match, Lead]]:
    """The rows that matches climb to, by the parents for which the map says so."""
    for match, stranger in zip(matches, _strangers(table, matches, names), strict=True):
        if match.certain and not stranger:
            for parent, key in zip(table.parents, match.parents, strict=True):
                if parent.climb and key is not None:
                    yield match, Lead(parent.table, key, match.n)


def _strangers(table: Table, matches: Sequence[Match], names: Mapping[IdentityKind, Set[int]]) -> list[bool]:
    """Of each match, whether its row names another person than the one its task names."""
    kind = table.person_kind
    given = names[kind] if kind is not None else frozenset[int]()
    certain = {(match.n, match.key) for match in matches if match.by_person and match.certain}
    return [
        match.person is not None and match.n in given and (match.n, match.key) not in certain
        for match in matches
    ]


def _several(persons: Set[tuple[str, object]]) -> bool:
    """Whether one kind has more than one value: two kinds may well be one person."""
    return len(persons) > len({kind for kind, _ in persons})
