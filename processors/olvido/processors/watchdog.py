"""Ends a process that looks alive and stands still: records wait for it, and nothing moves."""

import logging
import os
from collections.abc import Callable

from olvido.broker.runtime.movement import Still

logger = logging.getLogger("olvido.processors")

IDLE_S_MAX = 30.0  # three looks; a rebalance takes ten seconds at most
BUSY_S_MAX = 300.0  # longer than the patience with a part that is down
EXIT_TRY_AGAIN = 75  # EX_TEMPFAIL


class Watchdog:
    """Ends the process when its readers stand still for too long; whether they do, others decide.

    After a broker was killed, Faust may join its group again before it knows of any topic, is
    given nothing, and waits for ever (faust#175, #640; met in our own kill tests). A process
    with a batch in hand is given longer: while a part is down, a fresh one would wait as well.
    """

    def __init__(self, *, end: Callable[[int], object] = os._exit) -> None:
        self._end = end

    def look(self, still: Still | None) -> None:
        """End the process if it has stood still for longer than it may."""
        if still is None:
            return
        patience = BUSY_S_MAX if still.busy else IDLE_S_MAX
        if still.for_s > patience:
            logger.critical(
                "%d records wait and nothing moved for %.0f s; ending", still.records, still.for_s
            )
            self._end(EXIT_TRY_AGAIN)
