"""Tasks into a PostgreSQL database: one transaction a batch, the memory of it among the effects.

The number of statements grows with the tables of the data map, never with tasks or rows.
Names go into SQL as identifiers only and values as parameters only.
"""

import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, TypeVar
from uuid import UUID

import psycopg2
from psycopg2 import errors, sql
from psycopg2.extensions import ISOLATION_LEVEL_REPEATABLE_READ, connection, cursor
from pydantic import Field

from olvido.core.causes import Cause
from olvido.core.consents import ConsentState
from olvido.core.errors import ConfigError, Refused, Unavailable
from olvido.core.looks import LOOK_AGAIN, LaterLook
from olvido.core.outcomes import Outcome
from olvido.core.receipts import Receipt
from olvido.core.sql import array_of
from olvido.core.subject import IdentityKind
from olvido.core.tasks import IdempotencyKey, Task
from olvido.schemas.settings.deployment import Secret
from olvido.sinks.contract import OpenedTask, Rehearsal, SinkSettings, Swept
from olvido.sinks.data_map import DataMap, ErasureMethod, Scalar, Table
from olvido.sinks.journal import Answer, queries, recalled
from olvido.sinks.looks import LookAgain, LookTransaction, to_keep
from olvido.sinks.looks_postgres import KeptInPostgres
from olvido.sinks.ownership import Key, Match, same_text
from olvido.sinks.postgres_shape import INTEGERS, TableShapes, folds, look
from olvido.sinks.relational import carry_out
from olvido.sinks.rights.target import Target
from olvido.sinks.rows import Child, RowMark, Search
from olvido.sinks.section import SectionPart, fault, read_section

log = logging.getLogger(__name__)
T = TypeVar("T")

CONNECT_S = 5
ATTEMPTS_MAX = 3  # of a batch that met a concurrent change of the same rows, before it waits
_CONFLICTS = (errors.SerializationFailure, errors.DeadlockDetected, errors.ForeignKeyViolation)
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


class _Section(SectionPart):
    dsn: Secret
    look_again: LookAgain = LOOK_AGAIN
    tables: Any = Field(default=None)


class PostgresSink:
    """One PostgreSQL database that holds personal data."""

    def __init__(
        self,
        settings: SinkSettings,
        dsn: str,
        data_map: DataMap,
        look_again: tuple[timedelta, ...] = LOOK_AGAIN,
    ) -> None:
        self._settings = settings
        self._dsn = dsn
        self._map = data_map
        self._look_again = look_again
        self._connection: connection | None = None
        self._shape: TableShapes | None = None

    @classmethod
    def from_section(cls, settings: SinkSettings) -> "PostgresSink":
        """Make one out of ``sinks.<name>``: ``dsn`` and ``tables``. Nothing is connected yet.

        Raises:
            ConfigError: naming the key and the fix.
        """
        section = read_section(_Section, settings)
        data_map = DataMap.of(settings, section.tables)  # first: it can be told on any machine
        dsn = section.dsn.read(key=f"sinks.{settings.name}.dsn")
        return cls(settings, dsn, data_map, section.look_again)

    def __repr__(self) -> str:
        return f"PostgresSink({self._settings.name})"

    def check(self) -> Sequence[str]:
        """See :meth:`olvido.sinks.contract.Sink.check`."""
        conn = self._connected()
        try:
            with self._reading(conn) as cur:
                shape = look(cur, self._map)
        except psycopg2.Error as error:
            raise self._fault(error) from None
        if shape != self._shape:
            self._shape = None  # the next batch looks again
        return shape.slow

    def install(self) -> None:
        """See :meth:`olvido.sinks.contract.Sink.install`."""
        try:
            self._prepare(self._connected())
        except errors.InsufficientPrivilege:
            raise fault(
                f"sinks.{self._settings.name}",
                "this role may not make the schema olvido; GRANT CREATE ON DATABASE to it, or make the "
                "schema from sinks/olvido/sinks/sql/postgres.sql and grant it",
            ) from None
        except psycopg2.Error as error:
            raise self._fault(error) from None

    def ping(self) -> None:
        """See :meth:`olvido.sinks.contract.Sink.ping`. It reads the catalogue, as :meth:`check` does."""
        self.check()

    def apply(self, batch: Sequence[OpenedTask]) -> Sequence[Receipt]:
        """See :meth:`olvido.sinks.contract.Sink.apply`."""
        for attempt in range(1, ATTEMPTS_MAX + 1):
            try:
                return self._apply(batch)
            except _CONFLICTS as error:
                # Somebody changed the same rows meanwhile. Nothing is done yet: look again.
                if attempt == ATTEMPTS_MAX:
                    raise self._fault(error) from None
            except psycopg2.Error as error:
                raise self._fault(error) from None
        raise AssertionError("the last attempt returns or raises")

    def rehearse(
        self, batch: Sequence[Task], opening: Callable[[Task], OpenedTask | None]
    ) -> Sequence[Rehearsal]:
        """See :meth:`olvido.sinks.contract.Rehearsing.rehearse`."""
        try:
            known = self._rolled_back(lambda rows: rows.known([task.key for task in batch]))
            return [
                Rehearsal(task=task, remembered=True, receipt=None)
                if task.key in known
                else Rehearsal(task=task, remembered=False, receipt=self._try(opening(task)))
                for task in batch
            ]
        except psycopg2.Error as error:
            raise self._fault(error) from None

    def remembered(self, batch: Sequence[Task]) -> Sequence[Receipt | None]:
        """See :meth:`olvido.sinks.contract.Remembering.remembered`."""
        try:
            return recalled(
                self._rolled_back(lambda rows: rows.remembered([task.key for task in batch])), batch
            )
        except psycopg2.Error as error:
            raise self._fault(error) from None

    def look_again(
        self, opening: Callable[[Task], OpenedTask | None], publish: Callable[[LaterLook], None]
    ) -> Swept | None:
        """See :meth:`olvido.sinks.contract.LookingAgain.look_again`."""
        with self._looking(opening, publish) as looking:
            return looking.step(self._look_again)

    def look_at(
        self,
        opening: Callable[[Task], OpenedTask | None],
        publish: Callable[[LaterLook], None],
        *,
        done_after: datetime,
    ) -> LaterLook | None:
        """See :meth:`olvido.sinks.contract.LookingAgain.look_at`."""
        with self._looking(opening, publish) as looking:
            return looking.page(done_after)

    def idle(self) -> None:
        """Nothing to do: autovacuum gives space back, see docs/sinks/postgres.md."""

    def close(self) -> None:
        """Close the connection; an open transaction is rolled back by the server."""
        self._drop()

    def _apply(self, batch: Sequence[OpenedTask]) -> Sequence[Receipt]:
        conn = self._connected()
        shape = self._shape or self._prepare(conn)
        try:
            with conn.cursor() as cur:
                rows = _PostgresRows(cur, self._begin(cur), self._map, shape)
                receipts = carry_out(rows, self._map, self._settings, batch)
                if self._look_again:
                    self._kept(cur).keep(to_keep(batch, receipts, rows.at))
            # Killed before this line: nothing was done. Killed after it: all was done and is
            # remembered, and the batch that comes again is answered from the journal.
            conn.commit()
        except BaseException:
            self._roll_back(conn)
            raise
        return receipts

    @contextmanager
    def _looking(
        self, opening: Callable[[Task], OpenedTask | None], publish: Callable[[LaterLook], None]
    ) -> Iterator[LookTransaction]:
        """A transaction that looks again; it is committed at the end."""
        conn = self._connected()
        try:
            shape = self._shape or self._prepare(conn)
            with conn.cursor() as cur:
                rows = _PostgresRows(cur, self._begin(cur), self._map, shape)
                target = Target(rows, self._map, self._settings.purposes)
                yield LookTransaction(target, self._kept(cur), self._settings.name, opening, publish)
            conn.commit()
        except psycopg2.Error as error:
            self._roll_back(conn)
            raise self._fault(error) from None
        except BaseException:
            self._roll_back(conn)
            raise

    def _kept(self, cur: cursor) -> KeptInPostgres:
        return KeptInPostgres(cur, self._settings.name)

    def _try(self, one: OpenedTask | None) -> Receipt | None:
        """What a task that is new would be answered. Alone, so that its locks are held for a moment only."""
        if one is None:
            return None
        try:
            [receipt] = self._rolled_back(lambda rows: carry_out(rows, self._map, self._settings, [one]))
        except Refused:
            return None
        except psycopg2.Error as error:
            refused = self._fault(error)
            if isinstance(refused, Refused):
                return None
            raise refused from None
        return receipt

    def _rolled_back(self, act: "Callable[[_PostgresRows], T]") -> T:
        """Act in a transaction that is never committed; a journal that is not there is made in it, too."""
        conn = self._connected()
        try:
            with conn.cursor() as cur:
                at = self._begin(cur)
                there = self._install(cur)
                shape = self._shape or look(cur, self._map)
                if there:
                    self._shape = shape
                return act(_PostgresRows(cur, at, self._map, shape))
        finally:
            self._roll_back(conn)

    def _prepare(self, conn: connection) -> TableShapes:
        """Have the journal there, and know the tables."""
        try:
            with conn.cursor() as cur:
                self._begin(cur)
                self._install(cur)
                self._shape = look(cur, self._map)
            conn.commit()
        except BaseException:
            self._roll_back(conn)
            raise
        return self._shape

    @contextmanager
    def _reading(self, conn: connection) -> Iterator[cursor]:
        """A transaction that changes nothing."""
        try:
            with conn.cursor() as cur:
                self._begin(cur)
                yield cur
        finally:
            self._roll_back(conn)

    @staticmethod
    def _begin(cur: cursor) -> datetime:
        """Limit what the transaction may wait for; its instant, by the target's clock."""
        cur.execute(queries("postgres")["begin"])
        at: datetime
        [(at, _)] = cur.fetchall()
        return at.astimezone(UTC)

    @staticmethod
    def _install(cur: cursor) -> bool:
        """Have Olvido's own tables in the target; whether they were there already."""
        cur.execute(queries("postgres")["installed"])
        there = cur.fetchone() == (True,)
        if not there:
            cur.execute(queries("postgres")["install"])
        return there

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
        if code is None or code.startswith(_PASSING):
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
        before, self._shape = self._shape, None
        if before is None:
            return False
        try:
            with self._reading(self._connected()) as cur:
                cur.execute(queries("postgres")["usable"])
                fits = _one(cur) == (True,) and look(cur, self._map) == before
        except (psycopg2.Error, ConfigError, Unavailable):
            return False
        if fits:
            self._shape = before
        return fits

    def _unavailable(self, error: psycopg2.Error) -> Unavailable:
        text = str(error)
        reason = error.pgcode or next(
            (r for r in _REASONS if r.lower() in text.lower()), type(error).__name__
        )
        return Unavailable(
            f"sink {self._settings.name}: PostgreSQL does not answer ({reason}); it is asked again"
        )


class _PostgresRows:
    """One transaction, as :class:`olvido.sinks.rows.Rows` wants it."""

    def __init__(self, cur: cursor, at: datetime, data_map: DataMap, shape: TableShapes) -> None:
        self.at = at
        self._cursor = cur
        self._map = data_map
        self._shape = shape
        self._known: dict[tuple[str, int], IdempotencyKey] = {}
        self._instants: dict[datetime, str] = {}

    # --- the journal -------------------------------------------------------------------------

    def remembered(self, keys: Sequence[IdempotencyKey]) -> Mapping[IdempotencyKey, Answer]:
        self._run("remembered", **self._keys(keys))
        return {
            self._known[task_id, generation]: Answer(
                outcome=Outcome(outcome),
                counts=json.loads(counts),
                detail=detail,
                applied_at=applied_at.astimezone(UTC),
                verified_at=verified_at and verified_at.astimezone(UTC),
            )
            for task_id, generation, outcome, counts, detail, applied_at, verified_at in self._cursor
        }

    def known(self, keys: Sequence[IdempotencyKey]) -> Set[IdempotencyKey]:
        """Which of these tasks were done before; what was answered is not read."""
        self._run("known", **self._keys(keys))
        return {self._known[task_id, generation] for task_id, generation in self._cursor.fetchall()}

    def remember(self, answers: Mapping[IdempotencyKey, Answer]) -> None:
        given = list(answers.values())
        self._run(
            "remember",
            **self._keys(list(answers)),
            outcomes=[answer.outcome.value for answer in given],
            counts=[_json(tuple(answer.counts.items())) for answer in given],
            details=[answer.detail for answer in given],
            verified=[answer.verified_at is not None for answer in given],
        )

    def _keys(self, keys: Sequence[IdempotencyKey]) -> dict[str, Sequence[object]]:
        """Task keys as two arrays; remembered, so that an answer's text need not be read again."""
        texts = [(str(task_id), generation) for task_id, generation in keys]
        self._known.update(zip(texts, keys, strict=True))
        return {"task_ids": [task_id for task_id, _ in texts], "generations": [number for _, number in texts]}

    # --- rows --------------------------------------------------------------------------------

    def match(self, name: str, searches: Mapping[IdentityKind, Sequence[Search]]) -> Sequence[Match]:
        table = self._map.tables[name]
        parts: list[sql.Composable] = []
        values: list[object] = []
        asked: list[tuple[IdentityKind, Search]] = []
        for kind, items in searches.items():
            column = table.identities[kind]
            plain = self._shape.columns[name][column].plain
            fitting = [item for item in items if _fits(item[1], plain)]
            if fitting:
                parts.append(self._search(name, table, kind))
                places = range(len(asked), len(asked) + len(fitting))
                asked += [(kind, item) for item in fitting]
                _, spelled, fences = zip(*fitting, strict=True)
                values += [
                    array_of(places), array_of(spelled), array_of([self._instant(fence) for fence in fences])
                ]  # fmt: skip
        if not parts:
            return []
        self._cursor.execute(sql.SQL(" UNION ALL ").join(parts), values)
        return self._matches(name, table, asked)

    def _matches(
        self, name: str, table: Table, asked: Sequence[tuple[IdentityKind, Search]]
    ) -> Sequence[Match]:
        columns = self._shape.columns[name]
        plain = {kind: columns[column].plain for kind, column in table.identities.items()}
        by_person = {kind: column == table.person for kind, column in table.identities.items()}
        found: list[Match] = []
        for place, held, key, person, parent, *shares in self._cursor.fetchall():
            kind, (n, value, _) = asked[place]
            certain = held == value or _same(held, value, kind, plain[kind])
            found.append(Match(n, key, by_person[kind], person, parent, tuple(shares), certain))
        return found

    def _instant(self, fence: datetime | None) -> str | None:
        """A fence as text, written once for all identities of its task."""
        if fence is None:
            return None
        return self._instants.get(fence) or self._instants.setdefault(fence, str(fence))

    def _search(self, name: str, table: Table, kind: IdentityKind) -> sql.Composable:
        """The rows of a table whose column of one kind is one of the values searched for."""
        column = table.identities[kind]
        plain = self._shape.columns[name][column].plain
        equal = sql.SQL("lower(t.{0}) = lower(w.v)" if folds(kind, plain) else "t.{0} = w.v")
        return sql.SQL(
            "SELECT w.place, t.{column}::text, t.{key}, {person}, {parent}{shares}"
            " FROM unnest(%s::int[], %s::{type}[], %s::timestamptz[]) AS w (place, v, fence)"
            " JOIN {table} AS t ON {equal}{fence}{join}"
        ).format(
            equal=equal.format(_name(column)),
            column=_name(column),
            key=_name(table.key),
            person=self._person(table),
            parent=sql.SQL("p.{}").format(_name(self._parent_key(table)))
            if table.parent
            else sql.SQL("NULL"),
            shares=self._shares(name),
            type=sql.SQL(plain),
            table=_table(name),
            # A row without an instant cannot be shown to be newer, so it goes.
            fence=sql.SQL(" AND (t.{} <= w.fence) IS NOT FALSE").format(_name(table.created))
            if table.created
            else sql.SQL(""),
            join=sql.SQL(" LEFT JOIN {} AS p ON p.{} = t.{}").format(
                _table(table.parent.table), _name(self._parent_key(table)), _name(table.parent.column)
            )
            if table.parent
            else sql.SQL(""),
        )

    def _person(self, table: Table) -> sql.Composable:
        if table.person is None:
            return sql.SQL("NULL")
        folded = "lower(t.{}::text)" if table.person_kind is IdentityKind.EMAIL else "t.{}::text"
        return sql.SQL(folded).format(_name(table.person))

    def _parent_key(self, table: Table) -> str:
        assert table.parent is not None
        return self._map.tables[table.parent.table].key

    def _shares(self, name: str) -> sql.Composable:
        return sql.SQL("").join(sql.SQL(", t.{}").format(_name(c)) for c in self._map.sharers(name))

    def children(self, name: str, parents: Sequence[Key]) -> Sequence[Child]:
        table = self._map.tables[name]
        assert table.parent is not None
        self._cursor.execute(
            sql.SQL("SELECT t.{key}, w.v{shares} FROM {given} JOIN {table} AS t ON t.{parent} = w.v").format(
                key=_name(table.key),
                shares=self._shares(name),
                given=self._given_values(name, table.parent.column),
                table=_table(name),
                parent=_name(table.parent.column),
            ),
            (array_of(parents),),
        )
        return [(row[0], row[1], row[2:]) for row in self._cursor.fetchall()]

    def erase(self, name: str, column: str, values: Sequence[Key]) -> Mapping[Key, int]:
        table = self._map.tables[name]
        parts = {"table": _table(name), "given": self._given_values(name, column), "column": _name(column)}
        declared = table.declared
        if table.erase is ErasureMethod.DELETE:
            deed = sql.SQL("DELETE FROM {table} AS t USING {given} WHERE t.{column} = w.v RETURNING w.v")
        elif declared:
            assignments = self._assignments(name, declared)
            deed = sql.SQL(
                "UPDATE {table} AS t SET {assignments} FROM {given} WHERE t.{column} = w.v RETURNING w.v"
            )
            parts["assignments"] = assignments
        else:
            deed = sql.SQL("SELECT w.v FROM {given} JOIN {table} AS t ON t.{column} = w.v")
        counted = sql.SQL("WITH done AS ({}) SELECT v, count(*) FROM done GROUP BY v")
        self._cursor.execute(counted.format(deed.format(**parts)), [*_given(declared), array_of(values)])
        return dict(self._cursor.fetchall())

    def remaining(self, name: str, column: str, values: Sequence[Key]) -> int:
        table = self._map.tables[name]
        declared = table.declared
        otherwise = sql.SQL(" OR ").join(self._otherwise(name, c, v) for c, v in declared.items())
        self._cursor.execute(
            sql.SQL("SELECT count(*) FROM {given} JOIN {table} AS t ON t.{column} = w.v{otherwise}").format(
                given=self._given_values(name, column),
                table=_table(name),
                column=_name(column),
                otherwise=sql.SQL(" WHERE {}").format(otherwise) if declared else sql.SQL(""),
            ),
            [array_of(values), *_given(declared)],
        )
        return int(_one(self._cursor)[0])

    def prune(self, name: str, keys: Sequence[Key]) -> Sequence[Key]:
        table = self._map.tables[name]
        self._run("lock_shared_rows", table=name, row_keys=list({str(key) for key in keys}))
        unpointed = sql.SQL(" AND ").join(
            sql.SQL("NOT EXISTS (SELECT 1 FROM {} AS x WHERE x.{} = t.{})").format(
                _table(sharer.table), _name(sharer.column), _name(table.key)
            )
            for sharer in table.shared_by
        )
        self._cursor.execute(
            sql.SQL(
                "DELETE FROM {table} AS t USING {given} WHERE t.{key} = w.v AND {unpointed} RETURNING w.v"
            ).format(
                table=_table(name),
                given=self._given_values(name, table.key),
                key=_name(table.key),
                unpointed=unpointed,
            ),
            (array_of(keys),),
        )
        gone = [row[0] for row in self._cursor.fetchall()]
        if gone:
            self._run("forget_shared_rows", table=name, row_keys=[str(key) for key in gone])
        return gone

    def set_columns(self, name: str, values: Mapping[str, Scalar], keys: Sequence[Key]) -> None:
        table = self._map.tables[name]
        self._cursor.execute(
            sql.SQL("UPDATE {table} AS t SET {assignments} FROM {given} WHERE t.{key} = w.v").format(
                table=_table(name),
                assignments=self._assignments(name, values),
                given=self._given_values(name, table.key),
                key=_name(table.key),
            ),
            [*_given(values), array_of(keys)],
        )

    def _given_values(self, name: str, column: str) -> sql.Composable:
        """The values to look for, as one array of the type of the key they are."""
        plain = self._shape.key_type(name, column, self._map)
        return sql.SQL("unnest(%s::{}[]) AS w (v)").format(sql.SQL(plain))

    def _assignments(self, name: str, values: Mapping[str, Scalar | None]) -> sql.Composable:
        return sql.SQL(", ").join(
            sql.SQL("{} = NULL").format(_name(column))
            if value is None
            else sql.SQL("{} = %s::{}").format(_name(column), self._full(name, column))
            for column, value in values.items()
        )

    def _otherwise(self, name: str, column: str, value: Scalar | None) -> sql.Composable:
        """That a column is not what anonymising makes it. As text, since not every type can be compared."""
        if value is None:
            return sql.SQL("t.{} IS NOT NULL").format(_name(column))
        return sql.SQL("t.{}::text IS DISTINCT FROM (%s::{})::text").format(
            _name(column), self._full(name, column)
        )

    def _full(self, name: str, column: str) -> sql.Composable:
        return sql.SQL(self._shape.columns[name][column].full)  # as PostgreSQL itself wrote it

    # --- what people said --------------------------------------------------------------------

    def save_states(self, states: Sequence[ConsentState]) -> Mapping[tuple[str, str], UUID]:
        self._run(
            "save_states",
            handles=[state.handle for state in states],
            purposes=[state.purpose for state in states],
            occurred_at=[state.occurred_at for state in states],
            decisions=[state.decision.value for state in states],
            event_ids=[str(state.event_id) for state in states],
            policy_versions=[state.policy_version for state in states],
        )
        self._run("states", **_pairs([(state.handle, state.purpose) for state in states]))
        return {(handle, purpose): UUID(event_id) for handle, purpose, event_id in self._cursor.fetchall()}

    def save_objections(self, objections: Sequence[tuple[str, str, datetime, UUID]]) -> None:
        self._run(
            "save_objections",
            **_pairs([(handle, purpose) for handle, purpose, _, _ in objections]),
            occurred_at=[occurred_at for _, _, occurred_at, _ in objections],
            request_ids=[str(request_id) for _, _, _, request_id in objections],
        )

    def objected(self, pairs: Sequence[tuple[str, str]]) -> Set[tuple[str, str]]:
        self._run("objected", **_pairs(pairs))
        return {(handle, purpose) for handle, purpose in self._cursor.fetchall()}

    def save_row_marks(self, name: str, marks: Sequence[RowMark]) -> Set[tuple[Key, str]]:
        given = {(str(one.key), one.purpose): one for one in marks}
        ordered = [given[pair] for pair in sorted(given)]  # or two batches could wait for each other
        self._run(
            "save_row_marks",
            table=name,
            row_keys=[str(one.key) for one in ordered],
            purposes=[one.purpose for one in ordered],
            ranks=[one.mark.value for one in ordered],
            occurred_at=[one.occurred_at for one in ordered],
            event_ids=[str(one.event_id) for one in ordered],
        )
        return {(given[row_key, purpose].key, purpose) for row_key, purpose in self._cursor.fetchall()}

    def forget_row_marks(self, name: str, keys: Sequence[Key]) -> None:
        self._run("forget_row_marks", table=name, row_keys=[str(key) for key in keys])

    def _run(self, query: str, **values: str | Sequence[object]) -> None:
        given = {n: v if isinstance(v, str) else array_of(v) for n, v in values.items()}
        self._cursor.execute(queries("postgres")[query], given)


@lru_cache(maxsize=1024)  # most tasks of a batch count the same
def _json(counts: tuple[tuple[str, int], ...]) -> str:
    return json.dumps(dict(counts))


def _pairs(pairs: Sequence[tuple[str, str]]) -> dict[str, Sequence[object]]:
    return {"handles": [handle for handle, _ in pairs], "purposes": [purpose for _, purpose in pairs]}


def _given(values: Mapping[str, Scalar | None]) -> list[Scalar]:
    return [value for value in values.values() if value is not None]


def _name(column: str) -> sql.Identifier:
    return sql.Identifier(column)


def _table(name: str) -> sql.Identifier:
    return sql.Identifier(*name.split("."))


def _one(cur: cursor) -> tuple[Any, ...]:
    row = cur.fetchone()
    assert row is not None
    return row


def _same(held: str, asked: str, kind: IdentityKind, plain: str) -> bool:
    """Whether what a column holds, as text, is the very value that was asked."""
    if plain in INTEGERS:
        return int(held) == int(asked)
    if plain == "uuid":
        return UUID(held) == UUID(asked)
    return same_text(held, asked, fold=folds(kind, plain) or plain.endswith("citext"))


def _fits(value: str, plain: str) -> bool:
    """Whether a column of that type can hold the value at all: "a-17" is no integer, so no row has it."""
    if plain in INTEGERS:
        return (
            re.fullmatch(r"-?[0-9]{1,19}", value) is not None
            and -INTEGERS[plain] <= int(value) < INTEGERS[plain]
        )
    if plain == "uuid":
        return re.fullmatch(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", value) is not None
    return value.isprintable() or ("\0" not in value and value.encode(errors="replace").decode() == value)
