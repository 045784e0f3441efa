"""A schema registry in memory: ids are given in the order of the table of topics."""

from collections.abc import Iterable

from olvido.core.errors import Unavailable
from olvido.schemas.registry import Registry
from olvido.schemas.shipped import schema_text
from olvido.schemas.topics import Topic


class RegistryTwin(Registry):
    """Has the schemas of the table of topics, and nothing else."""

    def __init__(self, topics: Iterable[Topic], *, first_id: int = 1) -> None:
        self.url = "memory"
        self.down = False
        topics = list(topics)
        names = list(dict.fromkeys(topic.schema for topic in topics))
        self._ids = {name: number for number, name in enumerate(names, start=first_id)}
        self._schemas = {topic.subject: topic.schema for topic in topics}

    def find(self, subject: str, text: str) -> int | None:
        self._answer()
        schema = self._schemas[subject]
        return self._ids[schema] if text == schema_text(schema) else None

    def _answer(self) -> None:
        if self.down:
            raise Unavailable("schema registry does not answer")
