"""The recipe of a topic whose events become tasks: read, load what is known, step, save, publish.

If the process dies before the save, nothing happened. If it dies after it, the batch comes again and the
redelivery law makes it ask for the same records. What was read is noted as handled only when all that it
asks for was published: should the batch not come again, the audit reads it again, and the reconciler sends
what has no receipt. The caller acknowledges after that.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Generic, TypeVar
from uuid import UUID

from olvido.broker.contract import Received
from olvido.broker.reading import Read, read_batch
from olvido.broker.runtime.metrics import LATE, UNTIMED
from olvido.broker.runtime.tracing import HandOn, following
from olvido.core.brake import HeldFor
from olvido.core.catalogue import Catalogue
from olvido.core.dead_letters import DeadLetter
from olvido.core.errors import Unavailable
from olvido.core.events import ConsentChange, PrivacyRequest
from olvido.core.offsets import OffsetRange
from olvido.core.source import id_of
from olvido.ledger.connection import Overtaken
from olvido.ledger.handled_offsets import ranges_of
from olvido.ledger.held import Braked
from olvido.ledger.rows import About, ConsentRow, RequestRow, Snapshot
from olvido.ledger.store import Ledger
from olvido.processors import consents, requests
from olvido.processors.emission import Emission, Prepared
from olvido.processors.publication import Publication
from olvido.processors.sources import Planned
from olvido.schemas.codec import Codec, consents_codec, requests_codec
from olvido.schemas.privacy.seals import ControlSeals
from olvido.schemas.registry import Registry
from olvido.schemas.topics import PROCESSORS_GROUP

logger = logging.getLogger("olvido.processors")

T = TypeVar("T")
V = TypeVar("V", bound=PrivacyRequest | ConsentChange)
R = TypeVar("R", bound=RequestRow | ConsentRow)
Clock = Callable[[], datetime]
OVERTAKEN_MAX = 5  # two processes hold one id only around a rebalance; a second loss is rare already


class BatchHandler(ABC, Generic[V, R]):
    """Handles the batches of a topic whose events become tasks."""

    def __init__(
        self, codec: Codec[V], ledger: Ledger, emission: Emission, catalogue: Catalogue, seals: ControlSeals,
        *, clock: Clock, due_after: timedelta,
    ) -> None:  # fmt: skip
        self.codec: Codec[V] = codec
        self._encoder = ThreadPoolExecutor(max_workers=1, thread_name_prefix="encode")
        self._ledger = ledger
        self._emission = emission
        self._publication = Publication(ledger, emission)
        self._catalogue = catalogue
        self._seals = seals
        self._clock = clock
        self._due_after = due_after

    def __call__(self, batch: Sequence[Received]) -> None:
        now = self._clock()
        read, letters = read_batch(
            batch, self.codec, key_of=lambda value: value.subject_id, group=PROCESSORS_GROUP, now=now
        )
        with following("plan", self.codec.topic.name, (item.traceparent for item in read)) as hand_on:
            planned, prepared = until_not_overtaken(
                lambda braked: self._plan_and_save(read, letters, now, hand_on, braked)
            )
            # Killed before its end: the batch comes again, or it is a hole, and all of it is published again.
            self._publication.send(prepared, handled=handled(batch))
        log_refusals(self.codec.topic.name, batch, planned.duplicates, [*letters, *planned.dead_letters])
        count_times(self.codec.topic.name, batch, late=sum(row.late for row in planned.rows))

    @abstractmethod
    def plan(self, read: Sequence[Read[V]], now: datetime, braked: Mapping[UUID, HeldFor]) -> Planned[R]:
        """Load what is known of the events, and step. No sink is asked for those that are ``braked``.

        Raises:
            Unavailable: the ledger does not answer.
        """

    @abstractmethod
    def save(self, planned: Planned[R], *, about: About, now: datetime) -> int | None:
        """Save what was planned and begin its publication, in one transaction; returns the publication's id.

        Raises:
            Overtaken: another process has saved one of the ids by now, or too many erasures would start.
                Nothing was saved.
            Unavailable: the ledger does not answer.
        """

    def _stored(self, rows: Sequence[R]) -> list[R]:
        return [replace(row, event=self.codec.stored(row.event, row.appended_at)) for row in rows]

    def _plan_and_save(
        self, read: Sequence[Read[V]], letters: Sequence[DeadLetter], now: datetime, hand_on: HandOn,
        braked: Mapping[UUID, HeldFor],
    ) -> tuple[Planned[R], Prepared]:  # fmt: skip
        planned = self.plan(read, now, braked)
        # Encoded while the database works; thrown away if it does not save.
        preparing = self._encoder.submit(
            self._emission.prepare,
            statuses=planned.statuses,
            states=planned.states,
            dead_letters=[*letters, *planned.dead_letters],
            tasks=planned.tasks,
            traces={id_of(item.value): hand_on(item.traceparent) for item in read if item.traceparent},
        )
        about = Snapshot(statuses=planned.statuses, states=planned.states).about
        publication_id = self.save(planned, about=about, now=now)
        return planned, replace(preparing.result(), publication_id=publication_id)


class RequestsHandler(BatchHandler[PrivacyRequest, RequestRow]):
    """Of ``olvido.requests.v1``."""

    def __init__(
        self, registry: Registry, ledger: Ledger, emission: Emission, catalogue: Catalogue,
        seals: ControlSeals, *, clock: Clock, due_after: timedelta,
    ) -> None:  # fmt: skip
        super().__init__(
            requests_codec(registry), ledger, emission, catalogue, seals, clock=clock, due_after=due_after
        )

    def plan(
        self, read: Sequence[Read[PrivacyRequest]], now: datetime, braked: Mapping[UUID, HeldFor]
    ) -> Planned[RequestRow]:
        """Each request becomes a task for every sink concerned."""
        known, verified, others = self._ledger.requests.known([item.value.request_id for item in read])
        known_requests = requests.KnownRequests(requests=known, verifications=verified, others=others)
        return requests.step(read, known_requests, self._catalogue, self._seals, now, braked=braked)

    def save(self, planned: Planned[RequestRow], *, about: About, now: datetime) -> int | None:
        """Requests, their events and their tasks."""
        return self._ledger.requests.save(
            self._stored(planned.rows),
            planned.new_tasks,
            topic=self.codec.topic.name,
            now=now,
            due_after=self._due_after,
            publication=about,
            held=planned.held,
            limits=self._catalogue.limits,
        )


class ConsentsHandler(BatchHandler[ConsentChange, ConsentRow]):
    """Of ``olvido.consents.v1``."""

    def __init__(
        self, registry: Registry, ledger: Ledger, emission: Emission, catalogue: Catalogue,
        seals: ControlSeals, *, clock: Clock, due_after: timedelta,
    ) -> None:  # fmt: skip
        super().__init__(
            consents_codec(registry), ledger, emission, catalogue, seals, clock=clock, due_after=due_after
        )

    def plan(
        self, read: Sequence[Read[ConsentChange]], now: datetime, braked: Mapping[UUID, HeldFor]
    ) -> Planned[ConsentRow]:
        """Each change becomes a task for every sink that acts on its purpose, and may move a state."""
        changes, states, others = self._ledger.consents.known(
            [item.value.event_id for item in read], consents.keys_of(read)
        )
        known = consents.KnownConsents(changes=changes, states=states, others=others)
        return consents.step(read, known, self._catalogue, self._seals, now)

    def save(self, planned: Planned[ConsentRow], *, about: About, now: datetime) -> int | None:
        """Changes, their events, the states they give and their tasks."""
        return self._ledger.consents.save(
            self._stored(planned.rows),
            planned.states,
            planned.new_tasks,
            topic=self.codec.topic.name,
            now=now,
            due_after=self._due_after,
            publication=about,
        )


def handled(batch: Sequence[Received]) -> tuple[OffsetRange, ...]:
    """The offsets of a batch."""
    return ranges_of((record.topic, record.partition, record.offset) for record in batch)


def until_not_overtaken(save: Callable[[Mapping[UUID, HeldFor]], T]) -> T:
    """Load, step and save; when another process was first with an id, do all three again.

    So it is with erasures that are above a limit: what was found above it once is held.
    """
    braked: dict[UUID, HeldFor] = {}
    for _ in range(OVERTAKEN_MAX):
        try:
            return save(braked)
        except Braked as above:
            braked |= above.held
        except Overtaken:
            continue
    raise Unavailable("another process keeps saving the same ids; it holds this partition by now")


def count_times(topic: str, batch: Sequence[Received], *, late: int) -> None:
    """Count what came late, and what the broker has written no time on: that can be mended, and is said."""
    LATE.labels(topic).inc(late)
    untimed = sum(not record.by_broker for record in batch)
    UNTIMED.labels(topic).inc(untimed)
    if untimed:
        logger.warning(
            "%s: %d of %d have their writers' times and not the broker's; they count as taken now. "
            "Run: olvido topics apply",
            topic, untimed, len(batch),
        )  # fmt: skip


def log_refusals(
    topic: str, batch: Sequence[Received], duplicates: int, letters: Sequence[DeadLetter]
) -> None:
    if duplicates:
        logger.info("%s: %d of %d were duplicates and changed nothing", topic, duplicates, len(batch))
    for letter in letters:
        logger.warning(
            "%s[%d]@%d became dead letter %s: %s%s",
            letter.topic, letter.partition, letter.offset, letter.dead_letter_id, letter.cause.value,
            f" ({letter.field})" if letter.field else "",
        )  # fmt: skip
