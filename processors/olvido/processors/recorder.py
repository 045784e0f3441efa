"""Runs the recorder until it is asked to stop."""

import logging
import threading

from olvido.broker.loop import Loop
from olvido.broker.runtime import tracing
from olvido.broker.runtime.health import ReaderHealth
from olvido.broker.runtime.movement import Activity
from olvido.broker.runtime.patience import Stopped, patiently
from olvido.broker.runtime.serving import serving
from olvido.processors.handlers.recorded import RecordedHandler
from olvido.processors.observer import Observer
from olvido.processors.parts import Parts, utc_now
from olvido.processors.strays import LogsStrays
from olvido.schemas.settings.deployment import Deployment
from olvido.schemas.topics import (
    DEAD_LETTERS,
    LOOKS,
    RECEIPTS,
    RECORDER_GROUP,
)

logger = logging.getLogger("olvido.processors")

RECORDED = (RECEIPTS, LOOKS, DEAD_LETTERS)
# In a batch of the recorder. Sinks answer for one request at nearly the same time; it is written to once for
# all of them that are in one batch.
RECEIPTS_MAX = 5000


def run_recorder(deployment: Deployment, stop: threading.Event) -> None:
    """Run the recorder: receipts, later looks and dead letters into the ledger, states out of it.

    Raises:
        ConfigError: before anything is read.
    """
    tracing.set_up(RECORDER_GROUP)
    activity, topics = Activity(), [topic.name for topic in RECORDED]
    health = ReaderHealth(deployment.kafka, group=RECORDER_GROUP, topics=topics, activity=activity)
    with serving(deployment.metrics, health):
        try:
            parts = patiently(
                "recorder", lambda: Parts(deployment, name=RECORDER_GROUP, reads=RECORDED), stop
            )
        except Stopped:
            return
        handler = RecordedHandler(parts.registry, parts.ledger, parts.emission, parts.seals, clock=utc_now)
        loop = Loop(
            deployment.kafka,
            group=RECORDER_GROUP,
            topics=topics,
            handler=LogsStrays(handler, deployment.kafka.partitions_of),
            batch_max=RECEIPTS_MAX,
            activity=activity,
            canaries=True,
        )
        health.started(parts.ask())
        for name, watch in (
            ("health", health.watch),
            ("figures", Observer(deployment, parts.ledger.database).watch),
        ):
            threading.Thread(target=watch, args=(stop,), name=name, daemon=True).start()
        logger.info("recorder starts")
        loop.run(stop)
        parts.publisher.close()
