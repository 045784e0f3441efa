"""How figures move as things grow: processes, partitions, rows of a target, sinks, what the ledger holds.

    python bench/growth.py [--part NAME ...] [--runs 5] [--keep]

Each part starts its own broker, registry and database, and real processes where it measures them. Those are
members of their group and have nothing left to do before a backlog comes: it is encoded beforehand and
written at once, and the rate is from the first batch that is saved to the last.
"""

import contextlib
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count as numbers
from pathlib import Path
from uuid import UUID

import psutil
import psycopg2
from confluent_kafka.admin import AdminClient
from figures import Curve, options, tell
from psycopg2.extensions import cursor as Cursor
from rich.console import Console
from rich.progress import track
from stage import HANDLED, HEAD, PORT, SINK, Measured, staged, variable
from uuid_utils.compat import uuid7

from olvido.broker import groups as broker_groups
from olvido.broker import topics as broker_topics
from olvido.broker.contract import Handler, Received, Record
from olvido.broker.kafka import KafkaPublisher
from olvido.broker.partitioning import partition_of
from olvido.core.events import PrivacyRequest, SealedBox
from olvido.core.ids import task_id
from olvido.core.outcomes import Outcome
from olvido.core.plan import plan_tasks
from olvido.core.receipts import receipt_for
from olvido.core.rights.erase import Erase
from olvido.core.sessions import CONTROL
from olvido.core.subject import Handle, Identity, IdentityKind
from olvido.core.tasks import RequestId, Task
from olvido.ledger.connection import Database
from olvido.ledger.store import Ledger
from olvido.operators.local.errors import tail
from olvido.operators.local.programs import programs_of
from olvido.operators.local.stack import temporary_stack
from olvido.operators.local.state import choose_port
from olvido.operators.settings import private_keys
from olvido.processors.emission import Emission
from olvido.processors.engine_faust.app import RECORDS_MAX
from olvido.processors.handlers.batches import RequestsHandler
from olvido.processors.recorder import RECEIPTS_MAX
from olvido.producers.build import Builder
from olvido.producers.emitter import Writer
from olvido.schemas.privacy.sealing import Sealer
from olvido.schemas.privacy.seals import ControlSeals
from olvido.schemas.registry import Registry
from olvido.schemas.settings.deployment import Deployment, principal_of
from olvido.schemas.topics import PROCESSORS_GROUP, RECEIPTS, RECORDER_GROUP, REQUESTS
from olvido.sinks.contract import OpenedTask, SinkSettings
from olvido.sinks.kinds.postgres import PostgresSink

HERE = Path(__file__).parent
OLVIDO = (sys.executable, "-m", "olvido.operators.cli")
PROCESSORS = (*OLVIDO, "run", "processors")
ENGINES = {"faust": PROCESSORS, "loop": (*PROCESSORS, "--engine", "loop")}
PARTITIONS = "OLVIDO_KAFKA__PARTITIONS"
ENVIRONMENT = {"OLVIDO_RECONCILER__FIRST_AFTER_S": "36000"}  # no sink answers: nothing is to be sent twice
WARM_UP = 2_000
POLL_S = 0.02
SETTLED_S = 2.0  # a group is left alone that long before it is measured
START_S_MAX = 90.0
STILL_S_MAX = 60.0
YEAR = timedelta(days=365)

say = partial(Console(stderr=True, highlight=False).print, soft_wrap=True)

# Not progress: what was handled stays handled, or the audit would read it all again.
FORGET = "truncate tasks, events, requests, consent_changes, consents, verifications, awaiting, dead_letters"


# --- a backlog, and who works it off ----------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Burst:
    """How a backlog was worked off."""

    rate: float  # records/s, from the first batch that was saved to the last
    cpu_s: float  # of the processes that worked it off, since it came
    cpu_s_all: float  # with the broker, the registry and the database


class Line:
    """Processes at work, and how fast they are."""

    def __init__(
        self, stage: Measured, cursor: Cursor, publisher: KafkaPublisher, names: Sequence[str]
    ) -> None:
        self._stage = stage
        self._cursor = cursor
        self._publisher = publisher
        self._names = names

    def settle(self, groups: Mapping[str, tuple[str, int]]) -> None:
        """Wait until groups are whole and have read all there is.

        Args:
            groups: of each the topic, and how many processes are in it.
        """
        deadline, since, before = time.monotonic() + START_S_MAX, time.monotonic(), [0]
        while time.monotonic() - since < SETTLED_S:
            self._check(time.monotonic() < deadline, "is not ready")
            now = [self._members(group, *of) for group, of in groups.items()]
            if not all(now) or now != before:
                since, before = time.monotonic(), now
            time.sleep(0.2)

    def work(self, records: Sequence[Record]) -> Burst:
        """Give them a backlog, and see it through."""
        topic, target = records[0].topic, len(records)
        before, cpu = self._handled(topic), self._cpu()
        first, done, moved_at = None, 0, time.perf_counter()
        with ThreadPoolExecutor(1) as pool:
            publishing = pool.submit(self._publisher.publish, records)
            while done < target:
                now, handled = time.perf_counter(), self._handled(topic) - before
                if handled > done:
                    done, moved_at = handled, now
                    first = first or (done, now)
                self._check(now - moved_at < STILL_S_MAX, f"stopped at {done} of {target}")
                time.sleep(POLL_S)
            publishing.result()
        assert first is not None, "there was something to do"
        assert first[0] < target == done, f"{done} of {target}, {first[0]} of them in the first batch"
        used = [after - then for after, then in zip(self._cpu(), cpu, strict=True)]
        return Burst(rate=(target - first[0]) / (moved_at - first[1]), cpu_s=used[0], cpu_s_all=used[1])

    def forget(self) -> None:
        """Empty the ledger, but for what says which records were handled."""
        self._cursor.execute(FORGET)

    def _members(self, group: str, topic: str, processes: int) -> int:
        kafka = self._stage.deployment.kafka
        state = broker_groups.group_state(kafka, group)
        whole = state.state == "STABLE" and state.members and state.members % processes == 0
        read = whole and sum(one.behind for one in broker_groups.lag(kafka, group, [topic])) == 0
        return state.members if read else 0

    def _handled(self, topic: str) -> int:
        self._cursor.execute(HANDLED, (topic,))
        (handled,) = self._cursor.fetchone() or (0,)
        return int(handled)

    def _cpu(self) -> tuple[float, float]:
        pids = self._stage.pids()
        mine = sum(_cpu_of(pids[name]) for name in self._names if name in pids)
        return mine, sum(_cpu_of(pid) for pid in pids.values())

    def _check(self, holds: bool, what: str) -> None:
        status = self._stage.stack.supervisor.status()
        dead = [name for name in self._names if status[name].pid is None]
        if dead or not holds:
            name = (dead or list(self._names))[0]
            raise SystemExit(f"{name} {what}:\n{tail(self._stage.stack.folder.log(name))}")


@contextlib.contextmanager
def at_work(
    stage: Measured,
    command: Sequence[str] = PROCESSORS,
    *,
    processes: int = 1,
    recorder: bool = False,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Line]:
    """Real processes for as long as the block lasts; it begins when they wait for work."""
    supervisor = stage.stack.supervisor
    known = {program.name: program for program in programs_of(stage.deployment, stage.stack.directory)}
    taken: set[int] = set()
    programs = []
    for number in range(1, processes + 1):
        port = choose_port(None, taken=frozenset(taken))
        taken.add(port)
        programs.append(
            replace(
                known["processors"],
                name=f"processors-{number}",
                command=tuple(command),
                environment={
                    **known["processors"].environment,
                    **ENVIRONMENT,
                    PORT: str(port),
                    **(environment or {}),
                },
                address="",
                autorestart=False,
            )
        )
    groups = {PROCESSORS_GROUP: (REQUESTS.name, processes)}
    if recorder:
        programs.append(replace(known["recorder"], autorestart=False))
        groups[RECORDER_GROUP] = (RECEIPTS.name, 1)
    supervisor.apply(programs, environment=stage.stack.environment)
    names = [program.name for program in programs]
    try:
        for name in names:
            supervisor.start(name)
        with (
            ledger_of(stage) as cursor,
            KafkaPublisher(stage.deployment.kafka, client_id="bench") as publisher,
        ):
            line = Line(stage, cursor, publisher, names)
            line.settle(groups)
            yield line
    finally:
        for name in names:
            supervisor.stop(name)


@contextlib.contextmanager
def ledger_of(stage: Measured) -> Iterator[Cursor]:
    """A cursor on the ledger, each statement a transaction."""
    with contextlib.closing(psycopg2.connect(stage.stack.ledger_owner_dsn)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            yield cursor


def asked(
    deployment: Deployment, count: int, *, regions: Sequence[str] = ("cn", "sg")
) -> list[tuple[PrivacyRequest, Record]]:
    """New erasures, as the SDK makes them, and as they travel."""
    builder = Builder.of(deployment)
    writer = Writer(builder, Registry(deployment.registry), source="bench")
    made = []
    for number in track(range(count), "making requests", transient=True, console=Console(stderr=True)):
        request = builder.request(
            "ERASE", {"email": f"ana{number}@example.es"}, regions=regions, purposes=(),
            request_id=None, requested_at=None, verification_required=False, verified=None,
        )  # fmt: skip
        made.append((request, writer.envelope(request, traceparent="").record))
    return made


def _size(cursor: Cursor) -> str:
    cursor.execute("select pg_size_pretty(pg_database_size(current_database()))")
    (size,) = cursor.fetchone() or ("",)
    return str(size)


def _records(made: Sequence[tuple[PrivacyRequest, Record]]) -> list[Record]:
    return [record for _, record in made]


def _cpu_of(pid: int) -> float:
    """What a process and its children have used, also those that have ended and were waited for."""
    used = 0.0
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        for one in (process, *process.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                used += sum(one.cpu_times()[:4])
    return used


# --- processes --------------------------------------------------------------------------------------


def processes(runs: int, engines: Sequence[str], most: int, requests: int) -> list[Curve]:
    """Processors that share one backlog; the rounds in turns."""
    rates: dict[str, dict[float, list[float]]] = {name: {} for name in engines}
    costs: dict[str, dict[float, list[float]]] = {}
    with staged() as stage:
        records = _records(asked(stage.deployment, requests))
        for turn in range(runs):
            for engine in engines:
                for several in range(1, most + 1):
                    with at_work(stage, ENGINES[engine], processes=several) as line:
                        line.work(records[:WARM_UP])
                        line.forget()
                        burst = line.work(records)
                        line.forget()
                    rates[engine].setdefault(several, []).append(burst.rate)
                    own, every = f"{engine}: processors", f"{engine}: with broker and ledger"
                    costs.setdefault(own, {}).setdefault(several, []).append(requests / burst.cpu_s)
                    costs.setdefault(every, {}).setdefault(several, []).append(requests / burst.cpu_s_all)
                    say(f"  turn {turn + 1}, {engine}, {several}: {burst.rate:,.0f} requests/s")
    x = f"processes (topics of {stage.deployment.kafka.partitions} partitions)"
    return [
        Curve(title="growth: requests to five tasks, by processes", x=x, y="requests/s", lines=rates),
        Curve(title="growth: what a CPU second gives, by processes", x=x, y="requests/CPU s", lines=costs),
    ]


# --- partitions -------------------------------------------------------------------------------------


def partitions(runs: int, counts: Sequence[int], requests: int) -> list[Curve]:
    """One process on topics of few and of many partitions; they are made anew for each number."""
    found: dict[float, list[float]] = {}
    with staged() as stage:
        records = _records(asked(stage.deployment, requests))
        for many in counts:
            _make_topics_anew(stage, many)
            with at_work(stage, environment={PARTITIONS: str(many)}) as line:
                line.work(records[:WARM_UP])
                for turn in range(runs):
                    line.forget()
                    rate = line.work(records).rate
                    found.setdefault(many, []).append(rate)
                    say(f"  {many} partitions, turn {turn + 1}: {rate:,.0f} requests/s")
    return [
        Curve(
            title="growth: requests to five tasks, by partitions of a topic",
            x="partitions",
            y="requests/s",
            lines={"faust, one process": found},
        )
    ]


def _make_topics_anew(stage: Measured, many: int) -> None:
    kafka = stage.deployment.kafka
    client = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    deadline = time.monotonic() + START_S_MAX
    while there := [name for name in client.list_topics(timeout=10).topics if name.startswith("olvido.")]:
        assert time.monotonic() < deadline, f"still there: {', '.join(there)}"
        for gone in client.delete_topics(there).values():
            gone.exception()
        time.sleep(0.5)
    with ledger_of(stage) as cursor:
        cursor.execute(f"{FORGET}, progress")
    command = [*OLVIDO, "topics", "apply"]
    environment = {**os.environ, "OLVIDO_ENV_FILES": "none", PARTITIONS: str(many)}
    deadline = time.monotonic() + START_S_MAX
    # A broker that is making hundreds of partitions may not answer in the time that a person has.
    while (told := _run(command, environment, stage.stack.directory)).returncode:
        if time.monotonic() > deadline:
            raise SystemExit(f"topics of {many} partitions: {told.stderr}")
    assert len(broker_groups.end_offsets(kafka, [REQUESTS.name])) == many, "as many as asked for"


def _run(
    command: Sequence[str], environment: Mapping[str, str], folder: Path
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)


# --- rows -------------------------------------------------------------------------------------------

TARGET = "BENCH_GROWTH_DSN"
BATCH = 1_000
BATCHES = 3
ALONE = 200
TABLES = """
drop table if exists contacts, customers;
create table customers (id bigint, customer_no text, email text,
    marketing_allowed boolean not null default true, created_at timestamptz not null);
create table contacts (id bigint, customer_id bigint not null, note text);
"""
CUSTOMERS = """
insert into customers select n, 'C-' || n, 'Person' || n || '@Example.com', true, '2026-01-01'
from {numbers} as n
"""
CONTACTS = "insert into contacts select n, n, 'note' from {numbers} as n"
INDEXES = (
    "alter table customers add primary key (id)",
    "create unique index on customers (customer_no)",
    "create index on customers (lower(email))",
    "alter table contacts add primary key (id)",
    "create index on contacts (customer_id)",
    "alter table contacts add foreign key (customer_id) references customers",
)
LOADED_AT_ONCE = 500_000


def rows(runs: int, counts: Sequence[int]) -> list[Curve]:
    """Erasing people from tables that hold few and many: a thousand in a batch, and one alone."""
    batches: dict[float, list[float]] = {}
    alone: dict[float, list[float]] = {}
    ids = numbers(1)
    with temporary_stack(parts=frozenset({"postgres"})) as stack:
        os.environ[TARGET] = stack.admin_dsn()
        with contextlib.closing(psycopg2.connect(stack.admin_dsn())) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                for people in counts:
                    _load(cursor, people)
                    sink = PostgresSink.from_section(_settings())
                    sink.check()
                    sink.install()
                    stride = people // (BATCHES * BATCH + ALONE)
                    for turn in range(runs + 1):
                        some = range(1 + turn % stride, people + 1, stride)[: BATCHES * BATCH + ALONE]
                        tasks = [_erasure(next(ids), person) for person in some]
                        several_s, alone_s = _erase(sink, tasks)
                        _bring_back(cursor, list(some))
                        if turn:  # the first warms the plans and the pages that all share
                            batches.setdefault(people, []).append(BATCHES * BATCH / several_s)
                            alone.setdefault(people, []).append(statistics.median(alone_s) * 1000)
                            found = f"{batches[people][-1]:,.0f} tasks/s, {alone[people][-1]:.1f} ms"
                            say(f"  {people:,} rows, turn {turn}: {found}")
                    sink.close()
    x = "rows in each of the target's two tables"
    return [
        Curve(
            title="growth: erasures into PostgreSQL, by rows of the target",
            x=x, y="tasks/s", lines={f"batches of {BATCH:,}": batches},
        ),
        Curve(
            title="growth: erasing one person, by rows of the target",
            x=x, y="ms, p50", lines={"a batch of one": alone},
        ),
    ]  # fmt: skip


def _erase(sink: PostgresSink, tasks: Sequence[OpenedTask]) -> tuple[float, list[float]]:
    """How long the batches took, and each of those that came alone."""

    def timed(batch: Sequence[OpenedTask]) -> float:
        began = time.perf_counter()
        answers = sink.apply(batch)
        took = time.perf_counter() - began
        assert all(answer.outcome is Outcome.ERASED for answer in answers), "all of them were there"
        return took

    # The stride runs through the table, so that both find their people all over it.
    one_in = len(tasks) // ALONE
    several = [task for at, task in enumerate(tasks) if at % one_in]
    batches = [several[first : first + BATCH] for first in range(0, BATCHES * BATCH, BATCH)]
    return sum(map(timed, batches)), [timed([task]) for task in tasks[::one_in][:ALONE]]


def _load(cursor: Cursor, people: int) -> None:
    began = time.perf_counter()
    cursor.execute(TABLES)
    cursor.execute("set maintenance_work_mem = '1GB'")
    steps = [
        template.format(numbers=f"generate_series({first}, {min(first + LOADED_AT_ONCE - 1, people)})")
        for template in (CUSTOMERS, CONTACTS)
        for first in range(1, people + 1, LOADED_AT_ONCE)
    ]
    after = (*INDEXES, "vacuum analyze customers", "vacuum analyze contacts", "checkpoint")
    for step in track([*steps, *after], f"{people:,} rows", transient=True, console=Console(stderr=True)):
        cursor.execute(step)
    say(f"  {people:,} rows a table, {_size(cursor)}: {time.perf_counter() - began:.0f} s")


def _bring_back(cursor: Cursor, people: list[int]) -> None:
    """Those that were erased: the next turn finds as many rows as this one did."""
    for template in (CUSTOMERS, CONTACTS):
        cursor.execute(template.format(numbers="unnest(%s::bigint[])"), (people,))


def _settings() -> SinkSettings:
    return SinkSettings(
        name="crm",
        region="cn",
        identities=(IdentityKind.CUSTOMER_ID, IdentityKind.EMAIL),
        purposes=(),
        own={
            "dsn": {"env": TARGET},
            "tables": {
                "customers": {
                    "key": "id",
                    "person": "customer_no",
                    "created": "created_at",
                    "identities": {"customer_id": "customer_no", "email": "email"},
                    "erase": "delete",
                },
                "contacts": {
                    "key": "id",
                    "parent": {"table": "customers", "column": "customer_id"},
                    "erase": "delete",
                },
            },
        },
    )


def _erasure(number: int, person: int) -> OpenedTask:
    """The erasure of one customer, by number and e-mail address."""
    request_id = UUID(int=number)
    values = {IdentityKind.CUSTOMER_ID: f"C-{person}", IdentityKind.EMAIL: f"person{person}@example.com"}
    handles = tuple(Handle(kind=kind, value=f"h1_{person:0>43}") for kind in values)
    task = Task(
        task_id=task_id(request_id, "crm", "ERASE"), generation=0, sink="crm",
        what=Erase(asked_at=datetime(2026, 6, 1, tzinfo=UTC)),
        source=RequestId(request_id), subject_id=handles[0].value, handles=handles,
        box=SealedBox(region="cn", key_id="cn-2026-11", wrapped_key=b"", nonce=b"", ciphertext=b""),
    )  # fmt: skip
    identities = tuple(Identity(kind=kind, value=value, normalised=value) for kind, value in values.items())
    return OpenedTask(task=task, identities=identities)


# --- sinks ------------------------------------------------------------------------------------------


def sinks(runs: int, counts: Sequence[int]) -> list[Curve]:
    """The handler alone, in process, with few and with many sinks; the rounds in turns."""
    requests: dict[float, list[float]] = {}
    tasks: dict[float, list[float]] = {}
    with (
        staged({"sink-1": "cn"}) as stage,
        KafkaPublisher(stage.deployment.kafka, client_id="bench") as publisher,
    ):
        handlers = {many: _with_sinks(stage, many, publisher) for many in counts}
        records = [
            Received(
                record.topic,
                partition_of(record.key, stage.deployment.kafka.partitions_of(record.topic)),
                offset,
                record.key,
                record.value,
                record.headers,
            )
            for offset, record in enumerate(_records(asked(stage.deployment, 10 * RECORDS_MAX)))
        ]
        batches = [records[first : first + RECORDS_MAX] for first in range(0, len(records), RECORDS_MAX)]
        with ledger_of(stage) as cursor:
            for turn in range(runs + 1):
                for many, handle in handlers.items():
                    share = batches[: max(1, 20 // many)]  # a batch of many sinks is long enough
                    cursor.execute(FORGET)
                    began = time.perf_counter()
                    for batch in share:
                        handle(batch)
                    took = time.perf_counter() - began
                    cursor.execute("select count(*) from tasks")
                    assert cursor.fetchone() == (len(share) * RECORDS_MAX * many,), "a task for each sink"
                    if turn:  # the first is for connections and caches
                        rate = len(share) * RECORDS_MAX / took
                        requests.setdefault(many, []).append(rate)
                        tasks.setdefault(many, []).append(rate * many)
                        say(
                            f"  {many} sinks, turn {turn}: {rate:,.0f} requests/s, {rate * many:,.0f} tasks/s"
                        )
    title, line = "growth: the handler alone, by sinks", f"batches of {RECORDS_MAX:,}"
    return [
        Curve(title=f"{title}: requests", x="sinks", y="requests/s", lines={line: requests}),
        Curve(title=f"{title}: tasks", x="sinks", y="tasks/s", lines={line: tasks}),
    ]


def _with_sinks(stage: Measured, many: int, publisher: KafkaPublisher) -> Handler:
    """The handler of a deployment that declares so many, with a topic for each; no sink runs."""
    names = {f"sink-{number}": ("cn", "sg")[number % 2] for number in range(1, many + 1)}
    sections = (SINK.format(name=name, region=at, variable=variable(name)) for name, at in names.items())
    path = stage.stack.directory / f"sinks-{many}.toml"
    path.write_text(HEAD + "".join(sections), encoding="utf-8")
    deployment = Deployment.load(path)
    began = time.perf_counter()
    registry = Registry(deployment.registry)
    broker_topics.apply(deployment.kafka, registry, deployment.catalogue)
    say(f"  {many} sinks: topics made in {time.perf_counter() - began:.1f} s")
    return RequestsHandler(
        registry, Ledger(Database(deployment.ledger_dsn, application="bench")),
        Emission(registry, deployment.catalogue, publisher, source="bench"), deployment.catalogue,
        ControlSeals.of_control(
            deployment, private_keys(CONTROL, stage.stack.directory), on_unsigned=lambda: None
        ),
        clock=lambda: datetime.now(UTC), due_after=timedelta(hours=1),
    )  # fmt: skip


# --- ledger -----------------------------------------------------------------------------------------

FILLED_AT_ONCE = 100_000
LOOKED_UP = 20
# A UUIDv7 of the n-th instant.
ID = """(lpad(to_hex(%(began_ms)s + n * %(step_ms)s), 12, '0') || '7' || substr(md5(n::text), 1, 3)
    || '8' || substr(md5(n::text), 4, 15))::uuid"""
FILLED = f"""
create temp table filled as
select n, {ID} as id,
       'h1_' || translate(rtrim(encode(sha256(n::text::bytea), 'base64'), '='), '+/', '-_') as subject,
       to_timestamp((%(began_ms)s + n * %(step_ms)s) / 1000.0) as at
from generate_series(%(first)s::bigint, %(last)s::bigint) as n;
insert into requests (request_id, right_, subject_id, requested_at, received_at, state, tasks, answered,
                      finished_at, digest, source_partition, source_offset)
select id, 'ERASE', subject, at, at, 'fulfilled', 1, 1, at, sha256(n::text::bytea),
       n %% %(partitions)s, n / %(partitions)s
from filled order by n;
insert into events (source_id, topic, event) select id, '{REQUESTS.name}', %(event)s from filled order by n;
insert into tasks (source_id, sink, generation, task_id, action, sent_at, due_at, outcome, counts, detail,
                   applied_at, verified_at)
select id, 'crm', 0, md5(id::text)::uuid, 'ERASE', at, at, 'erased', '{{"people.deleted": 1}}', '', at, at
from filled order by n;
drop table filled;
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """A year of requests that were asked and done, evenly, up to now."""

    began: datetime
    step: timedelta
    event: bytes  # that of each of them: nobody reads it here
    partitions: int

    def fill(self, cursor: Cursor, held: int, wanted: int) -> None:
        """The rows that are left of it, made in the database, for time's sake."""
        started = time.perf_counter()
        firsts = range(held + 1, wanted + 1, FILLED_AT_ONCE)
        for first in track(firsts, f"{wanted:,} requests", transient=True, console=Console(stderr=True)):
            last = min(first + FILLED_AT_ONCE - 1, wanted)
            cursor.execute(
                FILLED,
                {
                    **self._instants(),
                    "first": first,
                    "last": last,
                    "event": self.event,
                    "partitions": self.partitions,
                },
            )
        for table in ("requests", "events", "tasks"):
            cursor.execute(f"vacuum analyze {table}")
        say(f"  {wanted:,} requests in the ledger, {_size(cursor)}: {time.perf_counter() - started:.0f} s")

    def some(self, cursor: Cursor, held: int) -> list[UUID]:
        """Ids from all over what is held."""
        places = random.sample(range(1, held + 1), RECORDS_MAX)
        cursor.execute(
            f"select ({ID})::text from unnest(%(places)s::bigint[]) as n",
            {**self._instants(), "places": places},
        )
        return [UUID(one) for (one,) in cursor.fetchall()]

    def _instants(self) -> Mapping[str, int]:
        return {
            "began_ms": int(self.began.timestamp() * 1000),
            "step_ms": int(self.step.total_seconds() * 1000),
        }


def ledger(runs: int, counts: Sequence[int], requests: int) -> list[Curve]:
    """The same work on a ledger that holds little and much: planned, recorded, and only looked up."""
    planned: dict[float, list[float]] = {}
    recorded: dict[float, list[float]] = {}
    looked_up: dict[str, dict[float, list[float]]] = {"new ids": {}, "ids of the past": {}}
    with staged({"crm": "cn"}) as stage:
        deployment = stage.deployment
        store = Ledger(Database(deployment.ledger_dsn, application="bench"))
        event = asked(deployment, 1, regions=["cn"])[0][1].value
        past = Past(
            began=datetime.now(UTC) - YEAR,
            step=YEAR / max(counts),
            event=event or b"",
            partitions=deployment.kafka.partitions_of(REQUESTS.name),
        )
        held = 0
        for many in counts:
            with ledger_of(stage) as cursor:
                past.fill(cursor, held, many)
                _checkpoint(stage)
                held = many
                with at_work(stage, recorder=True) as line:
                    warm = asked(deployment, 2 * RECEIPTS_MAX, regions=["cn"])
                    line.work(_records(warm))
                    line.work(_answers(deployment, warm))
                    for turn in range(runs):
                        some = asked(deployment, requests, regions=["cn"])
                        answers = _answers(deployment, some)
                        planned.setdefault(many, []).append(line.work(_records(some)).rate)
                        recorded.setdefault(many, []).append(line.work(answers).rate)
                        for name, ids in (
                            ("new ids", _new),
                            ("ids of the past", partial(past.some, cursor, many)),
                        ):
                            looked_up[name].setdefault(many, []).append(_look_up(store, ids))
                        say(
                            f"  {many:,} held, turn {turn + 1}: {planned[many][-1]:,.0f} requests/s, "
                            f"{recorded[many][-1]:,.0f} receipts/s, "
                            + ", ".join(f"{name} {line[many][-1]:.1f} ms" for name, line in looked_up.items())
                        )
        store.database.close()
    x = "requests that the ledger holds, a task each"
    return [
        Curve(
            title="growth: requests to one task, and receipts, by what the ledger holds",
            x=x, y="records/s", lines={"processors": planned, "recorder": recorded},
        ),
        Curve(
            title=f"growth: looking up {RECORDS_MAX:,} requests, by what the ledger holds",
            x=x, y="ms, p50", lines=looked_up,
        ),
    ]  # fmt: skip


def _checkpoint(stage: Measured) -> None:
    """What was filled is written down now, and not while something is measured."""
    with contextlib.closing(psycopg2.connect(stage.stack.admin_dsn())) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("checkpoint")


def _answers(deployment: Deployment, made: Sequence[tuple[PrivacyRequest, Record]]) -> list[Record]:
    """The receipts that the sinks would give."""
    now, catalogue = datetime.now(UTC), deployment.catalogue
    signing = deployment.keys.signing_file.parents[1]
    sealers = {
        sink.name: Sealer(deployment.keys.public_dir, signing / principal_of(sink.name) / "signing.key")
        for sink in catalogue.sinks
    }
    with KafkaPublisher(deployment.kafka, client_id="bench") as publisher:
        emission = Emission(Registry(deployment.registry), catalogue, publisher, source="bench")
        return list(
            emission.prepare(
                receipts=(
                    sealers[task.sink].sealed(
                        receipt_for(
                            task,
                            Outcome.ERASED,
                            applied_at=now,
                            verified_at=now,
                            counts={"people.deleted": 1},
                        )
                    )
                    for request, _ in made
                    for task in plan_tasks(request, catalogue)
                )
            ).first
        )


def _look_up(store: Ledger, ids: Callable[[], list[UUID]]) -> float:
    """How many ms it takes, p50."""
    took = []
    for _ in range(LOOKED_UP):
        asked_for = ids()
        began = time.perf_counter()
        store.requests.known(asked_for)
        took.append(time.perf_counter() - began)
    return statistics.median(took) * 1000


def _new() -> list[UUID]:
    return [uuid7() for _ in range(RECORDS_MAX)]


# --- all of it --------------------------------------------------------------------------------------


def main() -> None:
    """Measure."""
    parser = options(__doc__)
    names = ("processes", "partitions", "rows", "sinks", "ledger")
    parser.add_argument("--part", nargs="+", choices=names, default=names, help="these alone")
    parser.add_argument("--requests", type=int, default=12_000, help="in a backlog; more for the ledger")
    parser.add_argument("--engines", nargs="+", choices=list(ENGINES), default=["faust"])
    parser.add_argument("--processes-max", type=int, default=4)
    parser.add_argument("--partitions", nargs="+", type=int, default=[1, 4, 16, 64])
    parser.add_argument("--rows-max", type=int, default=10**7, help="in each of the target's tables")
    parser.add_argument("--sinks", nargs="+", type=int, default=[1, 5, 20, 100])
    parser.add_argument(
        "--ledger-max", type=int, default=10**6, help="requests in the ledger; 10000000: much disk"
    )
    arguments = parser.parse_args()
    runs, requests = arguments.runs, arguments.requests
    if requests < 3 * RECORDS_MAX:
        parser.error(f"--requests: at least {3 * RECORDS_MAX}, for the first batch does not count")
    measured: dict[str, Callable[[], list[Curve]]] = {
        "processes": lambda: processes(runs, arguments.engines, arguments.processes_max, requests),
        "partitions": lambda: partitions(runs, arguments.partitions, requests),
        "rows": lambda: rows(runs, _decades(10**4, arguments.rows_max)),
        "sinks": lambda: sinks(runs, sorted(arguments.sinks)),
        # The recorder's first batch does not count either, and holds more.
        "ledger": lambda: ledger(
            runs, _decades(10**5, arguments.ledger_max), max(requests, 4 * RECEIPTS_MAX)
        ),
    }
    curves: list[Curve] = []
    for name in arguments.part:
        say(f"{name}:")
        began = time.perf_counter()
        curves += measured[name]()
        say(f"{name}: {time.perf_counter() - began:.0f} s")
    tell("growth", curves, keep=arguments.keep)


def _decades(first: int, last: int) -> list[int]:
    """Powers of ten from the first to the last; the last as it is, if it is none."""
    found = [first]
    while found[-1] * 10 <= last:
        found.append(found[-1] * 10)
    return found if last <= found[-1] else [*found, last]


if __name__ == "__main__":
    main()
