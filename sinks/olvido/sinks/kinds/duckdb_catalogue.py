"""What a DuckDB file really has, read from its catalogue. That keys are keys is counted in the data."""

from collections.abc import Mapping
from typing import Any

import duckdb

from olvido.sinks.section import fault
from olvido.sinks.tables.data_map import DataMap, ErasureMethod
from olvido.sinks.tables.fit import check_fit
from olvido.sinks.tables.journal import queries
from olvido.sinks.tables.shape import Column, TableShape, TargetShape, TypeFamily

_LIMITS = {"TINYINT": 2**7, "SMALLINT": 2**15, "INTEGER": 2**31, "BIGINT": 2**63, "HUGEINT": 2**127}
_FAMILIES: Mapping[str, TypeFamily] = {
    "VARCHAR": TypeFamily.TEXT,
    "UUID": TypeFamily.UUID,
    "TIMESTAMP WITH TIME ZONE": TypeFamily.INSTANT,
    "TIMESTAMP": TypeFamily.TIME,
    "DATE": TypeFamily.DATE,
    "BOOLEAN": TypeFamily.EXACT,
    "BLOB": TypeFamily.EXACT,
    **dict.fromkeys(_LIMITS, TypeFamily.INTEGER),
}
_ADDRESS = {
    "rowid": Column(family=TypeFamily.INTEGER, plain="BIGINT", full="BIGINT", limit=2**63, not_null=True)
}


def look(conn: duckdb.DuckDBPyConnection, data_map: DataMap) -> TargetShape:
    """Read the catalogue of the file, count its keys, and check that the data map fits both.

    Raises:
        ConfigError: naming table and column, and the fix.
    """
    catalogue = look_at_columns(conn, data_map)
    for name, table in data_map.tables.items():
        if data_map.uses_key(name) and table.key:
            _check_key(conn, f"sinks.{data_map.sink}.tables.{name}.key", name, table.key)
    return catalogue


def look_at_columns(conn: duckdb.DuckDBPyConnection, data_map: DataMap) -> TargetShape:
    """Read the catalogue of the file and check that the data map fits it. No row is read.

    Raises:
        ConfigError: naming table and column, and the fix.
    """
    columns: dict[str, dict[str, Column]] = {name: {} for name in data_map.tables}
    for schema, table, column, kind, nullable in conn.execute(queries("duckdb")["columns"]).fetchall():
        for name in {f"{schema}.{table}", table if schema == "main" else ""} & columns.keys():
            # Analytical tables rarely declare a key: that it is one, and never null, is counted.
            filled = not nullable or column in data_map.tables[name].key
            columns[name][column] = _column(kind, not_null=filled)
    for name in data_map.tables:
        if not columns[name]:
            raise fault(f"sinks.{data_map.sink}.tables.{name}", "there is no such table in the file")
        columns[name].update(_ADDRESS)
    _check_references(conn, data_map)
    catalogue = TargetShape(
        tables={
            name: TableShape(
                columns=columns[name],
                unique=(frozenset(table.key),) if table.key else (),
                address=tuple(_ADDRESS),
            )
            for name, table in data_map.tables.items()
        }
    )
    check_fit(data_map, catalogue)  # without its notes: DuckDB reads whole columns, and an index is of no use
    return catalogue


def _column(kind: str, *, not_null: bool) -> Column:
    family = _FAMILIES.get(kind, TypeFamily.OTHER)
    if kind.startswith("DECIMAL"):
        family = TypeFamily.NUMERIC
    if kind.startswith("ENUM") and not kind.endswith("[]"):
        family = TypeFamily.EXACT
    return Column(family=family, plain=kind, full=kind, limit=_LIMITS.get(kind, 0), not_null=not_null)


def _check_key(conn: duckdb.DuckDBPyConnection, place: str, name: str, key: tuple[str, ...]) -> None:
    columns = ", ".join(quoted(column) for column in key)
    empty = " OR ".join(f"{quoted(column)} IS NULL" for column in key)
    counts = (  # names are quoted
        f"SELECT count(*), count(*) FILTER (WHERE {empty}), (SELECT count(*) FROM (SELECT DISTINCT {columns}"  # noqa: S608
        f" FROM {quoted(name)})) FROM {quoted(name)}"
    )
    rows, nulls, keys = one(conn.execute(counts))
    if nulls or rows != keys:
        raise fault(
            place,
            f"{'column' if len(key) == 1 else 'columns'} {', '.join(map(repr, key))} alone "
            f"{'is' if len(key) == 1 else 'are'} not unique in {name}; name what is, and never null, or "
            "leave it out",
        )


def _check_references(conn: duckdb.DuckDBPyConnection, data_map: DataMap) -> None:
    """DuckDB sees a deleted child as still there until the transaction ends, and so refuses its parent.

    https://duckdb.org/docs/stable/sql/indexes.html#over-eager-constraint-checking
    """
    names = {name.rpartition(".")[2]: name for name in data_map.tables}
    for _, table, pointed in conn.execute(queries("duckdb")["references"]).fetchall():
        if pointed in names and data_map.tables[names[pointed]].erase is ErasureMethod.DELETE:
            raise fault(
                f"sinks.{data_map.sink}.tables.{names[pointed]}",
                f"{table} refers to it by a FOREIGN KEY, and DuckDB cannot delete both in one transaction; "
                "drop the constraint",
            )


def one(result: duckdb.DuckDBPyConnection) -> tuple[Any, ...]:
    """The one row there is."""
    row = result.fetchone()
    assert row is not None
    return row


def quoted(name: str) -> str:
    """A name as an identifier; ``schema.table`` as two."""
    return ".".join('"' + part.replace('"', '""') + '"' for part in name.split("."))
