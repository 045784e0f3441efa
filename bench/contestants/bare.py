"""The limit: a loop of fifteen lines over confluent-kafka around the same handler, with nothing else."""

from confluent_kafka import Consumer
from steps import handler_of

from olvido.broker.kafka import received
from olvido.schemas.settings.deployment import Deployment
from olvido.schemas.topics import REQUESTS

GROUP = "bench.bare"


def main() -> None:
    """Read for ever; whoever started this ends it."""
    deployment = Deployment.load()
    handler = handler_of(deployment, GROUP)
    consumer = Consumer(
        {
            "bootstrap.servers": deployment.kafka.bootstrap_servers,
            "group.id": GROUP,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
        }
    )
    consumer.subscribe([REQUESTS.name])
    while True:
        batch = [received(message) for message in consumer.consume(1000, 0.05) if message.error() is None]
        if batch:
            handler(batch)
            consumer.commit(asynchronous=True)


if __name__ == "__main__":
    main()
