"""One sink's whole process over a real broker and registry: a task in, a receipt out."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from confluent_kafka import Consumer
from key_files import KeyFiles, sealed_task
from sinks.shop import a_customer, a_handle, an_erasure, identities
from sinks.targets import DuckDBTarget

from olvido.broker import topics
from olvido.broker.contract import Record
from olvido.broker.kafka import KafkaPublisher
from olvido.core.errors import ConfigError
from olvido.core.outcomes import Outcome
from olvido.core.receipts import Receipt
from olvido.schemas.codec import receipts_codec, tasks_codec
from olvido.schemas.registry import Registry
from olvido.schemas.settings.deployment import Deployment, KafkaSection, SinkSection, principal_of
from olvido.schemas.topics import RECEIPTS
from olvido.sinks.run import run_sink


@pytest.fixture
def shop(duckdb_target: DuckDBTarget) -> DuckDBTarget:
    """A file with two customers."""
    duckdb_target.add("customers", a_customer(1), a_customer(2))
    return duckdb_target


@pytest.fixture
def ours(deployment: Deployment, tmp_path: Path) -> Deployment:
    """The repository's deployment, with one sink of this test's own."""
    tables = {
        "customers": {
            "key": "id",
            "identities": {"customer_id": "customer_no", "email": "email", "phone": "phone"},
            "erase": "delete",
        }
    }
    own = {"file": {"env": "OLVIDO_TEST_CRM"}, "tables": tables}
    section = SinkSection(kind="duckdb", region="cn", identities=("customer_id", "email"), **own)
    name, files = f"shop-{uuid4().hex[:8]}", KeyFiles(tmp_path, ("cn",))
    keys = deployment.keys.model_copy(
        update={
            "private_dir": files.private,
            "public_dir": files.public,
            "signing_file": files.signing_file(principal_of(name)),
        }
    )
    return deployment.model_copy(update={"keys": keys, "sinks": {name: section}})


@contextmanager
def running(deployment: Deployment, name: str) -> Iterator[None]:
    """The sink's process, as a thread, as long as the block lasts."""
    stop = threading.Event()
    thread = threading.Thread(target=run_sink, args=(deployment, name, stop))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(timeout=60)
        assert not thread.is_alive(), "the sink did not stop"


@pytest.mark.journey
def test_a_task_becomes_a_receipt(
    shop: DuckDBTarget, ours: Deployment, kafka_section: KafkaSection, registry: Registry, tmp_path: Path
) -> None:
    ours = ours.model_copy(
        update={"kafka": kafka_section, "registry": ours.registry.model_copy(update={"url": registry.url})}
    )
    [name] = ours.sinks
    topics.apply(kafka_section, registry, ours.catalogue)
    person = identities(customer_id="C-1")
    task = an_erasure(customer_id="C-1", source_id=UUID(int=5)).task
    subject_id = a_handle(person[0]).value
    codec = tasks_codec(registry, name)
    handles = tuple(a_handle(identity) for identity in person)
    task = replace(task, sink=name, subject_id=subject_id, handles=handles)
    sealed = sealed_task(KeyFiles(tmp_path, ("cn",)).sealer(), task, person)
    with KafkaPublisher(kafka_section, client_id="test") as publisher:
        publisher.publish([Record(codec.topic.name, subject_id.encode(), codec.encode(sealed))])
    with running(ours, name):
        receipt = _receipt_of(name, kafka_section, registry)
    assert (receipt.task_id, receipt.outcome) == (sealed.task_id, Outcome.ERASED)
    assert [row[1] for row in shop.rows("customers")] == ["C-2"]


def _receipt_of(name: str, kafka: KafkaSection, registry: Registry) -> Receipt:
    codec = receipts_codec(registry)
    consumer = Consumer(
        {
            "bootstrap.servers": kafka.bootstrap_servers,
            "group.id": uuid4().hex,
            "auto.offset.reset": "earliest",
        }
    )
    consumer.subscribe([RECEIPTS.name])
    try:
        for _ in range(300):
            message = consumer.poll(0.2)
            if message is not None and message.error() is None:
                receipt = codec.decode(message.value())
                if receipt.sink == name:
                    return receipt
    finally:
        consumer.close()
    raise AssertionError("no receipt came within a minute")


def test_a_sink_without_its_regions_keys_does_not_start(shop: DuckDBTarget, ours: Deployment) -> None:
    keyless = ours.model_copy(update={"keys": ours.keys.model_copy(update={"private_dir": None})})
    [name] = ours.sinks
    with pytest.raises(ConfigError, match="OLVIDO_KEYS__PRIVATE_DIR"):
        run_sink(keyless, name, threading.Event())


class Heard(logging.Handler):
    """Sets an event when a line with some words is logged."""

    def __init__(self, words: str) -> None:
        super().__init__()
        self._words = words
        self.event = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        if self._words in record.getMessage():
            self.event.set()


def test_a_sink_whose_target_is_down_waits_and_can_be_told_to_stop(
    shop: DuckDBTarget, ours: Deployment
) -> None:
    shop.path.unlink()
    [name] = ours.sinks
    heard = Heard("there is no file")
    logging.getLogger("olvido").addHandler(heard)
    try:
        with running(ours, name):
            assert heard.event.wait(timeout=30)
    finally:
        logging.getLogger("olvido").removeHandler(heard)
