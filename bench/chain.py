"""From a call of the SDK to the last receipt: how many a second, how soon, and what the processes take.

    python bench/chain.py [--runs 5] [--part rate] [--requests 5000] [--seconds 10] [--minutes 0] [--keep]

Starts its own broker, registry, database and processes: processors, recorder and five PostgreSQL sinks. Who
asks runs beside them, on the same cores. Nothing is told unless all that was asked is done, in the ledger and
in each target. With defaults it takes some ten minutes on two idle cores.
"""

import contextlib
import itertools
import math
import statistics
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import psutil
import psycopg2
from figures import Comparison, Curve, Runs, options, tell
from psycopg2.extensions import connection
from stage import SINKS, Measured, staged

from olvido.broker.contract import Record
from olvido.broker.groups import group_state
from olvido.broker.kafka import KafkaPublisher
from olvido.operators.local.probes import kafka_answers, postgres_refuses, registry_answers
from olvido.producers import Batch, Producer
from olvido.producers.build import Builder
from olvido.producers.emitter import Emitter, Writer
from olvido.schemas.registry import Registry
from olvido.schemas.topics import PROCESSORS_GROUP, RECORDER_GROUP

PARTS = ("rate", "latency", "consent", "footprint")
SHARED = {"processors": PROCESSORS_GROUP, "recorder": RECORDER_GROUP}  # programs whose group may have two
DOUBLED = {
    "one of each": (),
    "two processors": ("processors",),
    "two recorders": ("recorder",),
    "two of both": ("processors", "recorder"),
}
REGIONS = sorted(set(SINKS.values()))
SHOWN = ("processors", "recorder", "sink-crm", "kafka", "registry", "postgres")
WARM_UP = 500  # a backlog before the first that counts
WARM_UP_S = 5
RATES = (10, 100, 1000)  # requests/s
CONSENT_RATES = (10, 100)  # withdrawals/s
STEADY_RATE = 50  # requests/s, while memory is watched
SINGLY_MAX = 100  # a second; more are asked for in batches, one a tick
TICK_S = 0.05
POLL_S = 0.1
READY_POLL_S = 0.02
SAMPLE_S = 10.0
REST_S = 3.0  # after the processes are ready, before they count as idle
STILL_S_MAX = 60.0  # nothing more is done for this long: given up
SETTLE_S_MAX = 120.0  # from the last call to the last receipt, of a rate that was offered
READY_S_MAX = 60.0

FINISHED = "select count(*) from requests where request_id between %s and %s and finished_at is not null"
# What was saved has its tasks, and what is owed has an index: cheap enough to be asked often.
ANSWERED = """
select %(sinks)s * (select count(*) from consent_changes where event_id between %(first)s and %(last)s)
     - (select count(*) from tasks where (outcome is null or outcome = 'deferred') and parked is null)
"""
# Deferred to the commit: what is seen then is there for others a moment later.
WITNESS = """
create table {table} (who {kind} not null, at timestamptz not null);
create function {table}_now() returns trigger security definer language plpgsql as
    $$ begin insert into public.{table} values (new.{column}, clock_timestamp()); return null; end $$;
create constraint trigger {table} after update on {of} deferrable initially deferred for each row
    when ({when}) execute function {table}_now();
"""
IN_TARGET = WITNESS.format(
    table="bench_seen", kind="text", column="email", of="people",
    when="old.marketing_allowed and not new.marketing_allowed",
)  # fmt: skip
IN_LEDGER = WITNESS.format(
    table="bench_answered", kind="uuid", column="source_id", of="tasks",
    when="old.outcome is null and new.outcome is not null",
)  # fmt: skip
NO_WITNESS = "drop table {table}; drop function {table}_now() cascade"

Call = Callable[[Emitter[Any], str], Any]  # asks something about an e-mail address


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One thing that was asked."""

    id: UUID
    email: str
    due: datetime  # the instant of the call, by plan: what the caller is late by counts as well


class Kept:
    """A publisher that keeps what it is given, to be sent all at once."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def publish(self, records: Sequence[Record]) -> None:
        """Keep them."""
        self.records += records


def main() -> None:
    """Measure what was chosen."""
    parser = options(__doc__)
    parser.add_argument("--part", action="append", choices=PARTS, help="measure this alone; repeat it")
    parser.add_argument("--requests", type=int, default=5_000, help="how many make a backlog")
    parser.add_argument("--seconds", type=float, default=10, help="how long each rate is offered")
    parser.add_argument(
        "--minutes", type=int, default=0, help="how long memory is watched, and without --part nothing else"
    )
    arguments = parser.parse_args()
    parts = arguments.part or (() if arguments.minutes else PARTS)
    figures: list[Comparison | Curve] = []
    with staged() as stage, opened(stage.stack.ledger_owner_dsn) as ledger:
        if {"rate", "footprint"} & set(parts):
            rates, memory = backlogs(stage, ledger, arguments.runs, arguments.requests)
            figures += [rates] if "rate" in parts else []
            figures += [memory] if "footprint" in parts else []
        if "latency" in parts:
            figures += latencies(stage, ledger, arguments.runs, arguments.seconds)
        if "consent" in parts:
            figures.append(consent_rate(stage, ledger, arguments.runs, arguments.requests))
            figures.append(consent_latencies(stage, ledger, arguments.runs, arguments.seconds))
        if arguments.minutes:
            figures.append(memory_over_time(stage, ledger, arguments.minutes))
        if "footprint" in parts:
            figures.append(starts(stage, arguments.runs))
    tell("chain", figures, keep=arguments.keep)


# --- a backlog --------------------------------------------------------------------------------------


def backlogs(stage: Measured, ledger: connection, runs: int, count: int) -> tuple[Comparison, Curve]:
    """Erasures that are all there at once, by one of each and two of some, in turns; memory too."""
    rates: dict[str, Runs] = {name: [] for name in DOUBLED}
    memory: dict[str, dict[float, Runs]] = {name: {} for name in SHOWN}
    handled = 0
    with stage.running(more=dict.fromkeys(SHARED, 1)):
        double(stage, ())
        time.sleep(REST_S)
        note(memory, 0, stage)
        erase_backlog(stage, ledger, "warm-up", WARM_UP)
        handled += WARM_UP
        for turn in range(runs):
            for place, (name, found) in enumerate(rates.items()):
                double(stage, DOUBLED[name])
                found.append(erase_backlog(stage, ledger, f"backlog-{turn}-{place}", count))
                say(f"run {turn + 1}, {name}: {found[-1]:,.0f} requests/s")
                handled += count
            note(memory, handled, stage)
    return (
        Comparison(
            title="a backlog of erasures, to the last receipt",
            unit="requests/s",
            against="one of each",
            runs=rates,
        ),
        Curve(
            title="memory of each process (RSS; PostgreSQL: PSS), at first and after erasures",
            x="requests handled",
            y="MB",
            lines=memory,
        ),
    )


def erase_backlog(stage: Measured, ledger: connection, label: str, count: int) -> float:
    """Requests/s from when they are sent to the last receipt.

    They are made before, sealed and encoded, and all the processes wait for them: neither costs anything.
    """
    emails = insert_people(stage, label, count)
    ids, records = made(stage, [(erase, email) for email in emails])
    began = send(stage, records)
    first, last = str(min(ids)), str(max(ids))
    settle(lambda: number(ledger, FINISHED, (first, last)), count, f"requests of {label}")
    check_erased(stage, ledger, label, ids)
    [(ended,)] = rows(
        ledger, "select max(finished_at) from requests where request_id between %s and %s", (first, last)
    )
    return count / float((ended - began).total_seconds())


def made(stage: Measured, calls: Sequence[tuple[Call, str]]) -> tuple[list[UUID], list[Record]]:
    """What the SDK would send, and the ids."""
    deployment, kept = stage.deployment, Kept()
    writer = Writer(Builder.of(deployment), Registry(deployment.registry), source=deployment.source)
    with Batch(writer, kept.publish) as batch:
        ids = [call(batch, email) for call, email in calls]
    assert len(kept.records) == len(calls)
    return ids, kept.records


def send(stage: Measured, records: Sequence[Record]) -> datetime:
    """Have it all on the topics; when that began."""
    with KafkaPublisher(stage.deployment.kafka, client_id="bench-chain") as publisher:
        began = datetime.now(UTC)
        publisher.publish(records)
    return began


# --- a rate that is offered -------------------------------------------------------------------------


def latencies(stage: Measured, ledger: connection, runs: int, seconds: float) -> list[Comparison | Curve]:
    """From the call to the last receipt in the ledger, at some rates in turns; and what rate was reached."""
    times: dict[str, dict[float, Runs]] = {
        name: {rate: [] for rate in RATES} for name in ("p50", "p95", "p99")
    }
    reached: dict[float, Runs] = {rate: [] for rate in RATES}
    with stage.running(), Producer.of(stage.deployment) as producer:
        erase_offered(stage, ledger, producer, "warm-up-offered", RATES[1], WARM_UP_S)
        for turn, rate in itertools.product(range(runs), RATES):
            asked, finished = erase_offered(stage, ledger, producer, f"offered-{turn}-{rate}", rate, seconds)
            took = [milliseconds(finished[one.id] - one.due) for one in asked]
            add_percentiles(times, rate, took)
            span = max(finished.values()) - asked[0].due
            reached[rate].append(len(asked) / span.total_seconds())
            say(
                f"run {turn + 1}, {rate}/s offered: {reached[rate][-1]:,.0f}/s reached, "
                f"p50 {times['p50'][rate][-1]:,.0f} ms, p99 {times['p99'][rate][-1]:,.0f} ms"
            )
    for offered, found in reached.items():
        if statistics.median(found) * (seconds + 1) < offered * seconds:
            say(f"{offered} requests/s are more than it keeps up with here: what waits grows with --seconds")
    return [
        Curve(title="request to fulfilled: time", x="requests/s offered", y="ms", lines=times),
        Curve(
            title="request to fulfilled: rate reached",
            x="requests/s offered",
            y="requests/s",
            lines={"reached, to the last one's end": reached},
        ),
    ]


def erase_offered(
    stage: Measured, ledger: connection, producer: Producer, label: str, rate: float, seconds: float
) -> tuple[list[Asked], Mapping[UUID, datetime]]:
    """Ask for erasures evenly; what was asked, and when each was finished."""
    emails = insert_people(stage, label, round(rate * seconds))
    asked = offer(producer, emails, rate, erase)
    ids = [one.id for one in asked]
    span = (str(min(ids)), str(max(ids)))
    settle(lambda: number(ledger, FINISHED, span), len(ids), f"requests of {label}", most_s=SETTLE_S_MAX)
    check_erased(stage, ledger, label, ids)
    finished = rows(
        ledger, "select request_id::text, finished_at from requests where request_id between %s and %s", span
    )
    return asked, {UUID(request_id): at for request_id, at in finished}


def offer(producer: Producer, emails: Sequence[str], rate: float, call: Call) -> list[Asked]:
    """Ask evenly: one call each, or from some rate on a batch each tick, whose requests share its instant."""
    size = 1 if rate <= SINGLY_MAX else round(rate * TICK_S)
    asked: list[Asked] = []
    began, now = time.monotonic(), datetime.now(UTC)
    late = 0.0
    for start in range(0, len(emails), size):
        time.sleep(max(0.0, began + start / rate - time.monotonic()))
        late = max(late, time.monotonic() - began - start / rate)
        due = now + timedelta(seconds=start / rate)
        some = emails[start : start + size]
        if size == 1:
            ids = [call(producer, email).id for email in some]
        else:
            with producer.batch() as batch:
                ids = [call(batch, email) for email in some]
        asked += [Asked(id=id_, email=email, due=due) for id_, email in zip(ids, some, strict=True)]
    if late > 1:
        say(f"who asks was late by up to {late:.1f} s at {rate:.0f}/s; that is in the figures")
    return asked


def add_percentiles(
    times: Mapping[str, Mapping[float, Runs]], rate: float, took: Sequence[float], ending: str = ""
) -> None:
    """Put those that are wanted with the runs."""
    cuts = statistics.quantiles(took, n=100, method="inclusive")
    for name, cut in (("p50", cuts[49]), ("p95", cuts[94]), ("p99", cuts[98])):
        if name + ending in times:
            times[name + ending][rate].append(cut)


# --- consent ----------------------------------------------------------------------------------------


def consent_rate(stage: Measured, ledger: connection, runs: int, count: int) -> Comparison:
    """Changes that are all there at once, half of them withdrawals, to the last answer in the ledger."""
    found: Runs = []
    with stage.running():
        consent_backlog(stage, ledger, "consent-warm-up", WARM_UP)
        for turn in range(runs):
            found.append(consent_backlog(stage, ledger, f"consent-{turn}", count))
            say(f"run {turn + 1}: {found[-1]:,.0f} consent changes/s")
    return Comparison(
        title="a backlog of consent changes, to the last receipt",
        unit="changes/s",
        against="one processors",
        runs={"one processors": found},
    )


def consent_backlog(stage: Measured, ledger: connection, label: str, count: int) -> float:
    """Changes/s from when they are sent to the last receipt."""
    withdrawing = insert_people(stage, f"{label}-no", count // 2)
    granting = insert_people(stage, f"{label}-yes", count - count // 2, allowed=False)
    turns = itertools.zip_longest(granting, withdrawing)
    calls = [
        (call, email) for pair in turns for call, email in zip((grant, withdraw), pair, strict=True) if email
    ]
    ids, records = made(stage, calls)
    began = send(stage, records)
    ended = settle_consents(ledger, ids, label)
    check_consents(ledger, ids, {"suppressed": len(withdrawing), "consent_applied": len(granting)})
    check_people(stage, f"{label}-no", len(withdrawing), allowed=False)
    check_people(stage, f"{label}-yes", len(granting), allowed=True)
    return count / (ended - began).total_seconds()


def consent_latencies(stage: Measured, ledger: connection, runs: int, seconds: float) -> Curve:
    """From a withdrawal's call until the last target has it, and until the last receipt is in the ledger."""
    names = [f"{cut} to {end}" for end in ("the last target", "the ledger") for cut in ("p50", "p99")]
    times: dict[str, dict[float, Runs]] = {name: {rate: [] for rate in CONSENT_RATES} for name in names}
    with witnesses(stage, ledger), stage.running(), Producer.of(stage.deployment) as producer:
        withdraw_offered(stage, ledger, producer, "withdrawn-warm-up", CONSENT_RATES[-1], WARM_UP_S)
        for turn, rate in itertools.product(range(runs), CONSENT_RATES):
            asked = withdraw_offered(stage, ledger, producer, f"withdrawn-{turn}-{rate}", rate, seconds)
            seen, answered = last_seen(stage, asked), last_answered(ledger, asked)
            for ending, ends in (
                (" to the last target", [seen[one.email] for one in asked]),
                (" to the ledger", [answered[one.id] for one in asked]),
            ):
                took = [milliseconds(end - one.due) for one, end in zip(asked, ends, strict=True)]
                add_percentiles(times, rate, took, ending)
            say(
                f"run {turn + 1}, {rate} withdrawals/s: "
                + ", ".join(f"{name} {times[name][rate][-1]:,.0f} ms" for name in names)
            )
    return Curve(title="withdrawal to suppressed: time", x="withdrawals/s offered", y="ms", lines=times)


def withdraw_offered(
    stage: Measured, ledger: connection, producer: Producer, label: str, rate: float, seconds: float
) -> list[Asked]:
    """Withdraw consents evenly, and wait until all are."""
    emails = insert_people(stage, label, round(rate * seconds))
    asked = offer(producer, emails, rate, withdraw)
    ids = [one.id for one in asked]
    settle_consents(ledger, ids, label, most_s=SETTLE_S_MAX)
    check_consents(ledger, ids, {"suppressed": len(ids)})
    check_people(stage, label, len(emails), allowed=False)
    return asked


@contextlib.contextmanager
def witnesses(stage: Measured, ledger: connection) -> Iterator[None]:
    """Targets and ledger note by themselves when a word is kept and when a task is answered."""
    run(ledger, IN_LEDGER)
    for sink in SINKS:
        with opened(stage.dsn(sink)) as target:
            run(target, IN_TARGET)
    yield
    run(ledger, NO_WITNESS.format(table="bench_answered"))
    for sink in SINKS:
        with opened(stage.dsn(sink)) as target:
            run(target, NO_WITNESS.format(table="bench_seen"))


def last_seen(stage: Measured, asked: Sequence[Asked]) -> Mapping[str, datetime]:
    """When the last of the targets had it, by e-mail address."""
    last: dict[str, datetime] = {}
    for sink in SINKS:
        with opened(stage.dsn(sink)) as target:
            found = dict(rows(target, "select who, max(at) from bench_seen group by who"))
        for one in asked:
            last[one.email] = max(last.get(one.email, found[one.email]), found[one.email])
    return last


def last_answered(ledger: connection, asked: Sequence[Asked]) -> Mapping[UUID, datetime]:
    """When the last receipt was in the ledger, by id."""
    ids = [one.id for one in asked]
    found = rows(
        ledger,
        "select who::text, max(at), count(*) from bench_answered where who between %s and %s group by who",
        (str(min(ids)), str(max(ids))),
    )
    assert all(answers == len(SINKS) for _, _, answers in found)
    return {UUID(id_): at for id_, at, _ in found}


# --- what the processes take ------------------------------------------------------------------------


def starts(stage: Measured, runs: int) -> Comparison:
    """From the order to start until it is ready, each with nothing else going on. They ran here before."""
    supervisor, stack = stage.stack.supervisor, stage.stack
    known = supervisor.known()
    found: dict[str, Runs] = {name: [] for name in SHOWN}
    answers: dict[str, Callable[[], bool]] = {
        "postgres": lambda: postgres_refuses(stack.admin_dsn()) is None,
        "registry": partial(registry_answers, stack.registry_url),
        "kafka": partial(kafka_answers, stack.bootstrap_servers),
    }
    processes = [name for name in SHOWN if name not in answers]
    for _, name in itertools.product(range(runs), processes):
        found[name].append(start(stage, name, partial(is_ready, known[name]["address"])))
        supervisor.stop(name)
    for _ in range(runs):
        for part in reversed(answers):
            supervisor.stop(part)  # what stands on another first
        for part, answering in answers.items():
            found[part].append(start(stage, part, answering))
    for name, runs_ in found.items():
        say(f"{name} is ready after {statistics.median(runs_):.2f} s")
    return Comparison(title="start to ready", unit="s", against="processors", runs=found)


def start(stage: Measured, name: str, answers: Callable[[], bool]) -> float:
    """Start a program; the seconds until it answers."""
    began = time.perf_counter()
    stage.stack.supervisor.start(name)
    while not answers():
        if time.perf_counter() - began > READY_S_MAX:
            raise SystemExit(f"{name} was not ready after {READY_S_MAX:.0f} s")
        time.sleep(READY_POLL_S)
    return time.perf_counter() - began


def is_ready(address: str) -> bool:
    """Whether the process says so."""
    try:
        with urllib.request.urlopen(f"http://{address}/readyz", timeout=1) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def memory_over_time(stage: Measured, ledger: connection, minutes: int) -> Curve:
    """The memory of Olvido's processes under an even load; six samples a minute."""
    say(f"{STEADY_RATE} requests/s for {minutes} minutes")
    with stage.running(), Producer.of(stage.deployment) as producer, ThreadPoolExecutor(1) as pool:
        names = ["processors", "recorder", *(f"sink-{sink}" for sink in SINKS)]
        lines: dict[str, dict[float, Runs]] = {name: {} for name in names}
        began = time.monotonic()
        load = pool.submit(erase_offered, stage, ledger, producer, "steady", STEADY_RATE, minutes * 60)
        samples = minutes * 60 / SAMPLE_S
        for sample in range(round(samples) + 1):
            time.sleep(max(0.0, began + sample * SAMPLE_S - time.monotonic()))
            note(lines, sample * SAMPLE_S // 60, stage)
            if load.done():
                break
        load.result()
    return Curve(title=f"memory under {STEADY_RATE} requests/s", x="minutes", y="MB", lines=lines)


def note(lines: Mapping[str, dict[float, Runs]], x: float, stage: Measured) -> None:
    """Add what each process takes now."""
    pids = stage.pids()
    for name, line in lines.items():
        line.setdefault(x, []).append(megabytes(pids[name], shared=name == "postgres"))


def megabytes(pid: int, *, shared: bool) -> float:
    """A process and its children. Of memory that they share, each counts its share."""
    process = psutil.Process(pid)
    total = 0
    for one in (process, *process.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):  # a backend that ended meanwhile
            total += one.memory_full_info().pss if shared else one.memory_info().rss
    return total / 1e6


# --- upstream, targets, ledger ----------------------------------------------------------------------


def erase(emitter: Emitter[Any], email: str) -> Any:  # noqa: ANN401 - an id or what the broker accepted
    """Ask that somebody be forgotten."""
    return emitter.request_erasure(identities={"email": email}, regions=REGIONS)


def withdraw(emitter: Emitter[Any], email: str) -> Any:  # noqa: ANN401
    """Say that somebody agrees no longer."""
    return emitter.withdraw_consent(
        identities={"email": email}, purpose="marketing", occurred_at=datetime.now(UTC), regions=REGIONS
    )


def grant(emitter: Emitter[Any], email: str) -> Any:  # noqa: ANN401
    """Say that somebody agrees."""
    return emitter.grant_consent(
        identities={"email": email}, purpose="marketing", occurred_at=datetime.now(UTC), regions=REGIONS
    )


def insert_people(stage: Measured, label: str, count: int, *, allowed: bool = True) -> list[str]:
    """A row of each person in every target; the addresses."""
    emails = [f"{label}-{number}@example.es" for number in range(count)]
    for sink in SINKS:
        with opened(stage.dsn(sink)) as target:
            run(
                target,
                "insert into people (email, marketing_allowed) select unnest(%s), %s",
                (emails, allowed),
            )
            run(target, "analyze people")
    return emails


def check_erased(stage: Measured, ledger: connection, label: str, ids: Sequence[UUID]) -> None:
    """All are fulfilled, every task erased its row, and no row is left."""
    span = (str(min(ids)), str(max(ids)))
    states = rows(
        ledger, "select state, count(*) from requests where request_id between %s and %s group by state", span
    )
    assert dict(states) == {"fulfilled": len(ids)}, states
    check_tasks(ledger, ids, {"erased": len(ids)})
    for sink in SINKS:
        with opened(stage.dsn(sink)) as target:
            left = number(target, "select count(*) from people where email like %s", (f"{label}-%",))
            assert left == 0, f"{left} rows of {label} are left in {sink}"


def check_consents(ledger: connection, ids: Sequence[UUID], outcomes: Mapping[str, int]) -> None:
    """All were recorded, and every task was carried out."""
    saved = number(
        ledger,
        "select count(*) from consent_changes where event_id between %s and %s",
        (str(min(ids)), str(max(ids))),
    )
    assert saved == len(ids), f"{saved} of {len(ids)} changes are in the ledger"
    check_tasks(ledger, ids, outcomes)


def check_tasks(ledger: connection, ids: Sequence[UUID], outcomes: Mapping[str, int]) -> None:
    """In every sink there are this many tasks of each outcome; what was sent more than once is told."""
    found = rows(
        ledger,
        "select sink, outcome, count(*), sum(attempts - 1)::int from tasks "
        "where source_id between %s and %s group by sink, outcome",
        (str(min(ids)), str(max(ids))),
    )
    wanted = {(sink, outcome): count for sink in SINKS for outcome, count in outcomes.items()}
    assert {(sink, outcome): count for sink, outcome, count, _ in found} == wanted, found
    if again := sum(more for _, _, _, more in found):
        say(f"{again} tasks were sent again: their receipts took longer than reconciler.first_after_s")


def check_people(stage: Measured, label: str, count: int, *, allowed: bool) -> None:
    """Each target has what the person said."""
    for sink in SINKS:
        with opened(stage.dsn(sink)) as target:
            kept = number(
                target,
                "select count(*) from people where email like %s and marketing_allowed = %s",
                (f"{label}-%", allowed),
            )
            assert kept == count, f"{kept} of {count} rows of {label} are as said in {sink}"


def settle_consents(
    ledger: connection, ids: Sequence[UUID], label: str, *, most_s: float = math.inf
) -> datetime:
    """Wait until every task of some changes is answered; when that was seen."""
    values = {"sinks": len(SINKS), "first": str(min(ids)), "last": str(max(ids))}
    tasks = len(ids) * len(SINKS)
    return settle(lambda: number(ledger, ANSWERED, values), tasks, f"tasks of {label}", most_s=most_s)


def settle(count_done: Callable[[], int], count: int, what: str, *, most_s: float = math.inf) -> datetime:
    """Wait until all is done; when that was seen. Gives up on what does not move or takes too long."""
    began = moved_at = time.monotonic()
    done = 0
    while (now_done := count_done()) < count:
        now = time.monotonic()
        if now_done > done:
            done, moved_at = now_done, now
        if now - moved_at > STILL_S_MAX or now - began > most_s:
            raise SystemExit(f"{done} of {count} {what} are done after {now - began:.0f} s: given up")
        time.sleep(POLL_S)
    return datetime.now(UTC)


def double(stage: Measured, programs: Sequence[str]) -> None:
    """Have two of these programs, and one of the others; go on when they share the topics."""
    supervisor = stage.stack.supervisor
    for program in SHARED:
        (supervisor.start if program in programs else supervisor.stop)(f"{program}-2")
    for program, group in SHARED.items():
        wait_for_members(stage, group, 2 if program in programs else 1)
    time.sleep(REST_S)  # until each has taken up its partitions


def wait_for_members(stage: Measured, group: str, members: int) -> None:
    """Wait until this many share the topics of a group."""
    deadline = time.monotonic() + READY_S_MAX
    while (state := group_state(stage.deployment.kafka, group)).members != members or state.state != "STABLE":
        if time.monotonic() > deadline:
            raise SystemExit(f"{state} and not {members} members after {READY_S_MAX:.0f} s")
        time.sleep(POLL_S)


@contextlib.contextmanager
def opened(dsn: str) -> Iterator[connection]:
    """A connection that commits each statement."""
    with contextlib.closing(psycopg2.connect(dsn)) as database:
        database.autocommit = True
        yield database


def run(database: connection, query: str, values: Any = None) -> None:  # noqa: ANN401 - as psycopg2 has it
    """Run it."""
    with database.cursor() as cursor:
        cursor.execute(query, values)


def rows(database: connection, query: str, values: Any = None) -> list[tuple[Any, ...]]:  # noqa: ANN401
    """What it gives."""
    with database.cursor() as cursor:
        cursor.execute(query, values)
        return cursor.fetchall()


def number(database: connection, query: str, values: Any = None) -> int:  # noqa: ANN401
    """The one number it gives."""
    [(value,)] = rows(database, query, values)
    return int(value)


def milliseconds(time_: timedelta) -> float:
    """As a number."""
    return time_.total_seconds() * 1000


def say(text: str) -> None:
    """Tell whoever waits."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
