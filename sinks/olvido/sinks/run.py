"""Puts one sink's process together out of olvido.toml, and runs it until it is asked to stop."""

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from olvido.broker.contract import Publisher, Received
from olvido.broker.kafka import KafkaPublisher
from olvido.broker.loop import Loop
from olvido.broker.runtime import tracing
from olvido.broker.runtime.health import ReaderHealth
from olvido.broker.runtime.metrics import UNSIGNED
from olvido.broker.runtime.movement import Activity
from olvido.broker.runtime.patience import Stopped, patiently
from olvido.broker.runtime.serving import serving
from olvido.broker.topics import check_fit
from olvido.core.errors import ConfigError, Refused, Unavailable
from olvido.schemas.codec import dead_letters_codec, looks_codec, receipts_codec, tasks_codec
from olvido.schemas.privacy.opening import Opener
from olvido.schemas.privacy.sealing import Sealer
from olvido.schemas.privacy.seals import Seals
from olvido.schemas.registry import Registry
from olvido.schemas.settings.deployment import Deployment, principal_of
from olvido.schemas.topics import sink_group, tasks_topic
from olvido.sinks.contract import LookingAgain, Sink
from olvido.sinks.plugins import load_sink
from olvido.sinks.runner import SinkRunner
from olvido.sinks.sweeping import Sweeping

log = logging.getLogger("olvido.sinks")


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What a sink works with beside its target."""

    opener: Opener
    sealer: Sealer
    publisher: Publisher
    registry: Registry


def run_sink(deployment: Deployment, name: str, stop: threading.Event) -> None:
    """Apply one sink's tasks until ``stop`` is set; the batch at hand is finished first.

    A target, registry or broker that is down is waited for, at the start and at any time later.

    Raises:
        ConfigError: before anything is read, or when the target no longer fits its data map.
    """
    tracing.set_up(sink_group(name))
    sink = load_sink(deployment, name)
    opener, sealer = open_boxes(deployment, name), sealer_of(deployment, name)
    publisher = KafkaPublisher(deployment.kafka, client_id=sink_group(name))
    group, topics, activity = sink_group(name), [tasks_topic(name).name], Activity()
    health = ReaderHealth(deployment.kafka, group=group, topics=topics, activity=activity)
    try:
        with serving(deployment.metrics, health):
            # The target first: whether it fits its data map can be told without a broker.
            for slow in patiently(f"sink {name}", sink.check, stop):
                log.warning("sink %s: %s", name, slow)
            patiently(f"sink {name}", sink.install, stop)
            patiently(f"sink {name}", lambda: check_fit(deployment.kafka, [tasks_topic(name)]), stop)
            registry = Registry(deployment.registry)
            means = Means(opener=opener, sealer=sealer, publisher=publisher, registry=registry)
            runner = patiently(f"sink {name}", partial(_runner, deployment, name, sink, means), stop)
            look_again = patiently(
                f"sink {name}", partial(looking_again, deployment, name, sink, means), stop
            )
            log.info("sink %s starts: its target answers and fits the data map", name)
            health.started({"target": runner.reach, "registry": registry.reach})
            threading.Thread(target=health.watch, args=(stop,), name="health", daemon=True).start()
            Loop(
                deployment.kafka,
                group=group,
                topics=topics,
                handler=_Both(runner, look_again),
                on_idle=lambda: _idle(name, runner, look_again),
                activity=activity,
                canaries=True,
            ).run(stop)
    except Stopped:
        log.info("sink %s was asked to stop before it could start", name)
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


def sealer_of(deployment: Deployment, name: str, signing_file: Path | None = None) -> Sealer:
    """What seals the receipts of a sink.

    Args:
        deployment: the deployment.
        name: the sink's name.
        signing_file: the key of its principal, if it is not the one that the deployment names.

    Raises:
        ConfigError: the key is missing, or its principal may not answer for this sink.
    """
    sealer = Sealer(deployment.keys.public_dir, signing_file or deployment.keys.signing_file)
    principal = deployment.all_principals.get(sealer.principal)
    if principal is None or name not in principal.sinks:
        raise ConfigError(
            f"keys.signing_file: principal {sealer.principal!r} may not answer for sink {name}: "
            f"give OLVIDO_KEYS__SIGNING_FILE with the key of {principal_of(name)!r}"
        )
    return sealer


def _runner(
    deployment: Deployment,
    name: str,
    sink: Sink,
    means: Means,
) -> SinkRunner:
    return SinkRunner(
        sink,
        name=name,
        opener=means.opener,
        seals=Seals.of(deployment, on_unsigned=UNSIGNED.labels(sink_group(name)).inc),
        sealer=means.sealer,
        tasks=tasks_codec(means.registry, name),
        receipts=receipts_codec(means.registry),
        dead_letters=dead_letters_codec(means.registry),
        publisher=means.publisher,
        group=sink_group(name),
        source=deployment.source,
        clock=lambda: datetime.now(UTC),
    )


def looking_again(deployment: Deployment, name: str, sink: Sink, means: Means) -> Sweeping | None:
    """What has a sink look again for people it erased; None if it is of a kind that cannot.

    Raises:
        ConfigError: the schema of the record is not registered.
        Unavailable: the registry does not answer.
    """
    if not isinstance(sink, LookingAgain):
        return None
    return Sweeping(
        sink, name=name, opener=means.opener, sealer=means.sealer, looks=looks_codec(means.registry),
        publisher=means.publisher, source=deployment.source,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Both:
    """Tasks first, then a step of looking again: so a sink that is never idle does it between its batches."""

    runner: SinkRunner
    look_again: Sweeping | None

    def __call__(self, batch: Sequence[Received]) -> None:
        self.runner(batch)
        # Killed before the end of this: the batch is done and answered, and comes again to be answered alike.
        if self.look_again is not None:
            self.look_again.step()


def _idle(name: str, runner: SinkRunner, look_again: Sweeping | None) -> None:
    if look_again is not None:
        look_again.step()
    try:
        runner.idle()
    except (Unavailable, Refused) as error:
        log.warning("sink %s: what can wait, waits: %s", name, error)
