"""What the law and the policy ask of a request before and after its sinks are asked."""

from datetime import timedelta

from olvido.core.events import PrivacyRequest

ANSWER_WITHIN = timedelta(days=30)  # GDPR art. 12(3) says a month


def needs_verification(request: PrivacyRequest, *, required_by_policy: bool) -> bool:
    """Whether the request must wait until somebody says that it is really this person."""
    return (request.verification_required or required_by_policy) and request.verified is None
