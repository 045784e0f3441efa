"""Rates as people write them, and the pace that keeps to one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from olvido.core.rates import Pace, rate_of


@pytest.mark.parametrize(
    ("text", "a_second"),
    [("50", 50), ("50/s", 50), ("600/min", 10), ("7200/hour", 2), ("20000/day", 20000 / 86400), (" 5/s ", 5)],
)
def test_a_rate_is_read(text, a_second):
    assert rate_of(text) == pytest.approx(a_second)


@pytest.mark.parametrize("text", ["", "0", "0/s", "-5/s", "5/week", "5 /s", "fast", "1.5/s", "٥/s", "5/s/s"])
def test_what_is_no_rate_is_refused_and_told_how(text):
    with pytest.raises(ValueError, match="such as 50/s"):
        rate_of(text)


@given(
    rate=st.floats(0.1, 1e5),
    takings=st.lists(st.tuples(st.integers(1, 1000), st.floats(0, 10)), min_size=1, max_size=50),
)
def test_over_any_time_a_pace_lets_through_no_more_than_its_rate_and_one_taking(rate, takings):
    pace, now, gone = Pace(rate), 0.0, []
    for count, idle in takings:
        now += idle
        now += pace.take(count, now)
        gone.append((now, count))
    for first, (begins, _) in enumerate(gone):
        for last in range(first, len(gone)):
            within = sum(count for _, count in gone[first:last])
            assert within <= rate * (gone[last][0] - begins) * (1 + 1e-6) + 1e-6


def test_what_is_slower_than_the_rate_never_waits():
    pace = Pace(10)
    assert [pace.take(5, now) for now in (0.0, 0.5, 1.0, 60.0)] == [0, 0, 0, 0]
    assert pace.take(5, 60.0) == pytest.approx(0.5)
