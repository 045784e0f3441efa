"""Topics of their own for tests that write, and a broker of their own for tests that stop it."""

import threading
from collections.abc import Generator, Iterator

import pytest
from broker.topics import MakeTopic, make_topic_at
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from olvido.operators.local.errors import tail
from olvido.operators.local.stack import Stack, temporary_stack
from olvido.schemas.settings.deployment import KafkaSection

OWN = "a broker of its own"


@pytest.hookimpl(wrapper=True, tryfirst=True)  # before each file is made a group
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Generator[None, object, object]:
    """The tests that stop a broker go to one worker, and others need not wait behind them."""
    for item in items:
        if "own_kafka" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group(OWN))
    return (yield)


@pytest.fixture
def make_topic(kafka_section: KafkaSection) -> MakeTopic:
    """Makes a topic on the shared broker."""
    return lambda partitions=6, **config: make_topic_at(kafka_section, partitions, config)


@pytest.fixture(scope="session")
def own_stack() -> Iterator[Stack]:
    """A broker that a test may stop and start as it likes: one in a run, since its tests are one group."""
    with temporary_stack(parts=frozenset({"kafka"})) as stack:
        yield stack


def _takes_topics(server: str) -> bool:
    """Whether the broker says who is in control; before that it answers, and a client may wait for long.

    Each time a client of its own: one that heard of no broker does not ask again for minutes.
    """
    try:
        told = AdminClient({"bootstrap.servers": server}).list_topics(timeout=3)
    except KafkaException:
        return False
    return bool(told.brokers) and told.controller_id >= 0


@pytest.fixture
def own_kafka(own_stack: Stack, request: pytest.FixtureRequest) -> Iterator[KafkaSection]:
    """Where it is. It answers when a test begins: the one before may have left it stopped, or coming up."""
    own_stack.supervisor.start("kafka")
    up = threading.Event()
    while not _takes_topics(own_stack.bootstrap_servers):  # as long as a test may take at most
        up.wait(0.1)
    yield KafkaSection(bootstrap_servers=own_stack.bootstrap_servers)
    # Shown where the test failed, and only there.
    request.node.add_report_section(
        "teardown", "the broker's log", tail(own_stack.folder.log("kafka"), lines=60)
    )
