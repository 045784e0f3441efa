"""The loop that closes: each task without a final receipt is sent again when it is due.

So a record lost anywhere between the ledger and a receipt heals by itself, and is counted.
A sink that did the work already answers from its journal.
"""

import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from olvido.core.catalogue import Catalogue
from olvido.core.events import ConsentChange, PrivacyRequest
from olvido.core.ids import receipt_id
from olvido.core.plan import plan_consent, plan_request
from olvido.core.receipts import Outcome, Receipt
from olvido.core.tasks import Task, delay_after
from olvido.ledger.rows import Owed, Try
from olvido.ledger.store import Ledger
from olvido.processors.emission import Emission
from olvido.processors.handlers import Clock
from olvido.schemas.codec import consents_codec, requests_codec
from olvido.schemas.registry import Registry
from olvido.schemas.topics import REQUESTS

logger = logging.getLogger("olvido.processors")


class Reconciler:
    """Sends owed tasks again. Several may run: each takes other tasks."""

    def __init__(
        self, registry: Registry, ledger: Ledger, emission: Emission, catalogue: Catalogue, *,
        clock: Clock, first_after: timedelta, behind: Callable[[str], int],
    ) -> None:  # fmt: skip
        """
        Args:
            registry: holds the schemas of what the ledger keeps.
            ledger: knows what is owed.
            emission: sends.
            catalogue: the sinks there are.
            clock: says when it is.
            first_after: how long a receipt may take before its task is sent again, at first.
            behind: how many records wait on the topic of a sink's tasks.
        """
        self._requests = requests_codec(registry)
        self._consents = consents_codec(registry)
        self._ledger = ledger
        self._emission = emission
        self._catalogue = catalogue
        self._clock = clock
        self._first_after = first_after
        self._behind = behind

    def run_once(self, *, limit: int = 1000) -> int:
        """Send what is due; returns how many tasks were sent.

        A sink that has not read its topic to the end may have the task still before it: so nothing
        is sent to it twice, however long it is down, and it is looked at again later.

        Raises:
            Unavailable: the ledger, the registry or the broker does not answer.
        """
        now = self._clock()
        with self._ledger.owed(now=now, limit=limit) as (owed, postponing):
            if not owed:
                return 0
            known = {item.sink for item in owed if self._catalogue.sink(item.sink) is not None}
            busy = {sink for sink in known if self._behind(sink)}
            tries = [again(item, busy=item.sink in busy, now=now, first=self._first_after) for item in owed]
            tasks = [task for item in owed if item.sink in known - busy for task in self._tasks(item)]
            removed = [self._removed(item, now) for item in owed if item.sink not in known]
            # A crash before the end of this block sends nothing and postpones nothing; one after
            # it has postponed what may not have been sent, and the next time makes up for it.
            postponing.until(owed, tries, now=now)
        self._emission.send(self._emission.prepare(tasks=tasks, receipts=removed))
        if tasks:
            logger.info("sent %d tasks again that had no receipt in time", len(tasks))
        if removed:
            logger.warning("answered %d tasks of sinks that olvido.toml has no more", len(removed))
        return len(tasks)

    def _tasks(self, owed: Owed) -> Sequence[Task]:
        event = self._event(owed)
        planned = (
            plan_request(event, self._catalogue, generation=owed.generation)
            if isinstance(event, PrivacyRequest)
            else plan_consent(event, self._catalogue, generation=owed.generation)
        )
        return [task for task in planned if task.sink == owed.sink]

    def _removed(self, owed: Owed, now: datetime) -> Receipt:
        """The receipt of a task whose sink is gone: said, and not stuck for ever."""
        event = self._event(owed)
        is_request = isinstance(event, PrivacyRequest)
        return Receipt(
            receipt_id=receipt_id(owed.task_id, owed.generation),
            task_id=owed.task_id,
            generation=owed.generation,
            sink=owed.sink,
            action=owed.action,
            request_id=owed.source_id if is_request else None,
            event_id=None if is_request else owed.source_id,
            subject_id=event.subject_id,
            outcome=Outcome.UNSUPPORTED,
            counts={},
            detail="the sink was removed from olvido.toml before it answered",
            applied_at=now,
            verified_at=None,
        )

    def _event(self, owed: Owed) -> PrivacyRequest | ConsentChange:
        codec = self._requests if owed.topic == REQUESTS.name else self._consents
        return codec.decode(owed.event)


def again(owed: Owed, *, busy: bool, now: datetime, first: timedelta) -> Try:
    """How often a task has been sent when it is looked at now, and when it is looked at next."""
    if busy:
        return Try(attempts=owed.attempts, due_at=now + first)
    return Try(attempts=owed.attempts + 1, due_at=now + delay_after(owed.attempts + 1, first=first))
