"""Targets for the sinks: real ones, each test with its own."""

import os
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest
from sinks.http_target import HttpTargetApp
from sinks.postgres_server import PostgresServer, postgres_server
from sinks.targets import DuckDBTarget, HttpTarget, PostgresTarget, Target, served

GIVEN = "OLVIDO_TEST_POSTGRES_DSN"


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


@pytest.fixture(scope="module")
def own_server() -> Iterator[PostgresServer]:
    """A PostgreSQL server that a test may stop."""
    with postgres_server() as server:
        yield server


@pytest.fixture
def postgres_target(postgres: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[PostgresTarget]:
    """The shop in PostgreSQL."""
    target = PostgresTarget(postgres, monkeypatch)
    yield target
    target.drop()


@pytest.fixture
def duckdb_target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DuckDBTarget:
    """The shop in a DuckDB file."""
    return DuckDBTarget(tmp_path / "shop.duckdb", monkeypatch)


@pytest.fixture
def http_target(monkeypatch: pytest.MonkeyPatch) -> Iterator[HttpTarget]:
    """The shop behind HTTP."""
    app = HttpTargetApp()
    with served(app) as url:
        yield HttpTarget(url, app, monkeypatch)


@pytest.fixture(params=["postgres", "duckdb", "http"])
def target(request: pytest.FixtureRequest) -> Target:
    """Each of the three in turn: what every sink must hold."""
    found: Target = request.getfixturevalue(f"{request.param}_target")
    return found


@pytest.fixture(params=["postgres", "duckdb"])
def tables_target(request: pytest.FixtureRequest) -> Target:
    """Each of those that have tables: what a data map promises."""
    found: Target = request.getfixturevalue(f"{request.param}_target")
    return found
