"""What a step asks for, as records on their topics."""

from collections.abc import Iterable, Mapping
from uuid import UUID

from olvido.broker.contract import Publisher, Record
from olvido.core.catalogue import Catalogue
from olvido.core.consents import ConsentState
from olvido.core.dead_letters import DeadLetter
from olvido.core.status import RequestStatus
from olvido.core.tasks import Task
from olvido.schemas.codec import (
    Codec,
    consent_state_codec,
    dead_letters_codec,
    request_status_codec,
    tasks_codec,
)
from olvido.schemas.envelope import headers_of
from olvido.schemas.registry import Registry

NO_TRACE: Mapping[UUID, str] = {}


class Emission:
    """Encodes and publishes. Statuses go before tasks, so that none of them is older than a receipt's."""

    def __init__(
        self, registry: Registry, catalogue: Catalogue, publisher: Publisher, *, source: str
    ) -> None:
        self._publisher = publisher
        self._source = source
        self._tasks: dict[str, Codec[Task]] = {
            sink.name: tasks_codec(registry, sink.name) for sink in catalogue.sinks
        }
        self._statuses = request_status_codec(registry)
        self._states = consent_state_codec(registry)
        self._dead_letters = dead_letters_codec(registry)

    def publish(
        self,
        *,
        statuses: Iterable[RequestStatus] = (),
        states: Iterable[ConsentState] = (),
        dead_letters: Iterable[DeadLetter] = (),
        tasks: Iterable[Task] = (),
        traces: Mapping[UUID, str] = NO_TRACE,
    ) -> None:
        """Write everything and wait until the broker has it.

        Raises:
            Unavailable: it does not have all of it. Calling again writes the same records again.
        """
        told = [
            *(self._status(status) for status in statuses),
            *(self._state(state) for state in states),
            *(self._dead_letter(letter) for letter in dead_letters),
        ]
        if told:
            self._publisher.publish(told)
        owed = [self._task(task, traces.get(task.source_id, "")) for task in tasks]
        if owed:
            self._publisher.publish(owed)

    def _task(self, task: Task, traceparent: str) -> Record:
        codec = self._tasks[task.sink]
        return Record(
            codec.topic.name,
            task.subject_id.encode(),
            codec.encode(task),
            headers_of(task.task_id, "olvido.task.v1", source=self._source, traceparent=traceparent),
        )

    def _status(self, status: RequestStatus) -> Record:
        return Record(
            self._statuses.topic.name,
            str(status.request_id).encode(),
            self._statuses.encode(status),
            headers_of(status.request_id, "olvido.request_status.v1", source=self._source),
        )

    def _state(self, state: ConsentState) -> Record:
        return Record(
            self._states.topic.name,
            f"{state.handle}/{state.purpose}".encode(),
            self._states.encode(state),
            headers_of(state.event_id, "olvido.consent_state.v1", source=self._source),
        )

    def _dead_letter(self, letter: DeadLetter) -> Record:
        return Record(
            self._dead_letters.topic.name,
            str(letter.dead_letter_id).encode(),
            self._dead_letters.encode(letter),
            headers_of(letter.dead_letter_id, "olvido.dead_letter.v1", source=self._source),
        )
