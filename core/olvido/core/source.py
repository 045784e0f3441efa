"""Where a task comes from: a privacy request or a consent change; its id, and what it asks of a sink."""

from typing import assert_never
from uuid import UUID

from olvido.core.events import ConsentChange, PrivacyRequest
from olvido.core.rights.consent import Consent
from olvido.core.rights.known import of_right
from olvido.core.rights.what import What
from olvido.core.tasks import ConsentChangeId, RequestId

Source = PrivacyRequest | ConsentChange


def id_of(source: Source) -> UUID:
    """What the ledger knows a request or a consent change by."""
    return ref_of(source).id


def ref_of(source: Source) -> RequestId | ConsentChangeId:
    """The reference that a task has to its source."""
    match source:
        case PrivacyRequest():
            return RequestId(source.request_id)
        case ConsentChange():
            return ConsentChangeId(source.event_id)
        case _:
            assert_never(source)


def what_of(source: Source) -> What:
    """What is asked of each sink, with just what its right has."""
    match source:
        case PrivacyRequest():
            return of_right(source.right).of_request(source)
        case ConsentChange():
            return Consent.of_change(source)
        case _:
            assert_never(source)
