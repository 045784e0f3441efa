"""A kind of sink, whole: one table of addresses in an SQLite file. docs/sinks/adding-a-sink.md speaks of it.

The effect and the memory of it are one transaction of the file, so a process that is killed has done both
or neither.
"""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

from olvido.core.errors import ConfigError, Unavailable
from olvido.core.outcomes import Outcome
from olvido.core.receipts import Receipt, receipt_for
from olvido.core.rights.names import Action
from olvido.core.subject import IdentityKind
from olvido.sinks.contract import OpenedTask, SinkSettings

JOURNAL = """CREATE TABLE IF NOT EXISTS olvido_applied (task_id TEXT, generation INTEGER, outcome TEXT,
    counts TEXT, detail TEXT, applied_at TEXT, verified_at TEXT, PRIMARY KEY (task_id, generation))"""


class NewsletterSink:
    """The table ``readers``, with a column ``email``."""

    def __init__(self, settings: SinkSettings) -> None:
        if not isinstance(settings.own.get("file"), str):
            raise ConfigError(f"olvido.toml: sinks.{settings.name}.file: is missing; give the file's path")
        self._name, self._file = settings.name, settings.own["file"]

    @contextmanager
    def _target(self) -> Iterator[sqlite3.Connection]:
        try:  # mode=rw: a file that is not there is not made
            target = sqlite3.connect(f"file:{self._file}?mode=rw", uri=True, isolation_level=None)
        except sqlite3.Error:
            raise Unavailable(f"sink {self._name}: the file does not open") from None
        try:
            target.execute("BEGIN IMMEDIATE")
            yield target
            # Killed before this line: nothing was done. Killed after it: all was done and is remembered.
            target.execute("COMMIT")
        except sqlite3.Error as error:  # its text may hold values: only its code is told
            raise Unavailable(f"sink {self._name}: {error.sqlite_errorname}") from None
        finally:
            target.close()  # what was not committed is rolled back

    def check(self) -> Sequence[str]:
        with self._target() as target:
            if "email" not in {name for _, name, *_ in target.execute("PRAGMA table_info(readers)")}:
                raise ConfigError(
                    f"olvido.toml: sinks.{self._name}: the file has no table readers with email"
                )
        return ()

    def install(self) -> None:
        with self._target() as target:
            target.execute(JOURNAL)

    def ping(self) -> None:
        with self._target():
            pass

    def apply(self, batch: Sequence[OpenedTask]) -> Sequence[Receipt]:
        with self._target() as target:
            return [self._remembered(target, one) or self._answer(target, one) for one in batch]

    def idle(self) -> None: ...

    def close(self) -> None: ...

    def _remembered(self, target: sqlite3.Connection, one: OpenedTask) -> Receipt | None:
        key = (str(one.task.task_id), one.task.generation)
        row = target.execute(
            "SELECT outcome, counts, detail, applied_at, verified_at FROM olvido_applied "
            "WHERE task_id = ? AND generation = ?", key,
        ).fetchone()  # fmt: skip
        if row is None:
            return None
        outcome, counts, detail, applied_at, verified_at = row
        return receipt_for(
            one.task, Outcome(outcome), counts=json.loads(counts), detail=detail,
            applied_at=datetime.fromisoformat(applied_at),
            verified_at=datetime.fromisoformat(verified_at) if verified_at else None,
        )  # fmt: skip

    def _answer(self, target: sqlite3.Connection, one: OpenedTask) -> Receipt:
        receipt = self._do(target, one, datetime.now(UTC))
        verified_at = receipt.verified_at and receipt.verified_at.isoformat()
        target.execute(
            "INSERT INTO olvido_applied VALUES (?, ?, ?, ?, ?, ?, ?)",
            (str(receipt.task_id), receipt.generation, receipt.outcome.value, json.dumps(receipt.counts),
             receipt.detail, receipt.applied_at.isoformat(), verified_at),
        )  # fmt: skip
        return receipt

    def _do(self, target: sqlite3.Connection, one: OpenedTask, now: datetime) -> Receipt:
        # In all forms of the address: readers type it as they like. SQLite folds the case of ASCII letters
        # alone, so those beyond ASCII are among the spellings in both cases.
        addresses = [identity for identity in one.identities if identity.kind is IdentityKind.EMAIL]
        emails = [(spelling,) for address in addresses for spelling in address.spellings]
        if one.task.action is not Action.ERASE or not emails:
            detail = "erases, and searches by email; nothing else"
            return receipt_for(one.task, Outcome.UNSUPPORTED, applied_at=now, detail=detail)
        gone = target.executemany("DELETE FROM readers WHERE lower(email) = lower(?)", emails).rowcount
        counts = {"readers.deleted": gone} if gone else {}
        left = [
            target.execute("SELECT 1 FROM readers WHERE lower(email) = lower(?)", one).fetchone()
            for one in emails
        ]
        if any(left):  # a trigger of the target's may put rows back: then nothing was erased
            detail = "rows are there after they were deleted"
            return receipt_for(one.task, Outcome.FAILED, applied_at=now, counts=counts, detail=detail)
        outcome = Outcome.ERASED if gone else Outcome.NOT_FOUND
        return receipt_for(one.task, outcome, applied_at=now, verified_at=now, counts=counts)
