"""Reads a DuckDB file, opened for reading alone."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

from olvido.core.errors import Unavailable
from olvido.sinks.discovery.live import CUT_AT, Family, LiveColumn, LiveReference, LiveTable, Sample
from olvido.sinks.tables.journal import queries

SQL = "discovery_duckdb"
HELD_S_MAX = 10.0  # a batch takes less; who has the file open for longer is no sink
_FAMILIES = {
    "VARCHAR": Family.TEXT,
    **dict.fromkeys(
        ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UBIGINT", "UINTEGER"), Family.NUMBER
    ),
    "BOOLEAN": Family.BOOLEAN,
    "DATE": Family.DATE,
    **dict.fromkeys(("TIMESTAMP", "TIMESTAMP WITH TIME ZONE", "TIMESTAMP_NS", "TIMESTAMP_S"), Family.INSTANT),
    "UUID": Family.UUID,
    "JSON": Family.DOCUMENT,
}  # fmt: skip


class DuckDBReader:
    """One DuckDB file, to be read."""

    dialect = "DuckDB"

    def __init__(self, sink: str, file: Path, *, pause: Callable[[float], None] = time.sleep) -> None:
        self._sink = sink
        self._file = file
        self._pause = pause

    def tables(self) -> Sequence[LiveTable]:
        """See :meth:`olvido.sinks.discovery.live.TargetReader.tables`."""
        with self._opened() as conn:
            found = conn.execute(queries(SQL)["tables"]).fetchall()
            columns: dict[tuple[str, str], list[LiveColumn]] = defaultdict(list)
            for schema, table, name, kind, not_null in conn.execute(queries(SQL)["columns"]).fetchall():
                columns[schema, table].append(
                    LiveColumn(name=name, type=kind, family=_family(kind), not_null=not_null)
                )
            keys, unique, references = self._constraints(conn)
        return [
            LiveTable(
                name=_name(schema, table),
                full_name=f"{schema}.{table}",
                columns=tuple(columns[schema, table]),
                key=keys.get((schema, table), ()),
                unique=frozenset(unique[schema, table]),
                references=tuple(references[schema, table]),
                rows=rows,
            )
            for schema, table, rows in found
        ]

    def sample(self, table: LiveTable, columns: Sequence[str], rows: int) -> Sample:
        """See :meth:`olvido.sinks.discovery.live.TargetReader.sample`."""
        chosen = ", ".join(f"left({_quoted(column)}::VARCHAR, {CUT_AT})" for column in columns)
        with self._opened() as conn:
            found = conn.execute(
                f"SELECT {chosen} FROM {_path(table.name)} USING SAMPLE reservoir({int(rows)} ROWS)"  # noqa: S608
            ).fetchall()
        return Sample(
            values={
                column: [row[place] for row in found if row[place]] for place, column in enumerate(columns)
            }
        )

    def held(self, table: str, column: str, values: Sequence[str]) -> int:
        """See :meth:`olvido.sinks.discovery.live.TargetReader.held`."""
        with self._opened() as conn:
            row = conn.execute(
                f"SELECT count(DISTINCT v) FROM (SELECT unnest(?::VARCHAR[]) AS v)"  # noqa: S608
                f" WHERE v IN (SELECT {_quoted(column)}::VARCHAR FROM {_path(table)})",
                [list(values)],
            ).fetchone()
        return int(row[0]) if row else 0

    def close(self) -> None:
        """Nothing is held open: while we read, the sink's own process could not write."""

    @staticmethod
    def _constraints(conn: duckdb.DuckDBPyConnection) -> tuple[Any, Any, Any]:
        keys: dict[tuple[str, str], tuple[str, ...]] = {}
        unique: dict[tuple[str, str], set[tuple[str, ...]]] = defaultdict(set)
        references: dict[tuple[str, str], list[LiveReference]] = defaultdict(list)
        for schema, table, kind, columns, pointed, pointed_columns in conn.execute(
            queries(SQL)["constraints"]
        ).fetchall():
            match kind:
                case "PRIMARY KEY":
                    keys[schema, table] = tuple(columns)
                case "UNIQUE":
                    unique[schema, table].add(tuple(columns))
                case _:
                    reference = LiveReference(
                        columns=tuple(columns), table=_name(schema, pointed), keys=tuple(pointed_columns)
                    )
                    references[schema, table].append(reference)
        return keys, unique, references

    @contextmanager
    def _opened(self) -> Iterator[duckdb.DuckDBPyConnection]:
        if not self._file.exists():
            raise Unavailable(f"sink {self._sink}: there is no file at {self._file}")
        conn = self._connected()
        try:
            with conn:
                yield conn
        except duckdb.Error as error:
            raise self._unavailable(type(error).__name__) from None

    def _connected(self) -> duckdb.DuckDBPyConnection:
        """The file, opened. The sink's own process has it open while it does a batch: that is waited for."""
        give_up_at = time.monotonic() + HELD_S_MAX
        while True:
            try:
                return duckdb.connect(self._file, read_only=True)
            except duckdb.Error as error:
                held = isinstance(error, duckdb.IOException) and "lock" in str(error)
                if not held:
                    raise self._unavailable(type(error).__name__) from None
                if time.monotonic() > give_up_at:
                    raise self._unavailable("another process has it open") from None
            self._pause(0.1)  # nothing reports when it is closed

    def _unavailable(self, why: str) -> Unavailable:
        return Unavailable(f"sink {self._sink}: the file cannot be read now ({why})")


def _family(kind: str) -> Family:
    if kind.endswith("[]") or kind.startswith(("STRUCT", "MAP")):
        return Family.DOCUMENT
    if kind.startswith("ENUM"):
        return Family.TEXT
    return Family.NUMBER if kind.startswith("DECIMAL") else _FAMILIES.get(kind, Family.OTHER)


def _name(schema: str, table: str) -> str:
    return table if schema == "main" else f"{schema}.{table}"


def _path(name: str) -> str:
    return ".".join(_quoted(part) for part in name.split(".", 1))


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
