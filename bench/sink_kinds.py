"""How fast each kind of database carries out the same erasures: all four of them, in turns.

    PYTHONPATH=tests python bench/sink_kinds.py [--runs 5] [--keep]

The map is the crm of the repository's own olvido.toml, batches have 1,000 tasks. MariaDB's server is that
of the tests, but with fsync as the others; where there is none, MariaDB is left out.
"""

import os
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import psycopg2
import pymysql
from figures import Comparison, options, tell
from psycopg2.extensions import make_dsn, parse_dsn
from sink_postgres import BATCH, DSN, an_erasure, settings
from sinks.mariadb_server import MariaDBServer, programs

from olvido.operators.local.stack import temporary_stack
from olvido.sinks.contract import Sink, SinkSettings
from olvido.sinks.kinds.duckdb import DuckDBSink
from olvido.sinks.kinds.mysql import MySQLSink
from olvido.sinks.kinds.postgres import PostgresSink
from olvido.sinks.kinds.sqlite import SQLiteSink

CUSTOMERS = 50_000
TASKS = 5_000
FILE, URL = "OLVIDO_BENCH_FILE", "OLVIDO_BENCH_MYSQL_URL"

DDL = """
CREATE TABLE addresses (id bigint PRIMARY KEY, street {text} NOT NULL);
CREATE TABLE customers (
    id bigint PRIMARY KEY, customer_no {text} UNIQUE, email {text}, phone {text},
    marketing_allowed boolean NOT NULL DEFAULT true, restricted boolean NOT NULL DEFAULT false,
    address_id bigint {addresses}, created_at {instant} NOT NULL);
CREATE TABLE contacts (id bigint PRIMARY KEY, customer_id bigint NOT NULL {customers}, note {text});
CREATE TABLE enquiries (id bigint PRIMARY KEY, customer_id bigint {customers}, from_email {text}, body {text},
    received_at {instant} NOT NULL);
CREATE TABLE tickets (id bigint PRIMARY KEY, customer_id bigint {customers}, author_name {text}, body {text});
INSERT INTO addresses SELECT n, 'Calle ' || n FROM numbers WHERE n <= {count} / 2;
INSERT INTO customers SELECT n, 'C-' || n, 'person' || n || '@example.com', '+34' || (600000000 + n), true,
    false, 1 + (n - n % 2) / 2 % ({count} / 2), '2026-01-01 00:00:00{zone}' FROM numbers;
INSERT INTO contacts SELECT n * 2, n, 'note' FROM numbers;
INSERT INTO contacts SELECT n * 2 + 1, n, 'note' FROM numbers;
INSERT INTO enquiries SELECT n, n, 'person' || n || '@example.com', 'body', '2026-01-02 00:00:00{zone}'
    FROM numbers;
INSERT INTO tickets SELECT n, n, 'Person ' || n, 'body' FROM numbers;
CREATE INDEX customers_email ON customers ({email});
CREATE INDEX customers_phone ON customers (phone);
CREATE INDEX customers_address ON customers (address_id);
CREATE INDEX contacts_customer ON contacts (customer_id);
CREATE INDEX enquiries_customer ON enquiries (customer_id);
CREATE INDEX enquiries_email ON enquiries ({from_email});
CREATE INDEX tickets_customer ON tickets (customer_id);
"""
SERIES = "CREATE TABLE numbers AS SELECT n FROM generate_series(1, {count}) AS t (n);"
RECURSIVE = """CREATE TABLE numbers AS
WITH RECURSIVE t (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < {count}) SELECT n FROM t;"""
USUAL = {
    "text": "text", "instant": "timestamptz", "zone": "+00", "end": "ANALYZE;",
    "email": "lower(email)", "from_email": "lower(from_email)",
    "customers": "REFERENCES customers", "addresses": "REFERENCES addresses",
}  # fmt: skip
OWN: Mapping[str, Mapping[str, str]] = {
    "PostgreSQL": {"numbers": SERIES},
    # DuckDB deletes no row in the transaction that deletes what points at it by a foreign key.
    "DuckDB": {"numbers": SERIES, "customers": "", "addresses": "", "end": "CHECKPOINT;"},
    "SQLite": {"numbers": RECURSIVE, "instant": "text", "zone": "+00:00"},
    "MariaDB": {
        "numbers": "SET sql_mode = 'PIPES_AS_CONCAT';"
        "CREATE TABLE numbers AS SELECT seq AS n FROM seq_1_to_{count};",
        "text": "varchar(255)", "instant": "datetime(6)", "zone": "",
        "email": "email", "from_email": "from_email",
        "customers": "REFERENCES customers (id)", "addresses": "REFERENCES addresses (id)",
        "end": "ANALYZE TABLE customers, contacts, enquiries, tickets, addresses;",
    },
}  # fmt: skip


def main() -> None:
    """Print the figures."""
    arguments = options(__doc__).parse_args()
    with ExitStack() as parts:
        folder = Path(parts.enter_context(TemporaryDirectory()))
        kinds = dict(_kinds(parts, folder))
        runs: dict[str, list[float]] = {name: [] for name in kinds}
        for number in range(arguments.runs):
            for name, kind in kinds.items():
                with kind(number) as sink:
                    runs[name].append(_measured(sink))
                sys.stderr.write(f"{name}: {runs[name][-1]:,.0f} tasks/s\n")
    compared = Comparison(title="erasures by kind of target", unit="tasks/s", against="PostgreSQL", runs=runs)
    tell("sink_kinds", [compared], keep=arguments.keep)


Kind = Callable[
    [int], AbstractContextManager[Sink]
]  # opens a target with customers that is like new, and a sink of it


def _kinds(parts: ExitStack, folder: Path) -> Iterator[tuple[str, Kind]]:
    stack = parts.enter_context(temporary_stack(parts=frozenset({"postgres"})))
    yield "PostgreSQL", lambda number: _postgres(stack.admin_dsn(), number)
    if found := programs():
        (folder / "mariadb").mkdir()
        server = MariaDBServer(folder / "mariadb", found, sync=True)
        server.start()
        parts.callback(server.stop)
        yield "MariaDB", lambda number: _mariadb(server.url, number)
    yield "SQLite", lambda number: _sqlite(folder / f"{number}.sqlite")
    yield "DuckDB", lambda number: _duckdb(folder / f"{number}.duckdb")


@contextmanager
def _postgres(admin_dsn: str, number: int) -> Iterator[Sink]:
    with closing(psycopg2.connect(admin_dsn)) as connection:
        connection.autocommit = True
        connection.cursor().execute(f"CREATE DATABASE shop_{number}")
    os.environ[DSN] = make_dsn(**{**parse_dsn(admin_dsn), "dbname": f"shop_{number}"})
    with closing(psycopg2.connect(os.environ[DSN])) as connection:
        connection.autocommit = True
        cursor = connection.cursor()
        _fill("PostgreSQL", cursor.execute)
    with closing(PostgresSink.from_section(settings())) as sink:
        yield sink


@contextmanager
def _mariadb(admin_url: str, number: int) -> Iterator[Sink]:
    host, _, port = admin_url.rpartition("@")[2].partition(":")
    with closing(pymysql.connect(host=host, port=int(port), user="root", autocommit=True)) as connection:
        cursor = connection.cursor()
        cursor.execute(f"CREATE DATABASE shop_{number}")
        cursor.execute(f"USE shop_{number}")
        _fill("MariaDB", cursor.execute)
    os.environ[URL] = f"{admin_url}/shop_{number}"
    with closing(MySQLSink.from_section(_of("url", URL))) as sink:
        yield sink


@contextmanager
def _sqlite(path: Path) -> Iterator[Sink]:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = wal")
        _fill("SQLite", connection.execute)
        connection.commit()
    os.environ[FILE] = str(path)
    yield SQLiteSink.from_section(_of("file", FILE))


@contextmanager
def _duckdb(path: Path) -> Iterator[Sink]:
    with duckdb.connect(path) as connection:
        _fill("DuckDB", connection.execute)
    os.environ[FILE] = str(path)
    yield DuckDBSink.from_section(_of("file", FILE))


def _fill(kind: str, run: Callable[[str], object]) -> None:
    own = {**USUAL, **OWN[kind]}
    text = (own["numbers"] + DDL).format(**own, count=CUSTOMERS) + own["end"]
    for statement in filter(str.strip, text.split(";")):
        run(statement)


def _of(key: str, variable: str) -> SinkSettings:
    """The map of the crm, over another kind of target."""
    usual = settings()
    own = {name: value for name, value in usual.own.items() if name != "dsn"}
    return replace(usual, own={**own, key: {"env": variable}})


def _measured(sink: Sink) -> float:
    """Tasks a second, in batches."""
    sink.check()
    sink.install()
    tasks = [an_erasure(n * 10 + 1) for n in range(TASKS)]
    sink.apply(tasks[:1])
    began = time.perf_counter()
    for at in range(0, TASKS, BATCH):
        receipts = sink.apply(tasks[at : at + BATCH])
        assert receipts[-1].counts, "nothing was erased"
    return TASKS / (time.perf_counter() - began)


if __name__ == "__main__":
    main()
