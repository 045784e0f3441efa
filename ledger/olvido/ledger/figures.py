"""What people look at: lists, ages, counts and the story of one request. Nothing is changed here."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from olvido.core.tasks import IdempotencyKey
from olvido.ledger.connection import Database
from olvido.ledger.restores import LASTING

Record = Mapping[str, Any]

RECENT = 1_000  # requests: enough for a 99th percentile, and read in some milliseconds


class Figures:
    """The ledger as it is shown. May be shared between threads.

    Everything raises ``Unavailable`` if the ledger does not answer.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def requests(
        self,
        *,
        now: datetime,
        state: str | None = None,
        right: str | None = None,
        sink: str | None = None,
        outcome: str | None = None,
        since: datetime | None = None,
        due_before: datetime | None = None,
        open_since: datetime | None = None,
        subjects: Sequence[str] | None = None,
        marks: Sequence[bytes] = (),
        limit: int,
    ) -> list[Record]:
        """Requests, the one that was received last first: upstream makes the ids, in no order of time.

        Args:
            now: by it a request is overdue or not.
            state: only those in this state.
            right: only of this right.
            sink: only those that have a task for this sink; together with ``outcome``, of that outcome.
            outcome: only those with a task of this outcome; ``none`` for one without a receipt.
            since: only those asked for at this instant or later.
            due_before: only those that are open and whose last day ends at this instant or before.
            open_since: only those that were asked for before this instant and are open.
            subjects: only those of one of these subjects.
            marks: or whose stored event holds one of these texts, as Avro writes it.
            limit: how many at most.
        """
        return self._records(
            "find_requests", state=state, right=right, sink=sink, outcome=outcome, since=since,
            now=now, due_before=due_before, open_since=open_since,
            subjects=None if subjects is None else list(subjects), marks=list(marks), limit=limit,
        )  # fmt: skip

    def request(self, request_id: UUID) -> Record | None:
        """One request, or None."""
        return next(iter(self._records("show_request", id=request_id)), None)

    def tasks(self, source_id: UUID) -> list[Record]:
        """The tasks of one request or consent change, with their receipts."""
        return self._records("show_tasks", id=source_id)

    def overview(self) -> Record:
        """What is open, owed, late and dead."""
        return self._records("overview")[0]

    def due(self, *, now: datetime, soon: timedelta) -> Record:
        """Of the open requests: how many are overdue, how many are due within ``soon``, the next last day."""
        return self._records("due", now=now, soon=now + soon)[0]

    def by_sink(self) -> list[Record]:
        """For each sink: tasks, answered, parked, sent again."""
        return self._records("by_sink")

    def newest_looks(self) -> dict[str, datetime]:
        """When each sink last looked again for people it erased; those that never did are left out."""
        return {row["sink"]: row["looked_at"] for row in self._records("newest_looks")}

    def reapplied_by_sink(self) -> dict[str, int]:
        """How many decisions each sink has applied again, to rows that came after them."""
        return {row["sink"]: row["reapplied"] for row in self._records("reapplied_by_sink")}

    def parked_by_sink(self) -> dict[str, int]:
        """How many tasks of each sink wait for a person; cheap enough to be read every few seconds."""
        return {row["sink"]: row["tasks"] for row in self._records("parked_by_sink")}

    def story(self, request_id: UUID) -> Mapping[str, list[Record]]:
        """What is known of one request besides the request itself: all read at one instant."""
        with self._database.transaction() as transaction:
            return {
                "verifications": transaction.records("story_of_verification", id=request_id),
                "tasks": transaction.records("story_of_tasks", id=request_id),
                "looks": transaction.records("story_of_looks", id=request_id),
                "dead_letters": transaction.records("story_of_dead_letters", id=request_id),
            }

    def consents(self, handles: Sequence[str]) -> list[Record]:
        """What stands about each purpose for some handles."""
        return self._records("consents_of", handles=list(handles))

    def owed_by_sink(self) -> list[Record]:
        """How many receipts each sink owes, and since when."""
        return self._records("owed_by_sink")

    def dead_letters_by_cause(self) -> list[Record]:
        """Dead letters that nobody has decided about."""
        return self._records("dead_letters_by_cause")

    def times_to_apply(self) -> list[Record]:
        """For each sink the 50th, 95th and 99th percentile of its time to apply, in seconds."""
        return self._records("times_to_apply", limit=RECENT)

    def newest_answers(self, sink: str) -> dict[IdempotencyKey, datetime]:
        """When a sink answered each of the newest requests, by its task; where something was done."""
        rows = self._records("newest_answers", sink=sink, actions=LASTING, limit=RECENT)
        return {(row["task_id"], row["generation"]): row["answered_at"] for row in rows}

    def operation_names(self, *, limit: int) -> list[str]:
        """The names of replays, restores and backfills, newest first."""
        return [row["name"] for row in self._records("operation_names", limit=limit)]

    def acts_by_verb(self) -> list[Record]:
        """How often each kind of act was done."""
        return self._records("acts_by_verb")

    def _records(self, query: str, **values: Any) -> list[Record]:  # noqa: ANN401 - as the query says
        with self._database.transaction() as transaction:
            return transaction.records(query, **values)
