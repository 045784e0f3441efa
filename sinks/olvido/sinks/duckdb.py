"""Tasks into a DuckDB file: one transaction a batch, and the file written anew when something was deleted.

The file is open only while a batch is done, so that others can read between batches. A DELETE
leaves the bytes in the file; :meth:`DuckDBSink.compact` copies what lives to a new file.
"""

# ruff: noqa: S608 - names in SQL passed the data map, which lets [a-z0-9_] pass, and are quoted besides

import contextlib
import json
import logging
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence, Set
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import duckdb
from pydantic import Field

from olvido.core.causes import Cause
from olvido.core.consents import ConsentState, later
from olvido.core.errors import Refused, Unavailable
from olvido.core.events import Decision
from olvido.core.outcomes import Outcome
from olvido.core.receipts import Receipt
from olvido.core.subject import IdentityKind
from olvido.core.tasks import IdempotencyKey, Task
from olvido.schemas.settings.deployment import Secret
from olvido.sinks.contract import OpenedTask, SinkSettings
from olvido.sinks.data_map import DataMap, ErasureMethod, Scalar, Table
from olvido.sinks.duckdb_shape import INTEGERS, TEXTS, Types, look, look_at_columns, one, quoted
from olvido.sinks.journal import Answer, queries, recalled
from olvido.sinks.ownership import Key, Match, same_text
from olvido.sinks.relational import carry_out
from olvido.sinks.rows import Child, Mark, RowMark, Search
from olvido.sinks.section import SectionPart, fault, read_section

log = logging.getLogger("olvido.sinks")

COMPACTING = ".compacting"  # the folder of the new file until it is whole

# What may pass by itself: another process has the file open, or the machine is short of something.
_PASSING = (duckdb.OperationalError, duckdb.InternalError)
_CHANGED = (duckdb.CatalogException, duckdb.BinderException)


class _Section(SectionPart):
    file: Secret
    tables: Any = Field(default=None)


class DuckDBSink:
    """One DuckDB file that holds personal data."""

    not_rehearsed = "its file is held by its own process"

    def __init__(self, settings: SinkSettings, path: Path, data_map: DataMap) -> None:
        self._settings = settings
        # Once: a link that is put elsewhere later must not lead the sink to another file.
        self._path = path.resolve()
        self._map = data_map
        self._types: Types | None = None
        self._compaction_due = False

    @classmethod
    def from_section(cls, settings: SinkSettings) -> "DuckDBSink":
        """Make one out of ``sinks.<name>``: ``file`` and ``tables``. Nothing is opened yet.

        Raises:
            ConfigError: naming the key and the fix.
        """
        section = read_section(_Section, settings)
        data_map = DataMap.of(settings, section.tables)  # first: it can be told on any machine
        return cls(settings, Path(section.file.read(key=f"sinks.{settings.name}.file")), data_map)

    def __repr__(self) -> str:
        return f"DuckDBSink({self._settings.name})"

    def check(self) -> Sequence[str]:
        """See :meth:`olvido.sinks.contract.Sink.check`."""
        with self._opened() as conn:
            if self._named_twice():
                raise fault(
                    f"sinks.{self._settings.name}.file",
                    "has a second name (a link), under which what is deleted would stay; remove one of them",
                )
            look(conn, self._map)
        return ()

    def install(self) -> None:
        """See :meth:`olvido.sinks.contract.Sink.install`."""
        with self._opened() as conn:
            self._prepare(conn)

    def ping(self) -> None:
        """See :meth:`olvido.sinks.contract.Sink.ping`. It reads the catalogue, and counts no keys."""
        with self._opened() as conn:
            look_at_columns(conn, self._map)

    def apply(self, batch: Sequence[OpenedTask]) -> Sequence[Receipt]:
        """See :meth:`olvido.sinks.contract.Sink.apply`."""
        with self._opened() as conn:
            rows = _DuckDBRows(conn, self._map, self._types or self._prepare(conn))
            conn.execute("BEGIN")
            receipts = carry_out(rows, self._map, self._settings, batch)
            if rows.left_bytes:
                rows.run("make_compaction_due", since=_utc(datetime.now(UTC)))
            # Killed before this line: nothing was done. Killed after it: all was done and is
            # remembered, and the batch that comes again is answered from the journal.
            conn.execute("COMMIT")
        self._compaction_due |= rows.left_bytes
        return receipts

    def remembered(self, batch: Sequence[Task]) -> Sequence[Receipt | None]:
        """See :meth:`olvido.sinks.contract.Remembering.remembered`."""
        with self._opened() as conn:
            rows = _DuckDBRows(conn, self._map, self._types or self._prepare(conn))
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
        where = str(fresh).replace("'", "''")
        conn.execute(f"ATTACH '{where}' AS olvido_fresh")
        try:
            conn.execute(f"COPY FROM DATABASE {_name(old)} TO olvido_fresh")
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
            with duckdb.connect(self._path) as conn:
                conn.execute("SET TimeZone = 'UTC'")
                yield conn
        except duckdb.Error as error:
            raise self._fault(error) from None

    def _fault(self, error: duckdb.Error) -> Exception:
        """What a fault of DuckDB's is to the runner. Never its text, which may hold a row's values."""
        name, kind = self._settings.name, type(error).__name__
        if isinstance(error, _CHANGED):
            self._types = None
            return Unavailable(f"sink {name}: the file's tables have changed ({kind}); run: olvido doctor")
        if isinstance(error, _PASSING):
            why = "another process has it open" if "Could not set lock" in str(error) else kind
            return Unavailable(f"sink {name}: the file cannot be used now ({why}); it is tried again")
        return Refused(Cause.REFUSED_BY_TARGET, reason=f"DuckDB refuses it ({kind})")

    def _prepare(self, conn: duckdb.DuckDBPyConnection) -> Types:
        """Have the journal there, and know the tables."""
        self._clear()
        conn.execute(queries("duckdb")["install"])
        self._types = look(conn, self._map)
        self._compaction_due = bool(one(conn.execute(queries("duckdb")["compaction_due"]))[0])
        return self._types


class _DuckDBRows:
    """One transaction, as :class:`olvido.sinks.rows.Rows` wants it.

    Names come out of the data map, which lets nothing but ``[a-z0-9_]`` pass, and are quoted all
    the same; values are parameters.
    """

    def __init__(self, conn: duckdb.DuckDBPyConnection, data_map: DataMap, types: Types) -> None:
        self._conn = conn
        self._map = data_map
        self._types = types
        self.at = datetime.now(UTC)
        self.left_bytes = False  # whether something was destroyed whose bytes stay in the file

    def run(self, query: str, **values: object) -> list[tuple[Any, ...]]:
        """One of the fixed queries."""
        return self._conn.execute(queries("duckdb")[query], values).fetchall()

    # --- the journal -------------------------------------------------------------------------

    def remembered(self, keys: Sequence[IdempotencyKey]) -> Mapping[IdempotencyKey, Answer]:
        found = self.run("remembered", **_keys(keys))
        return {
            (task_id, generation): Answer(
                outcome=Outcome(outcome),
                counts=json.loads(counts),
                detail=detail,
                applied_at=applied_at.replace(tzinfo=UTC),
                verified_at=verified_at and verified_at.replace(tzinfo=UTC),
            )
            for task_id, generation, outcome, counts, detail, applied_at, verified_at in found
        }

    def remember(self, answers: Mapping[IdempotencyKey, Answer]) -> None:
        given = list(answers.values())
        self.run(
            "remember",
            **_keys(list(answers)),
            outcomes=[answer.outcome.value for answer in given],
            counts=[json.dumps(answer.counts) for answer in given],
            details=[answer.detail for answer in given],
            applied_at=[_utc(answer.applied_at) for answer in given],
            verified_at=[answer.verified_at and _utc(answer.verified_at) for answer in given],
        )

    # --- rows --------------------------------------------------------------------------------

    def match(self, name: str, searches: Mapping[IdentityKind, Sequence[Search]]) -> Sequence[Match]:
        table = self._map.tables[name]
        found: list[Match] = []
        for kind, items in searches.items():
            plain = self._types[name][table.identities[kind]]
            fitting = [item for item in items if _fits(item[1], plain)]
            if fitting:
                _, values, fences = zip(*fitting, strict=True)
                until = [fence and _utc(fence) for fence in fences]
                places = list(range(len(fitting)))
                rows = self._select(self._search(name, table, kind), places, list(values), until)
                if any(row[2] is None for row in rows):
                    raise _not_a_key(name, table.key)
                found += [self._matched(name, table, kind, fitting, row) for row in rows]
        return found

    def _matched(
        self, name: str, table: Table, kind: IdentityKind, asked: Sequence[Search], row: tuple[Any, ...]
    ) -> Match:
        place, held, key, person, parent, *shares = row
        n, value, _ = asked[place]
        column = table.identities[kind]
        return Match(
            n=n,
            key=key,
            by_person=column == table.person,
            person=person,
            parent=parent,
            shares=tuple(shares),
            certain=_same(held, value, kind, self._types[name][column]),
        )

    def _search(self, name: str, table: Table, kind: IdentityKind) -> str:
        """The rows of a table whose column of one kind is one of the values searched for."""
        column = table.identities[kind]
        plain = self._types[name][column]
        equal = f"t.{_name(column)} = w.v"
        if kind is IdentityKind.EMAIL and plain in TEXTS:
            # People type their address in any case and systems keep it so.
            equal = f"lower(t.{_name(column)}) = lower(w.v)"
        fence = join = ""
        parent = "NULL"
        if table.created:
            # A row without an instant cannot be shown to be newer, so it goes.
            fence = f" AND (CAST(t.{_name(table.created)} AS TIMESTAMP) <= w.fence) IS NOT FALSE"
        if table.parent:
            parent = f"p.{_name(self._map.tables[table.parent.table].key)}"
            join = (
                f" LEFT JOIN {quoted(table.parent.table)} AS p ON {parent} = t.{_name(table.parent.column)}"
            )
        return (
            f"SELECT w.place, CAST(t.{_name(column)} AS VARCHAR), t.{_name(table.key)}, {_person(table)},"
            f" {parent}{self._shares(name)} FROM (SELECT unnest($1::INTEGER[]) AS place,"
            f" unnest($2::VARCHAR[]::{plain}[]) AS v, unnest($3::TIMESTAMP[]) AS fence) AS w"
            f" JOIN {quoted(name)} AS t ON {equal}{fence}{join}"
        )

    def _shares(self, name: str) -> str:
        return "".join(f", t.{_name(column)}" for column in self._map.sharers(name))

    def children(self, name: str, parents: Sequence[Key]) -> Sequence[Child]:
        table = self._map.tables[name]
        assert table.parent is not None
        column = table.parent.column
        rows = self._select(
            f"SELECT t.{_name(table.key)}, w.v{self._shares(name)} FROM {self._joined(name, column)}",
            list(parents),
        )
        return [(row[0], row[1], row[2:]) for row in rows]

    def erase(self, name: str, column: str, values: Sequence[Key]) -> Mapping[Key, int]:
        table = self._map.tables[name]
        if column == table.key:
            self._check_keys(name, values)
        found = self._select(
            f"SELECT w.v, count(*) FROM {self._joined(name, column)} GROUP BY w.v", list(values)
        )
        counts = dict(found)
        if not counts or (table.erase is ErasureMethod.RETAIN and not table.declared):
            return counts
        self.left_bytes = True
        if table.erase is ErasureMethod.DELETE:
            self._delete(name, column, values)
        else:
            self._update(name, column, values, table.declared)
        return counts

    def remaining(self, name: str, column: str, values: Sequence[Key]) -> int:
        declared = _numbered(self._map.tables[name].declared)
        otherwise = " OR ".join(
            f"t.{_name(c)} IS DISTINCT FROM {_parameter(place, value, self._types[name][c])}"
            for place, c, value in declared
        )
        where = f" WHERE {otherwise}" if declared else ""
        counted = self._select(
            f"SELECT count(*) FROM {self._joined(name, column)}{where}", list(values), *_given(declared)
        )
        return int(counted[0][0])

    def prune(self, name: str, keys: Sequence[Key]) -> Sequence[Key]:
        table = self._map.tables[name]
        self._check_keys(name, keys)
        unpointed = " AND ".join(
            f"NOT EXISTS (SELECT 1 FROM {quoted(s.table)} AS x WHERE x.{_name(s.column)} = w.v)"
            for s in table.shared_by
        )
        found = self._select(f"SELECT w.v FROM {self._joined(name, table.key)} WHERE {unpointed}", list(keys))
        doomed = [row[0] for row in found]
        if doomed:
            self.left_bytes = True
            self._delete(name, table.key, doomed)
        return doomed

    def set_columns(self, name: str, values: Mapping[str, Scalar], keys: Sequence[Key]) -> None:
        self._check_keys(name, keys)
        self._update(name, self._map.tables[name].key, keys, values)

    def _check_keys(self, name: str, keys: Sequence[Key]) -> None:
        """Refuse what would reach a stranger's row. Analytical tables rarely declare a key, so none may hold.

        Raises:
            Refused: a key is of several rows.
        """
        key = self._map.tables[name].key
        counted = self._select(f"SELECT count(*) FROM {self._joined(name, key)}", list(set(keys)))
        if int(counted[0][0]) > len(set(keys)):
            raise _not_a_key(name, key)

    def _delete(self, name: str, column: str, values: Sequence[Key]) -> None:
        given = f"(SELECT v FROM {self._given_values(name, column)})"
        self._select(f"DELETE FROM {quoted(name)} WHERE {_name(column)} IN {given}", list(values))

    def _update(
        self, name: str, column: str, values: Sequence[Key], columns: Mapping[str, Scalar | None]
    ) -> None:
        numbered = _numbered(columns)
        assignments = ", ".join(
            f"{_name(c)} = {_parameter(place, value, self._types[name][c])}" for place, c, value in numbered
        )
        given = f"(SELECT v FROM {self._given_values(name, column)})"
        self._select(
            f"UPDATE {quoted(name)} SET {assignments} WHERE {_name(column)} IN {given}",
            list(values),
            *_given(numbered),
        )

    def _joined(self, name: str, column: str) -> str:
        return f"{self._given_values(name, column)} JOIN {quoted(name)} AS t ON t.{_name(column)} = w.v"

    def _given_values(self, name: str, column: str) -> str:
        """The values to look for, the first parameter, as rows of the type of the key they are."""
        table = self._map.tables[name]
        plain = self._types[name][column]
        if table.parent and column == table.parent.column:
            plain = self._types[table.parent.table][self._map.tables[table.parent.table].key]
        return f"(SELECT unnest($1::{plain}[]) AS v) AS w"

    def _select(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        return self._conn.execute(query, list(values)).fetchall()

    # --- what people said --------------------------------------------------------------------

    def save_states(self, states: Sequence[ConsentState]) -> Mapping[tuple[str, str], UUID]:
        pairs = _pairs([(state.handle, state.purpose) for state in states])
        known = {(row[0], row[1]): _state(row) for row in self.run("states", **pairs)}
        holding = [later(known.get((state.handle, state.purpose), state), state) for state in states]
        self.run(
            "save_states",
            **pairs,
            occurred_at=[_utc(state.occurred_at) for state in holding],
            decisions=[state.decision.value for state in holding],
            event_ids=[state.event_id for state in holding],
            policy_versions=[state.policy_version for state in holding],
        )
        return {(state.handle, state.purpose): state.event_id for state in holding}

    def save_objections(self, objections: Sequence[tuple[str, str, datetime, UUID]]) -> None:
        self.run(
            "save_objections",
            **_pairs([(handle, purpose) for handle, purpose, _, _ in objections]),
            occurred_at=[_utc(occurred_at) for _, _, occurred_at, _ in objections],
            request_ids=[request_id for _, _, _, request_id in objections],
        )

    def objected(self, pairs: Sequence[tuple[str, str]]) -> Set[tuple[str, str]]:
        return {(handle, purpose) for handle, purpose in self.run("objected", **_pairs(pairs))}

    def save_row_marks(self, name: str, marks: Sequence[RowMark]) -> Set[tuple[Key, str]]:
        places = {"row_keys": [str(one.key) for one in marks], "purposes": [one.purpose for one in marks]}
        known = {
            (row_key, purpose): (rank == Mark.OBJECTED, occurred_at.replace(tzinfo=UTC), rank, str(event_id))
            for row_key, purpose, rank, occurred_at, event_id in self.run("row_marks", table=name, **places)
        }
        ours = [one for one in marks if one.order >= known.get((str(one.key), one.purpose), one.order)]
        if ours:
            self.run(
                "save_row_marks",
                table=name,
                row_keys=[str(one.key) for one in ours],
                purposes=[one.purpose for one in ours],
                ranks=[one.mark.value for one in ours],
                occurred_at=[_utc(one.occurred_at) for one in ours],
                event_ids=[one.event_id for one in ours],
            )
        return {(one.key, one.purpose) for one in ours}

    def forget_row_marks(self, name: str, keys: Sequence[Key]) -> None:
        self.run("forget_row_marks", table=name, row_keys=[str(key) for key in keys])


Numbered = Sequence[tuple[int, str, Scalar | None]]  # the parameter's place, the column, the value


def _numbered(columns: Mapping[str, Scalar | None]) -> Numbered:
    """Columns with the places of their parameters: after the first, and those that are null at the end."""
    given = sorted(columns.items(), key=lambda item: item[1] is None)
    return [(place, column, value) for place, (column, value) in enumerate(given, start=2)]


def _given(numbered: Numbered) -> list[Scalar]:
    return [value for _, _, value in numbered if value is not None]


def _parameter(place: int, value: Scalar | None, plain: str) -> str:
    return "NULL" if value is None else f"CAST(${place} AS {plain})"


def _person(table: Table) -> str:
    if table.person is None:
        return "NULL"
    person = f"CAST(t.{_name(table.person)} AS VARCHAR)"
    return f"lower({person})" if table.person_kind is IdentityKind.EMAIL else person


def _state(row: tuple[Any, ...]) -> ConsentState:
    handle, purpose, occurred_at, decision, event_id, policy_version = row
    return ConsentState(
        handle=handle,
        purpose=purpose,
        occurred_at=occurred_at.replace(tzinfo=UTC),
        decision=Decision(decision),
        event_id=event_id,
        policy_version=policy_version,
    )


def _keys(keys: Sequence[IdempotencyKey]) -> dict[str, object]:
    return {"task_ids": [task_id for task_id, _ in keys], "generations": [number for _, number in keys]}


def _pairs(pairs: Sequence[tuple[str, str]]) -> dict[str, object]:
    return {"handles": [handle for handle, _ in pairs], "purposes": [purpose for _, purpose in pairs]}


def _name(column: str) -> str:
    return quoted(column)


def _utc(instant: datetime) -> datetime:
    return instant.astimezone(UTC).replace(tzinfo=None)


def _same(held: str, asked: str, kind: IdentityKind, plain: str) -> bool:
    """Whether what a column holds, as text, is the very value that was asked."""
    if plain in INTEGERS:
        return int(held) == int(asked)
    if plain == "UUID":
        return UUID(held) == UUID(asked)
    return same_text(held, asked, fold=kind is IdentityKind.EMAIL)


def _fits(value: str, plain: str) -> bool:
    """Whether a column of that type can hold the value at all: "a-17" is no integer, so no row has it."""
    if plain in INTEGERS:
        return re.fullmatch(r"-?[0-9]{1,38}", value) is not None and _within(int(value), INTEGERS[plain])
    if plain == "UUID":
        return re.fullmatch(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", value) is not None
    return value.encode(errors="replace").decode() == value


def _within(number: int, limit: int) -> bool:
    return -limit <= number < limit


def _not_a_key(name: str, key: str) -> Refused:
    return Refused(
        Cause.REFUSED_BY_TARGET, field=f"{name}.{key}", reason="several rows have one key, or a row has none"
    )


def _sizes(conn: duckdb.DuckDBPyConnection, database: str) -> Mapping[tuple[str, str], int]:
    """How many rows each table of a database has."""
    tables = conn.execute(queries("duckdb")["tables"], {"database": database}).fetchall()
    count = "SELECT count(*) FROM {}.{}.{}"
    return {
        (schema, table): one(conn.execute(count.format(_name(database), _name(schema), _name(table))))[0]
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
