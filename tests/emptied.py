"""PostgreSQL databases that tests use one after another, each time as if they were new.

A new database costs a copy of the template and a checkpoint, and the first connection to it reads the
system's tables anew: 100 ms of CPU, five times what emptying takes.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from uuid import uuid4

import psycopg2
from psycopg2 import sql

# Whoever is left over from the test before would hold locks, or write to the next test's tables.
LEAVE = """
select pg_terminate_backend(pid) from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid()
"""
SCHEMAS = "select nspname from pg_namespace where nspname !~ '^pg_' and nspname <> 'information_schema'"
# As initdb makes it.
PUBLIC = """
create schema public authorization pg_database_owner;
grant usage on schema public to public;
"""


@contextmanager
def database(admin_dsn: str, name: str) -> Iterator[str]:
    """A database with a name that begins so, for as long as the block lasts; its address."""
    whole = sql.Identifier(name := f"{name}_{uuid4().hex}")
    with closing(psycopg2.connect(admin_dsn)) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        cursor.execute(sql.SQL("create database {}").format(whole))
        try:
            yield psycopg2.extensions.make_dsn(admin_dsn, dbname=name)
        finally:
            cursor.execute(sql.SQL("drop database {} with (force)").format(whole))


def emptied(dsn: str) -> str:
    """The same database, with no other connection, no setting of its own, and nothing in it."""
    with (
        closing(psycopg2.connect(dsn, options="-c default_transaction_read_only=off")) as connection,
        connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(LEAVE)
        cursor.execute(sql.SQL("alter database {} reset all").format(sql.Identifier(connection.info.dbname)))
        cursor.execute(SCHEMAS)
        for (schema,) in cursor.fetchall():
            cursor.execute(sql.SQL("drop schema {} cascade").format(sql.Identifier(schema)))
        cursor.execute(PUBLIC)
    return dsn
