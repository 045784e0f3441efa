"""A process of the world: it acts, it has a clock of its own, and it may die at any act."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from simulation.faults import Crash, Faults
from simulation.history import History
from simulation.scheduler import Scheduler


@dataclass(eq=False)
class Process:
    """What the twins of a process's parts share with it."""

    name: str  # such as sink.crm/2: also its place in the history
    kind: str  # such as sink: what its crash points are counted under
    scheduler: Scheduler
    faults: Faults
    history: History
    alive: bool = True
    skew: timedelta = timedelta()
    frozen_until: float = 0.0
    on_death: Callable[[], object] = lambda: None

    def clock(self) -> datetime:
        """The time as this process sees it."""
        return self.scheduler.now + self.skew

    def act(self, what: str) -> None:
        """Be about to do an act of I/O: others move first, and the process may die before it.

        Raises:
            Crash: it does.
        """
        self.must_live()
        if self.frozen_until > self.scheduler.seconds:
            self.scheduler.sleep(self.frozen_until - self.scheduler.seconds)
        else:
            self.scheduler.pause()
        self.must_live()
        self.faults.point(f"{self.kind}: before {what}")

    def did(self, what: str) -> None:
        """Have done it: the process may die before it knows.

        Raises:
            Crash: it does.
        """
        self.faults.point(f"{self.kind}: after {what}")

    def must_live(self) -> None:
        """A dead process does nothing, not even in a ``finally``."""
        if not self.alive:
            raise Crash(self.name)

    def start(self, act: Callable[[], object]) -> None:
        """Do something beside what is done already, until the process dies."""
        self.scheduler.start(self.name, lambda: self._run(act))

    def _run(self, act: Callable[[], object]) -> None:
        try:
            act()
        except Crash:
            self.die()

    def die(self) -> None:
        """End at once. What was read and not committed comes again to whoever reads next."""
        if self.alive:
            self.alive = False
            self.history.note(self.scheduler.seconds, "died", self.name)
            self.on_death()
            self.scheduler.kill(self.name)
