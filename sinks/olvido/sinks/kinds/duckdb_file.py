"""A DuckDB file that is open, and so locked, only while somebody works on it.

An instance of DuckDB of its own for each piece of work takes 30 ms of CPU: one is kept for as long as the
sink lives, in memory and with nothing in it. The file is attached to it and detached again, which takes 3 ms.
"""

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

import duckdb

ATTACHED = "olvido_target"  # what the file is called in the instance; no schema is named like it


def literal(path: Path) -> str:
    """A path as a text in SQL: ATTACH takes no parameter."""
    return "'" + str(path).replace("'", "''") + "'"


class DuckDBFile:
    """One file. May be shared between threads: the first to open it attaches it, the last detaches it.

    The instance is thrown away after any fault of DuckDB's, which releases the file whatever it was in.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._instance: duckdb.DuckDBPyConnection | None = None
        self._open = 0
        self._changing = threading.Lock()

    @contextlib.contextmanager
    def opened(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection whose names are those of the file. What it did not commit is rolled back at the end.

        Raises:
            duckdb.Error: the file cannot be opened, or what was done in it failed.
        """
        conn, faulty = self._attached(), False
        try:
            conn.execute(f"USE {ATTACHED}")
            yield conn
        except duckdb.Error:
            faulty = True
            raise
        finally:
            self._let_go(conn, faulty=faulty)

    def _attached(self) -> duckdb.DuckDBPyConnection:
        with self._changing:
            if self._instance is None:
                self._instance = duckdb.connect()
                self._instance.execute("SET GLOBAL TimeZone = 'UTC'")
            conn = self._instance.cursor()
            if not self._open:
                try:
                    # Killed from here on: the system releases the file, without what was not committed.
                    conn.execute(f"ATTACH {literal(self.path)} AS {ATTACHED}")
                except duckdb.Error:
                    conn.close()
                    self._forget()
                    raise
            self._open += 1
            return conn

    def _let_go(self, conn: duckdb.DuckDBPyConnection, *, faulty: bool) -> None:
        with self._changing:
            self._open -= 1
            with contextlib.suppress(duckdb.Error):  # there may be no transaction
                conn.rollback()
            try:
                conn.execute("USE memory")
                if not self._open and self._instance is not None:
                    conn.execute(f"DETACH {ATTACHED}")
            except duckdb.Error:
                faulty = True
            conn.close()
            if faulty and not self._open:
                self._forget()

    def _forget(self) -> None:
        instance, self._instance = self._instance, None
        if instance is not None:
            instance.close()
