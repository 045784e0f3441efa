"""Reads a PostgreSQL database: every transaction is READ ONLY, and every statement has a limit."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psycopg2
from psycopg2 import errors, sql
from psycopg2.extensions import connection, cursor

from olvido.core.errors import Unavailable
from olvido.core.sql import array_of
from olvido.sinks.discovery.live import CUT_AT, Family, LiveColumn, LiveReference, LiveTable, Sample, bare
from olvido.sinks.section import fault
from olvido.sinks.tables.journal import queries

CONNECT_S = 5
_GONE = ("08", "57P")  # the connection, or the server
SQL = "discovery_postgres"
SMALL_ROWS = 20_000  # up to here a plain LIMIT reads little; above, blocks are chosen at random
SPREAD_ROWS = 5_000  # in the blocks that are chosen: some thirty of them where rows are short
_FAMILIES = {
    **dict.fromkeys(("text", "varchar", "bpchar", "citext", "name", "char"), Family.TEXT),
    **dict.fromkeys(("int2", "int4", "int8", "numeric"), Family.NUMBER),
    "bool": Family.BOOLEAN,
    "date": Family.DATE,
    **dict.fromkeys(("timestamp", "timestamptz"), Family.INSTANT),
    "uuid": Family.UUID,
    **dict.fromkeys(("inet", "cidr"), Family.ADDRESS),
    **dict.fromkeys(("json", "jsonb", "xml", "hstore", "array"), Family.DOCUMENT),
}
_ON_DELETE = {"a": "NO ACTION", "r": "RESTRICT", "c": "CASCADE", "n": "SET NULL", "d": "SET DEFAULT"}


class PostgresReader:
    """One PostgreSQL database, to be read."""

    dialect = "PostgreSQL"

    def __init__(self, sink: str, dsn: str) -> None:
        self._sink = sink
        self._dsn = dsn
        self._connection: connection | None = None

    def tables(self) -> Sequence[LiveTable]:
        """See :meth:`olvido.sinks.discovery.live.TargetReader.tables`."""
        try:
            with self._reading() as cur:
                return self._tables(cur)
        except psycopg2.Error as error:
            raise self._unavailable(error) from None

    def _tables(self, cur: cursor) -> list[LiveTable]:
        cur.execute(queries(SQL)["tables"])
        found = cur.fetchall()
        oids = {"tables": array_of([row[0] for row in found])}
        names = {oid: name if visible else f"{schema}.{name}" for oid, schema, name, visible, _, _ in found}
        columns = self._columns(cur, oids)
        keys, unique, indexed = self._indexes(cur, oids)
        references = self._references(cur, oids, names)
        return [
            LiveTable(
                name=names[oid],
                full_name=f"{schema}.{name}",
                columns=tuple(columns[oid]),
                key=keys.get(oid, ()),
                unique=frozenset(unique[oid]),
                references=tuple(references[oid]),
                indexed=frozenset(indexed[oid]),
                rows=rows if rows >= 0 else None,
                readable=readable,
            )
            for oid, schema, name, _, rows, readable in found
        ]

    def sample(self, table: LiveTable, columns: Sequence[str], rows: int) -> Sample:
        """See :meth:`olvido.sinks.discovery.live.TargetReader.sample`."""
        try:
            with self._reading() as cur:
                found = self._rows(cur, table, columns, rows)
        except errors.QueryCanceled:
            return Sample(why_not="reading some of its rows took too long")
        except psycopg2.Error as error:  # about this table alone; another one is read all the same
            return Sample(why_not=f"its rows cannot be read now (SQLSTATE {error.pgcode})")
        return Sample(
            values={
                column: [row[place] for row in found if row[place]] for place, column in enumerate(columns)
            }
        )

    def held(self, table: str, column: str, values: Sequence[str]) -> int:
        """See :meth:`olvido.sinks.discovery.live.TargetReader.held`."""
        try:
            with self._reading() as cur:
                # No parameters: psycopg2 would take a % in a name for the place of one.
                cur.execute(
                    sql.SQL(
                        "SELECT count(*) FROM unnest({}::text[]) AS w (v)"
                        " WHERE EXISTS (SELECT 1 FROM {} AS t WHERE t.{}::text = w.v)"
                    ).format(
                        sql.Literal(array_of(sorted(set(values)))), _table(table), sql.Identifier(column)
                    )
                )
                row = cur.fetchone()
                return int(row[0]) if row else 0
        except psycopg2.Error:
            return 0

    def close(self) -> None:
        """See :meth:`olvido.sinks.discovery.live.TargetReader.close`."""
        conn, self._connection = self._connection, None
        if conn is not None:
            conn.close()

    @staticmethod
    def _rows(cur: cursor, table: LiveTable, columns: Sequence[str], rows: int) -> list[tuple[str, ...]]:
        """Some rows, from blocks all over the table where it is large: the first ones may be years old."""
        chosen = sql.SQL(", ").join(
            sql.SQL("left({}::text, {})").format(sql.Identifier(column), sql.Literal(CUT_AT))
            for column in columns
        )
        whole = sql.SQL("SELECT {} FROM {}").format(chosen, _table(table.name))
        if (table.rows or 0) > SMALL_ROWS:
            # Rows of some thirty blocks at least, and of these as many as are wanted: the first of them alone
            # would be one block's. The same blocks each time: asked twice, it reads the same rows.
            percent = sql.Literal(100.0 * SPREAD_ROWS / (table.rows or 1))
            some = sql.SQL(" TABLESAMPLE SYSTEM ({}) REPEATABLE (7) ORDER BY random() LIMIT {}")
            cur.execute(whole + some.format(percent, sql.Literal(rows)))
            found = cur.fetchall()
            if len(found) >= rows // 2:
                return found
        cur.execute(whole + sql.SQL(" LIMIT {}").format(sql.Literal(rows)))
        return cur.fetchall()

    @staticmethod
    def _columns(cur: cursor, oids: dict[str, str]) -> dict[int, list[LiveColumn]]:
        cur.execute(queries(SQL)["columns"], oids)
        columns: dict[int, list[LiveColumn]] = defaultdict(list)
        for oid, name, full, base, kind, not_null in cur:
            family = Family.TEXT if kind == "e" else _FAMILIES.get(base, Family.OTHER)
            columns[oid].append(LiveColumn(name=name, type=full, family=family, not_null=not_null))
        return columns

    @staticmethod
    def _indexes(
        cur: cursor, oids: dict[str, str]
    ) -> tuple[dict[int, tuple[str, ...]], dict[int, set[tuple[str, ...]]], dict[int, set[str]]]:
        cur.execute(queries(SQL)["indexes"], oids)
        keys: dict[int, tuple[str, ...]] = {}
        unique: dict[int, set[tuple[str, ...]]] = defaultdict(set)
        indexed: dict[int, set[str]] = defaultdict(set)
        for oid, first, columns, primary, is_unique in cur:
            indexed[oid].add(bare(first))
            if primary:
                keys[oid] = tuple(columns)
            elif is_unique:
                unique[oid].add(tuple(columns))
        return keys, unique, indexed

    @staticmethod
    def _references(
        cur: cursor, oids: dict[str, str], names: dict[int, str]
    ) -> dict[int, list[LiveReference]]:
        cur.execute(queries(SQL)["references"], oids)
        references: dict[int, list[LiveReference]] = defaultdict(list)
        for oid, pointed, action, columns, keys in cur:
            references[oid].append(
                LiveReference(
                    columns=tuple(columns),
                    table=names[pointed],
                    keys=tuple(keys),
                    on_delete=_ON_DELETE[action],
                )
            )
        return references

    @contextmanager
    def _reading(self) -> Iterator[cursor]:
        """A transaction that cannot write, whatever the role may do."""
        try:
            conn = self._connected()
            try:
                with conn.cursor() as cur:
                    cur.execute(queries(SQL)["limits"])
                    yield cur
            finally:
                conn.rollback()
        except psycopg2.Error as error:
            if error.pgcode is not None and not error.pgcode.startswith(_GONE):
                raise
            self.close()
            raise self._unavailable(error) from None

    def _unavailable(self, error: psycopg2.Error) -> Unavailable:
        """Never with the driver's text, which may hold a value or the address."""
        reason = error.pgcode or type(error).__name__
        return Unavailable(f"sink {self._sink}: PostgreSQL does not answer ({reason})")

    def _connected(self) -> connection:
        if self._connection is None:
            try:
                conn = psycopg2.connect(self._dsn, application_name="olvido", connect_timeout=CONNECT_S)
            except psycopg2.ProgrammingError:
                # Its text holds the address, and so perhaps a password.
                raise fault(f"sinks.{self._sink}.dsn", "is not a PostgreSQL address") from None
            conn.set_session(readonly=True, isolation_level="REPEATABLE READ")
            self._connection = conn
        return self._connection


def _table(name: str) -> sql.Identifier:
    return sql.Identifier(*name.split(".", 1))
