"""Puts the processors together out of olvido.toml, and runs them until told to stop."""

import contextlib
import io
import logging
import os
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

from olvido.broker.contract import Handler
from olvido.broker.groups import unread
from olvido.broker.kafka import KafkaPublisher
from olvido.broker.loop import Loop
from olvido.broker.runtime import tracing
from olvido.broker.runtime.canaries import CANARIES_EVERY_S, Canaries
from olvido.broker.runtime.health import ReaderHealth
from olvido.broker.runtime.movement import Activity
from olvido.broker.runtime.patience import Stopped, patiently
from olvido.broker.runtime.serving import serving
from olvido.broker.topics import check_fit
from olvido.ledger import schema
from olvido.ledger.clocks import check_clock
from olvido.ledger.connection import Database
from olvido.ledger.retention import Retention
from olvido.ledger.sink_operations import SinkOperations
from olvido.ledger.store import Ledger
from olvido.processors.audit import Audit
from olvido.processors.emission import Emission
from olvido.processors.figures import Observer
from olvido.processors.handlers.batches import ConsentsHandler, RequestsHandler
from olvido.processors.handlers.receipts import ReceiptsHandler
from olvido.processors.handlers.verifications import VerificationsHandler
from olvido.processors.reconciler import Reconciler
from olvido.processors.strays import LogsStrays
from olvido.processors.telling import Telling
from olvido.processors.timers import Timer, running
from olvido.processors.watchdog import EXIT_TRY_AGAIN, Watchdog
from olvido.schemas.codec import canaries_codec
from olvido.schemas.registry import Registry
from olvido.schemas.settings.deployment import Deployment
from olvido.schemas.topics import (
    CANARIES,
    CONSENTS,
    DEAD_LETTERS,
    PROCESSORS_GROUP,
    RECEIPTS,
    RECORDER_GROUP,
    REQUESTS,
    VERIFICATIONS,
    Topic,
)

logger = logging.getLogger("olvido.processors")

UPSTREAM = (REQUESTS, CONSENTS, VERIFICATIONS)
RECORDED = (RECEIPTS, DEAD_LETTERS)
AUDIT_EVERY = timedelta(seconds=10)
# In a batch of the recorder. Sinks answer for one request at nearly the same time; it is written to once for
# all of them that are in one batch.
RECEIPTS_MAX = 5000


def utc_now() -> datetime:
    """The clock of real processes."""
    return datetime.now(UTC)


class Parts:
    """What the processes of this room share: everything they need to carry out a step."""

    def __init__(self, deployment: Deployment, *, name: str, reads: Sequence[Topic]) -> None:
        """
        Args:
            deployment: the deployment.
            name: the process's, for logs of the others.
            reads: the topics it is about to read.

        Raises:
            ConfigError: a setting is missing, a schema not registered, a migration not applied, a topic
                would lose records.
            Unavailable: a part does not answer now, or the ledger's clock is not ours.
        """
        schema.check(deployment.ledger_dsn)
        check_fit(deployment.kafka, reads)
        self.deployment = deployment
        self.catalogue = deployment.catalogue
        self.registry = Registry(deployment.registry.url)
        self.ledger = Ledger(Database(deployment.ledger_dsn, application=name))
        check_clock(self.ledger.database, utc_now())
        self.publisher = KafkaPublisher(deployment.kafka, client_id=name)
        self.emission = Emission(self.registry, self.catalogue, self.publisher, source=deployment.source)
        self.first_after = timedelta(seconds=deployment.reconciler.first_after_s)

    def ask(self) -> dict[str, Callable[[], object]]:
        """What tells whether each part answers, beside the broker."""
        return {
            "ledger": lambda: check_clock(self.ledger.database, utc_now()),
            "registry": self.registry.reach,
        }


def run_processors(deployment: Deployment) -> None:
    """Run the Faust worker: requests, consents, verifications, the reconciler and the offset audit.

    Returns after SIGTERM or SIGINT, when the batches at hand are done.

    Raises:
        ConfigError: before anything is read.
    """
    tracing.set_up(PROCESSORS_GROUP)
    activity = Activity()
    health = ReaderHealth(
        deployment.kafka, group=PROCESSORS_GROUP, topics=[topic.name for topic in UPSTREAM],
        activity=activity, apart=True, on_look=Watchdog().look,
    )  # fmt: skip
    with serving(deployment.metrics, health):
        _plan(deployment, activity, health)


def _plan(deployment: Deployment, activity: Activity, health: ReaderHealth) -> None:
    # Here alone: the recorder and the plain loop start in two thirds of the time without Faust.
    import faust

    from olvido.processors.app import build_app

    stop = threading.Event()
    parts = patiently("processors", lambda: Parts(deployment, name=PROCESSORS_GROUP, reads=UPSTREAM), stop)
    handlers, timers = _work(parts)
    app = build_app(deployment.kafka, group=PROCESSORS_GROUP, handlers=handlers, activity=activity)
    health.started(parts.ask())
    # In a thread of its own: it looks also when the event loop stands still.
    threading.Thread(target=health.watch, args=(stop,), name="health", daemon=True).start()
    logger.info("processors start: %d sinks, ledger and registry answer", len(parts.catalogue.sinks))
    with running(timers, stop), contextlib.suppress(SystemExit):
        faust.Worker(
            app, quiet=True, loglevel="WARNING", override_logging=False, redirect_stdouts=False,
            stdout=io.StringIO(), stderr=io.StringIO(),  # its spinner is not for logs
        ).execute_from_commandline()  # fmt: skip
    parts.publisher.close()


def run_recorder(deployment: Deployment, stop: threading.Event) -> None:
    """Run the recorder: receipts and dead letters into the ledger, states out of it.

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
        handler = ReceiptsHandler(parts.registry, parts.ledger, parts.emission, clock=utc_now)
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


def run_loop_engine(deployment: Deployment, stop: threading.Event) -> None:
    """Run the same steps and timers on the plain loop instead of Faust.

    Raises:
        ConfigError: before anything is read.
    """
    tracing.set_up(PROCESSORS_GROUP)
    activity = Activity()
    health = ReaderHealth(
        deployment.kafka,
        group=PROCESSORS_GROUP,
        topics=[topic.name for topic in UPSTREAM],
        activity=activity,
        apart=True,
    )
    with serving(deployment.metrics, health):
        try:
            parts = patiently(
                "processors", lambda: Parts(deployment, name=PROCESSORS_GROUP, reads=UPSTREAM), stop
            )
        except Stopped:
            return
        handlers, timers = _work(parts)
        loops = [
            Loop(
                deployment.kafka, group=PROCESSORS_GROUP, topics=[topic], handler=handler,
                activity=activity, canaries=topic == REQUESTS.name,
            )
            for topic, handler in handlers.items()
        ]  # fmt: skip
        health.started(parts.ask())
        threading.Thread(target=health.watch, args=(stop,), name="health", daemon=True).start()
        threads = [threading.Thread(target=_or_exit, args=(loop, stop), daemon=True) for loop in loops]
        for thread in threads:
            thread.start()
        with running(timers, stop):
            stop.wait()
        for thread in threads:
            thread.join(timeout=10)
        parts.publisher.close()


def _canaries(parts: Parts) -> Canaries:
    codec = canaries_codec(parts.registry)
    return Canaries(
        codec,
        parts.publisher,
        partitions=parts.deployment.kafka.partitions_of(CANARIES.name),
        source=parts.deployment.source,
        clock=utc_now,
    )


def _retention(parts: Parts) -> Retention:
    kept = parts.deployment.ledger
    return Retention(
        parts.ledger.database,
        keep_events=timedelta(days=kept.keep_events_days),
        keep_dead_letters=timedelta(days=kept.keep_dead_letters_days),
        clock=utc_now,
    )


def _verifications(parts: Parts) -> VerificationsHandler:
    return VerificationsHandler(
        parts.registry,
        parts.ledger,
        parts.emission,
        parts.catalogue,
        clock=utc_now,
        due_after=parts.first_after,
    )


def _work(parts: Parts) -> tuple[dict[str, Handler], tuple[Timer, ...]]:
    """The handler of each topic that upstream writes to, and what is done now and then."""
    verifications = _verifications(parts)
    handlers: dict[str, Handler] = {
        REQUESTS.name: RequestsHandler(
            parts.registry, parts.ledger, parts.emission, parts.catalogue,
            clock=utc_now, due_after=parts.first_after,
        ),
        CONSENTS.name: ConsentsHandler(
            parts.registry, parts.ledger, parts.emission, parts.catalogue,
            clock=utc_now, due_after=parts.first_after,
        ),
        VERIFICATIONS.name: verifications,
    }  # fmt: skip
    partitions_of = parts.deployment.kafka.partitions_of
    handlers = {topic: LogsStrays(handler, partitions_of) for topic, handler in handlers.items()}
    kafka, every = parts.deployment.kafka, timedelta(seconds=parts.deployment.reconciler.every_s)
    reconciler = Reconciler(
        parts.registry, parts.ledger, SinkOperations(parts.ledger.database), parts.emission, parts.catalogue,
        clock=utc_now, first_after=parts.first_after, unread=partial(unread, kafka),
    )  # fmt: skip
    audit = Audit(kafka, parts.ledger, group=PROCESSORS_GROUP, handlers=handlers)
    left_behind = Telling(parts.ledger, parts.emission)
    return handlers, (
        Timer(name="reconciler", every=every, act=reconciler.run_once),
        Timer(name="crossed verifications", every=every, act=verifications.release_crossed),
        Timer(name="publications left behind", every=every, act=left_behind.run_once),
        Timer(name="retention", every=every, act=_retention(parts).run_once),
        Timer(name="offset audit", every=AUDIT_EVERY, act=audit.run_once),
        Timer(name="canaries", every=timedelta(seconds=CANARIES_EVERY_S), act=_canaries(parts).write),
    )


def _or_exit(loop: Loop, stop: threading.Event) -> None:
    """A thread that fails must not leave its topic unread behind a process that looks alive."""
    try:
        loop.run(stop)
    except Exception as error:  # noqa: BLE001 - the process ends; nothing is swallowed
        logger.critical("the loop failed with %s; ending the process", type(error).__name__)
        os._exit(EXIT_TRY_AGAIN)
