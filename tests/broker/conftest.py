"""Topics of their own for tests that write, and a broker of their own for tests that stop it."""

from collections.abc import Iterator

import pytest
from broker.topics import MakeTopic, make_topic_at

from olvido.operators.local.stack import Stack, temporary_stack
from olvido.schemas.settings.deployment import KafkaSection


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
