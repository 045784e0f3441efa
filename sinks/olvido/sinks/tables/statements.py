"""The statements that a data map makes of itself: SQL text and the parameters that do not change, for "
"any dialect.

Pure. They are written once for a map and a target's shape, and run once a batch: their number grows with the
tables of the map, never with tasks or rows. What changes from batch to batch are the given values, one
relation.
"""

# ruff: noqa: S608 - names are quoted by the dialect, and values are parameters

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, TypeVar

from olvido.core.subject import IdentityKind
from olvido.sinks.forms import is_typed
from olvido.sinks.tables.data_map import (
    ROW_KEY,
    Clock,
    Condition,
    Created,
    DataMap,
    ErasureMethod,
    IdentityColumn,
    Mention,
    ParentReference,
    Pointer,
    Reference,
    Scalar,
    Table,
)
from olvido.sinks.tables.dialect import GIVEN, ROW, Dialect
from olvido.sinks.tables.shape import TYPED, Column, TargetShape, TypeFamily
from olvido.sinks.tables.sql_pieces import VALUES, Sql, all_of, together

T = TypeVar("T")
PLACE = ("place", "int")  # which of the given values a row of the answer is about


class RowColumns(NamedTuple):
    """How a row is read: what is selected and joined, and where its parts lie in what comes back."""

    selected: str
    joined: Sql
    key: int  # how many columns the key has
    parents: tuple[int, ...]  # how many columns each parent's key has
    shares: tuple[int, ...]
    nobody: str | None = None  # what the columns that point at parents hold in a row that was cut loose


@dataclass(slots=True)
class Statements:
    """The statements of one data map over one target."""

    dialect: Dialect
    data_map: DataMap
    shape: TargetShape
    _written: dict[tuple[object, ...], object] = field(default_factory=dict)

    # --- reading -----------------------------------------------------------------------------

    def row(self, name: str) -> RowColumns:
        """How the rows of a table are read."""
        return self._once(("row", name), lambda: self._row(name))

    def match(self, name: str, kind: IdentityKind, place: int, *, beyond_known: bool = False) -> Sql:
        """The rows whose column holds one of the given values: place, what is held, and the row.

        ``beyond_known``: each value has a key of the table that :meth:`known_in` names beside it, and what
        that row already leads to is not read.
        """
        return self._once(
            ("match", name, kind, place, beyond_known),
            lambda: self._match(name, kind, place, beyond_known=beyond_known),
        )

    def known_in(self, name: str) -> str | None:
        """The table whose rows, once they are known to be a person's, tell all that is to be known of others.

        A row that the column ``person`` shows to be the person's is so whatever else it holds, and so is a
        row that hangs on it alone and names no person itself: by other identities they are not read again.
        Rows that are retained are, since a receipt says so. None: each identity has to find all its rows.
        """
        return self._once(("known in", name), lambda: self._known_in(name))

    def mentioning(self, name: str, number: int) -> Sql:
        """The rows whose mention holds one of the given identities: place, what is held, and the row."""
        return self._once(("mentioning", name, number), lambda: self._mentioning(name, number))

    def look_up(self, name: str) -> Sql:
        """The rows with the given keys: place, and the row."""
        return self._once(
            ("look up", name),
            lambda: self._select(
                name,
                all_of([self._by_key(name), *self._fence(name)]),
                [*self._keys(name), *self._fence_column(name)],
            ),
        )

    def children(self, name: str, number: int) -> Sql:
        """The rows that hang on the given rows by one of their parents: place, and the row."""
        return self._once(
            ("children", name, number),
            lambda: self._select(name, self._by_parent(name, number), self._parent_keys(name, number)),
        )

    def children_left(self, name: str, number: int, limit: int | None = None) -> Sql:
        """As :meth:`children`, at most so many, and none that is as the erasure leaves it."""
        return self._once(
            ("children left", name, number, limit),
            lambda: together(
                self.children(name, number),
                *self._not_erased(name),
                f" LIMIT {limit}" if limit is not None else "",
            ),
        )

    def emptied(self, name: str) -> Sql:
        """Those of the given rows that are as the erasure leaves them: their places."""
        return self._once(
            ("emptied", name),
            lambda: together(
                f"SELECT {GIVEN}.place FROM ",
                self._given(self._keys(name)),
                f" JOIN {self.table(name)} AS {ROW} ON ",
                self._by_key(name),
                " WHERE NOT (",
                self._changed(name),
                ")",
            ),
        )

    def pointed_at(self, name: str, number: int) -> Sql:
        """The rows that given rows of another table point at: place, how many point by each way, the row."""
        return self._once(("pointed at", name, number), lambda: self._pointed_at(name, number))

    def unpointed(self, name: str) -> Sql:
        """Those of the given shared rows that no row points at any more: their places."""
        return self._once(("unpointed", name), lambda: self._unpointed(name))

    def cascading(self, name: str, table: str, column: str) -> Sql:
        """How many rows of another table the target takes along with the given rows: place, count."""
        keys = self._keys(name)
        point = f"{ROW}.{self.dialect.quoted(column)}"
        return self._counted(table, Sql(f"{point} = {GIVEN}.{keys[0][0]}"), keys)

    def taken_along(self, name: str, table: str, column: str) -> Sql:
        """The rows of another table that the target takes along with the given rows: place, and the row."""
        keys = self._keys(name)
        point = f"{ROW}.{self.dialect.quoted(column)}"
        return self._select(table, Sql(f"{point} = {GIVEN}.{keys[0][0]}"), keys)

    def remaining(self, name: str, number: int | None) -> Sql:
        """How many of the given rows are still there, or are not as the erasure leaves them."""
        return self._once(("remaining", name, number), lambda: self._remaining(name, number))

    def counted(self, name: str, at_most: int) -> Sql:
        """How many rows a table has, counted no further than given."""
        return Sql(f"SELECT count(*) FROM (SELECT 1 FROM {self.table(name)} LIMIT {at_most}) AS counted")

    # --- changing ----------------------------------------------------------------------------

    def erase(self, name: str, number: int | None) -> tuple[Sql, ...]:
        """What an erasure does to the given rows, or to those that hang on the given rows by a parent.

        The last of them answers with (place, count). Where the dialect returns nothing of what it changes,
        rows are counted first.
        """
        return self._once(("erase", name, number), lambda: self._erase(name, number))

    def set_columns(
        self, name: str, values: Mapping[str, Scalar | None], where: Condition, *, anew: bool = False
    ) -> tuple[Sql, ...]:
        """Set columns of the given rows that meet a condition; answers with (place, count).

        ``anew``: not of rows that hold the values already.
        """
        condition = all_of([self._by_key(name), *self._where(name, where)])
        if anew:
            otherwise = (self._otherwise(name, column, value) for column, value in values.items())
            condition = together(condition, " AND (", all_of(otherwise, " OR "), ")")
        return self._changing(name, self._assignments(name, values), condition, self._keys(name))

    def empty_mentions(self, name: str, mention: Mention) -> tuple[Sql, ...]:
        """Empty the column of the rows that mention the given rows; answers with (place, count)."""
        assert mention.table is not None
        column = self.shape.column(name, mention.column)
        point = f"{ROW}.{self.dialect.quoted(mention.column)}"
        if not mention.array:
            condition, keys = self._by_pointing(name, (mention.column,), mention.table)
            assignments = self._assignments(name, {mention.column: mention.set_to})
        else:
            keys = self._keys(mention.table)
            given = f"{GIVEN}.{keys[0][0]}"
            mentions = self.dialect.contains(point, given, column)
            shortened = self.dialect.without(point, given, column)
            assert mentions is not None
            assert shortened is not None
            assignments = Sql(f"{self.dialect.quoted(mention.column)} = {shortened}")
            condition = [mentions]
        return self._changing(
            name, assignments, all_of([*condition, *self._where(name, mention.where)]), keys
        )

    # --- pieces ------------------------------------------------------------------------------

    def _once(self, what: tuple[object, ...], write: Callable[[], T]) -> T:
        if what not in self._written:
            self._written[what] = write()
        written: T = self._written[what]  # type: ignore[assignment]  # one writer for each name
        return written

    def table(self, name: str) -> str:
        """A table's name as an identifier."""
        return self.dialect.quoted(*name.split("."))

    def key_columns(self, name: str) -> tuple[str, ...]:
        """The columns by which rows are addressed."""
        return self.shape.key_of(name, self.data_map.tables[name].key)

    def _own(self, column: str, alias: str = ROW) -> str:
        return f"{alias}.{self.dialect.quoted(column)}"

    def _as_key(self, name: str, column: str, pointed: str, key: str, alias: str = ROW) -> str:
        """What a column holds, as the key that it points at."""
        own = self._own(column, alias)
        written_out = self.shape.written_out(name, column, pointed, key)
        return self.dialect.as_key(own, self.shape.column(pointed, key)) if written_out else own

    def _text(self, name: str, column: str, alias: str = ROW) -> str:
        return self.dialect.text(self._own(column, alias), self.shape.column(name, column))

    def _row(self, name: str) -> RowColumns:
        table = self.data_map.tables[name]
        selected = [self._text(name, column) for column in self.key_columns(name)]
        selected.append(self._person(name, table))
        joined: list[Sql | str] = []
        parents = []
        for number, parent in enumerate(table.parents):
            keys = self.key_columns(parent.table)
            parents.append(len(keys))
            if self._surely_there(name, number):
                selected += [self._text(name, column) for column in parent.columns]
                continue
            alias = f"p{number}"
            selected += [self._text(parent.table, key, alias) for key in keys]
            on = [
                f"{self._own(key, alias)} = {self._as_key(name, column, parent.table, key)}"
                for key, column in zip(keys, parent.columns, strict=True)
            ]
            joined += [
                f" LEFT JOIN {self.table(parent.table)} AS {alias} ON ",
                all_of([*on, *self._where(name, parent.where)]),
            ]
        sharers = self.data_map.sharers(name)
        selected += [self._text(name, column) for sharer in sharers for column in sharer.columns]
        return RowColumns(
            selected=", ".join(selected),
            joined=together(*joined),
            key=len(self.key_columns(name)),
            parents=tuple(parents),
            shares=tuple(len(sharer.columns) for sharer in sharers),
            nobody=None if isinstance(table.unlink, bool) else str(table.unlink),
        )

    def _surely_there(self, name: str, number: int) -> bool:
        """Whether the target itself sees to it that the parent row is there: then nobody need look for it."""
        parent = self.data_map.tables[name].parents[number]
        if parent.where or not self.shape.held_by_key(parent.table, name, parent.columns):
            return False
        theirs = self.key_columns(parent.table)
        alike = {TypeFamily.TEXT, TypeFamily.INTEGER, TypeFamily.UUID}
        return all(
            self.shape.column(name, ours).family in alike
            and self.shape.column(name, ours).family is self.shape.column(parent.table, key).family
            for ours, key in zip(parent.columns, theirs, strict=True)
        )

    def _person(self, name: str, table: Table) -> str:
        if table.person is None:
            return "NULL"
        text = self._text(name, table.person)
        return self.dialect.folded(text) if table.person_kind is IdentityKind.EMAIL else text

    def _select(self, name: str, condition: Sql, given: Sequence[tuple[str, str]], held: str = "") -> Sql:
        """Read rows that meet a condition with the given values."""
        row = self.row(name)
        return together(
            f"SELECT {GIVEN}.place, {held}{row.selected} FROM ",
            self._given(given),
            f" JOIN {self.table(name)} AS {ROW} ON ",
            condition,
            row.joined,
        )

    def _given(self, columns: Sequence[tuple[str, str]]) -> Sql:
        return Sql(self.dialect.given([PLACE, *columns]), (VALUES,))

    def _match(self, name: str, kind: IdentityKind, place: int, *, beyond_known: bool) -> Sql:
        identity = self.data_map.tables[name].identities[kind][place]
        return self._holding(name, kind, identity, where={}, beyond_known=beyond_known)

    def _known_in(self, name: str) -> str | None:
        table = self.data_map.tables[name]
        if table.climbs:
            return None
        if table.person is not None:
            return name
        if (
            len(table.parents) != 1
            or table.erase is ErasureMethod.RETAIN
            or self.row(name).nobody is not None
        ):
            return None
        [parent] = table.parents
        # By whole numbers and UUIDs a row points at one row; a text may be equal to several by some rule.
        exact = {TypeFamily.INTEGER, TypeFamily.UUID}
        points = all(self.shape.column(name, column).family in exact for column in parent.columns)
        names_person = self.data_map.tables[parent.table].person is not None
        known = points and names_person and self._surely_there(name, 0)
        return self.known_in(parent.table) if known else None

    def _beyond_known(self, name: str) -> tuple[Sql, list[tuple[str, str]]]:
        """That a row is not the one with the given key, and does not hang on it; and the type of the key."""
        if self.known_in(name) == name:
            condition, given = self._by_key(name), self._keys(name)
        else:
            [parent] = self.data_map.tables[name].parents
            conditions, given = self._by_pointing(name, parent.columns, parent.table)
            condition = all_of(conditions)
        return together("(", condition, ") IS NOT TRUE"), given

    def _mentioning(self, name: str, number: int) -> Sql:
        mention = self.data_map.tables[name].mentions[number]
        assert mention.identity is not None
        identity = IdentityColumn(column=mention.column, form=mention.form)
        return self._holding(name, mention.identity, identity, where=mention.where)

    def _holding(
        self,
        name: str,
        kind: IdentityKind,
        identity: IdentityColumn,
        where: Condition,
        *,
        beyond_known: bool = False,
    ) -> Sql:
        expression, column = self.holder(name, identity)
        # Under "C" the column folds ASCII letters alone, so the value is folded by the same rule. Of letters
        # beyond ASCII the spellings have both cases.
        by_rule = f' COLLATE "{column.collation}"' if column.collation in FOLDS_ASCII_ALONE else ""
        value = f"{GIVEN}.v{by_rule}"
        if is_typed(identity.form):
            equal = f"{self.dialect.digits(expression)} = {GIVEN}.v"
        elif identity.inside:
            equal = self.dialect.within(self.dialect.folded(expression), self.dialect.folded(value))
        elif overlooks_case(kind, identity, column):
            equal = self.dialect.alike(expression, value, column)
        else:
            equal = self.dialect.exactly(expression, f"{GIVEN}.v", column)
        conditions: list[Sql | str] = [equal]
        held, given = self.dialect.text(expression, column), [("v", column.plain)]
        if identity.dial is not None:
            dial = self.shape.column(name, identity.dial)
            conditions.append(self.dialect.exactly(self._own(identity.dial), f"{GIVEN}.dial", dial))
            held += f", {self._text(name, identity.dial)}"
            given.append(("dial", dial.plain))
        if beyond_known:  # before the fence, which costs more to compare
            beyond, keys = self._beyond_known(name)
            conditions.append(beyond)
            given += keys
        conditions += [*self._where(name, where), *self._fence(name)]
        given += self._fence_column(name)
        return self._select(name, all_of(conditions), given, f"{held}, ")

    def holder(self, name: str, identity: IdentityColumn) -> tuple[str, Column]:
        """The expression that holds an identity, and what it is."""
        column = self.shape.column(name, identity.column)
        expression = self._own(identity.column)
        if identity.inside and column.family is TypeFamily.OTHER:
            return self.dialect.elements(expression, column), Column(
                family=TypeFamily.TEXT, plain="text", full="text"
            )
        if not identity.json_path:
            return expression, column
        text = self.dialect.json_text(expression, column, identity.json_path)
        return text, Column(family=TypeFamily.TEXT, plain="text", full="text", collation=column.collation)

    def _fence(self, name: str) -> list[Sql | str]:
        """That a row is not newer than its fence.

        One without an instant cannot be shown to be newer, so it goes.
        """
        created = self.data_map.tables[name].created
        if created is None:
            return []
        # A whole second, or a whole day, in which the person asked is not shown to be older.
        less = "<=" if created.clock is Clock.TIMESTAMP else "<"
        held, fence = (
            self.dialect.instant(one, created) for one in (self._own(created.column), f"{GIVEN}.fence")
        )
        return [f"({held} {less} {fence}) IS NOT FALSE"]

    def _fence_column(self, name: str) -> list[tuple[str, str]]:
        created = self.data_map.tables[name].created
        return [("fence", self.shape.column(name, created.column).full)] if created else []

    def _where(self, name: str, condition: Condition, alias: str = ROW) -> list[Sql | str]:
        found: list[Sql | str] = []
        for column, values in condition.items():
            parameter = self.dialect.value(self.shape.column(name, column))
            places = ", ".join([parameter] * len(values))
            found.append(Sql(f"{self._own(column, alias)} IN ({places})", tuple(values)))
        return found

    def _keys(self, name: str) -> list[tuple[str, str]]:
        """The given values as keys of a table."""
        return [
            (f"k{number}", self.shape.column(name, column).plain)
            for number, column in enumerate(self.key_columns(name))
        ]

    def _by_key(self, name: str) -> Sql:
        conditions = [
            self.dialect.exactly(self._own(column), f"{GIVEN}.k{number}", self.shape.column(name, column))
            for number, column in enumerate(self.key_columns(name))
        ]
        return all_of(conditions)

    def _parent_keys(self, name: str, number: int) -> list[tuple[str, str]]:
        parent = self.data_map.tables[name].parents[number]
        return [
            *self._by_pointing(name, parent.columns, parent.table)[1],
            *(self._fence_column(name) if self.leaves_newer(name, number) else []),
        ]

    def _by_pointing(
        self, name: str, columns: Sequence[str], pointed: str
    ) -> tuple[list[Sql | str], list[tuple[str, str]]]:
        """That columns point at the given keys of a table; and the types that the keys are given as.

        A key that is written out is given as a text, so that the column's own index serves.
        """
        conditions: list[Sql | str] = []
        given = []
        keys = self.key_columns(pointed)
        for (place, kind), column, key in zip(self._keys(pointed), columns, keys, strict=True):
            held, theirs = self.shape.column(name, column), self.shape.column(pointed, key)
            written_out = self.shape.written_out(name, column, pointed, key)
            own = self._own(column)
            if written_out and theirs.family is TypeFamily.UUID:
                own = self.dialect.folded(own)
            conditions.append(self.dialect.exactly(own, f"{GIVEN}.{place}", held))
            given.append((place, held.plain if written_out else kind))
        return conditions, given

    def leaves_newer(self, name: str, number: int) -> bool:
        """Whether rows that are newer than the fence stay though the row they hang on is the person's.

        Where a foreign key holds them to a row that is deleted, they cannot stay without it, and go as older
        ones do.
        """
        table = self.data_map.tables[name]
        return table.created is not None and not self.held_to_deleted(name, table.parents[number])

    def held_to_deleted(self, name: str, parent: ParentReference) -> bool:
        """Whether a foreign key holds rows of a table to rows that an erasure deletes."""
        deleted = self.data_map.tables[parent.table].erase is ErasureMethod.DELETE
        return deleted and self.shape.held_by_key(parent.table, name, parent.columns) is not None

    def _by_parent(self, name: str, number: int) -> Sql:
        parent = self.data_map.tables[name].parents[number]
        conditions, _ = self._by_pointing(name, parent.columns, parent.table)
        conditions += self._where(name, parent.where)
        return all_of([*conditions, *(self._fence(name) if self.leaves_newer(name, number) else [])])

    def _reached(self, name: str, number: int | None) -> tuple[Sql, list[tuple[str, str]]]:
        """By what the rows to erase are reached: their own keys, or those of a parent."""
        if number is None:
            return self._by_key(name), self._keys(name)
        return self._by_parent(name, number), self._parent_keys(name, number)

    def _counted(self, name: str, condition: Sql, given: Sequence[tuple[str, str]]) -> Sql:
        return together(
            f"SELECT {GIVEN}.place, count(*) FROM ",
            self._given(given),
            f" JOIN {self.table(name)} AS {ROW} ON ",
            condition,
            f" GROUP BY {GIVEN}.place",
        )

    def _pointed_at(self, name: str, number: int) -> Sql:
        table = self.data_map.tables[name]
        pointer = table.pointed_at_by[number]
        row = self.row(name)
        counts: list[Sql | str] = []
        for other in table.pointed_at_by:
            counts += ["(SELECT count(*) FROM ", self._pointing_rows(other, name), "), "]
        own = " AND ".join(
            f"{self._own(column, 'x')} = {GIVEN}.k{place}"
            for place, column in enumerate(self.key_columns(pointer.table))
        )
        to = " AND ".join(
            f"{self._own(key)} = {self._as_key(pointer.table, column, name, key, 'x')}"
            for column, key in zip(pointer.columns, table.key, strict=True)
        )
        return together(
            f"SELECT {GIVEN}.place, ",
            *counts,
            f"{row.selected} FROM ",
            self._given(self._keys(pointer.table)),
            f" JOIN {self.table(pointer.table)} AS x ON ",
            all_of([own, *self._where(pointer.table, pointer.where, "x")]),
            f" JOIN {self.table(name)} AS {ROW} ON {to}",
            row.joined,
        )

    def _pointing_rows(self, pointer: Pointer, pointed: str) -> Sql:
        on = [
            f"{self._as_key(pointer.table, column, pointed, key, 'y')} = {self._own(key)}"
            for column, key in zip(pointer.columns, self.data_map.tables[pointed].key, strict=True)
        ]
        where = self._where(pointer.table, pointer.where, "y")
        return together(f"{self.table(pointer.table)} AS y WHERE ", all_of([*on, *where]))

    def _unpointed(self, name: str) -> Sql:
        table = self.data_map.tables[name]
        pointing = [self._pointing(sharer, table) for sharer in table.shared_by]
        return together(
            f"SELECT {GIVEN}.place FROM ",
            self._given(self._keys(name)),
            f" JOIN {self.table(name)} AS {ROW} ON ",
            self._by_key(name),
            f" WHERE {' AND '.join(f'NOT EXISTS (SELECT 1 FROM {one})' for one in pointing)}",
        )

    def _pointing(self, sharer: Reference, shared: Table) -> str:
        on = " AND ".join(
            f"{self._own(column, 'x')} = {self._own(key)}"
            for column, key in zip(sharer.columns, shared.key, strict=True)
        )
        return f"{self.table(sharer.table)} AS x WHERE {on}"

    def _erase(self, name: str, number: int | None) -> tuple[Sql, ...]:
        table = self.data_map.tables[name]
        condition, given = self._reached(name, number)
        if table.erase is ErasureMethod.DELETE:
            *counted, deed = self._changing(name, None, condition, given)
            return (*counted, *self._cut_from_each_other(name, condition, given), deed)
        if table.declared:
            return self._changing(name, self._assignments(name, table.declared), condition, given)
        return (self._counted(name, condition, given),)

    def _cut_from_each_other(
        self, name: str, condition: Sql, given: Sequence[tuple[str, str]]
    ) -> Sequence[Sql]:
        """Where keys are looked at row by row, rows that go together may not point at each other."""
        pointing = [
            column
            for parent in self.data_map.tables[name].parents
            if parent.table == name and self.shape.held_by_key(name, name, parent.columns)
            for column in parent.columns
        ]
        if not self.dialect.keys_by_row or not pointing:
            return ()
        nothing = self._assignments(name, dict.fromkeys(pointing))
        return [self.dialect.update(self.table(name), nothing, self._given(given), condition)]

    def _changing(
        self, name: str, assignments: Sql | None, condition: Sql, given: Sequence[tuple[str, str]]
    ) -> tuple[Sql, ...]:
        """A deletion, or an update if there are assignments, that answers with (place, count)."""
        values = self._given(given)
        if assignments is None:
            deed = self.dialect.delete(self.table(name), values, condition)
        else:
            deed = self.dialect.update(self.table(name), assignments, values, condition)
        if not self.dialect.returning:
            return self._counted(name, condition, given), deed
        counted = (
            "WITH done AS (",
            deed,
            f" RETURNING {GIVEN}.place) SELECT place, count(*) FROM done GROUP BY place",
        )
        return (together(*counted),)

    def _remaining(self, name: str, number: int | None) -> Sql:
        condition, given = self._reached(name, number)
        parts: list[Sql | str] = [
            "SELECT count(*) FROM ",
            self._given(given),
            f" JOIN {self.table(name)} AS {ROW} ON ",
            condition,
        ]
        return together(*parts, *self._not_erased(name))

    def _not_erased(self, name: str) -> list[Sql | str]:
        """That an emptied row is not as the erasure leaves it. One that is to be deleted never is."""
        if not self.data_map.tables[name].declared:
            return []
        return [" WHERE (", self._changed(name), ")"]

    def _changed(self, name: str) -> Sql:
        declared = self.data_map.tables[name].declared
        return all_of((self._otherwise(name, column, value) for column, value in declared.items()), " OR ")

    def _otherwise(self, name: str, column: str, value: Scalar | None) -> Sql:
        """That a column is not what the erasure makes it."""
        if value is None:
            return Sql(f"{self._own(column)} IS NOT NULL")
        wanted = self._value(name, column, value)
        held = self.shape.column(name, column)
        return Sql(self.dialect.differs(self._own(column), wanted.text, held), wanted.parameters)

    def _assignments(self, name: str, values: Mapping[str, Scalar | None]) -> Sql:
        return all_of(
            (
                together(f"{self.dialect.quoted(column)} = ", self._value(name, column, value))
                for column, value in values.items()
            ),
            ", ",
        )

    def _value(self, name: str, column: str, value: Scalar | None) -> Sql:
        """What a column is set to. A text with the row's key in it is another one for each row."""
        if value is None:
            return Sql("NULL")
        if not isinstance(value, str) or ROW_KEY not in value:
            return Sql(self.dialect.value(self.shape.column(name, column)), (value,))
        key = [part for c in self.key_columns(name) for part in (self._text(name, c), None)][:-1]
        parts: list[str] = []
        parameters: list[object] = []
        for number, fixed in enumerate(value.split(ROW_KEY)):
            if number:
                for one in key:
                    parts.append(one or self.dialect.place())
                    parameters += [] if one else ["-"]
            parts.append(self.dialect.place())
            parameters.append(fixed)
        return Sql(self.dialect.joined(parts), tuple(parameters))


FOLDS_ASCII_ALONE = frozenset({"C", "POSIX"})  # PostgreSQL's collations


def overlooks_case(kind: IdentityKind, identity: IdentityColumn, column: Column) -> bool:
    """Whether we must overlook case, since people type an address as they like. citext does it itself."""
    return identity.is_typed_address(kind) and column.family in TYPED


def fence_of(created: Created, column: Column, asked_at: datetime) -> str:
    """The fence as the column of a table would hold it."""
    match created.clock:
        case Clock.SECONDS:
            return str(int(asked_at.timestamp()))
        case Clock.MILLISECONDS:
            return str(int(asked_at.timestamp() * 1000))
        case Clock.DATE:
            return asked_at.astimezone(created.tz).date().isoformat()
        case Clock.TIMESTAMP if column.family is TypeFamily.INSTANT:
            return asked_at.isoformat(sep=" ")
        case Clock.TIMESTAMP:
            return asked_at.astimezone(created.tz).replace(tzinfo=None).isoformat(sep=" ")
