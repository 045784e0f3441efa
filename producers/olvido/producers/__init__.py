"""Emit privacy requests, consent changes and verifications: ``from olvido.producers import Producer``."""

from olvido.producers.build import Accepted
from olvido.producers.client import Batch, NotAccepted, Producer

__all__ = ["Accepted", "Batch", "NotAccepted", "Producer"]
