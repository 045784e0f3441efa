"""Whether our clock and the ledger's agree: instants of both are compared all the time."""

from datetime import datetime, timedelta

from olvido.core.errors import Unavailable
from olvido.core.instants import CLOCK_SKEW_MAX
from olvido.ledger.connection import Database


def check_clock(database: Database, now: datetime) -> timedelta:
    """Compare our clock with the ledger's.

    Returns:
        How far apart they are.

    Raises:
        Unavailable: more than five minutes, and then nobody may work until one of them is set; or the
            ledger does not answer.
    """
    with database.transaction() as transaction:
        skew: timedelta = abs(now - transaction.rows("clock")[0][0])
    if skew > CLOCK_SKEW_MAX:
        raise Unavailable(
            f"our clock and the ledger's differ by {skew}, and may by {CLOCK_SKEW_MAX}: set both, with NTP"
        )
    return skew
