"""Task to receipt into PostgreSQL: our sink's process, Debezium's JDBC sink, and a bare loop of psycopg2.

    python bench/erasures.py [--tasks 20000] [--runs 5] [--keep]

All delete the same people, by chance chosen, from the same table, which is made anew for each run. What they
read is on their topic before they start, one process each unless they say so, and rounds are interleaved:

- ``olvido``: tasks with sealed boxes. Opens them, deletes by e-mail address, remembers each task in the
  target and writes a receipt for each.
- ``olvido, two members``: the same by two processes of one group, which share the partitions.
- ``debezium``: tombstones. Deletes by primary key, and tells nobody: what a connector does.
- ``psycopg2``: e-mail addresses in clear. Deletes by them and writes a small record for each.
- ``psycopg2, opening boxes``: the same from the tasks that ``olvido`` reads.

A rate is counted from when the first ``--warm`` are done, so that neither starting up nor a JVM's first
second counts, to when all rows are gone and, of who writes receipts, one for each task is on its topic.
"""

import argparse
import contextlib
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import psycopg2
from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from contestants.debezium import debezium, log_of, tombstone_key
from figures import Comparison, options, tell
from psycopg2.extensions import connection as Connection
from rich.progress import track
from stage import Measured, staged

from olvido.broker.contract import Record
from olvido.broker.groups import end_offsets
from olvido.broker.kafka import KafkaPublisher
from olvido.core.plan import plan_tasks
from olvido.operators.settings import private_keys
from olvido.processors.emission import Emission
from olvido.producers.build import Builder
from olvido.schemas.registry import Registry
from olvido.schemas.topics import RECEIPTS, sink_group, tasks_topic

SINK, REGION = "crm", "cn"
PEOPLE = 100_000  # at the least; half of them stay
PROBES = 500  # of the people to go, looked at all the time; all are counted twice a run
CHUNK = 5_000
POLL_S = 0.01
START_S_MAX = 90.0
STILL_S_MAX = 60.0
LEAVE_S_MAX = 60.0
LOOP = Path(__file__).parent / "contestants" / "deletes.py"
BENCH_RECEIPTS = "bench.receipts"
FILL = """
truncate people;
insert into people (id, email) overriding system value
    select n, 'ana' || n || '@example.es' from generate_series(1, %s) as n;
"""
LEFT = "select count(*) from people where id = any(%s)"

Process = AbstractContextManager[
    Callable[[], str]
]  # runs for as long as it lasts; gives why it ended, if it has


@dataclass(frozen=True, kw_only=True)
class Round:
    """One turn of all contestants: whom they erase, and the topics of this turn alone."""

    number: int
    ids: Sequence[int]  # of the rows that go
    people: int  # rows in all
    begin: Mapping[tuple[str, int], int]  # where the tasks of this round begin

    @property
    def tombstones(self) -> str:
        """What Debezium reads."""
        return f"bench.tombstones.{self.number}"

    @property
    def addresses(self) -> str:
        """What the bare loop reads."""
        return f"bench.addresses.{self.number}"


@dataclass(frozen=True, kw_only=True)
class Contestant:
    """Who is measured."""

    running: Callable[[Measured, Round], Process]
    receipts: str  # their topic; empty: it tells nobody


def main() -> None:
    """Measure in turns, and print a table."""
    arguments = _arguments()
    contestants = {
        "olvido": Contestant(running=_olvido, receipts=RECEIPTS.name),
        "olvido, two members": Contestant(
            running=lambda stage, work: _olvido(stage, work, more=1), receipts=RECEIPTS.name
        ),
        "debezium": Contestant(
            running=lambda stage, work: _debezium(stage, work, tasks=arguments.connect_tasks), receipts=""
        ),
        "psycopg2": Contestant(running=_in_clear, receipts=BENCH_RECEIPTS),
        "psycopg2, opening boxes": Contestant(running=_opening, receipts=BENCH_RECEIPTS),
    }
    contestants = {
        name: one for name, one in contestants.items() if not arguments.only or name in arguments.only
    }
    runs: dict[str, list[float]] = {name: [] for name in contestants}
    with (
        staged({SINK: REGION}) as stage,
        KafkaPublisher(stage.deployment.kafka, client_id="bench") as publisher,
    ):
        _make_topics(stage, BENCH_RECEIPTS)
        for number in range(arguments.runs):
            work = _prepare(stage, publisher, number, arguments.warm + arguments.tasks)
            for name, contestant in contestants.items():
                _fill(stage, work)
                rate = _measure(stage, contestant, work, warm=arguments.warm)
                runs[name].append(rate)
                print(f"{name:24} {rate:10,.0f} tasks/s", file=sys.stderr, flush=True)
    against = {"task to receipt, PostgreSQL": "debezium", "task to receipt, and the limit": "psycopg2"}
    tell(
        "erasures",
        [Comparison(title=title, unit="tasks/s", against=of, runs=runs) for title, of in against.items()],
        keep=arguments.keep,
    )


def _arguments() -> argparse.Namespace:
    parser = options(__doc__)
    parser.add_argument("--tasks", type=int, default=20_000, help="how many are counted")
    parser.add_argument("--warm", type=int, default=5_000, help="how many are done before counting begins")
    parser.add_argument("--connect-tasks", type=int, default=1, help="threads of Debezium's connector")
    parser.add_argument("--only", action="append", help="measure these alone")
    return parser.parse_args()


# --- the work ---------------------------------------------------------------------------------------


def _prepare(stage: Measured, publisher: KafkaPublisher, number: int, count: int) -> Round:
    """Put a round's tasks, tombstones and addresses onto their topics: the same people in the same order."""
    people = max(PEOPLE, 2 * count)
    work = Round(
        number=number,
        ids=random.Random(number).sample(range(1, people + 1), count),
        people=people,
        begin=end_offsets(stage.deployment.kafka, [tasks_topic(SINK).name]),
    )
    _make_topics(stage, work.tombstones, work.addresses)
    catalogue = stage.deployment.catalogue
    builder = Builder.of(stage.deployment)
    emission = Emission(Registry(stage.deployment.registry), catalogue, publisher, source="bench")
    for at in track(range(0, count, CHUNK), description="preparing", transient=True):
        chunk = work.ids[at : at + CHUNK]
        requests = [
            builder.request(
                "ERASE", {"email": _email(row)}, regions=[REGION], purposes=(), request_id=None,
                requested_at=None, verification_required=False, verified=None,
            )
            for row in chunk
        ]  # fmt: skip
        emission.send(
            emission.prepare(tasks=[task for one in requests for task in plan_tasks(one, catalogue)])
        )
        keys = [one.subject_id.encode() for one in requests]
        publisher.publish(
            [
                *(Record(work.tombstones, tombstone_key(row), None, ()) for row in chunk),
                *(
                    Record(work.addresses, key, _email(row).encode(), ())
                    for row, key in zip(chunk, keys, strict=True)
                ),
            ]
        )
    return work


def _email(row: int) -> str:
    return f"ana{row}@example.es"


def _make_topics(stage: Measured, *names: str) -> None:
    kafka = stage.deployment.kafka
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    for made in admin.create_topics([NewTopic(name, kafka.partitions, 1) for name in names]).values():
        made.result()


def _fill(stage: Measured, work: Round) -> None:
    """Everybody is there again, nothing is remembered, and PostgreSQL has nothing left to do."""
    with _target(stage) as connection, connection.cursor() as cursor:
        cursor.execute(FILL, (work.people,))
        cursor.execute("truncate olvido.applied")
        cursor.execute("vacuum analyze people")
        cursor.execute("checkpoint")


@contextlib.contextmanager
def _target(stage: Measured) -> Iterator[Connection]:
    with contextlib.closing(psycopg2.connect(stage.dsn(SINK))) as connection:
        connection.autocommit = True
        yield connection


def _begin_at(stage: Measured, group: str, work: Round) -> None:
    """Where a group of readers of tasks begins: earlier rounds are over, whoever did not read them."""
    admin = AdminClient({"bootstrap.servers": stage.deployment.kafka.bootstrap_servers})
    places = [TopicPartition(topic, partition, at) for (topic, partition), at in work.begin.items()]
    deadline = time.monotonic() + LEAVE_S_MAX
    while time.monotonic() < deadline:
        answer = admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(group, places)])
        with contextlib.suppress(Exception):  # as long as somebody is in the group, or nobody coordinates it
            if all(place.error is None for place in answer[group].result().topic_partitions):
                return
        time.sleep(0.2)
    raise SystemExit(f"{group} is not to be moved")


# --- the contestants --------------------------------------------------------------------------------


@contextlib.contextmanager
def _olvido(stage: Measured, work: Round, *, more: int = 0) -> Iterator[Callable[[], str]]:
    _begin_at(stage, sink_group(SINK), work)
    with stage.running(more={f"sink-{SINK}": more}, only=[f"sink-{SINK}"]):
        yield lambda: ""  # one that ends is started again by its supervisor; patience has an end


@contextlib.contextmanager
def _debezium(stage: Measured, work: Round, *, tasks: int) -> Iterator[Callable[[], str]]:
    name, folder = f"debezium-{work.number}", stage.stack.directory
    with debezium(
        name,
        topic=work.tombstones,
        kafka=stage.deployment.kafka.bootstrap_servers,
        dsn=stage.dsn(SINK),
        table="people",
        tasks=tasks,
        folder=folder,
    ) as process:
        yield lambda: log_of(name, folder) if process.poll() is not None else ""


def _in_clear(stage: Measured, work: Round) -> Process:
    return _loop(stage, f"bench.psycopg2.{work.number}", work.addresses, BENCH_RECEIPTS)


@contextlib.contextmanager
def _opening(stage: Measured, work: Round) -> Iterator[Callable[[], str]]:
    group = f"bench.opening.{work.number}"
    _begin_at(stage, group, work)
    with _loop(stage, group, tasks_topic(SINK).name, BENCH_RECEIPTS, SINK) as ended:
        yield ended


@contextlib.contextmanager
def _loop(stage: Measured, *arguments: str) -> Iterator[Callable[[], str]]:
    environment = {
        **os.environ,
        "OLVIDO_ENV_FILES": "none",
        "BENCH_TARGET": stage.dsn(SINK),
        "BENCH_PRIVATE_DIR": str(private_keys(REGION, stage.stack.directory)),
    }
    command = [sys.executable, str(LOOP), *arguments]
    with subprocess.Popen(command, env=environment) as process:
        try:
            yield lambda: "its words are above" if process.poll() is not None else ""
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


# --- measuring --------------------------------------------------------------------------------------


def _measure(stage: Measured, contestant: Contestant, work: Round, *, warm: int) -> float:
    """Tasks per second, from the first look that finds the warm ones done to the last row and receipt."""
    count, told_before = len(work.ids), _told(stage, contestant)
    probes = random.Random(0).sample(work.ids, min(PROBES, count))
    with _target(stage) as target, contestant.running(stage, work) as ended:
        wait = _Waiting(ended, lambda: _left(target, probes))
        wait.until(lambda left: left <= len(probes) * (1 - warm / count))
        began = time.perf_counter()
        left = _left(target, work.ids)
        wait.until(lambda left: left == 0)
        wait = _Waiting(ended, lambda: _left(target, work.ids))
        wait.until(lambda left: left == 0)
        if contestant.receipts:
            wait = _Waiting(ended, lambda: told_before + count - _told(stage, contestant))
            wait.until(lambda missing: missing <= 0)
        took = time.perf_counter() - began
    if contestant.receipts:
        assert _told(stage, contestant) == told_before + count, "one receipt for each task"
    with _target(stage) as target, target.cursor() as cursor:
        cursor.execute("select count(*) from people")
        assert cursor.fetchone() == (work.people - count,), "nobody else is gone"
    return left / took


def _left(target: Connection, ids: Sequence[int]) -> int:
    with target.cursor() as cursor:
        cursor.execute(LEFT, (ids,))
        (left,) = cursor.fetchone() or (0,)
    return left


def _told(stage: Measured, contestant: Contestant) -> int:
    if not contestant.receipts:
        return 0
    return sum(end_offsets(stage.deployment.kafka, [contestant.receipts]).values())


class _Waiting:
    """Looks until what is left is little enough, and gives up when it stays the same for too long."""

    def __init__(self, ended: Callable[[], str], look: Callable[[], int]) -> None:
        self._ended = ended
        self._look = look
        self._last: int | None = None

    def until(self, enough: Callable[[int], bool]) -> None:
        """Wait. The first change may take a start."""
        patience = START_S_MAX if self._last is None else STILL_S_MAX
        moved_at = time.monotonic()
        while not enough(left := self._look()):
            if self._last is not None and left != self._last:
                moved_at, patience = time.monotonic(), STILL_S_MAX
            self._last = left
            if why := self._ended():
                raise SystemExit(f"it ended, with {left} left: {why}")
            if time.monotonic() - moved_at > patience:
                raise SystemExit(f"it stands still, with {left} left")
            time.sleep(POLL_S)


if __name__ == "__main__":
    main()
