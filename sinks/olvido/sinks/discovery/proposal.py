"""Make a data map of what was seen: which table is the person, what hangs on it, what a person must decide.

Pure. What it is not sure of becomes a note, and what a law may want kept is left open: a map with an open
decision is refused when it is read, so nothing is erased by a guess.
"""

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field

from olvido.core.subject import IdentityKind
from olvido.sinks.discovery.evidence import SeenTable, personal_columns
from olvido.sinks.discovery.links import Link, singular, typed, written
from olvido.sinks.discovery.live import Family
from olvido.sinks.discovery.names import (
    Personal,
    about_people,
    created_rank,
    of_consent,
    of_organisations,
    of_trade,
    words_of,
)

IDENTITIES: Mapping[IdentityKind, Personal] = {
    IdentityKind.CUSTOMER_ID: Personal.CUSTOMER,
    IdentityKind.EMAIL: Personal.EMAIL,
    IdentityKind.PHONE: Personal.PHONE,
    IdentityKind.DEVICE_ID: Personal.DEVICE,
    IdentityKind.COOKIE_ID: Personal.COOKIE,
}
_HOLDING = frozenset({Family.TEXT, Family.NUMBER, Family.UUID})


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposedTable:
    """One table of the map."""

    seen: SeenTable
    key: tuple[str, ...]
    identities: Mapping[IdentityKind, str] = field(default_factory=dict)
    person: str | None = None
    created: str | None = None
    parent: Link | None = None
    shared_by: tuple[Link, ...] = ()
    erase: str = "delete"  # empty: a person must decide
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """As the map names it."""
        return self.seen.table.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A data map to be read, decided on and kept by a person."""

    sink: str
    tables: tuple[ProposedTable, ...]
    unlinked: tuple[SeenTable, ...] = ()  # they look personal, and nothing says whose their rows are
    typed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # pairs of a type and an id, by table
    others: tuple[str, ...] = ()  # nothing in them looks personal, and nothing links them to a person

    @property
    def kinds(self) -> tuple[IdentityKind, ...]:
        """The kinds of identity that lead to somebody's own row."""
        found = {kind for table in self.tables if table.parent is None for kind in table.identities}
        return tuple(kind for kind in IdentityKind if kind in found)

    @property
    def undecided(self) -> tuple[str, ...]:
        """The tables whose erasure a person must decide."""
        return tuple(table.name for table in self.tables if not table.erase)


def propose(sink: str, seen: Sequence[SeenTable], guessed: Sequence[Link] = ()) -> Proposal:
    """Propose a data map.

    Args:
        sink: its name.
        seen: every table of the target.
        guessed: references that no foreign key says.
    """
    by_name = {one.table.name: one for one in seen}
    links = [*written([one.table for one in seen]), *guessed]
    roots = _roots(by_name, links)
    parents = _parents(by_name, links, roots)
    owned = {*roots, *parents}
    shared = _shared(by_name, links, owned)
    trade = _trade(owned, parents)
    names = [*roots, *parents, *shared]
    tables = [
        _table(
            by_name[name],
            parents.get(name),
            shared.get(name, ()),
            links,
            set(names),
            shared=shared.keys(),
            trade=trade,
        )
        for name in names
    ]
    rest = [one for one in seen if one.table.name not in set(names)]
    return Proposal(
        sink=sink,
        tables=tuple(tables),
        unlinked=tuple(one for one in rest if one.about_people),
        typed={
            one.table.name: pairs
            for one in rest
            if (pairs := tuple(f"{kind}, {key}" for kind, key in typed(one.table)))
        },
        others=tuple(one.table.name for one in rest if not one.about_people),
    )


# --- who is the person ---------------------------------------------------------------------------


def _roots(seen: Mapping[str, SeenTable], links: Sequence[Link]) -> list[str]:
    """The tables whose rows are people: they name somebody, and hang on no other such table."""
    candidates = {
        name: one
        for name, one in seen.items()
        if _identities(one) or (about_people(name) and one.about_people)
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
        and (_identities(one) or any(link.to == name for link in pointing))
        and (about_people(name) or name not in pointed)
    ]


def _hangs(candidates: Mapping[str, SeenTable], link: Link) -> bool:
    """Whether the pointing table's rows are the pointed one's person's, and not the other way round."""
    if about_people(link.table) and not about_people(link.to):
        return False  # a customer of a company
    named_after = words_of(link.table)[: len(words_of(singular(link.to)))] == words_of(singular(link.to))
    if named_after or _identities(candidates[link.to]):
        return True
    # Users of an account that has no address: each is a person, unless each has an account to themselves.
    return not _identities(candidates[link.table]) or candidates[link.table].table.is_unique(link.column)


def _identities(one: SeenTable, *, without: frozenset[str] = frozenset()) -> dict[IdentityKind, str]:
    found = {}
    columns = one.table.by_name
    for kind, personal in IDENTITIES.items():
        names = [
            name
            for name in personal_columns(one, [personal])
            if columns[name].family in _HOLDING and name not in without and not one.evidence[name].doubtful
        ]
        if names:
            found[kind] = names[0]
    return found


# --- what hangs on it ----------------------------------------------------------------------------


def _parents(seen: Mapping[str, SeenTable], links: Sequence[Link], roots: Sequence[str]) -> dict[str, Link]:
    """For each table that hangs on a person, directly or not, by which column. Parents come first."""
    found: dict[str, Link] = {}
    level = set(roots)
    while level:
        reached: dict[str, list[Link]] = {}
        for link in links:
            new = link.table not in found and link.table not in roots and link.table != link.to
            # What somebody did is followed from their own row alone: it tells nothing of rows below.
            if new and link.to in level and (link.to in roots or not link.of_a_deed):
                reached.setdefault(link.table, []).append(link)
        for name in seen:
            if name in reached:
                found[name] = min(reached[name], key=lambda link: _preference(link, roots))
        level = set(reached)
    return found


def _preference(link: Link, roots: Sequence[str]) -> tuple[bool, bool, bool, int, bool, str]:
    """The smallest is the parent: `user_id` before `reply_to_user_id`."""
    words = len(words_of(link.column))
    return (link.of_a_deed, link.to not in roots, not link.written, words, not link.not_null, link.column)


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


def _trade(owned: set[str], parents: Mapping[str, Link]) -> set[str]:
    """Accounts of trade, and all that hangs on them."""
    found = {name for name in owned if of_trade(name)}
    for name, link in parents.items():  # parents come first
        if link.to in found:
            found.add(name)
    return found


# --- one table -----------------------------------------------------------------------------------


def _table(
    one: SeenTable,
    parent: Link | None,
    shared_by: tuple[Link, ...],
    links: Sequence[Link],
    mapped: set[str],
    *,
    shared: Set[str],
    trade: Set[str],
) -> ProposedTable:
    name = one.table.name
    identities = {} if shared_by else _identities(one, without=frozenset({parent.column} if parent else ()))
    own = [link for link in links if link.to not in shared]
    notes = [*_of_links(one, parent, own, mapped), *(_of_shared(one, links, mapped) if shared_by else ())]
    if parent is not None and parent.not_null and identities:
        notes += [
            f"{column} holds {IDENTITIES[kind].value}: the same person's as {parent.to}, or somebody else's? "
            "Searched only if you add it to identities"
            for kind, column in identities.items()
        ]
        identities = {}
    person = None
    if parent is None and not shared_by:
        identities, person, more = _of_a_person(one, identities)
        notes += more
    key, more = _key(one, parent, links, mapped)
    notes += more
    erase = "delete"
    if name in trade:
        erase = ""
        notes += _of_trade(parent)
    elif parent is not None and parent.of_a_deed:
        erase = "" if parent.not_null else "unlink"
        notes += _of_a_deed(name, parent)
    notes += _of_consents(one, identities)
    return ProposedTable(
        seen=one,
        key=key,
        identities=identities,
        person=person,
        created=_created(one) if identities else None,
        parent=parent,
        shared_by=shared_by,
        erase=erase,
        notes=tuple(notes),
    )


def _of_a_person(
    one: SeenTable, identities: dict[IdentityKind, str]
) -> tuple[dict[IdentityKind, str], str | None, list[str]]:
    """What names a person, what tells two of them apart, and what is not certain about it."""
    notes = []
    by_key = about_people(one.table.name) and len(one.table.key) == 1
    if IdentityKind.CUSTOMER_ID not in identities and by_key:
        identities = {IdentityKind.CUSTOMER_ID: one.table.key[0], **identities}
        notes.append(
            f"is {one.table.key[0]} what other systems know the person by? If not, take customer_id out of "
            "identities, and person with it"
        )
    if set(identities) <= {IdentityKind.CUSTOMER_ID}:
        notes.append(
            f"{one.table.name} has no e-mail address or phone number of its own: a table below it may have"
        )
    for kind, personal in IDENTITIES.items():
        further = [
            name
            for name in personal_columns(one, [personal])
            if name != identities.get(kind) and not one.evidence[name].doubtful
        ]
        notes += [f"{name} holds {personal.value} as well" for name in further]
    return identities, identities.get(IdentityKind.CUSTOMER_ID), notes


def _key(
    one: SeenTable, parent: Link | None, links: Sequence[Link], mapped: set[str]
) -> tuple[tuple[str, ...], list[str]]:
    """What tells its rows apart. Rows that are found by their parent alone need none."""
    table = one.table
    if len(table.key) == 1:
        return table.key, []
    alone = sorted(
        columns for columns in table.unique if len(columns) == 1 and table.by_name[columns[0]].not_null
    )
    if alone:
        return alone[0], []
    leaf = parent is not None and not any(link.to == table.name and link.table in mapped for link in links)
    if parent is not None and leaf:
        return (parent.column,), []
    what = f"its key is {', '.join(table.key)}" if table.key else "it has no primary key"
    return table.key, [f"{what}: a map wants one column that is unique"]


def _created(one: SeenTable) -> str | None:
    ranked = [
        (rank, column.name)
        for column in one.table.columns
        if column.family in {Family.INSTANT, Family.DATE} and (rank := created_rank(column.name)) is not None
    ]
    return min(ranked)[1] if ranked else None


# --- what a person must know ---------------------------------------------------------------------


def _of_links(one: SeenTable, parent: Link | None, links: Sequence[Link], mapped: set[str]) -> Iterator[str]:
    name = one.table.name
    if parent is not None and not parent.written:
        yield f"parent: {parent.evidence}"
    for link in links:
        if link.table != name or link == parent or link.to not in mapped:
            continue
        acts = f" ({link.on_delete})" if link.written else " (no foreign key)"
        if link.to == name:
            yield f"{link.column} points at another row of {name}{acts}: whose rows hang on whose?"
        elif parent is not None and link.to == parent.to:
            yield f"{link.column} points at {link.to} as well{acts}: a second person in the row?"
        elif parent is not None:
            yield f"{link.column} points at {link.to}{acts}: what becomes of other people's rows there?"
    for reference in one.table.references:
        if len(reference.columns) > 1 and reference.table in mapped:
            yield f"({', '.join(reference.columns)}) points at {reference.table} ({reference.on_delete})"


def _of_shared(one: SeenTable, links: Sequence[Link], mapped: set[str]) -> Iterator[str]:
    below = [f"{link.table}.{link.column}" for link in links if link.to == one.table.name != link.table]
    outside = [name for name in below if name.rpartition(".")[0] not in mapped]
    if outside:
        yield (
            f"{', '.join(outside)} points at it as well, and is not in the map. If each row of "
            f"{one.table.name} is one person's, it is the person's table itself, and these hang on it"
        )


def _of_trade(parent: Link | None) -> list[str]:
    notes = [
        'looks like accounts of trade, which a law may want kept: "retain" with its ground, or "delete"?'
    ]
    if parent is not None and parent.not_null:
        notes.append(
            f"to retain rows under a {parent.to} that is deleted, {parent.column} would have to become null, "
            f"and refuses it: let it be null, or anonymise {parent.to} instead of deleting it"
        )
    return notes


def _of_a_deed(name: str, parent: Link) -> list[str]:
    if parent.not_null:
        return [
            f"{parent.column} says who did something in {name}, and refuses null: what becomes of the row?"
        ]
    return [f"{parent.column} says who did something in {name}: the row stays, and no longer says who"]


def _of_consents(one: SeenTable, identities: Mapping[IdentityKind, str]) -> list[str]:
    if not identities:
        return []
    return [
        f"{column.name} looks like a consent: for which purpose? See docs/sinks, consent"
        for column in one.table.columns
        if column.family in {Family.BOOLEAN, Family.NUMBER} and of_consent(column.name)
    ]
