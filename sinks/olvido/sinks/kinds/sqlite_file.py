"""An SQLite file of an application's: opened for one piece of work, and rid of the bytes that it destroyed.

The application has the file open, too. A process that writes holds the file alone, so a batch waits a moment
for the others and gives up with ``Unavailable``.
"""

import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from olvido.core.errors import Unavailable
from olvido.core.instants import microseconds
from olvido.sinks.section import fault
from olvido.sinks.tables.time_limits import TimeLimits

STEPS = 10_000  # of SQLite's machine between two looks at the clock: some tenths of a millisecond
# An application's own transactions last milliseconds, and it waits while the sink has the file.
FILE_TIME_LIMITS = TimeLimits(lock_timeout_s=5, transaction_timeout_s=60)


class SQLiteFile:
    """One file, under its one name."""

    def __init__(
        self,
        sink: str,
        path: Path,
        time_limits: TimeLimits = FILE_TIME_LIMITS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sink = sink
        self._time_limits = time_limits
        self._clock = clock
        # Once: a link that is put elsewhere later must not lead the sink to another file.
        self._path = path.resolve()

    def __repr__(self) -> str:
        return f"SQLiteFile({self._sink})"

    @contextmanager
    def opened(self) -> Iterator[sqlite3.Connection]:
        """The file, in no transaction. It is closed again whatever happens.

        Raises:
            Unavailable: it is not there.
            ConfigError: it is not the application's own file, but another name of it.
        """
        self._look_at_the_name()
        # Not made if it is absent: in an empty file everybody would be "not found".
        conn = sqlite3.connect(
            f"{self._path.as_uri()}?mode=rw",
            uri=True,
            timeout=self._time_limits.lock_timeout_s,
            isolation_level=None,
        )
        try:
            conn.text_factory = _text
            conn.create_function("olvido_instant", 2, instant, deterministic=True)
            conn.create_function("olvido_digits", 1, digits, deterministic=True)
            conn.create_function("olvido_bytes", 1, bytes.fromhex, deterministic=True)
            conn.execute("PRAGMA foreign_keys = ON")
            # What is deleted is written over with zeros, and a rollback journal that persists is emptied.
            conn.execute("PRAGMA secure_delete = ON")
            conn.execute("PRAGMA journal_size_limit = 0")
            # A receipt goes out after the COMMIT, which must outlive a crash of the machine.
            conn.execute("PRAGMA synchronous = EXTRA")
            yield conn
        finally:
            conn.close()

    @staticmethod
    @contextmanager
    def writing(conn: sqlite3.Connection) -> Iterator[None]:
        """A transaction that may write from its first statement on: nobody changes a row between finding and
        destroying. It is committed at the end of the block, or rolled back.
        """
        conn.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            if conn.in_transaction:  # SQLite has rolled back already after some faults
                conn.execute("ROLLBACK")
            raise
        conn.execute("COMMIT")

    @contextmanager
    def within_time(self, conn: sqlite3.Connection) -> Iterator[None]:
        """Interrupt whatever still runs when the file was held for too long."""
        give_up_at = self._clock() + self._time_limits.transaction_timeout_s
        conn.set_progress_handler(lambda: self._clock() > give_up_at, STEPS)
        try:
            yield
        finally:
            conn.set_progress_handler(None, 0)

    @staticmethod
    def flush(conn: sqlite3.Connection) -> bool:
        """Bring the write-ahead log into the file and empty it; whether that is done.

        Until then the log holds the pages from before a deletion. A reader that began earlier needs them.
        """
        busy, _, _ = conn.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        return not busy

    def rewrite(self, conn: sqlite3.Connection) -> None:
        """Write the file anew, without what was destroyed.

        Zeros over deleted cells are not enough: where rows had moved from page to page, the free space of a
        page holds copies of them. A crash anywhere leaves the file whole: VACUUM is one transaction.

        Raises:
            Unavailable: somebody reads or writes; nothing was lost, and it is to be done again.
        """
        conn.execute("VACUUM")
        if not self.flush(conn):
            raise Unavailable(f"sink {self._sink}: somebody reads the file, so its log cannot be emptied now")

    def _look_at_the_name(self) -> None:
        """Its log and its journal are found by the name, so under another name there is other content."""
        try:
            named_twice = self._path.is_symlink() or self._path.stat().st_nlink > 1
        except FileNotFoundError:
            raise Unavailable(f"sink {self._sink}: there is no file at {self._path}") from None
        if named_twice:
            raise fault(
                f"sinks.{self._sink}.file",
                "has a second name (a link), under which another log would be found; remove one of them",
            )


def instant(value: object, zone: str) -> int | None:
    """When something was, in microseconds, of a text as applications write instants.

    ``2026-06-01``, ``2026-06-01 12:30:00.123456``, ``2026-06-01T12:30:00+02:00``. Without a zone it is one of
    the zone that is given.

    Raises:
        ValueError: it is something else, and so cannot be shown to be older or newer than anything.
    """
    if value is None:
        return None
    at = datetime.fromisoformat(str(value).strip())
    at = at.replace(tzinfo=ZoneInfo(zone)) if at.tzinfo is None else at
    return microseconds(at)


def digits(value: object) -> str | None:
    """The digits of a text, without what people write between them."""
    return None if value is None else re.sub("[^0-9]", "", str(value))


def _text(raw: bytes) -> str:
    """Texts that are not UTF-8 are found by nobody, and stop nobody."""
    return raw.decode(errors="surrogateescape")
