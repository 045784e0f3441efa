"""Sessions: what a principal signs once, so that an event costs a tag and no signature.

A session names its principal, its time and its recipients, each with a key of its own. The control plane is
one of them, under a name that no region has: what its key proves, no region's key can forge, and it opens no
region's box.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from olvido.core.causes import Cause
from olvido.core.errors import Refused
from olvido.core.instants import CLOCK_SKEW_MAX

VERSION = 2
CONTROL = "control"  # processors and recorder, which check what is asked before it becomes tasks
SESSION_MAX = timedelta(minutes=15)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipient:
    """A region, or the control plane, with the session's key for it."""

    region: str
    key_id: str  # the epoch of its key, such as cn-2026-11
    wrapped_key: bytes  # the session key, sealed to it (RFC 9180)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedSession:
    """What the principal signs."""

    version: int
    principal: str
    key_id: str  # which of its keys signs
    not_before: datetime
    not_after: datetime
    recipients: tuple[Recipient, ...]  # in the order of their names, each once

    @property
    def regions(self) -> tuple[str, ...]:
        """The regions that are asked."""
        return tuple(one.region for one in self.recipients if one.region != CONTROL)

    def recipient(self, region: str) -> Recipient:
        """The recipient of a name.

        Raises:
            Refused: ``CANNOT_OPEN``: the session was not sealed to it.
        """
        for one in self.recipients:
            if one.region == region:
                return one
        raise Refused(Cause.CANNOT_OPEN, field="seal.header", reason=f"the session is not sealed to {region}")


def check_form(session: SignedSession) -> None:
    """Check that a session is of a form that this version writes.

    Raises:
        Refused: ``UNSUPPORTED_VERSION``, ``BAD_SIGNATURE`` for recipients in another order, or
            ``OUTSIDE_SESSION`` for one that is longer than a session may be.
    """
    if session.version != VERSION:
        raise Refused(Cause.UNSUPPORTED_VERSION, field="seal.header.version")
    names = [one.region for one in session.recipients]
    if names != sorted(set(names)) or CONTROL not in names:
        raise Refused(Cause.BAD_SIGNATURE, field="seal.header.recipients")
    if not timedelta() <= session.not_after - session.not_before <= SESSION_MAX:
        raise Refused(Cause.OUTSIDE_SESSION, field="seal.header.not_after")


def check_asked_at(session: SignedSession, at: datetime) -> None:
    """Check that what is asked in a session is not of an instant after its end.

    A session's key that somebody finds later is of no use for anything newer than the session. How long a
    record is on its way says nothing: an outbox may stand still for days.

    Args:
        session: whose form is good.
        at: the instant that the record is about; of an erasure, the fence.

    Raises:
        Refused: ``OUTSIDE_SESSION``.
    """
    if at > session.not_after + CLOCK_SKEW_MAX:
        raise Refused(Cause.OUTSIDE_SESSION, field="seal.header.not_after")


def check_begun(session: SignedSession, now: datetime) -> None:
    """Check that a session has begun. Sinks do not look: by a slow clock they would refuse every task.

    Raises:
        Refused: ``OUTSIDE_SESSION``.
    """
    if session.not_before > now + CLOCK_SKEW_MAX:
        raise Refused(Cause.OUTSIDE_SESSION, field="seal.header.not_before")
