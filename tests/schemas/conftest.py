"""A registry in memory, with our schemas registered, for what needs no real one."""

import pytest
from schemas.codecs import MemoryRegistry

from olvido.schemas.topics import CANARIES, FIXED, tasks_topic


@pytest.fixture(scope="session")
def memory_registry() -> MemoryRegistry:
    registry = MemoryRegistry("schemas")
    for topic in (*FIXED, CANARIES, tasks_topic("crm"), tasks_topic("marketing")):
        registry.register(topic.subject, topic.schema)
    return registry
