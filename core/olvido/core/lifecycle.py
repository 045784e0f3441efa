"""What a privacy request goes through: one table, state × event → state.

What its sinks have answered is summed up as one event. The table says which state each event
gives, and from where; what it does not name changes nothing. Receipts in any order and any number
of times give the same event, and so the same state. ``docs/states.svg`` is drawn from the table.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum

from olvido.core.outcomes import PARTLY, Outcome
from olvido.core.rights.known import of_right
from olvido.core.rights.names import Right


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


class Event(StrEnum):
    """What moves a request."""

    UNVERIFIED = "unverified"  # it came, and a verification is required and missing
    HELD = "held"  # it may not start: above a limit of the brake, or within its grace period
    DISCARDED = "discarded"  # two people decided that a held one never starts
    WITHDRAWN = "withdrawn"  # before any sink was asked
    OWED = "owed"  # a sink was asked, for the first time or again, and owes a final receipt
    DONE = "done"  # every sink did what was asked, or did not know the person
    PARTLY = "partly"  # some of it was done
    NOT_DONE = "not_done"  # no sink did it
    NOBODY = "nobody"  # no sink is concerned, or none knows the person


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
# No sink is asked for a request in one of these. A backfill leaves them alone.
NOT_ASKED = frozenset(
    {
        RequestState.RECEIVED,
        RequestState.IDENTITY_PENDING,
        RequestState.REFUSED,
        RequestState.JOINED,
        RequestState.WITHDRAWN,
    }
)

# Once sinks are asked, the state follows from what they have answered, whatever it was before: a restore
# or a backfill asks again, and a receipt that comes late may be the one that stands.
_AS_ANSWERED = {
    Event.OWED: RequestState.IN_PROGRESS,
    Event.DONE: RequestState.FULFILLED,
    Event.PARTLY: RequestState.PARTIALLY_FULFILLED,
    Event.NOT_DONE: RequestState.UNFULFILLED,
    Event.NOBODY: RequestState.NOT_APPLICABLE,
}
_AS_PLANNED = {Event.OWED: RequestState.IN_PROGRESS, Event.NOBODY: RequestState.NOT_APPLICABLE}
_BEFORE_SINKS = {**_AS_PLANNED, Event.HELD: RequestState.RECEIVED, Event.WITHDRAWN: RequestState.WITHDRAWN}

TABLE: Mapping[RequestState | None, Mapping[Event, RequestState]] = {
    None: {Event.UNVERIFIED: RequestState.IDENTITY_PENDING, Event.HELD: RequestState.RECEIVED, **_AS_PLANNED},
    RequestState.IDENTITY_PENDING: _BEFORE_SINKS,
    RequestState.RECEIVED: {**_BEFORE_SINKS, Event.DISCARDED: RequestState.REFUSED},
    RequestState.IN_PROGRESS: _AS_ANSWERED,
    RequestState.FULFILLED: _AS_ANSWERED,
    RequestState.PARTIALLY_FULFILLED: _AS_ANSWERED,
    RequestState.UNFULFILLED: _AS_ANSWERED,
    RequestState.NOT_APPLICABLE: _AS_ANSWERED,
}


def step(state: RequestState, event: Event) -> RequestState:
    """The state after an event; the same one where the table knows no way."""
    return TABLE.get(state, {}).get(event, state)


def begin(event: Event) -> RequestState:
    """The first state of a request.

    Raises:
        KeyError: it cannot begin with that event.
    """
    return TABLE[None][event]


def event_of(right: Right, outcomes: Iterable[Outcome | None]) -> Event:
    """What the outcome of each task of a request comes to; None is a task without one yet.

    Order and repetition of the outcomes make no difference.
    """
    distinct = set(outcomes)
    if any(outcome is None or not outcome.final for outcome in distinct):
        return Event.OWED
    if distinct <= {Outcome.NOT_FOUND}:
        return Event.NOBODY
    done = of_right(right).done
    if distinct <= done | {Outcome.NOT_FOUND}:
        return Event.DONE
    if distinct & (done | PARTLY):
        return Event.PARTLY
    return Event.NOT_DONE


def state_of(right: Right, outcomes: Iterable[Outcome | None]) -> RequestState:
    """The state of a request that sinks were asked for, from the outcome of each of its tasks."""
    return step(RequestState.IN_PROGRESS, event_of(right, outcomes))
