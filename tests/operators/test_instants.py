"""Times as operators write them."""

from datetime import UTC, datetime, timedelta

import pytest
from values import NOW

from olvido.core.errors import InvalidInput
from olvido.operators.cli.instants import instant_of, span_of


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("90s", timedelta(seconds=90)),
        ("1d12h", timedelta(days=1.5)),
        ("PT1H", timedelta(hours=1)),
        ("P1DT30M", timedelta(days=1, minutes=30)),
        ("P2W", timedelta(weeks=2)),
    ],
)
def test_a_length_of_time_is_read(text, span):
    assert span_of(text, field="--by-duration") == span


@pytest.mark.parametrize("text", ["", "0h", "P", "PT", "1x", "-1h", "1h-", "h", "P1Y", "P1M", "9" * 20 + "d"])
def test_what_is_no_length_of_time_is_refused(text):
    with pytest.raises(InvalidInput, match="--by-duration: is a length of time"):
        span_of(text, field="--by-duration")


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("now", NOW),
        ("2h", NOW - timedelta(hours=2)),
        ("2026-11-01", datetime(2026, 11, 1, tzinfo=UTC)),
        ("2026-11-01T10:00:00Z", datetime(2026, 11, 1, 10, tzinfo=UTC)),
        ("2026-11-01T10:00:00+08:00", datetime(2026, 11, 1, 2, tzinfo=UTC)),
    ],
)
def test_an_instant_is_read(text, instant):
    assert instant_of(text, field="--from", now=NOW) == instant


def test_an_instant_needs_a_zone_and_is_told_the_fix():
    with pytest.raises(InvalidInput, match="write 2026-11-01T10:00:00Z for UTC"):
        instant_of("2026-11-01T10:00:00", field="--from", now=NOW)


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01", "9999999d", "1h ago"])
def test_what_is_no_instant_is_refused(text):
    with pytest.raises(InvalidInput, match="--from: is an instant such as"):
        instant_of(text, field="--from", now=NOW)
