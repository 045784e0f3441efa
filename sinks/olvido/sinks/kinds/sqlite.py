"""Tasks into an SQLite file: one transaction a batch, and the file written anew when something was destroyed.

The application writes into the same file. A batch begins with the lock of the one that may write, so nothing
changes between finding and destroying; see :mod:`olvido.sinks.kinds.sqlite_file` for what stays in a file.
"""

# ruff: noqa: S608 - names are quoted, and values are parameters

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

from olvido.core.causes import Cause
from olvido.core.errors import ConfigError, Refused, Unavailable
from olvido.core.looks import LOOK_AGAIN
from olvido.schemas.settings.deployment import Secret
from olvido.sinks.contract import SinkSettings
from olvido.sinks.kinds.sqlite_catalogue import NOCASE, FileShape, look, quoted
from olvido.sinks.kinds.sqlite_file import FILE_TIME_LIMITS, SQLiteFile
from olvido.sinks.looks import LookAgain
from olvido.sinks.section import fault, read_section
from olvido.sinks.tables.data_map import Clock, Created, DataMap
from olvido.sinks.tables.dialect import GIVEN, ROW
from olvido.sinks.tables.engine import TableRows
from olvido.sinks.tables.journal import queries
from olvido.sinks.tables.journal_steps import missing_steps
from olvido.sinks.tables.limits import LIMITS, ErasureLimits
from olvido.sinks.tables.map_rules import read_data_map
from olvido.sinks.tables.shape import Column, TypeFamily
from olvido.sinks.tables.sink import CHUNK_ROWS, ChunkingTableSink, ChunkRows
from olvido.sinks.tables.sql_pieces import Sql, together
from olvido.sinks.tables.statements import Statements
from olvido.sinks.tables.time_limits import LockTimeout, TimedSection, TimeLimits, TransactionTimeout

T = TypeVar("T")

VERSION_MIN = (3, 38)  # of SQLite: the first whose JSON has `->>`
# What passes by itself: somebody writes, a full disk, a file that is put in another's place.
_PASSING = frozenset(
    {
        sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_PERM, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_AUTH,
    }
)  # fmt: skip


class _Section(TimedSection):
    file: Secret
    look_again: LookAgain = LOOK_AGAIN
    chunk_rows: ChunkRows = CHUNK_ROWS
    lock_timeout_s: LockTimeout = FILE_TIME_LIMITS.lock_timeout_s
    transaction_timeout_s: TransactionTimeout = FILE_TIME_LIMITS.transaction_timeout_s


class SQLiteSink(ChunkingTableSink):
    """One SQLite file that holds personal data."""

    section = _Section

    def __init__(
        self,
        settings: SinkSettings,
        path: Path,
        data_map: DataMap,
        look_again: tuple[timedelta, ...] = LOOK_AGAIN,
        chunk_rows: int = CHUNK_ROWS,
        *,
        limits: ErasureLimits = LIMITS,
        time_limits: TimeLimits = FILE_TIME_LIMITS,
    ) -> None:
        super().__init__(settings, data_map, look_again, chunk_rows, limits=limits, time_limits=time_limits)
        self._file = SQLiteFile(settings.name, path, time_limits)
        self._flush_due = False
        self._rewrite_due = False

    @classmethod
    def from_section(cls, settings: SinkSettings) -> "SQLiteSink":
        """Make one out of ``sinks.<name>``, with its ``file`` and ``tables``. Nothing is opened yet.

        Raises:
            ConfigError: naming the key and the fix.
        """
        section = read_section(_Section, settings)
        data_map = read_data_map(settings, section.tables)  # first: it can be checked on any machine
        path = Path(section.file.read(key=f"sinks.{settings.name}.file"))
        return cls(
            settings, path, data_map, section.look_again, section.chunk_rows, limits=section.limits,
            time_limits=section.time_limits,
        )  # fmt: skip

    def check(self) -> Sequence[str]:
        """See :meth:`olvido.sinks.contract.Sink.check`."""
        if sqlite3.sqlite_version_info < VERSION_MIN:
            raise fault(
                f"sinks.{self._settings.name}.kind",
                f"needs SQLite {'.'.join(map(str, VERSION_MIN))}; this Python has {sqlite3.sqlite_version}",
            )
        with self._opened() as conn:
            self._missing_steps(conn)
            return look(conn, self._map).target.notes

    def install(self) -> None:
        """See :meth:`olvido.sinks.contract.Sink.install`."""
        with self._opened() as conn:
            self._prepare(conn)

    def ping(self) -> None:
        """See :meth:`olvido.sinks.contract.Sink.ping`. It reads the catalogue, as :meth:`check` does."""
        self.check()

    def _acting(self, act: Callable[[TableRows], T], limit: int | None = None) -> T:
        with self._opened() as conn:
            statements = self._statements or self._prepare(conn)
            with self._file.writing(conn), self._file.within_time(conn):
                rows = TableRows(_SQLiteSession(conn), statements, limit=limit)
                done = act(rows)
                if rows.destroyed:
                    rows.session.named("make_rewrite_due", {}, since=rows.at)
                    self._flush_due = self._rewrite_due = True
            # Killed before the COMMIT: nothing was done. Killed after it: all was done and is remembered (of
            # a chunk: counted), and what comes again is answered from the journal. That the file is to be
            # written anew stands in it, so the next process does it.
            if self._flush_due:
                self._flush_due = not self._file.flush(conn)
        return done

    def idle(self) -> None:
        """Write the file anew, if something was destroyed since that was last done."""
        if not self._rewrite_due:
            return
        with self._opened() as conn:
            self._file.rewrite(conn)
            # Killed before this line: the file is written anew once more.
            with self._file.writing(conn):
                conn.execute(queries("sqlite")["rewritten"])
        self._flush_due = self._rewrite_due = False

    def close(self) -> None:
        """Nothing to let go of: the file is open only while it is worked on."""

    @contextmanager
    def _committed(self) -> Iterator[TableRows]:
        with self._opened() as conn:
            statements = self._statements or self._prepare(conn)
            with self._file.writing(conn):
                yield TableRows(_SQLiteSession(conn), statements)

    def _rolled_back(self, act: Callable[[TableRows], T]) -> T:
        """What the journal lacks is made in the transaction, too."""
        with self._opened() as conn:
            conn.execute("BEGIN IMMEDIATE")
            try:
                for step in self._missing_steps(conn):
                    self._carry_out_step(conn, step)
                return act(TableRows(_SQLiteSession(conn), self._statements or self._look(conn)))
            finally:
                if conn.in_transaction:
                    conn.execute("ROLLBACK")

    def _look(self, conn: sqlite3.Connection) -> Statements:
        shape = look(conn, self._map)
        return Statements(SQLiteDialect(shape), self._map, shape.target)

    def _prepare(self, conn: sqlite3.Connection) -> Statements:
        """Have the journal there in this program's version, and know the tables."""
        while self._missing_steps(conn):
            # Killed before its COMMIT: the step is not done. Killed after it: it is done and has its number
            # in the journal, and the next start goes on with the step after it.
            with self._file.writing(conn):
                for step in self._missing_steps(conn)[:1]:  # none, if another member has done it meanwhile
                    self._carry_out_step(conn, step)
        with self._file.writing(conn):
            self._statements = self._look(conn)
            self._rewrite_due |= bool(conn.execute(queries("sqlite")["rewrite_due"]).fetchone()[0])
        return self._statements

    @staticmethod
    def _carry_out_step(conn: sqlite3.Connection, step: str) -> None:
        for statement in step.split(";"):  # executescript() would commit
            conn.execute(statement)

    def _missing_steps(self, conn: sqlite3.Connection) -> Sequence[str]:
        """The steps that the journal lacks.

        Raises:
            ConfigError: it is newer than this program.
        """
        return missing_steps(
            "sqlite", self._settings.name, lambda query: int(conn.execute(query).fetchone()[0])
        )

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        """The file; closed again whatever happens. SQLite's faults become ours."""
        try:
            with self._file.opened() as conn:
                yield conn
        except sqlite3.Error as error:
            raise self._fault(error) from None

    def _fault(self, error: sqlite3.Error) -> Exception:
        """What a fault of SQLite's is to the runner. Never its text, which may hold a row's values."""
        name = self._settings.name
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
        shown = getattr(error, "sqlite_errorname", type(error).__name__)
        if code & 0xFF in _PASSING:  # the upper bits say more of the same
            return Unavailable(f"sink {name}: the file cannot be written now ({shown}); it is tried again")
        if code == sqlite3.SQLITE_INTERRUPT:
            return Refused(
                Cause.TOO_SLOW,
                reason=f"it held the file longer than {self._time_limits.transaction_timeout_s:g} s",
            )
        # Of the same code is what a trigger raises, or a function: for one row alone.
        if code in {sqlite3.SQLITE_ERROR, sqlite3.SQLITE_SCHEMA} and not self._fits_still():
            return Unavailable(f"sink {name}: the file's tables have changed ({shown}); run: olvido doctor")
        return Refused(Cause.REFUSED_BY_TARGET, reason=f"SQLite refuses it ({shown})")

    def _fits_still(self) -> bool:
        """Whether the tables are as they were when last looked at, and the journal is there."""
        before, self._statements = self._statements, None
        try:
            with self._file.opened() as conn:
                conn.execute(queries("sqlite")["rewrite_due"])
                fits = before is not None and look(conn, self._map).target == before.shape
        except (sqlite3.Error, ConfigError, Unavailable):
            return False
        if fits:
            self._statements = before
        return fits


class _SQLiteSession:
    """One transaction, as :class:`olvido.sinks.tables.dialect.Session` wants it."""

    def __init__(self, conn: sqlite3.Connection) -> None:
        self._conn = conn
        self.at = datetime.now(UTC)

    def run(self, statement: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        return self._conn.execute(statement, parameters).fetchall()

    def changed(self, statement: str, parameters: Sequence[object]) -> int:
        return self._conn.execute(statement, parameters).rowcount

    def named(
        self, query: str, columns: Mapping[str, Sequence[object]], **scalars: object
    ) -> list[tuple[Any, ...]]:
        plain = [[_plain(value) for value in values] for values in columns.values()]
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*plain, strict=True)]
        given = {name: _plain(value) for name, value in scalars.items()}
        return self._conn.execute(queries("sqlite")[query], {"given": _json(rows), **given}).fetchall()


class SQLiteDialect:
    """SQLite's SQL, as :class:`olvido.sinks.tables.dialect.Dialect` wants it.

    Its RETURNING gives nothing of what a row was joined with, so rows are counted before they go. The file is
    locked: nobody changes them between the two statements.
    """

    name = "sqlite"
    returning = False
    keys_by_row = False

    def __init__(self, shape: FileShape) -> None:
        self._rows = {quoted(name): columns for name, columns in shape.rows.items()}

    def quoted(self, *names: str) -> str:
        return quoted(".".join(names))

    def given(self, columns: Sequence[tuple[str, str]]) -> str:
        values = ", ".join(
            f"{'olvido_bytes' if _is_bytes(kind) else ''}(value ->> {number}) AS {name}"
            for number, (name, kind) in enumerate(columns)
        )
        return f"(SELECT {values} FROM json_each(?)) AS {GIVEN}"

    def bind(self, columns: Sequence[Sequence[object]]) -> list[object]:
        return [_json(list(zip(*columns, strict=True)))]

    def text(self, expression: str, column: Column | None) -> str:
        if column is not None and _is_bytes(column.plain):
            return f"hex({expression})"
        return f"CAST({expression} AS TEXT)"

    def as_key(self, text: str, key: Column) -> str:
        # Only a number that is written as SQLite writes it comes back as the same text. There are no UUIDs.
        return f"CASE WHEN CAST(CAST({text} AS INTEGER) AS TEXT) = {text} THEN CAST({text} AS INTEGER) END"

    def folded(self, expression: str) -> str:
        return f"lower({expression})"

    def exactly(self, held: str, asked: str, column: Column) -> str:
        if column.family is not TypeFamily.TEXT:
            return f"{held} = {asked}"  # SQLite makes a number of what is asked
        # The first may use an index of a collation that takes more for equal; the second does not.
        return f"({held} = {asked} AND CAST({held} AS TEXT) = {asked} COLLATE BINARY)"

    def alike(self, held: str, asked: str, column: Column) -> str:
        # Either knows the case of A to Z alone.
        if column.collation == NOCASE:
            return f"{held} = {asked} COLLATE NOCASE"
        return f"lower({held}) = lower({asked})"

    def instant(self, expression: str, created: Created) -> str:
        if created.clock is not Clock.TIMESTAMP:
            return expression
        zone = created.zone.replace("'", "''")
        return f"olvido_instant({expression}, '{zone}')"

    def json_text(self, expression: str, column: Column, path: Sequence[str]) -> str:
        pointer = "$" + "".join('."' + part.replace("'", "''") + '"' for part in path)
        return f"CASE WHEN json_valid({expression}) THEN CAST({expression} ->> '{pointer}' AS TEXT) END"

    def elements(self, expression: str, column: Column) -> str:
        return self.text(expression, column)

    def digits(self, text: str) -> str:
        return f"olvido_digits({text})"

    def within(self, text: str, part: str) -> str:
        return f"instr({text}, {part}) > 0"

    def value(self, column: Column) -> str:
        return "?"

    def differs(self, held: str, value: str, column: Column) -> str:
        return f"{held} IS NOT {value} COLLATE BINARY"

    def joined(self, parts: Sequence[str]) -> str:
        return " || ".join(parts)

    def place(self) -> str:
        return "CAST(? AS TEXT)"

    def delete(self, table: str, given: Sql, condition: Sql) -> Sql:
        """By the numbers of the rows, or the primary key where they have none: there is no DELETE … USING."""
        own = [quoted(column) for column in self._rows[table]]
        chosen = ", ".join(f"{ROW}.{column}" for column in own)
        return together(
            f"DELETE FROM {table} WHERE ({', '.join(own)}) IN (SELECT {chosen} FROM ",
            given,
            f" JOIN {table} AS {ROW} ON ",
            condition,
            ")",
        )

    def update(self, table: str, assignments: Sql, given: Sql, condition: Sql) -> Sql:
        return together(f"UPDATE {table} AS {ROW} SET ", assignments, " FROM ", given, " WHERE ", condition)

    def without(self, expression: str, element: str, column: Column) -> None:
        return None

    def contains(self, expression: str, element: str, column: Column) -> None:
        return None


def _is_bytes(kind: str) -> bool:
    return "BLOB" in kind.upper()


def _json(values: Sequence[object]) -> str:
    """Values as one text.

    Raises:
        Refused: a text has a NUL in it, at which SQLite would cut it and find another row, or half a letter.
    """
    text = json.dumps(values, ensure_ascii=False)
    if "\\u0000" in text or text.encode(errors="replace").decode() != text:
        raise Refused(Cause.REFUSED_BY_TARGET, reason="a row's key has a NUL in it, or is not UTF-8")
    return text


def _plain(value: object) -> object:
    """A value of the journal as SQLite takes it: instants as texts of one length, so that they compare."""
    match value:
        case datetime():
            return value.astimezone(UTC).isoformat(sep=" ", timespec="microseconds")
        case UUID():
            return str(value)
    return value
