"""The shop in MariaDB, under the collation that it comes with."""

import re
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from sinks.mariadb_server import connected
from sinks.shop import COLUMNS, DDL, INDEXES, TABLES, settings
from sinks.sqlite_target import BOOLEANS, named

from olvido.sinks.kinds.mysql import MySQLSink

Rows = list[tuple[Any, ...]]

# MariaDB indexes no whole text and no expression; its usual collation overlooks case by itself.
WORDS = {r"\btext\b": "varchar(255)", r"\btimestamptz\b": "datetime(6)", r"\(lower\((\w+)\)\)": r"(\1)"}


class MySQLTarget:
    """A database of its own on the tests' server."""

    journals = (
        "SELECT count(*) FROM information_schema.tables"
        " WHERE table_schema = DATABASE() AND table_name = 'olvido_applied'"
    )
    kept_erasures = "olvido_kept_erasures"
    earlier = "applied_at - INTERVAL {} SECOND"

    def __init__(self, admin_url: str, monkeypatch: Any, tables: Mapping[str, Any] = TABLES) -> None:
        self._name = f"shop_{uuid4().hex}"
        self._admin_url = admin_url
        self._tables = tables
        with closing(connected(admin_url)) as connection, connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {self._name}")
        self.url = f"{admin_url}/{self._name}"
        self.environment = {"OLVIDO_TEST_CRM": self.url, "OLVIDO_TEST_KIND": "mysql"}
        monkeypatch.setenv("OLVIDO_TEST_CRM", self.url)
        ddl = DDL + named(INDEXES)
        for pattern, ours in WORDS.items():
            ddl = re.sub(pattern, ours, ddl)
        for statement in filter(str.strip, ddl.split(";")):
            self.run(statement)

    def sink(self) -> MySQLSink:
        sink = MySQLSink.from_section(settings({"url": {"env": "OLVIDO_TEST_CRM"}, "tables": self._tables}))
        sink.check()
        sink.install()
        return sink

    def add(self, table: str, *rows: Mapping[str, Any]) -> None:
        places = ", ".join("%s" for _ in COLUMNS[table])
        for row in rows:
            values = [_written(row[column]) for column in COLUMNS[table]]
            self.run(f"INSERT INTO {table} ({', '.join(COLUMNS[table])}) VALUES ({places})", values)

    def rows(self, table: str) -> Rows:
        columns = COLUMNS.get(table)
        found = self.run(f"SELECT * FROM {table} ORDER BY 1")
        return [tuple(map(_read, columns, row)) for row in found] if columns else found

    def run(self, query: str, values: Any = None) -> Rows:
        with closing(connected(self.url)) as connection, connection.cursor() as cursor:
            cursor.execute(query, values)
            return list(cursor.fetchall())

    def drop(self) -> None:
        with closing(connected(self._admin_url)) as connection, connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE {self._name}")


def _written(value: Any) -> Any:
    return value.astimezone(UTC).replace(tzinfo=None) if isinstance(value, datetime) else value


def _read(column: str, value: Any) -> Any:
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC)
    return bool(value) if column in BOOLEANS and value is not None else value
