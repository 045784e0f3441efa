"""What the law and the policy ask of a request before and after its sinks are asked."""

from datetime import date, timedelta
from functools import lru_cache

from olvido.core.events import PrivacyRequest
from olvido.core.law.deadlines import DueDate, Jurisdiction, deadlines
from olvido.core.rights.names import Right

DUE_SOON = timedelta(days=5)  # what is due within it is shown before it is too late


def needs_verification(request: PrivacyRequest, *, required_by_policy: bool) -> bool:
    """Whether the request must wait until somebody says that it is really this person."""
    return (request.verification_required or required_by_policy) and request.verified is None


def due(request: PrivacyRequest, jurisdiction: Jurisdiction) -> DueDate | None:
    """Give the earliest day by which a request is to be answered.

    It is counted from when the person asked, as upstream states it: what came late to us is due no later.
    None while every clock that there is waits for the proof of identity.
    """
    verified = request.verified
    return _earliest(
        jurisdiction,
        request.right,
        jurisdiction.day_of(request.requested_at),
        None if verified is None else jurisdiction.day_of(verified.verified_at),
    )


@lru_cache(maxsize=4096)  # requests of one day and right are due on one day
def _earliest(
    place: Jurisdiction, right: Right, received_on: date, verified_on: date | None
) -> DueDate | None:
    found = deadlines(place, right, received_on, verified_on=verified_on)
    return found[0] if found else None
