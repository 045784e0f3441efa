"""The limit: a bare loop that deletes the people of a batch in one transaction and writes a record for each.

    python bench/contestants/deletes.py GROUP TOPIC RECEIPTS [SINK]

The topic holds e-mail addresses; with the name of a sink it holds that sink's tasks, whose boxes are opened
first. There is no journal, no fence, no check of what a record says, and no way back from a fault.
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import psycopg2
from confluent_kafka import Consumer, Message, Producer

from olvido.schemas.codec import tasks_codec
from olvido.schemas.privacy.opening import Opener
from olvido.schemas.registry import Registry
from olvido.schemas.settings.deployment import Deployment

BATCH = 1000
WAIT_S = 0.05  # for a batch to fill, as the sink's own loop waits
DELETE = "delete from people where lower(email) = any(%s)"
RECEIPT = b'{"outcome": "erased", "counts": {"people.deleted": 1}}'

Addresses = Callable[[Message], str]  # whom a record is about


def main() -> None:
    """Read until told to stop."""
    group, topic, receipts, *sink = sys.argv[1:]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    deployment = Deployment.load()
    address_of = opening(deployment, *sink) if sink else in_clear
    broker = {"bootstrap.servers": deployment.kafka.bootstrap_servers}
    producer = Producer({**broker, "acks": "all", "linger.ms": 1, "compression.type": "lz4"})
    consumer = Consumer(
        {**broker, "group.id": group, "enable.auto.commit": False, "auto.offset.reset": "earliest"}
    )
    target = psycopg2.connect(os.environ["BENCH_TARGET"])
    consumer.subscribe([topic])
    try:
        while True:
            batch = [one for one in consumer.consume(BATCH, WAIT_S) if one.error() is None]
            if not batch:
                continue
            with target, target.cursor() as cursor:
                cursor.execute(DELETE, ([address_of(one) for one in batch],))
            for one in batch:
                producer.produce(receipts, RECEIPT, one.key())
            producer.flush()
            consumer.commit(asynchronous=True)
    finally:
        consumer.close()


def in_clear(record: Message) -> str:
    """The record is the address."""
    return record.value().decode()


def opening(deployment: Deployment, sink: str) -> Addresses:
    """The record is a task: decode it and open its box."""
    codec = tasks_codec(Registry(deployment.registry), sink)
    opener = Opener(deployment.sinks[sink].region, Path(os.environ["BENCH_PRIVATE_DIR"]))

    def address(record: Message) -> str:
        task = codec.decode(record.value())
        (identity,) = opener.open(task.box, task)
        return identity.normalised

    return address


if __name__ == "__main__":
    main()
