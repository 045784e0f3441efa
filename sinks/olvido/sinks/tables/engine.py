"""One open transaction of a target with tables: what the rights ask of it, run through a dialect.

Keys travel as text: a target's own text of a value, cast back to its type, is the same value.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import IntEnum
from itertools import compress
from string import ascii_lowercase, digits
from typing import Any, NamedTuple
from uuid import UUID

from olvido.core.causes import Cause
from olvido.core.consents import ConsentState
from olvido.core.errors import Refused
from olvido.core.events import Decision
from olvido.core.subject import Identity, IdentityKind
from olvido.core.tasks import IdempotencyKey
from olvido.sinks import forms
from olvido.sinks.tables.data_map import Condition, ErasureMethod, IdentityColumn, Mention, Scalar
from olvido.sinks.tables.dialect import Session
from olvido.sinks.tables.journal import Answer, Journal, RowMarkRow, row_key
from olvido.sinks.tables.ownership import Key, Match
from olvido.sinks.tables.shape import Column, TypeFamily
from olvido.sinks.tables.sql_pieces import VALUES, Sql
from olvido.sinks.tables.statements import RowColumns, Statements, fence_of, overlooks_case

Reached = tuple[Key, datetime | None]  # a row that others hang on, and the fence for those
BY_KEY = None  # rows are reached by their own keys, and not by those of a parent


class Search(NamedTuple):
    """An identity that rows are searched for."""

    n: int  # the task's place in the batch
    identity: Identity
    fence: datetime | None  # rows newer than this are not found
    spellings: tuple[str, ...]  # of the identity: what a column of the plain form may hold


class Child(NamedTuple):
    """A row that hangs on a given one."""

    place: int  # of the given row
    key: Key
    parents: tuple[Key | None, ...]
    shares: tuple[Key | None, ...]


class PointedRow(NamedTuple):
    """A row that a given row points at."""

    place: int  # of the given row
    pointing: tuple[int, ...]  # how many rows point at it, whosever they are, by each way
    key: Key
    parents: tuple[Key | None, ...]
    shares: tuple[Key | None, ...]


class Mark(IntEnum):
    """What a row is marked with for a purpose: at one instant the greater stands."""

    RELEASED = -1  # an older objection is taken back: no row keeps this mark
    GRANTED = 0
    WITHDRAWN = 1
    OBJECTED = 2  # stands above all, whenever it was

    @classmethod
    def of(cls, decision: Decision) -> "Mark":
        """What a consent change marks rows with."""
        return cls.WITHDRAWN if decision is Decision.WITHDRAWN else cls.GRANTED


@dataclass(frozen=True, slots=True, kw_only=True)
class RowMark:
    """The decision about one purpose that one row follows.

    A row may be reached by several handles, so the latest decision is kept for the row as well:
    then all orders of the same changes leave the same columns.
    """

    n: int  # the task's place in the batch
    key: Key
    purpose: str
    mark: Mark
    occurred_at: datetime
    event_id: UUID
    only_new: bool = False  # a row that follows it already is left alone

    @property
    def order(self) -> tuple[bool, datetime, int, str]:
        """Its place: the greatest is the one that the row follows."""
        return (self.mark in (Mark.OBJECTED, Mark.RELEASED), self.occurred_at, self.mark, str(self.event_id))


@dataclass(slots=True)
class TableRows:
    """One open transaction of a target. Whoever opened it commits it, or rolls it back."""

    session: Session
    statements: Statements
    limit: int | None = None  # at most so many rows that hang on others are read: one chunk of a heavy person
    full: set[str] = field(default_factory=set)  # the tables of which there may be more
    # By task and table: the keys of rows dealt with, where others that hang on them may still be put in.
    gone: dict[IdempotencyKey, dict[str, list[Key]]] = field(default_factory=dict)
    destroyed: bool = False  # whether rows were deleted or emptied, whose bytes may still be there
    journal: Journal = field(init=False)
    _fences_written: dict[object, dict[datetime | None, str | None]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.journal = Journal(self.session)

    @property
    def at(self) -> datetime:
        """When the transaction began, by the target's clock if it has one."""
        return self.session.at

    # --- the memory of tasks -----------------------------------------------------------------

    def remembered(self, keys: Sequence[IdempotencyKey]) -> Mapping[IdempotencyKey, Answer]:
        """The answers given before."""
        return self.journal.remembered(keys)

    def remember(self, answers: Mapping[IdempotencyKey, Answer]) -> None:
        """Keep new answers; the transaction fails if somebody else has done one of these tasks meanwhile."""
        self.journal.remember(answers)

    # --- finding -----------------------------------------------------------------------------

    def match(
        self,
        name: str,
        searches: Mapping[IdentityKind, Sequence[Search]],
        known: dict[str, dict[int, Key]],
    ) -> list[Match]:
        """The rows of a table that name one of the identities and are not newer than its fence.

        Args:
            name: the table.
            searches: for what, by kind.
            known: by table and task: a row that is the person's for certain. Those of this table are added;
                what follows from a known row already need not be found, see :meth:`Statements.known_in`.
        """
        table = self.statements.data_map.tables[name]
        known_in = self.statements.known_in(name)
        columns = [
            (kind, place, identity)
            for kind in searches
            for place, identity in enumerate(table.identities[kind])
        ]
        found: list[Match] = []
        for kind, place, identity in sorted(columns, key=lambda one: one[2].column != table.person):
            given = known.get(known_in) if known_in is not None else None
            statement = self.statements.match(name, kind, place, beyond_known=bool(given))
            matches = self._held(name, kind, identity, statement, searches[kind], known=given)
            found += matches
            if known_in == name and identity.column == table.person:
                certain = {match.n: match.key for match in matches if match.certain}
                known[name] = {**certain, **(given or {})}
        return found

    def mentioning(self, name: str, number: int, searches: Sequence[Search]) -> Sequence[Match]:
        """The rows whose mention holds one of the identities."""
        mention = self.statements.data_map.tables[name].mentions[number]
        assert mention.identity is not None
        identity = IdentityColumn(column=mention.column, form=mention.form)
        statement = self.statements.mentioning(name, number)
        return self._held(name, mention.identity, identity, statement, searches)

    def look_up(self, name: str, reached: Sequence[Reached]) -> Mapping[int, Match]:
        """The rows with these keys that are not newer than their fences, by the place of the key."""
        rows = self._run(self.statements.look_up(name), self._given(name, reached, fenced=True))
        decode = _Decoder(self.statements.row(name), first=1)
        found = {}
        for row in rows:
            key, person, parents, shares = decode(row)
            found[row[0]] = Match(row[0], key, by_person=False, person=person, parents=parents, shares=shares)
        return found

    def children(self, name: str, number: int, reached: Sequence[Reached]) -> list[Child]:
        """The rows of a table that hang on these rows by one of its parents."""
        statement = self.statements.children(name, number)
        if self.limit is not None and self.statements.data_map.tables[name].erase is not ErasureMethod.RETAIN:
            statement = self.statements.children_left(name, number, self.limit)
        found = self._children(statement, name, number, reached)
        self.chunked(name, len(found))
        return found

    def children_left(self, name: str, number: int, reached: Sequence[Reached]) -> list[Child]:
        """As :meth:`children`, without those that are as an erasure leaves them."""
        return self._children(self.statements.children_left(name, number), name, number, reached)

    def _children(self, statement: Sql, name: str, number: int, reached: Sequence[Reached]) -> list[Child]:
        decode = _Decoder(self.statements.row(name), first=1)
        found = []
        for row in self._run(statement, self._given_parents(name, number, reached)):
            key, _, parents, shares = decode(row)
            found.append(Child(row[0], key, parents, shares))
        return found

    def emptied(self, name: str, keys: Sequence[Key]) -> Set[int]:
        """The places of the keys whose rows are as an erasure leaves them."""
        return {place for (place,) in self._run(self.statements.emptied(name), _columns(keys))}

    def chunked(self, name: str, rows: int) -> None:
        """Note whether there may be more rows of a table than one chunk takes."""
        if self.limit is not None and rows >= self.limit:
            self.full.add(name)

    def pointed_at(self, name: str, number: int, keys: Sequence[Key]) -> list[PointedRow]:
        """The rows of a table that rows of another one point at, once for each that does."""
        ways = len(self.statements.data_map.tables[name].pointed_at_by)
        decode = _Decoder(self.statements.row(name), first=1 + ways)
        found = []
        for row in self._run(self.statements.pointed_at(name, number), _columns(keys)):
            key, _, parents, shares = decode(row)
            found.append(PointedRow(row[0], row[1 : 1 + ways], key, parents, shares))
        return found

    # --- changing ----------------------------------------------------------------------------

    def erase(self, name: str, number: int | None, reached: Sequence[Reached]) -> Mapping[int, int]:
        """Do what the table says of an erasure to the rows with these keys, or that hang on them by a parent.

        Returns:
            How many rows, by the place of the key.
        """
        counts = self._change(self.statements.erase(name, number), self._reaching(name, number, reached))
        if number is None:
            self._check_keys(name, counts)
        table = self.statements.data_map.tables[name]
        self.destroyed |= bool(counts) and (table.erase is ErasureMethod.DELETE or bool(table.declared))
        return dict(counts)

    def remaining(self, name: str, number: int | None, reached: Sequence[Reached]) -> int:
        """How many of those rows are still there, or are not as the erasure leaves them."""
        [(rows,)] = self._run(self.statements.remaining(name, number), self._reaching(name, number, reached))
        return int(rows)

    def cascading(self, name: str, cascade: str, keys: Sequence[Key]) -> Mapping[int, int]:
        """How many rows the target itself takes along with these, by the place of the key."""
        table, _, column = cascade.rpartition(".")
        return dict(self._run(self.statements.cascading(name, table, column), _columns(keys)))

    def takes_along(self, name: str) -> Sequence[tuple[str, str]]:
        """The tables of which rows go with rows of this one and are known by their keys, by which column."""
        data_map, target = self.statements.data_map, self.statements.shape
        return [
            (key.pointing, key.columns[0])
            for key in target.tables[name].foreign_keys
            if key.action == "CASCADE"
            and key.pointing is not None
            and f"{key.pointing}.{key.columns[0]}" in data_map.tables[name].cascades
            and data_map.knows_rows(key.pointing)
        ]

    def taken_along(
        self, name: str, pointing: str, column: str, keys: Sequence[Key]
    ) -> Iterator[tuple[int, Key]]:
        """The rows that go with the rows with these keys: the place of the key, and the row's own key."""
        decode = _Decoder(self.statements.row(pointing), first=1)
        for row in self._run(self.statements.taken_along(name, pointing, column), _columns(keys)):
            yield row[0], decode(row)[0]

    def counted(self, name: str, *, at_most: int) -> int:
        """How many rows a table has now, counted no further than given."""
        [(rows,)] = self._run(self.statements.counted(name, at_most), ())
        return int(rows)

    def unpointed(self, name: str, keys: Sequence[Key]) -> list[Key]:
        """Those of the shared rows that no row points at any more. They are locked before anybody looks."""
        self.journal.lock_shared_rows(name, keys)
        return [keys[place] for (place,) in self._run(self.statements.unpointed(name), _columns(keys))]

    def set_columns(
        self,
        name: str,
        values: Mapping[str, Scalar | None],
        keys: Sequence[Key],
        where: Condition | None = None,
        *,
        anew: bool = False,
    ) -> Mapping[int, int]:
        """Set columns of the rows with these keys that meet a condition; how many, by the key's place.

        Args:
            name: the table.
            values: by column.
            keys: of the rows.
            where: the condition.
            anew: of rows that hold these values already nothing is changed or counted.
        """
        statements = self.statements.set_columns(name, values, where or {}, anew=anew)
        counts = self._change(statements, _columns(keys))
        self._check_keys(name, counts)
        return dict(counts)

    def empty_mentions(self, name: str, mention: Mention, keys: Sequence[Key]) -> Mapping[int, int]:
        """Empty a column of the rows that mention the rows with these keys; how many, by the key's place."""
        statements = self.statements.empty_mentions(name, mention)
        given = _columns(keys)
        if not mention.array:
            counts = Counter(dict(self._change(statements, given)))
        elif len(statements) == 1:
            # An array that mentions several of them loses one of them at a time.
            counts = Counter()
            while done := dict(self._change(statements, given)):
                counts.update(done)
        else:
            counted, shorten = statements
            counts = Counter(dict(self._run(counted, given)))
            while counts and self.session.changed(shorten.text, self._parameters(shorten, given)):
                pass
        self.destroyed |= bool(counts)
        return counts

    # --- what people decided -----------------------------------------------------------------

    def save_states(self, states: Sequence[ConsentState]) -> Mapping[tuple[str, str], ConsentState]:
        """Keep the later decision of each (handle, purpose); what now stands for each of them."""
        return self.journal.save_states(states)

    def states(self, pairs: Sequence[tuple[str, str]]) -> Mapping[tuple[str, str], ConsentState]:
        """The latest decision of each (handle, purpose), as far as one is known."""
        return self.journal.states(pairs)

    def save_row_marks(self, name: str, marks: Sequence[RowMark]) -> Set[tuple[Key, str]]:
        """Keep the mark that stands for each row and purpose; those for which it is the given one."""
        standing = self.journal.save_row_marks(
            name,
            [
                RowMarkRow(row_key(m.key), m.purpose, int(m.mark), m.occurred_at, m.event_id, m.only_new)
                for m in marks
            ],
        )
        return {(m.key, m.purpose) for m in marks if (row_key(m.key), m.purpose) in standing}

    def release_row_marks(self, name: str, releases: Sequence[RowMark]) -> Set[tuple[Key, str]]:
        """Forget the objections that rows follow and that are older than these; which rows and purposes."""
        released = self.journal.release_row_marks(
            name, {(row_key(each.key), each.purpose): each.occurred_at for each in releases}
        )
        return {
            (each.key, each.purpose) for each in releases if (row_key(each.key), each.purpose) in released
        }

    def forget_row_marks(self, name: str, keys: Sequence[Key]) -> None:
        """The rows are gone, and so are their marks."""
        self.journal.forget_row_marks(name, [row_key(key) for key in keys])

    # --- how -----------------------------------------------------------------------------------

    def _held(
        self,
        name: str,
        kind: IdentityKind,
        identity: IdentityColumn,
        statement: Sql,
        searches: Sequence[Search],
        *,
        known: Mapping[int, Key] | None = None,
    ) -> list[Match]:
        """The rows whose column holds one of the identities, beyond what follows from the known rows."""
        _, column = self.statements.holder(name, identity)
        fold = overlooks_case(kind, identity, column) or column.family is TypeFamily.FOLDED
        dial = None if identity.dial is None else self.statements.shape.column(name, identity.dial)
        asked, values = _asked(searches, identity, column, dial)
        if not asked:
            return []
        given: list[Sequence[object]] = [*values]
        if known:
            unknown = (None,) * len(next(iter(known.values())))
            given += zip(*[known.get(search.n, unknown) for search in asked], strict=True)
        given += self._fences(name, [search.fence for search in asked])
        first = 1 + len(identity.columns)
        decode = _Decoder(self.statements.row(name), first=first)
        by_person = identity.column == self.statements.data_map.tables[name].person
        typed = forms.is_typed(identity.form)
        found = []
        for row in self._run(statement, [range(len(asked)), *given]):
            place: int = row[0]
            search, value = asked[place], values[0][place]
            if row[first] is None:
                raise self._not_a_key(name)
            if typed:
                certain = forms.is_written_as(row[1], search.identity, identity.form)
            elif identity.inside:
                certain = stands_in(value, row[1])
                if not certain and only_in_others(value, row[1]):
                    continue
            else:
                certain = row[1] == value or same(row[1], value, column, fold=fold)
                certain = certain and (dial is None or same(row[2], values[1][place], dial, fold=False))
            key, person, parents, shares = decode(row)
            found.append(Match(search.n, key, by_person, person, search.identity, parents, shares, certain))
        return found

    def _fences(self, name: str, fences: Sequence[datetime | None]) -> list[Sequence[object]]:
        created = self.statements.data_map.tables[name].created
        if created is None:
            return []
        column = self.statements.shape.column(name, created.column)
        # Fences are written once for all tables whose instants are of one kind.
        written = self._fences_written.setdefault((created.clock, created.zone, column.family), {None: None})
        for at in {*fences} - written.keys():
            if at is not None:
                written[at] = fence_of(created, column, at)
        return [[written[at] for at in fences]]

    def _given(self, name: str, reached: Sequence[Reached], *, fenced: bool) -> list[Sequence[object]]:
        given = _columns([key for key, _ in reached])
        return given + self._fences(name, [fence for _, fence in reached]) if fenced else given

    def _given_parents(self, name: str, number: int, reached: Sequence[Reached]) -> list[Sequence[object]]:
        return self._given(name, reached, fenced=self.statements.leaves_newer(name, number))

    def _reaching(self, name: str, number: int | None, reached: Sequence[Reached]) -> list[Sequence[object]]:
        if number is None:
            return _columns([key for key, _ in reached])
        return self._given_parents(name, number, reached)

    def _run(self, statement: Sql, given: Sequence[Sequence[object]]) -> list[tuple[Any, ...]]:
        return self.session.run(statement.text, self._parameters(statement, given))

    def _change(self, statements: Sequence[Sql], given: Sequence[Sequence[object]]) -> list[tuple[int, int]]:
        """Run a change; (place, count) of what it changed."""
        counts: list[tuple[int, int]] = self._run(statements[0], given)
        changed = expected = sum(count for _, count in counts)
        for deed in statements[1:] if counts else ():
            changed = self.session.changed(deed.text, self._parameters(deed, given))
        if changed != expected:
            raise Refused(Cause.STILL_THERE, reason="the target changed other rows than were counted")
        return counts

    def _check_keys(self, name: str, counts: Sequence[tuple[int, int]]) -> None:
        """Refuse what has reached a stranger's row, before it is committed: not every target has real keys.

        Raises:
            Refused: a key is of several rows.
        """
        if any(count > 1 for _, count in counts):
            raise self._not_a_key(name)

    def _not_a_key(self, name: str) -> Refused:
        return Refused(
            Cause.REFUSED_BY_TARGET,
            field=f"{name}.{','.join(self.statements.key_columns(name))}",
            reason="several rows have one key, or a row has none",
        )

    def _parameters(self, statement: Sql, given: Sequence[Sequence[object]]) -> list[object]:
        bound = self.statements.dialect.bind(given)
        found: list[object] = []
        for parameter in statement.parameters:
            if parameter is VALUES:
                found += bound
            else:
                found.append(parameter)
        return found


class _Decoder:
    """Takes apart what a row is read as, see :class:`olvido.sinks.tables.statements.RowColumns`."""

    def __init__(self, row: RowColumns, *, first: int) -> None:
        """
        Args:
            row: how it was read.
            first: where its columns begin.
        """
        self._key = slice(first, first + row.key)
        self._person = at = first + row.key
        at += 1
        self._nobody = row.nobody
        self._parents, at = _slices(row.parents, at)
        self._shares, at = _slices(row.shares, at)

    def __call__(
        self, row: tuple[Any, ...]
    ) -> tuple[Key, str | None, tuple[Key | None, ...], tuple[Key | None, ...]]:
        """A row's key, its person, the rows it hangs on, and those it shares."""
        return (
            row[self._key],
            row[self._person],
            self._pointed(row) if self._parents else (),
            tuple([None if None in row[part] else row[part] for part in self._shares])
            if self._shares
            else (),
        )

    def _pointed(self, row: tuple[Any, ...]) -> tuple[Key | None, ...]:
        keys = [row[part] for part in self._parents]
        # The row that stands for nobody is nobody's: what was cut loose from others hangs on none.
        return tuple([None if None in key or self._nobody in key else key for key in keys])


def _slices(sizes: Sequence[int], at: int) -> tuple[list[slice], int]:
    found = []
    for size in sizes:
        found.append(slice(at, at + size))
        at += size
    return found, at


def _columns(keys: Sequence[Key]) -> list[Sequence[object]]:
    """Keys, column by column, after their places."""
    return [range(len(keys)), *zip(*keys, strict=True)]


def _asked(
    searches: Sequence[Search], identity: IdentityColumn, column: Column, dial: Column | None
) -> tuple[Sequence[Search], Sequence[Sequence[str]]]:
    """For each text that a row may hold, which search it is of; the texts, column by column."""
    if dial is None and identity.form == forms.PLAIN:
        asked = [search for search in searches for _ in search.spellings]
        values = [[text for search in searches for text in search.spellings]]
    else:
        pairs = [(search, value) for search in searches for value in stored(search.identity, identity)]
        asked = [search for search, _ in pairs]
        values = [list(texts) for texts in zip(*[value for _, value in pairs], strict=True)]
    columns = [column] if dial is None else [column, dial]
    if asked and not all(map(all_fit, values, columns)):
        fitting = [all(map(fits, value, columns)) for value in zip(*values, strict=True)]
        asked = [*compress(asked, fitting)]
        values = [[*compress(texts, fitting)] for texts in values]
    return asked, values


def stored(identity: Identity, column: IdentityColumn) -> Sequence[tuple[str, ...]]:
    """What the columns may hold of an identity: one text, or a number and its country code."""
    if column.dial is not None:
        return [(number, code) for code, number in forms.split(identity)]
    texts = identity.spellings if column.form == forms.PLAIN else forms.stored(identity, column.form)
    return [(text,) for text in texts]


def same(held: str, asked: str, column: Column, *, fold: bool) -> bool:
    """Whether what a column holds, as text, is the very value that was asked.

    A target compares by rules of its own (collations, blanks at the end, types that cut). What it calls
    equal is compared here once more, so that no such rule makes a stranger's row the person's.

    Args:
        held: what the row holds.
        asked: the identity.
        column: the column.
        fold: case does not matter in it.
    """
    match column.family:
        case TypeFamily.INTEGER:
            return int(held) == int(asked)
        case TypeFamily.NUMERIC:
            return Decimal(held) == Decimal(asked)
        case TypeFamily.UUID:
            return UUID(held) == UUID(asked)
        case TypeFamily.PADDED:
            held, asked = held.rstrip(" "), asked.rstrip(" ")
    return held.lower() == asked.lower() if fold else held == asked


_OF_AN_ADDRESS = re.compile(r"[^\s<>()\[\],;:\"'|]")  # what may go on before or after: then it is another


def stands_in(address: str, text: str) -> bool:
    """Whether an e-mail address stands in a text, and is not a part of another one. Case is overlooked."""
    address, text = address.lower(), text.lower()
    at = text.find(address)
    while at >= 0:
        around = text[at - 1 : at] + text[at + len(address) : at + len(address) + 1]
        # A full stop after it may end a sentence; one with a letter behind goes on.
        rest = text[at + len(address) :]
        if _OF_AN_ADDRESS.search(around) is None or (
            not _OF_AN_ADDRESS.match(text[at - 1 : at]) and re.match(r"\.(\s|$)", rest)
        ):
            return True
        at = text.find(address, at + 1)
    return False


def only_in_others(address: str, text: str) -> bool:
    """Whether each place of a text with the letters of an address has a longer one (``juliana@``, ``ana@``).

    Only letters and digits of ASCII make a longer one for certain: other scripts write no blanks before an
    address, and a letter may be the end of an escape, such as ``\\n`` or ``%20``.
    """
    address, text = address.lower(), text.lower()
    at = text.find(address)
    if at < 0:
        return False
    while at >= 0:
        before, after = text[max(at - _ESCAPE_MAX, 0) : at], text[at + len(address) : at + len(address) + 1]
        escaped = "\\" in before or "%" in before
        if after not in _LONGER and (escaped or before[-1:] not in _LONGER):
            return False
        at = text.find(address, at + 1)
    return True


_LONGER = frozenset(ascii_lowercase + digits)  # next to an address: then it is another one
_ESCAPE_MAX = 6  # characters, of ``\\u003c``
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_INTEGER = re.compile(r"-?[0-9]{1,38}")


def all_fit(values: Sequence[str], column: Column) -> bool:
    """Whether a column surely can hold all of the values. A text nearly always can."""
    return column.family not in _READ_AS_NUMBERS and "".join(values).isprintable()


_READ_AS_NUMBERS = frozenset({TypeFamily.INTEGER, TypeFamily.NUMERIC, TypeFamily.UUID})


def fits(value: str, column: Column) -> bool:
    """Whether a column can hold the value at all: "a-17" is no integer, so no row has it."""
    match column.family:
        case TypeFamily.INTEGER:
            if _INTEGER.fullmatch(value) is None:
                return False
            return not column.limit or -column.limit <= int(value) < column.limit
        case TypeFamily.NUMERIC:
            return _INTEGER.fullmatch(value) is not None
        case TypeFamily.UUID:
            return _UUID.fullmatch(value) is not None
    return value.isprintable() or ("\0" not in value and value.encode(errors="replace").decode() == value)
