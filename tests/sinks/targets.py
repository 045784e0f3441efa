"""Three real targets that the contract suite is run over, each with its sink and a look inside."""

import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import psycopg2
import uvicorn
from sinks.duckdb_files import opened
from sinks.http_target import HttpTargetApp
from sinks.shop import COLUMNS, DDL, INDEXES, TABLES, settings

from olvido.sinks.contract import Sink, SinkSettings
from olvido.sinks.http import HttpSink
from olvido.sinks.kinds.duckdb import DuckDBSink
from olvido.sinks.kinds.mysql import MySQLSink
from olvido.sinks.kinds.postgres import PostgresSink
from olvido.sinks.kinds.sqlite import SQLiteSink

Rows = list[tuple[Any, ...]]


class Target(Protocol):
    """A system that holds customers; the relational ones hold the shop's other tables, too."""

    environment: Mapping[str, str]  # what another process needs to make the same sink

    def sink(self) -> Sink:
        """A sink of its own, checked."""
        ...

    def add(self, table: str, *rows: Mapping[str, Any]) -> None:
        """Put rows in."""
        ...

    def rows(self, table: str) -> Rows:
        """All rows, in the order of their keys."""
        ...


class PostgresTarget:
    """An empty database on the tests' server."""

    journals = "SELECT count(*) FROM information_schema.schemata WHERE schema_name = 'olvido'"
    kept_erasures = "olvido.kept_erasures"
    earlier = "applied_at - INTERVAL '{} seconds'"

    def __init__(self, dsn: str, monkeypatch: Any, tables: Mapping[str, Any] = TABLES) -> None:
        self.dsn = dsn
        self._tables = tables
        self.environment = {"OLVIDO_TEST_CRM": dsn, "OLVIDO_TEST_KIND": "postgres"}
        monkeypatch.setenv("OLVIDO_TEST_CRM", dsn)
        self.run(DDL + INDEXES)

    def sink(self) -> PostgresSink:
        sink = PostgresSink.from_section(
            settings({"dsn": {"env": "OLVIDO_TEST_CRM"}, "tables": self._tables})
        )
        sink.check()
        sink.install()
        return sink

    def add(self, table: str, *rows: Mapping[str, Any]) -> None:
        places = ", ".join(f"%({column})s" for column in COLUMNS[table])
        for row in rows:
            self.run(f"INSERT INTO {table} ({', '.join(COLUMNS[table])}) VALUES ({places})", row)

    def rows(self, table: str) -> Rows:
        return self.run(f"SELECT * FROM {table} ORDER BY 1")

    def run(self, query: str, values: Any = None) -> Rows:
        with closing(psycopg2.connect(self.dsn)) as connection, connection, connection.cursor() as cursor:
            cursor.execute("SET TIME ZONE 'UTC'")
            cursor.execute(query, values)
            return cursor.fetchall() if cursor.description else []


class DuckDBTarget:
    """A file."""

    journals = "SELECT count(*) FROM information_schema.schemata WHERE schema_name = 'olvido'"
    kept_erasures = "olvido.kept_erasures"
    earlier = "applied_at - INTERVAL '{} seconds'"

    def __init__(self, path: Path, monkeypatch: Any, tables: Mapping[str, Any] = TABLES) -> None:
        self.path = path
        self._tables = tables
        self.environment = {"OLVIDO_TEST_CRM": str(path), "OLVIDO_TEST_KIND": "duckdb"}
        monkeypatch.setenv("OLVIDO_TEST_CRM", str(path))
        self.run(DDL)

    def sink(self) -> DuckDBSink:
        sink = DuckDBSink.from_section(settings({"file": {"env": "OLVIDO_TEST_CRM"}, "tables": self._tables}))
        sink.check()
        sink.install()
        return sink

    def add(self, table: str, *rows: Mapping[str, Any]) -> None:
        places = ", ".join("?" for _ in COLUMNS[table])
        with opened(self.path) as connection:
            for row in rows:
                values = [row[column] for column in COLUMNS[table]]
                connection.execute(f"INSERT INTO {table} VALUES ({places})", values)

    def rows(self, table: str) -> Rows:
        return [tuple(_utc(value) for value in row) for row in self.run(f"SELECT * FROM {table} ORDER BY 1")]

    def run(self, query: str) -> Rows:
        with opened(self.path) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            return connection.execute(query).fetchall()


class HttpTarget:
    """A small service over a real socket. It holds customers only."""

    def __init__(self, url: str, app: HttpTargetApp, monkeypatch: Any) -> None:
        self.app = app
        self.url = url
        self.environment = {"OLVIDO_TEST_CRM": url, "OLVIDO_TEST_KIND": "http"}
        monkeypatch.setenv("OLVIDO_TEST_CRM", url)

    def sink(self) -> HttpSink:
        sink = HttpSink.from_section(settings({"url": {"env": "OLVIDO_TEST_CRM"}}))
        sink.check()
        sink.install()
        return sink

    def add(self, table: str, *rows: Mapping[str, Any]) -> None:
        assert table == "customers"
        self.app.customers += [dict(row) for row in rows]

    def rows(self, table: str) -> Rows:
        assert table == "customers"
        ordered = sorted(self.app.customers, key=lambda row: row["id"])
        return [tuple(row[column] for column in COLUMNS[table]) for row in ordered]


@contextmanager
def served(app: Any) -> Iterator[str]:
    """An ASGI app over a real socket, as long as the block lasts; its address."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(timeout=10)
        listener.close()


def make_sink(kind: str, tables: Mapping[str, Any] = TABLES, **own: Any) -> Sink:
    """The sink that ``Target.environment`` describes."""
    at = {"env": "OLVIDO_TEST_CRM"}
    kinds: dict[str, tuple[str, Callable[[SinkSettings], Sink]]] = {
        "postgres": ("dsn", PostgresSink.from_section),
        "duckdb": ("file", DuckDBSink.from_section),
        "sqlite": ("file", SQLiteSink.from_section),
        "mysql": ("url", MySQLSink.from_section),
        "http": ("url", HttpSink.from_section),
    }
    address, make = kinds[kind]
    section = {address: at, **own} if kind == "http" else {address: at, "tables": tables, **own}
    return make(settings(section))


def everything(target: Target, tables: Sequence[str]) -> dict[str, Rows]:
    """All that is in some tables."""
    return {table: target.rows(table) for table in tables}


def _utc(value: Any) -> Any:
    return value.astimezone(UTC) if isinstance(value, datetime) else value
