"""The table of states: nothing stands in it that cannot happen, and nothing that happens is left out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from olvido.core.lifecycle import (
    FINAL_STATES,
    NOT_ASKED,
    TABLE,
    Event,
    RequestState,
    begin,
    event_of,
    state_of,
    step,
)
from olvido.core.outcomes import PARTLY, Outcome
from olvido.core.rights.known import ACTIONS
from olvido.core.rights.names import Right

ASKED = [RequestState.IN_PROGRESS, *sorted(FINAL_STATES - NOT_ASKED)]


WAITING = {RequestState.IDENTITY_PENDING, RequestState.RECEIVED}  # no sink is asked yet
NEVER = {RequestState.REFUSED, RequestState.WITHDRAWN}  # no sink will be asked


@pytest.mark.parametrize("state", sorted(NOT_ASKED - WAITING))
@pytest.mark.parametrize("event", Event)
def test_what_a_person_decided_no_receipt_undoes(state: RequestState, event: Event):
    assert step(state, event) is state


@pytest.mark.parametrize("state", sorted(WAITING))
@pytest.mark.parametrize("event", [Event.DONE, Event.PARTLY, Event.NOT_DONE])
def test_before_sinks_are_asked_no_receipt_moves_a_request(state: RequestState, event: Event):
    assert step(state, event) is state


@given(
    st.sampled_from(ASKED), st.sampled_from(Right), st.lists(st.sampled_from([None, *Outcome]), max_size=4)
)
def test_once_sinks_are_asked_the_state_follows_from_their_answers_alone(before, right, outcomes):
    assert step(before, event_of(right, outcomes)) is state_of(right, outcomes)


def test_asking_a_sink_again_puts_every_such_request_in_progress():
    """As a restore writes it, in one statement for all of them."""
    assert {step(state, Event.OWED) for state in ASKED} == {RequestState.IN_PROGRESS}


def test_a_request_begins_in_one_of_four_states():
    assert {begin(event) for event in TABLE[None]} == {
        RequestState.RECEIVED, RequestState.IDENTITY_PENDING, RequestState.IN_PROGRESS,
        RequestState.NOT_APPLICABLE,
    }  # fmt: skip
    with pytest.raises(KeyError):
        begin(Event.DONE)


def test_from_the_beginning_every_state_of_the_table_is_reached():
    reached = {state for events in TABLE.values() for state in events.values()}
    assert reached == {state for state in TABLE if state is not None} | NEVER


def test_a_promise_and_a_missing_answer_are_not_done():
    for asked in ACTIONS.values():
        assert asked.done.isdisjoint({Outcome.DEFERRED, Outcome.FAILED, Outcome.NOT_FOUND})
    assert PARTLY.isdisjoint({Outcome.DEFERRED, Outcome.FAILED, Outcome.NOT_FOUND})
