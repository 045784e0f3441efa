"""Targets for the sinks: real ones, each test with its own."""

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import psycopg2
import pymysql
import pytest
from emptied import database as a_database
from emptied import emptied
from not_tried import NOT_TRIED
from sinks.databases import Database, DuckDBDatabase, MySQLDatabase, PostgresDatabase, SQLiteDatabase
from sinks.http_target import HttpTargetApp
from sinks.mariadb_server import connected, mariadb_server, programs
from sinks.mysql_target import MySQLTarget
from sinks.postgres_server import PostgresServer, postgres_server
from sinks.sqlite_target import SQLiteTarget
from sinks.targets import DuckDBTarget, HttpTarget, PostgresTarget, Target, served

GIVEN = "OLVIDO_TEST_POSTGRES_DSN"
GIVEN_MARIADB = "OLVIDO_TEST_MARIADB"


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """A superuser of a PostgreSQL server: the one that is given, or one of our own."""
    given = os.environ.get(GIVEN)
    if given:
        try:
            psycopg2.connect(given, connect_timeout=5).close()
        except psycopg2.Error as error:
            pytest.fail(f"{GIVEN} is given but does not answer ({type(error).__name__}): mend it or unset it")
        yield given
    else:
        with postgres_server() as server:
            yield server.dsn


@pytest.fixture(scope="session")
def mariadb(docker: bool) -> Iterator[str]:
    """A superuser of a MariaDB server: the one that is given, in Docker, or one of our own."""
    given = os.environ.get(GIVEN_MARIADB)
    if given:
        try:
            connected(given, connect_timeout=5).close()
        except pymysql.Error as error:
            pytest.fail(
                f"{GIVEN_MARIADB} is given but does not answer ({type(error).__name__}): mend it or unset it"
            )
        yield given
    elif docker:
        from containers import mariadb

        with mariadb() as url:
            yield url
    elif found := programs():
        with mariadb_server(found) as server:
            yield server.url
    else:
        pytest.skip(
            f"{NOT_TRIED}MariaDB. {GIVEN_MARIADB} gives no server, no Docker engine answers, "
            "and this machine has neither mariadbd nor apt"
        )


@pytest.fixture
def mariadb_url(mariadb: str) -> Iterator[str]:
    """A new, empty database on that server."""
    name = f"shop_{uuid4().hex}"
    with closing(connected(mariadb)) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
        yield f"{mariadb}/{name}"
        cursor.execute(f"DROP DATABASE {name}")


@pytest.fixture(scope="module")
def reused_postgres(postgres: str) -> Iterator[str]:
    """One database for the tests of a module, each of which empties it: making one is what takes the time."""
    with a_database(postgres, "reused") as dsn:
        yield dsn


@pytest.fixture(scope="module")
def reused_mariadb(mariadb: str) -> Iterator[str]:
    """The same on MariaDB."""
    target = f"{mariadb}/reused_{uuid4().hex}"
    name = target.rpartition("/")[2]
    with closing(connected(mariadb)) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
        yield target
        cursor.execute(f"DROP DATABASE {name}")


@pytest.fixture(params=["postgres", "duckdb", "sqlite", "mysql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    """Each kind of database in turn, empty."""
    if request.param == "postgres":
        return PostgresDatabase(request.getfixturevalue("reused_postgres"))
    if request.param == "duckdb":
        return DuckDBDatabase(tmp_path / "target.duckdb")
    if request.param == "mysql":
        return MySQLDatabase(request.getfixturevalue("reused_mariadb"))
    return SQLiteDatabase(tmp_path / "target.sqlite")


@pytest.fixture(scope="module")
def own_server() -> Iterator[PostgresServer]:
    """A PostgreSQL server that a test may stop."""
    with postgres_server() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_database(postgres: str) -> Iterator[str]:
    """The database that shops are in, one after another."""
    with a_database(postgres, "shop") as dsn:
        yield dsn


@pytest.fixture
def postgres_target(postgres_database: str, monkeypatch: pytest.MonkeyPatch) -> PostgresTarget:
    """The shop in PostgreSQL."""
    return PostgresTarget(emptied(postgres_database), monkeypatch)


@pytest.fixture
def duckdb_target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DuckDBTarget:
    """The shop in a DuckDB file."""
    return DuckDBTarget(tmp_path / "shop.duckdb", monkeypatch)


@pytest.fixture
def sqlite_target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SQLiteTarget:
    """The shop in an SQLite file."""
    return SQLiteTarget(tmp_path / "shop.sqlite", monkeypatch)


@pytest.fixture
def mysql_target(mariadb: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[MySQLTarget]:
    """The shop in MariaDB."""
    target = MySQLTarget(mariadb, monkeypatch)
    yield target
    target.drop()


@pytest.fixture
def http_target(monkeypatch: pytest.MonkeyPatch) -> Iterator[HttpTarget]:
    """The shop behind HTTP."""
    app = HttpTargetApp()
    with served(app) as url:
        yield HttpTarget(url, app, monkeypatch)


@pytest.fixture(params=["postgres", "duckdb", "sqlite", "mysql", "http"])
def target(request: pytest.FixtureRequest) -> Target:
    """Each of them in turn: what every sink must hold."""
    found: Target = request.getfixturevalue(f"{request.param}_target")
    return found


@pytest.fixture(params=["postgres", "duckdb", "sqlite", "mysql"])
def tables_target(request: pytest.FixtureRequest) -> Target:
    """Each of those that have tables: what a data map promises."""
    found: Target = request.getfixturevalue(f"{request.param}_target")
    return found
