"""PostgreSQL databases that tests use one after another, each time as if they were new.

A new database costs a copy of the template and a checkpoint, and the first connection to it reads the
system's tables anew: 100 ms of CPU, five times what emptying takes. Migrations take as much again, so a
database that is wanted with its tables keeps them, and loses its rows.
"""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any
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

# Each row says which transaction wrote it: whoever changes a table changes this.
FORM = "select md5(string_agg(form, ' ' order by form)) from ({}) as forms".format(
    " union all ".join(
        f"select concat('{catalogue}', oid, '/', xmin) as form from {catalogue} where {namespace} in"
        " (select oid from pg_namespace where nspname !~ '^pg_' and nspname <> 'information_schema')"
        for catalogue, namespace in {
            "pg_namespace": "oid",
            "pg_class": "relnamespace",
            "pg_constraint": "connamespace",
            "pg_proc": "pronamespace",
            "pg_type": "typnamespace",
        }.items()
    )
    + " union all select concat(attrelid, '.', attnum, '/', xmin) from pg_attribute where attrelid >= 16384"
    " union all select concat('pg_trigger', oid, '/', xmin) from pg_trigger"
    " union all select concat('migrations', ctid, '/', xmin) from migrations"
)
TABLES = """
select quote_ident(relname) from pg_class
where relkind = 'r' and relnamespace = 'public'::regnamespace and relname <> 'migrations'
"""
SEQUENCES = "select setval(seqrelid, seqstart, false) from pg_sequence"
BYTES = "select sum(pg_relation_size(oid)) from pg_class where relnamespace = 'public'::regnamespace"
BYTES_MAX = 8 << 20  # deleted rows stay in the files, and whoever reads a table reads over them


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
    with closing(_connect(dsn)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(LEAVE)
        _reset_settings(cursor)
        cursor.execute(SCHEMAS)
        for (schema,) in cursor.fetchall():
            cursor.execute(sql.SQL("drop schema {} cascade").format(sql.Identifier(schema)))
        cursor.execute(PUBLIC)
    return dsn


class MigratedDatabase:
    """A database that is migrated for each test, and has no row in its tables.

    Args:
        dsn: the database.
        migrate: gives an empty one its tables.
    """

    def __init__(self, dsn: str, migrate: Callable[[str], object]) -> None:
        self.dsn, self._migrate = dsn, migrate
        self._form: str | None = None

    def anew(self) -> str:
        """The database without rows; emptied and migrated again, if somebody changed more than rows."""
        if not self._without_rows():
            self._migrate(emptied(self.dsn))
            with closing(_connect(self.dsn)) as connection, connection.cursor() as cursor:
                self._form = _one(cursor, FORM)
        return self.dsn

    def _without_rows(self) -> bool:
        with closing(_connect(self.dsn)) as connection, connection, connection.cursor() as cursor:
            cursor.execute(LEAVE)
            try:
                if _one(cursor, FORM) != self._form or _one(cursor, BYTES) > BYTES_MAX:
                    return False
            except psycopg2.errors.UndefinedTable:  # somebody emptied it
                return False
            _reset_settings(cursor)
            cursor.execute(TABLES)
            tables = [table for (table,) in cursor.fetchall()]
            # No trigger refuses it, and no foreign key asks for an order.
            cursor.execute("set local session_replication_role = replica")
            cursor.execute("; ".join(f"delete from {table}" for table in tables))
            cursor.execute(SEQUENCES)
        return True


def _connect(dsn: str) -> psycopg2.extensions.connection:
    return psycopg2.connect(dsn, options="-c default_transaction_read_only=off")


def _reset_settings(cursor: psycopg2.extensions.cursor) -> None:
    name = sql.Identifier(cursor.connection.info.dbname)
    cursor.execute(sql.SQL("alter database {} reset all").format(name))


def _one(cursor: psycopg2.extensions.cursor, query: str) -> Any:
    cursor.execute(query)
    [(value,)] = cursor.fetchall()
    return value
