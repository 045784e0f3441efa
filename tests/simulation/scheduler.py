"""Who moves next, and what time it is: one random source decides, and nothing else may.

Each process of the world is a set of greenlets. They give way at every act of I/O, so that
anything may happen between any two of them; between those points nobody else moves.
"""

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from greenlet import GreenletExit, getcurrent, greenlet

BEGIN = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
ACT_S_MAX = 0.4  # how long an act of I/O takes at most; the mean is half of it


class Stuck(Exception):
    """The world was given all the turns it may have, and is still not quiet."""


@dataclass(eq=False)
class Thread:
    """One line of execution of one process."""

    process: str
    body: greenlet
    wake_at: float | None = None
    order: int = 0
    killed: bool = False  # it has no turn any more


@dataclass
class Scheduler:
    """The clock and the turns."""

    rng: random.Random
    seconds: float = 0.0
    turns: int = 0
    turns_max: int = 40_000
    weights: dict[str, float] = field(default_factory=dict)  # by process; the slow ones have less
    _threads: list[Thread] = field(default_factory=list)
    _sleeping: list[tuple[float, int, Thread]] = field(default_factory=list)
    _main: greenlet = field(default_factory=getcurrent)
    _count: int = 0
    current: Thread | None = None

    @property
    def now(self) -> datetime:
        """The true time. A process may have another one."""
        return BEGIN + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        """What stands in for ``time.monotonic``."""
        return self.seconds

    def start(self, process: str, act: Callable[[], object]) -> Thread:
        """Let a process do something beside what it does already."""
        self._count += 1
        thread = Thread(process, greenlet(act, parent=self._main), order=self._count)
        self._threads.append(thread)
        return thread

    def pause(self) -> None:
        """Give way: the others may do any number of things before this returns."""
        self._giving_way()
        self._main.switch()

    def sleep(self, seconds: float) -> None:
        """Give way until so much time has passed."""
        thread = self._giving_way()
        thread.wake_at = self.seconds + seconds
        heapq.heappush(self._sleeping, (thread.wake_at, thread.order, thread))
        self._threads.remove(thread)
        self._main.switch()

    def _giving_way(self) -> Thread:
        """The thread that gives way; one that was killed gets no further than this."""
        thread = self.current
        assert thread is not None, "only a process of the world gives way"
        if thread.killed or thread.body is not getcurrent():
            raise GreenletExit
        return thread

    def kill(self, process: str) -> None:
        """End all threads of a process where they stand: nothing of theirs is run any more.

        The thread that kills its own process goes on until it gives way or raises.
        """
        mine = [t for t in (*self._threads, *(s[2] for s in self._sleeping)) if t.process == process]
        self._threads = [t for t in self._threads if t.process != process]
        self._sleeping = [s for s in self._sleeping if s[2].process != process]
        heapq.heapify(self._sleeping)
        for thread in mine:
            thread.killed = True
            if thread is not self.current and thread.body:
                # Back here when it has ended, and not to the turn: else we, and those that are left, stand
                # still for ever, and all of the world is kept with us.
                thread.body.parent = getcurrent()
                thread.body.throw(GreenletExit)

    def end(self) -> None:
        """End everybody."""
        for name in sorted({t.process for t in (*self._threads, *(s[2] for s in self._sleeping))}):
            self.kill(name)

    def turn(self) -> bool:
        """Let one thread go on to its next act of I/O; False when nobody has anything to do."""
        self.turns += 1
        if self.turns > self.turns_max:
            raise Stuck(f"not quiet after {self.turns_max} turns")
        if not self._threads:
            if not self._sleeping:
                return False
            self.seconds = max(self.seconds, self._sleeping[0][0])
        while self._sleeping and self._sleeping[0][0] <= self.seconds:
            thread = heapq.heappop(self._sleeping)[2]
            thread.wake_at = None
            self._threads.append(thread)
        self.seconds += self.rng.random() * ACT_S_MAX
        thread = self._pick()
        self.current = thread
        try:
            thread.body.switch()
        finally:
            self.current = None
        if thread.body.dead and thread in self._threads:
            self._threads.remove(thread)
        return True

    def _pick(self) -> Thread:
        threads = self._threads
        if len(threads) == 1:
            return threads[0]
        # A slow process is passed over most of the time; nobody is passed over for ever.
        while True:
            thread = threads[int(self.rng.random() * len(threads))]
            weight = self.weights.get(thread.process, 1.0)
            if weight >= 1.0 or self.rng.random() < weight:
                return thread
