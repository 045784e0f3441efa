"""Health: alive while the work moves, ready while all it needs answers; asked over a real socket."""

import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from broker.test_loop import until
from broker.topics import MakeTopic

from olvido.broker.contract import Received, Record
from olvido.broker.groups import lag
from olvido.broker.kafka import KafkaPublisher
from olvido.broker.loop import Loop
from olvido.broker.memory import MemoryBroker
from olvido.broker.partitioning import partition_of
from olvido.broker.runtime.canaries import Canaries, keys_for
from olvido.broker.runtime.health import LOOKED_S_MAX, ReaderHealth
from olvido.broker.runtime.movement import STILL_S_MAX, Activity
from olvido.broker.runtime.serving import serving
from olvido.core.errors import ConfigError, Unavailable
from olvido.schemas.codec import canaries_codec
from olvido.schemas.registry import Registry
from olvido.schemas.settings.deployment import KafkaSection, MetricsSection
from olvido.schemas.topics import CANARIES

PARTITIONS = KafkaSection().partitions


def a_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def ask(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@dataclass
class Told:
    """A health that says what it was told to."""

    alive: str = ""
    ready: str = ""

    def why_not_alive(self) -> str:
        return self.alive

    def why_not_ready(self) -> str:
        return self.ready


def test_a_process_answers_on_its_port_and_says_why_not() -> None:
    health, port = Told(), a_port()
    with serving(MetricsSection(port=port), health):
        assert ask(port, "/healthz") == (200, "ok\n")
        assert ask(port, "/readyz?verbose=1") == (200, "ok\n")
        health.alive, health.ready = "nothing moved", "the target is down"
        assert ask(port, "/healthz") == (503, "nothing moved\n")
        assert ask(port, "/readyz") == (503, "the target is down\n")
        assert ask(port, "/")[0] == 404
        status, text = ask(port, "/metrics")
    assert status == 200
    assert 'olvido_build_info{version="' in text
    assert "process_resident_memory_bytes" in text


def test_without_a_port_nothing_is_served() -> None:
    before = threading.active_count()
    with serving(MetricsSection(), Told()):
        assert threading.active_count() == before


def test_a_port_that_is_taken_is_refused_with_the_fix() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(ConfigError, match="OLVIDO_METRICS__PORT"),
            serving(MetricsSection(port=port), Told()),
        ):
            pass


@pytest.mark.parametrize("partitions", [1, 6, 24, 1000])
def test_canaries_land_on_each_partition_once(registry: Registry, partitions: int) -> None:
    broker = MemoryBroker({CANARIES.name: partitions})
    now = datetime(2026, 11, 23, 12, tzinfo=UTC)
    codec = canaries_codec(registry)
    Canaries(codec, broker, partitions=partitions, source="test", clock=lambda: now).write()
    written = broker.records(CANARIES.name)
    assert [record.partition for record in written] == list(range(partitions))
    assert {codec.decode(record.value) for record in written} == {now}
    assert [partition_of(key, partitions) for key in keys_for(partitions)] == list(range(partitions))


@dataclass
class Clock:
    now_s: float = 1000.0

    def __call__(self) -> float:
        return self.now_s


class Reader:
    """A loop that reads a topic and its canaries, in a thread; its handler can be blocked."""

    def __init__(self, kafka: KafkaSection, topic: str) -> None:
        self.clock = Clock()
        self.go_on = threading.Event()
        self.go_on.set()
        self.down = threading.Event()
        self.blocked = threading.Event()
        self.done: list[Received] = []
        self.stop = threading.Event()
        self.group = f"group-{uuid4().hex[:12]}"
        self.topic = topic
        self.activity = Activity(clock=self.clock)
        self.health = ReaderHealth(
            kafka, group=self.group, topics=[topic], activity=self.activity, clock=self.clock
        )
        self.loop = Loop(
            kafka, group=self.group, topics=[topic], handler=self._handle,
            activity=self.activity, canaries=True,
        )  # fmt: skip
        self._thread = threading.Thread(target=self.loop.run, args=(self.stop,), daemon=True)
        self._thread.start()

    def end(self) -> None:
        self.go_on.set()
        self.stop.set()
        self._thread.join(30)

    def look(self, after_s: float = 0.0) -> None:
        self.clock.now_s += after_s
        self.health.look()

    def _handle(self, batch: Sequence[Received]) -> None:
        if self.down.is_set():
            self.blocked.set()
            raise Unavailable("the target postgresql://crm:hunter2@db is down")
        self.blocked.set()
        assert self.go_on.wait(120)
        self.done += batch


@pytest.fixture
def reader(kafka_section: KafkaSection, registry: Registry, make_topic: MakeTopic) -> Iterator[Reader]:
    reader = Reader(kafka_section, make_topic(PARTITIONS))
    yield reader
    reader.end()


@pytest.fixture
def canaries(kafka_section: KafkaSection, registry: Registry) -> Iterator[Canaries]:
    with KafkaPublisher(kafka_section, client_id="test") as publisher:
        yield Canaries(
            canaries_codec(registry),
            publisher,
            partitions=PARTITIONS,
            source="test",
            clock=lambda: datetime.now(UTC),
        )


def waits(kafka: KafkaSection, reader: Reader, topic: str) -> int:
    return sum(one.behind for one in lag(kafka, reader.group, [topic]))


def work(kafka: KafkaSection, reader: Reader) -> None:
    with KafkaPublisher(kafka, client_id="test") as publisher:
        publisher.publish([Record(reader.topic, b"key", b"work")])


def test_a_reader_that_reads_commits_its_canaries_and_its_handler_never_sees_them(
    kafka_section: KafkaSection, reader: Reader, canaries: Canaries
) -> None:
    canaries.write()
    work(kafka_section, reader)
    until(lambda: len(reader.done) == 1, "the work is done")
    until(lambda: waits(kafka_section, reader, CANARIES.name) == 0, "the canaries are committed")
    assert {record.topic for record in reader.done} == {reader.topic}
    assert reader.loop.counters.handled == 1
    assert {topic for topic, _ in reader.activity.assigned()} == {reader.topic, CANARIES.name}


def test_a_blocked_handler_is_not_alive_after_a_minute_and_alive_again_when_it_moves(
    kafka_section: KafkaSection, reader: Reader, canaries: Canaries
) -> None:
    reader.health.started({})
    until(lambda: len(reader.activity.assigned()) == 2 * PARTITIONS, "it reads")
    reader.go_on.clear()
    work(kafka_section, reader)
    reader.blocked.wait(30)
    reader.look()
    reader.look(after_s=STILL_S_MAX - 1)
    assert (reader.health.why_not_alive(), reader.health.why_not_ready()) == ("", "")
    reader.look(after_s=2)
    assert reader.health.why_not_alive().endswith(
        f" records wait for {reader.group} and nothing moved for 61 s"
    )
    assert reader.health.why_not_ready() == reader.health.why_not_alive()
    reader.go_on.set()
    until(lambda: waits(kafka_section, reader, reader.topic) == 0, "it is committed")
    reader.look()
    assert (reader.health.why_not_alive(), reader.health.why_not_ready()) == ("", "")


def test_a_reader_nobody_asks_anything_of_is_found_by_its_canaries(
    kafka_section: KafkaSection, registry: Registry, make_topic: MakeTopic, canaries: Canaries
) -> None:
    """It was given its partitions and does not read: there is no work that could tell, but canaries."""
    reader = Reader(kafka_section, make_topic(PARTITIONS))
    canaries.write()
    until(lambda: len(reader.activity.assigned()) == 2 * PARTITIONS, "it reads")
    until(lambda: waits(kafka_section, reader, CANARIES.name) == 0, "it has read what there is")
    reader.end()
    reader.health.started({})
    reader.look()
    canaries.write()
    reader.look(after_s=10)
    reader.look(after_s=STILL_S_MAX + 1)
    assert "nothing moved for 61 s" in reader.health.why_not_alive()


def test_a_target_that_is_down_leaves_a_reader_alive_and_not_ready(
    kafka_section: KafkaSection, reader: Reader
) -> None:
    reader.health.started({})
    reader.down.set()
    work(kafka_section, reader)
    reader.blocked.wait(30)
    until(lambda: reader.activity.down([reader.topic]) != "", "it waits")
    reader.look()
    until(lambda: bool(reader.activity._resting), "it rests")
    reader.look(after_s=STILL_S_MAX - 1)
    assert reader.health.why_not_alive() == ""
    assert reader.health.why_not_ready().endswith("the target postgresql://crm:[password]@db is down")


def test_a_part_that_does_not_answer_is_said_and_the_process_stays_alive(reader: Reader) -> None:
    answers = []

    def part() -> None:
        if not answers:
            raise Unavailable("the ledger database does not answer")

    assert "not started" in reader.health.why_not_ready()
    reader.health.started({"ledger": part})
    reader.look()
    assert (reader.health.why_not_alive(), reader.health.why_not_ready()) == (
        "", "ledger: the ledger database does not answer",
    )  # fmt: skip
    answers.append(1)
    reader.look()
    assert reader.health.why_not_ready() == ""


def test_a_broker_that_is_silent_leaves_a_reader_alive_and_not_ready() -> None:
    nowhere = KafkaSection(bootstrap_servers=f"127.0.0.1:{a_port()}")
    clock = Clock()
    health = ReaderHealth(nowhere, group="g", topics=["t"], activity=Activity(clock=clock), clock=clock)
    health.started({})
    health.look()
    assert health.why_not_alive() == ""
    assert health.why_not_ready().startswith("kafka: Kafka at 127.0.0.1:")
    clock.now_s += LOOKED_S_MAX + 1
    assert "nobody has looked" in health.why_not_alive()


def test_members_share_work_and_canaries_alike(
    kafka_section: KafkaSection, registry: Registry, make_topic: MakeTopic
) -> None:
    """Shared out by the group alone, one of two members was given all canaries, the other all work."""
    topic, group = make_topic(PARTITIONS), f"group-{uuid4().hex[:12]}"
    stop = threading.Event()
    activities = [Activity(), Activity()]
    for activity in activities:
        loop = Loop(
            kafka_section, group=group, topics=[topic], handler=lambda _: None,
            activity=activity, canaries=True,
        )  # fmt: skip
        threading.Thread(target=loop.run, args=(stop,), daemon=True).start()
    try:
        until(lambda: all(len(one.assigned()) == PARTITIONS for one in activities), "half of all for each")
        for activity in activities:
            by_topic = [{n for t, n in activity.assigned() if t == name} for name in (topic, CANARIES.name)]
            assert by_topic[0] == by_topic[1]
    finally:
        stop.set()
