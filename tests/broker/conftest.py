"""Topics of their own for tests that write, and a broker of their own for tests that stop it."""

from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from olvido.operators.stack.stack import Stack, temporary_stack
from olvido.schemas.deployment import KafkaSection

MakeTopic = Callable[..., str]


def make_topic_at(kafka: KafkaSection, partitions: int, config: dict[str, str] | None = None) -> str:
    """A new topic of an unused name."""
    name = f"test-{uuid4().hex[:12]}"
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    for created in admin.create_topics([NewTopic(name, partitions, 1, config=config or {})]).values():
        created.result(30)
    return name


@pytest.fixture
def make_topic(kafka_section: KafkaSection) -> MakeTopic:
    """Makes a topic on the shared broker."""
    return lambda partitions=6, **config: make_topic_at(kafka_section, partitions, config)


@pytest.fixture(scope="module")
def own_stack() -> Iterator[Stack]:
    """A broker that a test may stop and start as it likes."""
    with temporary_stack(parts=frozenset({"kafka"})) as stack:
        yield stack


@pytest.fixture
def own_kafka(own_stack: Stack) -> KafkaSection:
    """Where it is. It runs when a test begins."""
    own_stack.supervisor.start("kafka")
    return KafkaSection(bootstrap_servers=own_stack.bootstrap_servers)
