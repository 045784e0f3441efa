"""Laws of the core: the consent order, the receipt algebra, request state."""

from datetime import timedelta
from functools import reduce

from hypothesis import given
from hypothesis import strategies as st
from values import CATALOGUE, NOW, a_change, a_receipt, an_erasure

from olvido.core.consents import order_key, states_of
from olvido.core.events import Decision
from olvido.core.lifecycle import FINAL_STATES, RequestState, state_of
from olvido.core.outcomes import Outcome
from olvido.core.plan import plan_tasks
from olvido.core.receipts import receipt_for, stands
from olvido.core.rights.names import Right
from olvido.core.standing import later
from olvido.core.tasks import DELAY_MAX, delay_after

changes = st.builds(
    lambda number, decision, seconds: a_change(
        number, decision, occurred_at=NOW - timedelta(seconds=seconds, microseconds=number % 3)
    ),
    st.integers(0, 40),
    st.sampled_from(Decision),
    st.integers(0, 3),  # few instants: many ties
)
outcomes = st.sampled_from(Outcome)
TASK = plan_tasks(an_erasure(), CATALOGUE)[0]
receipts = st.builds(
    lambda outcome, seconds, detail: receipt_for(
        TASK, outcome, applied_at=NOW + timedelta(seconds=seconds), detail=detail
    ),
    outcomes,
    st.integers(-2, 2),
    st.sampled_from(["", "a", "b"]),
)


@given(st.lists(changes, min_size=1), st.randoms())
def test_consent_changes_in_any_order_any_number_of_times_end_in_the_same_state(some, random):
    """I6: the state is a function of the set of changes."""
    states = [states_of(change)[0] for change in some]
    shuffled = [*states, *random.choices(states, k=len(states))]
    random.shuffle(shuffled)
    assert reduce(later, states) == reduce(later, shuffled)


@given(st.lists(changes, min_size=1))
def test_the_state_is_the_change_of_the_greatest_instant_then_withdrawn_then_event_id(some):
    states = [states_of(change)[0] for change in some]
    expected = sorted(
        states, key=lambda s: (s.occurred_at, s.decision is Decision.WITHDRAWN, str(s.event_id))
    )[-1]
    assert reduce(later, states) == expected


def test_in_the_same_instant_a_withdrawal_is_the_later_word():
    """B30: ties go to the protective side."""
    granted, withdrawn = a_change(1, Decision.GRANTED), a_change(2, Decision.WITHDRAWN)
    assert order_key(granted.occurred_at, granted.decision, granted.event_id) < order_key(
        withdrawn.occurred_at, withdrawn.decision, withdrawn.event_id
    )


@given(receipts, receipts, receipts)
def test_which_receipt_stands_is_associative_and_idempotent(one, two, three):
    assert stands(stands(one, two), three) == stands(one, stands(two, three))
    assert stands(one, one) == one


@given(st.lists(receipts, min_size=1))
def test_the_first_final_receipt_that_is_received_stands_for_ever(some):
    final = [receipt for receipt in some if receipt.outcome.final]
    assert reduce(stands, some) is (final[0] if final else some[0])


@given(st.sampled_from(Right), st.lists(st.one_of(st.none(), outcomes)), st.randoms())
def test_request_state_depends_on_the_set_of_outcomes_alone(right, some, random):
    shuffled = [*some, *random.choices(some, k=len(some))] if some else []
    random.shuffle(shuffled)
    assert state_of(right, some) == state_of(right, shuffled)


@given(st.sampled_from(Right), st.lists(outcomes.filter(lambda outcome: outcome.final), min_size=1))
def test_a_request_whose_tasks_all_have_final_receipts_is_final(right, some):
    assert state_of(right, some) in FINAL_STATES


@given(st.sampled_from(Right), st.lists(outcomes))
def test_a_request_with_a_task_that_has_no_receipt_is_in_progress(right, some):
    """ "Executed" before the acknowledgements is the field's commonest bug."""
    assert state_of(right, [*some, None]) is RequestState.IN_PROGRESS


def test_what_is_left_of_a_person_is_said():
    erase = Right.ERASE
    assert state_of(erase, [Outcome.ERASED, Outcome.NOT_FOUND]) is RequestState.FULFILLED
    assert state_of(erase, [Outcome.ERASED, Outcome.ANONYMISED]) is RequestState.FULFILLED
    assert state_of(erase, [Outcome.ERASED, Outcome.RETAINED]) is RequestState.PARTIALLY_FULFILLED
    assert state_of(erase, [Outcome.ERASED, Outcome.SUPPRESSED]) is RequestState.PARTIALLY_FULFILLED
    assert state_of(erase, [Outcome.ERASED, Outcome.UNSUPPORTED]) is RequestState.PARTIALLY_FULFILLED
    assert state_of(erase, [Outcome.UNSUPPORTED, Outcome.NOT_FOUND]) is RequestState.UNFULFILLED
    assert state_of(erase, [Outcome.FAILED]) is RequestState.UNFULFILLED
    assert state_of(erase, [Outcome.NOT_FOUND]) is RequestState.NOT_APPLICABLE
    assert state_of(erase, [Outcome.AMBIGUOUS, Outcome.NOT_FOUND]) is RequestState.UNFULFILLED
    assert state_of(erase, [Outcome.AMBIGUOUS, Outcome.ERASED]) is RequestState.PARTIALLY_FULFILLED
    assert state_of(erase, []) is RequestState.NOT_APPLICABLE
    assert state_of(erase, [Outcome.ERASED, Outcome.DEFERRED]) is RequestState.IN_PROGRESS
    assert state_of(Right.OBJECT, [Outcome.SUPPRESSED]) is RequestState.FULFILLED


def test_tries_are_spaced_by_doubling_up_to_a_day():
    first = timedelta(minutes=1)
    assert [delay_after(n) for n in (1, 2, 3, 4)] == [first, first * 2, first * 4, first * 8]
    assert delay_after(1000) == DELAY_MAX


def test_a_receipt_of_the_same_task_and_generation_has_the_same_id():
    assert a_receipt(TASK).receipt_id == a_receipt(TASK, Outcome.FAILED).receipt_id
