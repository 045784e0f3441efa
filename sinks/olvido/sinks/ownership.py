"""Whose rows are they: which rows that name an identity belong to the person who asked.

Pure. An e-mail address may be shared, typed wrong, or stand in a row of somebody else; a row
is only ever the person's if nothing in it says otherwise. When that cannot be told, nobody's
rows are touched.
"""

from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import NamedTuple

from olvido.core.subject import IdentityKind
from olvido.sinks.data_map import Table

Key = Hashable  # a row's key, as the target's driver gives it


class Match(NamedTuple):
    """One row that names one identity of one task."""

    n: int  # the task's place in the batch
    key: Key
    by_person: bool  # the identity it names is the one that tells two people apart
    person: str | None  # what the row holds there
    parent: Key | None  # the row it hangs on, if that row is there
    shares: tuple[Key | None, ...] = ()  # the shared rows it points at
    certain: bool = True  # what it holds is what was asked, and not only equal to it by the target's rules


class Row(NamedTuple):
    """One row and the tasks whose person it belongs to, the first one first."""

    owners: tuple[int, ...]
    shares: tuple[Key | None, ...] = ()


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the matches of a batch mean."""

    roots: Mapping[str, Mapping[Key, Row]]  # by table: rows that hang on no other
    hanging: Mapping[str, Mapping[Key, Sequence[tuple[int, Key]]]]  # by table and parent: who names which row
    shared: Set[int]  # tasks whose identity several people share, so that nobody can be told
    named: Set[int]  # tasks whose identity some row names, whoever's it is
    others: set[int] = field(default_factory=set)  # tasks whose identity stands in somebody else's rows


def same_text(held: str, asked: str, *, fold: bool) -> bool:
    """Whether a text column holds the very value that was asked.

    A target compares by rules of its own (collations, blanks at the end, types that cut). What it calls
    equal is compared here once more, so that no such rule makes a stranger's row the person's.

    Args:
        held: what the row holds.
        asked: the identity.
        fold: case does not matter in this column.
    """
    return held.lower() == asked.lower() if fold else held == asked


def judge(
    tables: Mapping[str, Table],
    found: Mapping[str, Sequence[Match]],
    names: Mapping[IdentityKind, Set[int]],
) -> Judgement:
    """Sort what was found into whose it is.

    Args:
        tables: the tables searched.
        found: every row that names an identity, by table.
        names: by kind, the tasks that give an identity of that kind.
    """
    roots: dict[str, dict[Key, list[Match]]] = {table: {} for table in tables}
    hanging: dict[str, dict[Key, list[tuple[int, Key]]]] = {table: {} for table in tables}
    people: dict[int, set[tuple[IdentityKind, str]]] = defaultdict(set)
    others: set[int] = set()
    for name, table in tables.items():
        kind = table.person_kind
        sure = {(match.n, match.key) for match in found[name] if match.certain}
        certain = {(match.n, match.key) for match in found[name] if match.by_person and match.certain}
        for match in found[name]:
            if not match.certain:
                if (match.n, match.key) not in sure:
                    others.add(match.n)  # perhaps the person's, perhaps a stranger's: nobody touches it
                continue
            if match.person is not None and kind is not None:
                if match.n not in names[kind]:
                    people[match.n].add((kind, match.person))
                elif (match.n, match.key) not in certain:
                    others.add(match.n)  # the row names another person beside this identity
                    continue
            if match.parent is None:
                roots[name].setdefault(match.key, []).append(match)
            else:
                hanging[name].setdefault(match.parent, []).append((match.n, match.key))
    return Judgement(
        roots={name: {key: _row(matches) for key, matches in rows.items()} for name, rows in roots.items()},
        hanging=hanging,
        shared={n for n, persons in people.items() if _several(persons)},
        named={match.n for matches in found.values() for match in matches},
        others=others,
    )


def _row(matches: Sequence[Match]) -> Row:
    if len(matches) == 1:  # nearly always
        return Row((matches[0].n,), matches[0].shares)
    return Row(tuple(sorted({match.n for match in matches})), matches[0].shares)


def _several(persons: Set[tuple[IdentityKind, str]]) -> bool:
    """Whether one kind has more than one value: two kinds may well be one person."""
    return len(persons) > len({kind for kind, _ in persons})
