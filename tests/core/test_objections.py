"""Which of objections and withdrawals stands, in whatever order they come."""

from datetime import UTC, datetime, timedelta
from functools import reduce
from itertools import permutations
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from olvido.core.objections import ObjectionState
from olvido.core.standing import later

BEGIN = datetime(2026, 6, 1, tzinfo=UTC)
STATES = st.lists(
    st.builds(
        ObjectionState,
        handle=st.just("h1_a"),
        purpose=st.just("marketing"),
        occurred_at=st.integers(0, 3).map(lambda day: BEGIN + timedelta(days=day)),
        request_id=st.integers(1, 5).map(lambda n: UUID(int=n)),
        released=st.booleans(),
    ),
    min_size=1,
    max_size=5,
)


@given(STATES)
def test_every_order_and_repetition_ends_alike(states: list[ObjectionState]) -> None:
    ends = {reduce(later, [*order, *order[:2]]) for order in permutations(states)}
    assert len(ends) == 1


@given(STATES)
def test_what_stands_is_of_the_last_instant_where_an_objection_wins(
    states: list[ObjectionState],
) -> None:
    standing = reduce(later, states)
    last = [state for state in states if state.occurred_at == max(one.occurred_at for one in states)]
    assert standing in last
    assert standing.released == all(state.released for state in last)
