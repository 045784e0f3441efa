"""Whose rows are they: which tables are people, what hangs on them, what they share, who mentions them.

Pure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from olvido.core.subject import IdentityKind
from olvido.sinks.discovery.column_names import Personal, about_people, of_organisations, of_trade, words_of
from olvido.sinks.discovery.evidence import SeenTable, personal_columns
from olvido.sinks.discovery.links import Link, named_after
from olvido.sinks.discovery.live import Family

IDENTITIES: Mapping[IdentityKind, Personal] = {
    IdentityKind.CUSTOMER_ID: Personal.CUSTOMER,
    IdentityKind.EMAIL: Personal.EMAIL,
    IdentityKind.PHONE: Personal.PHONE,
    IdentityKind.DEVICE_ID: Personal.DEVICE,
    IdentityKind.COOKIE_ID: Personal.COOKIE,
}
_HOLDING = frozenset({Family.TEXT, Family.NUMBER, Family.UUID})


@dataclass(frozen=True, slots=True, kw_only=True)
class Kinship:
    """What the tables of a target are to each other."""

    roots: tuple[str, ...]  # their rows are people
    parents: Mapping[str, Link]  # by what a row hangs on a person, directly or not; parents come first
    shared: Mapping[str, tuple[Link, ...]]  # who points at rows that are nobody's own
    others: Mapping[str, tuple[Link, ...]]  # further columns that point at people's rows
    joins: frozenset[str]  # of these, the tables that hold pairs and nothing else
    trade: frozenset[str]  # accounts of trade, and what hangs on them

    @property
    def owned(self) -> frozenset[str]:
        """The tables whose rows are some person's."""
        return frozenset((*self.roots, *self.parents))

    @property
    def tables(self) -> tuple[str, ...]:
        """The tables that a map speaks of, those first that others hang on."""
        return tuple(dict.fromkeys((*self.roots, *self.parents, *self.shared, *self.others)))


def kinship(seen: Mapping[str, SeenTable], links: Sequence[Link]) -> Kinship:
    """Find out what the tables of a target are to each other.

    Args:
        seen: every table, by its name.
        links: which columns point at which tables.
    """
    roots = _roots(seen, links)
    parents = _parents(seen, links, roots)
    owned = {*roots, *parents}
    shared = _shared(seen, links, owned)
    others: dict[str, list[Link]] = {}
    for link in links:
        if link.to in owned and link != parents.get(link.table) and link.table in seen:
            others.setdefault(link.table, []).append(link)
    return Kinship(
        roots=tuple(roots),
        parents=parents,
        shared=shared,
        others={name: tuple(some) for name, some in others.items()},
        joins=frozenset(name for name in parents if _is_join(seen[name], links)),
        trade=_trade(owned, parents),
    )


def identity_columns(one: SeenTable, *, without: Sequence[str] = ()) -> dict[IdentityKind, str]:
    """The columns by which a row names a person, one for each kind: what is doubtful is none."""
    found = {}
    columns = one.table.by_name
    for kind, personal in IDENTITIES.items():
        names = [
            name
            for name in personal_columns(one, [personal])
            if columns[name].family in _HOLDING and name not in without and not one.evidence[name].doubtful
        ]
        if names:
            # What is called like the kind before what tells rows apart, such as a visitor's number here.
            found[kind] = min(names, key=partial(_rank, one, kind))
    return found


def _rank(one: SeenTable, kind: IdentityKind, name: str) -> tuple[bool, bool, bool]:
    return (not one.evidence[name].sure, name != kind.value, name in one.table.key)


def _roots(seen: Mapping[str, SeenTable], links: Sequence[Link]) -> list[str]:
    """The tables whose rows are people: they name somebody, and hang on no other such table."""
    candidates = {
        name: one
        for name, one in seen.items()
        if identity_columns(one) or (about_people(name) and one.about_people)
    }
    pointing = [
        link
        for link in links
        if link.table in candidates
        and link.to in candidates
        and link.table != link.to
        and not link.of_a_deed
        and _hangs(candidates, link)
    ]
    below = {link.table for link in pointing}
    pointed = {link.to for link in links if link.table in candidates and link.table != link.to}
    return [
        name
        for name, one in candidates.items()
        if name not in below
        # An organisation that people belong to is not one of them, nor is what they share an address with.
        and (identity_columns(one) or any(link.to == name for link in pointing))
        and (about_people(name) or name not in pointed)
    ]


def _hangs(candidates: Mapping[str, SeenTable], link: Link) -> bool:
    """Whether the pointing table's rows are the pointed one's person's, and not the other way round."""
    if about_people(link.table) and not about_people(link.to):
        return False  # a customer of a company
    if named_after(link.table, link.to) or identity_columns(candidates[link.to]):
        return True
    if not about_people(link.table) or not identity_columns(candidates[link.table]):
        return True
    # Users of an account that has no address: each is a person, unless each has an account to themselves.
    return len(link.columns) == 1 and candidates[link.table].table.is_unique(link.columns[0])


def _parents(seen: Mapping[str, SeenTable], links: Sequence[Link], roots: Sequence[str]) -> dict[str, Link]:
    found: dict[str, Link] = {}
    level = set(roots)
    while level:
        reached: dict[str, list[Link]] = {}
        for link in links:
            new = link.table not in found and link.table not in roots and link.table != link.to
            # What somebody did with a row does not make it theirs.
            if new and link.to in level and not link.of_a_deed:
                reached.setdefault(link.table, []).append(link)
        for name in seen:
            if name in reached:
                found[name] = min(reached[name], key=lambda link: _preference(link, roots))
        level = set(reached)
    return found


def _is_join(one: SeenTable, links: Sequence[Link]) -> bool:
    """Whether rows are pairs, such as who follows whom: either person's, and nothing without both."""
    pointing = {column for link in links if link.table == one.table.name for column in link.columns}
    rest = [column for column in one.table.columns if column.name not in pointing]
    plain = all(
        column.name in one.table.key or column.family in {Family.INSTANT, Family.DATE, Family.BOOLEAN}
        for column in rest
    )
    return plain and not one.evidence and len(pointing) > 1


def _preference(link: Link, roots: Sequence[str]) -> tuple[bool, bool, int, bool, str]:
    """The smallest is the parent: `user_id` before `reply_to_user_id`."""
    words = len(words_of(link.column))
    return (link.to not in roots, not link.written, words, not link.not_null, link.column)


def _shared(
    seen: Mapping[str, SeenTable], links: Sequence[Link], owned: set[str]
) -> dict[str, tuple[Link, ...]]:
    """The tables that people's rows point at, and that look personal: they go with the last who points."""
    found: dict[str, list[Link]] = {}
    for link in links:
        pointed = seen.get(link.to)
        if pointed is None or link.to in owned or link.table == link.to or link.of_a_deed:
            continue
        if link.table in owned and pointed.about_people and not of_organisations(link.to):
            found.setdefault(link.to, []).append(link)
    return {name: tuple(pointing) for name, pointing in found.items()}


def _trade(owned: set[str], parents: Mapping[str, Link]) -> frozenset[str]:
    found = {name for name in owned if of_trade(name)}
    for name, link in parents.items():  # parents come first
        if link.to in found:
            found.add(name)
    return frozenset(found)
