"""Records in, receipts and dead letters out: every record is answered, and only when the work is done."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from key_files import KeyFiles, principals_of, sealed_task
from schemas.codecs import MemoryRegistry, forged
from sinks.shop import a_handle, an_erasure, identities
from values import CATALOGUE

from olvido.broker.contract import Received, Record
from olvido.core.causes import Cause
from olvido.core.dead_letters import DeadLetter
from olvido.core.errors import ConfigError, Refused, Unavailable
from olvido.core.ids import dead_letter_id
from olvido.core.outcomes import Outcome
from olvido.core.receipts import Receipt, receipt_for
from olvido.core.subject import Identity
from olvido.core.tasks import IdempotencyKey, Task
from olvido.schemas.codec import Codec, dead_letters_codec, receipts_codec, tasks_codec
from olvido.schemas.sealed_records import session_in
from olvido.schemas.settings.deployment import Deployment
from olvido.schemas.topics import DEAD_LETTERS, RECEIPTS, tasks_topic
from olvido.sinks.contract import OpenedTask, RefusedTogether, SinkSettings
from olvido.sinks.plugins import load_sink, make_sink
from olvido.sinks.runner import SinkRunner

CANARY = "canary@example.com"
NOW = datetime(2026, 6, 2, tzinfo=UTC)
GROUP = "olvido.sink.crm"
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class RememberingPublisher:
    """Keeps what is published, in calls."""

    def __init__(self) -> None:
        self.calls: list[Sequence[Record]] = []
        self.down = False

    def publish(self, records: Sequence[Record]) -> None:
        if self.down:
            raise Unavailable("Kafka does not answer")
        self.calls.append(records)

    @property
    def records(self) -> list[Record]:
        return [record for call in self.calls for record in call]


@dataclass
class PickySink:
    """Erases whoever it is told to, once, but for those it refuses."""

    refused: set[str] = field(default_factory=set)
    cause: Cause = Cause.REFUSED_BY_TARGET
    together: set[IdempotencyKey] = field(default_factory=set)
    down: bool = False
    answers: dict[tuple[UUID, int], Receipt] = field(default_factory=dict)
    batches: list[int] = field(default_factory=list)
    idled: int = 0
    pinged: int = 0

    def check(self) -> tuple[str, ...]:
        return ()

    def install(self) -> None: ...

    def ping(self) -> None:
        self.pinged += 1
        if self.down:
            raise Unavailable("crm does not answer")

    def apply(self, batch: Sequence[OpenedTask]) -> Sequence[Receipt]:
        self.batches.append(len(batch))
        if self.down:
            raise Unavailable("crm does not answer")
        if any(identity.value in self.refused for one in batch for identity in one.identities):
            raise Refused(self.cause, reason="it will not")
        if self.together & {one.task.key for one in batch}:
            raise RefusedTogether(Cause.ABOVE_LIMIT, keys=frozenset(self.together))
        for one in batch:
            key = (one.task.task_id, one.task.generation)
            self.answers.setdefault(key, receipt_for(one.task, Outcome.ERASED, applied_at=NOW))
        return [self.answers[one.task.task_id, one.task.generation] for one in batch]

    def remembered(self, batch: Sequence[Task]) -> Sequence[Receipt | None]:
        return [self.answers.get((task.task_id, task.generation)) for task in batch]

    def idle(self) -> None:
        self.idled += 1

    def close(self) -> None: ...


class Bench:
    """A runner with all that is around it: real codecs and boxes, a registry in memory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.keys = KeyFiles(folder, ("cn",))
        self.sealer = self.keys.sealer(now=NOW)
        registry = MemoryRegistry("runner")
        for topic in (tasks_topic("crm"), RECEIPTS, DEAD_LETTERS):
            registry.register(topic.subject, topic.schema)
        self.tasks: Codec[Task] = tasks_codec(registry, "crm")
        self.receipts_codec = receipts_codec(registry)
        self.letters_codec = dead_letters_codec(registry)
        self.sink = PickySink()
        self.publisher = RememberingPublisher()
        self.offset = 0
        self.runner = SinkRunner(
            self.sink,
            name="crm",
            opener=self.keys.opener("cn"),
            seals=self.keys.seals(principals_of(CATALOGUE)),
            sealer=self.keys.sealer("sink-crm", now=NOW),
            tasks=self.tasks,
            receipts=self.receipts_codec,
            dead_letters=self.letters_codec,
            publisher=self.publisher,
            group=GROUP,
            source="olvido",
            clock=lambda: NOW,
        )

    def sealed(self, person: Sequence[Identity] = (), **changes: Any) -> Task:
        """An erasure with a real box."""
        person = person or identities(email=CANARY)
        task = replace(an_erasure(email="x@x.org").task, subject_id=a_handle(person[0]).value)
        task = replace(task, handles=tuple(a_handle(identity) for identity in person))
        return replace(sealed_task(self.sealer, task, person), **changes)

    def record(self, task: Task, **changes: Any) -> Received:
        """The task, as read from its topic."""
        self.offset += 1
        record = Received(
            tasks_topic("crm").name, 3, self.offset, task.subject_id.encode(), self.tasks.encode(task)
        )
        return replace(record, **changes)

    @property
    def receipts(self) -> list[Receipt]:
        found = [r for r in self.publisher.records if r.topic == RECEIPTS.name]
        assert all(
            record.key == self.receipts_codec.decode(record.value).subject_id.encode() for record in found
        )
        receipts = [self.receipts_codec.decode(record.value) for record in found]
        assert all(session_in(receipt.seal.header).principal == "sink-crm" for receipt in receipts)
        return [replace(receipt, seal=None) for receipt in receipts]

    def unsealed(self, records: Sequence[Record]) -> list[Record]:
        """The records as they were before they were sealed: no two seals are alike."""
        return [
            replace(one, value=replace(self.receipts_codec.decode(one.value), seal=None))
            if one.topic == RECEIPTS.name
            else one
            for one in records
        ]

    @property
    def letters(self) -> list[DeadLetter]:
        found = [r for r in self.publisher.records if r.topic == DEAD_LETTERS.name]
        letters = [self.letters_codec.decode(record.value) for record in found]
        assert [record.key.decode() for record in found] == [str(letter.dead_letter_id) for letter in letters]
        return letters


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A runner."""
    return Bench(tmp_path)


def test_a_task_is_done_and_answered_with_its_trace(bench: Bench) -> None:
    task = bench.sealed()
    bench.runner([bench.record(task, headers=(("ce_specversion", b"1.0"), ("traceparent", TRACE.encode())))])
    assert bench.receipts == [receipt_for(task, Outcome.ERASED, applied_at=NOW)]
    headers = dict(bench.publisher.records[0].headers)
    assert headers["traceparent"] == TRACE.encode()
    assert headers["ce_type"] == b"olvido.receipt.v1"
    assert headers["ce_id"] == str(bench.receipts[0].receipt_id).encode()
    assert CANARY.encode() not in repr(bench.publisher.records).encode()


def test_the_sink_is_given_the_identities_in_clear(bench: Bench) -> None:
    bench.sink.refused = {CANARY}
    bench.runner([bench.record(bench.sealed())])
    assert [letter.cause for letter in bench.letters] == [Cause.REFUSED_BY_TARGET]


def a_wrong_key(bench: Bench, task: Task) -> Received:
    return bench.record(task, key=b"h1_somebody")


def no_key(bench: Bench, task: Task) -> Received:
    return bench.record(task, key=None)


def moved(bench: Bench, task: Task) -> Received:
    """The box of another request."""
    return bench.record(replace(bench.sealed(), box=task.box))


def altered(bench: Bench, task: Task) -> Received:
    box = replace(task.box, ciphertext=task.box.ciphertext[:-1] + b"\0")
    return bench.record(replace(task, box=box))


def blank(bench: Bench, task: Task) -> Received:
    person = [replace(identity, value=" ", normalised=" ") for identity in identities(email="a@x.org")]
    return bench.record(bench.sealed(person))


BAD: dict[str, tuple[Callable[[Bench, Task], Received], Cause]] = {
    "a tombstone": (lambda b, t: b.record(t, value=None), Cause.NULL_VALUE),
    "nothing": (lambda b, t: b.record(t, value=b""), Cause.EMPTY),
    "JSON": (lambda b, t: b.record(t, value=b'{"task_id": 1}'), Cause.BAD_MAGIC),
    "half a record": (lambda b, t: b.record(t, value=b.tasks.encode(t)[:40]), Cause.TRUNCATED),
    "more than a record": (lambda b, t: b.record(t, value=b.tasks.encode(t) + b"x"), Cause.TRAILING_BYTES),
    "another one's key": (a_wrong_key, Cause.KEY_MISMATCH),
    "no key": (no_key, Cause.KEY_MISMATCH),
    "another version": (
        lambda b, t: b.record(t, headers=(("ce_specversion", b"2.0"),)), Cause.UNSUPPORTED_VERSION),
    "headers without end": (lambda b, t: b.record(t, headers=(("h", b"x"),) * 99), Cause.TOO_LARGE),
    "another sink's task": (lambda b, t: b.record(replace(t, sink="billing")), Cause.WRONG_SINK),
    "a task of nothing": (
        lambda b, t: b.record(t, value=forged("task", b.tasks.encode(t), request_id=None)), Cause.BAD_UUID),
    "a box that was moved": (moved, Cause.CANNOT_OPEN),
    "a box that was altered": (altered, Cause.CANNOT_OPEN),
    "another region's box": (
        lambda b, t: b.record(replace(t, box=replace(t.box, region="sg"))), Cause.CANNOT_OPEN),
    "a key nobody has": (
        lambda b, t: b.record(replace(t, box=replace(t.box, key_id="cn-2027-01"))), Cause.CANNOT_OPEN),
    "a box with a blank identity": (blank, Cause.CANNOT_OPEN),
    "a box with nobody in it": (lambda b, t: b.record(empty(b, t)), Cause.CANNOT_OPEN),
}  # fmt: skip


def empty(bench: Bench, task: Task) -> Task:
    return sealed_task(bench.sealer, task, [])


@pytest.mark.parametrize("case", BAD)
def test_a_bad_record_is_a_dead_letter_and_its_neighbours_are_done(
    bench: Bench, case: str, caplog: pytest.LogCaptureFixture
) -> None:
    make, cause = BAD[case]
    bad = make(bench, bench.sealed())
    good = [bench.sealed(), bench.sealed()]
    with caplog.at_level(logging.DEBUG):
        bench.runner([bench.record(good[0]), bad, bench.record(good[1])])
    [letter] = bench.letters
    assert (letter.cause, letter.group, letter.size) == (cause, GROUP, len(bad.value or b""))
    assert letter.dead_letter_id == dead_letter_id(
        GROUP, bad.topic, bad.partition, bad.offset, sha256(bad.value or b"").digest()
    )
    assert [receipt.task_id for receipt in bench.receipts] == [task.task_id for task in good]
    assert CANARY not in f"{letter}{caplog.text}"


def test_a_dead_letter_of_a_task_that_could_be_read_names_it(bench: Bench) -> None:
    bench.sink.refused = {CANARY}
    task = bench.sealed(generation=2)
    bench.runner([bench.record(task)])
    [letter] = bench.letters
    assert (letter.task_id, letter.generation, letter.source_id) == (task.task_id, 2, task.request_id)
    assert (letter.reason, letter.failed_at) == ("it will not", NOW)


def test_a_batch_that_is_refused_is_halved_until_the_bad_task_stands_alone(bench: Bench) -> None:
    people = [identities(email=f"{n}@x.org") for n in range(8)]
    tasks = [bench.sealed(person) for person in people]
    bench.sink.refused = {"5@x.org"}
    bench.runner([bench.record(task) for task in tasks])
    assert bench.sink.batches == [8, 4, 4, 2, 1, 1, 2]
    assert [letter.task_id for letter in bench.letters] == [tasks[5].task_id]
    assert {receipt.task_id for receipt in bench.receipts} == {task.task_id for task in tasks} - {
        tasks[5].task_id
    }


def test_a_task_that_is_too_slow_stands_alone_at_once(bench: Bench) -> None:
    """Ten halvings of a minute each would be longer than a reader may take over a batch."""
    tasks = [bench.sealed(identities(email=f"{n}@x.org")) for n in range(8)]
    bench.sink.refused, bench.sink.cause = {"5@x.org"}, Cause.TOO_SLOW
    bench.runner([bench.record(task) for task in tasks])
    assert bench.sink.batches == [8, 1, 1, 1, 1, 1, 1, 1, 1]
    assert [(letter.task_id, letter.cause) for letter in bench.letters] == [
        (tasks[5].task_id, Cause.TOO_SLOW)
    ]
    assert len(bench.receipts) == 7


def test_tasks_that_come_to_too_much_together_are_not_divided_and_the_others_are_done(bench: Bench) -> None:
    """Each half of them alone would be done, and so all of them one after another."""
    people = [identities(email=f"{n}@x.org") for n in range(4)]
    tasks = [bench.sealed(person) for person in people]
    bench.sink.together = {tasks[1].key, tasks[3].key}
    bench.runner([bench.record(task) for task in tasks])
    assert [letter.cause for letter in bench.letters] == [Cause.ABOVE_LIMIT] * 2
    assert {letter.task_id for letter in bench.letters} == {tasks[1].task_id, tasks[3].task_id}
    assert [receipt.task_id for receipt in bench.receipts] == [tasks[0].task_id, tasks[2].task_id]
    assert bench.sink.batches == [4, 2]


def test_one_task_twice_in_a_batch_is_done_and_answered_once(bench: Bench) -> None:
    task = bench.sealed()
    bench.runner([bench.record(task), bench.record(task)])
    assert bench.sink.batches == [1]
    assert len(bench.receipts) == 1


def test_a_redelivered_batch_gives_the_same_records(bench: Bench) -> None:
    bad = bench.record(bench.sealed(), value=b"")
    batch = [bench.record(bench.sealed()), bad, bench.record(bench.sealed())]
    bench.runner(batch)
    bench.runner(batch)
    first, second = (bench.unsealed(call) for call in bench.publisher.calls)
    assert first == second


def test_a_destroyed_key_is_answered_and_no_fault(bench: Bench) -> None:
    """Bad input B43: an erasure by forgetting the key is terminal, not an error."""
    gone, there = bench.sealed(), bench.sealed()
    (bench.folder / "private" / "cn-2026-11.destroyed").touch()
    bench.runner([bench.record(gone)])
    (bench.folder / "private" / "cn-2026-11.destroyed").unlink()
    bench.runner([bench.record(there)])
    forgotten, done = bench.receipts
    assert (forgotten.outcome, forgotten.detail) == (
        Outcome.FAILED, "forgotten: key cn-2026-11 is destroyed",
    )  # fmt: skip
    assert done.outcome is Outcome.ERASED
    assert bench.letters == []


def test_a_task_that_was_done_before_its_key_was_destroyed_is_answered_as_it_was(bench: Bench) -> None:
    done = bench.sealed()
    bench.runner([bench.record(done)])
    (bench.folder / "private" / "cn-2026-11.destroyed").touch()
    bench.runner([bench.record(done), bench.record(bench.sealed())])
    first, again, new = bench.receipts
    assert (first, first.outcome) == (again, Outcome.ERASED)
    assert new.outcome is Outcome.FAILED


def test_a_target_that_is_down_stops_the_batch_and_nothing_is_told(bench: Bench) -> None:
    bench.sink.down = True
    batch = [bench.record(bench.sealed()), bench.record(bench.sealed(), value=b"")]
    with pytest.raises(Unavailable):
        bench.runner(batch)
    assert bench.publisher.calls == []
    bench.sink.down = False
    bench.runner(batch)
    assert (len(bench.receipts), len(bench.letters)) == (1, 1)


def test_a_broker_that_is_down_after_the_work_is_told_the_next_time(bench: Bench) -> None:
    task = bench.sealed()
    bench.publisher.down = True
    with pytest.raises(Unavailable):
        bench.runner([bench.record(task)])
    bench.publisher.down = False
    bench.runner([bench.record(task)])
    assert bench.receipts == [receipt_for(task, Outcome.ERASED, applied_at=NOW)]


def test_the_sink_is_idle_only_after_a_second_without_a_task(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr("olvido.sinks.runner.time.monotonic", lambda: now)
    bench.runner([bench.record(bench.sealed())])
    now += 0.5
    bench.runner.idle()
    assert bench.sink.idled == 0
    now += 0.6
    bench.runner.idle()
    bench.runner.idle()
    assert bench.sink.idled == 1


def test_a_target_that_nobody_spoke_to_for_half_a_minute_is_pinged_and_not_checked(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr("olvido.sinks.runner.time.monotonic", lambda: now)
    bench.runner([bench.record(bench.sealed())])
    now += 29
    bench.runner.idle()
    assert bench.sink.pinged == 0
    bench.sink.down = True
    now += 2
    bench.runner.idle()
    assert bench.sink.pinged == 1
    with pytest.raises(Unavailable):
        bench.runner.reach()


def test_an_unknown_kind_of_sink_is_refused_naming_those_there_are() -> None:
    told = SinkSettings(name="crm", region="cn", identities=(), purposes=(), own={})
    with pytest.raises(ConfigError) as caught:
        make_sink("postgre", told)
    assert str(caught.value).startswith("olvido.toml: sinks.crm.kind:")
    assert "did you mean 'postgres'" in str(caught.value)


def test_an_unknown_sink_is_refused(deployment: Deployment) -> None:
    with pytest.raises(ConfigError, match="did you mean 'crm'"):
        load_sink(deployment, "cmr")


def test_the_repositorys_own_sinks_can_be_made(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLVIDO_CRM_DSN", "postgresql://127.0.0.1:1/x")
    monkeypatch.setenv("OLVIDO_STORE_CN_FILE", "/nowhere/store.sqlite")
    monkeypatch.setenv("OLVIDO_STORE_SG_DSN", "postgresql://127.0.0.1:1/x")
    monkeypatch.setenv("OLVIDO_MARKETING_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("OLVIDO_ANALYTICS_FILE", "/nowhere/analytics.duckdb")
    for name in deployment.sinks:
        sink = load_sink(deployment, name)
        with pytest.raises(Unavailable):
            sink.check()
        sink.close()
