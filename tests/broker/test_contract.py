"""One suite for every carrier: Kafka and its twin in memory keep the same contract."""

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from uuid import uuid4

import pytest

from olvido.broker.contract import Publisher, Received, Record
from olvido.broker.kafka import KafkaPublisher
from olvido.broker.loop import Loop
from olvido.broker.memory import MemoryBroker
from olvido.core.errors import Unavailable
from olvido.schemas.settings.deployment import KafkaSection

PARTITIONS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Carrier:
    """A publisher, a topic, and a way to read it as a group until so many records were handled."""

    publisher: Publisher
    topic: str
    read: Callable[[str, Callable[[Sequence[Received]], None], int], None]


@pytest.fixture(params=["memory", "kafka"])
def carrier(request: pytest.FixtureRequest) -> Iterator[Carrier]:
    if request.param == "memory":
        yield _memory()
        return
    kafka: KafkaSection = request.getfixturevalue("kafka_section")
    topic = request.getfixturevalue("make_topic")(PARTITIONS)
    # An unknown topic is reported at once, and not after half a minute of looking for it.
    quick = kafka.model_copy(update={"options": {"topic.metadata.propagation.max.ms": "100"}})
    with KafkaPublisher(quick, client_id="test") as publisher:
        yield Carrier(publisher=publisher, topic=topic, read=lambda *how: _read(kafka, topic, *how))


def _memory() -> Carrier:
    broker = MemoryBroker({"events": PARTITIONS})

    def read(group: str, handler: Callable[[Sequence[Received]], None], count: int) -> None:
        handled = 0
        while handled < count:
            try:
                handled += broker.drain(group, ["events"], handler)
            except Unavailable:
                continue  # the loop waits here

    return Carrier(publisher=broker, topic="events", read=read)


def _read(
    kafka: KafkaSection, topic: str, group: str, handler: Callable[[Sequence[Received]], None], count: int
) -> None:
    stop = threading.Event()
    handled = 0

    def counting(batch: Sequence[Received]) -> None:
        nonlocal handled
        handler(batch)
        handled += len(batch)
        if handled >= count:
            stop.set()

    Loop(kafka, group=group, topics=[topic], handler=counting).run(stop)


def records(topic: str, count: int, *, keys: int = 10) -> list[Record]:
    return [Record(topic, f"key-{n % keys}".encode(), f"{n}".encode(), (("h", b"1"),)) for n in range(count)]


def by_key(batch: Sequence[Received | Record]) -> dict[bytes | None, list[bytes | None]]:
    told: dict[bytes | None, list[bytes | None]] = defaultdict(list)
    for record in batch:
        told[record.key].append(record.value)
    return dict(told)


def a_group() -> str:
    return f"group-{uuid4().hex[:12]}"


def test_what_is_written_is_read_whole_and_in_order_for_each_key(carrier: Carrier) -> None:
    written = records(carrier.topic, 300)
    read: list[Received] = []
    carrier.publisher.publish(written)
    carrier.read(a_group(), read.extend, 300)
    assert by_key(read) == by_key(written)
    assert {record.headers for record in read} == {(("h", b"1"),)}


def test_a_record_without_a_value_is_a_record(carrier: Carrier) -> None:
    read: list[Received] = []
    carrier.publisher.publish([Record(carrier.topic, b"key", None), Record(carrier.topic, b"key", b"")])
    carrier.read(a_group(), read.extend, 2)
    assert [record.value for record in read] == [None, b""]


def test_one_key_is_on_one_partition_and_offsets_rise_by_one(carrier: Carrier) -> None:
    read: list[Received] = []
    carrier.publisher.publish(records(carrier.topic, 100))
    carrier.read(a_group(), read.extend, 100)
    places = defaultdict(set)
    offsets = defaultdict(list)
    for record in read:
        places[record.key].add(record.partition)
        offsets[record.partition].append(record.offset)
    assert all(len(partitions) == 1 for partitions in places.values())
    assert all(at == list(range(len(at))) for at in offsets.values())


def test_a_batch_whose_handler_found_something_down_comes_again_as_it_was(carrier: Carrier) -> None:
    brought: list[list[tuple[int, int]]] = []

    def handler(batch: Sequence[Received]) -> None:
        brought.append([(record.partition, record.offset) for record in batch])
        if len(brought) == 1:
            raise Unavailable("the target is down")

    carrier.publisher.publish(records(carrier.topic, 20))
    carrier.read(a_group(), handler, 20)
    assert brought[0] == brought[1]


def test_what_a_handler_did_not_finish_comes_again_to_the_next_reader(carrier: Carrier) -> None:
    group = a_group()
    read: list[Received] = []

    def dies(batch: Sequence[Received]) -> None:
        raise RuntimeError("a bug")

    carrier.publisher.publish(records(carrier.topic, 20))
    with pytest.raises(RuntimeError, match="a bug"):
        carrier.read(group, dies, 20)
    carrier.read(group, read.extend, 20)
    assert by_key(read) == by_key(records(carrier.topic, 20))


def test_what_was_handled_does_not_come_again_to_the_next_reader(carrier: Carrier) -> None:
    group = a_group()
    first: list[Received] = []
    second: list[Received] = []
    carrier.publisher.publish(records(carrier.topic, 20))
    carrier.read(group, first.extend, 20)
    carrier.publisher.publish([Record(carrier.topic, b"late", b"21")])
    carrier.read(group, second.extend, 1)
    assert [record.key for record in second] == [b"late"]


def test_each_group_reads_everything(carrier: Carrier) -> None:
    one: list[Received] = []
    other: list[Received] = []
    carrier.publisher.publish(records(carrier.topic, 20))
    carrier.read(a_group(), one.extend, 20)
    carrier.read(a_group(), other.extend, 20)
    assert by_key(one) == by_key(other)


def test_a_topic_that_is_not_there_is_told_by_name_and_without_the_key(carrier: Carrier) -> None:
    with pytest.raises(Unavailable, match="no-such-topic") as told:
        carrier.publisher.publish([Record("no-such-topic", b"secret-key", b"secret-value")])
    assert "secret" not in str(told.value)


def test_nothing_to_write_is_no_work(carrier: Carrier) -> None:
    carrier.publisher.publish([])
