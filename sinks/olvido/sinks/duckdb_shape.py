"""What a DuckDB file really has, held against the data map before a row is touched."""

from collections.abc import Iterator, Mapping
from typing import Any

import duckdb

from olvido.sinks.data_map import ONE_COLUMN, DataMap, ErasureMethod, Table, refuses_null
from olvido.sinks.journal import queries
from olvido.sinks.section import fault

TEXTS = frozenset({"VARCHAR"})
INTEGERS = {"TINYINT": 2**7, "SMALLINT": 2**15, "INTEGER": 2**31, "BIGINT": 2**63, "HUGEINT": 2**127}
KEYS = TEXTS | frozenset(INTEGERS) | {"UUID"}
INSTANTS = frozenset({"TIMESTAMP", "TIMESTAMP WITH TIME ZONE", "DATE"})

Types = Mapping[str, Mapping[str, str]]  # of each table's columns


def look(conn: duckdb.DuckDBPyConnection, data_map: DataMap) -> Types:
    """Read the catalogue of the file, count its keys, and check that the data map fits both.

    Raises:
        ConfigError: naming table and column, and the fix.
    """
    types = look_at_columns(conn, data_map)
    for name, mapped in data_map.tables.items():
        if data_map.uses_key(name):
            _check_key(conn, f"sinks.{data_map.sink}.tables.{name}.key", name, mapped)
    return types


def look_at_columns(conn: duckdb.DuckDBPyConnection, data_map: DataMap) -> Types:
    """Read the catalogue of the file and check that the data map fits it. No row is read.

    Raises:
        ConfigError: naming table and column, and the fix.
    """
    place = f"sinks.{data_map.sink}.tables"
    types: dict[str, dict[str, str]] = {name: {} for name in data_map.tables}
    filled: set[tuple[str, str]] = set()  # columns that refuse null
    for schema, table, column, kind, nullable in conn.execute(queries("duckdb")["columns"]).fetchall():
        for name in {f"{schema}.{table}", table if schema == "main" else ""} & types.keys():
            types[name][column] = kind
            if not nullable:
                filled.add((name, column))
    for name, mapped in data_map.tables.items():
        _check_columns(f"{place}.{name}", name, mapped, data_map, types)
        for column, value in mapped.declared.items():
            if value is None and (name, column) in filled:
                raise refuses_null(f"{place}.{name}", name, mapped, column)
    _check_references(conn, data_map, place)
    return types


def one(result: duckdb.DuckDBPyConnection) -> tuple[Any, ...]:
    """The one row there is."""
    row = result.fetchone()
    assert row is not None
    return row


def quoted(name: str) -> str:
    """A name as an identifier; ``schema.table`` as two."""
    return ".".join('"' + part.replace('"', '""') + '"' for part in name.split("."))


def _check_columns(place: str, name: str, table: Table, data_map: DataMap, types: Types) -> None:
    has = types[name]
    if not has:
        raise fault(place, "there is no such table in the file")
    for column, allowed in _used(name, table, data_map):
        if column not in has:
            raise fault(place, f"table {name} has no column {column!r}")
        if allowed and has[column] not in allowed:
            raise fault(
                place, f"column {column!r} of {name} is of type {has[column]}, which cannot serve here"
            )


def _used(name: str, table: Table, data_map: DataMap) -> Iterator[tuple[str, frozenset[str]]]:
    """Every column the data map says a table has, and the types it may be of; none for any."""
    yield table.key, KEYS
    yield from ((column, KEYS) for column in (*table.identities.values(), *data_map.sharers(name)))
    if table.parent:
        yield table.parent.column, KEYS
    if table.created:
        yield table.created, INSTANTS
    yield from ((column, frozenset[str]()) for column in (*table.declared, *sorted(table.marked)))


def _check_key(conn: duckdb.DuckDBPyConnection, place: str, name: str, table: Table) -> None:
    """Looked up in the data, since analytical tables rarely declare a primary key."""
    counts = f"SELECT count(*), count(DISTINCT {quoted(table.key)}) FROM {quoted(name)}"  # noqa: S608 - quoted
    rows, keys = one(conn.execute(counts))
    if rows != keys:
        raise fault(
            place,
            f"column {table.key!r} alone is not unique in {name}; name one that is, and never null. "
            f"{ONE_COLUMN}",
        )


def _check_references(conn: duckdb.DuckDBPyConnection, data_map: DataMap, place: str) -> None:
    """DuckDB sees a deleted child as still there until the transaction ends, and so refuses its parent.

    https://duckdb.org/docs/stable/sql/indexes.html#over-eager-constraint-checking
    """
    names = {name.rpartition(".")[2]: name for name in data_map.tables}
    for _, table, pointed in conn.execute(queries("duckdb")["references"]).fetchall():
        if pointed in names and data_map.tables[names[pointed]].erase is ErasureMethod.DELETE:
            raise fault(
                f"{place}.{names[pointed]}",
                f"{table} refers to it by a FOREIGN KEY, and DuckDB cannot delete both in one transaction; "
                "drop the constraint",
            )
