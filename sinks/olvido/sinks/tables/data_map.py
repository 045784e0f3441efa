"""What a sink's tables hold of a person, and what becomes of each row: ``sinks.<name>.tables.*``.

The model is here. What a map may not say is refused by :mod:`olvido.sinks.tables.map_rules` when it is
read; what only the target knows (whether a column is there) by :mod:`olvido.sinks.tables.fit`.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, tzinfo
from enum import StrEnum
from graphlib import CycleError, TopologicalSorter
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainValidator,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
)

from olvido.core.subject import IdentityKind
from olvido.sinks.forms import PLAIN, is_typed
from olvido.sinks.section import SectionPart
from olvido.sinks.tables.labels import Labelled

NAME_MAX = 63  # bytes: PostgreSQL cuts a longer name, and would then mean another


def _column(name: str) -> str:
    if not name or not name.isprintable() or len(name.encode()) > NAME_MAX:
        raise ValueError(f"is not a column's name: printable characters, at most {NAME_MAX} bytes")
    return name


def check_table_name(name: str) -> str:
    """A table's name, or ``schema.table``.

    Raises:
        ValueError: it is neither.
    """
    parts = name.split(".")
    if len(parts) > 2 or not all(parts) or not name.isprintable() or max(map(_size, parts)) > NAME_MAX:
        raise ValueError(f"is not a table's name: table or schema.table, each at most {NAME_MAX} bytes")
    return name


def _size(text: str) -> int:
    return len(text.encode())


def _several(value: object) -> object:
    """One of something, or a list of it."""
    return tuple(value) if isinstance(value, list | tuple) else (value,)


ColumnName = Annotated[str, AfterValidator(_column)]
# Beside each reading of what people write in several ways stands what they may write, for editors.
Columns = Annotated[
    tuple[ColumnName, ...], BeforeValidator(_several, json_schema_input_type=str | tuple[str, ...])
]
TableName = Annotated[str, AfterValidator(check_table_name)]
Scalar = StrictBool | StrictInt | StrictFloat | StrictStr
Values = Mapping[ColumnName, Scalar]
# Rows whose columns hold this, or one of these.
Condition = Mapping[
    ColumnName,
    Annotated[
        tuple[Scalar, ...], BeforeValidator(_several, json_schema_input_type=Scalar | tuple[Scalar, ...])
    ],
]

ROW_KEY = "{key}"  # in a value: the row's own key, so that each row gets another value


class ErasureMethod(StrEnum):
    """What an erasure does to a table's rows."""

    DELETE = "delete"
    ANONYMISE = "anonymise"
    RETAIN = "retain"

    @property
    def done(self) -> str:
        """The name that a receipt counts it by."""
        return _DONE[self]


_DONE = {
    ErasureMethod.DELETE: "deleted",
    ErasureMethod.ANONYMISE: "anonymised",
    ErasureMethod.RETAIN: "retained",
}


class Clock(StrEnum):
    """What the column of an instant holds."""

    TIMESTAMP = "timestamp"  # an instant, or a time of day and date in the zone given
    SECONDS = "epoch_s"
    MILLISECONDS = "epoch_ms"
    DATE = "date"  # a day: a row of the very day that the person asked is not shown to be older, and stays


class Created(SectionPart):
    """When a row was made, so that what the person does after asking is left alone."""

    column: ColumnName
    clock: Clock = Clock.TIMESTAMP
    zone: str = "UTC"

    @property
    def tz(self) -> tzinfo:
        """The zone that times without one are in."""
        return UTC if self.zone == "UTC" else ZoneInfo(self.zone)


def _created(value: object) -> object:
    return {"column": value} if isinstance(value, str) else value


def _zone(created: Created | None) -> Created | None:
    if created is not None:
        try:
            _ = created.tz
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError("names no time zone that is known here, such as Asia/Shanghai") from None
    return created


class IdentityColumn(SectionPart):
    """A column that holds an identity, and how."""

    column: ColumnName
    form: str = "plain"  # see olvido.sinks.forms
    json_path: Annotated[
        tuple[str, ...], BeforeValidator(_several, json_schema_input_type=str | tuple[str, ...])
    ] = Field(default=(), alias="json")  # the way to it inside a JSON column
    dial: ColumnName | None = None  # of a phone number that is in two columns: the one with its country code
    inside: bool = False  # it stands among other text: ``Ana <ana@…>``, a list of addresses

    def is_typed_address(self, kind: IdentityKind) -> bool:
        """Whether it holds e-mail addresses as people type them, so that their case does not count."""
        return kind is IdentityKind.EMAIL and self.form == PLAIN

    @property
    def columns(self) -> tuple[str, ...]:
        """The column, and the one with the country code, if that is another."""
        return (self.column,) if self.dial is None else (self.column, self.dial)


def _identity_columns(value: object) -> object:
    given = value if isinstance(value, list | tuple) else (value,)
    return tuple({"column": one} if isinstance(one, str) else one for one in given)


IdentityColumns = Annotated[
    tuple[IdentityColumn, ...],
    BeforeValidator(
        _identity_columns,
        json_schema_input_type=str | IdentityColumn | tuple[str | IdentityColumn, ...],
    ),
]


class Reference(SectionPart):
    """Columns that point at the key of a table, all of its columns in their order."""

    table: TableName
    column: Columns

    @property
    def columns(self) -> tuple[str, ...]:
        """The pointing columns."""
        return self.column


class ParentReference(Reference):
    """OUR columns that point at the row which this one hangs on."""

    where: Condition = Field(default_factory=dict)  # else it points at another table: type and id
    climb: bool = False  # an identity that stands in this row leads to that one


class Pointer(Reference):
    """THEIR columns that point at our key, in the rows that meet a condition."""

    where: Condition = Field(default_factory=dict)


class Mention(SectionPart):
    """A column of ours that names a person whose row this is not: it is emptied, and the row stays.

    It points at the key of a table (``table``), or holds an identity (``identity``).
    """

    table: TableName | None = None
    identity: IdentityKind | None = None
    column: ColumnName
    form: str = "plain"
    where: Condition = Field(default_factory=dict)
    set_to: Scalar | None = Field(default=None, alias="set")  # null, if not given
    array: bool = False  # the column is an array: what names the person is taken out of it


def _references(value: object) -> object:
    return (value,) if isinstance(value, Mapping) else value


class ConsentColumns(SectionPart):
    """What the columns of a row say when a purpose is granted, and when it is withdrawn."""

    granted: Values = Field(default_factory=dict)
    withdrawn: Values = Field(min_length=1)
    where: Condition = Field(default_factory=dict)  # only these rows are about the purpose


class Table(SectionPart):
    """One table. Rows are found by ``identities``, by their parents, or by who shares them."""

    key: Columns = ()
    identities: Mapping[IdentityKind, IdentityColumns] = Field(default_factory=dict)
    person: ColumnName | None = None  # the identity column that tells two people apart for certain
    created: Annotated[
        Created | None,
        BeforeValidator(_created, json_schema_input_type=str | Created),
        AfterValidator(_zone),
    ] = None
    parents: Annotated[
        tuple[ParentReference, ...],
        BeforeValidator(_references, json_schema_input_type=ParentReference | tuple[ParentReference, ...]),
    ] = Field(default=(), alias="parent")
    shared_by: tuple[Reference, ...] = ()  # the tables and THEIR columns that point at our key
    pointed_at_by: tuple[Pointer, ...] = ()  # a row is the person's if all that point at it are
    mentions: tuple[Mention, ...] = ()
    cascades: tuple[str, ...] = ()  # "table.column": goes by the target's own rule when a row here is deleted
    erase: ErasureMethod = ErasureMethod.RETAIN  # a table that only mentions people has nothing to say here
    set_to: Values = Field(default_factory=dict, alias="set")
    null: tuple[ColumnName, ...] = ()
    unlink: Scalar = False  # the parents' columns become null, or this value
    ground: str = Field(default="", max_length=300)
    restrict: Values = Field(default_factory=dict)
    lift_restriction: Values = Field(default_factory=dict)
    consent: Mapping[str, ConsentColumns] = Field(default_factory=dict)
    objection: Mapping[str, Values] = Field(default_factory=dict)
    withdraw_objection: Mapping[str, Values] = Field(default_factory=dict)
    columns: Mapping[ColumnName, Labelled] = Field(default_factory=dict)  # what they hold, and what is secret

    @property
    def person_kind(self) -> IdentityKind | None:
        """The kind of identity that ``person`` holds."""
        return next(
            (k for k, columns in self.identities.items() if any(c.column == self.person for c in columns)),
            None,
        )

    @property
    def identity_columns(self) -> tuple[str, ...]:
        """The columns that hold identities, each once."""
        identities = [one for columns in self.identities.values() for one in columns]
        return tuple(dict.fromkeys(column for one in identities for column in one.columns))

    @property
    def parent_columns(self) -> tuple[str, ...]:
        """The columns that point at parents, each once."""
        return tuple(dict.fromkeys(column for parent in self.parents for column in parent.columns))

    @property
    def unlinked(self) -> Mapping[str, Scalar | None]:
        """The columns that unlinking sets."""
        if self.unlink is False:
            return {}
        return dict.fromkeys(self.parent_columns, None if self.unlink is True else self.unlink)

    @property
    def declared(self) -> Mapping[str, Scalar | None]:
        """The columns that anonymising sets, the nulls and the unlinking among them."""
        return {**self.set_to, **dict.fromkeys(self.null), **self.unlinked}

    @property
    def marked(self) -> frozenset[str]:
        """The columns that consents, objections and restrictions set."""
        given = [v for c in self.consent.values() for v in (c.granted, c.withdrawn)]
        return frozenset(column for v in (*given, *self.objection.values(), self.restrict) for column in v)

    @property
    def conditions(self) -> Iterable[Condition]:
        """What rows are told apart by."""
        yield from (parent.where for parent in self.parents)
        # Those of pointers are about the columns of the tables that point.
        yield from (mention.where for mention in self.mentions)
        yield from (columns.where for columns in self.consent.values())

    @property
    def only_mentions(self) -> bool:
        """Whether none of its rows is ever a person's own."""
        return not (self.identities or self.parents or self.shared_by or self.pointed_at_by)

    @property
    def climbs(self) -> bool:
        """Whether an identity that stands here leads to a row of another table."""
        return any(parent.climb for parent in self.parents)

    def objected(self, purpose: str) -> Values | None:
        """What an objection sets: its own columns, else those of a withdrawal; None if neither is given."""
        if purpose in self.objection:
            return self.objection[purpose]
        return self.consent[purpose].withdrawn if purpose in self.consent else None

    def about(self, purpose: str) -> Condition:
        """Which rows are about a purpose."""
        return self.consent[purpose].where if purpose in self.consent else {}


# ``tables`` of a section: read by :func:`olvido.sinks.tables.map_rules.read_data_map`, which names the table.
UnreadTables = Annotated[
    Any, PlainValidator(lambda tables: tables, json_schema_input_type=Mapping[TableName, Table])
]


@dataclass(frozen=True, slots=True, kw_only=True)
class DataMap:
    """All tables of one sink, parents before children."""

    sink: str
    tables: Mapping[str, Table]

    @property
    def found_by_identity(self) -> Mapping[str, Table]:
        """The tables that name a person themselves."""
        return {name: table for name, table in self.tables.items() if table.identities}

    @property
    def kinds(self) -> tuple[IdentityKind, ...]:
        """The kinds of identity that some table can be searched by."""
        used = {kind for table in self.tables.values() for kind in table.identities}
        return tuple(kind for kind in IdentityKind if kind in used)

    @property
    def purposes(self) -> frozenset[str]:
        """The purposes whose consent changes set columns here."""
        return frozenset(purpose for table in self.tables.values() for purpose in table.consent)

    @property
    def restricts(self) -> bool:
        """Whether any table says how to restrict."""
        return any(table.restrict for table in self.tables.values())

    @property
    def lifts_restrictions(self) -> bool:
        """Whether a restriction can be lifted: then every table that restricts says how."""
        return any(table.lift_restriction for table in self.tables.values())

    def withdraws_objections_to(self, purpose: str) -> bool:
        """Whether an objection to a purpose can be taken back, in every table that it marks.

        Where it sets what a withdrawn consent sets, the rows follow the consent again.
        """
        return self.objects_to(purpose) and all(
            purpose in table.withdraw_objection
            for table in self.tables.values()
            if purpose in table.objection
        )

    def objects_to(self, purpose: str) -> bool:
        """Whether any table says how to object to a purpose."""
        return any(table.objected(purpose) is not None for table in self.tables.values())

    def sharers(self, name: str) -> tuple[Reference, ...]:
        """The columns of a table that point at rows it shares with others, each with the shared table."""
        return tuple(
            Reference(table=shared, column=sharer.columns)
            for shared, table in self.tables.items()
            for sharer in table.shared_by
            if sharer.table == name
        )

    def children(self, name: str) -> tuple[tuple[str, ParentReference], ...]:
        """The tables whose rows hang on a table's rows, and by which columns."""
        return tuple(
            (child, parent)
            for child, table in self.tables.items()
            for parent in table.parents
            if parent.table == name
        )

    def has_dependants(self, name: str) -> bool:
        """Whether rows elsewhere follow this table's rows, so that its keys must be known."""
        points = any(p.table == name for table in self.tables.values() for p in table.pointed_at_by)
        return points or bool(self.children(name) or self.sharers(name) or self.mentioned_by(name))

    def stands_for_nobody(self, name: str) -> frozenset[str]:
        """The keys of a table, as text, to which rows are cut loose: such a row is never a person's."""
        unlinked = (self.tables[child].unlink for child, _ in self.children(name))
        emptied = (mention.set_to for _, mention in self.mentioned_by(name))
        return frozenset(
            str(one) for one in (*unlinked, *emptied) if one is not None and not isinstance(one, bool)
        )

    def mentioned_by(self, name: str) -> tuple[tuple[str, Mention], ...]:
        """The tables that mention a table's rows, and in which columns."""
        return tuple(
            (other, mention)
            for other, table in self.tables.items()
            for mention in table.mentions
            if mention.table == name
        )

    def knows_rows(self, name: str) -> bool:
        """Whether the rows of a table that the target takes along are known by their keys."""
        table = self.tables[name]
        plain = not (table.shared_by or table.pointed_at_by)
        return bool(table.key) and plain and table.erase is ErasureMethod.DELETE and self.row_by_row(name)

    def row_by_row(self, name: str) -> bool:
        """Whether rows that hang on parents must be known one by one; else their parents' keys do for all."""
        table = self.tables[name]
        several = len(table.parents) > 1 or bool(table.pointed_at_by)
        return several or self.has_dependants(name) or bool(table.marked or table.cascades)

    def uses_key(self, name: str) -> bool:
        """Whether rows of a table are ever addressed one by one.

        Else all are done by the columns that point at their parent. A join table or a log needs no key.
        """
        table = self.tables[name]
        by_identity = bool(table.identities) or any(mention.identity for mention in table.mentions)
        per_row = any(ROW_KEY in value for value in table.set_to.values() if isinstance(value, str))
        return by_identity or per_row or bool(table.shared_by) or self.row_by_row(name)

    def looked_up(self) -> Iterator[tuple[str, str, bool]]:
        """By which columns of which tables rows are searched for each time; and whether as typed addresses.

        Of several columns together the first. Of what stands inside of a document or a text, and of numbers
        among other signs, an index says nothing.
        """
        for name, table in self.tables.items():
            for kind, columns in table.identities.items():
                for one in columns:
                    if not (one.json_path or one.inside or is_typed(one.form)):
                        yield name, one.column, one.is_typed_address(kind)
            yield from ((pointer.table, pointer.columns[0], False) for pointer in table.pointed_at_by)
            yield from ((name, parent.columns[0], False) for parent in table.parents)
            yield from ((name, sharer.columns[0], False) for sharer in self.sharers(name))
            yield from ((name, mention.column, False) for mention in table.mentions if not mention.array)

    def erasing_order(self) -> tuple[str, ...]:
        """The tables, those first that point at others, so that no reference is ever left dangling.

        A table also comes before those that it mentions, and before those whose rows take its own along, as
        far as that makes no circle: what goes anyhow need not be emptied before, and is counted once.
        """
        references = list(self._references())
        order = pointing_first(self.tables, references)
        for reference in self._wishes():
            with suppress(CycleError):
                order = pointing_first(self.tables, [*references, reference])
                references.append(reference)
        return order

    def _wishes(self) -> Iterable[tuple[str, str]]:
        for name, table in self.tables.items():
            yield from ((name, m.table) for m in table.mentions if m.table is not None and m.table != name)
        for name, table in self.tables.items():
            pointing = (cascade.rpartition(".")[0] for cascade in table.cascades)
            yield from ((one, name) for one in pointing if one in self.tables and one != name)

    def _references(self) -> Iterable[tuple[str, str]]:
        for name, table in self.tables.items():
            yield from ((name, parent.table) for parent in table.parents if parent.table != name)
            yield from ((sharer.table, name) for sharer in (*table.shared_by, *table.pointed_at_by))


def pointing_first(names: Iterable[str], references: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """Tables in an order in which each comes before those it points at.

    Raises:
        graphlib.CycleError: there is none.
    """
    before: dict[str, set[str]] = {name: set() for name in names}
    for pointing, pointed in references:
        before[pointed].add(pointing)
    return tuple(TopologicalSorter(before).static_order())
