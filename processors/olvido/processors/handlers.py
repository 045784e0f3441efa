"""The recipe of each topic: decode, load what is known, step, save, publish; then the caller acknowledges.

If the process dies before the save, nothing happened. If it dies after it, the batch comes
again and the redelivery law makes it ask for the same records. What was read is noted as handled
only when all that it asks for was told: should it not come again, the audit reads it again, and
the reconciler sends what has no receipt. Each handler is a :class:`~olvido.broker.contract.Handler`.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TypeVar
from uuid import UUID

from olvido.broker.contract import Received
from olvido.broker.reading import Read, dead_letter_of, read_batch
from olvido.broker.runtime.metrics import RECEIPTS, TIME_TO_ERASE
from olvido.broker.runtime.tracing import HandOn, following
from olvido.core.catalogue import Catalogue
from olvido.core.dead_letters import DeadLetter, latest
from olvido.core.errors import Refused, Unavailable
from olvido.core.events import ConsentChange, PrivacyRequest, Verification
from olvido.core.offsets import OffsetRange
from olvido.core.receipts import Receipt
from olvido.core.rights.names import Action
from olvido.ledger.connection import Overtaken
from olvido.ledger.progress import ranges_of
from olvido.ledger.rows import KnownRequest, Place, RequestHead, Snapshot, VerificationRow
from olvido.ledger.store import Ledger
from olvido.ledger.verifications import FIRST
from olvido.processors import consents, receipts, requests, verifications
from olvido.processors.emission import Emission, Prepared
from olvido.processors.stored import StoredEvents
from olvido.processors.telling import Telling
from olvido.schemas.codec import (
    Codec,
    consents_codec,
    dead_letters_codec,
    receipts_codec,
    requests_codec,
    verifications_codec,
)
from olvido.schemas.registry import Registry
from olvido.schemas.topics import PROCESSORS_GROUP, RECORDER_GROUP, REQUESTS

logger = logging.getLogger("olvido.processors")

T = TypeVar("T")
Clock = Callable[[], datetime]
OVERTAKEN_MAX = 5  # two processes hold one id only around a rebalance; a second loss is rare already


class RequestsHandler:
    """Of ``olvido.requests.v1``."""

    def __init__(
        self, registry: Registry, ledger: Ledger, emission: Emission, catalogue: Catalogue, *,
        clock: Clock, due_after: timedelta,
    ) -> None:  # fmt: skip
        self.codec: Codec[PrivacyRequest] = requests_codec(registry)
        self._encoder = ThreadPoolExecutor(max_workers=1, thread_name_prefix="encode")
        self._ledger = ledger
        self._emission = emission
        self._telling = Telling(ledger, emission)
        self._catalogue = catalogue
        self._clock = clock
        self._due_after = due_after

    def __call__(self, batch: Sequence[Received]) -> None:
        now = self._clock()
        read, letters = read_batch(
            batch, self.codec, key_of=lambda request: request.subject_id, group=PROCESSORS_GROUP, now=now
        )
        with following("plan", self.codec.topic.name, (item.traceparent for item in read)) as hand_on:
            output, prepared = _until_not_overtaken(lambda: self._save(read, letters, batch, now, hand_on))
            # Killed before its end: the batch comes again, or it is a hole, and all of it is told again.
            self._telling.send(prepared, handled=handled(batch))
        _tell(self.codec.topic.name, batch, output.duplicates, [*letters, *output.dead_letters])

    def _save(
        self,
        read: Sequence[Read[PrivacyRequest]],
        letters: Sequence[DeadLetter],
        batch: Sequence[Received],
        now: datetime,
        hand_on: HandOn,
    ) -> tuple[requests.Output, Prepared]:
        known, verified = self._ledger.requests.known([item.value.request_id for item in read])
        output = requests.step(
            read, requests.Known(requests=known, verifications=verified), self._catalogue, now
        )
        # Encoded while the database works; thrown away if it does not save.
        preparing = self._encoder.submit(
            self._emission.prepare,
            statuses=output.statuses,
            dead_letters=[*letters, *output.dead_letters],
            tasks=output.tasks,
            traces={item.value.request_id: hand_on(item.traceparent) for item in read if item.traceparent},
        )
        publication_id = self._ledger.requests.save(
            output.rows,
            output.new_tasks,
            topic=self.codec.topic.name,
            now=now,
            due_after=self._due_after,
            publication=Snapshot(statuses=output.statuses).about,
        )
        return output, replace(preparing.result(), publication_id=publication_id)


class ConsentsHandler:
    """Of ``olvido.consents.v1``."""

    def __init__(
        self, registry: Registry, ledger: Ledger, emission: Emission, catalogue: Catalogue, *,
        clock: Clock, due_after: timedelta,
    ) -> None:  # fmt: skip
        self.codec: Codec[ConsentChange] = consents_codec(registry)
        self._encoder = ThreadPoolExecutor(max_workers=1, thread_name_prefix="encode")
        self._ledger = ledger
        self._emission = emission
        self._telling = Telling(ledger, emission)
        self._catalogue = catalogue
        self._clock = clock
        self._due_after = due_after

    def __call__(self, batch: Sequence[Received]) -> None:
        now = self._clock()
        read, letters = read_batch(
            batch, self.codec, key_of=lambda change: change.subject_id, group=PROCESSORS_GROUP, now=now
        )
        with following("plan", self.codec.topic.name, (item.traceparent for item in read)) as hand_on:
            output, prepared = _until_not_overtaken(lambda: self._save(read, letters, batch, now, hand_on))
            # Killed before its end: the batch comes again, or it is a hole, and all of it is told again.
            self._telling.send(prepared, handled=handled(batch))
        _tell(self.codec.topic.name, batch, output.duplicates, [*letters, *output.dead_letters])

    def _save(
        self,
        read: Sequence[Read[ConsentChange]],
        letters: Sequence[DeadLetter],
        batch: Sequence[Received],
        now: datetime,
        hand_on: HandOn,
    ) -> tuple[consents.Output, Prepared]:
        changes, states = self._ledger.consents.known(
            [item.value.event_id for item in read], consents.keys_of(read)
        )
        output = consents.step(read, consents.Known(changes=changes, states=states), self._catalogue, now)
        preparing = self._encoder.submit(
            self._emission.prepare,
            states=output.states,
            dead_letters=[*letters, *output.dead_letters],
            tasks=output.tasks,
            traces={item.value.event_id: hand_on(item.traceparent) for item in read if item.traceparent},
        )
        publication_id = self._ledger.consents.save(
            output.rows,
            output.states,
            output.new_tasks,
            topic=self.codec.topic.name,
            now=now,
            due_after=self._due_after,
            publication=Snapshot(states=output.states).about,
        )
        return output, replace(preparing.result(), publication_id=publication_id)


class VerificationsHandler:
    """Of ``olvido.verifications.v1``; also releases requests whose verification crossed them on the way."""

    def __init__(
        self, registry: Registry, ledger: Ledger, emission: Emission, catalogue: Catalogue, *,
        clock: Clock, due_after: timedelta,
    ) -> None:  # fmt: skip
        self.codec: Codec[Verification] = verifications_codec(registry)
        self._events = StoredEvents(registry)
        self._unreadable: set[UUID] = set()  # requests whose dead letter this process has published
        self._ledger = ledger
        self._emission = emission
        self._telling = Telling(ledger, emission)
        self._catalogue = catalogue
        self._clock = clock
        self._due_after = due_after

    def __call__(self, batch: Sequence[Received]) -> None:
        now = self._clock()
        read, letters = read_batch(
            batch, self.codec, key_of=lambda item: item.subject_id, group=PROCESSORS_GROUP, now=now
        )
        given = [
            verifications.Given(
                item.value, Place(item.received.partition, item.received.offset), item.received
            )
            for item in read
        ]
        output, publication_id = self._save(given, now)
        self._publish(output, letters, publication_id, handled=handled(batch))
        _tell(self.codec.topic.name, batch, 0, [*letters, *output.dead_letters])

    def release_crossed(self, *, limit: int = 1000) -> int:
        """Start requests whose verification came in the same moment as they did; returns how many.

        One that was started by a process that died before telling is told, too. A request that cannot
        be read waits on and is passed over: those behind it are on the next page.
        """
        count, after = 0, FIRST
        while rows := self._ledger.verifications.crossed(after=after, limit=limit):
            count += self._release(rows)
            after = rows[-1].request_id
        return count

    def _release(self, rows: Sequence[VerificationRow]) -> int:
        given = [
            verifications.Given(
                Verification(
                    event_id=row.event_id,
                    request_id=row.request_id,
                    subject_id=row.subject_id,
                    verified=row.verified,
                ),
                row.place,
            )
            for row in rows
        ]
        output, publication_id = self._save(given, self._clock())
        self._publish(replace(output, dead_letters=self._new(output.dead_letters)), (), publication_id)
        return len(output.statuses)

    def _new(self, letters: Iterable[DeadLetter]) -> tuple[DeadLetter, ...]:
        """Those about a request that this process has not published: a look every few seconds is no news."""
        new = tuple(one for one in letters if one.source_id not in self._unreadable)
        self._unreadable.update(one.source_id for one in new if one.source_id is not None)
        return new

    def _save(
        self, given: Sequence[verifications.Given], now: datetime
    ) -> tuple[verifications.Output, int | None]:
        ids = [item.verification.request_id for item in given]
        known, verified = self._ledger.requests.known(ids)
        events = self._ledger.requests.events(list(known))
        output = verifications.step(
            given,
            verifications.Known(
                requests=known,
                events={request_id: self._events.request(events.get(request_id)) for request_id in known},
                verifications=verified,
            ),
            self._catalogue,
            now,
        )
        publication_id = self._ledger.verifications.save(
            output.rows,
            output.started,
            output.tasks,
            now=now,
            due_after=self._due_after,
            publication=Snapshot(statuses=output.statuses).about,
        )
        letters = [
            _unreadable(request_id, known[request_id], events.get(request_id), refused, now)
            for request_id, refused in output.unreadable.items()
        ]
        return replace(output, dead_letters=(*output.dead_letters, *letters)), publication_id

    def _publish(
        self,
        output: verifications.Output,
        letters: Iterable[DeadLetter],
        publication_id: int | None,
        *,
        handled: Sequence[OffsetRange] = (),
    ) -> None:
        prepared = self._emission.prepare(
            statuses=output.statuses, dead_letters=[*letters, *output.dead_letters], tasks=output.tasks
        )
        # Killed before its end: as above.
        self._telling.send(replace(prepared, publication_id=publication_id), handled=handled)
        # Killed before this line: these requests are awaiting still, and a timer publishes them again.
        self._ledger.verifications.end_awaiting([status.request_id for status in output.statuses])


class ReceiptsHandler:
    """Of ``olvido.receipts.v1`` and ``olvido.dead-letters.v1``: what the recorder does."""

    def __init__(self, registry: Registry, ledger: Ledger, emission: Emission, *, clock: Clock) -> None:
        self.codec: Codec[Receipt] = receipts_codec(registry)
        self.dead_letters_codec: Codec[DeadLetter] = dead_letters_codec(registry)
        self._ledger = ledger
        self._emission = emission
        self._telling = Telling(ledger, emission)
        self._clock = clock

    def __call__(self, batch: Sequence[Received]) -> None:
        now = self._clock()
        told = [item for item in batch if item.topic == self.codec.topic.name]
        dead = [item for item in batch if item.topic == self.dead_letters_codec.topic.name]
        read, letters = read_batch(
            told, self.codec, key_of=lambda receipt: receipt.subject_id, group=RECORDER_GROUP, now=now
        )
        kept, unreadable = read_batch(
            dead,
            self.dead_letters_codec,
            key_of=lambda letter: str(letter.dead_letter_id),
            group=RECORDER_GROUP,
            now=now,
        )
        values = [item.value for item in read]
        request_ids = {value.request_id for value in values if value.request_id is not None}
        traces = (item.traceparent for item in read)
        with (
            following("record", self.codec.topic.name, traces),
            self._ledger.recording(request_ids) as recording,
        ):
            settled = recording.settle(receipts.standing(read))
            refused = receipts.refused(read, recording.known_tasks(values, settled), now)
            rows, statuses = receipts.fold(recording.heads, recording.outcomes())
            recording.write_states(rows, now=now)
            # Our own refusals are written here as well as published below: a dead letter about the
            # dead-letters topic that went round by that topic could go round for ever.
            recording.write_dead_letters(
                latest([*(item.value for item in kept), *letters, *unreadable, *refused])
            )
            publication_id = recording.begin_publication(Snapshot(statuses=statuses).about)
            recording.add_progress(handled(batch))
        # Killed from here on: the batch comes again. Should another process have done it meanwhile, the
        # publication is left behind, and a timer of the processors publishes what it is of.
        _count(settled, recording.heads)  # only what is committed; a batch that comes again settles nothing
        prepared = self._emission.prepare(statuses=statuses, dead_letters=[*letters, *refused])
        self._telling.send(replace(prepared, publication_id=publication_id))
        _tell(self.codec.topic.name, batch, 0, [*letters, *unreadable, *refused])


def _unreadable(
    request_id: UUID, known: KnownRequest, event: bytes | None, refused: Refused, now: datetime
) -> DeadLetter:
    """The dead letter of a stored request that cannot be read: about the record that it was read from."""
    record = Received(
        REQUESTS.name, known.place.partition, known.place.offset, known.subject_id.encode(), event, ()
    )
    return dead_letter_of(record, refused, group=PROCESSORS_GROUP, now=now, source_id=request_id)


def _count(settled: Sequence[Receipt], heads: Mapping[UUID, RequestHead]) -> None:
    for (sink, outcome), count in Counter((one.sink, one.outcome) for one in settled).items():
        RECEIPTS.labels(sink, outcome.value).inc(count)
    by_sink = {sink: TIME_TO_ERASE.labels(sink) for sink in {one.sink for one in settled}}
    for receipt in settled:
        request = receipt.request_id and heads.get(receipt.request_id)
        if request and receipt.action is Action.ERASE and receipt.outcome.final:
            took = receipt.applied_at - request.requested_at
            by_sink[receipt.sink].observe(max(0.0, took.total_seconds()))


def handled(batch: Sequence[Received]) -> tuple[OffsetRange, ...]:
    """The offsets of a batch."""
    return ranges_of((record.topic, record.partition, record.offset) for record in batch)


def _until_not_overtaken(save: Callable[[], T]) -> T:
    """Load, step and save; when another process was first with an id, do all three again."""
    for _ in range(OVERTAKEN_MAX):
        try:
            return save()
        except Overtaken:
            continue
    raise Unavailable("another process keeps saving the same ids; it holds this partition by now")


def _tell(topic: str, batch: Sequence[Received], duplicates: int, letters: Sequence[DeadLetter]) -> None:
    if duplicates:
        logger.info("%s: %d of %d were duplicates and changed nothing", topic, duplicates, len(batch))
    for letter in letters:
        logger.warning(
            "%s[%d]@%d became dead letter %s: %s%s",
            letter.topic, letter.partition, letter.offset, letter.dead_letter_id, letter.cause.value,
            f" ({letter.field})" if letter.field else "",
        )  # fmt: skip
