"""Databases in the manner of those that people have (``people/*.sql``), and what nobody may read of them."""

import tomllib
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg2
from psycopg2 import sql

from olvido.sinks.discovery.links import of_types, unwritten
from olvido.sinks.discovery.live import TargetReader
from olvido.sinks.discovery.looking import look_at
from olvido.sinks.discovery.proposal import Proposal, propose

PEOPLE = Path(__file__).parent / "people"
PLANTED = ("quimera", "600731", "203.0.113", "奎梅拉", "00000016q")


def content(name: str) -> str:
    """The statements that make one of them."""
    return (PEOPLE / f"{name}.sql").read_text(encoding="utf-8")


@contextmanager
def database(admin_dsn: str, statements: str) -> Iterator[str]:
    """A database of its own, and a superuser's address of it."""
    name = f"people_{uuid4().hex}"
    run(admin_dsn, sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    dsn = psycopg2.extensions.make_dsn(admin_dsn, dbname=name)
    try:
        run(dsn, statements)
        yield dsn
    finally:
        run(admin_dsn, sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@contextmanager
def role(dsn: str, rights: str) -> Iterator[str]:
    """A role with some rights (``{role}`` stands for it), and its address."""
    name = f"role_{uuid4().hex[:12]}"
    run(dsn, f"CREATE ROLE {name} LOGIN PASSWORD 'for-tests'")
    try:
        run(dsn, rights.format(role=name))
        yield psycopg2.extensions.make_dsn(dsn, user=name, password="for-tests")
    finally:
        run(dsn, f"DROP OWNED BY {name}; DROP ROLE {name}")


def run(dsn: str, statement: "str | sql.Composable", values: Any = None) -> list[tuple[Any, ...]]:
    """Run a statement, committed at once."""
    with closing(psycopg2.connect(dsn)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement, values)
            return cursor.fetchall() if cursor.description else []


def proposed(reader: TargetReader, *, rows: int = 200) -> Proposal:
    """What is proposed for a target."""
    try:
        seen = look_at(reader, reader.tables(), rows=rows)
        guessed = [*unwritten(reader, seen), *of_types(reader, seen)] if rows else []
        return propose("crm", seen, guessed)
    finally:
        reader.close()


def tables_of(toml: str, sink: str = "crm") -> Mapping[str, Any]:
    """The tables that a proposal's text declares."""
    tables: Mapping[str, Any] = tomllib.loads(toml)["sinks"][sink]["tables"]
    return tables


def names_nobody(text: str) -> bool:
    """Whether nothing that names a person is in a text."""
    return not any(planted in text.lower() for planted in PLANTED)
