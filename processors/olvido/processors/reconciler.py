"""The loop that closes: each task without a final receipt is sent again when it is due.

So a record lost anywhere between the ledger and a receipt heals by itself, and is counted.
A sink that did the work already answers from its journal. What a restore or a backfill asks of
a sink is sent from here as well, and never in front of the work of the day.
"""

import logging
from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from olvido.broker.runtime.metrics import TASKS_RESENT
from olvido.core.catalogue import Catalogue
from olvido.core.errors import Refused
from olvido.core.ids import receipt_id
from olvido.core.outcomes import Outcome
from olvido.core.receipts import Receipt
from olvido.core.rights.names import Action
from olvido.core.sinks import OperationKind
from olvido.core.tasks import Task, delay_after
from olvido.ledger.rows import About, OwedTask, Try
from olvido.ledger.sink_operations import OpenOperation, SinkOperations
from olvido.ledger.store import Ledger
from olvido.ledger.tasks import Postponing
from olvido.processors.emission import Emission, Prepared
from olvido.processors.handlers.batches import Clock
from olvido.processors.publication import Publication
from olvido.processors.stored import StoredEvents
from olvido.schemas.registry import Registry
from olvido.schemas.topics import DEAD_LETTERS, RECEIPTS, RECORDER_GROUP, sink_group, tasks_topic

logger = logging.getLogger("olvido.processors")

TASKS_MAX = 1000
ROUNDS_MAX = 20  # batches of each kind that one look sends: the timers share a thread, and it is soon back
# Of an operation, on a sink's topic: what people decide today waits behind no more than that.
AHEAD_MAX = 5000
# What part of the time that a receipt may take a reader may lag, and is still taken for one that keeps up.
# There is always something unread where records come without a pause: that alone must not put a look off.
LAG_PART = 4
NO_EVENT = "the ledger has deleted its event"
NOT_ASKED = "olvido.toml does not ask this of the sink any more"


class Unread(Protocol):
    """Asks the broker how far a group is."""

    def __call__(self, group: str, topics: Sequence[str], *, written_before: datetime) -> int:
        """How many records of the topics, written before an instant, the group has yet to handle."""
        ...


class Reconciler:
    """Sends owed tasks. Several may run: each takes other tasks."""

    def __init__(
        self, registry: Registry, ledger: Ledger, operations: SinkOperations, emission: Emission,
        catalogue: Catalogue, *, seal: Callable[[Receipt], Receipt], clock: Clock, first_after: timedelta,
        unread: Unread,
    ) -> None:  # fmt: skip
        """
        Args:
            registry: holds the schemas of what the ledger keeps.
            ledger: knows what is owed.
            operations: knows the restores and backfills that are open.
            emission: sends.
            catalogue: the sinks there are.
            seal: seals what is answered where no sink can be asked.
            clock: says when it is.
            first_after: how long a receipt may take before its task is sent again, at first.
            unread: gives how far the sinks and the recorder are.
        """
        self._events = StoredEvents(registry)
        self._ledger = ledger
        self._operations = operations
        self._emission = emission
        self._publication = Publication(ledger, emission)
        self._catalogue = catalogue
        self._seal = seal
        self._clock = clock
        self._first_after = first_after
        self._unread = unread

    def run_once(self, *, limit: int = TASKS_MAX) -> int:
        """Send what is due, and end the operations that are done; returns how many tasks were sent.

        It goes on, ``limit`` at a time, until nothing is due or enough was done for one look.

        Raises:
            Unavailable: the ledger, the registry or the broker does not answer.
        """
        self._operations.finish(now=self._clock())
        open_ = self._operations.open()
        if any(one.kind is OperationKind.BACKFILL for one in open_):
            self._operations.know([sink.name for sink in self._catalogue.sinks], now=self._clock())
        again = self._send_again({operation.operation_id for operation in open_}, limit)
        first = self._send_first(open_, limit)
        if again:
            TASKS_RESENT.inc(again)
            logger.info("sent %d tasks again that had no receipt in time", again)
        if first:
            logger.info("sent %d tasks of restores and backfills", first)
        return again + first

    def _send_again(self, open_: Set[UUID], limit: int) -> int:
        """Send what has no receipt in time.

        A sink that is behind may have the task still before it, and a recorder that is behind the
        receipt: so nothing is sent twice, however long one of them is down, and it is looked at again
        later. Else a backlog would feed itself.
        """
        sent = 0
        waits: dict[str, bool] = {}
        for _ in range(ROUNDS_MAX):
            now = self._clock()
            with self._ledger.tasks.owed(now=now, limit=limit) as due:
                for item in due.owed:
                    if item.sink not in waits:
                        known = self._catalogue.sink(item.sink) is not None
                        # A worker that was not started anew does not know the sink that a backfill is
                        # for. It leaves it to one that does; if the sink is gone, the backfill is closed.
                        waits[item.sink] = (
                            self._is_behind(item.sink, now) if known else item.operation_id in open_
                        )
                ready = [item for item in due.owed if not waits[item.sink]]
                prepared = self._take(due, ready, now)
            self._send(prepared, ready)
            sent += len(prepared.tasks)
            # Nothing but the tasks of sinks that are down: to look at all of them would only cost writes.
            if len(due.owed) < limit or not ready:
                break
        return sent

    def _send_first(self, open_: Sequence[OpenOperation], limit: int) -> int:
        """Send what restores and backfills ask for, in turn, and no further ahead than a sink can follow."""
        sent = 0
        going = [one for one in open_ if self._catalogue.sink(one.sink) is not None]
        for _ in range(ROUNDS_MAX):
            for operation in tuple(going):
                now = self._clock()
                room = min(limit, AHEAD_MAX - self._before(operation.sink, now))
                if room <= 0:
                    going.remove(operation)
                    continue
                with self._ledger.tasks.unsent(operation.operation_id, limit=room) as due:
                    prepared = self._take(due, due.owed, now)
                self._send(prepared, due.owed)
                sent += len(prepared.tasks)
                if len(due.owed) < limit:
                    going.remove(operation)
        return sent

    def _is_behind(self, sink: str, now: datetime) -> bool:
        keeping_up = now - self._first_after / LAG_PART
        # The sink first: what it answers before it commits is with the recorder when that one is asked.
        return (
            self._before(sink, keeping_up) > 0
            or self._unread(RECORDER_GROUP, [RECEIPTS.name, DEAD_LETTERS.name], written_before=keeping_up) > 0
        )

    def _before(self, sink: str, instant: datetime) -> int:
        return self._unread(sink_group(sink), [tasks_topic(sink).name], written_before=instant)

    def _take(self, due: Postponing, ready: Sequence[OwedTask], now: datetime) -> Prepared:
        """Encode what is ready, and note in the transaction in hand when each task is due again.

        A crash before the end of that transaction sends no task and postpones none; one after it has
        postponed what may not have been sent, and the next time makes up for it.
        """
        tasks: list[Task] = []
        answers: list[Receipt] = []
        for item in ready:
            if item.event is None:
                answers.append(answer(item, Outcome.FAILED, f"forgotten: {NO_EVENT}", now))
                continue
            planned = self._events.tasks(item.action, item.event, self._catalogue, generation=item.generation)
            if isinstance(planned, Refused):
                # One that nobody can read is due first each time: unanswered, it would hold up all others.
                answers.append(answer(item, Outcome.FAILED, f"unreadable: {planned.cause.value}", now))
            elif its_own := [task for task in planned if task.sink == item.sink]:
                tasks += (
                    [replace(task, release=item.release) for task in its_own] if item.release else its_own
                )
            else:
                answers.append(answer(item, Outcome.UNSUPPORTED, NOT_ASKED, now))
        if answers:
            logger.warning("answered %d tasks that no sink can be asked for", len(answers))
        sending = {(item.source_id, item.sink, item.generation) for item in ready}
        due.until(
            [
                again(
                    item,
                    busy=(item.source_id, item.sink, item.generation) not in sending,
                    now=now,
                    first=self._first_after,
                )
                for item in due.owed
            ],
            now=now,
        )
        return self._emission.prepare(tasks=tasks, receipts=map(self._seal, answers))

    def _send(self, prepared: Prepared, ready: Iterable[OwedTask]) -> None:
        """Send what was taken.

        What an operation reopened is published before its tasks are sent, so that no receipt is older.
        Killed before that: the task has no receipt, and its status is published when it is sent again.
        """
        if reopened := {
            one.source_id for one in ready if one.operation_id and one.action is not Action.CONSENT
        }:
            standing = self._ledger.publications.snapshot(About(request_ids=sorted(reopened)))
            self._publication.send(self._emission.prepare(statuses=standing.statuses))
        self._emission.send(prepared)


def answer(owed: OwedTask, outcome: Outcome, detail: str, now: datetime) -> Receipt:
    """The receipt of a task that no sink can be asked for: published, and not stuck for ever."""
    of_consent = owed.action is Action.CONSENT
    return Receipt(
        receipt_id=receipt_id(owed.task_id, owed.generation),
        task_id=owed.task_id,
        generation=owed.generation,
        sink=owed.sink,
        action=owed.action,
        request_id=None if of_consent else owed.source_id,
        event_id=owed.source_id if of_consent else None,
        subject_id=owed.subject_id,
        outcome=outcome,
        counts={},
        detail=detail,
        applied_at=now,
        verified_at=None,
    )


def again(owed: OwedTask, *, busy: bool, now: datetime, first: timedelta) -> Try:
    """How often a task has been sent when it is looked at now, and when it is looked at next."""
    if busy:
        return Try(attempts=owed.attempts, due_at=now + first)
    return Try(attempts=owed.attempts + 1, due_at=now + delay_after(owed.attempts + 1, first=first))
