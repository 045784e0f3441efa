"""Reads a MariaDB database: every transaction is READ ONLY, and every statement has a limit."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pymysql
from pymysql.connections import Connection
from pymysql.cursors import Cursor

from olvido.core.errors import Unavailable
from olvido.sinks.discovery.live import CUT_AT, Family, LiveColumn, LiveReference, LiveTable, Sample
from olvido.sinks.kinds.mysql_address import Address
from olvido.sinks.tables.journal import queries

SQL = "discovery_mysql"
STATEMENT_TIMEOUT_S = 10  # as its query "limits" says
_FAMILIES = {
    **dict.fromkeys(
        ("char", "varchar", "tinytext", "text", "mediumtext", "longtext", "enum", "set"), Family.TEXT
    ),
    **dict.fromkeys(("tinyint", "smallint", "mediumint", "int", "bigint", "decimal"), Family.NUMBER),
    "date": Family.DATE,
    **dict.fromkeys(("datetime", "timestamp"), Family.INSTANT),
    "uuid": Family.UUID,
    **dict.fromkeys(("inet4", "inet6"), Family.ADDRESS),
    "json": Family.DOCUMENT,
}


class MySQLReader:
    """One MariaDB database, to be read."""

    dialect = "MariaDB"

    def __init__(self, sink: str, address: Address) -> None:
        self._sink = sink
        self._address = address
        self._connection: Connection[Any] | None = None

    def tables(self) -> Sequence[LiveTable]:
        """See :meth:`olvido.sinks.discovery.live.TargetReader.tables`."""
        try:
            with self._reading() as cur:
                return self._tables(cur)
        except pymysql.Error as error:
            raise self._unavailable(error) from None

    def sample(self, table: LiveTable, columns: Sequence[str], rows: int) -> Sample:
        """See :meth:`olvido.sinks.discovery.live.TargetReader.sample`. The last rows by the primary key."""
        chosen = ", ".join(f"LEFT(CAST({_quoted(column)} AS CHAR), {CUT_AT})" for column in columns)
        last = ", ".join(f"{_quoted(column)} DESC" for column in table.key)
        order = f" ORDER BY {last}" if last else ""
        query = f"SELECT {chosen} FROM {_quoted(table.name)}{order} LIMIT {int(rows)}"  # noqa: S608
        try:
            with self._reading() as cur:
                cur.execute(query, ())
                found = cur.fetchall()
        except pymysql.Error as error:  # about this table alone; another one is read all the same
            return Sample(why_not=f"its rows cannot be read now (error {_number(error)})")
        return Sample(
            values={
                column: [row[place] for row in found if row[place]] for place, column in enumerate(columns)
            }
        )

    def held(self, table: str, column: str, values: Sequence[str]) -> int:
        """See :meth:`olvido.sinks.discovery.live.TargetReader.held`."""
        # The first comparison may use an index; the second is of bytes, as the column's own collation may
        # take one value for another.
        same = f"{_quoted(column)} = %s AND CAST({_quoted(column)} AS CHAR) = BINARY %s"
        query = f"SELECT 1 FROM {_quoted(table)} WHERE {same} LIMIT 1"  # noqa: S608
        try:
            with self._reading() as cur:
                return sum(cur.execute(query, (value, value)) for value in set(values))
        except pymysql.Error:
            return 0

    def close(self) -> None:
        """See :meth:`olvido.sinks.discovery.live.TargetReader.close`."""
        conn, self._connection = self._connection, None
        if conn is not None and conn.open:
            conn.close()

    def _tables(self, cur: Cursor) -> list[LiveTable]:
        cur.execute(queries(SQL)["tables"], ())
        found = cur.fetchall()
        columns: dict[str, list[LiveColumn]] = defaultdict(list)
        hidden = set()
        cur.execute(queries(SQL)["columns"], ())
        for table, name, kind, full, not_null, readable in cur.fetchall():
            family = Family.BOOLEAN if full == "tinyint(1)" else _FAMILIES.get(kind, Family.OTHER)
            columns[table].append(LiveColumn(name=name, type=full, family=family, not_null=bool(not_null)))
            if not readable:
                hidden.add(table)
        keys, unique, indexed = self._indexes(cur)
        references = self._references(cur)
        return [
            LiveTable(
                name=name,
                columns=tuple(columns[name]),
                key=keys.get(name, ()),
                unique=frozenset(unique[name]),
                references=tuple(references[name]),
                indexed=frozenset(indexed[name]),
                rows=rows,
                readable=name not in hidden,
            )
            for name, rows in found
        ]

    @staticmethod
    def _indexes(
        cur: Cursor,
    ) -> tuple[dict[str, tuple[str, ...]], dict[str, set[tuple[str, ...]]], dict[str, set[str]]]:
        parts: dict[tuple[str, str, bool], list[str | None]] = defaultdict(list)
        cur.execute(queries(SQL)["indexes"], ())
        for table, index, is_unique, column in cur.fetchall():
            parts[table, index, bool(is_unique)].append(column)
        keys: dict[str, tuple[str, ...]] = {}
        unique: dict[str, set[tuple[str, ...]]] = defaultdict(set)
        indexed: dict[str, set[str]] = defaultdict(set)
        for (table, index, is_unique), columns in parts.items():
            plain = tuple(column for column in columns if column is not None)  # none: it is an expression
            if columns[0] is not None:
                indexed[table].add(columns[0])
            if index == "PRIMARY":
                keys[table] = plain
            elif is_unique and len(plain) == len(columns):
                unique[table].add(plain)
        return keys, unique, indexed

    @staticmethod
    def _references(cur: Cursor) -> dict[str, list[LiveReference]]:
        parts: dict[tuple[str, str, str, str], list[tuple[str, str]]] = defaultdict(list)
        cur.execute(queries(SQL)["references"], ())
        for table, constraint, column, pointed, key, on_delete in cur.fetchall():
            parts[table, constraint, pointed, on_delete].append((column, key))
        references: dict[str, list[LiveReference]] = defaultdict(list)
        for (table, _, pointed, on_delete), pairs in parts.items():
            references[table].append(
                LiveReference(
                    columns=tuple(column for column, _ in pairs),
                    table=pointed,
                    keys=tuple(key for _, key in pairs),
                    on_delete=on_delete,
                )
            )
        return references

    @contextmanager
    def _reading(self) -> Iterator[Cursor]:
        """A transaction that cannot write, whatever the role may do."""
        conn = self._connected()
        try:
            with conn.cursor() as cur:
                cur.execute(queries(SQL)["begin"], ())
                yield cur
        finally:
            if conn.open:
                conn.rollback()

    def _connected(self) -> "Connection[Any]":
        if self._connection is None or not self._connection.open:
            try:
                conn = self._address.connect(statement_timeout_s=STATEMENT_TIMEOUT_S)
            except (pymysql.Error, OSError) as error:
                raise self._unavailable(error) from None
            with conn.cursor() as cur:
                cur.execute(queries(SQL)["limits"], ())
            self._connection = conn
        return self._connection

    def _unavailable(self, error: Exception) -> Unavailable:
        """Never with the driver's text, which may hold a value or the address."""
        return Unavailable(f"sink {self._sink}: MariaDB does not answer (error {_number(error)})")


def _number(error: Exception) -> object:
    """The number of a fault (https://mariadb.com/kb/en/mariadb-error-codes), or else its type."""
    return error.args[0] if error.args and isinstance(error.args[0], int) else type(error).__name__


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``").replace("%", "%%") + "`"
