"""Starts requests that were held: two people released them, or their grace period is over."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from uuid import UUID

from olvido.core.brake import HeldFor, Start
from olvido.core.catalogue import Catalogue
from olvido.core.errors import Refused
from olvido.core.lifecycle import RequestState, step
from olvido.core.plan import plan_tasks
from olvido.core.rights.names import Right
from olvido.core.status import RequestStatus, status_of
from olvido.core.tasks import Task
from olvido.ledger.held import FIRST
from olvido.ledger.rows import Snapshot, StateRow
from olvido.ledger.store import Ledger
from olvido.processors.emission import Emission
from olvido.processors.handlers.batches import Clock, until_not_overtaken
from olvido.processors.publication import Publication
from olvido.processors.requests import planned_event, unanswered
from olvido.processors.stored import StoredEvents
from olvido.schemas.registry import Registry

logger = logging.getLogger("olvido.processors")

HELD_MAX = 500  # in one transaction: one that starts others waits for it


class HeldRequests:
    """Starts those that may start by now. Their tasks are due at once, and the reconciler sends them."""

    def __init__(
        self, registry: Registry, ledger: Ledger, emission: Emission, catalogue: Catalogue, *, clock: Clock
    ) -> None:
        self._events = StoredEvents(registry)
        self._ledger = ledger
        self._emission = emission
        self._publication = Publication(ledger, emission)
        self._catalogue = catalogue
        self._clock = clock

    def run_once(self, *, limit: int = HELD_MAX) -> int:
        """Start what may start; returns how many did. One that cannot be read is passed over."""
        total = 0
        after: UUID | None = FIRST
        while after is not None:
            count, after = until_not_overtaken(partial(self._start, after, limit))
            total += count
        if total:
            logger.info("started %d requests that were held", total)
        return total

    def _start(self, after: UUID, limit: int, braked: Mapping[UUID, HeldFor]) -> tuple[int, UUID | None]:
        """Start the next ones; how many did, and the last that was looked at. None where there is none."""
        self._ledger.held.hold_back(braked)
        now = self._clock()
        due = self._ledger.held.due(now=now, after=after, limit=limit)
        started: list[StateRow] = []
        tasks: list[Task] = []
        statuses: list[RequestStatus] = []
        starts: list[Start] = []
        for one in due:
            event = self._events.request(one.event)
            if isinstance(event, Refused):
                continue
            planned = plan_tasks(event, self._catalogue)
            state = step(RequestState.RECEIVED, planned_event(event, planned))
            started.append(
                StateRow(
                    request_id=one.request_id, before=RequestState.RECEIVED, state=state, tasks=len(planned),
                    answered=0,
                )
            )  # fmt: skip
            tasks += planned
            statuses.append(status_of(event, state, unanswered(planned)))
            if not one.released and event.right is Right.ERASE:
                starts.append(Start(one.request_id, one.asked_by))
        last = due[-1].request_id if due else None
        if not started:
            return 0, last
        publication_id = self._ledger.held.start(
            started, tasks, starts=starts, limits=self._catalogue.limits, now=now,
            publication=Snapshot(statuses=statuses).about,
        )  # fmt: skip
        # Killed from here on: the tasks are owed and due, and a timer publishes what is left behind.
        prepared = self._emission.prepare(statuses=statuses)
        self._publication.send(replace(prepared, publication_id=publication_id))
        return len(started), last
