"""Receipts become outcomes and outcomes become states, in one transaction."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from datetime import datetime
from functools import lru_cache
from uuid import UUID

from olvido.core.causes import Cause
from olvido.core.dead_letters import DeadLetter
from olvido.core.looks import LaterLook, NotVerified
from olvido.core.offsets import OffsetRange
from olvido.core.receipts import Receipt
from olvido.core.tasks import DELAY_MAX
from olvido.ledger import handled_offsets, letters, looks, publications, states
from olvido.ledger.connection import Database, Transaction, columns
from olvido.ledger.rows import About, Outcomes, RequestHead, StateRow, TaskKey, outcomes_in, readable


@contextmanager
def recording(database: Database, request_ids: Iterable[UUID]) -> Iterator["Recording"]:
    """Open a transaction that records receipts.

    It locks the requests first, so that two recorders that settle tasks of one request take turns and
    the second sees what the first has written.
    """
    with database.transaction() as transaction:
        yield Recording(transaction, *states.lock(transaction, request_ids))


class Recording:
    """Receipts being written, within one transaction."""

    def __init__(
        self, transaction: Transaction, heads: Mapping[UUID, RequestHead], unreadable: Set[UUID] = frozenset()
    ) -> None:
        self._transaction = transaction
        self.heads = heads
        self.unreadable = unreadable  # requests whose rows hold what this version does not know

    def settle(self, receipts: Sequence[Receipt], *, now: datetime) -> list[Receipt]:
        """Write receipts into their tasks, one for each (task_id, generation); returns those written.

        One that is not written answers no task there is, or its task holds one that stands before it.
        """
        if not receipts:
            return []
        rows = self._transaction.rows(
            "settle_tasks",
            **_answers_of(receipts),
            ask_again_after=DELAY_MAX,
            now=now,
        )
        return [receipts[place - 1] for (place,) in rows]

    def refusals(self, receipts: Sequence[Receipt]) -> list[Cause | None]:
        """Why each of some receipts that were not settled is refused; None for one that says nothing new."""
        if not receipts:
            return []
        found: list[Cause | None] = [Cause.UNKNOWN_TASK] * len(receipts)
        for place, conflict in self._transaction.rows("tasks_answered", **_answers_of(receipts)):
            found[place - 1] = Cause.CONFLICT if conflict else None
        return found

    def outcomes(self) -> dict[UUID, Outcomes]:
        """What the sinks of the requests in hand have come to so far; None for those that owe an answer."""
        ids = list(self.heads)
        rows = self._transaction.rows("outcomes_of", ids=ids) if ids else ()
        found = ((ids[place - 1], generations) for place, generations in rows)
        return dict(readable(found, lambda row: (row[0], outcomes_in(row[1]))))

    def write_states(self, rows: Sequence[StateRow], *, now: datetime) -> None:
        """Write the states that the receipts give."""
        states.write(self._transaction, rows, now=now)

    def write_looks(self, later: Sequence[LaterLook], *, now: datetime) -> set[UUID]:
        """Keep what sinks found when they looked again, and ask them again for it; the requests it is for."""
        looks.insert(self._transaction, later)
        return looks.issue(self._transaction, later, now=now)

    def known_erasures(self, later: Sequence[LaterLook]) -> set[tuple[str, NotVerified]]:
        """Which of the tasks that looks name there are, each with its sink."""
        return looks.known(self._transaction, later)

    def write_dead_letters(self, dead_letters: Sequence[DeadLetter]) -> None:
        """Keep dead letters; the tasks among them are parked."""
        letters.keep(self._transaction, dead_letters)

    def add_progress(self, handled: Sequence[OffsetRange]) -> None:
        """Note which records were handled."""
        handled_offsets.add(self._transaction, handled)

    def begin_publication(self, about: About) -> int | None:
        """Begin the publication of what the receipts changed; returns its id, None for nothing."""
        return publications.begin(self._transaction, about) if about else None


def task_key(receipt: Receipt) -> TaskKey:
    """What a receipt says it answers."""
    return (source_of(receipt).int, receipt.sink, receipt.generation, receipt.task_id.int)


def source_of(receipt: Receipt) -> UUID:
    """The request or consent change whose task a receipt says it answers.

    A receipt that names neither finds no source by its task's id, and so no task.
    """
    return receipt.request_id or receipt.event_id or receipt.task_id


def _answers_of(receipts: Sequence[Receipt]) -> dict[str, list[object]]:
    return {
        "source_ids": [*map(source_of, receipts)],
        **columns(
            receipts, "sink", "generation", "task_id", "outcome", "detail", "applied_at", "verified_at"
        ),
        "counts": [_json(tuple(receipt.counts.items())) for receipt in receipts],
    }


@lru_cache(maxsize=1024)  # most receipts of a batch count the same rows
def _json(counts: tuple[tuple[str, int], ...]) -> str:
    return json.dumps(dict(counts))
