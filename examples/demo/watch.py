"""Looks at the ledger and the supervisor while the story runs: how far each sink is, and whether it lives."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Self

import psycopg2

from olvido.core.errors import OlvidoError
from olvido.core.outcomes import Outcome
from olvido.operators.local.supervisor import ProcessStatus, Supervisor

EVERY_S = 0.25
POLL_S = 0.02

_QUERY = """
select sink, outcome, count(*), coalesce(sum(attempts - 1), 0) from tasks group by sink, outcome
union all
select '', case when finished_at is null then 'open' else 'done' end, count(*), 0 from requests group by 2
union all
select '', 'dead', count(*), 0 from dead_letters
"""


class TooSlow(OlvidoError):
    """Something that had to happen did not happen in time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkReading:
    """How far one sink is."""

    planned: int = 0
    sent_again: int = 0
    outcomes: Mapping[Outcome, int] = field(default_factory=dict)

    @property
    def answered(self) -> int:
        """Tasks with a final receipt."""
        return sum(count for outcome, count in self.outcomes.items() if outcome.final)

    @property
    def waiting(self) -> int:
        """Tasks that are planned and not answered."""
        return self.planned - self.answered


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How everything is at one moment."""

    sinks: Mapping[str, SinkReading] = field(default_factory=dict)
    requests: int = 0
    finished: int = 0
    dead_letters: int = 0
    processes: Mapping[str, ProcessStatus] = field(default_factory=dict)  # up to a quarter of a second old

    @property
    def answered(self) -> int:
        """Tasks of all sinks with a final receipt."""
        return sum(sink.answered for sink in self.sinks.values())

    def sink(self, name: str) -> SinkReading:
        """One sink; nothing is planned for one that is not known yet."""
        return self.sinks.get(name, SinkReading())


class Watch:
    """Reads now and then in a thread, and at any moment when asked."""

    def __init__(self, ledger_dsn: str, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._connection = psycopg2.connect(ledger_dsn)
        self._connection.autocommit = True
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep_looking, name="demo-watch", daemon=True)
        self.began_at = time.monotonic()
        self.last = Reading()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._connection.close()

    @property
    def elapsed_s(self) -> float:
        """Since the story began."""
        return time.monotonic() - self.began_at

    def look(self) -> Reading:
        """How everything is now."""
        with self._lock, self._connection.cursor() as cursor:
            cursor.execute(_QUERY)
            rows = cursor.fetchall()
        self.last = _reading(rows, self.last.processes)
        return self.last

    def wait_until(self, happened: Callable[[Reading], bool], *, what: str, within_s: float) -> Reading:
        """Look until it has happened.

        Raises:
            TooSlow: it has not, within so many seconds.
        """
        give_up_at = time.monotonic() + within_s
        while not happened(reading := self.look()):
            if time.monotonic() > give_up_at:
                raise TooSlow(f"after {within_s:.0f} s this has not happened: {what}")
            time.sleep(POLL_S)
        return reading

    def _keep_looking(self) -> None:
        while not self._ended.wait(EVERY_S):
            try:
                self.last = replace(self.look(), processes=self._supervisor.status())
            except psycopg2.Error:
                return  # the story's own look says it better


def _reading(rows: list[tuple[str, str | None, int, int]], processes: Mapping[str, ProcessStatus]) -> Reading:
    planned: Counter[str] = Counter()
    again: Counter[str] = Counter()
    outcomes: dict[str, Counter[Outcome]] = {}
    others: Counter[str] = Counter()
    for sink, word, count, sent_again in rows:
        if not sink:
            others[str(word)] += count
            continue
        planned[sink] += count
        again[sink] += int(sent_again)
        if word is not None:
            outcomes.setdefault(sink, Counter())[Outcome(word)] += count
    return Reading(
        sinks={
            sink: SinkReading(planned=count, sent_again=again[sink], outcomes=outcomes.get(sink, {}))
            for sink, count in planned.items()
        },
        requests=others["open"] + others["done"],
        finished=others["done"],
        dead_letters=others["dead"],
        processes=processes,
    )
