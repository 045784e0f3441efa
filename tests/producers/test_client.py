"""The client on a real broker and registry: accepted means that the broker has it."""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from olvido.broker.contract import Received, Record
from olvido.broker.groups import end_offsets
from olvido.broker.kafka import KafkaPublisher
from olvido.broker.memory import MemoryBroker
from olvido.broker.partitioning import partition_of
from olvido.broker.ranges import read_range
from olvido.producers import (
    Accepted,
    AsyncProducer,
    Closed,
    ConfigError,
    InvalidInput,
    NotAccepted,
    Producer,
    Right,
    Unavailable,
)
from olvido.producers.emitter import Writer
from olvido.schemas.codec import requests_codec, verifications_codec
from olvido.schemas.registry import Registry
from olvido.schemas.settings.deployment import Connections, KafkaSection, RegistrySection
from olvido.schemas.topics import CONSENTS, REQUESTS, VERIFICATIONS

ANA = {"email": "canary@example.es", "customer_id": "CANARY-1042"}
AN_ID = UUID("01935d0e-5b6a-7c3d-8e4f-0123456789ab")
NOBODY = KafkaSection(bootstrap_servers="127.0.0.1:1")  # no broker ever listens there


def since(kafka: KafkaSection, before: dict[tuple[str, int], int]) -> list[Received]:
    """What was written to the topics of ``before`` after it was taken."""
    topics = sorted({topic for topic, _ in before})
    return [
        record
        for (topic, partition), end in end_offsets(kafka, topics).items()
        for record in read_range(kafka, topic, partition, [(before[topic, partition], end)])
    ]


def test_what_was_accepted_is_there_under_the_subjects_key(
    connections: Connections, registry: Registry
) -> None:
    before = end_offsets(connections.kafka, [REQUESTS.name])
    with Producer.of(connections) as olvido:
        accepted = olvido.request_erasure(identities=ANA)
    (record,) = since(connections.kafka, before)
    assert requests_codec(registry).decode(record.value).request_id == accepted.id
    assert record.partition == partition_of(
        accepted.subject_id.encode(), KafkaSection().partitions_of(REQUESTS.name)
    )


def test_no_byte_of_a_person_is_on_the_broker(connections: Connections) -> None:
    before = end_offsets(connections.kafka, [REQUESTS.name])
    with Producer.of(connections) as olvido:
        olvido.request_erasure(identities=ANA)
    (record,) = since(connections.kafka, before)
    told = b"".join((record.key or b"", record.value or b"", repr(record.headers).encode()))
    assert b"canary" not in told.lower()


def test_the_environment_is_enough(connections: Connections, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLVIDO_KAFKA__BOOTSTRAP_SERVERS", connections.kafka.bootstrap_servers)
    monkeypatch.setenv("OLVIDO_REGISTRY__URL", connections.registry.url)
    monkeypatch.setenv("OLVIDO_KEYS__HANDLE_FILE", str(connections.keys.handle_file))
    monkeypatch.setenv("OLVIDO_KEYS__PUBLIC_DIR", str(connections.keys.public_dir))
    monkeypatch.setenv("OLVIDO_KEYS__SIGNING_FILE", str(connections.keys.signing_file))
    with Producer.from_env(purposes=["marketing"]) as olvido:
        olvido.request_erasure(identities=ANA, regions=["cn", "sg"])
        now = datetime.now(UTC)
        olvido.withdraw_consent(identities=ANA, purpose="marketing", occurred_at=now)
        with pytest.raises(InvalidInput):
            olvido.withdraw_consent(identities=ANA, purpose="marketting", occurred_at=now)


def test_purposes_of_the_environment_are_checked_here(
    connections: Connections, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A misspelt one would be a dead letter, and the withdrawal with it."""
    monkeypatch.setenv("OLVIDO_PURPOSES", '["marketing", "analytics"]')
    named = connections.model_copy(update={"purposes": Connections.from_env().purposes})
    with Producer.of(named) as olvido, pytest.raises(InvalidInput) as refused:
        olvido.withdraw_consent(identities=ANA, purpose="markting", occurred_at=datetime.now(UTC))
    assert str(refused.value) == "purpose: is none of analytics, marketing"


def test_a_request_is_verified_by_what_was_accepted(
    producer: Producer, memory: MemoryBroker, memory_registry: Registry
) -> None:
    """docs/producers.md: verify(request_id, subject_id=…, method=…, verified_at=…)."""
    accepted = producer.request_erasure(identities=ANA, verification_required=True)
    producer.verify(
        accepted.id, subject_id=accepted.subject_id, method="e-mail link", verified_at=datetime.now(UTC)
    )
    (record,) = memory.records(VERIFICATIONS.name)
    verification = verifications_codec(memory_registry).decode(record.value)
    assert (verification.request_id, record.key) == (accepted.id, accepted.subject_id.encode())


def test_a_closed_producer_sends_nothing(writer: Writer, memory: MemoryBroker) -> None:
    olvido = Producer(writer, memory)
    batch = olvido.batch()
    batch.request_erasure(identities=ANA)
    olvido.close()
    olvido.close()
    for call in (batch.flush, lambda: olvido.request_erasure(identities=ANA)):
        with pytest.raises(Closed):
            call()
    assert memory.records(REQUESTS.name) == ()


class Slow:
    """A broker that confirms late; it keeps what the event loop's clock said meanwhile."""

    def __init__(self, inner: MemoryBroker, go_on: threading.Event) -> None:
        self.inner, self.go_on = inner, go_on

    def close(self) -> None:
        self.inner.close()

    def publish(self, records: Sequence[Record]) -> None:
        assert self.go_on.wait(30)
        self.inner.publish(records)


def test_an_event_loop_runs_on_while_the_broker_takes_its_time(writer: Writer, memory: MemoryBroker) -> None:
    go_on = threading.Event()

    async def service() -> list[Accepted]:
        async with AsyncProducer(Producer(writer, Slow(memory, go_on))) as olvido:
            calls = asyncio.gather(
                olvido.request_erasure(identities=ANA),
                olvido.request(right=Right.OBJECT, identities=ANA, purposes=["marketing"]),
                olvido.grant_consent(identities=ANA, purpose="marketing", occurred_at=datetime.now(UTC)),
                olvido.withdraw_consent(identities=ANA, purpose="marketing", occurred_at=datetime.now(UTC)),
                olvido.verify(AN_ID, identities=ANA, method="e-mail link", verified_at=datetime.now(UTC)),
            )
            await asyncio.sleep(0)  # a loop that was held would stand here for ever: nobody sets the event
            go_on.set()
            return await calls

    accepted = asyncio.run(service())
    told = [
        record.key for topic in (REQUESTS, CONSENTS, VERIFICATIONS) for record in memory.records(topic.name)
    ]
    assert [one.topic for one in accepted] == [
        REQUESTS.name, REQUESTS.name, CONSENTS.name, CONSENTS.name, VERIFICATIONS.name
    ]  # fmt: skip
    assert told == [accepted[0].subject_id.encode()] * 5


def test_an_async_producer_raises_what_the_producer_raises(writer: Writer, memory: MemoryBroker) -> None:
    async def service() -> None:
        olvido = AsyncProducer(Producer(writer, Flaky(memory, 1)))
        with pytest.raises(InvalidInput):
            await olvido.request_erasure(identities={})
        with pytest.raises(NotAccepted) as told:
            await olvido.request_erasure(identities=ANA)
        assert (await olvido.request_erasure(identities=ANA, request_id=told.value.id)).id == told.value.id
        await olvido.close()
        with pytest.raises(Closed):
            await olvido.request_erasure(identities=ANA)

    asyncio.run(service())


def test_threads_may_share_a_producer(connections: Connections) -> None:
    before = end_offsets(connections.kafka, [REQUESTS.name])
    with Producer.of(connections) as olvido, ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(olvido.request_erasure, identities={"customer_id": f"C-{n}"}) for n in range(80)]
        accepted = {call.result().subject_id for call in calls}
    assert {record.key.decode() for record in since(connections.kafka, before) if record.key} == accepted


def test_without_a_broker_the_id_is_told_to_try_again_with(writer: Writer) -> None:
    with (
        Producer(writer, KafkaPublisher(NOBODY, client_id="test", timeout_s=1)) as olvido,
        pytest.raises(NotAccepted) as told,
    ):
        olvido.request_erasure(identities=ANA)
    assert isinstance(told.value, Unavailable)
    assert f"call again with request_id or event_id {told.value.id}" in str(told.value)
    assert "canary" not in str(told.value).lower()
    assert "h1_" not in str(told.value)


class Flaky:
    """A publisher that is down at first, as a broker that restarts: some may be there all the same."""

    def __init__(self, inner: MemoryBroker, failures: int) -> None:
        self.inner, self.failures = inner, failures

    def close(self) -> None:
        self.inner.close()

    def publish(self, records: Sequence[Record]) -> None:
        if self.failures:
            self.failures -= 1
            self.inner.publish(records[: len(records) // 2])
            raise Unavailable("down")
        self.inner.publish(records)


def test_a_repeat_with_the_same_id_is_the_same_event(
    writer: Writer, memory: MemoryBroker, memory_registry: Registry
) -> None:
    olvido = Producer(writer, Flaky(memory, 1))
    with pytest.raises(NotAccepted) as told:
        olvido.request_erasure(identities=ANA)
    assert olvido.request_erasure(identities=ANA, request_id=told.value.id).id == told.value.id


def test_a_batch_accepts_in_the_order_of_its_calls(producer: Producer, memory: MemoryBroker) -> None:
    with producer.batch() as batch:
        ids = [batch.request_erasure(identities={"customer_id": f"C-{n}"}) for n in range(1200)]
    assert [accepted.id for accepted in batch.accepted] == ids
    assert len(memory.records(REQUESTS.name)) == 1200


def test_a_batch_that_was_interrupted_goes_on_with_the_same_ids(
    writer: Writer, memory: MemoryBroker, memory_registry: Registry
) -> None:
    batch = Producer(writer, Flaky(memory, 1)).batch()
    ids = [batch.request_erasure(identities={"customer_id": f"C-{n}"}) for n in range(10)]
    with pytest.raises(Unavailable):
        batch.flush()
    assert batch.accepted == ()
    batch.flush()
    assert [accepted.id for accepted in batch.accepted] == ids
    codec = requests_codec(memory_registry)
    assert {codec.decode(record.value).request_id for record in memory.records(REQUESTS.name)} == set(ids)


def test_an_event_that_found_the_batch_full_and_the_broker_down_was_not_taken(
    writer: Writer, memory: MemoryBroker
) -> None:
    """The caller may call again, and it is there once."""
    batch = Producer(writer, Flaky(memory, 1)).batch()
    for n in range(500):
        batch.request_erasure(identities={"customer_id": f"C-{n}"})
    with pytest.raises(Unavailable):
        batch.request_erasure(identities=ANA, request_id=AN_ID)
    batch.request_erasure(identities=ANA, request_id=AN_ID)
    batch.flush()
    assert [accepted.id for accepted in batch.accepted].count(AN_ID) == 1
    assert len(batch.accepted) == 501


def test_after_an_error_in_its_block_a_batch_sends_nothing_more(
    producer: Producer, memory: MemoryBroker
) -> None:
    batch = producer.batch()

    def emits_and_fails() -> None:
        with batch:
            batch.request_erasure(identities=ANA)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        emits_and_fails()
    assert (memory.records(REQUESTS.name), batch.accepted) == ((), ())


def test_many_thousands_fit_through_a_batch(connections: Connections) -> None:
    before = end_offsets(connections.kafka, [REQUESTS.name])
    with Producer.of(connections) as olvido, olvido.batch() as batch:
        for n in range(3000):
            batch.request_erasure(identities={"customer_id": f"C-{n}"}, regions=["cn"])
    after = end_offsets(connections.kafka, [REQUESTS.name])
    assert sum(after.values()) - sum(before.values()) == len(batch.accepted) == 3000


def test_no_secret_is_in_a_repr(connections: Connections) -> None:
    kafka = connections.kafka.model_copy(update={"options": {"client.rack": "geheim"}})
    with Producer.of(connections.model_copy(update={"kafka": kafka})) as olvido:
        told = repr(olvido)
    assert told == f"Producer(KafkaPublisher({kafka.bootstrap_servers}), Builder(regions=cn, sg))"


def test_without_keys_nothing_starts(connections: Connections, tmp_path: Path) -> None:
    keys = connections.keys.model_copy(update={"handle_file": tmp_path / "none"})
    with pytest.raises(ConfigError, match=r"keys\.handle_file"):
        Producer.of(connections.model_copy(update={"keys": keys}))


def test_without_a_registry_nothing_starts(connections: Connections) -> None:
    silent = RegistrySection(url="http://127.0.0.1:1")
    with pytest.raises(Unavailable, match="schema registry"):
        Producer.of(connections.model_copy(update={"registry": silent}))


@pytest.mark.parametrize("module", ["olvido.producers", "olvido.producers.outbox", "olvido.producers.relay"])
def test_an_upstream_service_gets_nothing_that_it_does_not_need(module: str) -> None:
    script = f"import sys, {module}; print(*(m.partition('.')[0] for m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    loaded = set(done.stdout.split())
    assert loaded & {"faust", "mode", "psycopg2", "typer", "rich", "duckdb", "starlette"} == set()


def test_the_example_of_the_readme_runs(connections: Connections) -> None:
    script = """
from datetime import datetime, UTC
when = datetime.now(UTC)
from olvido.producers import Producer
with Producer.from_env() as olvido:
    olvido.request_erasure(
        identities={"email": "ana@example.es", "customer_id": "C-1042"}, regions=["cn", "sg"]
    )
    olvido.withdraw_consent(identities={"email": "ana@example.es"}, purpose="marketing", occurred_at=when)
"""
    environment = os.environ | {
        "OLVIDO_KAFKA__BOOTSTRAP_SERVERS": connections.kafka.bootstrap_servers,
        "OLVIDO_REGISTRY__URL": connections.registry.url,
        "OLVIDO_KEYS__HANDLE_FILE": str(connections.keys.handle_file),
        "OLVIDO_KEYS__PUBLIC_DIR": str(connections.keys.public_dir),
        "OLVIDO_KEYS__SIGNING_FILE": str(connections.keys.signing_file),
    }
    subprocess.run([sys.executable, "-c", script], check=True, env=environment, timeout=60)
