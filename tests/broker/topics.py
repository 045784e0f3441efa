"""New topics for tests that write."""

from collections.abc import Callable
from uuid import uuid4

from confluent_kafka.admin import AdminClient, NewTopic

from olvido.schemas.settings.deployment import KafkaSection

MakeTopic = Callable[..., str]


def make_topic_at(kafka: KafkaSection, partitions: int, config: dict[str, str] | None = None) -> str:
    """A new topic of an unused name."""
    name = f"test-{uuid4().hex[:12]}"
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    for created in admin.create_topics([NewTopic(name, partitions, 1, config=config or {})]).values():
        created.result(30)
    return name
