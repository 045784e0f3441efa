"""How everything is: what runs, how far each reader is, what is wrong and what to do about it."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from olvido.broker import admin
from olvido.core.errors import ConfigError, OlvidoError, Unavailable
from olvido.core.sinks import Standing
from olvido.ledger import schema
from olvido.ledger.clocks import check_clock
from olvido.ledger.connection import Database
from olvido.ledger.figures import Figures
from olvido.ledger.sink_operations import SinkOperations
from olvido.operators.cli.output import span
from olvido.operators.local import stack
from olvido.operators.settings import deployment, private_keys
from olvido.processors.figures import readers_of
from olvido.schemas.privacy.sealing import HandleKey, Opener, Sealer
from olvido.schemas.registry import Registry
from olvido.schemas.settings.deployment import Deployment

OWED_TOO_LONG = timedelta(minutes=10)
AT_ONCE = 8  # checks; each mostly waits
KAFKA, REGISTRY, LEDGER = "kafka", "registry", "ledger"

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One screen of `olvido status`."""

    processes: list[Row] = field(default_factory=list)
    readers: list[Row] = field(default_factory=list)
    ledger: Row = field(default_factory=dict)
    sinks: list[Row] = field(default_factory=list)
    dead_letters: list[Row] = field(default_factory=list)  # that nobody has decided about, by cause
    problems: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON has it."""
        return {
            "processes": self.processes,
            "readers": self.readers,
            "ledger": self.ledger,
            "sinks": self.sinks,
            "dead_letters": self.dead_letters,
            "problems": self.problems,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of `olvido doctor`."""

    good: bool
    text: str
    fix: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The finding as JSON has it."""
        return {"good": self.good, "text": self.text, "fix": self.fix}


def overall(directory: Path) -> Report:
    """Look at everything once. What does not answer is a problem, not an exception.

    Raises:
        ConfigError: olvido.toml is missing or wrong.
    """
    declared = deployment()
    problems: list[str] = []
    processes = [_process(part) for part in stack.status(directory)]
    problems += [
        f"{row['name']} is {row['state']}; see {row['log']}"
        for row in processes
        if row["state"] not in {"running", "starting", "given"}
    ]
    groups = admin.Groups(declared.kafka, readers_of(declared))
    readers = _told(problems, lambda: [_reader(one) for one in groups.look()])
    problems += [
        f"nobody reads for {row['reader']}; {row['behind']} records wait"
        for row in readers
        if not row["members"]
    ]
    database = Database(declared.ledger_dsn, application="olvido.status")
    ledger = _told(problems, lambda: [Figures(database).overview()])
    sinks = _told(problems, lambda: _sinks(declared, database, problems))
    dead_letters = _told(problems, Figures(database).dead_letters_by_cause)
    return Report(
        processes=processes,
        readers=readers,
        ledger=ledger[0] if ledger else {},
        sinks=sinks,
        dead_letters=dead_letters,
        problems=problems,
    )


def _sinks(declared: Deployment, database: Database, problems: list[str]) -> list[Row]:
    """Every sink: what it has been asked, what it owes and since when, and whether it can be relied on."""
    counted = {row["sink"]: row for row in Figures(database).by_sink()}
    owed = {row["sink"]: row for row in Figures(database).owed_by_sink()}
    standings = SinkOperations(database).standings()
    rows: list[Row] = []
    for name in [*declared.sinks, *sorted(counted.keys() - declared.sinks)]:
        none = {"sink": name, "tasks": 0, "answered": 0, "parked": 0, "resent": 0}
        standing, operation = standings.get(name, (Standing.LIVE, None))
        owing = owed.get(name, {"owed": 0, "oldest_at": None})
        rows.append(
            {
                **counted.get(name, none),
                "owed": owing["owed"],
                "oldest_owed_at": owing["oldest_at"],
                "standing": standing,
            }
        )
        if owing["oldest_at"] is not None and datetime.now(UTC) - owing["oldest_at"] > OWED_TOO_LONG:
            age = span(datetime.now(UTC) - owing["oldest_at"])
            problems.append(f"{name} owes {owing['owed']} receipts, the oldest for {age}; its log says why")
        if operation is not None:
            problems.append(
                f"{name} is {standing.value} since {operation.since:%Y-%m-%d %H:%M}Z; "
                f"see: olvido {operation.kind.value} show {operation.name}"
            )
    return rows


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
    text = f"olvido.toml: {len(declared.sinks)} sinks, regions {', '.join(declared.regions)}"
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
    cluster = admin.reach(declared.kafka)
    at = declared.kafka.bootstrap_servers
    return f"Kafka at {at}: cluster {cluster.cluster_id}, {cluster.brokers} broker(s)"


def _check_registry(declared: Deployment) -> str:
    Registry(declared.registry.url).knows(1)
    return f"schema registry at {declared.registry.url} answers"


def _check_topics(declared: Deployment) -> str:
    admin.check(declared.kafka, Registry(declared.registry.url), declared.catalogue)
    return "topics and schemas are as declared"


def _check_ledger(declared: Deployment) -> str:
    schema.check(declared.ledger_dsn)
    return "ledger database answers, all migrations applied"


def _database(declared: Deployment) -> Database:
    return Database(declared.ledger_dsn, application="olvido.doctor")


def _check_clock(declared: Deployment) -> str:
    try:
        skew = check_clock(_database(declared), datetime.now(UTC))
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
    [row] = admin.Groups(declared.kafka, {group: topics}).look()
    fell_off = sum(one.fell_off for one in admin.lag(declared.kafka, group, topics))
    if fell_off:
        raise _Wrong(
            f"{group}: retention removed {fell_off} records before they were read",
            "lengthen retention; the reconciler sends again what has no receipt",
        )
    if not row.members:
        raise _Wrong(f"nobody reads for {group}; {row.behind} records wait", f"olvido {_command_for(group)}")
    return f"{group}: {row.members} member(s), {row.behind} records behind"


def _command_for(group: str) -> str:
    kind, _, name = group.removeprefix("olvido.").partition(".")
    return f"run {kind} {name}".rstrip()


def _check_owed(declared: Deployment) -> str:
    overview = Figures(_database(declared)).overview()
    oldest = overview["oldest_owed_at"]
    if oldest is not None and datetime.now(UTC) - oldest > OWED_TOO_LONG:
        raise _Wrong(
            f"{overview['tasks_owed']} tasks wait for a receipt, the oldest since {oldest:%Y-%m-%d %H:%M}Z",
            "find the sink that does not answer: olvido status",
        )
    return f"{overview['tasks_owed']} tasks wait for a receipt, none for long"


def _check_audit(declared: Deployment) -> str:
    reread = Figures(_database(declared)).overview()["reread"]
    if reread:
        return f"the offset audit has found and re-read {reread} records that were committed over"
    return "the offset audit has found nothing committed over"


def _check_dead_letters(declared: Deployment) -> str:
    count = Figures(_database(declared)).overview()["dead_letters"]
    return f"{count} dead letters" + ("; see: olvido dead-letters list" if count else "")


def _process(part: stack.PartStatus) -> Row:
    return {
        "name": part.name,
        "kind": part.kind,
        "state": part.state,
        "pid": part.pid,
        "address": part.address,
        "uptime": part.uptime,
        "restarts": part.restarts,
        "log": str(part.log) if part.log else "its own log",
    }


def _reader(one: admin.GroupFigures) -> dict[str, Any]:
    return {
        "reader": one.group,
        "state": one.state.lower(),
        "members": one.members,
        "behind": one.behind,
        "handled": one.handled,
    }


def _told(problems: list[str], ask: Callable[[], list[Any]]) -> list[Any]:
    try:
        return ask()
    except OlvidoError as error:
        if str(error) not in problems:
            problems.append(str(error))
        return []
