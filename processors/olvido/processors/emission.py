"""What a step asks for, as records on their topics."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from uuid import UUID

from olvido.broker.contract import Publisher, Record
from olvido.core.catalogue import Catalogue
from olvido.core.consents import ConsentState
from olvido.core.dead_letters import DeadLetter
from olvido.core.receipts import Receipt
from olvido.core.status import RequestStatus
from olvido.core.tasks import Task
from olvido.ledger.rows import Snapshot
from olvido.schemas.codec import (
    TaskPieces,
    consent_state_codec,
    dead_letters_codec,
    receipts_codec,
    request_status_codec,
    tasks_codec,
)
from olvido.schemas.envelope import headers_of
from olvido.schemas.registry import Registry

NO_TRACE: Mapping[UUID, str] = {}
NOTHING = Snapshot()


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """Records, encoded and not yet sent."""

    first: tuple[Record, ...]  # statuses, states, dead letters and receipts: they are sent before the tasks
    tasks: tuple[Record, ...]
    standing: Snapshot = NOTHING  # what of it goes to the compacted topics
    publication_id: int | None = None  # where that was begun with the save already


class Emission:
    """Encodes and publishes. Statuses go before tasks, so that none of them is older than a receipt's."""

    def __init__(
        self, registry: Registry, catalogue: Catalogue, publisher: Publisher, *, source: str
    ) -> None:
        self._publisher = publisher
        self._source = source
        self._tasks = {sink.name: tasks_codec(registry, sink.name) for sink in catalogue.sinks}
        self._statuses = request_status_codec(registry)
        self._states = consent_state_codec(registry)
        self._dead_letters = dead_letters_codec(registry)
        self._receipts = receipts_codec(registry)

    def prepare(
        self,
        *,
        statuses: Iterable[RequestStatus] = (),
        states: Iterable[ConsentState] = (),
        dead_letters: Iterable[DeadLetter] = (),
        receipts: Iterable[Receipt] = (),
        tasks: Iterable[Task] = (),
        traces: Mapping[UUID, str] = NO_TRACE,
    ) -> "Prepared":
        """Encode everything. Nothing is sent: this may run while the ledger saves."""
        pieces = TaskPieces()
        standing = Snapshot(statuses=tuple(statuses), states=tuple(states))
        return Prepared(
            first=(
                *(self._status(status) for status in standing.statuses),
                *(self._state(state) for state in standing.states),
                *(self._dead_letter(letter) for letter in dead_letters),
                *(self._receipt(receipt) for receipt in receipts),
            ),
            tasks=tuple(self._task(task, pieces, traces.get(task.source_id, "")) for task in tasks),
            standing=standing,
        )

    def send(self, prepared: "Prepared") -> None:
        """Write everything and wait until the broker has it.

        Raises:
            Unavailable: it does not have all of it. Calling again writes the same records again.
        """
        for records in (prepared.first, prepared.tasks):
            if records:
                self._publisher.publish(records)

    def _task(self, task: Task, pieces: TaskPieces, traceparent: str) -> Record:
        codec = self._tasks[task.sink]
        return Record(
            codec.topic.name,
            task.subject_id.encode(),
            codec.encode_shared(task, pieces),
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

    def _receipt(self, receipt: Receipt) -> Record:
        return Record(
            self._receipts.topic.name,
            receipt.subject_id.encode(),
            self._receipts.encode(receipt),
            headers_of(receipt.receipt_id, "olvido.receipt.v1", source=self._source, at=receipt.applied_at),
        )

    def _dead_letter(self, letter: DeadLetter) -> Record:
        return Record(
            self._dead_letters.topic.name,
            str(letter.dead_letter_id).encode(),
            self._dead_letters.encode(letter),
            headers_of(letter.dead_letter_id, "olvido.dead_letter.v1", source=self._source),
        )
