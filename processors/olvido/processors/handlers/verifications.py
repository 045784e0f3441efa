"""Handles verifications, and starts requests whose verification came in the same moment as they did."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from olvido.broker.contract import Received
from olvido.broker.reading import dead_letter_of, read_batch
from olvido.core.brake import HeldFor
from olvido.core.catalogue import Catalogue
from olvido.core.dead_letters import DeadLetter
from olvido.core.errors import Refused
from olvido.core.events import Verification
from olvido.core.offsets import OffsetRange
from olvido.ledger.rows import KnownRequest, Place, Snapshot, VerificationRow
from olvido.ledger.store import Ledger
from olvido.ledger.verifications import FIRST
from olvido.processors import verifications
from olvido.processors.emission import Emission
from olvido.processors.handlers.batches import Clock, handled, log_refusals, until_not_overtaken
from olvido.processors.publication import Publication
from olvido.processors.stored import StoredEvents
from olvido.schemas.codec import (
    Codec,
    verifications_codec,
)
from olvido.schemas.privacy.seals import ControlSeals
from olvido.schemas.registry import Registry
from olvido.schemas.topics import PROCESSORS_GROUP, REQUESTS


class VerificationsHandler:
    """Of ``olvido.verifications.v1``; also releases requests whose verification crossed them on the way."""

    def __init__(
        self, registry: Registry, ledger: Ledger, emission: Emission, catalogue: Catalogue,
        seals: ControlSeals, *, clock: Clock, due_after: timedelta,
    ) -> None:  # fmt: skip
        self.codec: Codec[Verification] = verifications_codec(registry)
        self._events = StoredEvents(registry)
        self._unreadable: set[UUID] = set()  # requests whose dead letter this process has published
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
            batch, self.codec, key_of=lambda item: item.subject_id, group=PROCESSORS_GROUP, now=now
        )
        given = [
            verifications.Given(
                item.value, Place(item.received.partition, item.received.offset), item.received
            )
            for item in read
        ]
        output, publication_id = until_not_overtaken(lambda braked: self._save(given, now, braked))
        self._publish(output, letters, publication_id, handled=handled(batch))
        log_refusals(self.codec.topic.name, batch, 0, [*letters, *output.dead_letters])

    def release_crossed(self, *, limit: int = 1000) -> int:
        """Start requests whose verification came in the same moment as they did; returns how many.

        A request that a process started and did not publish before it died is published, too. A request
        that cannot be read waits on and is passed over: those behind it are on the next page.
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
        now = self._clock()
        output, publication_id = until_not_overtaken(lambda braked: self._save(given, now, braked))
        self._publish(replace(output, dead_letters=self._new(output.dead_letters)), (), publication_id)
        return len(output.statuses)

    def _new(self, letters: Iterable[DeadLetter]) -> tuple[DeadLetter, ...]:
        """Those about a request that this process has not published: a look every few seconds is no news."""
        new = tuple(one for one in letters if one.source_id not in self._unreadable)
        self._unreadable.update(one.source_id for one in new if one.source_id is not None)
        return new

    def _save(
        self, given: Sequence[verifications.Given], now: datetime, braked: Mapping[UUID, HeldFor]
    ) -> tuple[verifications.Released, int | None]:
        ids = [item.verification.request_id for item in given]
        known, verified, _ = self._ledger.requests.known(ids)
        events = self._ledger.requests.events(list(known))
        output = verifications.step(
            given,
            verifications.KnownVerifications(
                requests=known,
                events={request_id: self._events.request(events.get(request_id)) for request_id in known},
                verifications=verified,
            ),
            self._catalogue,
            self._seals,
            now,
            braked=braked,
        )
        publication_id = self._ledger.verifications.save(
            output.rows,
            output.started,
            output.tasks,
            now=now,
            due_after=self._due_after,
            publication=Snapshot(statuses=output.statuses).about,
            held=output.held,
            starts=output.starts,
            due=output.due,
            limits=self._catalogue.limits,
        )
        letters = [
            _unreadable(request_id, request, events.get(request_id), output.unreadable[request_id], now)
            for request_id, request in known.items()
            if request_id in output.unreadable and not isinstance(request, Refused)
        ]
        return replace(output, dead_letters=(*output.dead_letters, *letters)), publication_id

    def _publish(
        self,
        output: verifications.Released,
        letters: Iterable[DeadLetter],
        publication_id: int | None,
        *,
        handled: Sequence[OffsetRange] = (),
    ) -> None:
        prepared = self._emission.prepare(
            statuses=output.statuses, dead_letters=[*letters, *output.dead_letters], tasks=output.tasks
        )
        # Killed before its end: as above.
        self._publication.send(replace(prepared, publication_id=publication_id), handled=handled)
        # Killed before this line: these requests are awaiting still, and a timer publishes them again.
        self._ledger.verifications.end_awaiting([status.request_id for status in output.statuses])


def _unreadable(
    request_id: UUID, known: KnownRequest, event: bytes | None, refused: Refused, now: datetime
) -> DeadLetter:
    """The dead letter of a stored request that cannot be read: about the record that it was read from."""
    record = Received(
        REQUESTS.name, known.place.partition, known.place.offset, known.subject_id.encode(), event, ()
    )
    return dead_letter_of(record, refused, group=PROCESSORS_GROUP, now=now, source_id=request_id)
