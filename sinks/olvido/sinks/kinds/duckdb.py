"""Tasks into a DuckDB file: one transaction a batch, and the file written anew when something was deleted.

The file is open only while a batch is done, so that others can read between batches. A DELETE
leaves the bytes in the file; :meth:`DuckDBSink.compact` copies what lives to a new file.
"""

# ruff: noqa: S608 - names in SQL passed the data map, which lets [a-z0-9_] pass, and are quoted besides

import contextlib
import logging
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

from olvido.core.causes import Cause
from olvido.core.errors import Refused, Unavailable
from olvido.core.looks import LOOK_AGAIN
from olvido.core.receipts import Receipt
from olvido.core.tasks import Task
from olvido.schemas.settings.deployment import Secret
from olvido.sinks.contract import OpenedTask, SinkSettings
from olvido.sinks.kinds.duckdb_catalogue import look, look_at_columns, one, quoted
from olvido.sinks.kinds.duckdb_file import DuckDBFile, literal
from olvido.sinks.looks import LookAgain
from olvido.sinks.section import fault, read_section
from olvido.sinks.tables.data_map import Created, DataMap
from olvido.sinks.tables.dialect import GIVEN, ROW, Dialect
from olvido.sinks.tables.engine import TableRows
from olvido.sinks.tables.journal import queries, recalled
from olvido.sinks.tables.journal_steps import missing_steps
from olvido.sinks.tables.limits import LIMITS, ErasureLimits, TableSection
from olvido.sinks.tables.map_rules import read_data_map
from olvido.sinks.tables.recipe import carry_out
from olvido.sinks.tables.shape import WRITTEN, Column, TypeFamily
from olvido.sinks.tables.sink import TableSink
from olvido.sinks.tables.sql_pieces import Sql, together
from olvido.sinks.tables.statements import Statements

log = logging.getLogger("olvido.sinks")

COMPACTING = ".compacting"  # the folder of the new file until it is whole

# What may pass by itself: another process has the file open, or the machine is short of something.
_PASSING = (duckdb.OperationalError, duckdb.InternalError)
_CHANGED = (duckdb.CatalogException, duckdb.BinderException)


class _Section(TableSection):
    file: Secret
    look_again: LookAgain = LOOK_AGAIN


class DuckDBSink(TableSink):
    """One DuckDB file that holds personal data."""

    section = _Section

    not_rehearsed = "its file is held by its own process"

    def __init__(
        self,
        settings: SinkSettings,
        path: Path,
        data_map: DataMap,
        look_again: tuple[timedelta, ...] = LOOK_AGAIN,
        *,
        limits: ErasureLimits = LIMITS,
    ) -> None:
        super().__init__(settings, data_map, look_again, limits=limits)
        # Once: a link that is put elsewhere later must not lead the sink to another file.
        self._path = path.resolve()
        self._file = DuckDBFile(self._path)
        self._compaction_due = False

    @classmethod
    def from_section(cls, settings: SinkSettings) -> "DuckDBSink":
        """Make one out of ``sinks.<name>``: ``file`` and ``tables``. Nothing is opened yet.

        Raises:
            ConfigError: naming the key and the fix.
        """
        section = read_section(_Section, settings)
        data_map = read_data_map(settings, section.tables)  # first: it can be told on any machine
        path = Path(section.file.read(key=f"sinks.{settings.name}.file"))
        return cls(settings, path, data_map, section.look_again, limits=section.limits)

    def check(self) -> Sequence[str]:
        """See :meth:`olvido.sinks.contract.Sink.check`."""
        with self._opened() as conn:
            if self._named_twice():
                raise fault(
                    f"sinks.{self._settings.name}.file",
                    "has a second name (a link), under which what is deleted would stay; remove one of them",
                )
            self._missing_steps(conn)
            return look(conn, self._map).notes

    def install(self) -> None:
        """See :meth:`olvido.sinks.contract.Sink.install`."""
        with self._opened() as conn:
            self._prepare(conn)

    def ping(self) -> None:
        """See :meth:`olvido.sinks.contract.Sink.ping`. It reads the catalogue, and counts no keys."""
        with self._opened() as conn:
            self._missing_steps(conn)
            look_at_columns(conn, self._map)

    def apply(self, batch: Sequence[OpenedTask]) -> Sequence[Receipt]:
        """See :meth:`olvido.sinks.contract.Sink.apply`."""
        with self._committed() as rows:
            receipts = carry_out(rows, self._map, self._settings, batch, self._limits)
            self._keep(rows, batch, receipts)
            if rows.destroyed:
                rows.session.named("make_compaction_due", {}, since=rows.at)
        self._compaction_due |= rows.destroyed
        return receipts

    def remembered(self, batch: Sequence[Task]) -> Sequence[Receipt | None]:
        """See :meth:`olvido.sinks.contract.Remembering.remembered`."""
        with self._opened() as conn:
            rows = TableRows(_DuckDBSession(conn), self._statements or self._prepare(conn))
            return recalled(rows.remembered([task.key for task in batch]), batch)

    def idle(self) -> None:
        """Write the file anew, if something was deleted since that was last done."""
        if self._compaction_due:
            self.compact()

    def close(self) -> None:
        """Nothing to let go of: the file is open only while it is worked on."""

    def compact(self) -> None:
        """Copy what lives to a new file and put it in the old one's place, the journal with it.

        A crash anywhere leaves a whole file: the old one until it is replaced, the new one after.

        Raises:
            Unavailable: another process has the file open, or the copy did not come out right.
        """
        # The old file stays open, and so locked, until the new one is in its place: nobody writes
        # into a file that is about to go.
        with self._opened() as conn:
            if self._named_twice():
                raise Unavailable(
                    f"sink {self._settings.name}: its file has a second name, and cannot be written anew"
                )
            folder = self._clear()
            folder.mkdir(mode=0o700)  # DuckDB makes files that others may read, until they have their modes
            fresh = folder / self._path.name
            self._copy(conn, fresh)
            _keep_access(self._path, fresh)
            _sync(fresh)
            # Killed before this line: the old file is as it was and still says that this is due.
            # Killed after it: the new one is whole, and says that it is done.
            fresh.replace(self._path)
            _sync(self._path.parent)
            self._clear()
        self._compaction_due = False
        log.info("sink %s: file written anew, without what was deleted", self._settings.name)

    @contextlib.contextmanager
    def _committed(self) -> Iterator[TableRows]:
        with self._opened() as conn:
            statements = self._statements or self._prepare(conn)
            conn.execute("BEGIN")
            yield TableRows(_DuckDBSession(conn), statements)
            # Killed before this line: nothing was done. Killed after it: all was done and is
            # remembered, and the batch that comes again is answered from the journal.
            conn.execute("COMMIT")

    def _clear(self) -> Path:
        """Remove the folder of a new file, or what a crash left in it. Only while the old file is locked."""
        folder = self._path.with_name(self._path.name + COMPACTING)
        if folder.is_dir():
            shutil.rmtree(folder)
        return folder

    def _named_twice(self) -> bool:
        """Whether a new file in the old one's place would leave the old bytes under a second name."""
        return self._path.is_symlink() or self._path.stat().st_nlink > 1

    def _copy(self, conn: duckdb.DuckDBPyConnection, fresh: Path) -> None:
        conn.execute("CHECKPOINT")  # or the write-ahead log would be replayed over the new file
        old = str(one(conn.execute("SELECT current_database()"))[0])
        conn.execute(f"ATTACH {literal(fresh)} AS olvido_fresh")
        try:
            conn.execute(f"COPY FROM DATABASE {quoted(old)} TO olvido_fresh")
            if _sizes(conn, old) != _sizes(conn, "olvido_fresh"):
                raise Unavailable(
                    f"sink {self._settings.name}: the file's copy lacks rows; the old one stays"
                )
            conn.execute("DELETE FROM olvido_fresh.olvido.compaction_due")
            conn.execute("CHECKPOINT olvido_fresh")
        finally:
            conn.execute("DETACH olvido_fresh")

    @contextlib.contextmanager
    def _opened(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """The file, locked; closed again whatever happens. DuckDB's faults become ours."""
        if not self._path.exists():
            # DuckDB would make an empty one, and everybody would be "not found" in it.
            raise Unavailable(f"sink {self._settings.name}: there is no file at {self._path}")
        try:
            with self._file.opened() as conn:
                yield conn
        except duckdb.Error as error:
            raise self._fault(error) from None

    def _fault(self, error: duckdb.Error) -> Exception:
        """What a fault of DuckDB's is to the runner. Never its text, which may hold a row's values."""
        name, kind = self._settings.name, type(error).__name__
        if isinstance(error, _CHANGED):
            self._statements = None
            return Unavailable(f"sink {name}: the file's tables have changed ({kind}); run: olvido doctor")
        if isinstance(error, _PASSING):
            why = "another process has it open" if "Could not set lock" in str(error) else kind
            return Unavailable(f"sink {name}: the file cannot be used now ({why}); it is tried again")
        return Refused(Cause.REFUSED_BY_TARGET, reason=f"DuckDB refuses it ({kind})")

    def _prepare(self, conn: duckdb.DuckDBPyConnection) -> Statements:
        """Have the journal there in this program's version, and know the tables."""
        self._clear()
        for step in self._missing_steps(conn):  # the file is locked: no other member does them
            conn.execute("BEGIN")
            conn.execute(step)
            # Killed before this line: the step is not done. Killed after it: it is done and has its number in
            # the journal, and the next start goes on with the step after it.
            conn.execute("COMMIT")
        self._statements = Statements(_DIALECT, self._map, look(conn, self._map))
        self._compaction_due = bool(one(conn.execute(queries("duckdb")["compaction_due"]))[0])
        return self._statements

    def _missing_steps(self, conn: duckdb.DuckDBPyConnection) -> Sequence[str]:
        """The steps that the journal lacks.

        Raises:
            ConfigError: it is newer than this program.
        """
        return missing_steps("duckdb", self._settings.name, lambda query: int(one(conn.execute(query))[0]))


class _DuckDBSession:
    """One transaction, as :class:`olvido.sinks.tables.dialect.Session` wants it."""

    def __init__(self, conn: duckdb.DuckDBPyConnection) -> None:
        self._conn = conn
        self.at = datetime.now(UTC)

    def run(self, statement: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        return self._conn.execute(statement, list(parameters)).fetchall()

    def changed(self, statement: str, parameters: Sequence[object]) -> int:
        return int(one(self._conn.execute(statement, list(parameters)))[0])

    def named(
        self, query: str, columns: Mapping[str, Sequence[object]], **scalars: object
    ) -> list[tuple[Any, ...]]:
        given = {name: [_plain(value) for value in values] for name, values in columns.items()}
        return self._conn.execute(
            queries("duckdb")[query], {**given, **{name: _plain(value) for name, value in scalars.items()}}
        ).fetchall()


class _DuckDBDialect:
    """DuckDB's SQL, as :class:`olvido.sinks.tables.dialect.Dialect` wants it.

    It has DELETE … RETURNING, and not of what a row was joined with, so rows are counted before they go. The
    file is locked: nobody changes them between the two statements.
    """

    name = "duckdb"
    returning = False
    keys_by_row = False

    def quoted(self, *names: str) -> str:
        return quoted(".".join(names))

    def given(self, columns: Sequence[tuple[str, str]]) -> str:
        values = ", ".join(f"unnest(?::VARCHAR[]::{kind}[]) AS {name}" for name, kind in columns)
        return f"(SELECT {values}) AS {GIVEN}"

    def bind(self, columns: Sequence[Sequence[object]]) -> list[object]:
        return [[None if value is None else str(value) for value in column] for column in columns]

    def text(self, expression: str, column: Column | None) -> str:
        return f"CAST({expression} AS VARCHAR)"

    def as_key(self, text: str, key: Column) -> str:
        kind = "UUID" if key.family is TypeFamily.UUID else "BIGINT"
        written = f"regexp_matches(lower({text}), '{WRITTEN[key.family]}')"
        return f"CASE WHEN {written} THEN TRY_CAST({text} AS {kind}) END"

    def folded(self, expression: str) -> str:
        return f"lower({expression})"

    def exactly(self, held: str, asked: str, column: Column) -> str:
        return f"{held} = {asked}"

    def alike(self, held: str, asked: str, column: Column) -> str:
        return f"lower({held}) = lower({asked})"

    def instant(self, expression: str, created: Created) -> str:
        return expression

    def json_text(self, expression: str, column: Column, path: Sequence[str]) -> str:
        pointer = "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in path).replace(
            "'", "''"
        )
        text = f"json_extract_string({expression}, '{pointer}')"
        # One row that is no JSON would stop the search for everybody.
        return (
            f"CASE WHEN json_valid({expression}) THEN {text} END"
            if column.family is TypeFamily.TEXT
            else text
        )

    def elements(self, expression: str, column: Column) -> str:
        return (
            f"array_to_string({expression}, ' ')" if column.full.endswith("[]") else f"{expression}::VARCHAR"
        )

    def digits(self, text: str) -> str:
        return f"regexp_replace({text}, '[^0-9]', '', 'g')"

    def within(self, text: str, part: str) -> str:
        return f"contains({text}, {part})"

    def value(self, column: Column) -> str:
        return f"CAST(? AS {column.full})"

    def place(self) -> str:
        return "CAST(? AS VARCHAR)"

    def differs(self, held: str, value: str, column: Column) -> str:
        # As text, since not every type can be compared; the value has the column's type.
        return f"{self.text(held, column)} IS DISTINCT FROM {self.text(value, column)}"

    def joined(self, parts: Sequence[str]) -> str:
        return " || ".join(parts)

    def delete(self, table: str, given: Sql, condition: Sql) -> Sql:
        return together(f"DELETE FROM {table} AS {ROW} USING ", given, " WHERE ", condition)

    def update(self, table: str, assignments: Sql, given: Sql, condition: Sql) -> Sql:
        return together(f"UPDATE {table} AS {ROW} SET ", assignments, " FROM ", given, " WHERE ", condition)

    def without(self, expression: str, element: str, column: Column) -> str:
        kind = column.full.removesuffix("[]")
        return f"list_filter({expression}, lambda x: x IS DISTINCT FROM CAST({element} AS {kind}))"

    def contains(self, expression: str, element: str, column: Column) -> str:
        return f"list_contains({expression}, CAST({element} AS {column.full.removesuffix('[]')}))"


_DIALECT: Dialect = _DuckDBDialect()


def _plain(value: object) -> object:
    """A value of the journal as DuckDB takes it: instants as UTC without a zone."""
    return value.astimezone(UTC).replace(tzinfo=None) if isinstance(value, datetime) else value


def _sizes(conn: duckdb.DuckDBPyConnection, database: str) -> Mapping[tuple[str, str], int]:
    """How many rows each table of a database has."""
    tables = conn.execute(queries("duckdb")["tables"], {"database": database}).fetchall()
    count = "SELECT count(*) FROM {}.{}.{}"
    return {
        (schema, table): one(conn.execute(count.format(quoted(database), quoted(schema), quoted(table))))[0]
        for schema, table in tables
    }


def _keep_access(old: Path, new: Path) -> None:
    """The new file belongs to whom the old one belongs to."""
    shutil.copymode(old, new)
    owner, ours = old.stat(), new.stat()
    if (owner.st_uid, owner.st_gid) != (ours.st_uid, ours.st_gid):
        os.chown(new, owner.st_uid, owner.st_gid)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
