"""Whether a reader moves: records wait before it, and what it has committed grows, or does not.

Pure: the caller looks at the broker and brings the clock. A canary for each partition every ten
seconds (``canaries.py``) sees to it that something waits before every reader that does not read.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from olvido.broker.contract import Lag
from olvido.core.offsets import Partition

STILL_S_MAX = 60.0  # six canaries; a rebalance takes ten seconds at most


class Activity:
    """What the readers of this process are doing, for others to see from their own threads."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._readers: list[Callable[[], Collection[Partition]]] = []
        self._in_hand: Counter[str] = Counter()
        self._down: dict[str, str] = {}  # what the batch in hand of a topic was last refused by
        self._resting: set[str] = set()  # topics whose batch waits for its next try
        self._tried_at: dict[str, float] = {}

    def add_reader(self, assigned: Callable[[], Collection[Partition]]) -> None:
        """Count a reader in, by a function that gives the partitions it reads."""
        self._readers.append(assigned)

    def assigned(self) -> set[Partition]:
        """Which partitions this process reads."""
        return {place for assigned in self._readers for place in assigned()}

    @contextmanager
    def batch_in_hand(self, topics: Collection[str]) -> Iterator[None]:
        """A batch is in hand for as long as the block lasts."""
        with self._lock:
            self._in_hand.update(topics)
        try:
            yield
        finally:
            with self._lock:
                self._in_hand.subtract(topics)
                self._resting.difference_update(topics)
                for topic in topics:
                    self._down.pop(topic, None)

    @contextmanager
    def resting(self, topics: Collection[str], down: str) -> Iterator[None]:
        """What the batch in hand needs is down: it rests while the block lasts, and is tried again then."""
        with self._lock:
            self._down |= dict.fromkeys(topics, down)
            self._resting.update(topics)
        try:
            yield
        finally:
            with self._lock:
                self._resting.difference_update(topics)
                self._tried_at |= dict.fromkeys(topics, self._clock())

    def busy(self, topics: Collection[str]) -> bool:
        """Whether a batch of these topics is in hand: being handled, or resting."""
        return any(self._in_hand[topic] > 0 for topic in topics)

    def down(self, topics: Collection[str]) -> str:
        """What a batch of these topics was refused by and is brought again for; empty if none is."""
        with self._lock:
            return next((self._down[topic] for topic in topics if topic in self._down), "")

    def blameless_until_s(self, topics: Collection[str]) -> float:
        """Until when nobody could expect these topics to move: now if a batch rests, else its last try."""
        with self._lock:
            if self._resting.intersection(topics):
                return self._clock()
            return max((self._tried_at.get(topic, 0.0) for topic in topics), default=0.0)


@dataclass(frozen=True, slots=True)
class _Seen:
    committed: tuple[tuple[str, int, int | None], ...]
    moved_at_s: float
    waiting: int
    topics: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Still:
    """Records wait and nothing moves."""

    records: int
    for_s: float
    busy: bool  # a batch of them is in hand
    down: str  # what that batch was refused by, and waits for


class Movement:
    """Compares what one process has committed with what it had when it was last looked at."""

    def __init__(self, activity: Activity, *, apart: bool = False) -> None:
        """
        Args:
            activity: of the readers.
            apart: whether each topic is read on its own, so that one may stand while others move. Without
                it all topics are one stream of batches: a long batch of one holds up the others rightly.
        """
        self._activity = activity
        self._apart = apart
        self._seen: dict[str, _Seen] = {}

    def reset(self) -> None:
        """The broker does not answer: how long nothing moved is counted anew when it does."""
        self._seen = {}

    def look(self, lags: Sequence[Lag], now_s: float) -> None:
        """Compare with the last look; ``now_s`` is a monotonic clock."""
        mine = self._activity.assigned()
        # Who was given nothing looks at everybody's: it is no fault while the others move.
        watched = [one for one in lags if (one.topic, one.partition) in mine] or lags
        lines: dict[str, list[Lag]] = {}
        for one in watched:
            lines.setdefault(one.topic if self._apart else "", []).append(one)
        self._seen = {name: self._compare(self._seen.get(name), line, now_s) for name, line in lines.items()}

    def still(self, now_s: float) -> Still | None:
        """The reader that has stood still for longest, if one does."""
        standing = [
            Still(
                records=seen.waiting,
                for_s=max(0.0, now_s - max(seen.moved_at_s, self._activity.blameless_until_s(seen.topics))),
                busy=self._activity.busy(seen.topics),
                down=self._activity.down(seen.topics),
            )
            for seen in list(self._seen.values())
            if seen.waiting
        ]
        return max(standing, key=lambda one: one.for_s, default=None)

    @staticmethod
    def _compare(last: _Seen | None, line: Sequence[Lag], now_s: float) -> _Seen:
        committed = tuple((one.topic, one.partition, one.committed) for one in line)
        waiting = sum(one.behind for one in line)
        # What came after the last look is counted from this one: nobody knows when within the two.
        goes_on = last is not None and last.waiting and waiting and committed == last.committed
        return _Seen(
            committed=committed,
            moved_at_s=last.moved_at_s if last is not None and goes_on else now_s,
            waiting=waiting,
            topics=frozenset(one.topic for one in line),
        )
