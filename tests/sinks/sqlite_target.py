"""The shop in an SQLite file, with instants and yes or no as SQLite's users have them: texts, and 1 or 0."""

import re
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sinks.shop import COLUMNS, DDL, INDEXES, TABLES, settings

from olvido.sinks.kinds.sqlite import SQLiteSink

Rows = list[tuple[Any, ...]]

BOOLEANS = frozenset({"marketing_allowed", "restricted"})
INSTANTS = frozenset({"created_at", "received_at"})


class SQLiteTarget:
    """A file, as an application has it: with a write-ahead log."""

    journals = "SELECT count(*) FROM sqlite_schema WHERE name = 'olvido_applied'"
    kept_erasures = "olvido_kept_erasures"
    earlier = "strftime('%Y-%m-%d %H:%M:%f000+00:00', applied_at, (0 - {}) || ' seconds')"

    def __init__(self, path: Path, monkeypatch: Any, tables: Mapping[str, Any] = TABLES) -> None:
        self.path = path
        self._tables = tables
        self.environment = {"OLVIDO_TEST_CRM": str(path), "OLVIDO_TEST_KIND": "sqlite"}
        monkeypatch.setenv("OLVIDO_TEST_CRM", str(path))
        self.run("PRAGMA journal_mode = wal")
        for statement in (*DDL.split(";"), *named(INDEXES).split(";")):
            self.run(statement)

    def sink(self) -> SQLiteSink:
        sink = SQLiteSink.from_section(settings({"file": {"env": "OLVIDO_TEST_CRM"}, "tables": self._tables}))
        sink.check()
        sink.install()
        return sink

    def add(self, table: str, *rows: Mapping[str, Any]) -> None:
        places = ", ".join("?" for _ in COLUMNS[table])
        for row in rows:
            values = [_written(row[column]) for column in COLUMNS[table]]
            self.run(f"INSERT INTO {table} ({', '.join(COLUMNS[table])}) VALUES ({places})", values)

    def rows(self, table: str) -> Rows:
        columns = COLUMNS.get(table)
        found = self.run(f"SELECT * FROM {table} ORDER BY 1")
        return [tuple(map(_read, columns, row)) for row in found] if columns else found

    def run(self, query: str, values: Any = ()) -> Rows:
        with closing(sqlite3.connect(self.path)) as connection, connection:
            connection.execute("PRAGMA foreign_keys = on")
            return connection.execute(query, values).fetchall()


def named(indexes: str) -> str:
    """Indexes with names, which only PostgreSQL makes up by itself."""
    numbers = iter(range(100))
    return re.sub("CREATE INDEX ON", lambda _: f"CREATE INDEX shop_{next(numbers)} ON", indexes)


def _written(value: Any) -> Any:
    return value.astimezone(UTC).isoformat(" ") if isinstance(value, datetime) else value


def _read(column: str, value: Any) -> Any:
    if value is None:
        return None
    if column in INSTANTS:
        return datetime.fromisoformat(value)
    return bool(value) if column in BOOLEANS else value
