"""Kafka as one process sees it: a publisher, a consumer of a group, and what an administrator may ask.

The records are in :class:`olvido.broker.memory.MemoryBroker`. The consumer has the part of
librdkafka's that ``olvido.broker.loop.Loop`` uses, so the real loop runs on it.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, KafkaError, TopicPartition
from simulation.process import Process

from olvido.broker.contract import Lag, Received, Record
from olvido.broker.memory import MemoryBroker
from olvido.core.errors import Unavailable
from olvido.core.offsets import Partition

STILL_S = 2.0  # how long who finds nothing to read waits, doubling
STILL_S_MAX = 16.0


class PublisherTwin:
    """Writes records for one process. Keeps :class:`olvido.broker.contract.Publisher`."""

    def __init__(self, process: Process, broker: MemoryBroker) -> None:
        self._process = process
        self._broker = broker

    def close(self) -> None:
        """There is nothing to let go of."""

    def publish(self, records: Sequence[Record]) -> None:
        """Append all of them; or some, and say that it is not known which."""
        if not records:
            return
        process = self._process
        process.act("publish")
        if process.faults.strikes("broker_before"):
            raise Unavailable("the broker does not answer")
        reached = len(records)
        lost = process.faults.strikes("broker_after")
        if lost:
            reached = process.faults.rng.randint(1, len(records))
        for record in records[:reached]:
            self._append(record)
            if process.faults.strikes("broker_duplicate"):
                self._append(record)
        process.did("publish")
        if lost:
            raise Unavailable("the broker did not confirm all records")

    def _append(self, record: Record) -> None:
        number, offset = self._broker.append(record)
        self._process.history.note(
            self._process.scheduler.seconds, "appended", self._process.name, record.topic, number, offset
        )


@dataclass(eq=False)
class Member:
    """One consumer's part in its group."""

    process: Process
    assigned: list[Partition] = field(default_factory=list)  # to be told
    revoked: list[Partition] = field(default_factory=list)  # to be given up when it is told
    lost: list[Partition] = field(default_factory=list)  # somebody else's already


class Group:
    """One consumer group: who reads which partition. Only the owner's commits count."""

    def __init__(self, name: str, topics: Sequence[str], broker: MemoryBroker) -> None:
        self.name = name
        self.topics = tuple(topics)
        self.broker = broker
        self.places: list[Partition] = [(t, n) for t in topics for n in range(broker.partitions(t))]
        self.owner: dict[Partition, Member | None] = dict.fromkeys(self.places)
        self._heir: dict[Partition, Member] = {}  # gets a partition when its owner has given it up
        self.members: list[Member] = []

    def join(self, member: Member) -> None:
        """Take part from now on."""
        self.members.append(member)
        self.rebalance(member.process.faults.rng.random)

    def leave(self, member: Member) -> None:
        """Take part no more; the others share what it had."""
        if member not in self.members:
            return
        self.members.remove(member)
        for place, heir in list(self._heir.items()):
            owner = self.owner[place]
            if owner is member:
                del self._heir[place]
            elif heir is member:  # the owner may keep it
                del self._heir[place]
                if owner is not None and place in owner.revoked:
                    owner.revoked.remove(place)
        for place in self.places:
            if self.owner[place] is member:
                self.owner[place] = None
        if self.members:
            self.rebalance(member.process.faults.rng.random)

    def rebalance(self, random: Callable[[], float], *, zombies: bool = False) -> None:
        """Share the partitions out anew.

        Args:
            random: decides who gets which.
            zombies: the old owners are not asked, as when a group's patience with them is over.
        """
        for place in self.places:
            heir = self.members[int(random() * len(self.members))]
            owner = self.owner[place]
            if place in self._heir:
                continue  # it is on its way
            if owner is heir:
                continue
            if owner is not None and place in owner.assigned:
                owner.assigned.remove(place)  # it was never told that it has it
                self._give(place, heir)
            elif owner is None or zombies or not owner.process.alive:
                if owner is not None:
                    owner.lost.append(place)
                self._give(place, heir)
            else:
                self._heir[place] = heir
                owner.revoked.append(place)

    def release(self, places: Iterable[Partition]) -> None:
        """The owner has given these up."""
        for place in places:
            heir = self._heir.pop(place, None)
            if heir is None or heir not in self.members:
                heir = self.members[0] if self.members else None
            self.owner[place] = None
            if heir is not None:
                self._give(place, heir)

    def _give(self, place: Partition, heir: Member) -> None:
        self.owner[place] = heir
        heir.assigned.append(place)

    def commit(self, member: Member, place: Partition, offset: int) -> bool:
        """Note how far the owner has come; False for anybody else."""
        if self.owner[place] is not member:
            return False
        self.broker.commit(self.name, *place, offset)
        member.process.history.note(member.process.scheduler.seconds, "committed", self.name, *place, offset)
        return True

    def committed(self, place: Partition) -> int:
        """The offset that whoever gets the partition begins at."""
        return self.broker.committed(self.name, *place)


@dataclass(frozen=True, slots=True)
class MessageTwin:
    """A record in confluent-kafka's clothes."""

    record: Received

    def error(self) -> None: ...
    def topic(self) -> str:
        return self.record.topic

    def partition(self) -> int:
        return self.record.partition

    def offset(self) -> int:
        return self.record.offset

    def key(self) -> bytes | None:
        return self.record.key

    def value(self) -> bytes | None:
        return self.record.value

    def timestamp(self) -> tuple[int, int]:
        return (TIMESTAMP_LOG_APPEND_TIME, self.record.timestamp_ms)

    def headers(self) -> Any:
        return list(self.record.headers)


class ConsumerTwin:
    """What the loop knows of a consumer."""

    def __init__(self, process: Process, group: Group, on_commit: Callable[..., None]) -> None:
        self._process = process
        self._group = group
        self._member = Member(process)
        self._on_commit = on_commit
        self._callbacks: dict[str, Callable[..., None]] = {}
        self._position: dict[Partition, int] = {}
        self._paused: set[Partition] = set()
        self._still_s = STILL_S
        self._answers: list[tuple[KafkaError | None, list[TopicPartition]]] = []

    @property
    def member(self) -> Member:
        """Its part in the group."""
        return self._member

    def subscribe(self, topics: Sequence[str], **callbacks: Callable[..., None]) -> None:
        self._process.must_live()
        assert tuple(topics) == self._group.topics
        self._callbacks = callbacks
        self._group.join(self._member)

    def consume(self, count: int, timeout_s: float) -> list[MessageTwin]:
        self._process.act("consume")
        self._serve()
        found: list[MessageTwin] = []
        places = sorted(place for place in self._position if place not in self._paused)
        rng = self._process.faults.rng
        rng.shuffle(places)
        most = min(count, rng.choice((1, 3, 12, 40)))
        for place in places:
            records = self._group.broker.read(*place, self._position[place], most - len(found))
            if records:
                found += [MessageTwin(record) for record in records]
                self._position[place] = records[-1].offset + 1
            if len(found) >= most:
                break
        if found:
            self._still_s = STILL_S
        else:
            self._process.scheduler.sleep(max(timeout_s, self._still_s))
            self._still_s = min(2 * self._still_s, STILL_S_MAX)
            self._process.must_live()
        return found

    def _serve(self) -> None:
        """The callbacks are called from within a poll, as librdkafka does it."""
        member = self._member
        answers, self._answers = self._answers, []
        for error, partitions in answers:
            self._on_commit(error, partitions)
        if member.lost:
            places, member.lost = member.lost, []
            self._callbacks["on_lost"](self, _partitions(places))
        if member.revoked:
            places, member.revoked = member.revoked, []
            self._callbacks["on_revoke"](self, _partitions(places))
            self._group.release(places)
        if member.assigned:
            places, member.assigned = member.assigned, []
            self._callbacks["on_assign"](self, _partitions(places))

    def commit(self, *, offsets: list[TopicPartition], asynchronous: bool) -> list[TopicPartition] | None:
        self._process.act("commit offsets")
        told = [TopicPartition(one.topic, one.partition, one.offset) for one in offsets]
        error = None
        if self._process.faults.strikes("commit_lost"):
            error = KafkaError(KafkaError.REQUEST_TIMED_OUT)
        elif not all(self._group.owner[one.topic, one.partition] is self._member for one in told):
            error = KafkaError(KafkaError.ILLEGAL_GENERATION)  # the whole commit is refused
        else:
            for one in told:
                self._group.commit(self._member, (one.topic, one.partition), one.offset)
        self._process.did("commit offsets")
        if asynchronous:
            self._answers.append((error, told))
            return None
        if error is not None:
            from confluent_kafka import KafkaException

            raise KafkaException(error)
        return told

    def incremental_assign(self, partitions: list[TopicPartition]) -> None:
        self._process.must_live()
        for place in _places(partitions):
            self._position[place] = self._group.committed(place)

    def incremental_unassign(self, partitions: list[TopicPartition]) -> None:
        self._process.must_live()
        for place in _places(partitions):
            self._position.pop(place, None)  # that it was paused is remembered, as librdkafka does

    def assignment(self) -> list[TopicPartition]:
        self._process.must_live()
        return _partitions(sorted(self._position))

    def pause(self, partitions: list[TopicPartition]) -> None:
        self._process.must_live()
        self._paused.update(_places(partitions))

    def resume(self, partitions: list[TopicPartition]) -> None:
        self._process.must_live()
        self._paused.difference_update(_places(partitions))

    def close(self) -> None:
        self._process.must_live()
        self._group.leave(self._member)


class AdminTwin:
    """What ``olvido.broker.groups`` and ``ranges`` ask of a broker. Stands where a ``KafkaSection`` would."""

    def __init__(self, process: Process, broker: MemoryBroker) -> None:
        self._process = process
        self._broker = broker

    def lag(self, group: str, topics: Sequence[str]) -> tuple[Lag, ...]:
        self._ask()
        return tuple(
            Lag(
                topic=topic,
                partition=number,
                committed=self._broker.committed(group, topic, number),
                start=0,
                end=self._broker.end(topic, number),
            )
            for topic in topics
            for number in range(self._broker.partitions(topic))
        )

    def unread(self, group: str, topics: Sequence[str], *, written_before: datetime) -> int:
        self._ask()
        return sum(
            max(
                0,
                self._broker.offset_at(topic, number, written_before)
                - self._broker.committed(group, topic, number),
            )
            for topic in topics
            for number in range(self._broker.partitions(topic))
        )

    def read_range(self, topic: str, partition: int, ranges: Iterable[tuple[int, int]]) -> Iterator[Received]:
        self._ask()
        for start, end in ranges:
            yield from self._broker.read(topic, partition, start, end - start)

    def _ask(self) -> None:
        self._process.act("ask the broker")
        if self._process.faults.strikes("broker_read"):
            raise Unavailable("the broker does not answer")


def _places(partitions: Iterable[TopicPartition]) -> list[Partition]:
    return [(one.topic, one.partition) for one in partitions]


def _partitions(places: Iterable[Partition]) -> list[TopicPartition]:
    return [TopicPartition(*place) for place in places]
