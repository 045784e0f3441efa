"""Tasks into a PostgreSQL database: one transaction a batch, the memory of it among the effects.

The number of statements grows with the tables of the data map, never with tasks or rows.
Names go into SQL as identifiers only and values as parameters only.
"""

# ruff: noqa: S608 - names are quoted, and values are parameters

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import psycopg2
from psycopg2 import errors
from psycopg2.extensions import ISOLATION_LEVEL_REPEATABLE_READ, connection, cursor

from olvido.core.causes import Cause
from olvido.core.errors import ConfigError, Refused, Unavailable
from olvido.core.looks import LOOK_AGAIN
from olvido.core.sql import array_of
from olvido.schemas.settings.deployment import Secret
from olvido.sinks.contract import Lineage, SinkSettings
from olvido.sinks.kinds.postgres_catalogue import look, quoted
from olvido.sinks.looks import LookAgain
from olvido.sinks.section import fault, read_section
from olvido.sinks.tables.data_map import Created, DataMap
from olvido.sinks.tables.dialect import GIVEN, ROW, Dialect
from olvido.sinks.tables.engine import TableRows
from olvido.sinks.tables.journal import queries
from olvido.sinks.tables.journal_steps import first_of, missing_steps
from olvido.sinks.tables.limits import LIMITS, ErasureLimits
from olvido.sinks.tables.map_rules import read_data_map
from olvido.sinks.tables.shape import WRITTEN, Column, TypeFamily
from olvido.sinks.tables.sink import CHUNK_ROWS, ChunkingTableSink, ChunkRows
from olvido.sinks.tables.sql_pieces import Sql, together
from olvido.sinks.tables.statements import Statements
from olvido.sinks.tables.time_limits import TIME_LIMITS, Deadline, TimedSection, TimeLimits

log = logging.getLogger(__name__)
T = TypeVar("T")

CONNECT_S = 5
ATTEMPTS_MAX = 3  # of a batch that met a concurrent change of the same rows, before it waits
_CONFLICTS = (errors.SerializationFailure, errors.DeadlockDetected, errors.ForeignKeyViolation)
# A service that is not quite PostgreSQL does not tell its history, and nor does a replica.
_NOT_TOLD = (
    errors.InsufficientPrivilege,
    errors.UndefinedFunction,
    errors.FeatureNotSupported,
    errors.ObjectNotInPrerequisiteState,
)
# Classes of SQLSTATE: https://www.postgresql.org/docs/current/errcodes-appendix.html
_PASSING = ("08", "25", "28", "40", "53", "57P", "58")  # the connection, the server, its transactions
_SLOW = frozenset({"57014", "55P03"})  # a statement, or a lock, took longer than it may
_SHAPE = ("42", "3F", "3D")  # a name that is not there, or a right
# What libpq says of a failed connection, as far as it names no secret and no value.
_REASONS = (
    "Connection refused",
    "timeout expired",
    "password authentication failed",
    "No such file or directory",
    "could not translate host name",
    "too many clients",
    "starting up",
    "shutting down",
    "does not exist",
    "no pg_hba.conf entry",
    "server closed the connection",
)


class _Section(TimedSection):
    dsn: Secret
    look_again: LookAgain = LOOK_AGAIN
    chunk_rows: ChunkRows = CHUNK_ROWS


class PostgresSink(ChunkingTableSink):
    """One PostgreSQL database that holds personal data."""

    section = _Section

    def __init__(
        self,
        settings: SinkSettings,
        dsn: str,
        data_map: DataMap,
        look_again: tuple[timedelta, ...] = LOOK_AGAIN,
        chunk_rows: int = CHUNK_ROWS,
        *,
        limits: ErasureLimits = LIMITS,
        time_limits: TimeLimits = TIME_LIMITS,
    ) -> None:
        super().__init__(settings, data_map, look_again, chunk_rows, limits=limits, time_limits=time_limits)
        self._dsn = dsn
        self._connection: connection | None = None

    @classmethod
    def from_section(cls, settings: SinkSettings) -> "PostgresSink":
        """Make one out of ``sinks.<name>``: ``dsn`` and ``tables``. Nothing is connected yet.

        Raises:
            ConfigError: naming the key and the fix.
        """
        section = read_section(_Section, settings)
        data_map = read_data_map(settings, section.tables)  # first: it can be told on any machine
        dsn = section.dsn.read(key=f"sinks.{settings.name}.dsn")
        return cls(
            settings, dsn, data_map, section.look_again, section.chunk_rows, limits=section.limits,
            time_limits=section.time_limits,
        )  # fmt: skip

    def check(self) -> Sequence[str]:
        """See :meth:`olvido.sinks.contract.Sink.check`."""
        conn = self._connected()
        try:
            with self._reading(conn) as (cur, _):
                self._missing_steps(cur)
                shape = look(cur, self._map)
        except psycopg2.Error as error:
            raise self._fault(error) from None
        if self._statements is not None and shape != self._statements.shape:
            self._statements = None  # the next batch looks again
        return shape.notes

    def install(self) -> None:
        """See :meth:`olvido.sinks.contract.Sink.install`."""
        try:
            self._prepare(self._connected())
            self._note_lineage()
        except errors.InsufficientPrivilege:
            raise self._may_not_use() from None
        except psycopg2.Error as error:
            raise self._fault(error) from None

    def ping(self) -> None:
        """See :meth:`olvido.sinks.contract.Sink.ping`. It reads the catalogue, as :meth:`check` does."""
        self.check()
        if self._statements is None:
            return  # nothing is installed yet
        try:
            self._note_lineage()  # a connection outlives no fail-over, but this process does
        except psycopg2.Error as error:
            raise self._fault(error) from None

    def lineage(self) -> Lineage | None:
        """See :meth:`olvido.sinks.contract.TellingLineage.lineage`."""
        try:
            with self._reading(self._connected()) as (cur, _):
                told = _lineages(cur)
        except psycopg2.Error as error:
            raise self._fault(error) from None
        return told and _told(*told)

    def _note_lineage(self) -> None:
        """Keep with the journal that the target goes on with its lineage; say so if it was another before."""
        conn = self._connected()
        try:
            with conn.cursor() as cur:
                at = self._begin(cur)
                told = _lineages(cur)
                if told is None:
                    return
                name, seen = told
                cur.execute(queries("postgres")["note_lineage"], {"lineage": name, "at": at})
            conn.commit()
        except _CONFLICTS:
            return  # another member of the group has noted it
        finally:
            self._roll_back(conn)
        left_at = _told(name, seen).left_at
        if name not in seen and left_at is not None:
            log.warning(
                "sink %s: its target failed over or was restored; what it did after %s may be lost: "
                "olvido doctor says what to do",
                self._settings.name, left_at.isoformat(timespec="seconds"),
            )  # fmt: skip

    def _acting(self, act: Callable[[TableRows], T], limit: int | None = None) -> T:
        for attempt in range(1, ATTEMPTS_MAX + 1):
            try:
                with self._transaction(limit) as rows:
                    return act(rows)
            except _CONFLICTS as error:
                # Nothing is done yet: look again.
                if attempt == ATTEMPTS_MAX:
                    raise self._fault(error) from None
            except psycopg2.Error as error:
                if attempt == ATTEMPTS_MAX or not _already_answered(error):
                    raise self._fault(error) from None
        raise AssertionError("the last attempt returns or raises")

    def idle(self) -> None:
        """Nothing to do: autovacuum gives space back, see docs/sinks/postgres.md."""

    def close(self) -> None:
        """Close the connection; an open transaction is rolled back by the server."""
        self._drop()

    @contextmanager
    def _transaction(self, limit: int | None = None) -> Iterator[TableRows]:
        """One that is committed at the end. PostgreSQL's faults stay its own: some are tried again."""
        conn = self._connected()
        statements = self._statements or self._prepare(conn)
        try:
            with conn.cursor() as cur:
                at = self._begin(cur)
                session = _PostgresSession(cur, at, self._time_limits.deadline())
                yield TableRows(session, statements, limit=limit)
            # Killed before this line: nothing was done. Killed after it: all was done and is remembered (of a
            # chunk: counted), and what comes again is answered from the journal.
            conn.commit()
        except BaseException:
            self._roll_back(conn)
            raise

    @contextmanager
    def _committed(self) -> Iterator[TableRows]:
        try:
            with self._transaction() as rows:
                yield rows
        except psycopg2.Error as error:
            raise self._fault(error) from None

    def _rolled_back(self, act: Callable[[TableRows], T]) -> T:
        """What the journal lacks is made in the transaction, too."""
        try:
            with self._reading(self._connected()) as (cur, at):
                missing = self._missing_steps(cur)
                if missing:
                    cur.execute(queries("postgres")["install_alone"])
                for step in missing:  # whoever uses what it changes waits until it is rolled back
                    cur.execute(step)
                statements = self._statements or self._look(cur)
                if not missing:
                    self._statements = statements
                return act(TableRows(_PostgresSession(cur, at, self._time_limits.deadline()), statements))
        except psycopg2.Error as error:
            raise self._fault(error) from None

    def _look(self, cur: cursor) -> Statements:
        return Statements(_DIALECT, self._map, look(cur, self._map))

    def _prepare(self, conn: connection) -> Statements:
        """Have the journal there in this program's version, and know the tables."""
        while self._install_next(conn):
            pass
        with self._reading(conn) as (cur, _):
            self._statements = self._look(cur)
        return self._statements

    def _install_next(self, conn: connection) -> bool:
        """Do the first step that the journal lacks; whether there may be another one."""
        try:
            with conn.cursor() as cur:
                cur.execute(queries("postgres")["see_others_steps"])
                self._begin(cur)
                if not self._missing_steps(cur):
                    return False
                cur.execute(queries("postgres")["install_alone"])
                for step in self._missing_steps(cur)[:1]:  # none, if another member has done it meanwhile
                    cur.execute(step)
            # Killed before this line: the step is not done. Killed after it: it is done and has its number in
            # the journal, and the next start goes on with the step after it.
            conn.commit()
        except (errors.LockNotAvailable, errors.QueryCanceled):
            raise Unavailable(
                f"sink {self._settings.name}: others use its journal, so it cannot be changed now; "
                "it is tried again"
            ) from None
        finally:
            self._roll_back(conn)
        return True

    @contextmanager
    def _reading(self, conn: connection) -> Iterator[tuple[cursor, datetime]]:
        """A transaction that is never committed, and its instant."""
        try:
            with conn.cursor() as cur:
                yield cur, self._begin(cur)
        finally:
            self._roll_back(conn)

    def _begin(self, cur: cursor) -> datetime:
        """Limit what the transaction may wait for; its instant, by the target's clock."""
        limits = {
            "lock_timeout_ms": round(1000 * self._time_limits.lock_timeout_s),
            "statement_timeout_ms": round(1000 * self._time_limits.statement_timeout_s),
        }
        cur.execute(queries("postgres")["begin"], limits)
        at: datetime
        [(at, _)] = cur.fetchall()
        return at.astimezone(UTC)

    def _missing_steps(self, cur: cursor) -> Sequence[str]:
        """The steps that the journal lacks.

        Raises:
            ConfigError: it is newer than this program, or this role may not do them.
        """

        def ask(query: str) -> int:
            cur.execute(query)
            return int(_one(cur)[0])

        try:
            missing = missing_steps("postgres", self._settings.name, ask)
            may = not missing or ask(queries("postgres")["may_install"])
        except errors.InsufficientPrivilege:  # it may not even read the version
            raise self._may_not_use() from None
        if not may:
            name = self._settings.name
            raise fault(
                f"sinks.{name}",
                f"its journal lacks {first_of('postgres', missing)}, and this role may not make the schema "
                f"olvido, or does not own what is in it; run what olvido sinks grants {name} prints, or let "
                "the owner run that step and those after it in sinks/olvido/sinks/sql/postgres.sql",
            )
        return missing

    def _may_not_use(self) -> ConfigError:
        name = self._settings.name
        return fault(
            f"sinks.{name}",
            f"this role may not use what is in the schema olvido; run what olvido sinks grants {name} prints",
        )

    def _connected(self) -> connection:
        if self._connection is None or self._connection.closed:
            try:
                conn = psycopg2.connect(
                    self._dsn,
                    application_name="olvido",
                    connect_timeout=CONNECT_S,
                    keepalives_idle=10,
                    keepalives_interval=5,
                    keepalives_count=3,
                    tcp_user_timeout=30_000,  # ms: a dead link is noticed, not waited for
                )
            except psycopg2.OperationalError as error:
                raise self._unavailable(error) from None
            except psycopg2.ProgrammingError:
                # Its text holds the address, and so perhaps a password.
                raise fault(f"sinks.{self._settings.name}.dsn", "is not a PostgreSQL address") from None
            # One snapshot for finding and destroying: a row that changes hands meanwhile is a
            # conflict and looked at again, not a mistake.
            conn.set_session(isolation_level=ISOLATION_LEVEL_REPEATABLE_READ)
            self._connection = conn
        return self._connection

    def _roll_back(self, conn: connection) -> None:
        try:
            conn.rollback()
        except psycopg2.Error:
            self._drop()

    def _drop(self) -> None:
        conn, self._connection = self._connection, None
        if conn is not None:
            conn.close()

    def _fault(self, error: psycopg2.Error) -> Exception:
        """What a fault of PostgreSQL's is to the runner. Never its text, which may hold a row's values.

        Only what would fail every task makes the sink wait: a lost connection, a server that is full, that
        starts, stops or only reads, and tables that no longer fit the data map. Anything else is about a
        row of this batch, and the runner finds out whose.
        """
        code = error.pgcode
        if code is None or code.startswith(_PASSING) or _already_answered(error):
            self._drop()
            return self._unavailable(error)
        if code in _SLOW:
            return Refused(Cause.TOO_SLOW, reason=f"PostgreSQL gave up waiting (SQLSTATE {code})")
        # Of the same class is what a trigger raises, or a column that is generated: for one row alone.
        if code.startswith(_SHAPE) and not self._fits_still():
            return Unavailable(
                f"sink {self._settings.name}: the target's tables have changed (SQLSTATE {code}); "
                "run: olvido doctor"
            )
        about = ".".join(
            filter(None, (error.diag.table_name, error.diag.column_name or error.diag.constraint_name))
        )
        return Refused(
            Cause.REFUSED_BY_TARGET, field=about, reason=f"PostgreSQL refuses it (SQLSTATE {code})"
        )

    def _fits_still(self) -> bool:
        """Whether the tables, the rights on them and the journal are as they were when last looked at."""
        before, self._statements = self._statements, None
        if before is None:
            return False
        try:
            with self._reading(self._connected()) as (cur, _):
                cur.execute(queries("postgres")["usable"])
                fits = _one(cur) == (True,) and look(cur, self._map) == before.shape
        except (psycopg2.Error, ConfigError, Unavailable):
            return False
        if fits:
            self._statements = before
        return fits

    def _unavailable(self, error: psycopg2.Error) -> Unavailable:
        text = str(error)
        reason = error.pgcode or next(
            (r for r in _REASONS if r.lower() in text.lower()), type(error).__name__
        )
        return Unavailable(
            f"sink {self._settings.name}: PostgreSQL does not answer ({reason}); it is asked again"
        )


def _lineages(cur: cursor) -> tuple[str, Mapping[str, datetime]] | None:
    """What the server says of its history, beside what was noted of it; None if it says nothing.

    The transaction may be of no more use after it: the caller rolls it back.
    """
    try:
        cur.execute(queries("postgres")["lineage"])
    except _NOT_TOLD:
        return None
    [(name, is_installed)] = cur.fetchall()
    if not is_installed:
        return name, {}
    cur.execute(queries("postgres")["lineages"])
    return name, dict(cur.fetchall())


def _told(name: str, seen: Mapping[str, datetime]) -> Lineage:
    others = [last_seen_at for noted, last_seen_at in seen.items() if noted != name]
    return Lineage(name=name, left_at=max(others).astimezone(UTC) if others else None)


class _PostgresSession:
    """One transaction, as :class:`olvido.sinks.tables.dialect.Session` wants it."""

    def __init__(self, cur: cursor, at: datetime, deadline: Deadline) -> None:
        self.at = at
        self._cursor = cur
        self._deadline = deadline

    def run(self, statement: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        self._deadline.check()
        self._cursor.execute(statement, parameters)
        return self._cursor.fetchall() if self._cursor.description else []

    def changed(self, statement: str, parameters: Sequence[object]) -> int:
        self._deadline.check()
        self._cursor.execute(statement, parameters)
        return self._cursor.rowcount

    def named(
        self, query: str, columns: Mapping[str, Sequence[object]], **scalars: object
    ) -> list[tuple[Any, ...]]:
        self._deadline.check()
        given = {name: array_of(values) for name, values in columns.items()}
        self._cursor.execute(queries("postgres")[query], {**given, **scalars})
        return self._cursor.fetchall() if self._cursor.description else []


class _PostgresDialect:
    """PostgreSQL's SQL, as :class:`olvido.sinks.tables.dialect.Dialect` wants it."""

    name = "postgres"
    returning = True
    keys_by_row = False

    def quoted(self, *names: str) -> str:
        # psycopg2 takes a % for the beginning of a parameter.
        return quoted(".".join(names)).replace("%", "%%")

    def given(self, columns: Sequence[tuple[str, str]]) -> str:
        types = ", ".join(f"%s::{kind.replace('%', '%%')}[]" for _, kind in columns)
        return f"unnest({types}) AS {GIVEN} ({', '.join(name for name, _ in columns)})"

    def bind(self, columns: Sequence[Sequence[object]]) -> list[object]:
        return [array_of(column) for column in columns]

    def text(self, expression: str, column: Column | None) -> str:
        return f"{expression}::text"

    def as_key(self, text: str, key: Column) -> str:
        kind = "uuid" if key.family is TypeFamily.UUID else "bigint"
        return f"CASE WHEN lower({text}) ~ '{WRITTEN[key.family]}' THEN {text}::{kind} END"

    def folded(self, expression: str) -> str:
        return f"lower({expression})"

    def exactly(self, held: str, asked: str, column: Column) -> str:
        return f"{held} = {asked}"

    def alike(self, held: str, asked: str, column: Column) -> str:
        return f"lower({held}) = lower({asked})"

    def instant(self, expression: str, created: Created) -> str:
        return expression

    def json_text(self, expression: str, column: Column, path: Sequence[str]) -> str:
        literal = array_of(list(path)).replace("'", "''").replace("%", "%%")
        text = f"({expression}::jsonb #>> '{literal}')"
        # One row that is no JSON would stop the search for everybody.
        return f"CASE WHEN {expression} IS JSON THEN {text} END" if column.family is TypeFamily.TEXT else text

    def elements(self, expression: str, column: Column) -> str:
        return f"array_to_string({expression}, ' ')" if column.full.endswith("[]") else f"{expression}::text"

    def digits(self, text: str) -> str:
        return f"regexp_replace({text}, '[^0-9]', '', 'g')"

    def within(self, text: str, part: str) -> str:
        return f"strpos({text}, {part}) > 0"

    def value(self, column: Column) -> str:
        return f"%s::{column.full.replace('%', '%%')}"

    def place(self) -> str:
        return "%s::text"

    def differs(self, held: str, value: str, column: Column) -> str:
        # As text, since not every type can be compared; the value has the column's type.
        return f"{self.text(held, column)} IS DISTINCT FROM {self.text(value, column)}"

    def joined(self, parts: Sequence[str]) -> str:
        return f"concat({', '.join(parts)})"

    def delete(self, table: str, given: Sql, condition: Sql) -> Sql:
        return together(f"DELETE FROM {table} AS {ROW} USING ", given, " WHERE ", condition)

    def update(self, table: str, assignments: Sql, given: Sql, condition: Sql) -> Sql:
        return together(f"UPDATE {table} AS {ROW} SET ", assignments, " FROM ", given, " WHERE ", condition)

    def without(self, expression: str, element: str, column: Column) -> str:
        return f"array_remove({expression}, {element}::{column.full.removesuffix('[]')})"

    def contains(self, expression: str, element: str, column: Column) -> str:
        return f"{element}::{column.full.removesuffix('[]')} = ANY ({expression})"


_DIALECT: Dialect = _PostgresDialect()


def _already_answered(error: psycopg2.Error) -> bool:
    """Whether somebody else has answered a task of the batch since it was looked up in the journal."""
    journal = (error.diag.schema_name, error.diag.table_name) == ("olvido", "applied")
    return journal and isinstance(error, errors.UniqueViolation)


def _one(cur: cursor) -> tuple[Any, ...]:
    row = cur.fetchone()
    assert row is not None
    return row
