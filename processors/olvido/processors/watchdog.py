"""Who looks whether this process still moves, from outside of its event loop."""

import logging
import os
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager

from olvido.broker.admin import Lag

logger = logging.getLogger("olvido.processors")

STILL_S_MAX = 30.0  # three looks; a rebalance takes ten seconds at most
BUSY_S_MAX = 300.0  # longer than the patience with a part that is down
EXIT_TRY_AGAIN = 75  # EX_TEMPFAIL


class Activity:
    """What the readers of this process are doing, for the watchdog to see from its own thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._in_hand = 0
        # Which partitions this process reads; nobody knows before the app is there.
        self.assigned: Callable[[], Collection[tuple[str, int]]] = tuple

    @property
    def busy(self) -> bool:
        """Whether a batch is in hand: being handled, or waiting for a part that is down."""
        return self._in_hand > 0

    @contextmanager
    def batch_in_hand(self) -> Iterator[None]:
        """A batch is in hand for as long as the block lasts."""
        with self._lock:
            self._in_hand += 1
        try:
            yield
        finally:
            with self._lock:
                self._in_hand -= 1


class Watchdog:
    """Ends a process that looks alive and stands still: records wait for it, and nothing moves.

    After a broker was killed, Faust may join its group again before it knows of any topic, is
    given nothing, and waits for ever (faust#175, #640; met in our own kill tests). A process
    with a batch in hand is given longer: while a part is down, a fresh one would wait as well.
    """

    def __init__(self, activity: Activity, *, end: Callable[[int], object] = os._exit) -> None:
        self._activity = activity
        self._end = end
        self._committed: tuple[int | None, ...] = ()
        self._moved_at: float | None = None

    def reset(self) -> None:
        """The broker does not answer: how long nothing moved is counted anew when it does."""
        self._moved_at = None

    def look(self, lags: Sequence[Lag], now_s: float) -> None:
        """Compare with the last look; ``now_s`` is a monotonic clock."""
        mine = set(self._activity.assigned())
        watched = [one for one in lags if (one.topic, one.partition) in mine] or lags
        committed = tuple(one.committed for one in watched)
        waiting = sum(one.behind for one in watched)
        if self._moved_at is None or committed != self._committed or not waiting:
            self._committed, self._moved_at = committed, now_s
            return
        patience = BUSY_S_MAX if self._activity.busy else STILL_S_MAX
        if now_s - self._moved_at > patience:
            logger.critical("%d records wait and nothing moved for %.0f s; ending", waiting, patience)
            self._end(EXIT_TRY_AGAIN)
