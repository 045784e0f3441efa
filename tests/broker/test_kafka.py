"""The publisher: what publish() promises, on a real broker and on none."""

import asyncio
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.partitioner import DefaultPartitioner
from broker.topics import MakeTopic, make_topic_at
from confluent_kafka import KafkaError, KafkaException, Message

from olvido.broker.contract import Record
from olvido.broker.groups import end_offsets
from olvido.broker.kafka import KafkaPublisher
from olvido.broker.login import login_of
from olvido.broker.ranges import read_range
from olvido.core.causes import Cause
from olvido.core.errors import ConfigError, NotDelivered, Refused, Unavailable
from olvido.operators.local.stack import Stack
from olvido.schemas.settings.deployment import KafkaSection, Secret

NOBODY = KafkaSection(bootstrap_servers="127.0.0.1:1")  # no broker ever listens there
PARTITIONS = 6


def written(kafka: KafkaSection, topic: str) -> dict[bytes | None, int]:
    """The partition of each key of a topic."""
    return {
        record.key: partition
        for (_, partition), end in end_offsets(kafka, [topic]).items()
        for record in read_range(kafka, topic, partition, [(0, end)])
    }


def test_a_thousand_keys_are_on_the_partitions_where_aiokafka_puts_them(
    kafka_section: KafkaSection, make_topic: MakeTopic
) -> None:
    topic = make_topic(PARTITIONS)
    keys = [f"h1_{n:043d}".encode() for n in range(1000)]
    with KafkaPublisher(kafka_section, client_id="test") as publisher:
        publisher.publish([Record(topic, key, b"v") for key in keys])
    everywhere = list(range(PARTITIONS))
    expected = {key: DefaultPartitioner()(key, everywhere, everywhere) for key in keys}
    assert written(kafka_section, topic) == expected


def test_aiokafka_reads_what_we_compress(kafka_section: KafkaSection, make_topic: MakeTopic) -> None:
    topic = make_topic(1)
    with KafkaPublisher(kafka_section, client_id="test") as publisher:
        publisher.publish([Record(topic, b"k", b"x" * 10_000, (("ce_id", b"1"),))] * 5)

    async def read() -> list[tuple[bytes | None, tuple[tuple[str, bytes], ...]]]:
        consumer = AIOKafkaConsumer(
            topic, bootstrap_servers=kafka_section.bootstrap_servers, auto_offset_reset="earliest"
        )
        async with consumer:
            return [
                (record.value, tuple(record.headers)) for record in [await consumer.getone() for _ in "12345"]
            ]

    assert asyncio.run(read()) == [(b"x" * 10_000, (("ce_id", b"1"),))] * 5


def test_no_broker_is_told_in_time_naming_broker_and_topic_but_no_key() -> None:
    with (
        KafkaPublisher(NOBODY, client_id="test", timeout_s=1) as publisher,
        pytest.raises(Unavailable) as told,
    ):
        publisher.publish([Record("olvido.requests.v1", b"secret-key", b"secret-value")])
    assert str(told.value) == (
        "Kafka at 127.0.0.1:1 did not take records for olvido.requests.v1: _MSG_TIMED_OUT"
    )


def test_a_full_queue_is_waited_for(kafka_section: KafkaSection, make_topic: MakeTopic) -> None:
    topic = make_topic(1)
    narrow = kafka_section.model_copy(update={"options": {"queue.buffering.max.messages": "10"}})
    with KafkaPublisher(narrow, client_id="test") as publisher:
        publisher.publish([Record(topic, b"k", str(n).encode()) for n in range(500)])
    values = [record.value for record in read_range(kafka_section, topic, 0, [(0, 500)])]
    assert values == [str(n).encode() for n in range(500)]


def test_a_full_queue_without_a_broker_is_told_in_time() -> None:
    narrow = NOBODY.model_copy(update={"options": {"queue.buffering.max.messages": "10"}})
    with KafkaPublisher(narrow, client_id="test", timeout_s=1) as publisher, pytest.raises(Unavailable):
        publisher.publish([Record("events", b"k", b"v")] * 50)


def test_a_record_larger_than_the_broker_takes_is_refused(
    kafka_section: KafkaSection, make_topic: MakeTopic
) -> None:
    topic = make_topic(1)
    with KafkaPublisher(kafka_section, client_id="test") as publisher:
        with pytest.raises(Refused) as refused:
            publisher.publish([Record(topic, b"k", b"x" * 2_000_000)])
        publisher.publish([Record(topic, b"k", b"next")])
    assert (refused.value.cause, refused.value.field) == (Cause.TOO_LARGE, "value")


def test_threads_may_share_a_publisher(kafka_section: KafkaSection, make_topic: MakeTopic) -> None:
    topic = make_topic(PARTITIONS)
    keys = [f"key-{n}".encode() for n in range(200)]
    with KafkaPublisher(kafka_section, client_id="test") as publisher, ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: publisher.publish([Record(topic, key, b"v")]), keys))
    assert sorted(key for key in written(kafka_section, topic) if key) == sorted(keys)


def test_nothing_of_a_call_arrives_after_it_has_failed(own_stack: Stack, own_kafka: KafkaSection) -> None:
    """Or it would overtake the repeat."""
    topic = make_topic_at(own_kafka, 1)
    with KafkaPublisher(own_kafka, client_id="test", timeout_s=2) as publisher:
        publisher.publish([Record(topic, b"k", b"before")])
        own_stack.supervisor.stop("kafka")
        with pytest.raises(Unavailable):
            publisher.publish([Record(topic, b"k", b"failed")])
        own_stack.supervisor.start("kafka")
        _publish_until_taken(publisher, Record(topic, b"k", b"after"))
    values = [record.value for record in read_range(own_kafka, topic, 0, [(0, 100)])]
    assert values == [b"before", b"after"]


def _publish_until_taken(publisher: KafkaPublisher, record: Record) -> None:
    for _ in range(30):
        try:
            publisher.publish([record])
        except Unavailable:
            continue
        return
    pytest.fail("the broker was back, and records were not taken for a minute")


def test_a_forked_process_publishes_too(kafka_section: KafkaSection, make_topic: MakeTopic) -> None:
    """Web servers fork after loading the application; librdkafka's threads stay with the parent."""
    topic = make_topic(1)
    script = f"""
import os
from olvido.broker.contract import Record
from olvido.broker.kafka import KafkaPublisher
from olvido.schemas.settings.deployment import KafkaSection, Secret
kafka = KafkaSection(bootstrap_servers={kafka_section.bootstrap_servers!r})
publisher = KafkaPublisher(kafka, client_id="test")
publisher.publish([Record({topic!r}, b"k", b"parent")])
child = os.fork()
if child == 0:
    publisher.publish([Record({topic!r}, b"k", b"child")])
    publisher.close()
    os._exit(0)
_, status = os.waitpid(child, 0)
publisher.publish([Record({topic!r}, b"k", b"parent again")])
publisher.close()
raise SystemExit(os.waitstatus_to_exitcode(status))
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
    values = [record.value for record in read_range(kafka_section, topic, 0, [(0, 3)])]
    assert values == [b"parent", b"child", b"parent again"]


class FatalOnce(KafkaPublisher):
    """A publisher whose first producer dies of a fatal error, which no broker can be made to cause."""

    made = 0

    def _new_connection(self) -> Any:
        connection = super()._new_connection()
        type(self).made += 1
        if self.made == 1:
            connection.producer.purge()
            connection.producer = Dying()  # type: ignore[assignment]
        return connection


class Dying:
    def produce(self, *_: object, **__: object) -> None:
        raise KafkaException(KafkaError(KafkaError._FATAL, "out of order", True))

    def poll(self, _: float) -> int:
        return 0

    def flush(self, _: float = 0) -> int:
        return 0

    def purge(self) -> None:
        pass


def test_after_a_fatal_error_the_next_call_has_a_new_producer(
    kafka_section: KafkaSection, make_topic: MakeTopic
) -> None:
    topic = make_topic(1)
    with FatalOnce(kafka_section, client_id="test") as publisher:
        with pytest.raises(Unavailable):
            publisher.publish([Record(topic, b"k", b"1")])
        publisher.publish([Record(topic, b"k", b"2")])
    assert [record.value for record in read_range(kafka_section, topic, 0, [(0, 9)])] == [b"2"]


def test_closing_tells_what_was_not_delivered() -> None:
    publisher = KafkaPublisher(NOBODY, client_id="test", timeout_s=2)
    begun = threading.Event()
    produce = publisher._current().producer.produce

    class Watched:
        def __getattr__(self, name: str) -> Any:
            return getattr(producer, name)

        def produce(self, *args: Any, **more: Any) -> None:
            produce(*args, **more)
            begun.set()

        def flush(self, _: float) -> int:
            return producer.flush(0.1)  # as if the time were over: the other thread still waits

    producer = publisher._current().producer
    publisher._current().producer = Watched()  # type: ignore[assignment]
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(publisher.publish, [Record("events", b"secret", b"v")])
        begun.wait(10)
        with pytest.raises(NotDelivered, match="did not confirm 1 records") as told:
            publisher.close()
        with pytest.raises(Unavailable):
            other.result(10)
    assert "secret" not in str(told.value)


def test_closing_twice_is_closing_once() -> None:
    publisher = KafkaPublisher(NOBODY, client_id="test")
    publisher.close()
    publisher.close()


@pytest.mark.parametrize(
    ("option", "value"), [("partitioner", "random"), ("acks", "1"), ("enable.idempotence", "false")]
)
def test_an_option_that_promises_rest_on_cannot_be_changed(option: str, value: str) -> None:
    with pytest.raises(ConfigError, match=rf"kafka\.options\.{option} is .* remove it"):
        KafkaPublisher(KafkaSection(options={option: value}), client_id="test")


@pytest.mark.parametrize("option", ["no.such.option", "broker.address.family", "queue.buffering.max.ms"])
def test_an_option_that_librdkafka_does_not_take_is_named_and_its_value_not_shown(option: str) -> None:
    with pytest.raises(ConfigError) as told:
        KafkaPublisher(KafkaSection(options={option: "geheim", "client.rack": "r1"}), client_id="test")
    assert str(told.value) == f"kafka.options.{option}: librdkafka does not take this option or its value"


def test_options_are_passed_on(kafka_section: KafkaSection, make_topic: MakeTopic) -> None:
    topic = make_topic(1)
    given = kafka_section.model_copy(update={"options": {"compression.type": "zstd", "linger.ms": "0"}})
    with KafkaPublisher(given, client_id="test") as publisher:
        publisher.publish([Record(topic, b"k", b"v")])
        assert publisher._options["compression.type"] == "zstd"


def test_a_repr_shows_where_and_no_options(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_PASSWORD", "geheim")
    login = {"sasl.mechanisms": "PLAIN", "sasl.username": "u", "sasl.password": Secret(env="KAFKA_PASSWORD")}
    kafka = KafkaSection(options={"security.protocol": "SASL_PLAINTEXT", "client.rack": "r1", **login})
    assert "geheim" not in repr(login_of(kafka))
    with KafkaPublisher(kafka, client_id="test") as publisher:
        assert repr(publisher) == "KafkaPublisher(127.0.0.1:9092)"


def test_a_report_with_a_fatal_error_outranks_others() -> None:
    from olvido.broker.kafka import _Reports

    reports = _Reports()
    message = Message(topic="events")
    reports.take(KafkaError(KafkaError._MSG_TIMED_OUT), message)
    reports.take(KafkaError(KafkaError._FATAL, "x", True), message)
    reports.take(KafkaError(KafkaError._PURGE_QUEUE), message)
    assert reports.error is not None
    assert reports.error.code() == KafkaError._FATAL
