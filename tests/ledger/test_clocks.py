"""Nobody works while our clock and the ledger's are too far apart."""

from datetime import UTC, datetime, timedelta

import pytest

from olvido.core.errors import Unavailable
from olvido.ledger.clocks import check_clock
from olvido.ledger.store import Ledger


def test_clocks_that_agree_are_told_by_how_far(ledger: Ledger):
    assert check_clock(ledger.database, datetime.now(UTC)) < timedelta(minutes=5)


@pytest.mark.parametrize("apart", [timedelta(hours=1), timedelta(hours=-1)])
def test_clocks_that_differ_by_more_than_five_minutes_keep_a_process_waiting(
    ledger: Ledger, apart: timedelta
):
    """Unavailable and not an error of the settings: it goes on by itself when a clock is set."""
    with pytest.raises(Unavailable, match=r"clock and the ledger's differ by .*: set both, with NTP"):
        check_clock(ledger.database, datetime.now(UTC) + apart)
