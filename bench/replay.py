"""A year of topic: how fast a replay is planned, what it does in shadow, what it costs the work of the day.

    python bench/replay.py [--requests 1000000] [--live-s 60] [--rates 0,100,200,400]

Starts its own broker, registry, database and processes: processors, recorder and five PostgreSQL sinks.
The year is made of real events with real ids and boxes: the records on the topic, the rows of the ledger and
the journals of the targets, as they would be if all of it had been asked and done. At full size it takes some
twenty minutes on two idle cores and about ten GB of disk, and cleans up behind itself.
"""

import argparse
import contextlib
import io
import os
import random
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import UUID

import psycopg2
from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient
from stage import SINKS, staged, variable
from uuid_utils.compat import uuid7

from olvido.broker.contract import Record
from olvido.broker.groups import end_offsets, lag
from olvido.broker.kafka import KafkaPublisher
from olvido.broker.partitioning import partition_of
from olvido.core.acts import Act, Verb
from olvido.core.digests import content_digest
from olvido.core.ids import task_id
from olvido.core.replay import Plan, ReplaySelection, ReplayState
from olvido.ledger.connection import Database
from olvido.ledger.replays import Replay, Replays
from olvido.operators.desk.progress import Notice
from olvido.operators.desk.replay.asking import TOPICS, ReplayQuery
from olvido.operators.desk.replay.planning import make_plan
from olvido.operators.desk.replay.running import Runner
from olvido.operators.desk.replay.shadow import Rehearser
from olvido.operators.local.stack import Stack
from olvido.operators.settings import private_keys
from olvido.producers import Producer
from olvido.producers.build import Builder
from olvido.producers.emitter import Writer
from olvido.schemas.registry import Registry
from olvido.schemas.settings.deployment import Deployment
from olvido.schemas.topics import PROCESSORS_GROUP, REQUESTS

CHUNK = 10_000
AHEAD = 4  # chunks that are made while others are written
LIVE_PER_S = 10
YEAR = timedelta(days=365)
REQUEST_COLUMNS = (
    "request_id, right_, subject_id, requested_at, received_at, state, tasks, answered, finished_at, digest, "
    "source_partition, source_offset"
)
TASK_COLUMNS = (
    "source_id, sink, generation, task_id, action, sent_at, due_at, attempts, outcome, counts, detail, "
    "applied_at, verified_at"
)


class Silent:
    """A progress bar that shows nothing."""

    def __call__(self, count: int) -> None:
        """Nothing."""

    def to(self, done: int) -> None:
        """Nothing."""

    def notice(self, notice: Notice) -> None:
        """What a person would read."""
        print("   ", notice)


# --- the year ---------------------------------------------------------------------------------------


def build(
    first: int, count: int, total: int, began: datetime
) -> list[tuple[str, datetime, bytes, bytes, tuple]]:
    """Some requests of the year: id, instant, key, value and headers. Runs in a process of its own."""
    deployment = Deployment.load()
    builder = Builder.of(deployment)
    writer = Writer(builder, Registry(deployment.registry), source="bench")
    made = []
    for number in range(first, first + count):
        at = began + YEAR * (number / total)
        request = builder.request(
            "ERASE", {"email": f"ana{number}@example.es"}, regions=["cn", "sg"], purposes=(),
            request_id=id_at(at), requested_at=at, verification_required=False, verified=None,
        )  # fmt: skip
        record = writer.envelope(request, traceparent="").record
        made.append(
            (str(request.request_id), at, record.key, record.value, record.headers, content_digest(request))
        )
    return made


def id_at(at: datetime) -> UUID:
    """A UUIDv7 of an instant."""
    ms, chance = int(at.timestamp() * 1000), random.getrandbits(74)
    return UUID(int=ms << 80 | 7 << 76 | (chance >> 62) << 64 | 2 << 62 | chance & (1 << 62) - 1)


def fill(deployment: Deployment, requests: int) -> None:
    """Put the year onto the topic, into the ledger and into the journals, chunk by chunk."""
    ledger = psycopg2.connect(deployment.ledger_owner_dsn)
    journals = {sink: psycopg2.connect(os.environ[variable(sink)]) for sink in SINKS}
    ends = dict.fromkeys(range(deployment.kafka.partitions_of(REQUESTS.name)), 0)
    began = datetime.now(UTC) - YEAR
    with KafkaPublisher(deployment.kafka, client_id="bench") as publisher, ProcessPoolExecutor(2) as pool:
        firsts = list(range(0, requests, CHUNK))
        waiting = []
        while firsts or waiting:
            while firsts and len(waiting) < AHEAD:
                first = firsts.pop(0)
                waiting.append(pool.submit(build, first, min(CHUNK, requests - first), requests, began))
            chunk = waiting.pop(0).result()
            publisher.publish(
                [Record(REQUESTS.name, key, value, headers) for _, _, key, value, headers, _ in chunk]
            )
            _copy_chunk(ledger, journals, chunk, ends)
            ledger.commit()
            for journal in journals.values():
                journal.commit()
    with ledger, ledger.cursor() as cursor:
        for partition, end in ends.items():
            cursor.execute(
                "insert into progress values (%s, %s, int8multirange(int8range(0, %s)))",
                (REQUESTS.name, partition, end),
            )
    for connection in (ledger, *journals.values()):
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("vacuum analyze")
        connection.close()
    assert {(REQUESTS.name, p): end for p, end in ends.items()} == end_offsets(
        deployment.kafka, [REQUESTS.name]
    )
    _commit(deployment, [TopicPartition(REQUESTS.name, partition, end) for partition, end in ends.items()])


def _commit(deployment: Deployment, places: list[TopicPartition]) -> None:
    """All of it was read, as the processors' group has it: or they would begin with a year of work."""
    admin = AdminClient({"bootstrap.servers": deployment.kafka.bootstrap_servers})
    for _ in range(60):
        told = admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(PROCESSORS_GROUP, places)])[
            PROCESSORS_GROUP
        ].result()
        if all(place.error is None for place in told.topic_partitions):
            break
        time.sleep(1)
    committed = {
        (one.topic, one.partition): one.committed
        for one in lag(deployment.kafka, PROCESSORS_GROUP, [REQUESTS.name])
    }
    assert committed == {(place.topic, place.partition): place.offset for place in places}


def _copy_chunk(ledger, journals, chunk, ends) -> None:  # noqa: ANN001
    requests, events, tasks = io.StringIO(), io.StringIO(), io.StringIO()
    applied = {sink: io.StringIO() for sink in SINKS}
    for request_id, at, key, value, _, digest in chunk:
        partition = partition_of(key, len(ends))
        offset, ends[partition] = ends[partition], ends[partition] + 1
        when = at.isoformat()
        requests.write(
            f"{request_id}\tERASE\t{key.decode()}\t{when}\t{when}\tfulfilled\t5\t5\t{when}\t\\\\x{digest.hex()}\t{partition}\t{offset}\n"
        )
        events.write(f"{request_id}\t{REQUESTS.name}\t\\\\x{value.hex()}\n")
        for sink in SINKS:
            task = task_id(UUID(request_id), sink, "ERASE")
            tasks.write(
                f"{request_id}\t{sink}\t0\t{task}\tERASE\t{when}\t{when}\t1\terased\t"
                f'{{"people.deleted": 1}}\t\t{when}\t{when}\n'
            )
            applied[sink].write(f'{task}\t0\terased\t{{"people.deleted": 1}}\t\t{when}\t{when}\n')
    _copy(ledger, requests, f"requests ({REQUEST_COLUMNS})")
    _copy(ledger, events, "events (source_id, topic, event)")
    _copy(ledger, tasks, f"tasks ({TASK_COLUMNS})")
    for sink, rows in applied.items():
        _copy(
            journals[sink],
            rows,
            "olvido.applied (task_id, generation, outcome, counts, detail, applied_at, verified_at)",
        )


def _copy(connection, rows: io.StringIO, into: str) -> None:  # noqa: ANN001
    rows.seek(0)
    with connection.cursor() as cursor:
        cursor.copy_expert(f"copy {into} from stdin", rows)


# --- measuring --------------------------------------------------------------------------------------


def plan(deployment: Deployment, replays: Replays, rate: float, name: str) -> Replay:
    """Plan all of it, and save that."""
    asked = ReplayQuery(topics=tuple(TOPICS.values()), selection=ReplaySelection())
    now = datetime.now(UTC)
    made: Plan = make_plan(deployment, replays, asked, rate=rate, destroyed={}, now=now)
    replays.save(uuid7(), name, made, now=now)
    return replays.newest(name=name)[0]


def shadow(deployment: Deployment, replays: Replays, replay: Replay, stack: Stack) -> None:
    """Go through all of it, and say how long that took and what would be new."""
    began = time.perf_counter()
    keys = {region: private_keys(region, stack.directory) for region in deployment.regions}
    told = Rehearser(
        deployment, replay, replays, Registry(deployment.registry), destroyed={}, private_dirs=keys,
        bar=Silent(),
    ).run()  # fmt: skip
    took = time.perf_counter() - began
    asked = sum(one.remembered + one.new for one in told.sinks.values())
    print(
        f"shadow: {told.records:,} records, {asked:,} tasks asked, {told.new} new effects, "
        f"{told.forgotten} forgotten, {took:.1f} s, {told.records / took:,.0f} records/s"
    )


@contextlib.contextmanager
def replaying(
    deployment: Deployment, replays: Replays, rate: float, publisher: KafkaPublisher
) -> Iterator[Callable[[], int]]:
    """A replay that runs beside the block; what it has sent."""
    if not rate:
        yield lambda: 0
        return
    replay = plan(deployment, replays, rate, f"live-{uuid7()}")
    act = Act(act_id=uuid7(), at=datetime.now(UTC), who="bench", verb=Verb.REPLAY, reason="bench", details={})
    runner = Runner(
        deployment, replay, replays, publisher, Registry(deployment.registry),
        destroyed={}, rate=rate, bar=Silent(),
    )  # fmt: skip
    thread = threading.Thread(target=runner.run, args=(act,))
    thread.start()
    yield lambda: replays.newest(name=replay.name)[0].position.counts.tasks
    replays.move(replay.operation_id, ReplayState.CANCELLED, now=datetime.now(UTC))
    thread.join()


def live(deployment: Deployment, seconds: float, label: str) -> list[float]:
    """Ask for erasures, evenly, and how long each took from the call to the last receipt in the ledger."""
    count = int(seconds * LIVE_PER_S)
    emails = [f"{label}-{number}@example.es" for number in range(count)]
    for sink in SINKS:
        with (
            contextlib.closing(psycopg2.connect(os.environ[variable(sink)])) as target,
            target,
            target.cursor() as cursor,
        ):
            cursor.execute("insert into people (email) select unnest(%s)", (emails,))
    asked: dict[str, datetime] = {}
    began = time.monotonic()
    with Producer.of(deployment) as producer:
        for number, email in enumerate(emails):
            time.sleep(max(0.0, began + number / LIVE_PER_S - time.monotonic()))
            at = datetime.now(UTC)
            asked[str(producer.request_erasure(identities={"email": email}, regions=["cn", "sg"]).id)] = at
    finished: dict[str, datetime] = {}
    deadline = time.monotonic() + 300
    with contextlib.closing(psycopg2.connect(deployment.ledger_dsn)) as ledger, ledger.cursor() as cursor:
        while len(finished) < count and time.monotonic() < deadline:
            time.sleep(0.5)
            cursor.execute(
                "select request_id::text, finished_at from requests where request_id = any(%s::uuid[]) "
                "and finished_at is not null", (list(asked),),
            )  # fmt: skip
            finished = dict(cursor.fetchall())
            ledger.rollback()
    assert len(finished) == count, f"{count - len(finished)} requests are not finished"
    return sorted((finished[request_id] - at).total_seconds() * 1000 for request_id, at in asked.items())


def measure_live(
    deployment: Deployment, replays: Replays, seconds: float, rates: Sequence[float], rounds: int
) -> None:
    """In turns, so that whatever else the machine does falls on all of them alike."""
    found: dict[float, list[float]] = {rate: [] for rate in rates}
    live(deployment, 5, "warm")
    with KafkaPublisher(deployment.kafka, client_id="bench-replay") as publisher:
        for turn in range(rounds):
            for rate in rates:
                with replaying(deployment, replays, rate, publisher) as sent:
                    time.sleep(3)
                    first, began = sent(), time.monotonic()
                    times = live(deployment, seconds / rounds, f"r{turn}-{rate:.0f}")
                    done = (sent() - first) / (time.monotonic() - began)
                found[rate] += times
                print(
                    f"  turn {turn + 1}, replay at {rate:.0f}/s (measured {done:.0f}/s): "
                    f"p50 {statistics.median(times):.0f} ms, p99 {_p99(times):.0f} ms"
                )
    base = _p99(found[rates[0]])
    for rate, times in found.items():
        print(
            f"live, replay at {rate:.0f}/s: {len(times)} requests, p50 {statistics.median(times):.0f} ms, "
            f"p95 {statistics.quantiles(times, n=20)[-1]:.0f} ms, p99 {_p99(times):.0f} ms "
            f"({_p99(times) / base - 1:+.0%})"
        )


def _p99(times: Sequence[float]) -> float:
    return statistics.quantiles(times, n=100)[-1]


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument(
        "--live-s", type=float, default=60, help="seconds of live requests for each rate; 0: none"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--rates", default="0,100,200,400", help="tasks/s of a replay beside; the first to compare with"
    )
    arguments = parser.parse_args()
    with staged() as stage:
        deployment, stack = stage.deployment, stage.stack
        began = time.perf_counter()
        fill(deployment, arguments.requests)
        print(f"made a year: {arguments.requests:,} requests, {time.perf_counter() - began:.0f} s")
        replays = Replays(Database(deployment.ledger_dsn, application="bench"))
        for turn in ("first", "again"):
            began = time.perf_counter()
            replay = plan(deployment, replays, 1000, f"year-{turn}")
            print(
                f"planned, {turn}: {replay.plan.records:,} records, {replay.plan.tasks:,} tasks, "
                f"{sum(place.new for place in replay.plan.places)} new, {replay.plan.unread} unread, "
                f"{time.perf_counter() - began:.2f} s"
            )
        shadow(deployment, replays, replay, stack)
        if arguments.live_s:
            with stage.running():
                rates = [float(rate) for rate in arguments.rates.split(",")]
                measure_live(deployment, replays, arguments.live_s, rates, arguments.rounds)


if __name__ == "__main__":
    main()
