"""Handles what sinks find when they look again: a request whose person is back is open again."""

import logging
from collections.abc import Sequence
from dataclasses import replace

from olvido.broker.contract import Received
from olvido.broker.reading import read_batch
from olvido.core.dead_letters import DeadLetter, latest
from olvido.core.looks import LaterLook
from olvido.ledger.rows import Snapshot
from olvido.ledger.store import Ledger
from olvido.processors import looks
from olvido.processors.emission import Emission
from olvido.processors.handlers.batches import Clock, handled, log_refusals
from olvido.processors.publication import Publication
from olvido.processors.receipts import fold
from olvido.schemas.codec import Codec, looks_codec
from olvido.schemas.privacy.seals import ControlSeals
from olvido.schemas.registry import Registry
from olvido.schemas.topics import RECORDER_GROUP

logger = logging.getLogger("olvido.processors")


class LooksHandler:
    """Of ``olvido.looks.v1``."""

    def __init__(
        self, registry: Registry, ledger: Ledger, emission: Emission, seals: ControlSeals, *, clock: Clock
    ) -> None:
        self.codec: Codec[LaterLook] = looks_codec(registry)
        self._ledger = ledger
        self._seals = seals
        self._emission = emission
        self._publication = Publication(ledger, emission)
        self._clock = clock

    def __call__(self, batch: Sequence[Received]) -> None:
        now = self._clock()
        decoded, unreadable = read_batch(
            batch, self.codec, key_of=lambda look: look.sink, group=RECORDER_GROUP, now=now
        )
        read, impossible = looks.possible(decoded, self._seals, now)
        values = [one.value for one in read]
        found = {one.request_id for look in values for one in look.found_again}
        with self._ledger.recording(found) as recording:
            reopened = recording.write_looks(values, now=now)
            letters: list[DeadLetter] = [
                *unreadable, *impossible, *looks.of_nothing_known(read, recording.known_erasures(values), now)
            ]  # fmt: skip
            rows, statuses = fold(recording.heads, recording.outcomes())
            recording.write_states(rows, now=now)
            recording.write_dead_letters(latest(letters))
            publication_id = recording.begin_publication(Snapshot(statuses=statuses).about)
            recording.add_progress(handled(batch))
        # Killed from here on: the batch comes again, and no generation is asked for twice. The reconciler
        # sends what is owed by now, and a timer of the processors publishes what is left behind.
        prepared = self._emission.prepare(statuses=statuses, dead_letters=letters)
        self._publication.send(replace(prepared, publication_id=publication_id))
        if reopened:
            logger.warning("%d erasures were found again, and are asked for again", len(reopened))
        log_refusals(self.codec.topic.name, batch, 0, letters)
