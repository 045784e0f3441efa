"""Tasks into a MariaDB database: one transaction a batch, the memory of it among the effects.

MariaDB's usual collation takes ``josé@`` for ``jose@`` and overlooks blanks at the end; with a number in
place of a text every row matches that begins with no digit. So values are bound as texts, the column's own
index finds candidates, and each is compared under a binary collation without padding, and again in Python.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import Any, TypeVar
from uuid import UUID

import pymysql
from pymysql.connections import Connection
from pymysql.cursors import Cursor

from olvido.core.causes import Cause
from olvido.core.errors import ConfigError, Refused, Unavailable
from olvido.core.looks import LOOK_AGAIN
from olvido.schemas.settings.deployment import Secret
from olvido.sinks.contract import SinkSettings
from olvido.sinks.kinds.mysql_address import Address
from olvido.sinks.kinds.mysql_catalogue import (
    BYTES,
    TEXT_MAX,
    VERSION_TABLE,
    look,
    missing_tables,
    of_step,
    overlooks_case,
    own_tables,
    quoted,
)
from olvido.sinks.looks import LookAgain
from olvido.sinks.section import fault, read_section
from olvido.sinks.tables.data_map import Clock, Created, DataMap
from olvido.sinks.tables.dialect import GIVEN, ROW, Dialect
from olvido.sinks.tables.engine import TableRows
from olvido.sinks.tables.journal import queries
from olvido.sinks.tables.journal_steps import first_of, missing_steps, steps
from olvido.sinks.tables.limits import LIMITS, ErasureLimits
from olvido.sinks.tables.map_rules import read_data_map
from olvido.sinks.tables.shape import WRITTEN, Column, TypeFamily
from olvido.sinks.tables.sink import CHUNK_ROWS, ChunkingTableSink, ChunkRows
from olvido.sinks.tables.sql_pieces import Sql, together
from olvido.sinks.tables.statements import Statements
from olvido.sinks.tables.time_limits import TIME_LIMITS, Deadline, TimedSection, TimeLimits

T = TypeVar("T")

ATTEMPTS_MAX = 3  # of a batch that met a concurrent change of the same rows, before it waits
# Numbers of faults: https://mariadb.com/kb/en/mariadb-error-codes
_CHANGED = frozenset({1020, 1213})  # a row since it was read, a deadlock
_CONFLICTS = _CHANGED | {1062, 1451, 1452}  # a duplicate, foreign keys
_SLOW = frozenset({1205, 1969, 3024})  # a lock, or a statement, took longer than it may
_MAY_NOT = frozenset({1044, 1142, 1227})  # a right on a database, on a table, on the server
_SHAPE = frozenset({1044, 1054, 1142, 1143, 1146, 1227, 1370})  # a name that is not there, or a right
# The connection, the server's limits, its start and stop, its disk, and that it only reads. Those of the
# client begin with 2.
_PASSING = frozenset({
    1021, 1037, 1038, 1040, 1041, 1045, 1049, 1053, 1114, 1129, 1130, 1135, 1152, 1158, 1159, 1160, 1161,
    1180, 1181, 1203, 1226, 1290, 1317, 1698, 1792, 1836, 1927,
})  # fmt: skip


class _Section(TimedSection):
    url: Secret
    look_again: LookAgain = LOOK_AGAIN
    chunk_rows: ChunkRows = CHUNK_ROWS


class MySQLSink(ChunkingTableSink):
    """One MariaDB database that holds personal data."""

    section = _Section

    def __init__(
        self,
        settings: SinkSettings,
        address: Address,
        data_map: DataMap,
        look_again: tuple[timedelta, ...] = LOOK_AGAIN,
        chunk_rows: int = CHUNK_ROWS,
        *,
        limits: ErasureLimits = LIMITS,
        time_limits: TimeLimits = TIME_LIMITS,
    ) -> None:
        super().__init__(settings, data_map, look_again, chunk_rows, limits=limits, time_limits=time_limits)
        self._address = address
        self._connection: Connection[Any] | None = None

    @classmethod
    def from_section(cls, settings: SinkSettings) -> "MySQLSink":
        """Make one out of ``sinks.<name>``, with its ``url`` and ``tables``. Nothing is connected yet.

        Raises:
            ConfigError: naming the key and the fix.
        """
        section = read_section(_Section, settings)
        data_map = read_data_map(settings, section.tables)  # first: it can be checked on any machine
        place = f"sinks.{settings.name}.url"
        try:
            address = Address.of(section.url.read(key=place))
        except ValueError as error:
            raise fault(place, str(error)) from None
        return cls(
            settings, address, data_map, section.look_again, section.chunk_rows, limits=section.limits,
            time_limits=section.time_limits,
        )  # fmt: skip

    def check(self) -> Sequence[str]:
        """See :meth:`olvido.sinks.contract.Sink.check`."""
        with self._faults(), self._transaction(commit=False) as cur:
            self._try_steps(cur)
            shape = look(cur, self._map)
        if self._statements is not None and shape != self._statements.shape:
            self._statements = None  # the next batch looks again
        return shape.notes

    def install(self) -> None:
        """See :meth:`olvido.sinks.contract.Sink.install`."""
        with self._faults():
            self._prepare()

    def ping(self) -> None:
        """See :meth:`olvido.sinks.contract.Sink.ping`. It reads the catalogue, as :meth:`check` does."""
        self.check()

    def _acting(self, act: Callable[[TableRows], T], limit: int | None = None) -> T:
        for attempt in range(1, ATTEMPTS_MAX + 1):
            try:
                statements = self._statements or self._prepare()
                # Killed before its COMMIT: nothing was done. Killed after it: all was done and is remembered
                # (of a chunk: counted), and what comes again is answered from the journal.
                with self._transaction(commit=True) as cur:
                    return act(TableRows(self._session(cur), statements, limit=limit))
            except (pymysql.Error, OSError) as error:
                # Somebody changed the same rows meanwhile. Nothing is done yet: look again.
                if _number(error) not in _CONFLICTS or attempt == ATTEMPTS_MAX:
                    raise self._fault(error) from None
        raise AssertionError("the last attempt returns or raises")

    def idle(self) -> None:
        """Nothing to do: InnoDB's purge gives space back, see docs/sinks/mysql.md."""

    def close(self) -> None:
        """Close the connection; an open transaction is rolled back by the server."""
        conn, self._connection = self._connection, None
        if conn is not None and conn.open:
            conn.close()

    @contextmanager
    def _committed(self) -> Iterator[TableRows]:
        with self._faults():
            statements = self._statements or self._prepare()
            try:
                with self._transaction(commit=True) as cur:
                    yield TableRows(self._session(cur), statements)
            finally:
                self._let_others_look()

    def _let_others_look(self) -> None:
        """The lock of who looks is the connection's, and not the transaction's."""
        if self._connection is not None and self._connection.open:
            with self._connection.cursor() as cur:
                cur.execute(queries("mysql")["look_done"], {"sink": self._settings.name})

    def _rolled_back(self, act: Callable[[TableRows], T]) -> T:
        """A journal that is not there is made of temporary tables: a rollback would leave any other."""
        with self._faults(), self._transaction(commit=False) as cur:
            later = [step for step in self._missing_steps(cur) if step != steps("mysql")[0]]
            missing = missing_tables(cur)
            # Where none is there, the first step makes all in the newest form, and the others have no work.
            if later and len(missing) < len(own_tables().keys() - {VERSION_TABLE}):
                raise fault(
                    f"sinks.{self._settings.name}",
                    f"its journal lacks {first_of('mysql', later)}, which cannot be taken back here; let "
                    "the sink start once",
                )
            try:
                self._make_temporary(cur, missing)
                statements = self._statements or self._look(cur)
                return act(TableRows(self._session(cur), statements))
            finally:
                if missing:
                    self.close()  # they go with the connection

    def _make_temporary(self, cur: Cursor, missing: Sequence[str]) -> None:
        try:
            for statement in missing:
                cur.execute(statement.replace("CREATE TABLE IF NOT EXISTS", "CREATE TEMPORARY TABLE"))
        except pymysql.Error as error:
            if _number(error) not in _SHAPE:
                raise
            raise fault(
                f"sinks.{self._settings.name}",
                "this account may try nothing before Olvido's own tables are there; GRANT CREATE TEMPORARY "
                "TABLES on the database to it, or let the sink start once",
            ) from None

    def _prepare(self) -> Statements:
        """Have the journal there in this program's version, and know the tables."""
        with self._transaction(commit=False) as cur:
            missing = self._missing_steps(cur)
        if missing:
            self._carry_out_steps()
        with self._transaction(commit=False) as cur:
            self._statements = self._look(cur)
        return self._statements

    def _carry_out_steps(self) -> None:
        """Do the steps that the journal lacks, while no other member of the group does any."""
        with self._transaction(commit=False) as cur:
            cur.execute(queries("mysql")["install_alone"], ())
            if cur.fetchall() != ((1,),):
                raise Unavailable(
                    f"sink {self._settings.name}: another member makes its journal; it is asked again"
                )
            try:
                # Read once more: another member may have done them while this one waited.
                for step in self._missing_steps(cur):
                    for statement in of_step(step):
                        # Killed after it: it is done, for it commits by itself, and the step has no number
                        # in the journal yet. The next start does the whole step again: each statement can be
                        # repeated.
                        cur.execute(statement)
                    # Killed after this line: the step has its number, which its last statement has written.
                    self._connected().commit()
            except pymysql.Error as error:
                if _number(error) not in _MAY_NOT:
                    raise
                raise self._may_not_install(cur) from None
            finally:
                if self._connection is not None and self._connection.open:
                    cur.execute(queries("mysql")["install_done"], ())

    def _try_steps(self, cur: Cursor) -> None:
        """Have the server look at the rights that the missing steps need, and do nothing."""
        try:
            for step in self._missing_steps(cur):
                for statement in of_step(step):
                    if not statement.startswith("INSERT"):  # into a table that may not be there yet
                        cur.execute(queries("mysql")["give_statement"], (statement,))
                        cur.execute(queries("mysql")["try_statement"], ())
                        cur.execute(queries("mysql")["forget_statement"], ())
        except pymysql.Error as error:
            if _number(error) not in _MAY_NOT:
                raise
            raise self._may_not_install(cur) from None

    def _may_not_install(self, cur: Cursor) -> ConfigError:
        first = first_of("mysql", self._missing_steps(cur))
        return fault(
            f"sinks.{self._settings.name}",
            "this account may not make or change Olvido's own tables; run what olvido sinks grants "
            f"{self._settings.name} prints, or {first} and what follows it in "
            "sinks/olvido/sinks/sql/mysql.sql as an account that may",
        )

    def _missing_steps(self, cur: Cursor) -> Sequence[str]:
        """The steps that the journal lacks.

        Raises:
            ConfigError: it is newer than this program.
        """

        def ask(query: str) -> int:
            cur.execute(query)
            [(value,)] = cur.fetchall()
            return int(value)

        return missing_steps("mysql", self._settings.name, ask)

    def _look(self, cur: Cursor) -> Statements:
        return Statements(_DIALECT, self._map, look(cur, self._map))

    @contextmanager
    def _transaction(self, *, commit: bool) -> Iterator[Cursor]:
        conn = self._connected()
        try:
            with conn.cursor() as cur:
                yield cur
            if commit:
                conn.commit()
        finally:
            if conn.open:
                try:
                    conn.rollback()
                except pymysql.Error:
                    self.close()

    def _session(self, cur: Cursor) -> "_MySQLSession":
        return _MySQLSession(cur, self._time_limits.deadline())

    def _connected(self) -> "Connection[Any]":
        if self._connection is None or not self._connection.open:
            conn = self._address.connect(statement_timeout_s=self._time_limits.statement_timeout_s)
            with conn.cursor() as cur:
                limits = {
                    "lock_timeout_s": ceil(self._time_limits.lock_timeout_s),  # in whole seconds there
                    "statement_timeout_s": self._time_limits.statement_timeout_s,
                }
                cur.execute(queries("mysql")["session"], limits)
                cur.execute(queries("mysql")["can_detect_changes"], ())
                way = "detect_changes" if cur.fetchall() else "lock_what_is_read"
                cur.execute(queries("mysql")[way], ())
            conn.commit()
            self._connection = conn
        return self._connection

    @contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except (pymysql.Error, OSError) as error:
            raise self._fault(error) from None

    def _fault(self, error: Exception) -> Exception:
        """What a fault of MariaDB's is to the runner. Never its text, which may hold a row's values.

        Only what would fail every task makes the sink wait; anything else is about a row of this batch, and
        the runner finds out whose.
        """
        name, number = self._settings.name, _number(error)
        if number is None or number in _PASSING or 2000 <= number < 3000:
            self.close()
            return Unavailable(
                f"sink {name}: MariaDB does not answer ({number or type(error).__name__}); it is asked again"
            )
        if number in _CHANGED:
            return Unavailable(
                f"sink {name}: others change the same rows (error {number}); it is tried again"
            )
        if number in _SLOW:
            return Refused(Cause.TOO_SLOW, reason=f"MariaDB gave up waiting (error {number})")
        # Of the same number is what a trigger raises: for one row alone.
        if number in _SHAPE and not self._fits_still():
            return Unavailable(
                f"sink {name}: the target's tables have changed (error {number}); run: olvido doctor"
            )
        return Refused(Cause.REFUSED_BY_TARGET, reason=f"MariaDB refuses it (error {number})")

    def _fits_still(self) -> bool:
        """Whether the tables are as they were when last looked at, and the journal is there."""
        before, self._statements = self._statements, None
        if before is None:
            return False
        try:
            with self._transaction(commit=False) as cur:
                fits = not missing_tables(cur) and look(cur, self._map) == before.shape
        except (pymysql.Error, OSError, ConfigError):
            return False
        if fits:
            self._statements = before
        return fits


class _MySQLSession:
    """One transaction, as :class:`olvido.sinks.tables.dialect.Session` wants it."""

    def __init__(self, cur: Cursor, deadline: Deadline) -> None:
        self._cursor = cur
        self._deadline = deadline
        cur.execute(queries("mysql")["now"], ())
        [(at,)] = cur.fetchall()
        self.at: datetime = at.replace(tzinfo=UTC)

    def run(self, statement: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        self._deadline.check()
        self._cursor.execute(statement, tuple(parameters))
        return list(self._cursor.fetchall())

    def changed(self, statement: str, parameters: Sequence[object]) -> int:
        self._deadline.check()
        return self._cursor.execute(statement, tuple(parameters))

    def named(
        self, query: str, columns: Mapping[str, Sequence[object]], **scalars: object
    ) -> list[tuple[Any, ...]]:
        plain = [[_plain(value) for value in values] for values in columns.values()]
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*plain, strict=True)]
        given = {name: _plain(value) for name, value in scalars.items()}
        self._deadline.check()
        self._cursor.execute(queries("mysql")[query], {"given": json.dumps(rows), **given})
        return list(self._cursor.fetchall())


class _MySQLDialect:
    """MariaDB's SQL, as :class:`olvido.sinks.tables.dialect.Dialect` wants it.

    Its RETURNING is for DELETE alone, and gives nothing of what a row was joined with, so rows are counted
    before they go. Who changes one of them between the two statements makes of it a conflict.
    """

    name = "mysql"
    returning = False
    keys_by_row = True

    def quoted(self, *names: str) -> str:
        return ".".join(map(quoted, names))

    def given(self, columns: Sequence[tuple[str, str]]) -> str:
        typed = ", ".join(
            f"{name} {_given_type(kind)} PATH '$[{number}]'" for number, (name, kind) in enumerate(columns)
        )
        relation = f"JSON_TABLE(%s, '$[*]' COLUMNS ({typed}))"
        if not any(kind.startswith(BYTES) for _, kind in columns):
            return f"{relation} AS {GIVEN}"
        # In JSON bytes are hexadecimal digits.
        read = ", ".join(f"UNHEX({n}) AS {n}" if kind.startswith(BYTES) else n for n, kind in columns)
        return f"(SELECT {read} FROM {relation} AS j) AS {GIVEN}"  # noqa: S608 - types and places

    def bind(self, columns: Sequence[Sequence[object]]) -> list[object]:
        return [json.dumps(list(zip(*columns, strict=True)))]

    def text(self, expression: str, column: Column | None) -> str:
        if column is not None and column.plain.startswith(BYTES):
            return f"HEX({expression})"
        return f"CAST({expression} AS CHAR)"

    def as_key(self, text: str, key: Column) -> str:
        kind = "UUID" if key.family is TypeFamily.UUID else "SIGNED"
        return f"CASE WHEN {text} REGEXP '{WRITTEN[key.family]}' THEN CAST({text} AS {kind}) END"

    def folded(self, expression: str) -> str:
        return f"lower({expression})"

    def exactly(self, held: str, asked: str, column: Column) -> str:
        if column.family not in {TypeFamily.TEXT, TypeFamily.EXACT} or column.plain.startswith(BYTES):
            return f"{held} = {asked}"
        exact = f"{_binary(held)} = {_binary(asked)}"
        # The first may use the column's index, and takes more for equal; the second does not.
        return exact if column.plain == "text" else f"({held} = {asked} AND {exact})"

    def alike(self, held: str, asked: str, column: Column) -> str:
        same = f"lower({_utf8(held)}) COLLATE utf8mb4_nopad_bin = lower({_utf8(asked)})"
        return f"({held} = {asked} AND {same})" if overlooks_case(column) and column.plain != "text" else same

    def instant(self, expression: str, created: Created) -> str:
        if created.clock is not Clock.TIMESTAMP or not expression.startswith(f"{GIVEN}."):
            return expression
        return f"CAST(SUBSTRING_INDEX({expression}, '+', 1) AS DATETIME(6))"  # the session's zone is UTC

    def json_text(self, expression: str, column: Column, path: Sequence[str]) -> str:
        pointer = "$" + "".join('."' + part.replace('"', '\\\\"').replace("'", "''") + '"' for part in path)
        return f"JSON_VALUE({expression}, '{pointer.replace('%', '%%')}')"

    def elements(self, expression: str, column: Column) -> str:
        return self.text(expression, column)

    def digits(self, text: str) -> str:
        return f"REGEXP_REPLACE({text}, '[^0-9]', '')"

    def within(self, text: str, part: str) -> str:
        return f"LOCATE({_binary(part)}, {_binary(text)}) > 0"

    def value(self, column: Column) -> str:
        # A number in place of a text would find every row that begins with no digit.
        return "CAST(%s AS CHAR)" if column.family in {TypeFamily.TEXT, TypeFamily.EXACT} else "%s"

    def place(self) -> str:
        return "CAST(%s AS CHAR)"

    def differs(self, held: str, value: str, column: Column) -> str:
        if column.collation:
            return f"NOT (BINARY {self.text(held, column)} <=> BINARY {self.text(value, column)})"
        return f"NOT ({held} <=> {value})"  # 0 is 0.00, and a day is its first instant

    def joined(self, parts: Sequence[str]) -> str:
        return f"CONCAT({', '.join(parts)})"

    def delete(self, table: str, given: Sql, condition: Sql) -> Sql:
        return together(f"DELETE {ROW} FROM {table} AS {ROW} JOIN ", given, " ON ", condition)

    def update(self, table: str, assignments: Sql, given: Sql, condition: Sql) -> Sql:
        return together(f"UPDATE {table} AS {ROW} JOIN ", given, " ON ", condition, " SET ", assignments)

    def without(self, expression: str, element: str, column: Column) -> None:
        return None

    def contains(self, expression: str, element: str, column: Column) -> None:
        return None


_DIALECT: Dialect = _MySQLDialect()


def _given_type(kind: str) -> str:
    if kind == "text":  # inside of a JSON value
        return f"VARCHAR({TEXT_MAX}) CHARACTER SET utf8mb4"
    if kind.startswith(BYTES):
        return f"VARCHAR({TEXT_MAX}) CHARACTER SET ascii"
    # A fence has its zone written behind it.
    return "VARCHAR(40)" if kind.startswith(("timestamp", "datetime")) else kind


def _utf8(expression: str) -> str:
    return f"CONVERT({expression} USING utf8mb4)"


def _binary(expression: str) -> str:
    return f"{_utf8(expression)} COLLATE utf8mb4_nopad_bin"


def _number(error: Exception) -> int | None:
    """The number of a fault of the server or its client; None if it has none."""
    number = error.args[0] if isinstance(error, pymysql.Error) and error.args else None
    return number if isinstance(number, int) and number else None


def _plain(value: object) -> object:
    """A value of the journal as MariaDB takes it: instants in UTC without a zone."""
    match value:
        case datetime():
            return value.astimezone(UTC).replace(tzinfo=None).isoformat(sep=" ", timespec="microseconds")
        case UUID():
            return str(value)
    return value
