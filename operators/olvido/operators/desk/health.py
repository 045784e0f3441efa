"""How everything is: what runs, how far each reader is, what is wrong and what to do about it."""

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
from olvido.broker import topics as broker_topics
from olvido.core.errors import ConfigError, OlvidoError, Unavailable
from olvido.core.sinks import Standing
from olvido.ledger import schema
from olvido.ledger.clocks import check_clock
from olvido.ledger.figures import Figures
from olvido.operators.desk import sinks as desk_sinks
from olvido.operators.desk.ledger import database
from olvido.operators.desk.sinks import SinkRow
from olvido.operators.desk.text import counted, span
from olvido.operators.local import stack
from olvido.operators.settings import deployment, private_keys
from olvido.processors.figures import readers_of
from olvido.schemas.privacy.sealing import HandleKey, Opener, Sealer
from olvido.schemas.registry import Registry
from olvido.schemas.settings.deployment import Deployment

OWED_TOO_LONG = timedelta(minutes=10)
AT_ONCE = 8  # checks; each mostly waits
KAFKA, REGISTRY, LEDGER = "kafka", "registry", "ledger"
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
class Reader:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything, looked at once. What did not answer is a problem, and is missing elsewhere."""

    processes: tuple[Process, ...] = ()
    readers: tuple[Reader, ...] = ()
    ledger: Overview | None = None
    sinks: tuple[SinkHealth, ...] = ()
    dead_letters: tuple[LetterCount, ...] = ()  # that nobody has decided about, by cause
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one check has found."""

    good: bool
    text: str
    fix: str = ""


def overall(directory: Path) -> Report:
    """Look at everything once. What does not answer is a problem, not an exception.

    Raises:
        ConfigError: olvido.toml is missing or wrong.
    """
    declared = deployment()
    problems: list[str] = []
    with ThreadPoolExecutor(AT_ONCE) as threads:
        processes = list(threads.map(_process, stack.status(directory)))
    for one in processes:
        if one.state not in {"running", "starting", "given"}:
            problems.append(f"{one.name} is {one.state}; see {one.log}")
        elif one.not_ready:
            problems.append(f"{one.name} is not ready: {one.not_ready}")
    groups = broker_groups.Groups(declared.kafka, readers_of(declared))
    readers = _told(problems, lambda: [_reader(one) for one in groups.look()])
    problems += [
        f"nobody reads for {one.reader}; {counted(one.behind, 'record waits', 'records wait')}"
        for one in readers
        if not one.members
    ]
    figures = Figures(database(declared))
    ledger = _told(problems, lambda: [Overview(**figures.overview())])
    sinks = _told(problems, lambda: desk_sinks.rows(declared))
    problems += [problem for one in sinks for problem in _problems_of(one)]
    letters = _told(problems, lambda: [LetterCount(**row) for row in figures.dead_letters_by_cause()])
    count = sum(one.letters for one in letters)
    if count:
        problems.append(_letters_wait(count))
    return Report(
        processes=tuple(processes),
        readers=tuple(readers),
        ledger=ledger[0] if ledger else None,
        sinks=tuple(_sink(one) for one in sinks),
        dead_letters=tuple(letters),
        problems=tuple(problems),
    )


def _letters_wait(count: int) -> str:
    """An open dead letter is a decision of a person that did not arrive: it is never well."""
    return f"{counted(count, 'open dead letter waits', 'open dead letters wait')} for a decision"


def _problems_of(one: SinkRow) -> list[str]:
    problems, now = [], datetime.now(UTC)
    oldest = one.owed.oldest_owed_at
    if oldest is not None and now - oldest > OWED_TOO_LONG:
        owes = counted(one.owed.owed, "receipt")
        problems.append(f"{one.sink} owes {owes}, the oldest for {span(now - oldest)}; its log says why")
    if one.operation is not None:
        problems.append(
            f"{one.sink} is {one.standing.value} since {one.operation.since:%Y-%m-%d %H:%M}Z; "
            f"see: olvido {one.operation.kind.value} show {one.operation.name}"
        )
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


def examine(directory: Path) -> list[Finding]:
    """Check every part, many at a time. Each finding that is not good says what to do.

    What stands on a part that does not answer is not asked: it would say the same again, and take its time.

    Raises:
        ConfigError: olvido.toml is missing or wrong.
    """
    declared = deployment()
    parts: dict[str, Callable[[], str]] = {
        KAFKA: lambda: _check_broker(declared),
        REGISTRY: lambda: _check_registry(declared),
        LEDGER: lambda: _check_ledger(declared),
    }
    checks: list[tuple[frozenset[str], Callable[[], str]]] = [
        (frozenset({KAFKA, REGISTRY}), lambda: _check_topics(declared)),
        (frozenset({LEDGER}), lambda: _check_clock(declared)),
        (frozenset(), lambda: _check_producer_keys(declared, directory)),
        *(
            (frozenset(), lambda region=region: _check_region_key(region, directory))
            for region in declared.regions
        ),
        *((frozenset(), lambda name=name: _check_sink(declared, name)) for name in declared.sinks),
        *(
            (frozenset({KAFKA}), lambda group=group, topics=topics: _check_reader(declared, group, topics))
            for group, topics in readers_of(declared).items()
        ),
        (frozenset({LEDGER}), lambda: _check_owed(declared)),
        (frozenset({LEDGER}), lambda: _check_audit(declared)),
        (frozenset({LEDGER}), lambda: _check_dead_letters(declared)),
    ]
    text = f"olvido.toml: {counted(len(declared.sinks), 'sink')}, regions {', '.join(declared.regions)}"
    with ThreadPoolExecutor(AT_ONCE) as threads:
        of_parts = dict(zip(parts, threads.map(_finding, parts.values()), strict=True))
        down = {name for name, finding in of_parts.items() if not finding.good}
        rest = threads.map(_finding, [check for needed, check in checks if not needed & down])
        return [Finding(good=True, text=text), *of_parts.values(), *rest]


class _Wrong(OlvidoError):
    """Something is wrong, and there is a fix."""

    def __init__(self, text: str, fix: str) -> None:
        super().__init__(text)
        self.fix = fix


def _finding(check: Callable[[], str]) -> Finding:
    try:
        return Finding(good=True, text=check())
    except _Wrong as wrong:
        return Finding(good=False, text=str(wrong), fix=wrong.fix)
    except Unavailable as error:
        return Finding(good=False, text=str(error), fix="start it, or mend its address; here: olvido up")
    except ConfigError as error:
        text, _, fix = str(error).partition("; ")
        return Finding(good=False, text=text, fix=fix)


def _check_broker(declared: Deployment) -> str:
    cluster = broker_groups.reach(declared.kafka)
    at = declared.kafka.bootstrap_servers
    return f"Kafka at {at}: cluster {cluster.cluster_id}, {counted(cluster.brokers, 'broker')}"


def _check_registry(declared: Deployment) -> str:
    Registry(declared.registry.url).knows(1)
    return f"schema registry at {declared.registry.url} answers"


def _check_topics(declared: Deployment) -> str:
    broker_topics.check(declared.kafka, Registry(declared.registry.url), declared.catalogue)
    return "topics and schemas are as declared"


def _check_ledger(declared: Deployment) -> str:
    schema.check(declared.ledger_dsn)
    return "ledger database answers, all migrations applied"


def _check_clock(declared: Deployment) -> str:
    try:
        skew = check_clock(database(declared), datetime.now(UTC))
    except Unavailable as error:
        text, _, fix = str(error).partition(": ")
        raise _Wrong(text, fix) from None
    return f"our clock and the ledger's agree within {max(1, round(skew.total_seconds()))} s"


def _check_producer_keys(declared: Deployment, directory: Path) -> str:
    HandleKey.load(directory / declared.keys.handle_file)
    sealer = Sealer(directory / declared.keys.public_dir)
    missing = sorted(set(declared.regions) - set(sealer.regions))
    if missing:
        raise _Wrong(f"no public key for region {', '.join(missing)}", "olvido keys create")
    return f"handle key, and public keys for {', '.join(sealer.regions)}"


def _check_region_key(region: str, directory: Path) -> str:
    folder = private_keys(region, directory)
    if not folder.exists():
        return f"private keys of {region} are not on this machine"
    Opener(region, folder)
    loose = [path.name for path in folder.glob("*.pem") if path.stat().st_mode & 0o077]
    if loose:
        raise _Wrong(f"private key {loose[0]} of {region} can be read by others", f"chmod 600 {folder}/*.pem")
    return f"private keys of {region}, readable by their owner only"


def _check_sink(declared: Deployment, name: str) -> str:
    from olvido.sinks.plugins import load_sink

    sink = load_sink(declared, name)
    try:
        sink.check()
    finally:
        sink.close()
    return f"sink {name}: target answers and fits its data map"


def _check_reader(declared: Deployment, group: str, topics: list[str]) -> str:
    [row] = broker_groups.Groups(declared.kafka, {group: topics}).look()
    fell_off = sum(one.fell_off for one in broker_groups.lag(declared.kafka, group, topics))
    if fell_off:
        raise _Wrong(
            f"{group}: retention removed {counted(fell_off, 'record')} before they were read",
            "lengthen retention; the reconciler sends again what has no receipt",
        )
    if not row.members:
        waits = counted(row.behind, "record waits", "records wait")
        raise _Wrong(f"nobody reads for {group}; {waits}", f"olvido {_command_for(group)}")
    return f"{group}: {counted(row.members, 'member')}, {counted(row.behind, 'record')} behind"


def _command_for(group: str) -> str:
    kind, _, name = group.removeprefix("olvido.").partition(".")
    return f"run {kind} {name}".rstrip()


def _check_owed(declared: Deployment) -> str:
    overview = Figures(database(declared)).overview()
    oldest = overview["oldest_owed_at"]
    owed = counted(overview["tasks_owed"], "task waits", "tasks wait")
    if oldest is not None and datetime.now(UTC) - oldest > OWED_TOO_LONG:
        raise _Wrong(
            f"{owed} for a receipt, the oldest since {oldest:%Y-%m-%d %H:%M}Z",
            "find the sink that does not answer: olvido status",
        )
    return f"{owed} for a receipt, none for long"


def _check_audit(declared: Deployment) -> str:
    reread = Figures(database(declared)).overview()["reread"]
    if reread:
        return f"the offset audit has found and re-read {counted(reread, 'record')} committed over"
    return "the offset audit has found nothing committed over"


def _check_dead_letters(declared: Deployment) -> str:
    count = Figures(database(declared)).overview()["dead_letters"]
    if count:
        raise _Wrong(_letters_wait(count), "olvido dead-letters list --group-by cause")
    return "no open dead letters"


def _process(part: stack.PartStatus) -> Process:
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
        said = error.read(1000).decode(errors="replace").strip()
        return said if error.code == HTTPStatus.SERVICE_UNAVAILABLE else ""
    except URLError as error:
        # Nothing listens there: its state says that. What listens and is silent stands still.
        return NO_ANSWER if isinstance(error.reason, TimeoutError) else ""
    except TimeoutError:
        return NO_ANSWER
    except OSError:
        return ""


def _reader(one: broker_groups.GroupFigures) -> Reader:
    return Reader(
        reader=one.group,
        state=one.state.lower(),
        members=one.members,
        behind=one.behind,
        handled=one.handled,
    )


def _told(problems: list[str], ask: Callable[[], list[T]]) -> list[T]:
    try:
        return ask()
    except OlvidoError as error:
        if str(error) not in problems:
            problems.append(str(error))
        return []
