"""The way into the ledger database: one connection for each thread, whole transactions, our faults."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any
from uuid import UUID

import psycopg2
import psycopg2.errors
import psycopg2.extensions
import psycopg2.extras

from olvido.core.errors import ConfigError, OlvidoError, Unavailable
from olvido.core.sql import array_of
from olvido.ledger.sql import QUERIES

STATEMENT_TIMEOUT_S = 30  # far below Faust's and librdkafka's patience of five minutes
CONNECT_TIMEOUT_S = 5

# Who vanished in the middle of a transaction, with its machine or behind a dead link, would keep what it
# holds for hours, and others would wait. Longer than a publish: some are within a transaction.
IDLE_IN_TRANSACTION_S = 60

_OPTIONS = (
    "-c statement_timeout={statement}s -c idle_in_transaction_session_timeout={idle}s "
    "-c synchronous_commit=on -c timezone=UTC"
)

_PASSING = (
    psycopg2.OperationalError,
    psycopg2.InterfaceError,
    psycopg2.errors.IdleInTransactionSessionTimeout,
    psycopg2.errors.ReadOnlySqlTransaction,  # a standby that has not taken over yet
)

Row = tuple[Any, ...]
Value = str | int | bool | bytes | datetime | timedelta | UUID | None | Sequence[Any]


class Overtaken(OlvidoError):
    """Another process saved one of these ids in the meantime: nothing was saved; load and step again."""


class Transaction:
    """One transaction of the ledger."""

    def __init__(self, cursor: psycopg2.extensions.cursor) -> None:
        self._cursor = cursor

    def run(self, query: str, **values: Value) -> int:
        """Run a named query for its effect; returns how many rows it touched."""
        self._cursor.execute(QUERIES[query], _parameters(values))
        return self._cursor.rowcount

    def rows(self, query: str, **values: Value) -> list[Row]:
        """Run a named query for its rows."""
        self._cursor.execute(QUERIES[query], _parameters(values))
        return self._cursor.fetchall()

    def records(self, query: str, **values: Value) -> list[Mapping[str, Any]]:
        """Run a named query for its rows, each by column name."""
        rows = self.rows(query, **values)
        names = [column.name for column in self._cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in rows]


def connect(dsn: str, *, application: str) -> psycopg2.extensions.connection:
    """A connection to the ledger database, which waits for nothing longer than it should."""
    return psycopg2.connect(
        dsn,
        application_name=application,
        connect_timeout=CONNECT_TIMEOUT_S,
        options=_OPTIONS.format(statement=STATEMENT_TIMEOUT_S, idle=IDLE_IN_TRANSACTION_S),
        keepalives_idle=10,
        keepalives_interval=5,
        keepalives_count=3,
        tcp_user_timeout=30_000,  # ms: a dead link is noticed, not waited for
    )


class Database:
    """The ledger database. May be shared between threads: each has a connection of its own."""

    def __init__(self, dsn: str, *, application: str) -> None:
        self._dsn = dsn
        self._application = application
        self._local = threading.local()

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Open a transaction; it is committed at the end, or rolled back by any exception.

        Whether a COMMIT that failed took place is unknown: so each transaction starts with an
        insert on its own key that does nothing the second time, and may be run again whole.

        Raises:
            Unavailable: the database does not answer, is shutting down, or took turns badly.
            ConfigError: it has an older form than this version works with.
        """
        try:
            connection = self._connection()
            with connection, connection.cursor() as cursor:
                yield Transaction(cursor)
        except _PASSING as error:
            self.close()
            raise Unavailable(f"the ledger database does not answer: {first_line(error)}") from None
        except (psycopg2.errors.UndefinedTable, psycopg2.errors.UndefinedColumn) as error:
            raise ConfigError(
                f"the ledger database has an older form than this version works with "
                f"({first_line(error)}); run: olvido ledger migrate"
            ) from None

    def close(self) -> None:
        """Drop this thread's connection. A repeat changes nothing."""
        connection = getattr(self._local, "connection", None)
        self._local.connection = None
        if connection is not None:
            connection.close()

    def _connection(self) -> psycopg2.extensions.connection:
        connection: psycopg2.extensions.connection | None = getattr(self._local, "connection", None)
        if connection is None or connection.closed:
            connection = connect(self._dsn, application=self._application)
            # For this connection alone: the process may have others, of somebody else's.
            psycopg2.extras.register_uuid(conn_or_curs=connection)  # type: ignore[no-untyped-call]
            self._local.connection = connection
        return connection


def columns(rows: Sequence[object], *names: str, **paths: str) -> dict[str, list[Any]]:
    """Rows as the arrays that queries unnest: the attribute ``sink`` of each becomes ``sinks``.

    Args:
        rows: the rows.
        names: attributes of them.
        paths: attributes whose array has another name, or that lie deeper: ``offset="place.offset"``.
            One that is a plural itself, too: ``attempt="attempts"`` becomes ``attempts``.
    """
    wanted = {name: name for name in names} | paths
    return {f"{name}s": [*map(attrgetter(path), rows)] for name, path in wanted.items()}


def _parameters(values: Mapping[str, Value]) -> dict[str, object]:
    return {name: array_of(value) if isinstance(value, list) else value for name, value in values.items()}


def first_line(error: Exception) -> str:
    """What PostgreSQL says, without the statement: that would hold values."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
