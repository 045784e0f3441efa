"""Empty databases of each kind: a test makes its own tables in one and maps them."""

import re
import sqlite3
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

import psycopg2
from sinks.duckdb_files import opened
from sinks.mariadb_server import connected
from sinks.shop import SINK, an_identity

from olvido.core.subject import Identity, IdentityKind
from olvido.sinks.contract import Sink, SinkSettings
from olvido.sinks.kinds.duckdb import DuckDBSink
from olvido.sinks.kinds.mysql import MySQLSink
from olvido.sinks.kinds.mysql_address import Address
from olvido.sinks.kinds.postgres import PostgresSink
from olvido.sinks.kinds.sqlite import SQLiteSink
from olvido.sinks.tables.data_map import DataMap
from olvido.sinks.tables.map_rules import read_data_map

Rows = list[tuple[Any, ...]]
Content = Mapping[str, Rows]
# A foreign key of a column, which a database without them leaves out.
_REFERENCE = re.compile(r" REFERENCES \w+( \(\w+\))?( ON DELETE (CASCADE|SET NULL|RESTRICT))?")


class Database(Protocol):
    """One empty database. Tables are made in words that all of them understand."""

    kind: str
    foreign_keys: bool  # whether rows that a foreign key points at can be deleted with those that point
    arrays: bool
    addresses: bool  # whether a row without a key can be found again within a transaction

    def run(self, script: str) -> Rows:
        """Statements, committed; what a query gives, if it is one."""
        ...

    def sink(
        self,
        tables: Mapping[str, Any],
        identities: Sequence[IdentityKind] = (),
        purposes: tuple[str, ...] = (),
    ) -> Sink:
        """A checked sink over some tables."""
        ...


class _Sinks(ABC):
    """Makes sinks over one database."""

    @abstractmethod
    def _sink(self, told: SinkSettings, data_map: DataMap) -> Sink:
        """A sink of its kind, not checked yet."""

    def sink(
        self,
        tables: Mapping[str, Any],
        identities: Sequence[IdentityKind] = (),
        purposes: tuple[str, ...] = (),
    ) -> Sink:
        """See :meth:`Database.sink`."""
        told = _told(tables, identities, purposes)
        sink = self._sink(told, read_data_map(told, tables))
        sink.check()
        sink.install()
        return sink


class PostgresDatabase(_Sinks):
    """One database on the tests' server; each test empties it first."""

    kind = "postgres"
    foreign_keys = arrays = addresses = True

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self.run("DROP SCHEMA IF EXISTS olvido CASCADE; DROP SCHEMA public CASCADE; CREATE SCHEMA public")

    def run(self, script: str) -> Rows:
        with closing(psycopg2.connect(self._dsn)) as connection, connection, connection.cursor() as cursor:
            cursor.execute(script)
            return cursor.fetchall() if cursor.description else []

    def _sink(self, told: SinkSettings, data_map: DataMap) -> Sink:
        return PostgresSink(told, self._dsn, data_map)


class DuckDBDatabase(_Sinks):
    """A file. It cannot delete both ends of a foreign key in one transaction, so it has none."""

    kind = "duckdb"
    foreign_keys = False
    arrays = addresses = True

    def __init__(self, path: Path) -> None:
        self._path = path
        with opened(path):
            pass

    def run(self, script: str) -> Rows:
        with opened(self._path) as connection:
            return connection.execute(_REFERENCE.sub("", script)).fetchall()

    def _sink(self, told: SinkSettings, data_map: DataMap) -> Sink:
        return DuckDBSink(told, self._path, data_map)


class SQLiteDatabase(_Sinks):
    """A file."""

    kind = "sqlite"
    foreign_keys = addresses = True
    arrays = False

    def __init__(self, path: Path) -> None:
        self._path = path
        sqlite3.connect(path).close()

    def run(self, script: str) -> Rows:
        with closing(sqlite3.connect(self._path)) as connection:
            if script.startswith("SELECT"):
                return connection.execute(script).fetchall()
            connection.executescript(script)
            return []

    def _sink(self, told: SinkSettings, data_map: DataMap) -> Sink:
        return SQLiteSink(told, self._path, data_map)


class MySQLDatabase(_Sinks):
    """One database on the tests' MariaDB server; each test empties it first."""

    kind = "mysql"
    foreign_keys = True
    arrays = addresses = False

    def __init__(self, url: str) -> None:
        self._url = url
        # The journal's own tables stay, and lose their rows: making tables is what takes the time.
        tables = self.run("SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()")
        gone = ["DELETE FROM" if name.startswith("olvido_") else "DROP TABLE" for (name,) in tables]
        emptied = [f'{how} "{name}"' for how, (name,) in zip(gone, tables, strict=True)]
        self.run("; ".join(["SET foreign_key_checks = 0", *emptied]))

    def run(self, script: str) -> Rows:
        with closing(connected(self._url)) as connection, connection.cursor() as cursor:
            # Names in the marks of the standard, as in the other kinds' schemas.
            cursor.execute("SET SESSION sql_mode = CONCAT(@@sql_mode, ',ANSI_QUOTES')")
            for statement in filter(str.strip, script.split(";")):
                cursor.execute(statement)
            return list(cursor.fetchall())

    def _sink(self, told: SinkSettings, data_map: DataMap) -> Sink:
        return MySQLSink(told, Address.of(self._url), data_map)


def _told(
    tables: Mapping[str, Any], identities: Sequence[IdentityKind], purposes: tuple[str, ...]
) -> SinkSettings:
    """What the sink is told: it is given the kinds that its tables hold, unless a test says otherwise."""
    held = {kind for table in tables.values() for kind in table.get("identities", ())}
    kinds = tuple(identities) or tuple(kind for kind in IdentityKind if kind in held)
    return SinkSettings(name=SINK, region="cn", identities=kinds, purposes=purposes, own={})


def content(database: Database, tables: Iterable[str]) -> Content:
    """All rows of some tables."""
    return {name: database.run(f"SELECT * FROM {_quoted(name)}") for name in tables}


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def difference(before: Content, after: Content) -> dict[str, tuple[Rows, Rows]]:
    """By table that is not as before: the rows that went, and those that came in their place."""
    found = {}
    for name, rows in before.items():
        old, new = Counter(map(repr, rows)), Counter(map(repr, after[name]))
        if old != new:
            found[name] = (_sorted(rows, old - new), _sorted(after[name], new - old))
    return found


def _sorted(rows: Rows, wanted: Counter[str]) -> Rows:
    by_text = {repr(row): row for row in rows}
    return [by_text[text] for text in sorted(wanted.elements())]


def identities_of(
    *, customer_id: str = "", email: str | Iterable[str] = (), phone: str = ""
) -> Iterator[Identity]:
    """Identities of a person; of addresses there may be several."""
    given = {
        IdentityKind.CUSTOMER_ID: [customer_id],
        IdentityKind.EMAIL: [email] if isinstance(email, str) else list(email),
        IdentityKind.PHONE: [phone],
    }
    yield from (an_identity(kind, value) for kind, values in given.items() for value in values if value)
