"""The state of a privacy request: a pure function of what its sinks have said."""

from collections.abc import Iterable
from datetime import timedelta
from enum import StrEnum

from olvido.core.events import PrivacyRequest
from olvido.core.receipts import Outcome
from olvido.core.tasks import Action

ANSWER_WITHIN = timedelta(days=30)  # GDPR art. 12(3) says a month


class RequestState(StrEnum):
    """Where a request stands. Overdue, extended and on hold are flags, not states."""

    RECEIVED = "received"
    IDENTITY_PENDING = "identity_pending"
    IN_PROGRESS = "in_progress"
    FULFILLED = "fulfilled"
    PARTIALLY_FULFILLED = "partially_fulfilled"
    UNFULFILLED = "unfulfilled"
    REFUSED = "refused"
    NOT_APPLICABLE = "not_applicable"
    JOINED = "joined"
    WITHDRAWN = "withdrawn"


FINAL_STATES = frozenset(
    {
        RequestState.FULFILLED,
        RequestState.PARTIALLY_FULFILLED,
        RequestState.UNFULFILLED,
        RequestState.REFUSED,
        RequestState.NOT_APPLICABLE,
        RequestState.JOINED,
        RequestState.WITHDRAWN,
    }
)

# What counts as having done what was asked. A suppressed person was not erased, and rows that
# were retained or blocked are still there: those make a request partial, and say so.
_DONE: dict[Action, frozenset[Outcome]] = {
    Action.ERASE: frozenset({Outcome.ERASED, Outcome.ANONYMISED}),
    Action.ACCESS: frozenset({Outcome.EXPORTED}),
    Action.PORTABILITY: frozenset({Outcome.EXPORTED}),
    Action.RECTIFY: frozenset({Outcome.RECTIFIED}),
    Action.RESTRICT: frozenset({Outcome.RESTRICTED, Outcome.BLOCKED}),
    Action.OBJECT: frozenset({Outcome.SUPPRESSED}),
    Action.CONSENT: frozenset({Outcome.CONSENT_APPLIED, Outcome.SUPPRESSED, Outcome.SUPERSEDED}),
    Action.UNKNOWN: frozenset(),
}
_PARTLY = frozenset({Outcome.SUPPRESSED, Outcome.RETAINED, Outcome.BLOCKED, Outcome.SUPERSEDED})


def needs_verification(request: PrivacyRequest, *, required_by_policy: bool) -> bool:
    """Whether the request must wait until somebody says that it is really this person."""
    return (request.verification_required or required_by_policy) and request.verified is None


def state_of(action: Action, outcomes: Iterable[Outcome | None]) -> RequestState:
    """The state of a request, from the outcome of each of its tasks; None is a task without one yet.

    Order and repetition of the outcomes make no difference. A request that concerns no
    sink, or that no sink knows the person of, is ``not_applicable``.
    """
    said = set(outcomes)
    if any(outcome is None or not outcome.final for outcome in said):
        return RequestState.IN_PROGRESS
    if said <= {Outcome.NOT_FOUND}:
        return RequestState.NOT_APPLICABLE
    done = _DONE[action]
    if said <= done | {Outcome.NOT_FOUND}:
        return RequestState.FULFILLED
    if said & (done | _PARTLY):
        return RequestState.PARTIALLY_FULFILLED
    return RequestState.UNFULFILLED
