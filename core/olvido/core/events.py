"""What upstream says: privacy requests, consent changes and verifications, as frozen values."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from uuid import UUID

from olvido.core.causes import Cause
from olvido.core.errors import Refused
from olvido.core.instants import CLOCK_SKEW_MAX, effective_at
from olvido.core.rights.names import Right
from olvido.core.subject import Handle

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)  # before this an instant is a default, not a fact


class Decision(StrEnum):
    """What a consent change says about a purpose."""

    GRANTED = "GRANTED"
    WITHDRAWN = "WITHDRAWN"


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedBox:
    """A person's identities, readable by one region's sinks only."""

    region: str
    key_id: str  # the epoch of the region's key, such as cn-2026-11
    wrapped_key: bytes  # the session key, sealed to the region (RFC 9180); empty where a seal's header has it
    nonce: bytes
    ciphertext: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Seal:
    """Proves who wrote a record, and that nobody changed it: a session that was signed, and a tag by its key.

    A task carries the seal of the event it comes from.
    """

    header: bytes  # of the session, as its principal signed it: see olvido.core.sessions
    signature: bytes  # Ed25519
    nonce: bytes
    tag: bytes  # AES-256-GCM over the rest of the record, under the control plane's key of the session


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """A check that it is really this person: its method and when, never the documents."""

    method: str
    verified_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivacyRequest:
    """One exercise of one right."""

    request_id: UUID
    right: Right
    subject_id: str
    handles: tuple[Handle, ...]
    regions: tuple[str, ...]
    boxes: tuple[SealedBox, ...]
    purposes: tuple[str, ...]  # what an objection is against; empty for the other rights
    requested_at: datetime  # as it is stated; also the fence of an erasure, see :attr:`effective_at`
    verification_required: bool
    verified: Verified | None
    jurisdiction: str = ""  # under whose law the person asks, such as US-CA; empty: not known
    seal: Seal | None = None  # None: of the form before there were seals
    appended_at: datetime | None = None  # when the broker took it; None until it is read

    @property
    def effective_at(self) -> datetime:
        """Since when it counts."""
        return effective_at(self.requested_at, self.appended_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentChange:
    """A purpose granted or withdrawn at an instant, under a policy version."""

    event_id: UUID
    purpose: str
    decision: Decision
    subject_id: str
    handles: tuple[Handle, ...]
    regions: tuple[str, ...]
    boxes: tuple[SealedBox, ...]
    occurred_at: datetime
    policy_version: str
    seal: Seal | None = None  # None: of the form before there were seals
    appended_at: datetime | None = None  # when the broker took it; None until it is read

    @property
    def effective_at(self) -> datetime:
        """Its place in the order."""
        return effective_at(self.occurred_at, self.appended_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What a verifier confirms, after the request: that the person was really asked."""

    event_id: UUID
    request_id: UUID
    subject_id: str
    verified: Verified
    seal: Seal | None = None  # None: of the form before there were seals


def check_instant(
    instant: datetime, now: datetime, *, field: str, ahead_max: timedelta = CLOCK_SKEW_MAX
) -> None:
    """Check that an instant can be a fact about the past.

    Args:
        instant: what a record states.
        now: when the broker took the record; where nobody says that, our own time.
        field: the field that states it.
        ahead_max: how far ahead it may be, since clocks differ.

    Raises:
        Refused: ``BAD_TIME`` without a zone or before 2000; ``FUTURE`` further ahead than that.
    """
    if instant.tzinfo is None or instant < EARLIEST:
        raise Refused(Cause.BAD_TIME, field=field)
    if instant > now + ahead_max:
        raise Refused(Cause.FUTURE, field=field)
