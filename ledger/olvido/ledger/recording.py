"""Receipts become outcomes and outcomes become states, in one transaction."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from uuid import UUID

from olvido.core.dead_letters import DeadLetter
from olvido.core.offsets import OffsetRange
from olvido.core.outcomes import Outcome
from olvido.core.receipts import Receipt, outcome_of
from olvido.core.rights.names import Action
from olvido.core.tasks import DELAY_MAX
from olvido.ledger import letters, progress, states
from olvido.ledger.connection import Database, Transaction, columns
from olvido.ledger.rows import Outcomes, RequestHead, Settled, StateRow, TaskKey, outcome


@contextmanager
def recording(database: Database, request_ids: Iterable[UUID]) -> Iterator["Recording"]:
    """Open a transaction that records receipts.

    It locks the requests first, so that two recorders that settle tasks of one request take turns and
    the second sees what the first has written.
    """
    with database.transaction() as transaction:
        yield Recording(transaction, states.lock(transaction, request_ids))


class Recording:
    """Receipts being written, within one transaction."""

    def __init__(self, transaction: Transaction, heads: Mapping[UUID, RequestHead]) -> None:
        self._transaction = transaction
        self.heads = heads

    def known_tasks(self, receipts: Sequence[Receipt]) -> set[TaskKey]:
        """Which of the tasks that are answered there are."""
        rows = self._transaction.rows("tasks_known", **_tasks_of(receipts))
        return {(source_id, sink, generation, task_id) for source_id, sink, generation, task_id in rows}

    def settle(self, receipts: Sequence[Receipt]) -> list[Settled]:
        """Write receipts into their tasks, one for each (task_id, generation); returns those written."""
        rows = self._transaction.rows(
            "settle_tasks",
            **_tasks_of(receipts),
            **columns(receipts, "outcome", "detail", "applied_at", "verified_at"),
            counts=[json.dumps(dict(receipt.counts)) for receipt in receipts],
            ask_again_after=DELAY_MAX,
        )
        return [
            Settled(
                source_id=source_id,
                sink=sink,
                action=Action(action),
                outcome=Outcome(given),
                applied_at=applied_at,
            )
            for source_id, sink, action, given, applied_at in rows
        ]

    def outcomes(self) -> dict[UUID, Outcomes]:
        """What the sinks of the requests in hand have said so far; None for those that have not."""
        said: dict[UUID, dict[str, list[Outcome | None]]] = defaultdict(lambda: defaultdict(list))
        for source_id, sink, given in self._transaction.rows("outcomes_of", ids=list(self.heads)):
            said[source_id][sink].append(outcome(given))
        return {
            source_id: {sink: outcome_of(generations) for sink, generations in by_sink.items()}
            for source_id, by_sink in said.items()
        }

    def write_states(self, rows: Sequence[StateRow], *, now: datetime) -> None:
        """Write the states that the receipts give."""
        states.write(self._transaction, rows, now=now)

    def write_dead_letters(self, dead_letters: Sequence[DeadLetter]) -> None:
        """Keep dead letters; the tasks among them are parked."""
        letters.keep(self._transaction, dead_letters)

    def add_progress(self, handled: Sequence[OffsetRange]) -> None:
        """Note which records were handled."""
        progress.add(self._transaction, handled)


def _tasks_of(receipts: Sequence[Receipt]) -> dict[str, list[object]]:
    # Whose receipt names neither a request nor an event, its task id finds no source and so no task.
    sources = [receipt.request_id or receipt.event_id or receipt.task_id for receipt in receipts]
    return {"source_ids": [*sources], **columns(receipts, "sink", "generation", "task_id")}
