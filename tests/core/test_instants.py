"""What upstream states of an instant, beside the time at which the broker took it."""

from dataclasses import replace
from datetime import timedelta
from functools import reduce
from itertools import permutations
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from values import CATALOGUE, NOW, a_change, an_erasure

from olvido.core.consents import states_of
from olvido.core.errors import Refused
from olvido.core.events import ConsentChange, Decision, check_instant
from olvido.core.instants import InstantLimits, effective_at, is_late
from olvido.core.plan import check_request, plan_tasks
from olvido.core.standing import later

MINUTE = timedelta(minutes=1)
GRANTED, WITHDRAWN = Decision.GRANTED, Decision.WITHDRAWN


def taken(change: ConsentChange, minutes: float) -> ConsentChange:
    """A change as it is when the broker took it so long after now."""
    return replace(change, appended_at=NOW + minutes * MINUTE)


def standing(changes: list[ConsentChange]) -> Decision:
    """What stands after some changes of one person."""
    return reduce(later, (states_of(change)[0] for change in changes)).decision


@pytest.mark.parametrize(
    ("stated", "appended", "effective"),
    [(0, 1, 0), (4, 1, 1), (1, 1, 1), (-90, 1, -90)],
    ids=["before", "by a clock ahead", "at once", "out of an outbox"],
)
def test_an_event_counts_from_when_it_states_and_not_later_than_the_broker_took_it(
    stated: int, appended: int, effective: int
) -> None:
    assert effective_at(NOW + stated * MINUTE, NOW + appended * MINUTE) == NOW + effective * MINUTE


def test_what_was_planned_before_the_brokers_time_was_kept_counts_from_when_it_states() -> None:
    assert effective_at(NOW, None) == NOW


def test_a_grant_from_a_clock_ahead_does_not_stand_over_a_withdrawal_made_after_it() -> None:
    """Review B15: the grant is dated 12:04 at 12:00, the person withdraws at 12:01."""
    grant = taken(a_change(1, GRANTED, occurred_at=NOW + 4 * MINUTE), 0)
    withdrawal = taken(a_change(2, WITHDRAWN, occurred_at=NOW + MINUTE), 1)
    assert standing([grant, withdrawal]) is WITHDRAWN
    assert standing([withdrawal, grant]) is WITHDRAWN


seconds = st.integers(0, 600)
decided = st.tuples(
    st.sampled_from([GRANTED, WITHDRAWN]),
    seconds,  # when the person decided
    st.integers(0, 300),  # how far ahead the clock is that dates it
    st.integers(0, 600),  # how long it lay in an outbox
)


@given(said=st.lists(decided, min_size=1, max_size=6), random=st.randoms())
def test_every_order_ends_in_the_same_state_whatever_the_clocks(
    said: list[tuple[Decision, int, int, int]], random: Random
) -> None:
    changes = [
        taken(
            a_change(n, decision, occurred_at=NOW + timedelta(seconds=at + ahead)),
            (at + delay) / 60,
        )
        for n, (decision, at, ahead, delay) in enumerate(said)
    ]
    shuffled = [*changes, *random.choices(changes, k=3)]
    random.shuffle(shuffled)
    assert standing(shuffled) is standing(changes)


@given(grants=st.lists(decided, max_size=5), at=seconds, ahead=st.integers(0, 300))
def test_a_withdrawal_made_after_the_broker_took_every_grant_always_stands(
    grants: list[tuple[Decision, int, int, int]], at: int, ahead: int
) -> None:
    changes = [
        taken(a_change(n, GRANTED, occurred_at=NOW + timedelta(seconds=made + early)), (made + delay) / 60)
        for n, (_, made, early, delay) in enumerate(grants)
    ]
    last = max([change.appended_at for change in changes if change.appended_at], default=NOW)
    last += timedelta(seconds=at)
    withdrawal = a_change(99, WITHDRAWN, occurred_at=last + timedelta(seconds=ahead))
    changes.append(replace(withdrawal, appended_at=last))
    assert all(standing(list(order)) is WITHDRAWN for order in permutations(changes[-4:]))
    assert standing(changes) is WITHDRAWN


def test_the_fence_of_every_task_is_at_most_when_the_broker_took_the_erasure() -> None:
    request = replace(an_erasure(requested_at=NOW + 4 * MINUTE), appended_at=NOW)
    tasks = plan_tasks(request, CATALOGUE)
    assert {task.effective_at for task in tasks} == {NOW}
    assert {task.occurred_at for task in tasks} == {NOW + 4 * MINUTE}  # as it is sealed


def test_how_far_ahead_an_instant_may_be_is_a_setting() -> None:
    """It is judged by when the broker took the record, whenever it is read."""
    request = an_erasure(requested_at=NOW + 2 * MINUTE)
    check_request(request, CATALOGUE, NOW)
    narrow = replace(CATALOGUE, instants=InstantLimits(ahead_max=MINUTE))
    with pytest.raises(Refused, match="FUTURE"):
        check_request(request, narrow, NOW)
    check_instant(NOW + MINUTE, NOW, field="requested_at", ahead_max=MINUTE)


def test_what_came_long_after_its_instant_is_late_and_not_refused() -> None:
    limits = InstantLimits(late_after=timedelta(hours=1))
    old = an_erasure(requested_at=NOW - timedelta(days=9000))
    check_request(old, CATALOGUE, NOW)
    assert is_late(old.requested_at, NOW, limits.late_after)
    assert not is_late(NOW - timedelta(hours=1), NOW, limits.late_after)
    assert not is_late(old.requested_at, None, limits.late_after)
