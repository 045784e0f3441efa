"""Emit privacy requests, consent changes and verifications: ``from olvido.producers import Producer``."""

from olvido.core.errors import ConfigError, InvalidInput, NotDelivered, Unavailable
from olvido.core.events import Verified
from olvido.core.rights.names import Right
from olvido.producers.asynchronous import AsyncProducer
from olvido.producers.build import Accepted
from olvido.producers.client import Batch, Closed, NotAccepted, Producer
from olvido.producers.outbox import Outbox
from olvido.producers.relay import run_relay
from olvido.schemas.settings.deployment import Connections

__all__ = [
    "Accepted",
    "AsyncProducer",
    "Batch",
    "Closed",
    "ConfigError",
    "Connections",
    "InvalidInput",
    "NotAccepted",
    "NotDelivered",
    "Outbox",
    "Producer",
    "Right",
    "Unavailable",
    "Verified",
    "run_relay",
]
