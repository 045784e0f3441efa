"""What a sink's tables hold of a person, and what becomes of each row: ``sinks.<name>.tables.*``.

A data map that could erase somebody else, or nobody, is refused when it is read. What only
the target knows (whether a table is there) is checked by the sink.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from graphlib import CycleError, TopologicalSorter
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from olvido.core.errors import ConfigError, did_you_mean
from olvido.core.subject import IdentityKind
from olvido.sinks.contract import SinkSettings
from olvido.sinks.section import SectionPart, fault, read_part

_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")  # what PostgreSQL folds nothing of and cuts nothing off


def _column(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError("is not a column's name: small letters, digits and _, at most 63")
    return name


ONE_COLUMN = "A key is one column: where no single one is unique, add one"


def _key(name: object) -> object:
    if isinstance(name, list | tuple):
        raise ValueError(
            f"cannot be several columns. {ONE_COLUMN}, or leave the table out. A table with a parent, with "
            "nothing under it, no identities and no marks is found by its parent's column: there any will do"
        )
    return name


def _table(name: str) -> str:
    if not 1 <= len(name.split(".")) <= 2 or not all(_NAME.fullmatch(part) for part in name.split(".")):
        raise ValueError("is not a table's name: small letters, digits and _, at most 63, or schema.table")
    return name


ColumnName = Annotated[str, AfterValidator(_column)]
TableName = Annotated[str, AfterValidator(_table)]
Scalar = bool | int | float | str
Values = Mapping[ColumnName, Scalar]


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


class Reference(SectionPart):
    """A column of another table, or of this one that points at another table's key."""

    table: TableName
    column: ColumnName


class ConsentColumns(SectionPart):
    """What the columns of a row say when a purpose is granted, and when it is withdrawn."""

    granted: Values = Field(default_factory=dict)
    withdrawn: Values = Field(min_length=1)


class Table(SectionPart):
    """One table. Rows are found by ``identities``, by their ``parent``, or by who shares them."""

    key: Annotated[ColumnName, BeforeValidator(_key)]
    identities: Mapping[IdentityKind, ColumnName] = Field(default_factory=dict)
    person: ColumnName | None = None  # the identity column that tells two people apart for certain
    created: ColumnName | None = None  # the fence: rows made later are a new life
    parent: Reference | None = None  # the table and OUR column that points at its key
    shared_by: tuple[Reference, ...] = ()  # the tables and THEIR columns that point at our key
    erase: ErasureMethod
    set_to: Values = Field(default_factory=dict, alias="set")
    null: tuple[ColumnName, ...] = ()
    unlink: bool = False  # the parent column becomes null
    ground: str = Field(default="", max_length=300)
    restrict: Values = Field(default_factory=dict)
    consent: Mapping[str, ConsentColumns] = Field(default_factory=dict)
    objection: Mapping[str, Values] = Field(default_factory=dict)

    @property
    def person_kind(self) -> IdentityKind | None:
        """The kind of identity that ``person`` holds."""
        return next((kind for kind, column in self.identities.items() if column == self.person), None)

    @property
    def declared(self) -> Mapping[str, Scalar | None]:
        """The columns that anonymising sets, the nulls and the unlinking among them."""
        nulls = (*self.null, *((self.parent.column,) if self.unlink and self.parent else ()))
        return {**self.set_to, **dict.fromkeys(nulls)}

    @property
    def marked(self) -> frozenset[str]:
        """The columns that consents, objections and restrictions set."""
        said = [v for c in self.consent.values() for v in (c.granted, c.withdrawn)]
        return frozenset(column for v in (*said, *self.objection.values(), self.restrict) for column in v)

    def objected(self, purpose: str) -> Values | None:
        """What an objection sets: its own columns, else those of a withdrawal; None if neither is given."""
        if purpose in self.objection:
            return self.objection[purpose]
        return self.consent[purpose].withdrawn if purpose in self.consent else None


@dataclass(frozen=True, slots=True, kw_only=True)
class DataMap:
    """All tables of one sink, parents before children."""

    sink: str
    tables: Mapping[str, Table]

    @classmethod
    def of(cls, settings: SinkSettings, tables: object) -> "DataMap":
        """Read and check ``sinks.<name>.tables``.

        Raises:
            ConfigError: naming table, key and the fix.
        """
        place = f"sinks.{settings.name}.tables"
        if not isinstance(tables, Mapping) or not tables:
            raise fault(place, "says nothing of what is erased; declare at least one table")
        read = {str(name): _read(str(name), content, place) for name, content in tables.items()}
        for name, table in read.items():
            _check_table(f"{place}.{name}", table, settings)
            _check_references(f"{place}.{name}", name, table, read)
        ordered = _parents_first(read, place)
        _check_reach(settings, read)
        return cls(sink=settings.name, tables={name: read[name] for name in ordered})

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

    def objects_to(self, purpose: str) -> bool:
        """Whether any table says how to object to a purpose."""
        return any(table.objected(purpose) is not None for table in self.tables.values())

    def sharers(self, name: str) -> tuple[str, ...]:
        """The columns of a table that point at rows it shares with others."""
        pointing = (r.column for t in self.tables.values() for r in t.shared_by if r.table == name)
        return tuple(dict.fromkeys(pointing))

    def has_dependants(self, name: str) -> bool:
        """Whether rows elsewhere follow this table's rows, so that its keys must be known."""
        children = any(table.parent and table.parent.table == name for table in self.tables.values())
        return children or bool(self.sharers(name))

    def uses_key(self, name: str) -> bool:
        """Whether rows of a table are ever addressed by their key.

        Else all are done by the column that points at their parent. A join table or a log needs no key.
        """
        table = self.tables[name]
        return bool(table.identities or table.marked or table.shared_by) or self.has_dependants(name)

    def erasing_order(self) -> tuple[str, ...]:
        """The tables, those first that point at others, so that no reference is ever left dangling."""
        return _pointing_first(self.tables, self._references())

    def _references(self) -> Iterable[tuple[str, str]]:
        for name, table in self.tables.items():
            if table.parent:
                yield name, table.parent.table
            for sharer in table.shared_by:
                yield sharer.table, name


def _read(name: str, content: object, place: str) -> Table:
    try:
        _table(name)
    except ValueError as error:
        raise fault(f"{place}.{name!r}", str(error)) from None
    return read_part(Table, content, place=f"{place}.{name}")


def _check_table(place: str, table: Table, settings: SinkSettings) -> None:
    """What one table says against itself."""
    if not table.identities and not table.parent and not table.shared_by:
        raise fault(
            place,
            "could erase everybody: say by which identities, by which parent or by whom its rows are shared",
        )
    _check_person(place, table)
    _check_erase(place, table)
    _check_shared(place, table)
    _check_marks(place, table, settings)


def _check_person(place: str, table: Table) -> None:
    if table.person is not None and table.person_kind is None:
        raise fault(
            f"{place}.person", f"{table.person!r} is not one of identities; declare there which kind it holds"
        )
    if table.created is not None and not table.identities:
        raise fault(
            f"{place}.created",
            "is a fence for rows found by identities; this table has none, its rows go with their parent",
        )
    if table.key in table.identities.values() and table.erase is ErasureMethod.ANONYMISE:
        raise fault(f"{place}.key", "also holds an identity and so cannot be anonymised; delete the rows")


def _check_erase(place: str, table: Table) -> None:
    match table.erase:
        case ErasureMethod.DELETE:
            _refuse(place, {"set": table.set_to, "null": table.null, "unlink": table.unlink}, "delete")
        case ErasureMethod.ANONYMISE:
            if not table.declared:
                raise fault(
                    f"{place}.erase", "anonymise changes nothing here; say which columns by set or null"
                )
            _check_anonymised(place, table)
        case ErasureMethod.RETAIN:
            _refuse(place, {"set": table.set_to, "null": table.null}, "retain")
            if not table.ground.strip():
                raise fault(
                    f"{place}.ground", "is missing; retain needs the ground on which the rows are kept"
                )
    if table.unlink and table.parent is None:
        raise fault(f"{place}.unlink", "has no parent to unlink from; remove it")


def refuses_null(place: str, name: str, table: Table, column: str) -> ConfigError:
    """The error about a column that the map empties and the target does not let be empty."""
    allow = f"ALTER TABLE {name} ALTER {column} DROP NOT NULL"
    if table.unlink and table.parent is not None and table.parent.column == column:
        # Nobody wrote `null` here: the key that asks for it is `unlink`.
        return fault(
            f"{place}.unlink",
            f"column {column!r} of {name} refuses null, so its rows cannot be cut loose from "
            f"{table.parent.table}: {allow}; or delete these rows as well; or keep those in "
            f'{table.parent.table}, with erase = "anonymise"',
        )
    return fault(
        f"{place}.null", f"column {column!r} of {name} refuses null; use set, or {allow}, or delete the rows"
    )


def _refuse(place: str, keys: Mapping[str, object], erase: str) -> None:
    for key, value in keys.items():
        if value:
            raise fault(f"{place}.{key}", f'has no effect with erase = "{erase}"; remove it')


def _check_anonymised(place: str, table: Table) -> None:
    for kind, column in table.identities.items():
        if column not in table.declared:
            raise fault(
                f"{place}.null",
                f"{column!r} holds the {kind.value} and would still name the person; add it to null or set",
            )
    parent = table.parent.column if table.parent else None
    for column in (*table.set_to, *table.null):
        if column == table.key:
            raise fault(f"{place}.set", f"{column!r} is the key; a row cannot lose it")
        if column == parent:
            raise fault(f"{place}.set", f"{column!r} points at the parent; write unlink = true instead")
    both = sorted(set(table.set_to) & set(table.null))
    if both:
        raise fault(f"{place}.null", f"{both[0]!r} is in set as well; choose one")


def _check_shared(place: str, table: Table) -> None:
    if not table.shared_by:
        return
    if table.identities or table.parent:
        raise fault(
            f"{place}.shared_by", "cannot stand beside identities or parent; a shared row is nobody's own"
        )
    if table.erase is not ErasureMethod.DELETE:
        raise fault(f"{place}.erase", 'must be "delete" with shared_by: it happens when nobody is left')


def _check_marks(place: str, table: Table, settings: SinkSettings) -> None:
    said = {"restrict": table.restrict, "consent": table.consent, "objection": table.objection}
    if not table.identities:
        for key, value in said.items():
            if value:
                raise fault(f"{place}.{key}", "needs identities to know whose rows they are")
    for key, purposes in (("consent", table.consent), ("objection", table.objection)):
        for purpose in purposes:
            if purpose not in settings.purposes:
                raise fault(
                    f"{place}.{key}.{purpose}",
                    f"is not one of sinks.{settings.name}.purposes{did_you_mean(purpose, settings.purposes)}",
                )
    parent = {table.parent.column} if table.parent else set[str]()
    taken = sorted(table.marked & ({table.key} | parent | set(table.identities.values())))
    if taken:
        raise fault(
            place,
            f"{taken[0]!r} is the key, points at the parent or holds an identity; consents, objections "
            "and restrictions may not set it",
        )


def _check_references(place: str, name: str, table: Table, tables: Mapping[str, Table]) -> None:
    """What one table says of another."""
    if table.parent:
        parent = _referred(f"{place}.parent.table", table.parent.table, tables)
        if parent.shared_by:
            raise fault(
                f"{place}.parent.table", "is a shared table; rows under shared rows cannot be followed"
            )
        if (
            parent.erase is ErasureMethod.DELETE
            and table.erase is not ErasureMethod.DELETE
            and not table.unlink
        ):
            raise fault(
                f"{place}.unlink",
                f"its rows stay while their parent in {table.parent.table} is deleted; write unlink = true: "
                f"{table.parent.column} becomes null, and a row that stays no longer says whose it was",
            )
    for number, sharer in enumerate(table.shared_by):
        pointing = _referred(f"{place}.shared_by.{number}.table", sharer.table, tables)
        if pointing.shared_by or sharer.table == name:
            raise fault(f"{place}.shared_by.{number}.table", "is itself shared; only owned rows can share")


def _referred(place: str, name: str, tables: Mapping[str, Table]) -> Table:
    if name not in tables:
        raise fault(place, f"{name!r} is not one of the tables{did_you_mean(name, tables)}")
    return tables[name]


def _check_reach(settings: SinkSettings, tables: Mapping[str, Table]) -> None:
    """By every kind of identity that a sink is given, somebody's own row must be found.

    A row that hangs on a parent is its parent's person's. So a kind that stands in such rows alone
    finds rows and never whose they are.
    """
    for kind in settings.identities:
        holding = [name for name, table in tables.items() if kind in table.identities]
        if not holding:
            raise fault(
                f"sinks.{settings.name}.identities",
                f"no table can be searched by {kind.value}; name its column under a table's identities",
            )
        if all(tables[name].parent for name in holding):
            name = holding[0]
            root = _root(name, tables)
            raise fault(
                f"sinks.{settings.name}.tables.{name}.identities.{kind.value}",
                f"finds rows of {name} and never the person's row in {root}, which has no {kind.value}: "
                f"give {root} a column that holds it and name it under tables.{root}.identities, or take "
                f"{kind.value} out of sinks.{settings.name}.identities",
            )


def _root(name: str, tables: Mapping[str, Table]) -> str:
    """The table at the top: no parent is above it."""
    parent = tables[name].parent
    return name if parent is None else _root(parent.table, tables)


def _parents_first(tables: Mapping[str, Table], place: str) -> tuple[str, ...]:
    pointing = [(name, table.parent.table) for name, table in tables.items() if table.parent]
    try:
        return tuple(reversed(_pointing_first(tables, pointing)))
    except CycleError as error:
        circle = " → ".join(error.args[1])
        raise fault(f"{place}.{error.args[1][0]}.parent", f"goes in a circle: {circle}; cut it") from None


def _pointing_first(names: Iterable[str], references: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    before: dict[str, set[str]] = {name: set() for name in names}
    for pointing, pointed in references:
        before[pointed].add(pointing)
    return tuple(TopologicalSorter(before).static_order())
