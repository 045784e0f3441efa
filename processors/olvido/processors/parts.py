"""What the processes of this room are put together of, out of olvido.toml: parts, handlers and timers."""

import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

from olvido.broker.contract import Handler
from olvido.broker.groups import unread
from olvido.broker.kafka import KafkaPublisher
from olvido.broker.runtime.canaries import CANARIES_EVERY_S, Canaries
from olvido.broker.runtime.metrics import UNSIGNED
from olvido.broker.topics import check_fit
from olvido.ledger import schema
from olvido.ledger.clocks import check_clock
from olvido.ledger.connection import Database
from olvido.ledger.retention import Retention
from olvido.ledger.sink_operations import SinkOperations
from olvido.ledger.store import Ledger
from olvido.processors.emission import Emission
from olvido.processors.fingerprints import Fingerprints
from olvido.processors.handlers.batches import ConsentsHandler, RequestsHandler
from olvido.processors.handlers.held import HeldRequests
from olvido.processors.handlers.verifications import VerificationsHandler
from olvido.processors.offset_audit import Audit
from olvido.processors.publication import Publication
from olvido.processors.reconciler import Reconciler
from olvido.processors.strays import LogsStrays
from olvido.processors.timers import Timer
from olvido.schemas.codec import canaries_codec
from olvido.schemas.privacy.sealing import Sealer
from olvido.schemas.privacy.seals import ControlSeals
from olvido.schemas.registry import Registry
from olvido.schemas.settings.deployment import Deployment
from olvido.schemas.topics import (
    CANARIES,
    CONSENTS,
    PROCESSORS_GROUP,
    REQUESTS,
    VERIFICATIONS,
    Topic,
)

logger = logging.getLogger("olvido.processors")

AUDIT_EVERY = timedelta(seconds=10)


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
        self.registry = Registry(deployment.registry)
        self.ledger = Ledger(Database(deployment.ledger_dsn, application=name))
        check_clock(self.ledger.database, utc_now())
        self.publisher = KafkaPublisher(deployment.kafka, client_id=name)
        self.emission = Emission(self.registry, self.catalogue, self.publisher, source=deployment.source)
        self.seals = ControlSeals.of_control(
            deployment, deployment.keys.private_dir, on_unsigned=UNSIGNED.labels(name).inc
        )
        self.sealer = Sealer(deployment.keys.public_dir, deployment.keys.signing_file)
        self.first_after = timedelta(seconds=deployment.reconciler.first_after_s)

    def ask(self) -> dict[str, Callable[[], object]]:
        """Checks whether each part answers, beside the broker."""
        return {
            "ledger": lambda: check_clock(self.ledger.database, utc_now()),
            "registry": self.registry.reach,
        }


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
        parts.seals,
        clock=utc_now,
        due_after=parts.first_after,
    )


def _held(parts: Parts) -> HeldRequests:
    return HeldRequests(parts.registry, parts.ledger, parts.emission, parts.catalogue, clock=utc_now)


def work_of(parts: Parts) -> tuple[dict[str, Handler], tuple[Timer, ...]]:
    """The handler of each topic that upstream writes to, and what is done now and then."""
    verifications = _verifications(parts)
    handlers: dict[str, Handler] = {
        REQUESTS.name: RequestsHandler(
            parts.registry, parts.ledger, parts.emission, parts.catalogue, parts.seals,
            clock=utc_now, due_after=parts.first_after,
        ),
        CONSENTS.name: ConsentsHandler(
            parts.registry, parts.ledger, parts.emission, parts.catalogue, parts.seals,
            clock=utc_now, due_after=parts.first_after,
        ),
        VERIFICATIONS.name: verifications,
    }  # fmt: skip
    partitions_of = parts.deployment.kafka.partitions_of
    handlers = {topic: LogsStrays(handler, partitions_of) for topic, handler in handlers.items()}
    kafka, every = parts.deployment.kafka, timedelta(seconds=parts.deployment.reconciler.every_s)
    reconciler = Reconciler(
        parts.registry, parts.ledger, SinkOperations(parts.ledger.database), parts.emission, parts.catalogue,
        seal=parts.sealer.sealed, clock=utc_now, first_after=parts.first_after, unread=partial(unread, kafka),
    )  # fmt: skip
    audit = Audit(kafka, parts.ledger, group=PROCESSORS_GROUP, handlers=handlers)
    left_behind = Publication(parts.ledger, parts.emission)
    fingerprints = Fingerprints(parts.registry, parts.ledger.events)
    return handlers, (
        Timer(name="reconciler", every=every, act=reconciler.run_once),
        Timer(name="held requests", every=every, act=_held(parts).run_once),
        Timer(name="crossed verifications", every=every, act=verifications.release_crossed),
        Timer(name="publications left behind", every=every, act=left_behind.run_once),
        Timer(name="fingerprints of events", every=every, act=fingerprints.run_once),
        Timer(name="retention", every=every, act=_retention(parts).run_once),
        Timer(name="offset audit", every=AUDIT_EVERY, act=audit.run_once),
        Timer(name="canaries", every=timedelta(seconds=CANARIES_EVERY_S), act=_canaries(parts).write),
    )
