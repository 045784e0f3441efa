"""Make a data map of what was seen: which table is the person, what hangs on it, what a person must decide.

Pure. What it is not sure of becomes a question, and what a law may want kept is left open: a map with an open
decision is refused when it is read, so nothing is erased by a guess.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from olvido.core.subject import IdentityKind
from olvido.sinks.discovery import questions
from olvido.sinks.discovery.column_names import created_rank, customer_rank, listed, words_of
from olvido.sinks.discovery.evidence import SeenTable
from olvido.sinks.discovery.kinship import Kinship, identity_columns, kinship
from olvido.sinks.discovery.links import Link, named_after, typed, written
from olvido.sinks.discovery.live import Family


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposedTable:
    """One table of the map."""

    seen: SeenTable
    key: tuple[str, ...] = ()
    identities: Mapping[IdentityKind, str] = field(default_factory=dict)
    person: str | None = None
    created: str | None = None
    parents: tuple[Link, ...] = ()
    climbs: bool = False  # an identity here leads to the parent's row
    shared_by: tuple[Link, ...] = ()
    mentions: tuple[Link, ...] = ()  # they are emptied, and the row stays
    of_one: bool = False  # as far as references say, each of its rows is one person's
    erase: str | None = "delete"  # empty: a person must decide; None: its rows are nobody's, and stay
    questions: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """As the map names it."""
        return self.seen.table.name

    @property
    def undecided(self) -> bool:
        """Whether the map is refused until a person has decided about this table."""
        anybody = self.identities or self.parents or self.shared_by or (self.erase is None and self.mentions)
        return self.erase == "" or not anybody


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A data map to be read, decided on and kept by a person."""

    sink: str
    tables: tuple[ProposedTable, ...]
    unlinked: tuple[SeenTable, ...] = ()  # they look personal, and nothing says whose their rows are
    typed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # what is known of pairs, by table
    others: tuple[str, ...] = ()  # nothing in them looks personal, and nothing links them to a person

    @property
    def kinds(self) -> tuple[IdentityKind, ...]:
        """The kinds of identity that lead to somebody's own row."""
        found = {
            kind for table in self.tables if not table.parents or table.climbs for kind in table.identities
        }
        return tuple(kind for kind in IdentityKind if kind in found)

    @property
    def undecided(self) -> tuple[str, ...]:
        """The tables that a person must decide about."""
        return tuple(table.name for table in self.tables if table.undecided)


def propose(sink: str, seen: Sequence[SeenTable], guessed: Sequence[Link] = ()) -> Proposal:
    """Propose a data map.

    Args:
        sink: its name.
        seen: every table of the target.
        guessed: references that no foreign key says; those with a condition are by type and id.
    """
    by_name = {one.table.name: one for one in seen}
    links = [*written([one.table for one in seen]), *(link for link in guessed if not link.where)]
    kin = kinship(by_name, links)
    of_types = [link for link in guessed if link.where and link.to in kin.owned]
    tables = [_table(by_name[name], kin, by_name, links) for name in kin.tables]
    tables = [table for table in tables if table.erase is not None or table.mentions or table.questions]
    rest = [one for one in seen if one.table.name not in {table.name for table in tables}]
    return Proposal(
        sink=sink,
        tables=tuple(tables),
        unlinked=tuple(one for one in rest if one.about_people),
        typed={one.table.name: lines for one in rest if (lines := tuple(_of_types(one, of_types)))},
        others=tuple(one.table.name for one in rest if not one.about_people),
    )


def _table(
    one: SeenTable, kin: Kinship, seen: Mapping[str, SeenTable], links: Sequence[Link]
) -> ProposedTable:
    name = one.table.name
    key, unkeyed = _key(one, kin)
    if name not in kin.owned:
        _, mentions, asked = _others(one, kin, taken=key)
        shared_by = kin.shared.get(name, ())
        if shared_by:
            asked += [*unkeyed, *questions.of_shared(name, kin, links)]
        return ProposedTable(
            seen=one,
            key=key,
            mentions=mentions,
            shared_by=shared_by,
            erase="delete" if shared_by else None,
            questions=tuple(asked),
        )
    parent = kin.parents.get(name)
    if parent is None:
        identities, person, asked = _of_a_person(one, by_key=name == _numbered(kin, seen))
        climbs = False
    else:
        identities, climbs, asked = _of_a_child(one, parent, seen[parent.to])
        person = None
    further, mentions, more = _others(one, kin, taken=(*key, *identities.values()))
    asked += [*more, *unkeyed, *questions.of_identities(one, identities, parent)]
    if name in kin.trade:
        asked += questions.of_trade(parent)
    asked += questions.of_consents(one, identities)
    return ProposedTable(
        seen=one,
        key=key,
        identities=identities,
        person=person,
        created=_created(one) if identities else None,
        parents=() if parent is None else (parent, *further),
        climbs=climbs,
        mentions=mentions,
        of_one=_of_one(name, kin),
        erase="" if name in kin.trade else "delete",
        questions=tuple(asked),
    )


def _of_one(name: str, kin: Kinship) -> bool:
    """Whether neither a row nor what it hangs on points at somebody beside its parent."""
    above: str | None = name
    passed: set[str] = set()
    while above is not None and above not in passed:
        if kin.others.get(above):
            return False
        passed.add(above)
        parent = kin.parents.get(above)
        above = None if parent is None else parent.to
    return True


def _numbered(kin: Kinship, seen: Mapping[str, SeenTable]) -> str | None:
    """The one table whose key may be the customer's number: the same number elsewhere is another person's."""
    if any(IdentityKind.CUSTOMER_ID in identity_columns(seen[name]) for name in kin.roots):
        return None
    ranked = [
        (rank, name)
        for name in kin.roots
        if len(seen[name].table.key) == 1 and (rank := customer_rank(name)) is not None
    ]
    return min(ranked)[1] if ranked else None


def _of_a_person(one: SeenTable, *, by_key: bool) -> tuple[dict[IdentityKind, str], str | None, list[str]]:
    """What names a person, what tells two of them apart, and what is not certain about it."""
    identities, asked = identity_columns(one), []
    if by_key:
        identities = {IdentityKind.CUSTOMER_ID: one.table.key[0], **identities}
        asked.append(questions.of_the_key(one.table.key[0]))
    return identities, identities.get(IdentityKind.CUSTOMER_ID), asked


def _of_a_child(
    one: SeenTable, parent: Link, above: SeenTable
) -> tuple[dict[IdentityKind, str], bool, list[str]]:
    """By which identities rows below a parent are searched, and whether these lead up to it.

    Where people may have no row above (an enquiry without an account), they are found by what they wrote.
    Addresses in a table of their own lead to their person. An address beside a parent that has one itself
    may be somebody else's: that is asked.
    """
    identities = identity_columns(one, without=parent.columns)
    if not identities:
        return {}, False, []
    own = set(identity_columns(above))
    lacking = {kind: column for kind, column in identities.items() if kind not in own}
    if lacking and _holds_addresses(one, parent):
        return lacking, True, [questions.of_climbing(parent, list(lacking.values()))]
    if not parent.not_null:
        return identities, False, []
    return {}, False, questions.of_an_address_below(parent, identities)


def _holds_addresses(one: SeenTable, parent: Link) -> bool:
    """Whether a table is one of addresses and numbers of the rows above, and of nothing else."""
    contact = set(listed("tables", "contact_points"))
    words = words_of(one.table.name.rpartition(".")[2])
    return bool(contact & set(words)) and (named_after(one.table.name, parent.to) or set(words) <= contact)


def _others(
    one: SeenTable, kin: Kinship, *, taken: Sequence[str]
) -> tuple[tuple[Link, ...], tuple[Link, ...], list[str]]:
    """What columns beside the parent's that point at people's rows are, and what must be asked about them.

    Args:
        one: the table.
        kin: what tables are to each other.
        taken: columns that an erasure may not empty.

    Returns:
        Those that are parents as well; those that are emptied when the row they point at goes; questions.
    """
    name = one.table.name
    parent = kin.parents.get(name)
    parents: list[Link] = []
    emptied: list[Link] = []
    asked: list[str] = []
    if parent is not None and not parent.written:
        asked.append(f"parent: {parent.evidence}")
    for link in kin.others.get(name, ()):
        known = [other.columns for other in (*parents, *emptied, *([parent] if parent else []))]
        fixed = {*taken, *(column for columns in known for column in columns)}
        if link.columns in known:
            continue
        if name in kin.joins and not link.of_a_deed and link.to in kin.roots:
            parents.append(link)
        elif link.not_null or len(link.columns) > 1 or fixed.intersection(link.columns):
            asked.append(questions.of_another_pointer(link))
        else:
            emptied.append(link)
            asked.append(questions.of_a_mention(link))
    return tuple(parents), tuple(emptied), asked


def _key(one: SeenTable, kin: Kinship) -> tuple[tuple[str, ...], list[str]]:
    """What tells its rows apart. Rows that are found by their parent alone need none."""
    table = one.table
    if table.key:
        return table.key, []
    alone = sorted(
        columns for columns in table.unique if all(table.by_name[column].not_null for column in columns)
    )
    if alone:
        return min(alone, key=len), []
    pointed = any(link.to == table.name for link in (*kin.parents.values(), *_all(kin)))
    asked = [f"{table.name} has no primary key, and rows of other tables point at it"] if pointed else []
    return (), asked


def _all(kin: Kinship) -> Iterator[Link]:
    for links in (*kin.shared.values(), *kin.others.values()):
        yield from links


def _created(one: SeenTable) -> str | None:
    ranked = [
        (rank, column.name)
        for column in one.table.columns
        if column.family in {Family.INSTANT, Family.DATE} and (rank := created_rank(column.name)) is not None
    ]
    return min(ranked)[1] if ranked else None


def _of_types(one: SeenTable, links: Sequence[Link]) -> Iterator[str]:
    """What is known of the pairs of a type and an id in a table that is not in the map."""
    for kind, key in typed(one.table):
        ours = [link for link in links if link.table == one.table.name and link.columns == (key,)]
        yield questions.of_a_pair(kind, key, ours)
