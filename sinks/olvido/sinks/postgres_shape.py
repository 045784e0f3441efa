"""What a PostgreSQL target really has, held against the data map before a row is touched."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from psycopg2.extensions import cursor

from olvido.core.subject import IdentityKind
from olvido.sinks.data_map import ONE_COLUMN, DataMap, ErasureMethod, Table, refuses_null
from olvido.sinks.journal import queries
from olvido.sinks.section import fault

TEXTS = frozenset({"text", "character varying", "bpchar", "citext"})
INTEGERS = {"smallint": 2**15, "integer": 2**31, "bigint": 2**63}
KEYS = TEXTS | frozenset(INTEGERS) | {"uuid"}
INSTANTS = frozenset({"timestamp with time zone", "timestamp without time zone", "date"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column, as PostgreSQL names its type."""

    plain: str  # of any length: what keys and identities are sent as
    full: str  # with it: what values are compared as
    not_null: bool
    may_update: bool
    generated: bool  # PostgreSQL makes its value and lets nobody set another


@dataclass(frozen=True, slots=True, kw_only=True)
class TableShapes:
    """The types of all that the data map names, and what of it is slow to look up."""

    columns: Mapping[str, Mapping[str, Column]]
    slow: tuple[str, ...] = ()  # a sentence for each column that is searched without an index

    def key_type(self, name: str, column: str, data_map: DataMap) -> str:
        """The type to send values of a key or parent column as: that of the key they are."""
        table = data_map.tables[name]
        if table.parent and column == table.parent.column:
            return self.columns[table.parent.table][data_map.tables[table.parent.table].key].plain
        return self.columns[name][column].plain


def folds(kind: IdentityKind, plain: str) -> bool:
    """Whether we must overlook case: people type an address as they like. citext sees to it itself."""
    return kind is IdentityKind.EMAIL and plain in TEXTS and not plain.endswith("citext")


def look(cur: cursor, data_map: DataMap) -> TableShapes:
    """Read the catalogue of the target and check that the data map fits it.

    Raises:
        ConfigError: naming table and column, and the fix.
    """
    names = {"names": list(data_map.tables)}
    place = f"sinks.{data_map.sink}.tables"
    _check_tables(cur, names, data_map, place)
    cur.execute(queries("postgres")["columns"], names)
    columns: dict[str, dict[str, Column]] = {name: {} for name in data_map.tables}
    for name, column, plain, full, not_null, may_update, generated in cur:
        columns[name][column] = Column(
            plain=plain, full=full, not_null=not_null, may_update=may_update, generated=generated
        )
    for name, table in data_map.tables.items():
        _check_columns(f"{place}.{name}", name, table, data_map, columns)
    slow = _check_indexes(cur, names, data_map, columns, place)
    _check_references(cur, names, data_map, place)
    return TableShapes(columns=columns, slow=tuple(slow))


def _check_tables(cur: cursor, names: Mapping[str, Any], data_map: DataMap, place: str) -> None:
    cur.execute(queries("postgres")["tables"], names)
    found = {row[0]: row[2:] for row in cur}
    for name, table in data_map.tables.items():
        if name not in found:
            raise fault(
                f"{place}.{name}", "there is no such table in the target, or its schema is not visible"
            )
        kind, row_security, may_select, may_delete = found[name]
        if kind not in {"r", "p"}:
            raise fault(f"{place}.{name}", "is not a table in the target; name the table behind it")
        if row_security:
            raise fault(
                f"{place}.{name}", "row security hides rows from this role; let it bypass (BYPASSRLS)"
            )
        if not may_select or (table.erase is ErasureMethod.DELETE and not may_delete):
            raise fault(f"{place}.{name}", "this role may not do that; GRANT SELECT, UPDATE, DELETE on it")


def _check_columns(
    place: str, name: str, table: Table, data_map: DataMap, columns: Mapping[str, Mapping[str, Column]]
) -> None:
    for key, column in _named(name, table, data_map):
        if column not in columns[name]:
            raise fault(f"{place}.{key}", f"table {name} has no column {column!r} that this role may see")
    has = columns[name]
    for key, column, types in _typed(table):
        if has[column].plain.rpartition(".")[2] not in types:
            raise fault(
                f"{place}.{key}", f"column {column!r} is of type {has[column].full}, which cannot be one"
            )
    if data_map.uses_key(name) and not has[table.key].not_null:
        raise fault(
            f"{place}.key",
            f"column {table.key!r} of {name} may be null, and such a row could be neither deleted nor read "
            f"back; name the primary key, or: ALTER TABLE {name} ALTER {table.key} SET NOT NULL",
        )
    _check_changes(place, name, table, has)
    if table.parent:
        theirs = columns[table.parent.table].get(data_map.tables[table.parent.table].key)
        _check_pair(f"{place}.parent", table.parent.column, has[table.parent.column], theirs)
    for sharer in table.shared_by:
        pointing = columns[sharer.table].get(sharer.column)
        if pointing is not None:
            _check_pair(f"{place}.shared_by", sharer.column, pointing, has[table.key])


def _check_changes(place: str, name: str, table: Table, has: Mapping[str, Column]) -> None:
    """What the map sets must be possible to set."""
    for column, value in table.declared.items():
        if value is None and has[column].not_null:
            raise refuses_null(place, name, table, column)
    for column in (*table.declared, *table.marked):
        if has[column].generated:
            raise fault(
                place, f"column {column!r} is generated, so nobody can set it; change what it is made of"
            )
        if not has[column].may_update:
            raise fault(place, f"this role may not change column {column!r}; GRANT UPDATE on {name}")


def _check_pair(place: str, column: str, ours: Column, key: Column | None) -> None:
    if key is not None and _family(ours.plain) != _family(key.plain):
        raise fault(place, f"{column!r} ({ours.full}) cannot point at a key of type {key.full}")


def _family(plain: str) -> str:
    """Types that compare by the same rule: bpchar overlooks blanks at the end, and citext overlooks case."""
    if plain in {"text", "character varying"}:
        return "text"
    return "integer" if plain in INTEGERS else plain


def _named(name: str, table: Table, data_map: DataMap) -> Iterator[tuple[str, str]]:
    """Every column the data map says a table has, with the key that says so."""
    yield "key", table.key
    yield from (("identities." + kind.value, column) for kind, column in table.identities.items())
    if table.created:
        yield "created", table.created
    if table.parent:
        yield "parent.column", table.parent.column
    yield from (("set", column) for column in table.set_to)
    yield from (("null", column) for column in table.null)
    yield from (("consent, objection or restrict", column) for column in sorted(table.marked))
    yield from (("shared_by", column) for column in data_map.sharers(name))


def _typed(table: Table) -> Iterator[tuple[str, str, frozenset[str]]]:
    yield "key", table.key, KEYS
    yield from (("identities." + kind.value, column, KEYS) for kind, column in table.identities.items())
    if table.created:
        yield "created", table.created, INSTANTS


def _check_indexes(
    cur: cursor,
    names: Mapping[str, Any],
    data_map: DataMap,
    columns: Mapping[str, Mapping[str, Column]],
    place: str,
) -> list[str]:
    """A key must be one row's; a value that is set on all must not have to be unique.

    Returns:
        What is searched without an index: right, and slow.
    """
    cur.execute(queries("postgres")["indexes"], names)
    first: dict[str, set[str]] = {name: set() for name in data_map.tables}
    alone: dict[str, set[str]] = {name: set() for name in data_map.tables}
    unique: dict[str, set[str]] = {name: set() for name in data_map.tables}
    for name, definition, alone_unique, whole in cur:
        expression = _bare(definition)
        first[name].add(expression)
        unique[name].update(whole)
        if alone_unique:
            alone[name].add(expression)
    for name, table in data_map.tables.items():
        if data_map.uses_key(name) and table.key not in alone[name]:
            raise fault(
                f"{place}.{name}.key",
                f"column {table.key!r} alone is not unique in {name}; name its primary key. "
                f"{ONE_COLUMN}: "
                f"ALTER TABLE {name} ADD COLUMN row_id bigint GENERATED ALWAYS AS IDENTITY UNIQUE",
            )
        taken = sorted(set(table.set_to) & unique[name])
        if taken:
            raise fault(
                f"{place}.{name}.set", f"column {taken[0]!r} must be unique in {name}; put it in null"
            )
    return [
        f"no index begins with {expression} on {name}; each batch reads the whole table"
        for name, expression in _looked_up(data_map, columns)
        if _bare(expression) not in first[name]
    ]


def _bare(expression: str) -> str:
    """An indexed expression without casts, brackets, quotes: ``lower((email)::text)`` is what is given."""
    return re.sub(r'::[a-z ]+|[()"]', "", expression)


def _looked_up(data_map: DataMap, columns: Mapping[str, Mapping[str, Column]]) -> Iterator[tuple[str, str]]:
    """By what a table is searched, each time."""
    for name, table in data_map.tables.items():
        for kind, column in table.identities.items():
            yield name, f"lower({column})" if folds(kind, columns[name][column].plain) else column
        if table.parent:
            yield name, table.parent.column
        yield from ((name, column) for column in data_map.sharers(name))


def _check_references(cur: cursor, names: Mapping[str, Any], data_map: DataMap, place: str) -> None:
    """Refuse what a deletion would do by a foreign key behind the data map's back.

    A foreign key into a table whose rows are deleted either stops the deletion, or deletes or changes rows
    elsewhere. It may stay only where the map reaches those rows by the very column that points: then the
    sink deals with them before the row they point at. Whatever a deletion reaches so is a table of the map,
    and the keys into that table are looked at in turn.

    Raises:
        ConfigError: naming the table, the column and the fix.
    """
    cur.execute(queries("postgres")["references"], names)
    for pointed, pointing, shown, action, columns, keys in cur:
        table = data_map.tables[pointed]
        column = dict(zip(keys, columns, strict=True)).get(table.key)
        if table.erase is ErasureMethod.DELETE and not _reached(pointing, column, pointed, data_map):
            raise fault(
                f"{place}.{pointed}{'.shared_by' if table.shared_by else ''}",
                f"{shown} ({', '.join(columns)}) refers to {pointed}, {_ON_DELETE[action]}; "
                + _way_out(pointing, column, pointed, table),
            )
        changed = sorted({*table.declared, *table.marked} & set(keys))
        if changed:
            raise fault(
                f"{place}.{pointed}",
                f"{shown} ({', '.join(columns)}) refers to column {changed[0]!r}, so it cannot be changed; "
                "drop that constraint, or leave the column as it is",
            )


_ON_DELETE = {
    "a": "so its rows cannot be deleted while others point at them",
    "r": "so its rows cannot be deleted while others point at them",
    "c": "and rows there would be deleted with it unseen (ON DELETE CASCADE)",
    "n": "and rows there would be cut loose from it unseen (ON DELETE SET NULL)",
    "d": "and rows there would be given to another unseen (ON DELETE SET DEFAULT)",
}


def _reached(pointing: str | None, column: str | None, pointed: str, data_map: DataMap) -> bool:
    """Whether the map deals with the rows that point by this column before the row they point at goes."""
    if pointing is None or column is None:
        return False
    parent = data_map.tables[pointing].parent
    if parent is not None and (parent.table, parent.column) == (pointed, column):
        return True
    shared_by = data_map.tables[pointed].shared_by
    return (pointing, column) in {(sharer.table, sharer.column) for sharer in shared_by}


def _way_out(pointing: str | None, column: str | None, pointed: str, table: Table) -> str:
    if column is None:
        return (
            f"it points at other columns than the key {table.key!r}: name that as key, or drop the constraint"
        )
    if table.shared_by:
        return "add it"
    if pointing is None:
        return (
            f'add it to the data map with parent = {{ table = "{pointed}", column = "{column}" }}, '
            "or drop the constraint"
        )
    if pointing == pointed:
        return "rows under rows of the same table cannot be followed: drop the constraint"
    return f"the map reaches {pointing} by another column, and a row has one parent: drop the constraint"
