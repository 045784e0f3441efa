"""What is done to the stage, and when: chosen by a seed, spread over victims and points, and counted."""

import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import psycopg2

from chaos.points import POINTS
from chaos.proxy import Answers, Line
from chaos.stage import PARTS, TARGET, Stage

HELD_S = 12.0  # longer than the patience of either group with a silent member: 10 s and 8 s
FULL_S = 5.0
CUT_S = (0.5, 4.0)
SPOILT_S = (2.0, 5.0)
ORDER_S_MAX = 40.0  # an order that finds no work in that time is taken back
APART_S = (
    25.0  # between two blows to what everybody needs: while it is away nobody works, and no point is passed
)
TWO_AT_ONCE = 0.10
LINES = ("kafka", "registry", "ledger", "crm", "store_sg", "marketing")
REBALANCING = ("assigned", "revoked")
KINDS = (  # besides SIGKILL
    "SIGTERM", "SIGSTOP and SIGCONT", "restart", "disk full", "registry hangs", "HTTP", "connections cut",
    "line held", "sessions ended",
)  # fmt: skip

# Points that a kind of process passes.
_SINK = ("read", "effected", "committed", "produced", "delivered", "acked", "offset", "assigned", "revoked")
_LEDGER = ("begun", *_SINK)
_HTTP = tuple(point for point in _SINK if point != "effected")  # the effect is in another process


def points_of(name: str) -> tuple[str, ...]:
    """The points that a process passes."""
    if name.startswith("sink-"):
        return _HTTP if name == "sink-marketing" else _SINK
    return _LEDGER


@dataclass
class Tally:
    """How often what was done, to whom."""

    kills: Counter[tuple[str, str]] = field(default_factory=Counter)  # (where: a point or "any time", victim)
    faults: Counter[tuple[str, str]] = field(default_factory=Counter)  # all that is no SIGKILL
    twos: int = 0
    last: str = ""

    @property
    def killed(self) -> int:
        """All SIGKILLs."""
        return sum(self.kills.values())

    def kill(self, where: str, victim: str) -> None:
        self.kills[where, victim] += 1
        self.last = f"{victim}: killed, {where}"

    def fault(self, what: str, victim: str) -> None:
        self.faults[what, victim] += 1
        self.last = f"{victim}: {what}"


class Faults:
    """Does one thing after the other to a stage; what lasts, is ended in a thread of its own."""

    def __init__(self, stage: Stage, *, seed: int, kinds: Sequence[str] = ()) -> None:
        """
        Args:
            stage: what is tormented.
            seed: decides what, to whom and where; the machine decides when it happens.
            kinds: the names of the faults to choose from, besides kills; all, if none is given.
        """
        self.tally = Tally()
        self._stage = stage
        self._random = random.Random(f"faults {seed}")
        self._ordered: dict[str, float] = {}
        self._number = 0
        self._asked: Counter[tuple[str, str]] = Counter()
        self._lasting: list[threading.Thread] = []
        self._parts_again_at = 0.0
        acts = (
            self._term, self._hold, self._restart, self._fill_disk, self._hang_registry, self._spoil_answers,
            self._cut, self._hold_line, self._end_sessions,
        )  # fmt: skip
        self._kinds = [act for name, act in zip(KINDS, acts, strict=True) if not kinds or name in kinds]

    def one(self) -> None:
        """Do one thing, or two at once."""
        two = self._random.random() < TWO_AT_ONCE
        self.tally.twos += two
        for _ in range(1 + two):
            chance = self._random.random()
            if chance < 0.60:
                self._order()
            elif chance < 0.78:
                self._kill()
            else:
                self._random.choice(self._kinds)()

    def collect(self) -> None:
        """Count the orders that were carried out, and take back those that find no work."""
        for name, point in self._stage.carried_out():
            self._ordered.pop(name, None)
            self.tally.kill(point, name)
        for name, since in tuple(self._ordered.items()):
            if time.monotonic() > since + ORDER_S_MAX:
                self._stage.take_back(name)
                del self._ordered[name]

    def end(self) -> None:
        """End all that lasts, and have everything run."""
        for name in self._ordered:
            self._stage.take_back(name)
        for thread in self._lasting:
            thread.join(HELD_S + 5)
        self._stage.lift()
        self.collect()

    def order(self, name: str, point: str, at: int) -> None:
        """Order one process to die at a point."""
        self._number += 1
        self._stage.order(self._number, name, point, at)
        self._ordered[name] = time.monotonic()

    def waiting(self) -> int:
        """How many orders are not carried out yet."""
        return len(self._ordered)

    # --- kills -----------------------------------------------------------------------------------

    def _order(self) -> None:
        """Where it was ordered least so far, of those who have no order."""
        free = [name for name in self._stage.victims if name not in self._ordered]
        choices = [(name, point) for name in free for point in points_of(name)]
        if not choices:
            return
        self._random.shuffle(choices)
        name, point = min(choices, key=lambda choice: (self._asked[choice], self._asked["", choice[1]]))
        self._asked[name, point] += 1
        self._asked["", point] += 1
        self.order(name, point, self._random.randint(1, 12 if point == "produced" else 3))
        if point in REBALANCING:  # there is one when a member leaves, and when it is back
            self._stage.signal(name, signal.SIGTERM)

    def _kill(self) -> None:
        name = self._victim([*self._stage.victims, TARGET, *PARTS * 2])
        if self._stage.signal(name, signal.SIGKILL):
            self.tally.kill("any time", name)

    def _victim(self, names: Sequence[str]) -> str:
        """One of them; a part, or the line to it, only if the last blow to one is over."""
        shared = {*PARTS, "ledger"}
        if time.monotonic() < self._parts_again_at:
            names = [name for name in names if name not in shared]
        name = self._random.choice(names)
        if name in shared:
            self._parts_again_at = time.monotonic() + APART_S
        return name

    # --- all else --------------------------------------------------------------------------------

    def _term(self) -> None:
        name = self._random.choice(self._stage.victims)
        if self._stage.signal(name, signal.SIGTERM):
            self.tally.fault("SIGTERM", name)

    def _restart(self) -> None:
        name = self._victim(self._stage.names)
        self.tally.fault("restart", name)
        self._lasts(0.0, lambda: self._stage.chain.stack.supervisor.restart(name), lambda: None)

    def _hold(self) -> None:
        name = self._random.choice(self._stage.victims)
        if self._stage.signal(name, signal.SIGSTOP):
            self.tally.fault("SIGSTOP and SIGCONT", name)
            self._lasts(HELD_S, lambda: None, lambda: self._stage.signal(name, signal.SIGCONT))

    def _hang_registry(self) -> None:
        if self._stage.signal("registry", signal.SIGSTOP):
            self.tally.fault("registry hangs", "registry")
            self._lasts(8.0, lambda: None, lambda: self._stage.signal("registry", signal.SIGCONT))

    def _fill_disk(self) -> None:
        if not self._stage.disks:  # nothing can be mounted here
            return
        name = self._random.choice(sorted(self._stage.disks))
        self._parts_again_at = time.monotonic() + APART_S
        self.tally.fault("disk full", name)
        self._lasts(FULL_S, lambda: self._stage.fill_disk(name), lambda: self._stage.free_disk(name))

    def _spoil_answers(self) -> None:
        how = self._random.choice([each for each in Answers if each is not Answers.WELL])
        self.tally.fault(f"HTTP: {how}", TARGET)
        self._stage.http.answers = how

        def mend() -> None:
            self._stage.http.answers = Answers.WELL

        self._lasts(self._random.uniform(*SPOILT_S), lambda: None, mend)

    def _cut(self) -> None:
        name = self._victim(LINES)
        self.tally.fault("connections cut", name)
        self.line(name, Line.REFUSED, self._random.uniform(*CUT_S))

    def _hold_line(self) -> None:
        name = self._victim(LINES)
        self.tally.fault("line held", name)
        self.line(name, Line.HELD, self._random.uniform(*SPOILT_S))

    def line(self, name: str, how: Line, seconds: float) -> None:
        """Have a line be so for a while."""
        proxy = self._stage.proxies.of[name]
        self._lasts(seconds, lambda: proxy.be(how), lambda: proxy.be(Line.OPEN))

    def _end_sessions(self) -> None:
        database = self._random.choice(["ledger", "crm", "store_sg"])
        self.tally.fault("sessions ended", database)
        with suppress(psycopg2.Error):
            connection = psycopg2.connect(self._stage.chain.stack.admin_dsn(), connect_timeout=3)
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", (database,)
                )
            connection.close()

    def _lasts(self, seconds: float, begin: Callable[[], object], end: Callable[[], object]) -> None:
        def lasting() -> None:
            begin()
            threading.Event().wait(seconds)
            end()

        thread = threading.Thread(target=lasting, name="fault", daemon=True)
        thread.start()
        self._lasting = [*(each for each in self._lasting if each.is_alive()), thread]


assert set(_LEDGER) == set(POINTS)
