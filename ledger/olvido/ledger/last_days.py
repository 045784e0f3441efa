"""By when requests are to be answered, as it was worked out; and what is recorded to make it later."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from olvido.core.acts import Act
from olvido.ledger.acts import record
from olvido.ledger.connection import Database, Transaction, columns
from olvido.ledger.rows import Due, DueRow

COLUMNS = {
    "due_at": "due.at", "due_by": "due.by", "due_provisional": "due.provisional",
    "identity_verified_at": "due.verified_at",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Extensible:
    """What an extension of a request goes by."""

    right: str
    requested_at: datetime
    due_at: datetime | None  # None: every clock waits for the proof of identity
    finished_at: datetime | None
    jurisdiction: str | None
    extended_at: datetime | None  # when one was recorded before
    identity_verified_at: datetime | None


class LastDays:
    """The last days of requests, for those who make them later. May be shared between threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def extend(self, act: Act, request_id: UUID, work_out: Callable[[Extensible], Due]) -> Due | None:
        """Write the last day that is worked out, with the act; None if there is no such request.

        Whatever ``work_out`` raises ends it, and nothing is written. The request is locked: two who extend it
        take turns, and the second finds that it was extended.

        Raises:
            Unavailable: the ledger does not answer.
        """
        with self._database.transaction() as transaction:
            rows = transaction.records("lock_due", id=request_id)
            if not rows:
                return None
            due = work_out(Extensible(**rows[0]))
            record(transaction, act)
            # Killed before the commit: nothing was extended, nothing is on record. Killed after it: both are.
            transaction.run(
                "write_extension", id=request_id, now=act.at,
                due_at=due.at, due_by=due.by, due_provisional=due.provisional,
            )  # fmt: skip
            return due


def write(transaction: Transaction, rows: Sequence[DueRow]) -> None:
    """Write what was worked out anew. A request that is finished or extended by now keeps what it had."""
    if rows:
        transaction.run("write_due", **columns(rows, id="request_id", **COLUMNS))
