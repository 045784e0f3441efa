"""Handles receipts and dead letters: what the recorder does."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from uuid import UUID

from olvido.broker.contract import Received
from olvido.broker.reading import read_batch
from olvido.broker.runtime.metrics import RECEIPTS, TIME_TO_ERASE
from olvido.broker.runtime.tracing import following
from olvido.core.dead_letters import DeadLetter, latest
from olvido.core.receipts import Receipt
from olvido.core.rights.names import Action
from olvido.ledger.rows import RequestHead, Snapshot
from olvido.ledger.store import Ledger
from olvido.processors import receipts
from olvido.processors.emission import Emission
from olvido.processors.handlers.batches import Clock, handled, log_refusals
from olvido.processors.publication import Publication
from olvido.schemas.codec import (
    Codec,
    dead_letters_codec,
    receipts_codec,
)
from olvido.schemas.privacy.seals import ControlSeals
from olvido.schemas.registry import Registry
from olvido.schemas.topics import RECORDER_GROUP


class ReceiptsHandler:
    """Of ``olvido.receipts.v1`` and ``olvido.dead-letters.v1``: what the recorder does."""

    def __init__(
        self, registry: Registry, ledger: Ledger, emission: Emission, seals: ControlSeals, *, clock: Clock
    ) -> None:
        self.codec: Codec[Receipt] = receipts_codec(registry)
        self.dead_letters_codec: Codec[DeadLetter] = dead_letters_codec(registry)
        self._ledger = ledger
        self._seals = seals
        self._emission = emission
        self._publication = Publication(ledger, emission)
        self._clock = clock

    def __call__(self, batch: Sequence[Received]) -> None:
        now = self._clock()
        answers = [item for item in batch if item.topic == self.codec.topic.name]
        dead = [item for item in batch if item.topic == self.dead_letters_codec.topic.name]
        read, letters = read_batch(
            answers, self.codec, key_of=lambda receipt: receipt.subject_id, group=RECORDER_GROUP, now=now
        )
        read, unsigned = receipts.signed(read, self._seals, now)
        letters += unsigned
        told, unreadable = read_batch(
            dead,
            self.dead_letters_codec,
            key_of=lambda letter: str(letter.dead_letter_id),
            group=RECORDER_GROUP,
            now=now,
        )
        kept, misplaced = receipts.placed(told, now)
        unreadable += misplaced
        request_ids = {item.value.request_id for item in read if item.value.request_id is not None}
        traces = (item.traceparent for item in read)
        with (
            following("record", self.codec.topic.name, traces),
            self._ledger.recording(request_ids) as recording,
        ):
            good, impossible = receipts.possible(read, recording.heads, now, unreadable=recording.unreadable)
            settled = recording.settle(receipts.standing(good), now=now)
            rest = receipts.left_over(good, settled)
            causes = recording.refusals([item.value for item in rest])
            refused = [*impossible, *receipts.refused(rest, causes, now)]
            rows, statuses = receipts.fold(recording.heads, recording.outcomes())
            recording.write_states(rows, now=now)
            # Our own refusals are written here as well as published below: a dead letter about the
            # dead-letters topic that went round by that topic could go round for ever.
            recording.write_dead_letters(latest([*kept, *letters, *unreadable, *refused]))
            publication_id = recording.begin_publication(Snapshot(statuses=statuses).about)
            recording.add_progress(handled(batch))
        # Killed from here on: the batch comes again. Should another process have done it meanwhile, the
        # publication is left behind, and a timer of the processors publishes what it is of.
        _count(settled, recording.heads)  # only what is committed; a batch that comes again settles nothing
        prepared = self._emission.prepare(statuses=statuses, dead_letters=[*letters, *refused])
        self._publication.send(replace(prepared, publication_id=publication_id))
        log_refusals(self.codec.topic.name, batch, 0, [*letters, *unreadable, *refused])


def _count(settled: Sequence[Receipt], heads: Mapping[UUID, RequestHead]) -> None:
    for (sink, outcome), count in Counter((one.sink, one.outcome) for one in settled).items():
        RECEIPTS.labels(sink, outcome.value).inc(count)
    by_sink = {sink: TIME_TO_ERASE.labels(sink) for sink in {one.sink for one in settled}}
    for receipt in settled:
        request = receipt.request_id and heads.get(receipt.request_id)
        if request and receipt.action is Action.ERASE and receipt.outcome.final:
            took = receipt.applied_at - request.requested_at
            by_sink[receipt.sink].observe(max(0.0, took.total_seconds()))
