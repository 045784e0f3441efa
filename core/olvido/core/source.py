"""Where a task comes from: a privacy request or a consent change; its id, and what it asks of a sink."""

from typing import assert_never
from uuid import UUID

from olvido.core.events import ConsentChange, PrivacyRequest, Right
from olvido.core.tasks import (
    Access,
    Consent,
    ConsentChangeId,
    Erase,
    Object,
    Portability,
    Rectify,
    RequestId,
    Restrict,
    Unknown,
    What,
)

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


def what_of(source: Source) -> What:  # noqa: PLR0911 - one for each right
    """What is asked of each sink, with just what its right has."""
    if isinstance(source, ConsentChange):
        return Consent(
            purpose=source.purpose,
            decision=source.decision,
            occurred_at=source.occurred_at,
            policy_version=source.policy_version,
        )
    asked_at = source.requested_at
    match source.right:
        case Right.ERASE:
            return Erase(fence=asked_at)
        case Right.ACCESS:
            return Access(asked_at=asked_at)
        case Right.PORTABILITY:
            return Portability(asked_at=asked_at)
        case Right.RECTIFY:
            return Rectify(asked_at=asked_at)
        case Right.RESTRICT:
            return Restrict(asked_at=asked_at)
        case Right.OBJECT:
            return Object(purposes=source.purposes, asked_at=asked_at)
        case Right.UNKNOWN:
            return Unknown(asked_at=asked_at)
        case _:
            assert_never(source.right)
