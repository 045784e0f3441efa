"""Kafka's twin in memory, for simulation: the same partitions, the same order, the same at-least-once.

Deterministic: what happens is a function of what was published and of the seed a caller gives.
"""

import random
import threading
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Self

from olvido.broker.contract import Handler, Received, Record
from olvido.broker.partitioning import partition_of
from olvido.core.errors import Unavailable
from olvido.core.offsets import Partition
from olvido.schemas.settings.deployment import KafkaSection
from olvido.schemas.topics import Topic

COMMIT_LOST = 0.2  # how often chaos loses a commit: the batch was handled, and comes again in another cut


def _never() -> datetime:
    return datetime.fromtimestamp(0, UTC)


class MemoryBroker:
    """Topics, partitions and groups in memory. Keeps :class:`~olvido.broker.contract.Publisher`."""

    def __init__(self, partitions: Mapping[str, int], *, clock: Callable[[], datetime] = _never) -> None:
        """
        Args:
            partitions: how many partitions each topic has. There are no other topics.
            clock: what it writes onto records; without one they are as old as can be.
        """
        self._logs: dict[Partition, list[Received]] = {
            (topic, number): [] for topic, count in partitions.items() for number in range(count)
        }
        self._partitions = dict(partitions)
        self._clock = clock
        self._committed: dict[tuple[str, Partition], int] = {}
        self._lock = threading.RLock()

    @classmethod
    def of(
        cls, topics: Iterable[Topic], kafka: KafkaSection, *, clock: Callable[[], datetime] = _never
    ) -> Self:
        """A broker with the topics of the table, each with as many partitions as a deployment gives it."""
        return cls({topic.name: kafka.partitions_of(topic.name) for topic in topics}, clock=clock)

    def publish(self, records: Sequence[Record]) -> None:
        """Write all of them, or none.

        Raises:
            Unavailable: a topic is not there.
        """
        with self._lock:
            for record in records:
                if record.topic not in self._partitions:
                    raise Unavailable(f"memory did not take records for {record.topic}: it is not there")
            for record in records:
                self.append(record)

    def close(self) -> None:
        """Nothing: memory has no connection to let go of."""

    def records(self, topic: str) -> tuple[Received, ...]:
        """All that was written to a topic, partition by partition, in order."""
        with self._lock:
            return tuple(
                record for number in range(self._partitions[topic]) for record in self._logs[topic, number]
            )

    def drain(
        self,
        group: str,
        topics: Sequence[str],
        handler: Handler,
        *,
        batch_max: int = 1000,
        chaos: random.Random | None = None,
    ) -> int:
        """Hand batches to a handler until the group has read everything, also what is written meanwhile.

        Args:
            group: its offsets are kept between calls.
            topics: what to read.
            handler: as for the loop; a batch is committed when it returns.
            batch_max: how many records a batch holds at most.
            chaos: mixes the partitions, cuts batches anywhere, and loses commits, so that records
                come again, but each partition still in order. The same seed gives the same run.

        Returns:
            How many records were handed over, repeats included.

        Raises:
            Unavailable: from the handler; nothing of its batch is committed. Call again to go on.
        """
        handed = 0
        while batch := self._next_batch(group, topics, batch_max, chaos):
            handler(batch)
            handed += len(batch)
            if chaos is None or chaos.random() >= COMMIT_LOST:
                self._commit(group, batch)
        return handed

    def partitions(self, topic: str) -> int:
        """How many partitions a topic has."""
        return self._partitions[topic]

    def read(self, topic: str, partition: int, start: int, count: int) -> list[Received]:
        """At most so many records of a partition, from an offset on. No group takes note of it."""
        with self._lock:
            return self._logs[topic, partition][start : start + max(count, 0)]

    def end(self, topic: str, partition: int) -> int:
        """The offset that the next record of a partition will get."""
        with self._lock:
            return len(self._logs[topic, partition])

    def offset_at(self, topic: str, partition: int, instant: datetime) -> int:
        """The offset of the first record written at an instant or later; the end, if there is none."""
        wanted = int(instant.timestamp() * 1000)
        with self._lock:
            return bisect_left(self._logs[topic, partition], wanted, key=lambda record: record.timestamp_ms)

    def commit(self, group: str, topic: str, partition: int, offset: int) -> None:
        """Note the offset that a group will read next in a partition; it may also go back."""
        with self._lock:
            self._committed[group, (topic, partition)] = offset

    def committed(self, group: str, topic: str, partition: int) -> int:
        """The offset that a group will read next in a partition."""
        with self._lock:
            return self._committed.get((group, (topic, partition)), 0)

    def append(self, record: Record) -> tuple[int, int]:
        """Write one record to a topic that is there; its partition and offset."""
        number = partition_of(record.key, self._partitions[record.topic])
        with self._lock:
            log = self._logs[record.topic, number]
            written_ms = int(self._clock().timestamp() * 1000)
            told = self._clock is not _never
            place = (record.topic, number, len(log))
            log.append(Received(*place, record.key, record.value, record.headers, written_ms, by_broker=told))
            return number, len(log) - 1

    def _next_batch(
        self, group: str, topics: Sequence[str], batch_max: int, chaos: random.Random | None
    ) -> list[Received]:
        places = [(topic, number) for topic in topics for number in range(self._partitions[topic])]
        if chaos is not None:
            chaos.shuffle(places)
        with self._lock:
            batch: list[Received] = []
            for place in places:
                start = self._committed.get((group, place), 0)
                batch += self._logs[place][start : start + batch_max - len(batch)]
        if chaos is not None and batch:
            del batch[chaos.randint(1, len(batch)) :]
        return batch

    def _commit(self, group: str, batch: Sequence[Received]) -> None:
        with self._lock:
            for record in batch:
                self._committed[group, (record.topic, record.partition)] = record.offset + 1
