"""The rules of a replay: which offsets are meant, what may become of it, how long it takes."""

from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter
from values import NOW, an_id

from olvido.core.errors import InvalidInput
from olvido.core.offsets import Offset
from olvido.core.replay import (
    MOVES,
    Counts,
    KeptRange,
    PartitionCount,
    Plan,
    ReplayPosition,
    ReplaySelection,
    ReplayState,
    SinkCount,
    check_times,
    window,
)

offsets = st.integers(0, 1000)


def kept(start: int = 100, end: int = 200) -> KeptRange:
    return KeptRange(topic="t", partition=3, start=start, end=end)


def asked(*, low=None, high=None, known_end=0, at_since=None, at_until=None, there=None):
    there = there or kept()
    return window(there, known_end=known_end, low=low, high=high, at_since=at_since, at_until=at_until)


def test_without_a_range_it_is_all_that_was_ever_read():
    found = asked()
    assert (found.low, found.high, found.kept) == (0, 200, 100)


def test_a_topic_made_anew_does_not_hide_what_the_ledger_knows():
    assert asked(there=kept(0, 5), known_end=900).high == 900


def test_times_become_offsets():
    found = asked(at_since=150, at_until=170)
    assert (found.low, found.high) == (150, 170)


def test_a_time_at_or_before_the_oldest_that_is_kept_reaches_below_it():
    assert asked(at_since=100).low == 0


@pytest.mark.parametrize(
    ("low", "high", "says"),
    [
        (150, 150, "not below"),
        (160, 150, "swap them"),
        (201, None, r"beyond the end of t\[3\], which is 200"),
        (None, 201, r"beyond the end of t\[3\], which is 200"),
    ],
)
def test_a_range_that_can_hold_nothing_is_refused(low, high, says):
    with pytest.raises(InvalidInput, match=says):
        asked(low=low, high=high)


@given(
    start=offsets,
    size=offsets,
    known_end=offsets,
    low=st.none() | offsets,
    high=st.none() | offsets,
    since=st.none() | offsets,
    until=st.none() | offsets,
)
def test_a_window_is_never_reversed_and_never_reaches_beyond_the_end(
    start, size, known_end, low, high, since, until
):
    there = kept(start, start + size)
    times = [None if at is None else start + min(at, size) for at in (since, until)]
    try:
        found = window(there, known_end=known_end, low=low, high=high, at_since=times[0], at_until=times[1])
    except InvalidInput:
        return
    assert 0 <= found.low <= found.high <= max(there.end, known_end)
    assert low is None or found.low == low
    assert high is None or found.high in {high, found.low}


def test_times_are_refused_that_can_hold_nothing():
    check_times(NOW - timedelta(1), NOW, now=NOW)
    with pytest.raises(InvalidInput, match="since: is in the future"):
        check_times(NOW + timedelta(seconds=1), None, now=NOW)
    with pytest.raises(InvalidInput, match="swap them"):
        check_times(NOW, NOW, now=NOW)


def test_an_end_is_an_end():
    """From done and cancelled no way leads anywhere; what has no runner is begun by run alone."""
    ends = {ReplayState.DONE, ReplayState.CANCELLED}
    assert not any(ends & ways for ways in MOVES.values())
    assert ReplayState.INTERRUPTED not in MOVES[ReplayState.PAUSED]


def test_only_place_and_time_can_be_told_without_the_ledger():
    assert not ReplaySelection(since=NOW, until=NOW).needs_ledger
    for named in (
        {"sinks": ("crm",)}, {"rights": ("ERASE",)}, {"purposes": ("marketing",)}, {"states": ("received",)},
        {"outcomes": ("none",)}, {"ids": (an_id(1),)}, {"subject": "h1_x"},
    ):  # fmt: skip
        assert ReplaySelection(**named).needs_ledger


def test_the_slowest_sink_sets_the_pace():
    sinks = tuple(
        SinkCount(sink=name, tasks=1000, new=0, applied=1000, forgotten=0, rate=rate)
        for name, rate in (("crm", 100.0), ("ads", 2.0))
    )
    place = PartitionCount(
        topic="t", partition=0, from_offset=0, to_offset=10, records=1000, tasks=2000, new=0, applied=2000,
        forgotten=0, unread=7,
    )  # fmt: skip
    plan = Plan(
        cluster_id="c", ledger_id="l", selection=ReplaySelection(), issued=("crm", "ads"), windows=(),
        places=(place,), sinks=sinks, waiting=0, rate=100.0,
    )  # fmt: skip
    assert (plan.tasks, plan.records, plan.unread, plan.seconds) == (2000, 1007, 7, 500.0)
    adapter = TypeAdapter(Plan)
    assert adapter.validate_json(adapter.dump_json(plan)) == plan


@given(
    st.lists(st.lists(st.sampled_from(["crm", "ads"]), max_size=5), max_size=20), st.integers(0, 2**128 - 1)
)
def test_counts_add_up_and_a_position_is_read_as_it_was_written(batches, after):
    counts = Counts()
    for sinks in batches:
        counts = counts.plus(records=1, sinks=sinks, forgotten=2)
    assert counts.tasks == sum(map(len, batches)) == sum(counts.by_sink.values())
    assert (counts.records, counts.forgotten) == (len(batches), 2 * len(batches))
    position = ReplayPosition(
        after=UUID(int=after), ends=(Offset(topic="t", partition=0, offset=9),), counts=counts
    )
    adapter = TypeAdapter(ReplayPosition)
    assert adapter.validate_json(adapter.dump_json(position)) == position
