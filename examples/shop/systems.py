"""The shop's five systems as they are: made, filled, and read with SQL of our own.

Nothing of Olvido's sinks is used here: what they say is checked by what is read here.
"""

import io
import json
import sqlite3
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import duckdb
import psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection as Connection
from psycopg2.extras import execute_values

from olvido.core.errors import ConfigError
from shop.people import Person
from shop.plan import FATES, Table, Value

Rows = Mapping[str, str]  # a table: each row's whole content as JSON, by key
Snapshot = Mapping[str, Rows]  # a system: its tables

PAGE_ROWS = 2_000  # of one INSERT
POLL_S = 0.2


class System(Protocol):
    """One of the shop's systems, read and written without Olvido."""

    @property
    def name(self) -> str:
        """What olvido.toml calls it."""
        ...

    def create(self) -> None:
        """Make it anew and empty. What was there is gone."""
        ...

    def fill(self, tables: Mapping[str, Table]) -> None:
        """Write rows, tables in the given order."""
        ...

    def snapshot(self) -> Snapshot:
        """Every row of the shop's own tables, whole."""
        ...

    def find(self, people: Sequence[Person]) -> Mapping[str, int]:
        """How many rows name one of these people by customer id, e-mail, device or cookie; by table."""
        ...

    def journal(self) -> Counter[str]:
        """How often each task_id.generation is remembered as done."""
        ...

    def dump(self) -> Iterator[tuple[str, bytes]]:
        """All that is written in it, in text, table by table: the sink's own tables too."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Postgres:
    """The CRM or the store in Singapore."""

    name: str
    dsn: str = field(repr=False)
    ddl: Path
    finders: Mapping[str, str]  # by table: the condition that a row names somebody

    def create(self) -> None:
        """Make it anew and empty, the sink's journal gone as well."""
        with self._open() as cursor:
            cursor.execute(
                "drop schema if exists olvido cascade; drop schema public cascade; create schema public"
            )
            cursor.execute(self.ddl.read_text(encoding="utf-8"))

    def fill(self, tables: Mapping[str, Table]) -> None:
        """Write rows, tables in the given order."""
        with self._open() as cursor:
            for name, table in tables.items():
                insert = sql.SQL("insert into {} ({}) values %s").format(
                    sql.Identifier(name), sql.SQL(", ").join(map(sql.Identifier, table.columns))
                )
                execute_values(cursor, insert, table.rows, page_size=PAGE_ROWS)

    def add(self, table: str, values: Mapping[str, Value]) -> str:
        """Write one new row, as the shop's own website would; its key."""
        with self._open() as cursor:
            insert = sql.SQL("insert into {} ({}) values %s returning id").format(
                sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, values))
            )
            cursor.execute(insert, (tuple(values.values()),))
            return str(_one(cursor.fetchone()))

    def snapshot(self) -> Snapshot:
        """Every row of the shop's own tables."""
        with self._open() as cursor:
            return {
                name: dict(_selected(cursor, f"select id, row_to_json(t)::text from {name} t"))
                for name in FATES[self.name]
            }

    def row(self, table: str, key: str) -> str:
        """One row, whole."""
        with self._open() as cursor:
            cursor.execute(f"select row_to_json(t)::text from {table} t where id = %s", (key,))
            return _one(cursor.fetchone())

    def journal(self) -> Counter[str]:
        """How often the sink remembers each task and generation, as task_id.generation."""
        with self._open() as cursor:
            cursor.execute("select task_id || '.' || generation from olvido.applied")
            return Counter(key for (key,) in cursor)

    def find(self, people: Sequence[Person]) -> Mapping[str, int]:
        """How many rows name one of these people, by table."""
        given = {
            "customer_ids": [person.customer_id for person in people],
            "emails": [person.email.lower() for person in people],
        }
        with self._open() as cursor:
            found = {}
            for table, condition in self.finders.items():
                cursor.execute(f"select count(*) from {table} where {condition}", given)
                found[table] = int(_one(cursor.fetchone()))
        return found

    def dump(self) -> Iterator[tuple[str, bytes]]:
        """All tables of all schemas, as COPY writes them."""
        yield from dump_database(self.dsn)

    @contextmanager
    def _open(self) -> Iterator["psycopg2.extensions.cursor"]:
        with opened(self.dsn) as connection, connection, connection.cursor() as cursor:
            yield cursor


@dataclass(frozen=True, slots=True, kw_only=True)
class SQLite:
    """The file of the store in China, or of the marketing service. Read beside the process that writes it."""

    name: str
    file: Path
    ddl: Path
    finders: Mapping[str, str]  # by table: the column that names somebody
    remembered: str  # the query for what was done

    def create(self) -> None:
        """Make it anew and empty."""
        for path in self._parts():
            path.unlink(missing_ok=True)
        with self._open() as connection:
            connection.execute("pragma journal_mode = wal")
            connection.executescript(self.ddl.read_text(encoding="utf-8"))

    def fill(self, tables: Mapping[str, Table]) -> None:
        """Write rows, before anybody else does."""
        with self._open() as connection, connection:
            for name, table in tables.items():
                marks = ", ".join("?" * len(table.columns))
                insert = f"insert into {name} ({', '.join(table.columns)}) values ({marks})"
                connection.executemany(insert, [tuple(map(_sqlite_value, row)) for row in table.rows])

    def snapshot(self) -> Snapshot:
        """Every row of the shop's own tables."""
        with self._open() as connection:
            connection.row_factory = sqlite3.Row
            return {name: self._rows(connection, name) for name in FATES[self.name]}

    def journal(self) -> Counter[str]:
        """How often the key of each task that was done is remembered."""
        with self._open() as connection:
            return Counter(key for (key,) in connection.execute(self.remembered))

    def find(self, people: Sequence[Person]) -> Mapping[str, int]:
        """How many rows have a customer id or an e-mail of one of these people."""
        ids = {
            value.lower()
            for person in people
            for value in (person.customer_id, person.email, person.second_email)
        }
        with self._open() as connection:
            return {
                table: sum(
                    held is not None and held.lower() in ids
                    for (held,) in connection.execute(f"select {column} from {table}")
                )
                for table, column in self.finders.items()
            }

    def dump(self) -> Iterator[tuple[str, bytes]]:
        """The bytes of the file itself, of pages that are free as well, and of its logs."""
        for path in self._parts():
            if path.exists():
                yield path.name, path.read_bytes()

    def wait_until_written_anew(self, within_s: float) -> None:
        """Return when the sink has written anew what lives, as it does when it has a moment."""
        give_up_at = time.monotonic() + within_s
        while time.monotonic() < give_up_at:
            with suppress(sqlite3.OperationalError), self._open() as connection:
                if not connection.execute("select 1 from olvido_rewrite_due").fetchall():
                    return
            time.sleep(POLL_S)

    def _parts(self) -> list[Path]:
        return [self.file.with_name(self.file.name + suffix) for suffix in ("", "-wal", "-journal", "-shm")]

    @staticmethod
    def _rows(connection: sqlite3.Connection, name: str) -> Rows:
        columns = connection.execute("select name, pk from pragma_table_info(?) order by pk", (name,))
        keys = [column["name"] for column in columns if column["pk"]]
        return {
            "/".join(str(row[key]) for key in keys): _json(dict(row))
            for row in connection.execute(f"select * from {name}")
        }

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self.file)) as connection:
            connection.execute("pragma secure_delete = on")
            yield connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Analytics:
    """The DuckDB file. One process at a time may have it open: stop the sink before reading."""

    name: str = "analytics"
    file: Path
    ddl: Path

    def create(self) -> None:
        """Make it anew and empty."""
        for path in self.file.parent.glob(f"{self.file.name}*"):
            path.unlink()
        with self._open() as connection:
            connection.execute(self.ddl.read_text(encoding="utf-8"))

    def fill(self, tables: Mapping[str, Table]) -> None:
        """Write rows, a table in one statement: row by row takes a minute."""
        with self._open() as connection:
            for name, table in tables.items():
                columns = [list(column) for column in zip(*table.rows, strict=True)]
                values = ", ".join("unnest(?)" for _ in columns)
                connection.execute(
                    f"insert into {name} ({', '.join(table.columns)}) select {values}",
                    columns,
                )

    def snapshot(self) -> Snapshot:
        """Every visitor and event."""
        with self._open() as connection:
            return {name: _duckdb_rows(connection, name) for name in FATES[self.name]}

    def journal(self) -> Counter[str]:
        """How often the sink remembers each task and generation, as task_id.generation."""
        with self._open() as connection:
            told = connection.execute("select task_id || '.' || generation from olvido.applied").fetchall()
            return Counter(key for (key,) in told)

    def wait_until_written_anew(self, within_s: float) -> None:
        """Return when the sink has copied what lives to a new file, as it does when it has a moment."""
        give_up_at = time.monotonic() + within_s
        while time.monotonic() < give_up_at:
            with suppress(duckdb.IOException, duckdb.CatalogException), self._open() as connection:
                if not connection.execute("select 1 from olvido.compaction_due").fetchall():
                    return
            time.sleep(POLL_S)

    def find(self, people: Sequence[Person]) -> Mapping[str, int]:
        """How many visitors are known by an id of one of these people."""
        ids = [i for person in people for i in (person.customer_id, person.device_id, person.cookie_id)]
        with self._open() as connection:
            told = connection.execute(
                "select count(*) from visitors where list_has_any($1, [customer_id, device_id, cookie_id])",
                [ids],
            ).fetchone()
        return {"visitors": int(_one(told))}

    def dump(self) -> Iterator[tuple[str, bytes]]:
        """All tables of all schemas, as text; then the bytes of the file, which the sink writes anew."""
        with self._open() as connection:
            names = connection.execute(
                "select table_schema, table_name from information_schema.tables "
                "where table_type = 'BASE TABLE'"
            ).fetchall()
            for schema, name in names:
                rows = connection.execute(f'select cast(t as varchar) from "{schema}"."{name}" t').fetchall()
                yield f"{schema}.{name}", "\n".join(str(row) for (row,) in rows).encode()
        yield self.file.name, self.file.read_bytes()

    @contextmanager
    def _open(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with closing(duckdb.connect(self.file)) as connection:
            connection.execute("set timezone = 'UTC'")
            yield connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Systems:
    """All five."""

    crm: Postgres
    marketing: SQLite
    analytics: Analytics
    store_cn: SQLite
    store_sg: Postgres

    @property
    def all(self) -> tuple[System, ...]:
        """In the order of olvido.toml."""
        return (self.crm, self.marketing, self.analytics, self.store_cn, self.store_sg)

    def plant(self, tables: Mapping[str, Mapping[str, Table]]) -> None:
        """Make all of them anew, with these rows."""
        for system in self.all:
            system.create()
            system.fill(tables[system.name])

    def snapshot(self) -> Mapping[str, Snapshot]:
        """Every row of every system."""
        return {system.name: system.snapshot() for system in self.all}


_STORE_FINDERS = {"accounts": "customer_id = any(%(customer_ids)s) or lower(email) = any(%(emails)s)"}
_JOURNAL_OF_THE_SINK = "select task_id || '.' || generation from olvido_applied"
_CRM_FINDERS = {
    "customers": "customer_no = any(%(customer_ids)s) or lower(email) = any(%(emails)s)",
    "enquiries": "lower(from_email) = any(%(emails)s)",
}


def systems_at(
    *, shop: Path, crm: str, store_cn: Path, store_sg: str, marketing: Path, analytics: Path
) -> Systems:
    """The five systems, at these addresses and files, as `examples/shop` describes them.

    Raises:
        ConfigError: the folder `shop` is not there, as in an installation without the examples.
    """
    check_shop(shop)
    return Systems(
        crm=Postgres(name="crm", dsn=crm, ddl=shop / "crm.sql", finders=_CRM_FINDERS),
        marketing=SQLite(
            name="marketing",
            file=marketing,
            ddl=shop / "marketing.sql",
            finders={"contacts": "email"},
            remembered="select idempotency_key from answered",
        ),
        analytics=Analytics(file=analytics, ddl=shop / "analytics.sql"),
        store_cn=SQLite(
            name="store-cn",
            file=store_cn,
            ddl=shop / "store_cn.sql",
            finders={"accounts": "customer_id", "emails": "address"},
            remembered=_JOURNAL_OF_THE_SINK,
        ),
        store_sg=Postgres(name="store-sg", dsn=store_sg, ddl=shop / "store_sg.sql", finders=_STORE_FINDERS),
    )


def check_shop(shop: Path) -> None:
    """Check that the folder with the shop's tables and programs is there.

    Raises:
        ConfigError: it is not.
    """
    if not (shop / "crm.sql").is_file():
        raise ConfigError(
            f"{shop} is not there: the example shop is part of the project's folder and not of the installed "
            f"package. Use it in a clone of the project."
        )


def dump_database(dsn: str) -> Iterator[tuple[str, bytes]]:
    """All tables of all schemas of one PostgreSQL database, as COPY writes them."""
    with opened(dsn) as connection, connection, connection.cursor() as cursor:
        cursor.execute(
            "select quote_ident(schemaname) || '.' || quote_ident(tablename) from pg_tables "
            "where schemaname not in ('pg_catalog', 'information_schema') order by 1"
        )
        for (table,) in cursor.fetchall():
            content = io.BytesIO()
            cursor.copy_expert(f"copy {table} to stdout", content)
            yield table, content.getvalue()


@contextmanager
def opened(dsn: str) -> Iterator[Connection]:
    """A connection that writes instants in UTC, and is closed afterwards."""
    with closing(psycopg2.connect(dsn, options="-c timezone=UTC")) as connection:
        yield connection


def _selected(cursor: "psycopg2.extensions.cursor", query: str) -> Iterable[tuple[str, str]]:
    cursor.execute(query)
    return ((str(key), str(row)) for key, row in cursor)


def _one(row: tuple[object, ...] | None) -> str:
    assert row is not None, "an aggregate and RETURNING always give a row"
    return str(row[0])


def _duckdb_rows(connection: duckdb.DuckDBPyConnection, table: str) -> Rows:
    found = connection.execute(f"select * from {table}")
    names = [column[0] for column in found.description or ()]
    return {str(row[0]): _json(dict(zip(names, row, strict=True))) for row in found.fetchall()}


def _json(row: Mapping[str, object]) -> str:
    return json.dumps(row, ensure_ascii=False, default=str)


def _sqlite_value(value: Value) -> Value:
    """Instants as the marketing service writes them, so that they compare as text."""
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ") if isinstance(value, datetime) else value
