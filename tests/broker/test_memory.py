"""The twin in memory: the same partitions as Java, and repeats that a seed decides."""

import random
from collections.abc import Sequence

import confluent_kafka
import pytest
from aiokafka.partitioner import DefaultPartitioner
from hypothesis import given
from hypothesis import strategies as st

from olvido.broker.contract import Received, Record
from olvido.broker.memory import MemoryBroker
from olvido.broker.partitioning import partition_of
from olvido.core.errors import Unavailable

# org.apache.kafka.common.utils.UtilsTest.testMurmur2, of Kafka's own test suite
JAVA_MURMUR2 = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}


@pytest.mark.parametrize("key", JAVA_MURMUR2)
def test_a_key_is_on_the_partition_where_java_puts_it(key: bytes) -> None:
    assert partition_of(key, 6) == (JAVA_MURMUR2[key] & 0x7FFFFFFF) % 6


@given(key=st.binary(max_size=200), partitions=st.integers(1, 100))
def test_a_key_is_on_the_partition_where_aiokafka_puts_it(key: bytes, partitions: int) -> None:
    everywhere = list(range(partitions))
    assert partition_of(key, partitions) == DefaultPartitioner()(key, everywhere, everywhere)


def broker_with(count: int) -> MemoryBroker:
    broker = MemoryBroker({"events": 3})
    broker.publish([Record("events", f"key-{n % 7}".encode(), str(n).encode()) for n in range(count)])
    return broker


def drained(broker: MemoryBroker, seed: int) -> list[Received]:
    read: list[Received] = []
    broker.drain("group", ["events"], read.extend, batch_max=10, chaos=random.Random(seed))
    return read


@given(seed=st.integers(), count=st.integers(0, 120))
def test_chaos_repeats_but_loses_nothing(seed: int, count: int) -> None:
    broker = broker_with(count)
    assert set(drained(broker, seed)) == set(broker.records("events"))


@given(seed=st.integers())
def test_the_same_seed_gives_the_same_run(seed: int) -> None:
    assert drained(broker_with(50), seed) == drained(broker_with(50), seed)


@given(seed=st.integers())
def test_chaos_never_skips_within_a_partition(seed: int) -> None:
    """A repeat may go back to the last commit, never ahead of what was read."""
    following = {0: 0, 1: 0, 2: 0}
    for record in drained(broker_with(80), seed):
        assert record.offset <= following[record.partition]
        following[record.partition] = max(following[record.partition], record.offset + 1)


def test_a_handler_reads_what_it_writes_itself() -> None:
    broker = MemoryBroker({"in": 1, "out": 1})
    broker.publish([Record("in", b"k", b"1")])
    read: list[bytes | None] = []

    def handler(batch: Sequence[Received]) -> None:
        read.extend(record.value for record in batch)
        if batch[0].topic == "in":
            broker.publish([Record("out", b"k", b"2")])

    broker.drain("group", ["in", "out"], handler)
    assert read == [b"1", b"2"]


def test_nothing_of_a_call_is_written_when_one_topic_is_not_there() -> None:
    broker = MemoryBroker({"events": 1})
    with pytest.raises(Unavailable):
        broker.publish([Record("events", b"k", b"1"), Record("other", b"k", b"2")])
    assert broker.records("events") == ()


def test_a_group_knows_where_it_stands() -> None:
    broker = MemoryBroker({"events": 1})
    broker.publish([Record("events", b"k", b"1"), Record("events", b"k", b"2")])
    broker.drain("group", ["events"], lambda _: None)
    assert (broker.committed("group", "events", 0), broker.committed("other", "events", 0)) == (2, 0)


def test_librdkafka_agrees_with_the_vectors_of_java() -> None:
    assert {key: confluent_kafka.murmur2(key, 2**31 - 1) for key in JAVA_MURMUR2} == {
        key: (value & 0x7FFFFFFF) % (2**31 - 1) for key, value in JAVA_MURMUR2.items()
    }


def test_what_is_appended_is_read_at_the_place_that_was_told():
    broker = MemoryBroker({"events": 4})
    places = [broker.append(Record("events", f"key-{n % 3}".encode(), f"{n}".encode())) for n in range(9)]
    for n, (partition, offset) in enumerate(places):
        (found,) = broker.read("events", partition, offset, 1)
        assert (found.value, found.offset) == (f"{n}".encode(), offset)
    assert sum(broker.end("events", number) for number in range(broker.partitions("events"))) == 9


def test_a_group_may_be_set_back_and_reads_again():
    broker = MemoryBroker({"events": 1})
    broker.publish([Record("events", b"key", b"1"), Record("events", b"key", b"2")])
    broker.commit("group", "events", 0, 2)
    assert broker.drain("group", ["events"], lambda batch: None) == 0
    broker.commit("group", "events", 0, 1)
    assert broker.drain("group", ["events"], lambda batch: None) == 1
