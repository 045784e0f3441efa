"""Offsets whose records are handled: sent to the broker, confirmed, and sent again where that failed."""

import logging
import time
from collections.abc import Iterable, Sequence

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from olvido.broker.contract import Received
from olvido.core.offsets import Partition

logger = logging.getLogger("olvido.broker")

COMMIT_AGAIN_S = 5.0  # how often an idle loop tries a commit again that failed


class Commits:
    """The commits of one reader. Where one fails nothing is lost: the records come again.

    An answer is not waited for but comes with a later poll: without its coordinator a commit takes the
    whole session time-out to fail, and a reader that waits there neither reads nor stops.
    """

    def __init__(self, group: str) -> None:
        self.failed = 0
        self._group = group
        self._next: dict[Partition, int] = {}  # the offset to read next, where that is not confirmed
        self._unanswered = 0
        self._again_at = 0.0

    @property
    def unanswered(self) -> int:
        """How many are on their way."""
        return self._unanswered

    @property
    def due(self) -> bool:
        """Whether one that failed, or that nobody has answered yet, is to be sent again."""
        return bool(self._next) and time.monotonic() > self._again_at

    def handled(self, batch: Iterable[Received]) -> None:
        """Note that the work of these records is durable."""
        for record in batch:
            self._next[record.topic, record.partition] = record.offset + 1

    def forget(self, partitions: Iterable[Partition]) -> None:
        """Commit nothing any more of partitions that somebody else reads."""
        for partition in partitions:
            self._next.pop(partition, None)

    def send(self, consumer: Consumer) -> None:
        """Commit what is handled; :meth:`on_answer` gets the answer."""
        try:
            consumer.commit(offsets=self._offsets(), asynchronous=True)
            self._unanswered += 1
        except KafkaException as error:
            self._settle(error.args[0], [])

    def send_and_wait(self, consumer: Consumer) -> None:
        """Commit what is handled, if anything is, before somebody else begins there."""
        if not self._next:
            return
        try:
            self._settle(None, consumer.commit(offsets=self._offsets(), asynchronous=False))
        except KafkaException as error:
            self._settle(error.args[0], [])

    def on_answer(self, error: KafkaError | None, partitions: Sequence[TopicPartition]) -> None:
        """What librdkafka calls, in a poll of the reader's own thread."""
        self._unanswered -= 1
        self._settle(error, partitions)

    def give_up(self) -> None:
        """The broker does not answer any more: what is on its way counts as failed."""
        self.failed += self._unanswered

    def _offsets(self) -> list[TopicPartition]:
        self._again_at = time.monotonic() + COMMIT_AGAIN_S
        return [TopicPartition(topic, number, at) for (topic, number), at in self._next.items()]

    def _settle(self, error: KafkaError | None, partitions: Sequence[TopicPartition]) -> None:
        error = error or next((one.error for one in partitions if one.error is not None), None)
        if error is not None:
            self.failed += 1
            logger.warning(
                "%s: offsets not committed: %s; these records may come again", self._group, error.name()
            )
        for one in partitions:
            # A later batch of the partition may be done by now: its commit is another one.
            confirmed = one.error is None and error is None
            if confirmed and self._next.get((one.topic, one.partition)) == one.offset:
                del self._next[one.topic, one.partition]
