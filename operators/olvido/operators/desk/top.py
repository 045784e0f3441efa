"""How fast everything moves: rates between two looks, what is owed, how long people wait."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from olvido.broker.groups import GroupFigures, Groups
from olvido.core.errors import OlvidoError
from olvido.core.sinks import Standing
from olvido.ledger.figures import Figures
from olvido.ledger.sink_operations import SinkOperations
from olvido.operators.desk.health import LetterCount
from olvido.operators.desk.ledger import database
from olvido.schemas.settings.deployment import Deployment
from olvido.schemas.topics import readers_of

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderPace:
    """One consumer group: how far it is, and how fast."""

    group: str
    members: int
    behind: int
    handled: int  # offsets that it has left behind itself
    rate: float  # records a second since the look before; 0 at the first


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkPace:
    """What a sink owes, how long people wait for it, and whether it can be relied on."""

    owed: int = 0
    oldest_owed_at: datetime | None = None
    times: tuple[timedelta, timedelta, timedelta] | None = None  # to apply: 50th, 95th, 99th percentile
    standing: Standing = Standing.LIVE


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """Everything, at one instant. What did not answer is in ``problems`` and missing elsewhere."""

    at: datetime
    instant_s: float  # the same by a clock that nobody sets
    readers: tuple[ReaderPace, ...] = ()
    sinks: Mapping[str, SinkPace] = field(default_factory=dict)
    dead_letters: tuple[LetterCount, ...] = ()
    problems: tuple[str, ...] = ()
    took: timedelta = timedelta()


class Looking:
    """Looks at one deployment as often as it is asked to. For one thread."""

    def __init__(self, declared: Deployment) -> None:
        ledger = database(declared)
        self._groups = Groups(declared.kafka, readers_of(declared.sinks))
        self._figures = Figures(ledger)
        self._operations = SinkOperations(ledger)

    def look(self, before: Look | None = None) -> Look:
        """Ask everybody once. What does not answer is a problem, not an exception.

        Args:
            before: the look that rates are counted from.
        """
        began = time.monotonic()
        problems: list[str] = []
        groups = _asked(problems, self._groups.look, list[GroupFigures]())
        instant_s = time.monotonic()
        sinks = _asked(problems, self._sinks, dict[str, SinkPace]())
        letters = _asked(problems, self._figures.dead_letters_by_cause, list[Mapping[str, Any]]())
        return Look(
            at=datetime.now(UTC),
            instant_s=instant_s,
            readers=tuple(_pace(one, instant_s, before) for one in groups),
            sinks=sinks,
            dead_letters=tuple(LetterCount(**row) for row in letters),
            problems=tuple(dict.fromkeys(problems)),
            took=timedelta(seconds=time.monotonic() - began),
        )

    def _sinks(self) -> dict[str, SinkPace]:
        owed = {row["sink"]: row for row in self._figures.owed_by_sink()}
        times = {row["sink"]: row["seconds"] for row in self._figures.times_to_apply()}
        standings = self._operations.standings()
        return {
            sink: SinkPace(
                owed=owed[sink]["owed"] if sink in owed else 0,
                oldest_owed_at=owed[sink]["oldest_at"] if sink in owed else None,
                times=_spans(*times[sink]) if sink in times else None,
                standing=standings[sink][0] if sink in standings else Standing.LIVE,
            )
            for sink in sorted(owed.keys() | times.keys() | standings.keys())
        }


def _asked(problems: list[str], ask: Callable[[], T], otherwise: T) -> T:
    try:
        return ask()
    except OlvidoError as error:
        problems.append(str(error))
        return otherwise


def _pace(now: GroupFigures, instant_s: float, before: Look | None) -> ReaderPace:
    then = next((one for one in before.readers if one.group == now.group), None) if before else None
    rate = 0.0
    if before is not None and then is not None:
        # A topic that was made anew begins at nothing: then less is behind than before.
        rate = max(0.0, (now.handled - then.handled) / (instant_s - before.instant_s))
    return ReaderPace(group=now.group, members=now.members, behind=now.behind, handled=now.handled, rate=rate)


def _spans(p50: float, p95: float, p99: float) -> tuple[timedelta, timedelta, timedelta]:
    return timedelta(seconds=p50), timedelta(seconds=p95), timedelta(seconds=p99)
