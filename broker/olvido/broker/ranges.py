"""Records at given offsets, read outside of any group; nothing is committed."""

# pyright: reportPrivateImportUsage=false
import time
from collections.abc import Iterable, Iterator, Mapping

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from olvido.broker.admin import ANSWER_S_MAX, ASK_AGAIN_AFTER_S, silent
from olvido.broker.contract import Received
from olvido.broker.kafka import open_consumer, received
from olvido.core.offsets import Partition
from olvido.schemas.settings.deployment import KafkaSection
from olvido.schemas.topics import FOLLOW_GROUP, READ_RANGE_GROUP

READ_TIMEOUT_S = 15.0  # without a record, while a range is read


def follow(kafka: KafkaSection, starts: Mapping[Partition, int]) -> Iterator[Received]:
    """Read partitions from some offsets on, as records come, for ever; nothing is committed.

    Raises:
        Unavailable: the broker does not take the question. Later silence is waited out.
    """
    consumer = open_consumer(
        kafka, group=FOLLOW_GROUP, client_id="olvido-follow", more={"fetch.wait.max.ms": 100}
    )
    try:
        consumer.assign([TopicPartition(*place, offset) for place, offset in starts.items()])
        while True:
            # Short, so that Ctrl-C is noticed.
            message = consumer.poll(ASK_AGAIN_AFTER_S)
            if message is not None and message.error() is None:
                yield received(message)
    except KafkaException as error:
        raise silent(kafka, error.args[0].str()) from error
    finally:
        consumer.close()


def read_range(
    kafka: KafkaSection, topic: str, partition: int, ranges: Iterable[tuple[int, int]]
) -> Iterator[Received]:
    """Read what stands at some offsets again, outside any group; nothing is committed.

    Args:
        kafka: where the broker is.
        topic: the topic.
        partition: one of its partitions.
        ranges: from the first offset to before the second, in rising order. What retention or
            compaction removed, or what was never written, is simply not there.

    Raises:
        Unavailable: the broker does not answer.
    """
    consumer = open_consumer(
        kafka,
        group=READ_RANGE_GROUP,
        client_id="olvido-read-range",
        more={"enable.partition.eof": True, "fetch.wait.max.ms": 50},
    )
    try:
        for start, end in ranges:
            yield from _read_one(consumer, TopicPartition(topic, partition, start), end, kafka)
    except KafkaException as error:
        raise silent(kafka, error.args[0].str()) from error
    finally:
        consumer.close()


def _read_one(consumer: Consumer, start: TopicPartition, end: int, kafka: KafkaSection) -> Iterator[Received]:
    # Only within what is kept: from anywhere else librdkafka would begin at the oldest record.
    oldest, newest = consumer.get_watermark_offsets(start, timeout=ANSWER_S_MAX)
    start.offset, end = max(start.offset, oldest), min(end, newest)
    if start.offset >= end:
        return
    consumer.assign([start])
    deadline = time.monotonic() + READ_TIMEOUT_S
    while time.monotonic() < deadline:
        message = consumer.poll(1.0)
        if message is None:
            continue
        error = message.error()
        if error is not None:
            if error.code() == KafkaError._PARTITION_EOF:
                return
            raise KafkaException(error)
        record = received(message)
        if start.offset <= record.offset < end:
            yield record
        if record.offset + 1 >= end:
            return
        deadline = time.monotonic() + READ_TIMEOUT_S
    raise silent(kafka, f"nothing from {start.topic}[{start.partition}] for {READ_TIMEOUT_S:.0f} s")
