"""The loop: a batch is read, handled durably, and only then committed. At least once, in order, for ever.

What is down stops this loop and nobody else: it stays in the group, pauses, and brings the same batch again.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from enum import Enum

from confluent_kafka import Consumer, KafkaException, TopicPartition

from olvido.broker.commits import Commits
from olvido.broker.contract import Handler, Received
from olvido.broker.kafka import open_consumer, received
from olvido.broker.runtime.metrics import BATCH_SECONDS, RECORDS_HANDLED, RETRIES
from olvido.broker.runtime.movement import Activity
from olvido.broker.runtime.patience import DELAY_FIRST_S, delays
from olvido.core.errors import Unavailable
from olvido.core.offsets import Partition
from olvido.schemas.settings.deployment import KafkaSection
from olvido.schemas.topics import CANARIES

logger = logging.getLogger("olvido.broker")

RETRY_AFTER_S_MAX = 3600.0  # a target that asks for more is asked again after an hour all the same
PAUSE_POLL_S = 0.2  # how soon a paused loop notices that it is to stop
SETTLE_S = 5.0  # how long a loop that stops waits for its last commit


class Phase(Enum):
    """What a loop is at. What came between two phases is in no other flag."""

    READING = "reads batches and hands them on"
    RESTING = "is in the group, fetches nothing, and brings the batch at hand again"
    LEAVING = "settles its last commit and leaves the group"


@dataclass(slots=True)
class Counters:
    """What a loop has done since it was made. Read it from any thread."""

    handled: int = 0  # records whose batch was done
    batches: int = 0
    retries: int = 0  # batches that were brought again
    paused_s: float = 0.0
    dropped: int = 0  # records that were read, and left to the reader that has their partition now


class Loop:
    """Reads topics as one member of a consumer group and hands batches to a handler."""

    def __init__(
        self,
        kafka: KafkaSection,
        *,
        group: str,
        topics: Sequence[str],
        handler: Handler,
        batch_max: int = 1000,
        within_s: float = 0.05,
        on_idle: Callable[[], None] | None = None,
        activity: Activity | None = None,
        canaries: bool = False,
    ) -> None:
        """
        Args:
            kafka: where the broker is. It need not be up yet, nor stay up.
            group: the consumer group; each member gets a share of the partitions.
            topics: what to read.
            handler: does what a batch asks for, durably, before it returns.
            batch_max: how many records a batch holds at most.
            within_s: how long to wait for a batch to fill.
            on_idle: called when there was nothing to read, about every ``within_s``.
            activity: is given what is in hand and which partitions are read.
            canaries: whether to read, beside each partition of the first topic, the canaries of that number.
                They are committed with the batch they came in, and the handler never sees them.

        Raises:
            ConfigError: an option of ``kafka`` that librdkafka does not take.
        """
        self.counters = Counters()
        self.commits = Commits(group)
        self._activity = activity or Activity()
        self._activity.add_reader(lambda: tuple(self._assigned))
        self._kafka = kafka
        self._group = group
        self._topics = list(topics)
        self._handler = handler
        self._batch_max = batch_max
        self._within_s = within_s
        self._on_idle = on_idle
        self._canaries = canaries
        self._assigned: set[Partition] = set()
        self._in_hand: list[Received] = []  # the batch, without what went to somebody else meanwhile
        self._ahead: list[Received] = []  # read while paused; handled after the batch at hand
        self._phase = Phase.READING

    def run(self, stop: threading.Event) -> None:
        """Read and handle until ``stop`` is set; then finish the batch at hand, commit and leave the group.

        What the handler raises, other than ``Unavailable``, is raised here after the group is left:
        the batch is not committed and comes again to the next reader.
        """
        consumer = open_consumer(
            self._kafka, group=self._group, client_id=self._group, more={"on_commit": self.commits.on_answer}
        )
        try:
            consumer.subscribe(
                self._topics, on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
            )
            while not stop.is_set():
                self._turn(consumer, stop)
        finally:
            self._leave(consumer)

    def _turn(self, consumer: Consumer, stop: threading.Event) -> None:
        batch = self._read(consumer, self._batch_max, self._within_s)
        if batch:
            self._carry_out(consumer, batch, stop)
            return
        if self.commits.due:
            self.commits.send(consumer)
        if self._on_idle is not None:
            self._on_idle()

    def _carry_out(self, consumer: Consumer, batch: list[Received], stop: threading.Event) -> None:
        """Bring the same batch until it is handled, or its partitions are gone, or we are to stop."""
        waits = delays()
        began = time.monotonic()
        with self._activity.batch_in_hand(self._topics):
            self._in_hand = batch
            while self._in_hand:
                try:
                    self._handle(self._in_hand)
                except Unavailable as error:
                    # Nothing of this batch is committed: if the process dies here, all of it comes again.
                    delay_s = _asked_for(error) or next(waits)
                    logger.warning("%s: %s; trying again in %.1f s", self._group, error, delay_s)
                    with self._activity.resting(self._topics, str(error)):
                        self._wait(consumer, delay_s, stop)
                    if stop.is_set():
                        return
                    self.counters.retries += 1
                    RETRIES.labels(self._topics[0]).inc()
                else:
                    self._finish(consumer, self._in_hand, began)
                    self._in_hand = []
        self._resume(consumer)

    def _handle(self, batch: Sequence[Received]) -> None:
        work = [record for record in batch if record.topic != CANARIES.name]
        if work:
            self._handler(work)

    def _finish(self, consumer: Consumer, batch: Sequence[Received], began: float) -> None:
        self.commits.handled(batch)
        # The handler's work is durable. A crash before the broker has this commit brings the batch
        # again, and the handler recognises it by its ids; a crash after it brings the next one.
        self.commits.send(consumer)
        work = Counter(record.topic for record in batch if record.topic != CANARIES.name)
        if work:
            self.counters.handled += work.total()
            self.counters.batches += 1
            BATCH_SECONDS.labels(self._topics[0]).observe(time.monotonic() - began)
        for topic, count in work.items():
            RECORDS_HANDLED.labels(topic).inc(count)

    def _leave(self, consumer: Consumer) -> None:
        """Settle the last commit and leave the group, so that the others need not wait for a time-out."""
        self._phase = Phase.LEAVING
        deadline = time.monotonic() + SETTLE_S
        consumer.pause(consumer.assignment())
        while self.commits.unanswered and time.monotonic() < deadline:
            self._read(consumer, 1, PAUSE_POLL_S)
        if self.commits.unanswered:
            # To close it would wait for these answers for as long as the broker is away (librdkafka#3740).
            # What they would have committed comes again; the group learns by a time-out that we are gone.
            self.commits.give_up()
            logger.warning("%s: the broker does not answer; left the group without telling it", self._group)
        else:
            consumer.close()

    def _read(self, consumer: Consumer, count: int, timeout_s: float) -> list[Received]:
        messages = consumer.consume(count, timeout_s)  # may take partitions from what was read ahead
        batch, self._ahead = self._ahead, []
        for message in messages:
            error = message.error()
            if error is None:
                batch.append(received(message))
            elif error.fatal():
                raise KafkaException(error)
            else:
                # A broker that is down, a topic not made yet: librdkafka goes on trying by itself.
                logger.warning("%s: %s on %s", self._group, error.name(), message.topic() or "the broker")
        return self._ours(batch)

    def _ours(self, batch: list[Received]) -> list[Received]:
        """What is still ours: a partition that went to somebody else is read there, from the last commit."""
        return self._without(batch, {(one.topic, one.partition) for one in batch} - self._assigned)

    def _without(self, batch: list[Received], gone: Set[Partition]) -> list[Received]:
        if not gone:
            return batch
        kept = [record for record in batch if (record.topic, record.partition) not in gone]
        self.counters.dropped += len(batch) - len(kept)
        return kept

    # --- pausing ---------------------------------------------------------------------------------

    def _wait(self, consumer: Consumer, delay_s: float, stop: threading.Event) -> None:
        """Let time pass inside the group: polling says that we live, and fetches nothing while paused."""
        began = time.monotonic()
        self._phase = Phase.RESTING
        consumer.pause(consumer.assignment())
        while (left := began + delay_s - time.monotonic()) > 0 and not stop.is_set():
            # A partition assigned just now may give a record before it is paused: keep it for later.
            self._ahead = self._read(consumer, 1, min(left, PAUSE_POLL_S))
        self.counters.paused_s += time.monotonic() - began

    def _resume(self, consumer: Consumer) -> None:
        if self._phase is Phase.RESTING:
            self._phase = Phase.READING
            consumer.resume(consumer.assignment())

    # --- the group -------------------------------------------------------------------------------

    def _on_assign(self, consumer: Consumer, given: list[TopicPartition]) -> None:
        partitions = self._with_canaries(given)
        self._assigned.update(_names(partitions))
        consumer.incremental_assign(partitions)
        # librdkafka remembers whether a partition was paused while it was taken from us: one that went in a
        # wait and comes back after it would never be read again.
        if self._phase is Phase.READING:
            consumer.resume(partitions)
        else:
            consumer.pause(partitions)
        logger.info("%s: got %s", self._group, _text(partitions))

    def _on_revoke(self, consumer: Consumer, taken: list[TopicPartition]) -> None:
        partitions = self._with_canaries(taken)
        # What is done is committed before the others start there; what is not is theirs to do.
        if self._phase is not Phase.LEAVING:
            self.commits.send_and_wait(consumer)
        self._forget(partitions)
        consumer.incremental_unassign(partitions)
        logger.info("%s: gave up %s", self._group, _text(partitions))

    def _on_lost(self, consumer: Consumer, taken: list[TopicPartition]) -> None:
        partitions = self._with_canaries(taken)
        # Somebody else has them already: to commit now could only set them back.
        self._forget(partitions)
        consumer.incremental_unassign(partitions)
        logger.warning("%s: lost %s", self._group, _text(partitions))

    def _with_canaries(self, partitions: list[TopicPartition]) -> list[TopicPartition]:
        """The partitions that the group hands us, and those of the canaries that go with them.

        They are not subscribed to: the group would share them out by number alone, and of two members
        one may be given all canaries and the other all work (seen with librdkafka's cooperative-sticky).
        """
        if not self._canaries:
            return partitions
        return [
            *partitions,
            *(
                TopicPartition(CANARIES.name, one.partition)
                for one in partitions
                if one.topic == self._topics[0]
            ),
        ]

    def _forget(self, partitions: Sequence[TopicPartition]) -> None:
        # Dropped now and not when the wait is over: the partition may be ours again by then, further on,
        # and to commit these records would set it back.
        names = _names(partitions)
        self._in_hand = self._without(self._in_hand, names)
        self._ahead = self._without(self._ahead, names)
        self._assigned -= names
        self.commits.forget(names)


def _asked_for(error: Unavailable) -> float | None:
    if error.retry_after is None:
        return None
    return min(max(error.retry_after.total_seconds(), DELAY_FIRST_S), RETRY_AFTER_S_MAX)


def _names(partitions: Sequence[TopicPartition]) -> set[Partition]:
    return {(partition.topic, partition.partition) for partition in partitions}


def _text(partitions: Sequence[TopicPartition]) -> str:
    return ", ".join(f"{topic}[{number}]" for topic, number in sorted(_names(partitions))) or "nothing"
