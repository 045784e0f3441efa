"""Every part checked at its place: whether it answers, fits what is declared, and what to do if not."""

import stat
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import chain
from operator import itemgetter
from pathlib import Path

from olvido.broker import groups as broker_groups
from olvido.broker.login import login_of
from olvido.core.errors import ConfigError, OlvidoError, Unavailable
from olvido.core.sinks import OperationKind
from olvido.ledger import schema
from olvido.ledger.clocks import check_clock
from olvido.ledger.figures import Figures
from olvido.operators.desk import audit
from olvido.operators.desk import topics as desk_topics
from olvido.operators.desk.health import OWED_TOO_LONG, due_now, erasures_wait, letters_wait, too_late
from olvido.operators.desk.held import waiting
from olvido.operators.desk.ledger import database
from olvido.operators.desk.sink_operations import newest
from olvido.operators.desk.text import counted
from olvido.operators.settings import deployment, private_keys, signing_files, with_lines
from olvido.schemas.calendars import calendar_of
from olvido.schemas.privacy.handle_key import HandleKey
from olvido.schemas.privacy.opening import Opener
from olvido.schemas.privacy.sealing import Sealer
from olvido.schemas.private_files import is_open_to_others
from olvido.schemas.registry import Registry
from olvido.schemas.settings.deployment import Deployment, KeysSection
from olvido.schemas.tls import ends_of
from olvido.schemas.topics import readers_of
from olvido.sinks.contract import Knowing, TellingLineage
from olvido.sinks.plugins import load_sink

AT_ONCE = 8  # checks; each mostly waits
CERTIFICATE_LEFT_MIN = timedelta(days=30)
KAFKA, REGISTRY, LEDGER = "kafka", "registry", "ledger"


class FindingRemedy(StrEnum):
    """What a person does about a finding. A face of the desk names the command for it."""

    START_PART = "start_part"
    CREATE_KEYS = "create_keys"
    CLOSE_KEYS = "close_keys"  # so that their owner alone can read them
    RUN_READER = "run_reader"
    LENGTHEN_RETENTION = "lengthen_retention"
    FIND_SILENT_SINK = "find_silent_sink"
    DECIDE_DEAD_LETTERS = "decide_dead_letters"
    ANSWER_OVERDUE = "answer_overdue"
    DECIDE_HELD = "decide_held"  # two people, about the erasures above a limit
    DECLARE_RESTORE = "declare_restore"  # of a sink, with what it did from an instant on
    AS_TOLD = "as_told"  # the part that found the fault says what to do


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one check has found."""

    text: str
    remedy: FindingRemedy | None = None  # none where all is well
    about: str = ""  # what the remedy is for: a group, a folder, a sink, or what is to be done itself
    since: datetime | None = None  # the instant that the remedy speaks of, if it speaks of one
    slow: tuple[str, ...] = ()  # what is right and takes long, a sentence for each

    @property
    def good(self) -> bool:
        """Whether nothing is wrong."""
        return self.remedy is None


def examine(directory: Path) -> list[Finding]:
    """Check every part, many at a time. Each finding that is not good says what to do.

    What stands on a part that does not answer is not asked: it would say the same again, and take its time.

    Raises:
        ConfigError: olvido.toml is missing or wrong.
    """
    declared = deployment()
    parts: dict[str, Check] = {
        KAFKA: lambda: _check_broker(declared),
        REGISTRY: lambda: _check_registry(declared),
        LEDGER: lambda: _check_ledger(declared),
    }
    checks: list[tuple[frozenset[str], Check]] = [
        (frozenset({KAFKA, REGISTRY}), lambda: _check_topics(declared)),
        (frozenset({LEDGER}), lambda: _check_clock(declared)),
        (frozenset(), lambda: _check_producer_keys(declared, directory)),
        *([(frozenset(), lambda: _check_certificates(declared))] if _has_certificates(declared) else []),
        *(
            (frozenset(), lambda region=region: _check_region_key(region, directory))
            for region in declared.regions
        ),
        *((frozenset(), lambda name=name: _check_sink(declared, name)) for name in declared.sinks),
        *((frozenset({LEDGER}), lambda name=name: _check_memory(declared, name)) for name in declared.sinks),
        (frozenset({KAFKA}), lambda: _check_readers(declared)),
        (frozenset({LEDGER}), lambda: _check_acts(declared)),
        (frozenset({LEDGER}), lambda: _check_figures(declared)),
    ]
    text = f"olvido.toml: {counted(len(declared.sinks), 'sink')}, regions {', '.join(declared.regions)}"
    with ThreadPoolExecutor(AT_ONCE) as threads:
        of_parts = dict(zip(parts, threads.map(_findings, parts.values()), strict=True))
        down = {name for name, found in of_parts.items() if not all(one.good for one in found)}
        rest = threads.map(_findings, [check for needed, check in checks if not needed & down])
        return [Finding(text=text), *chain.from_iterable([*of_parts.values(), *rest])]


def _has_certificates(declared: Deployment) -> bool:
    of_registry = (declared.registry.certificate_file, declared.registry.ca_file)
    return any(of_registry) or any(name.startswith("ssl.") for name in declared.kafka.options)


class _Wrong(OlvidoError):
    """Something is wrong, and there is a remedy."""

    def __init__(self, text: str, remedy: FindingRemedy, about: str = "") -> None:
        super().__init__(text)
        self.remedy = remedy
        self.about = about


Check = Callable[[], str | Sequence[Finding]]


def _findings(check: Check) -> Sequence[Finding]:
    try:
        found = check()
    except _Wrong as wrong:
        return [Finding(text=str(wrong), remedy=wrong.remedy, about=wrong.about)]
    except Unavailable as error:
        return [Finding(text=str(error), remedy=FindingRemedy.START_PART)]
    except ConfigError as error:
        text, _, fix = with_lines(error).partition("; ")
        return [Finding(text=text, remedy=FindingRemedy.AS_TOLD, about=fix)]
    return [Finding(text=found)] if isinstance(found, str) else found


def _check_broker(declared: Deployment) -> str:
    cluster = broker_groups.reach(declared.kafka)
    at = declared.kafka.bootstrap_servers
    return f"Kafka at {at}: cluster {cluster.cluster_id}, {counted(cluster.brokers, 'broker')}"


def _check_registry(declared: Deployment) -> str:
    Registry(declared.registry).reach()
    return f"schema registry at {declared.registry.url} answers"


def _check_topics(declared: Deployment) -> str:
    desk_topics.check(declared)
    return "topics and schemas are as declared"


def _check_ledger(declared: Deployment) -> str:
    schema.check(declared.ledger_dsn)
    return "ledger database answers, all migrations applied"


def _check_clock(declared: Deployment) -> str:
    try:
        skew = check_clock(database(declared), datetime.now(UTC))
    except Unavailable as error:
        text, _, fix = str(error).partition(": ")
        raise _Wrong(text, FindingRemedy.AS_TOLD, fix) from None
    return f"our clock and the ledger's agree within {max(1, round(skew.total_seconds()))} s"


def _check_producer_keys(declared: Deployment, directory: Path) -> str:
    HandleKey.load(directory / declared.keys.handle_file)
    _check_modes(declared.keys, directory)
    sealer = Sealer(directory / declared.keys.public_dir, directory / declared.keys.signing_file)
    missing = sorted(set(declared.regions) - set(sealer.regions))
    if missing:
        raise _Wrong(f"no public key for region {', '.join(missing)}", FindingRemedy.CREATE_KEYS)
    return f"handle key, key of principal {sealer.principal}, and public keys for {', '.join(sealer.regions)}"


def _check_modes(keys: KeysSection, directory: Path) -> None:
    # With the settings' own those of the other principals, which `olvido keys create` makes here.
    signing = {directory / keys.signing_file, *signing_files(directory)}
    secrets = {directory / keys.handle_file: "handle key", **dict.fromkeys(sorted(signing), "signing key")}
    for place, name in secrets.items():
        if place.exists() and is_open_to_others(place):
            text = f"the {name} {place} can be read by others"
            raise _Wrong(text, FindingRemedy.AS_TOLD, f"chmod 600 {place}")
    public = directory / keys.public_dir
    for place in (public, *public.glob("*.pem")):
        if place.stat().st_mode & stat.S_IWOTH:
            text = f"anybody here can change {place}, and so choose who opens what is sealed"
            raise _Wrong(text, FindingRemedy.AS_TOLD, f"chmod o-w {place}")


def _check_certificates(declared: Deployment) -> str:
    """Whether the certificates that the settings name hold for a while yet.

    Of what we trust one authority is enough: a file of many holds some that are out of date.
    """
    registry, now = declared.registry, datetime.now(UTC)
    login = login_of(declared.kafka)
    shown = [*login.certificates_shown, registry.certificate_file]
    trusted = [*login.certificates_trusted, registry.ca_file]
    ends = {
        **{file: min(ends_of(file)) for file in shown if file is not None},
        **{file: max(ends_of(file)) for file in trusted if file is not None and file.is_file()},
    }
    for file, end in sorted(ends.items(), key=itemgetter(1)):
        if end - now < CERTIFICATE_LEFT_MIN:
            text = f"the certificate {file} is out of date on {end:%Y-%m-%d}"
            raise _Wrong(text, FindingRemedy.AS_TOLD, "have it made anew, then start what reads it again")
    return f"{counted(len(ends), 'file')} of certificates, none out of date within a month"


def _check_region_key(region: str, directory: Path) -> str:
    folder = private_keys(region, directory)
    if not folder.exists():
        return f"private keys of {region} are not on this machine"
    Opener(region, folder)
    loose = [path.name for path in folder.glob("*.pem") if is_open_to_others(path)]
    if loose:
        text = f"private key {loose[0]} of {region} can be read by others"
        raise _Wrong(text, FindingRemedy.CLOSE_KEYS, str(folder))
    return f"private keys of {region}, readable by their owner only"


def _check_sink(declared: Deployment, name: str) -> Sequence[Finding]:
    sink = load_sink(declared, name)
    try:
        slow = sink.check()
        lineage = sink.lineage() if isinstance(sink, TellingLineage) else None
    finally:
        sink.close()
    fits = Finding(text=f"sink {name}: target answers and fits its data map", slow=tuple(slow))
    if lineage is None or lineage.left_at is None:
        return [fits]
    return [fits, _of_lineage(declared, name, lineage.left_at)]


def _of_lineage(declared: Deployment, sink: str, left_at: datetime) -> Finding:
    """A fail-over loses what the replica did not have yet, as a backup loses what came after it."""
    text = f"sink {sink}: its target failed over or was restored after {left_at:%Y-%m-%d %H:%M:%S}Z"
    if name := _declared_since(declared, sink, left_at):
        return Finding(text=f"{text}, and {name} is declared")
    text += ": what it did since may be lost, and people be back"
    return Finding(text=text, remedy=FindingRemedy.DECLARE_RESTORE, about=sink, since=left_at)


def _check_memory(declared: Deployment, sink: str) -> Sequence[Finding]:
    """Whether a target remembers what it has answered: whatever was put back in its place does not.

    What it does not know is asked again by a restore, and by then is none of its newest answers.
    """
    answers = Figures(database(declared)).newest_answers(sink)
    try:
        with closing(load_sink(declared, sink)) as target:
            if not answers or not isinstance(target, Knowing):
                return []
            lost = answers.keys() - target.known(answers)
    except (ConfigError, Unavailable):
        return []  # the check of the target says so
    newest_ones = f"its newest {counted(len(answers), 'answer')}"
    if not lost:
        return [Finding(text=f"sink {sink}: the target remembers {newest_ones}")]
    since = min(answers[key] for key in lost)
    text = (
        f"sink {sink}: the target does not remember {len(lost)} of {newest_ones}, the first of "
        f"{since:%Y-%m-%d %H:%M:%S}Z: it was restored or failed over, and people may be back"
    )
    return [Finding(text=text, remedy=FindingRemedy.DECLARE_RESTORE, about=sink, since=since)]


def _declared_since(declared: Deployment, sink: str, at: datetime) -> str | None:
    restores = newest(declared, OperationKind.RESTORE, sink=sink, limit=1)
    return restores[0].name if restores and restores[0].began_at >= at else None


def _check_readers(declared: Deployment) -> Sequence[Finding]:
    return [
        _of_reader(one) for one in broker_groups.Groups(declared.kafka, readers_of(declared.sinks)).look()
    ]


def _of_reader(one: broker_groups.GroupFigures) -> Finding:
    if one.fell_off:
        text = f"{one.group}: retention removed {counted(one.fell_off, 'record')} before they were read"
        return Finding(text=text, remedy=FindingRemedy.LENGTHEN_RETENTION)
    if not one.members:
        waits = counted(one.behind, "record waits", "records wait")
        text = f"nobody reads for {one.group}; {waits}"
        return Finding(text=text, remedy=FindingRemedy.RUN_READER, about=one.group)
    text = f"{one.group}: {counted(one.members, 'member')}, {counted(one.behind, 'record')} behind"
    return Finding(text=text)


def _check_acts(declared: Deployment) -> Sequence[Finding]:
    found = audit.chain(declared)
    if fault := audit.broken(found):
        fix = "compare the ledger with a backup, and find out who could write there"
        return [Finding(text=fault, remedy=FindingRemedy.AS_TOLD, about=fix)]
    return [Finding(text=f"the record of {counted(found.acts, 'act')} is as it was written")]


def _check_figures(declared: Deployment) -> Sequence[Finding]:
    figures = Figures(database(declared))
    overview = figures.overview()
    return [
        _of_owed(overview["tasks_owed"], overview["oldest_owed_at"]),
        _of_audit(overview["reread"]),
        _of_dead_letters(overview["dead_letters"]),
        _of_brake(waiting(declared)),
        _of_last_days(due_now(figures)["requests_overdue"]),
        *_of_calendars(declared),
    ]


def _of_owed(count: int, oldest: datetime | None) -> Finding:
    owed = counted(count, "task waits", "tasks wait")
    if oldest is not None and datetime.now(UTC) - oldest > OWED_TOO_LONG:
        text = f"{owed} for a receipt, the oldest since {oldest:%Y-%m-%d %H:%M}Z"
        return Finding(text=text, remedy=FindingRemedy.FIND_SILENT_SINK)
    return Finding(text=f"{owed} for a receipt, none for long")


def _of_audit(reread: int) -> Finding:
    if reread:
        return Finding(
            text=f"the offset audit has found and re-read {counted(reread, 'record')} committed over"
        )
    return Finding(text="the offset audit has found nothing committed over")


def _of_dead_letters(count: int) -> Finding:
    if count:
        return Finding(text=letters_wait(count), remedy=FindingRemedy.DECIDE_DEAD_LETTERS)
    return Finding(text="no open dead letters")


def _of_brake(count: int) -> Finding:
    if count:
        return Finding(text=erasures_wait(count), remedy=FindingRemedy.DECIDE_HELD)
    return Finding(text="the brake holds no erasures")


def _of_last_days(overdue: int) -> Finding:
    if overdue:
        return Finding(text=too_late(overdue), remedy=FindingRemedy.ANSWER_OVERDUE)
    return Finding(text="no open request is overdue")


def _of_calendars(declared: Deployment) -> list[Finding]:
    """Last days are worked out some months ahead; a calendar that ends before makes them provisional."""
    sections = (declared.law, *declared.law.jurisdictions.values())
    known = {one.calendar: calendar_of(one.calendar) for one in sections if one.calendar is not None}
    return [
        Finding(
            text=f"the calendar {code} knows its holidays until {calendar.known_until}; "
            "a last day after it is provisional"
        )
        for code, calendar in known.items()
    ]
