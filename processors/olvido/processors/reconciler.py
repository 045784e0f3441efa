"""The loop that closes: each task without a final receipt is sent again when it is due.

So a record lost anywhere between the ledger and a receipt heals by itself, and is counted.
A sink that did the work already answers from its journal.
"""

import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from olvido.core.catalogue import Catalogue
from olvido.core.plan import plan_consent, plan_request
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
            busy = {sink for sink in {item.sink for item in owed} if self._behind(sink)}
            tries = [again(item, busy=item.sink in busy, now=now, first=self._first_after) for item in owed]
            tasks = [task for item in owed if item.sink not in busy for task in self._tasks(item)]
            # A crash before the end of this block sends nothing and postpones nothing; one after
            # it has postponed what may not have been sent, and the next time makes up for it.
            postponing.until(owed, tries, now=now)
        self._emission.send(self._emission.prepare(tasks=tasks))
        if tasks:
            logger.info("sent %d tasks again that had no receipt in time", len(tasks))
        return len(tasks)

    def _tasks(self, owed: Owed) -> Sequence[Task]:
        if owed.topic == REQUESTS.name:
            planned = plan_request(
                self._requests.decode(owed.event), self._catalogue, generation=owed.generation
            )
        else:
            planned = plan_consent(
                self._consents.decode(owed.event), self._catalogue, generation=owed.generation
            )
        return [task for task in planned if task.sink == owed.sink]


def again(owed: Owed, *, busy: bool, now: datetime, first: timedelta) -> Try:
    """How often a task has been sent when it is looked at now, and when it is looked at next."""
    if busy:
        return Try(attempts=owed.attempts, due_at=now + first)
    return Try(attempts=owed.attempts + 1, due_at=now + delay_after(owed.attempts + 1, first=first))
