"""Events as the ledger keeps them, read once more: for tasks that are issued again, or that waited.

A stored event may be one that nobody can read any more: the row is damaged, or an earlier version of Olvido
kept it under the id of a registry that is gone. That is an answer like any other. It concerns one request or
consent change, so it is returned and never raised, and the reader of a batch goes on with the next event.
"""

from collections.abc import Sequence

from olvido.core.catalogue import Catalogue
from olvido.core.causes import Cause
from olvido.core.errors import Refused
from olvido.core.events import ConsentChange, PrivacyRequest
from olvido.core.plan import plan_tasks
from olvido.core.rights.names import Action
from olvido.core.tasks import Task
from olvido.schemas.codec import consents_codec, requests_codec
from olvido.schemas.registry import Registry

MISSING = Refused(Cause.NULL_VALUE, field="event", reason="the ledger does not hold this event any more")


class StoredEvents:
    """Reads what the ledger keeps of requests and consent changes."""

    def __init__(self, registry: Registry) -> None:
        self._requests = requests_codec(registry)
        self._consents = consents_codec(registry)

    def request(self, event: bytes | None) -> PrivacyRequest | Refused:
        """A request as it was read, or why it cannot be read.

        Raises:
            Unavailable: the registry is needed and does not answer.
        """
        if event is None:
            return MISSING
        try:
            return self._requests.decode_stored(event)
        except Refused as refused:
            return refused

    def consent_change(self, event: bytes | None) -> ConsentChange | Refused:
        """A consent change as it was read, or why it cannot be read.

        Raises:
            Unavailable: the registry is needed and does not answer.
        """
        if event is None:
            return MISSING
        try:
            return self._consents.decode_stored(event)
        except Refused as refused:
            return refused

    def tasks(
        self, action: Action, event: bytes | None, catalogue: Catalogue, *, generation: int = 0
    ) -> Sequence[Task] | Refused:
        """The tasks of an event, planned again, or why it cannot be read.

        Raises:
            Unavailable: the registry is needed and does not answer.
        """
        if action is Action.CONSENT:
            change = self.consent_change(event)
            if isinstance(change, Refused):
                return change
            return plan_tasks(change, catalogue, generation=generation)
        request = self.request(event)
        if isinstance(request, Refused):
            return request
        return plan_tasks(request, catalogue, generation=generation)
