"""What is issued for one source: its tasks as they were planned the first time, or why they cannot be."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from uuid import UUID

from olvido.broker.contract import Received
from olvido.broker.ranges import read_range
from olvido.broker.reading import first_appended_at
from olvido.core.catalogue import Catalogue
from olvido.core.errors import Refused
from olvido.core.events import ConsentChange, PrivacyRequest
from olvido.core.plan import plan_tasks
from olvido.core.source import Source as Event
from olvido.core.source import id_of
from olvido.core.tasks import Task
from olvido.ledger.handled_offsets import ranges_of
from olvido.ledger.replays import ForgottenTask, ReplaySource
from olvido.schemas.codec import Codec, consents_codec, requests_codec
from olvido.schemas.registry import Registry
from olvido.schemas.settings.deployment import KafkaSection
from olvido.schemas.topics import CONSENTS, REQUESTS


class Issuer:
    """Makes the tasks of sources again, with the same ids and the same generation."""

    def __init__(
        self,
        kafka: KafkaSection,
        registry: Registry,
        catalogue: Catalogue,
        *,
        destroyed: Mapping[str, Sequence[str]],
    ) -> None:
        """
        Args:
            kafka: where events are read that the ledger has deleted.
            registry: holds the schemas of the events.
            catalogue: the sinks there are.
            destroyed: by sink, the ids of keys that its region has destroyed.
        """
        self._kafka = kafka
        self._codecs: Mapping[str, Codec[PrivacyRequest] | Codec[ConsentChange]] = {
            REQUESTS.name: requests_codec(registry),
            CONSENTS.name: consents_codec(registry),
        }
        self._catalogue = catalogue
        self._destroyed = destroyed

    def issue(self, sources: Sequence[ReplaySource]) -> tuple[list[Task], list[ForgottenTask]]:
        """The tasks of some sources, in their order, and those that nobody can issue any more.

        Raises:
            Unavailable: the broker or the registry does not answer.
        """
        tasks: list[Task] = []
        forgotten: list[ForgottenTask] = []
        events = self._events(sources)
        for source in sources:
            found = events[source.source_id]
            planned = {} if isinstance(found, str) else self._planned(found, source)
            for sink in source.tasks:
                task = planned.get(sink)
                if isinstance(found, str):
                    forgotten.append(ForgottenTask(source_id=source.source_id, sink=sink, why=found))
                elif task is None:
                    why = "olvido.toml gives this sink no such task any more"
                    forgotten.append(ForgottenTask(source_id=source.source_id, sink=sink, why=why))
                elif task.box.key_id in self._destroyed.get(sink, ()):
                    why = f"key {task.box.key_id} is destroyed"
                    forgotten.append(ForgottenTask(source_id=source.source_id, sink=sink, why=why))
                else:
                    tasks.append(task)
        return tasks, forgotten

    def read(self, topic: str, value: bytes | None) -> Event:
        """An event out of its bytes.

        Raises:
            Refused: they are none.
        """
        return self._codecs[topic].decode(value)

    def read_record(self, record: Received) -> Event:
        """An event out of its record, with the time at which the broker took it first.

        Raises:
            Refused: it is none.
        """
        event, taken_at = self.read(record.topic, record.value), record.appended_at
        return event if taken_at is None else replace(event, appended_at=first_appended_at(record, taken_at))

    def _planned(self, event: Event, source: ReplaySource) -> dict[str, Task]:
        generations = {generation for generation, _ in source.tasks.values()}
        return {
            task.sink: task
            for generation in generations
            for task in plan_tasks(event, self._catalogue, generation=generation)
            if source.tasks.get(task.sink, (None,))[0] == generation
        }

    def _events(self, sources: Sequence[ReplaySource]) -> dict[UUID, Event | str]:
        """The event of each source, or why there is none."""
        on_topic = self._on_topic([source for source in sources if source.event is None and source.on_topic])
        found: dict[UUID, Event | str] = {}
        for source in sources:
            record = on_topic.get((source.topic, source.partition, source.offset))
            if source.event is None and record is None:
                found[source.source_id] = "neither the ledger nor the topic holds the event any more"
                continue
            try:
                if source.event is not None:
                    event = self._codecs[source.topic].decode_stored(source.event)
                else:
                    assert record is not None, "one of the two is there"
                    event = self.read_record(record)
            except Refused as refused:
                found[source.source_id] = f"the event cannot be read any more: {refused.cause.value}"
            else:
                # A topic that was made anew holds other records at the same offsets.
                same = id_of(event) == source.source_id
                found[source.source_id] = event if same else "the topic holds another event in its place"
        return found

    def _on_topic(self, sources: Sequence[ReplaySource]) -> dict[tuple[str, int, int], Received]:
        by_place: dict[tuple[str, int], list[tuple[int, int]]] = defaultdict(list)
        for one in ranges_of((source.topic, source.partition, source.offset) for source in sources):
            by_place[one.topic, one.partition].append((one.low, one.high))
        return {
            (topic, partition, record.offset): record
            for (topic, partition), ranges in by_place.items()
            for record in read_range(self._kafka, topic, partition, ranges)
            if record.value is not None
        }
