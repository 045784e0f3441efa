"""The loop on a real broker: outages, rebalances and ends, with nothing lost."""

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from datetime import timedelta
from itertools import islice
from uuid import uuid4

import pytest
from broker.topics import MakeTopic, make_topic_at

from olvido.broker.contract import Received, Record
from olvido.broker.groups import group_state, lag
from olvido.broker.kafka import KafkaPublisher
from olvido.broker.loop import Counters, Loop
from olvido.broker.runtime.patience import delays
from olvido.core.errors import ConfigError, Unavailable
from olvido.operators.local.stack import Stack
from olvido.schemas.settings.deployment import KafkaSection

PARTITIONS = 6
Names = set[bytes | None]


class Member:
    """A loop in a thread, and what it was brought."""

    def __init__(
        self, kafka: KafkaSection, topic: str, group: str, *, batch_max: int = 1000, down: bool = False
    ) -> None:
        self.stop = threading.Event()
        self.down = threading.Event()  # while set, the target is down
        if down:
            self.down.set()
        self.brought = threading.Event()
        self.told_down = threading.Event()
        self.held: Sequence[Received] = ()  # the batch that was brought first while the target was down
        self.done: list[Received] = []
        self.loop = Loop(kafka, group=group, topics=[topic], handler=self._handle, batch_max=batch_max)
        self._ended: Future[None] = Future()
        threading.Thread(target=self._run, daemon=True).start()

    def end(self) -> None:
        self.stop.set()
        self._ended.result(30)

    def _run(self) -> None:
        try:
            self.loop.run(self.stop)
        except BaseException as error:  # noqa: BLE001 - told to who waits for the end
            self._ended.set_exception(error)
        else:
            self._ended.set_result(None)

    def _handle(self, batch: Sequence[Received]) -> None:
        if self.down.is_set():
            self.held = self.held or batch
            self.told_down.set()
            raise Unavailable("the target is down", retry_after=timedelta(seconds=0.5))
        self.done += batch
        self.brought.set()


Join = Callable[..., Member]


@pytest.fixture
def join() -> Iterator[Join]:
    """Starts members of a group, and ends those that a test did not."""
    members: list[Member] = []

    def start(
        kafka: KafkaSection, topic: str, group: str, *, batch_max: int = 1000, down: bool = False
    ) -> Member:
        members.append(Member(kafka, topic, group, batch_max=batch_max, down=down))
        return members[-1]

    yield start
    for member in members:
        member.stop.set()


def until(told: Callable[[], bool], what: str, *, within_s: float = 60) -> None:
    """Wait for what a broker does in its own time."""
    deadline = time.monotonic() + within_s
    looked = threading.Event()
    while not told():
        assert time.monotonic() < deadline, f"not within {within_s} s: {what}"
        looked.wait(0.05)


def publish(kafka: KafkaSection, topic: str, start: int, end: int) -> Names:
    """Write one record for each number, under a key of its own."""
    records = [Record(topic, f"key-{n}".encode(), str(n).encode()) for n in range(start, end)]
    with KafkaPublisher(kafka, client_id="test") as publisher:
        publisher.publish(records)
    return {record.value for record in records}


def values(member: Member) -> Names:
    return {record.value for record in member.done}


def a_group() -> str:
    return f"group-{uuid4().hex[:12]}"


def behind(kafka: KafkaSection, group: str, topic: str) -> int:
    return sum(part.behind for part in lag(kafka, group, [topic]))


def test_a_loop_counts_what_it_does_and_leaves_nothing_behind(
    join: Join, kafka_section: KafkaSection, make_topic: MakeTopic
) -> None:
    topic, group = make_topic(PARTITIONS), a_group()
    publish(kafka_section, topic, 0, 250)
    member = join(kafka_section, topic, group, batch_max=100)
    until(lambda: len(member.done) == 250, "all handled")
    member.end()
    counters = member.loop.counters
    assert (counters.handled, counters.retries, counters.dropped, member.loop.commits.failed) == (
        250,
        0,
        0,
        0,
    )
    assert counters.batches >= 3
    assert behind(kafka_section, group, topic) == 0


def test_a_group_is_empty_after_its_loop_has_ended(
    join: Join, kafka_section: KafkaSection, make_topic: MakeTopic
) -> None:
    topic, group = make_topic(1), a_group()
    publish(kafka_section, topic, 0, 1)
    member = join(kafka_section, topic, group)
    member.brought.wait(30)
    member.end()
    told = group_state(kafka_section, group)
    assert (told.state, told.members) == ("EMPTY", 0)


def test_nothing_is_committed_while_the_target_is_down(
    join: Join, kafka_section: KafkaSection, make_topic: MakeTopic
) -> None:
    topic, group = make_topic(PARTITIONS), a_group()
    publish(kafka_section, topic, 0, 100)
    member = join(kafka_section, topic, group, down=True)
    member.told_down.wait(30)
    member.end()
    assert (member.done, behind(kafka_section, group, topic)) == ([], 100)


def test_a_paused_loop_stays_in_its_group_longer_than_the_session_and_goes_on(
    join: Join, kafka_section: KafkaSection, make_topic: MakeTopic
) -> None:
    topic, group = make_topic(PARTITIONS), a_group()
    # Shorter, and the group throws out a member that works but was given no core for two seconds:
    # its records come twice, as they should, and say nothing of the pause.
    impatient = kafka_section.model_copy(
        update={"options": {"session.timeout.ms": "6000", "max.poll.interval.ms": "6000"}}
    )
    written = publish(kafka_section, topic, 0, 100)
    member = join(impatient, topic, group, down=True)
    until(lambda: member.loop.counters.paused_s > 8, "paused for longer than a session")
    members = group_state(kafka_section, group).members
    member.down.clear()
    until(lambda: values(member) == written, "all handled")
    member.end()
    assert (members, len(member.done), behind(kafka_section, group, topic)) == (1, 100, 0)


def test_partitions_that_go_to_another_member_while_paused_are_handled_there_and_not_here(
    join: Join, kafka_section: KafkaSection, make_topic: MakeTopic
) -> None:
    topic, group = make_topic(PARTITIONS), a_group()
    written = publish(kafka_section, topic, 0, 300)
    paused = join(kafka_section, topic, group, down=True)
    paused.told_down.wait(30)
    other = join(kafka_section, topic, group)
    until(
        lambda: len({record.partition for record in other.done}) == 3, "half of the partitions are read there"
    )
    paused.down.clear()
    until(lambda: values(paused) | values(other) == written, "all handled")
    paused.end()
    other.end()
    mine = {record.partition for record in paused.done}
    theirs = {record.partition for record in other.done}
    assert (len(mine), len(theirs), mine & theirs) == (3, 3, set())
    # How much the first batch held, and of which partitions, is the broker's affair.
    assert paused.loop.counters.dropped >= sum(record.partition in theirs for record in paused.held)
    assert behind(kafka_section, group, topic) == 0


def test_partitions_that_are_taken_while_paused_are_read_when_they_come_back(
    join: Join, kafka_section: KafkaSection, make_topic: MakeTopic
) -> None:
    """librdkafka remembers that they were paused; by then the wait is over, and nobody else resumes them."""
    topic, group = make_topic(PARTITIONS), a_group()
    written = publish(kafka_section, topic, 0, 300)
    paused = join(kafka_section, topic, group, down=True)
    paused.told_down.wait(30)
    other = join(kafka_section, topic, group)
    until(lambda: len({record.partition for record in other.done}) == 3, "half of them went to the other")
    paused.down.clear()
    until(lambda: values(paused) | values(other) == written, "all handled")
    other.end()
    until(lambda: len(paused.loop._assigned) == PARTITIONS, "all of them came back")
    written |= publish(kafka_section, topic, 300, 600)
    until(lambda: values(paused) | values(other) == written, "what came since")
    paused.end()
    assert behind(kafka_section, group, topic) == 0


def test_partitions_that_come_while_paused_are_paused_too_and_lose_nothing(
    join: Join, kafka_section: KafkaSection, make_topic: MakeTopic
) -> None:
    topic, group = make_topic(PARTITIONS), a_group()
    written = publish(kafka_section, topic, 0, 60)
    leaves, stays = join(kafka_section, topic, group), join(kafka_section, topic, group)
    until(lambda: values(leaves) | values(stays) == written, "all handled")
    until(lambda: group_state(kafka_section, group).state == "STABLE", "both are in")
    stays.down.set()
    written |= publish(kafka_section, topic, 60, 360)
    stays.told_down.wait(30)
    leaves.end()
    written |= publish(kafka_section, topic, 360, 660)
    until(lambda: len(stays.loop._assigned) == PARTITIONS, "all partitions came")
    handled_while_down = len(stays.done)
    retries = stays.loop.counters.retries
    until(lambda: stays.loop.counters.retries > retries, "still asking the target")
    assert len(stays.done) == handled_while_down
    stays.down.clear()
    until(lambda: values(leaves) | values(stays) == written, "all handled")
    stays.end()
    assert behind(kafka_section, group, topic) == 0


def test_each_key_keeps_its_order_through_outages_and_rebalances(
    join: Join, kafka_section: KafkaSection, make_topic: MakeTopic
) -> None:
    """A repeat may begin again at an earlier record, but what was not seen yet never comes out of order."""
    topic, group = make_topic(PARTITIONS), a_group()
    records = [Record(topic, f"key-{n % 20}".encode(), str(n).encode()) for n in range(2000)]
    with KafkaPublisher(kafka_section, client_id="test") as publisher:
        publisher.publish(records)
    one = join(kafka_section, topic, group, batch_max=50)
    one.brought.wait(30)
    one.down.set()
    other = join(kafka_section, topic, group, batch_max=50)
    one.told_down.wait(30)
    one.down.clear()
    until(lambda: len(values(one) | values(other)) == 2000, "all handled")
    one.end()
    other.end()
    for member in (one, other):
        newest: dict[bytes | None, int] = {}
        for record in member.done:
            assert record.value is not None
            number = int(record.value)
            assert number <= newest.get(record.key, number) or number - newest[record.key] == 20
            newest[record.key] = max(number, newest.get(record.key, number))


def test_an_unexpected_error_ends_the_loop_and_its_batch_comes_again(
    join: Join, kafka_section: KafkaSection, make_topic: MakeTopic
) -> None:
    topic, group = make_topic(1), a_group()
    written = publish(kafka_section, topic, 0, 10)

    def dies(_: Sequence[Received]) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Loop(kafka_section, group=group, topics=[topic], handler=dies).run(threading.Event())
    assert behind(kafka_section, group, topic) == 10
    next_one = join(kafka_section, topic, group)
    until(lambda: values(next_one) == written, "all handled")
    next_one.end()


def test_an_idle_loop_says_so(kafka_section: KafkaSection, make_topic: MakeTopic) -> None:
    stop = threading.Event()
    Loop(
        kafka_section, group=a_group(), topics=[make_topic(1)], handler=lambda _: None, on_idle=stop.set
    ).run(stop)
    assert stop.is_set()


def test_a_topic_that_is_made_later_is_found(
    join: Join, kafka_section: KafkaSection, caplog: pytest.LogCaptureFixture
) -> None:
    from confluent_kafka.admin import AdminClient, NewTopic

    topic = f"later-{uuid4().hex[:12]}"
    member = join(
        kafka_section.model_copy(update={"options": {"topic.metadata.refresh.interval.ms": "500"}}),
        topic,
        a_group(),
    )
    until(lambda: "UNKNOWN_TOPIC_OR_PART" in caplog.text, "it looked, and said so")
    admin = AdminClient({"bootstrap.servers": kafka_section.bootstrap_servers})
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(30)
    written = publish(kafka_section, topic, 0, 3)
    until(lambda: values(member) == written, "all handled")
    member.end()


def test_a_broker_that_is_not_there_yet_is_waited_for_and_a_restarted_one_found_again(
    join: Join, own_stack: Stack, own_kafka: KafkaSection
) -> None:
    topic, group = make_topic_at(own_kafka, PARTITIONS), a_group()
    own_stack.supervisor.stop("kafka")
    member = join(own_kafka, topic, group)
    own_stack.supervisor.start("kafka")
    written = _publish_patiently(own_kafka, topic, 0, 100)
    until(lambda: values(member) == written, "all handled")
    own_stack.supervisor.restart("kafka")
    written |= _publish_patiently(own_kafka, topic, 100, 200)
    until(lambda: values(member) == written, "all handled after the restart")
    until(lambda: behind(own_kafka, group, topic) == 0, "all committed")
    member.end()


def test_a_commit_that_fails_is_counted_and_the_records_come_again(
    join: Join, own_stack: Stack, own_kafka: KafkaSection
) -> None:
    topic, group = make_topic_at(own_kafka, 1), a_group()
    written = _publish_patiently(own_kafka, topic, 0, 10)
    stop = threading.Event()

    def handler(_: Sequence[Received]) -> None:
        own_stack.supervisor.stop("kafka")
        stop.set()

    loop = Loop(own_kafka, group=group, topics=[topic], handler=handler)
    loop.run(stop)
    assert (loop.counters.handled, loop.commits.failed) == (10, 1)
    own_stack.supervisor.start("kafka")
    next_one = join(own_kafka, topic, group)
    until(lambda: values(next_one) == written, "they came again")
    next_one.end()


def _publish_patiently(kafka: KafkaSection, topic: str, start: int, end: int) -> Names:
    for _ in range(20):
        try:
            return publish(kafka, topic, start, end)
        except Unavailable:
            continue
    pytest.fail("the broker does not take records")


PROCESS = """
import logging, signal, sys, threading
from olvido.broker.loop import Loop
from olvido.schemas.settings.deployment import KafkaSection
address, topic, group = sys.argv[1:]
stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
def handler(batch):
    print(len(batch), flush=True)
    for line in sys.stdin:  # told to go on, or that nobody will
        break
Loop(KafkaSection(bootstrap_servers=address), group=group, topics=[topic], handler=handler).run(stop)
"""


def a_process(
    kafka: KafkaSection, topic: str, group: str, *, stdin: int = subprocess.DEVNULL
) -> "subprocess.Popen[str]":
    arguments = [sys.executable, "-c", PROCESS, kafka.bootstrap_servers, topic, group]
    return subprocess.Popen(arguments, stdin=stdin, stdout=subprocess.PIPE, text=True)


def handled_by(process: "subprocess.Popen[str]", count: int) -> None:
    """Read what the process says until it has handled so many records."""
    assert process.stdout is not None
    while count > 0:
        count -= int(process.stdout.readline())


def test_sigterm_ends_a_process_within_ten_seconds_with_everything_committed(
    kafka_section: KafkaSection, make_topic: MakeTopic
) -> None:
    topic, group = make_topic(PARTITIONS), a_group()
    publish(kafka_section, topic, 0, 500)
    with a_process(kafka_section, topic, group) as process:
        handled_by(process, 500)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    assert behind(kafka_section, group, topic) == 0


def test_sigterm_ends_a_process_within_ten_seconds_while_the_broker_is_down(
    own_stack: Stack, own_kafka: KafkaSection
) -> None:
    topic, group = make_topic_at(own_kafka, PARTITIONS), a_group()
    _publish_patiently(own_kafka, topic, 0, 10)
    with a_process(own_kafka, topic, group) as process:
        handled_by(process, 10)
        own_stack.supervisor.stop("kafka")
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


def test_sigterm_ends_a_process_whose_commit_nobody_answers(
    own_stack: Stack, own_kafka: KafkaSection
) -> None:
    """To close a consumer waits for the answer to each commit, if need be for ever (librdkafka#3740)."""
    topic, group = make_topic_at(own_kafka, PARTITIONS), a_group()
    _publish_patiently(own_kafka, topic, 0, 10)
    broker = own_stack.supervisor.status()["kafka"].pid
    assert broker is not None
    with a_process(own_kafka, topic, group, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        handled_by(process, 1)
        os.kill(broker, signal.SIGSTOP)
        try:
            process.stdin.close()  # the handler goes on, and its batch is committed
            process.send_signal(signal.SIGTERM)
            assert process.wait(15) == 0
        finally:
            process.kill()
            os.kill(broker, signal.SIGCONT)


def test_what_a_killed_process_did_not_commit_goes_to_another(
    join: Join, kafka_section: KafkaSection, make_topic: MakeTopic
) -> None:
    topic, group = make_topic(PARTITIONS), a_group()
    written = publish(kafka_section, topic, 0, 500)
    with a_process(kafka_section, topic, group) as process:
        handled_by(process, 1)
        os.kill(process.pid, signal.SIGKILL)
    written |= publish(kafka_section, topic, 500, 600)
    member = join(kafka_section, topic, group)
    # At least what came after the kill; what the dead one had committed does not come again.
    until(lambda: {str(n).encode() for n in range(500, 600)} <= values(member), "all handled")
    until(lambda: behind(kafka_section, group, topic) == 0, "all committed")
    member.end()
    assert values(member) <= written


def test_a_loop_logs_no_key_and_no_value(
    join: Join, kafka_section: KafkaSection, make_topic: MakeTopic, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    topic = make_topic(1)
    with KafkaPublisher(kafka_section, client_id="test") as publisher:
        publisher.publish([Record(topic, b"canary-key", b"canary-value", (("h", b"canary-header"),))])
    member = join(kafka_section, topic, a_group(), down=True)
    member.told_down.wait(30)
    member.down.clear()
    member.brought.wait(30)
    member.end()
    assert "canary" not in caplog.text
    assert "the target is down" in caplog.text


def test_waits_double_to_ten_seconds() -> None:
    waits = list(islice(delays(), 12))
    longest = [0.5, 1, 2, 4, 8, 10, 10, 10, 10, 10, 10, 10]
    assert all(most / 2 <= wait <= most for wait, most in zip(waits, longest, strict=True))


@pytest.mark.parametrize(("asked_s", "given_s"), [(-5, 0.5), (0, 0.5), (7, 7), (1e9, 3600)])
def test_a_wait_that_a_target_asks_for_is_kept_within_reason(asked_s: float, given_s: float) -> None:
    from olvido.broker.loop import _asked_for

    assert _asked_for(Unavailable("busy", retry_after=timedelta(seconds=asked_s))) == given_s


def test_a_loop_with_an_option_that_may_not_be_changed_does_not_start() -> None:
    kafka = KafkaSection(options={"auto.offset.reset": "latest"})
    loop = Loop(kafka, group="g", topics=["t"], handler=lambda _: None)
    with pytest.raises(ConfigError, match=r"kafka\.options\.auto\.offset\.reset is earliest"):
        loop.run(threading.Event())
    assert loop.counters == Counters()
