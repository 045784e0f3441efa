"""What every contestant does with a batch: the handler of ``olvido.requests.v1``, as the product has it."""

from datetime import UTC, datetime, timedelta

from olvido.broker.kafka import KafkaPublisher
from olvido.broker.runtime.garbage import collect_rarely
from olvido.ledger.connection import Database
from olvido.ledger.store import Ledger
from olvido.processors.emission import Emission
from olvido.processors.handlers.batches import RequestsHandler
from olvido.schemas.privacy.seals import ControlSeals
from olvido.schemas.registry import Registry
from olvido.schemas.settings.deployment import Deployment


def handler_of(deployment: Deployment, name: str) -> RequestsHandler:
    """Decode, load, step, save, encode, produce, flush."""
    collect_rarely()  # as each of our own processes does: what is compared is who reads and commits
    registry = Registry(deployment.registry)
    catalogue = deployment.catalogue
    publisher = KafkaPublisher(deployment.kafka, client_id=name)
    return RequestsHandler(
        registry,
        Ledger(Database(deployment.ledger_dsn, application=name)),
        Emission(registry, catalogue, publisher, source="bench"),
        catalogue,
        ControlSeals.of_control(deployment, deployment.keys.private_dir, on_unsigned=lambda: None),
        clock=lambda: datetime.now(UTC),
        due_after=timedelta(hours=1),
    )
