"""How everything is: what runs, how far each reader is, what is owed, what is wrong."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import TypeVar
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from olvido.broker import groups as broker_groups
from olvido.core.errors import OlvidoError
from olvido.core.requests import DUE_SOON
from olvido.core.sinks import Standing
from olvido.ledger.figures import Figures, Record
from olvido.ledger.sink_operations import OpenOperation
from olvido.operators.desk import held as desk_held
from olvido.operators.desk import sinks as desk_sinks
from olvido.operators.desk.ledger import database
from olvido.operators.desk.sinks import SinkRow
from olvido.operators.desk.text import counted, span
from olvido.operators.local import part_status
from olvido.operators.settings import deployment
from olvido.schemas.topics import readers_of

OWED_TOO_LONG = timedelta(minutes=10)
AT_ONCE = 8  # processes that are asked; each mostly waits
NO_ANSWER = "it does not answer"


T = TypeVar("T")

READY_S_MAX = 2.0  # a process that says nothing for so long stands still, or is not there


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One process or part that the supervisor here knows."""

    name: str
    kind: str
    state: str
    pid: int | None
    address: str
    uptime: timedelta | None
    restarts: int
    log: str
    not_ready: str = ""  # why a running process is not ready, in its own words


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupHealth:
    """One consumer group."""

    reader: str
    state: str
    members: int
    behind: int
    handled: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkHealth:
    """What a sink has been asked, what it owes and since when, and whether it can be relied on."""

    sink: str
    tasks: int
    answered: int
    parked: int
    resent: int
    owed: int
    oldest_owed_at: datetime | None
    standing: Standing


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterCount:
    """How many dead letters of a cause nobody has decided about."""

    cause: str
    letters: int
    oldest_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """The ledger in one row."""

    requests: int
    requests_open: int
    tasks_owed: int
    tasks_parked: int
    oldest_owed_at: datetime | None
    dead_letters: int
    reread: int
    requests_overdue: int  # open, and the last day is over
    requests_due_soon: int  # open, and the last day is over within five days
    next_due_at: datetime | None  # when the next last day is over


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something that is wrong."""

    text: str
    operation: OpenOperation | None = None  # the restore or backfill that shows more


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything, looked at once. What did not answer is a problem, and is missing elsewhere."""

    processes: tuple[Process, ...] = ()
    readers: tuple[GroupHealth, ...] = ()
    ledger: Overview | None = None
    sinks: tuple[SinkHealth, ...] = ()
    dead_letters: tuple[LetterCount, ...] = ()  # that nobody has decided about, by cause
    problems: tuple[Problem, ...] = ()


def overall(directory: Path) -> Report:
    """Look at everything once. What does not answer is a problem, not an exception.

    Raises:
        ConfigError: olvido.toml is missing or wrong.
    """
    declared = deployment()
    problems: list[Problem] = []
    with ThreadPoolExecutor(AT_ONCE) as threads:
        processes = list(threads.map(_process, part_status.status(directory)))
    for one in processes:
        if one.state not in {"running", "starting", "given"}:
            problems.append(Problem(text=f"{one.name} is {one.state}; see {one.log}"))
        elif one.not_ready:
            problems.append(Problem(text=f"{one.name} is not ready: {one.not_ready}"))
    groups = broker_groups.Groups(declared.kafka, readers_of(declared.sinks))
    readers = _tried(problems, lambda: [_reader(one) for one in groups.look()])
    problems += [
        Problem(text=f"nobody reads for {one.reader}; {counted(one.behind, 'record waits', 'records wait')}")
        for one in readers
        if not one.members
    ]
    figures = Figures(database(declared))
    ledger = _tried(problems, lambda: [Overview(**figures.overview(), **due_now(figures))])
    if overdue := sum(one.requests_overdue for one in ledger):
        problems.append(Problem(text=too_late(overdue)))
    sinks = _tried(problems, lambda: desk_sinks.rows(declared))
    problems += [problem for one in sinks for problem in _problems_of(one)]
    letters = _tried(problems, lambda: [LetterCount(**row) for row in figures.dead_letters_by_cause()])
    if held := sum(_tried(problems, lambda: [desk_held.waiting(declared)])):
        problems.append(Problem(text=erasures_wait(held)))
    count = sum(one.letters for one in letters)
    if count:
        problems.append(Problem(text=letters_wait(count)))
    return Report(
        processes=tuple(processes),
        readers=tuple(readers),
        ledger=ledger[0] if ledger else None,
        sinks=tuple(_sink(one) for one in sinks),
        dead_letters=tuple(letters),
        problems=tuple(problems),
    )


def due_now(figures: Figures) -> Record:
    """How many requests are overdue or due soon, and when the next is due."""
    return figures.due(now=datetime.now(UTC), soon=DUE_SOON)


def erasures_wait(count: int) -> str:
    """An erasure above a limit is of an attack, or is a person's right: somebody has to know which."""
    waits = counted(count, "erasure is held by the brake", "erasures are held by the brake")
    return f"{waits} until two people decide"


def too_late(count: int) -> str:
    """People were promised an answer by now, by a law or by the deployment."""
    return f"{counted(count, 'open request is', 'open requests are')} overdue: the last day to answer is over"


def letters_wait(count: int) -> str:
    """An open dead letter is a decision of a person that did not arrive: it is never well."""
    return f"{counted(count, 'open dead letter waits', 'open dead letters wait')} for a decision"


def _problems_of(one: SinkRow) -> list[Problem]:
    problems, now = list[Problem](), datetime.now(UTC)
    oldest = one.owed.oldest_owed_at
    if oldest is not None and now - oldest > OWED_TOO_LONG:
        owes = counted(one.owed.owed, "receipt")
        text = f"{one.sink} owes {owes}, the oldest for {span(now - oldest)}; its log says why"
        problems.append(Problem(text=text))
    if one.operation is not None:
        text = f"{one.sink} is {one.standing.value} since {one.operation.since:%Y-%m-%d %H:%M}Z"
        problems.append(Problem(text=text, operation=one.operation))
    return problems


def _sink(one: SinkRow) -> SinkHealth:
    return SinkHealth(
        sink=one.sink,
        tasks=one.owed.tasks,
        answered=one.owed.answered,
        parked=one.owed.parked,
        resent=one.owed.resent,
        owed=one.owed.owed,
        oldest_owed_at=one.owed.oldest_owed_at,
        standing=one.standing,
    )


def _process(part: part_status.PartStatus) -> Process:
    reads = part.kind == "process" and part.state == "running" and part.address
    return Process(
        name=part.name,
        kind=part.kind,
        state=part.state,
        pid=part.pid,
        address=part.address,
        uptime=part.uptime,
        restarts=part.restarts,
        log=str(part.log) if part.log else "its own log",
        not_ready=why_not_ready(part.address) if reads else "",
    )


def why_not_ready(address: str) -> str:
    """What a process says of itself at its own address; empty while it is ready, or if that is not served."""
    try:
        with urlopen(f"http://{address}/readyz", timeout=READY_S_MAX):
            return ""
    except HTTPError as error:
        reason = error.read(1000).decode(errors="replace").strip()
        return reason if error.code == HTTPStatus.SERVICE_UNAVAILABLE else ""
    except URLError as error:
        # Nothing listens there: its state says that. What listens and is silent stands still.
        return NO_ANSWER if isinstance(error.reason, TimeoutError) else ""
    except TimeoutError:
        return NO_ANSWER
    except OSError:
        return ""


def _reader(one: broker_groups.GroupFigures) -> GroupHealth:
    return GroupHealth(
        reader=one.group,
        state=one.state.lower(),
        members=one.members,
        behind=one.behind,
        handled=one.handled,
    )


def _tried(problems: list[Problem], ask: Callable[[], list[T]]) -> list[T]:
    try:
        return ask()
    except OlvidoError as error:
        problem = Problem(text=str(error))
        if problem not in problems:
            problems.append(problem)
        return []
