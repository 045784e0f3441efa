"""What a replay may be asked for: filters that there are, ranges out of a file."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from olvido.core.errors import InvalidInput
from olvido.core.offsets import OffsetRange
from olvido.core.replay import ReplaySelection
from olvido.operators.desk.replay.asking import COLUMNS, ReplayQuery, read_ranges, selection_of, topic_of

REQUESTS = "olvido.requests.v1"
HEAD = ",".join(COLUMNS)


@pytest.fixture
def ranges(tmp_path: Path):
    """Reads a file with some content."""

    def read(content: str | bytes) -> tuple[OffsetRange, ...]:
        path = tmp_path / "ranges.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_ranges(path)

    return read


def test_a_file_is_read_with_short_names_other_columns_and_a_byte_order_mark(ranges):
    found = ranges("\ufefftasks,topic,partition,from_offset,to_offset\r\n5,requests,0,3,9\r\n")
    assert found == (OffsetRange(REQUESTS, 0, 3, 9),)


def test_ranges_that_overlap_or_touch_are_one(ranges):
    found = ranges(f"{HEAD}\nrequests,0,5,9\nrequests,0,0,5\nrequests,0,2,4\nrequests,1,0,5\n")
    assert found == (OffsetRange(REQUESTS, 0, 0, 9), OffsetRange(REQUESTS, 1, 0, 5))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "line 1: has no column topic"),
        ("topic,partition,from_offset\n", "line 1: has no column to_offset"),
        (f"{HEAD}\n", "holds no range"),
        (f"{HEAD}\nrequests,0,1,2\nrequests,x,1,2\n", "line 3: .*whole numbers"),
        (f"{HEAD}\nrequests,0,1\n", "line 2: .*whole numbers"),
        (f"{HEAD}\nrequest,0,1,2\n", "line 2: topic: .*did you mean 'requests'"),
        (f"{HEAD}\nrequests,0,2,2\n", "line 2: from_offset is not below to_offset"),
        (f"{HEAD}\nrequests,-1,1,2\n", "line 2: "),
        (b"\xff\xfe\x00", "is not CSV in UTF-8"),
    ],
)
def test_a_bad_file_is_refused_with_the_number_of_its_line(ranges, content, says):
    with pytest.raises(InvalidInput, match=f"ranges: {says}"):
        ranges(content)


def test_a_file_that_is_not_there_is_told(tmp_path: Path):
    with pytest.raises(InvalidInput, match="ranges: cannot be read: No such file"):
        read_ranges(tmp_path / "none.csv")


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["requests", "consents"]),
            st.integers(0, 2),
            st.integers(0, 30),
            st.integers(1, 9),
        ),
        min_size=1,
        max_size=20,
    )
)
def test_every_offset_of_a_file_is_in_exactly_one_range(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("csv") / "ranges.csv"
    path.write_text(
        "\n".join([HEAD, *(f"{topic},{number},{low},{low + size}" for topic, number, low, size in rows)])
    )
    wanted = {
        (topic_of(topic), number, offset)
        for topic, number, low, size in rows
        for offset in range(low, low + size)
    }
    found = [
        (one.topic, one.partition, offset) for one in read_ranges(path) for offset in range(one.low, one.high)
    ]
    assert sorted(found) == sorted(wanted)


def test_each_filter_is_one_that_there_is(deployment):
    found = selection_of(deployment, sinks=["crm", "crm"], rights=["erase"], outcomes=["none", "failed"])
    assert (found.sinks, found.rights, found.outcomes) == (("crm",), ("ERASE",), ("none", "failed"))
    for flag, named, nearest in (
        ("sink", {"sinks": ["store-cm"]}, "store-cn"),
        ("right", {"rights": ["ERASED"]}, "ERASE"),
        ("purpose", {"purposes": ["marketin"]}, "marketing"),
        ("state", {"states": ["recieved"]}, "received"),
        ("outcome", {"outcomes": ["eraised"]}, "erased"),
    ):
        with pytest.raises(InvalidInput, match=f"{flag}: .*did you mean {nearest!r}"):
            selection_of(deployment, **named)


def test_filters_that_exclude_one_another_are_refused():
    with pytest.raises(InvalidInput, match="one after the other"):
        ReplayQuery(
            topics=(REQUESTS,), selection=ReplaySelection(purposes=("marketing",), states=("received",))
        )
