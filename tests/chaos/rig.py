"""One run: people decide, faults happen, everything settles, and the witness looks."""

import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psutil
import psycopg2
from psycopg2.extras import execute_values

from chaos.bugs import BUGS, Bug
from chaos.faults import Faults, Tally
from chaos.journal import Journal
from chaos.proxy import Line
from chaos.stage import Stage
from chaos.upstream import Upstream
from chaos.witness import Before, Findings, Witness
from olvido.broker.groups import group_state
from olvido.core.errors import Unavailable

SETTLE_S_MAX = 300.0  # the reconciler doubles its waits: a task lost four times is due after four minutes
STILL_S = 12.0  # with a bug planted: so long without any change, and there will be none
STUCK_S = 30.0  # the same while records wait: longer than a group needs to begin anew
CALM_S = 2.0  # so much of the work that comes may wait: less is the work of the moment
RECORDS = 9  # that one person who decides makes: events, tasks and receipts
NUMBERS = 1_000_000  # people a run may have; the next run's numbers begin behind them
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What one run came to."""

    seed: int
    seconds: float
    settled_s: float
    settled: bool
    tally: Tally
    findings: Findings
    restarts: int
    recovered_s: tuple[float, ...]  # from a fault to next to nothing waiting, each
    memory_mb: int  # of all processes together, the most that was seen

    @property
    def recovered_p95_s(self) -> float | None:
        """The 95th percentile of the recoveries."""
        if len(self.recovered_s) < 2:
            return None
        return statistics.quantiles(self.recovered_s, n=20, method="inclusive")[-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Caught:
    """What became of one planted bug."""

    name: str
    bug: Bug
    kills: int
    red: frozenset[str]
    told: tuple[str, ...]

    @property
    def caught(self) -> bool:
        """Whether a check went red that had to."""
        return bool(self.red & self.bug.red)


@dataclass
class Rig:
    """A stage and what is done on it; several runs may follow each other."""

    stage: Stage
    seed: int
    say: Say = lambda _: None
    _next: int = field(default=1)

    def run(
        self, *, kills: int = 0, seconds: float = 0.0, at_most_s: float, every_s: float, rate: float,
        kinds: tuple[str, ...] = (),
    ) -> Result:  # fmt: skip
        """Torment the stage until so many SIGKILLs are done, or for so long; then let it settle, and look.

        Args:
            kills: how many; 0: as many as there are in ``seconds``.
            seconds: how long, if ``kills`` is 0.
            at_most_s: never longer than that, whatever was reached.
            every_s: from one fault to the next, on average.
            rate: people a second.
            kinds: the faults to choose from besides kills; all, if none is given.
        """
        self.stage.run_with()
        faults = Faults(self.stage, seed=self.seed, kinds=kinds)

        def torment(upstream: Upstream, watching: "_Watching") -> None:
            began = time.monotonic()
            never = threading.Event()
            while True:
                spent = time.monotonic() - began
                if spent > at_most_s or (faults.tally.killed >= kills if kills else spent > seconds):
                    return
                faults.one()
                watching.disturbed()
                until = time.monotonic() + every_s
                while time.monotonic() < until:
                    never.wait(0.2)
                    faults.collect()
                    self.say(
                        f"kills {faults.tally.killed}{f'/{kills}' if kills else ''}  "
                        f"events {upstream.accepted}  waiting {watching.behind}  {faults.tally.last}"
                    )

        return self._act(faults, torment, rate=rate)

    def plant(self, name: str, *, rounds: int = 4, rate: float = 30.0) -> Caught:
        """Run with a planted bug until a check goes red that must; not for ever."""
        bug = BUGS[name]
        kills = 0
        red: frozenset[str] = frozenset()
        told: tuple[str, ...] = ()
        self.stage.run_with(name, healers=not bug.healed)
        for _ in range(rounds):
            faults = Faults(self.stage, seed=self.seed)

            def provoke(_: Upstream, __: _Watching, faults: Faults = faults) -> None:
                self._provoke(bug, faults)

            result = self._act(faults, provoke, rate=rate, patient=False)
            kills += result.tally.killed
            red, told = result.findings.red, tuple(result.findings.lines())
            if red & bug.red:
                break
        return Caught(name=name, bug=bug, kills=kills, red=red, told=told)

    def _provoke(self, bug: Bug, faults: Faults) -> None:
        """Let work flow, and do what brings the bug to light."""
        never = threading.Event()
        never.wait(4.0)
        for name, point, at in bug.orders:
            faults.order(name, point, at)
        for _ in range(4 if bug.cut else 0):
            self.say(f"{bug.cut}: connections cut")
            faults.tally.fault("connections cut", bug.cut)
            faults.line(bug.cut, Line.REFUSED, 1.0)
            never.wait(2.5)
        until = time.monotonic() + 14.0
        while faults.waiting() and time.monotonic() < until:
            never.wait(0.2)
            faults.collect()
            self.say(f"{bug.says}; kills {faults.tally.killed}")
        never.wait(1.0)

    def _act(
        self,
        faults: Faults,
        torment: Callable[[Upstream, "_Watching"], None],
        *,
        rate: float,
        patient: bool = True,
    ) -> Result:
        stage = self.stage
        numbers = self._next
        self._next += NUMBERS
        journal = Journal(stage.orders.parent / f"accepted-{numbers}.jsonl")
        upstream = Upstream(stage, journal, first=numbers, rate=rate, seed=self.seed)
        began, restarts = time.monotonic(), stage.restarts()
        self._all_read()
        before = Before.of(stage)
        with _watching(stage, calm=round(rate * RECORDS * CALM_S)) as watching:
            upstream.start()
            try:
                torment(upstream, watching)
            except BaseException:
                upstream.abandon()  # Ctrl-C: what is on its way may never be taken
                raise
            finally:
                faults.end()
            upstream.finish()
            ended = time.monotonic()
            settled = self._settle(journal, patient=patient)
            settled_s = time.monotonic() - ended
        findings = Witness(stage, journal, range(upstream.first, upstream.next), before).look()
        journal.close()
        if not settled and not findings.found:
            findings.add("lost", "not everything came to an end in time")
        return Result(
            seed=self.seed,
            seconds=ended - began,
            settled_s=settled_s,
            settled=settled,
            tally=faults.tally,
            findings=findings,
            restarts=stage.restarts() - restarts,
            recovered_s=tuple(watching.recovered),
            memory_mb=watching.memory_mb,
        )

    def _all_read(self) -> None:
        """Wait until every process is a member of its group: a kill of who does nothing says nothing."""
        kafka = self.stage.chain.deployment.kafka

        def reading() -> bool:
            try:
                members = sum(group_state(kafka, group).members for group in self.stage.groups())
            except Unavailable:
                return False
            self.say(f"{members} of {len(self.stage.victims)} processes read")
            return members >= len(self.stage.victims)

        self.stage.chain.until(reading, what="every process reading", within_s=120)

    def _settle(self, journal: Journal, *, patient: bool) -> bool:
        """Wait until all that was accepted is answered, everywhere; if not patient, until nothing moves."""
        connection = psycopg2.connect(self.stage.chain.stack.ledger_owner_dsn)
        connection.autocommit = True
        ids = [(told.id,) for told in journal.read()]
        deadline = time.monotonic() + SETTLE_S_MAX
        seen: tuple[Any, ...] = ()
        since = time.monotonic()
        with connection.cursor() as cursor:
            cursor.execute("create temp table accepted (id uuid primary key)")
            execute_values(cursor, "insert into accepted values %s", ids)
            while time.monotonic() < deadline:
                cursor.execute(_OPEN)
                now = (*cursor.fetchone(), self.stage.behind())
                self.say(
                    f"settling: {now[0]} not known yet, {now[1]} without an answer, {now[2]} records wait"
                )
                if now == (0, 0, 0):
                    break
                if now != seen:
                    seen, since = now, time.monotonic()
                if not patient and time.monotonic() > since + (STUCK_S if now[2] else STILL_S):
                    break
                time.sleep(0.5)
        connection.close()
        return now == (0, 0, 0)


_OPEN = """
select (select count(*) from accepted a
        where not exists (select from requests r where r.request_id = a.id)
          and not exists (select from consent_changes c where c.event_id = a.id)),
       (select count(*) from accepted a join tasks t on t.source_id = a.id where t.outcome is null)
"""


@dataclass
class _Watching:
    """Looks once a second at how much waits, and how long it takes to be little again."""

    calm: int  # records: that is little
    behind: int | None = None
    recovered: list[float] = field(default_factory=list)
    memory_mb: int = 0
    _since: float | None = None

    def disturbed(self) -> None:
        """Something was done just now."""
        if self._since is None:
            self._since = time.monotonic()

    def look(self, stage: Stage) -> None:
        self.behind = stage.behind()
        if self._since is not None and self.behind is not None and self.behind <= self.calm:
            self.recovered.append(time.monotonic() - self._since)
            self._since = None
        self.memory_mb = max(self.memory_mb, _memory_mb(stage))


@contextmanager
def _watching(stage: Stage, *, calm: int) -> Iterator[_Watching]:
    watching, stop = _Watching(calm=calm), threading.Event()

    def look() -> None:
        while not stop.wait(2.0):
            watching.look(stage)

    thread = threading.Thread(target=look, name="watching", daemon=True)
    thread.start()
    try:
        yield watching
    finally:
        stop.set()
        thread.join(30)


def _memory_mb(stage: Stage) -> int:
    total = 0
    for status in stage.chain.stack.supervisor.status().values():
        if status.pid is not None:
            try:
                process = psutil.Process(status.pid)
                total += sum(each.memory_info().rss for each in (process, *process.children()))
            except psutil.NoSuchProcess:
                continue
    return total // 2**20
