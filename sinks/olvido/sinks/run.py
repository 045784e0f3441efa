"""Puts one sink's process together out of olvido.toml, and runs it until told to stop."""

import logging
import threading
from datetime import UTC, datetime

from olvido.broker.kafka import KafkaPublisher
from olvido.broker.loop import Loop
from olvido.broker.patience import Stopped, patiently
from olvido.core.errors import ConfigError, Refused, Unavailable
from olvido.schemas.codec import dead_letters_codec, receipts_codec, tasks_codec
from olvido.schemas.deployment import Deployment
from olvido.schemas.registry import Registry
from olvido.schemas.sealing import Opener
from olvido.schemas.topics import sink_group, tasks_topic
from olvido.sinks.contract import Sink
from olvido.sinks.plugins import load_sink
from olvido.sinks.runner import SinkRunner

log = logging.getLogger("olvido.sinks")


def run_sink(deployment: Deployment, name: str, stop: threading.Event) -> None:
    """Apply one sink's tasks until ``stop`` is set; the batch at hand is finished first.

    A target, registry or broker that is down is waited for, at the start and at any time later.

    Raises:
        ConfigError: before anything is read, or when the target no longer fits its data map.
    """
    sink = load_sink(deployment, name)
    opener = open_boxes(deployment, name)
    publisher = KafkaPublisher(deployment.kafka, client_id=sink_group(name))
    try:
        patiently(f"sink {name}", sink.check, stop)
        runner = patiently(f"sink {name}", lambda: _runner(deployment, name, sink, opener, publisher), stop)
        log.info("sink %s starts: its target answers and fits the data map", name)
        Loop(
            deployment.kafka,
            group=sink_group(name),
            topics=[tasks_topic(name).name],
            handler=runner,
            on_idle=lambda: _idle(name, runner),
        ).run(stop)
    except Stopped:
        log.info("sink %s was told to stop before it could start", name)
    finally:
        sink.close()
        publisher.close()


def open_boxes(deployment: Deployment, name: str) -> Opener:
    """What opens the boxes of a sink's region.

    Raises:
        ConfigError: this process was given no private keys, or none of that region.
    """
    if deployment.keys.private_dir is None:
        raise ConfigError(
            "keys.private_dir is not set: a sink needs the private keys of its region; "
            "give OLVIDO_KEYS__PRIVATE_DIR"
        )
    return Opener(deployment.sinks[name].region, deployment.keys.private_dir)


def _runner(
    deployment: Deployment, name: str, sink: Sink, opener: Opener, publisher: KafkaPublisher
) -> SinkRunner:
    registry = Registry(deployment.registry.url)
    return SinkRunner(
        sink,
        name=name,
        opener=opener,
        tasks=tasks_codec(registry, name),
        receipts=receipts_codec(registry),
        dead_letters=dead_letters_codec(registry),
        publisher=publisher,
        group=sink_group(name),
        source=deployment.source,
        clock=lambda: datetime.now(UTC),
    )


def _idle(name: str, runner: SinkRunner) -> None:
    try:
        runner.idle()
    except (Unavailable, Refused) as error:
        log.warning("sink %s: what can wait, waits: %s", name, error)
