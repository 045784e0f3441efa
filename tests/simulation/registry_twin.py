"""A schema registry in memory: ids are given in the order of the table of topics."""

from collections.abc import Iterable

from fastavro.types import Schema

from olvido.core.errors import Unavailable
from olvido.schemas.registry import Registry, schema_of
from olvido.schemas.topics import Topic


class RegistryTwin(Registry):
    """Has the schemas of the table of topics, and nothing else."""

    def __init__(self, topics: Iterable[Topic]) -> None:
        self.url = "memory"
        self.down = False
        topics = list(topics)
        names = list(dict.fromkeys(topic.schema for topic in topics))
        self._ids = {name: number for number, name in enumerate(names, start=1)}
        self._schemas = {topic.subject: topic.schema for topic in topics}

    def id_of(self, subject: str, schema: str) -> int:
        self._answer()
        assert self._schemas[subject] == schema
        return self._ids[schema]

    def versions(self, subject: str) -> dict[int, Schema]:
        self._answer()
        name = self._schemas[subject]
        return {self._ids[name]: schema_of(name)}

    def knows(self, schema_id: int) -> bool:
        self._answer()
        return schema_id in self._ids.values()

    def _answer(self) -> None:
        if self.down:
            raise Unavailable("schema registry does not answer")
