"""The arguments of the emitter's methods, for what hands them on whole, such as the outbox."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NotRequired, TypedDict
from uuid import UUID

from olvido.core.events import Verified
from olvido.core.rights.names import Right


class ErasureArguments(TypedDict):
    """What ``Producer.request_erasure`` takes."""

    identities: Mapping[str, str]
    regions: NotRequired[Sequence[str] | None]
    request_id: NotRequired[UUID | str | None]
    requested_at: NotRequired[datetime | None]
    verification_required: NotRequired[bool]
    verified: NotRequired[Verified | None]
    jurisdiction: NotRequired[str]
    traceparent: NotRequired[str]


class RequestArguments(ErasureArguments):
    """What ``Producer.request`` takes."""

    right: Right | str
    purposes: NotRequired[Sequence[str]]


class ConsentContent(TypedDict):
    """What a consent change is made of."""

    identities: Mapping[str, str]
    purpose: str
    occurred_at: datetime
    policy_version: NotRequired[str]
    regions: NotRequired[Sequence[str] | None]
    event_id: NotRequired[UUID | str | None]


class ConsentArguments(ConsentContent):
    """What ``Producer.grant_consent`` and ``Producer.withdraw_consent`` take."""

    traceparent: NotRequired[str]


class VerificationArguments(TypedDict):
    """What ``Producer.verify`` takes beside the request's id."""

    method: str
    verified_at: datetime
    identities: NotRequired[Mapping[str, str] | None]
    subject_id: NotRequired[str | None]
    event_id: NotRequired[UUID | str | None]
    traceparent: NotRequired[str]
