"""What the ledger forgets: events with their sealed boxes, and dead letters that a person decided about.

Requests, consent changes, tasks and acts stay: they hold no identity, and prove what was done.
An event is kept, however old it is, as long as something may still be asked of a sink with it:
its request is open, a task of it has no final receipt, it is a consent that stands, or a backfill
or a replay is not at its end. A dead letter that nobody has decided about is kept, too.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

from olvido.ledger.connection import Database, Transaction

ROWS_MAX = 1000
BATCHES_MAX = 20  # that one look goes through: the timers share a thread, and it is soon back
REST = timedelta(hours=6)  # between two passes over all events
_FIRST = UUID(int=0)


class Retention:
    """Deletes what is past its time, in small batches. Several may run: they take turns."""

    def __init__(
        self,
        database: Database,
        *,
        keep_events: timedelta,
        keep_dead_letters: timedelta,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._keep_events = keep_events
        self._keep_dead_letters = keep_dead_letters
        self._clock = clock
        # Where the pass over all events is. It is not stored: a process that dies begins a pass anew, and
        # finds what is left.
        self._after = _FIRST
        self._rests_until: datetime | None = None

    def run_once(self, *, limit: int = ROWS_MAX) -> int:
        """Delete some of what is past its time; returns how many rows that were.

        Each batch is a transaction: a crash between two of them leaves whole rows, deleted or kept.

        Raises:
            Unavailable: the ledger does not answer.
        """
        now = self._clock()
        if self._rests_until is not None and now < self._rests_until:
            return 0
        self._rests_until = None
        deleted = 0
        for _ in range(BATCHES_MAX):
            with self._database.transaction() as transaction:
                # What begins a restore, a backfill or a replay holds this lock until it is committed: what it
                # will need is either to be seen here, or nothing is deleted.
                if not transaction.rows("try_to_forget")[0][0]:
                    return deleted
                letters = transaction.run(
                    "forget_dead_letters", before=now - self._keep_dead_letters, limit=limit
                )
                events, last = self._forget_events(transaction, now, limit)
            deleted += letters + events
            # Killed from here on: the next pass goes over the same ids, and finds what is left.
            self._after = last or _FIRST
            if last is None and letters < limit:
                self._rests_until = now + REST
                return deleted
        return deleted

    def _forget_events(self, transaction: Transaction, now: datetime, limit: int) -> tuple[int, UUID | None]:
        """Delete events among the next ids; returns how many, and the last id, or None at the end."""
        if transaction.rows("events_are_needed")[0][0]:
            return 0, None
        rows = transaction.rows(
            "forget_events", after=self._after, before=now - self._keep_events, limit=limit
        )
        [(deleted, looked_at, last)] = rows
        return deleted, last if looked_at == limit else None


def keep_events(transaction: Transaction) -> None:
    """Let no event be deleted before this transaction is committed, and what it needs is to be seen."""
    transaction.rows("keep_events")
