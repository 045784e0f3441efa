"""quixstreams around the same handler: a batching sink, flushed at each checkpoint of 1,000 records."""

from typing import Any

from quixstreams import Application
from quixstreams.sinks.base import BatchingSink, SinkBatch
from steps import handler_of

from olvido.broker.contract import Received
from olvido.processors.handlers.batches import RequestsHandler
from olvido.schemas.settings.deployment import Deployment
from olvido.schemas.topics import REQUESTS

GROUP = "bench.quixstreams"


class HandlerSink(BatchingSink):
    """Hands what was collected to the handler, all partitions at once: as many records a call as ours."""

    def __init__(self, handler: RequestsHandler) -> None:
        super().__init__()
        self._handler = handler

    def write(self, batch: SinkBatch) -> None:
        """Not called: :meth:`flush` takes all partitions together."""
        raise NotImplementedError

    def flush(self) -> None:
        """Handle everything since the last checkpoint; quixstreams commits after it."""
        batch = [
            Received(topic, partition, item.offset, item.key, item.value, _pairs(item.headers))
            for (topic, partition), items in self._batches.items()
            for item in items
        ]
        if batch:
            self._handler(batch)
        self._batches.clear()


def _pairs(headers: Any) -> tuple[tuple[str, bytes | None], ...]:  # noqa: ANN401
    return tuple((name, value) for name, value in headers or ())


def main() -> None:
    """Read for ever; whoever started this ends it."""
    deployment = Deployment.load()
    app = Application(
        broker_address=deployment.kafka.bootstrap_servers,
        consumer_group=GROUP,
        auto_offset_reset="earliest",
        auto_create_topics=False,
        commit_every=1000,
        commit_interval=1.0,
        loglevel="WARNING",
    )
    topic = app.topic(REQUESTS.name, key_deserializer="bytes", value_deserializer="bytes")
    app.dataframe(topic).sink(HandlerSink(handler_of(deployment, GROUP)))
    app.run()


if __name__ == "__main__":
    main()
