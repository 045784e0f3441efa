"""The audit of offsets, on a real broker."""

import time
from contextlib import closing
from uuid import uuid4

from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from olvido.broker.contract import Record
from olvido.broker.groups import topic_ids
from olvido.broker.kafka import KafkaPublisher, open_consumer
from olvido.core.offsets import OffsetRange
from olvido.ledger.store import Ledger
from olvido.processors.offset_audit import Audit
from olvido.schemas.settings.deployment import KafkaSection

WITHIN_S = 60


def make(kafka: KafkaSection, topic: str) -> None:
    """Make a topic, also one that was deleted a moment ago."""
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    deadline = time.monotonic() + WITHIN_S
    while topic_ids(kafka, [topic]):
        assert time.monotonic() < deadline, "it is deleted"
        time.sleep(0.05)
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(30)


def commit(kafka: KafkaSection, group: str, topic: str, offset: int) -> None:
    """As a reader that has left everything below behind itself."""
    with closing(open_consumer(kafka, group=group, client_id="test")) as consumer:
        consumer.commit(offsets=[TopicPartition(topic, 0, offset)], asynchronous=False)


def publish(kafka: KafkaSection, topic: str) -> None:
    with KafkaPublisher(kafka, client_id="test") as publisher:
        publisher.publish([Record(topic, b"k", b"%d" % number) for number in range(3)])


def test_a_topic_that_was_made_anew_is_audited_from_its_first_record(
    kafka_section: KafkaSection, ledger: Ledger
) -> None:
    """Its offsets are those of the topic before it, all of which were handled."""
    topic = group = f"anew-{uuid4().hex[:12]}"
    handled: list[bytes | None] = []
    audit = Audit(
        kafka_section, ledger, group=group,
        handlers={topic: lambda batch: handled.extend(record.value for record in batch)},
    )  # fmt: skip
    make(kafka_section, topic)
    publish(kafka_section, topic)
    ledger.progress.add([OffsetRange(topic, 0, 0, 3)])
    commit(kafka_section, group, topic, 3)
    assert (audit.run_once(), audit.run_once()) == (0, 0)
    admin = AdminClient({"bootstrap.servers": kafka_section.bootstrap_servers})
    admin.delete_topics([topic])[topic].result(30)
    make(kafka_section, topic)
    publish(kafka_section, topic)
    commit(kafka_section, group, topic, 3)
    assert (audit.run_once(), audit.run_once()) == (3, 0)
    assert handled == [b"0", b"1", b"2"]
