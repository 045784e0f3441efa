"""What is done now and then: by a thread of its own, and on the plain loop as on Faust."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from key_files import UNSIGNED
from values import an_erasure, an_id, read

from olvido.broker.contract import Record
from olvido.broker.groups import end_offsets
from olvido.broker.kafka import KafkaPublisher
from olvido.broker.ranges import read_range
from olvido.core.causes import Cause
from olvido.core.errors import Refused, Unavailable
from olvido.core.sessions import CONTROL
from olvido.ledger.store import Ledger
from olvido.operators.desk import keys
from olvido.operators.settings import private_keys, signing_file
from olvido.processors import requests
from olvido.processors.timers import Timer, repeat, running
from olvido.processors.watchdog import EXIT_TRY_AGAIN
from olvido.schemas.codec import requests_codec, tasks_codec
from olvido.schemas.envelope import headers_of
from olvido.schemas.registry import Registry
from olvido.schemas.settings.deployment import DESK, Deployment, KafkaSection
from olvido.schemas.topics import (
    CONSENTS,
    DEAD_LETTERS,
    PROCESSORS_GROUP,
    RECEIPTS,
    RECORDER_GROUP,
    REQUESTS,
    VERIFICATIONS,
    sink_group,
    tasks_topic,
)

PROJECT = Path(__file__).parents[2]
AT_ONCE = timedelta(milliseconds=1)
WITHIN_S = 90


def test_a_part_that_is_down_and_a_record_that_is_refused_are_tried_again():
    stop, tries = threading.Event(), iter((Unavailable("down"), Refused(Cause.TOO_LARGE), None))

    def act() -> None:
        error = next(tries)
        if error is not None:
            raise error
        stop.set()

    repeat(Timer(name="t", every=AT_ONCE, act=act), stop, end=lambda _: pytest.fail("it must go on"))
    assert next(tries, "none left") == "none left"


def test_anything_unforeseen_ends_the_process():
    def act() -> None:
        raise KeyError("a value that no log may show")

    ended: list[int] = []
    repeat(Timer(name="t", every=AT_ONCE, act=act), threading.Event(), end=ended.append)
    assert ended == [EXIT_TRY_AGAIN]


def test_one_that_takes_long_holds_up_no_other_and_all_end_with_the_block():
    stop, acted, slow = threading.Event(), threading.Event(), threading.Event()
    timers = [
        Timer(name="slow", every=AT_ONCE, act=lambda: slow.wait(WITHIN_S)),
        Timer(name="quick", every=AT_ONCE, act=acted.set),
    ]
    with running(timers, stop):
        assert acted.wait(WITHIN_S)
        slow.set()
    assert stop.is_set()
    assert {"slow", "quick"}.isdisjoint(thread.name for thread in threading.enumerate())


def until(is_so: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not is_so():
        assert time.monotonic() < deadline, what
        time.sleep(0.2)


def committed(kafka: KafkaSection, group: str, topics: list[str]) -> dict[tuple[str, int], int]:
    """Commit a group to the end of its topics, over whatever is unread; where that is."""
    ends = end_offsets(kafka, topics)
    places = [TopicPartition(*place, end) for place, end in ends.items()]
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})

    def done() -> bool:
        # A broker that has just started loads the coordinator of the group first.
        asked = [ConsumerGroupTopicPartitions(group, places)]
        try:
            told = admin.alter_consumer_group_offsets(asked)[group].result()
        except KafkaException:
            return False
        return all(place.error is None for place in told.topic_partitions)

    until(done, f"committing for {group} by hand")
    return dict(ends)


@pytest.fixture
def run_engine(tmp_path: Path, parts, ledger_dsn: str) -> Iterator[Callable[[str], None]]:
    """`olvido run processors --engine …`, as a process."""
    (tmp_path / "olvido.toml").write_bytes((PROJECT / "olvido.toml").read_bytes())
    keys.create(Deployment.load(tmp_path / "olvido.toml"), tmp_path)
    environment = {
        **os.environ,
        "OLVIDO_KAFKA__BOOTSTRAP_SERVERS": parts.bootstrap_servers,
        "OLVIDO_REGISTRY__URL": parts.registry_url,
        "OLVIDO_LEDGER__DSN": ledger_dsn,
        "OLVIDO_RECONCILER__EVERY_S": "0.5",
        "OLVIDO_KEYS__PRIVATE_DIR": str(private_keys(CONTROL, tmp_path)),
        "OLVIDO_KEYS__SIGNING_FILE": str(signing_file(DESK, tmp_path)),
        "OLVIDO_ACCEPT_UNSIGNED_UNTIL": "9999-12-31",  # who asked is not what is tested here
    }
    command = [str(Path(sys.executable).with_name("olvido")), "run", "processors", "--engine"]
    processes: list[subprocess.Popen[bytes]] = []
    yield lambda engine: processes.append(subprocess.Popen([*command, engine], cwd=tmp_path, env=environment))
    for process in processes:
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0


@pytest.mark.parametrize("engine", ["faust", "loop"])
def test_each_engine_sends_again_what_is_owed_and_reads_again_what_was_committed_over(
    registry: Registry,
    kafka_section: KafkaSection,
    ledger: Ledger,
    deployment: Deployment,
    run_engine: Callable[[str], None],
    engine: str,
):
    kafka, codec, now = kafka_section, requests_codec(registry), datetime.now(UTC)
    # Owed since an hour, and never sent: a record that was lost on its way.
    owed = replace(an_erasure(1, regions=("cn",)), requested_at=now - timedelta(hours=1))
    item = read(owed)
    item = replace(item, received=replace(item.received, value=codec.encode(owed)))
    nothing = requests.KnownRequests(requests={}, verifications={})
    output = requests.step([item], nothing, deployment.catalogue, UNSIGNED, now)
    rows = output.tasks
    ledger.requests.save(
        output.rows, rows, topic=REQUESTS.name, now=now - timedelta(hours=1), due_after=timedelta(minutes=1)
    )
    # Committed over, and never handled.
    skipped = replace(an_erasure(2, person=2, regions=("cn",)), requested_at=now - timedelta(hours=1))
    with KafkaPublisher(kafka, client_id="tests") as publisher:
        headers = headers_of(an_id(77), "olvido.privacy_request.v1", source="tests")
        publisher.publish(
            [Record(REQUESTS.name, skipped.subject_id.encode(), codec.encode(skipped), headers)]
        )
    committed(kafka, PROCESSORS_GROUP, [REQUESTS.name, CONSENTS.name, VERIFICATIONS.name])
    committed(kafka, RECORDER_GROUP, [RECEIPTS.name, DEAD_LETTERS.name])
    sinks = sorted({task.sink for task in output.tasks})
    before = {sink: committed(kafka, sink_group(sink), [tasks_topic(sink).name]) for sink in sinks}

    run_engine(engine)
    until(lambda: skipped.request_id in ledger.requests.known([skipped.request_id])[0], "the audit")

    def sent() -> set:
        return {
            task_codec.decode(record.value).source_id
            for sink in sinks
            for task_codec in [tasks_codec(registry, sink)]
            for (topic, partition), end in end_offsets(kafka, [tasks_topic(sink).name]).items()
            for record in read_range(kafka, topic, partition, [(before[sink][topic, partition], end)])
        }

    until(lambda: sent() >= {owed.request_id, skipped.request_id}, "the tasks of both")
