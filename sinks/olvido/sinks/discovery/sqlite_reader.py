"""Reads an SQLite file, opened for reading alone, with a limit for each statement."""

import re
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from olvido.core.errors import Unavailable
from olvido.sinks.discovery.live import CUT_AT, Family, LiveColumn, LiveReference, LiveTable, Sample, bare

STATEMENT_S_MAX = 10.0
STEPS = 10_000  # of SQLite's machine between two looks at the clock
_OWN = ("sqlite_", "olvido_")


class SqliteReader:
    """One SQLite file, to be read."""

    dialect = "SQLite"

    def __init__(self, sink: str, file: Path) -> None:
        self._sink = sink
        self._file = file

    def tables(self) -> Sequence[LiveTable]:
        """See :meth:`olvido.sinks.discovery.live.TargetReader.tables`."""
        with self._opened() as conn:
            names = [
                name
                for (name,) in conn.execute(
                    "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name"
                )
                if not name.startswith(_OWN)
            ]
            keys = {name: _key(conn, name) for name in names}
            return [_table(conn, name, keys) for name in names]

    def sample(self, table: LiveTable, columns: Sequence[str], rows: int) -> Sample:
        """See :meth:`olvido.sinks.discovery.live.TargetReader.sample`."""
        chosen = ", ".join(f"substr(CAST({_quoted(column)} AS TEXT), 1, {CUT_AT})" for column in columns)
        query = f"SELECT {chosen} FROM {_quoted(table.name)} LIMIT {int(rows)}"  # noqa: S608
        with self._opened() as conn:
            found = conn.execute(query).fetchall()
        return Sample(
            values={
                column: [row[place] for row in found if row[place]] for place, column in enumerate(columns)
            }
        )

    def held(self, table: str, column: str, values: Sequence[str]) -> int:
        """See :meth:`olvido.sinks.discovery.live.TargetReader.held`."""
        query = f"SELECT 1 FROM {_quoted(table)} WHERE CAST({_quoted(column)} AS TEXT) = ? LIMIT 1"  # noqa: S608
        with self._opened() as conn:
            return sum(conn.execute(query, (value,)).fetchone() is not None for value in set(values))

    def close(self) -> None:
        """Nothing is held open."""

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        if not self._file.exists():
            raise Unavailable(f"sink {self._sink}: there is no file at {self._file}")
        try:
            with closing(sqlite3.connect(f"{self._file.resolve().as_uri()}?mode=ro", uri=True)) as conn:
                conn.execute("PRAGMA query_only = ON")
                conn.text_factory = lambda raw: raw.decode(errors="replace")
                give_up_at = time.monotonic() + STATEMENT_S_MAX
                conn.set_progress_handler(lambda: time.monotonic() > give_up_at, STEPS)
                yield conn
        except sqlite3.Error as error:
            raise Unavailable(
                f"sink {self._sink}: the file cannot be read now ({type(error).__name__})"
            ) from None


def _table(conn: sqlite3.Connection, name: str, keys: dict[str, tuple[str, ...]]) -> LiveTable:
    columns = tuple(
        LiveColumn(name=column, type=kind, family=_family(kind), not_null=bool(not_null) or bool(place))
        for _, column, kind, not_null, _, place in conn.execute("SELECT * FROM pragma_table_info(?)", (name,))
    )
    unique: set[tuple[str, ...]] = set()
    indexed: set[str] = set()
    for index, is_unique, partial in conn.execute(
        'SELECT name, "unique", partial FROM pragma_index_list(?)', (name,)
    ).fetchall():
        parts = [row[0] for row in conn.execute("SELECT name FROM pragma_index_info(?)", (index,))]
        indexed.update(_first(conn, index, parts))
        if is_unique and not partial and all(parts):
            unique.add(tuple(parts))
    return LiveTable(
        name=name,
        columns=columns,
        key=keys[name],
        unique=frozenset(unique),
        references=tuple(_references(conn, name, keys)),
        indexed=frozenset(indexed | set(keys[name][:1])),
    )


def _first(conn: sqlite3.Connection, index: str, parts: Sequence[str | None]) -> Iterator[str]:
    """What an index begins with, see ``bare``: without regard to case it serves for ``lower`` as well."""
    [(collation,)] = conn.execute("SELECT coll FROM pragma_index_xinfo(?) WHERE seqno = 0", (index,))
    if parts[0] is not None:
        yield bare(parts[0])
        if collation.upper() == "NOCASE":
            yield bare(f"lower({parts[0]})")
        return
    [(text,)] = conn.execute("SELECT sql FROM sqlite_schema WHERE name = ?", (index,))
    inside = text.partition("(")[2]
    depth = 0
    for place, character in enumerate(inside):
        if depth == 0 and character in ",)":
            yield bare(inside[:place].strip())
            return
        depth += {"(": 1, ")": -1}.get(character, 0)


def _key(conn: sqlite3.Connection, name: str) -> tuple[str, ...]:
    rows = conn.execute("SELECT name FROM pragma_table_info(?) WHERE pk > 0 ORDER BY pk", (name,))
    return tuple(row[0] for row in rows)


def _references(
    conn: sqlite3.Connection, name: str, keys: dict[str, tuple[str, ...]]
) -> Iterator[LiveReference]:
    by_id: dict[int, list[tuple[str, str, str | None, str]]] = {}
    query = 'SELECT id, "table", "from", "to", on_delete FROM pragma_foreign_key_list(?) ORDER BY id, seq'
    for number, pointed, ours, theirs, action in conn.execute(query, (name,)):
        by_id.setdefault(number, []).append((pointed, ours, theirs, action))
    for parts in by_id.values():
        pointed = next((known for known in keys if known.lower() == parts[0][0].lower()), None)
        if pointed is not None:
            theirs = tuple(part[2] for part in parts if part[2]) or keys[pointed]  # none: its primary key
            yield LiveReference(
                columns=tuple(part[1] for part in parts), table=pointed, keys=theirs, on_delete=parts[0][3]
            )


def _family(kind: str) -> Family:
    """By the names people write, then SQLite's own rules (https://www.sqlite.org/datatype3.html)."""
    name = kind.upper()
    for pattern, family in (
        (r"BOOL", Family.BOOLEAN), (r"DATETIME|TIMESTAMP", Family.INSTANT), (r"DATE", Family.DATE),
        (r"UUID|GUID", Family.UUID), (r"JSON", Family.DOCUMENT), (r"INT|NUM|DEC", Family.NUMBER),
        (r"CHAR|CLOB|TEXT", Family.TEXT), (r"BLOB|REAL|FLOA|DOUB", Family.OTHER),
    ):  # fmt: skip
        if re.search(pattern, name):
            return family
    return Family.TEXT


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
