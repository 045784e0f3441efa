"""All steps on a real ledger and registry; the broker only remembers, and sinks say what they are told."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import count
from uuid import UUID

from key_files import UNSIGNED
from values import CATALOGUE, NOW, Journal, received

from olvido.broker.contract import Received
from olvido.broker.partitioning import partition_of
from olvido.core.acts import Act, Verb
from olvido.core.catalogue import Catalogue
from olvido.core.dead_letters import DeadLetter
from olvido.core.events import ConsentChange, PrivacyRequest
from olvido.core.looks import LaterLook, LookResult, NotVerified, look_of
from olvido.core.outcomes import Outcome
from olvido.core.receipts import Receipt, receipt_for
from olvido.core.status import RequestStatus
from olvido.core.tasks import Task
from olvido.ledger.backfills import Backfills
from olvido.ledger.connection import Database
from olvido.ledger.restores import Restores
from olvido.ledger.sink_operations import SinkOperations
from olvido.ledger.store import Ledger
from olvido.processors.emission import Emission
from olvido.processors.handlers.batches import ConsentsHandler, RequestsHandler
from olvido.processors.handlers.looks import LooksHandler
from olvido.processors.handlers.receipts import ReceiptsHandler
from olvido.processors.reconciler import Reconciler
from olvido.schemas.codec import Codec, request_status_codec, tasks_codec
from olvido.schemas.privacy.seals import ControlSeals
from olvido.schemas.registry import Registry
from olvido.schemas.settings.deployment import KafkaSection

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
_ids = count(1)


def an_act(verb: Verb, at: datetime) -> Act:
    """An act of somebody's."""
    return Act(act_id=UUID(int=next(_ids)), at=at, who="ana@ops", verb=verb, reason="ticket 17", details={})


@dataclass
class Town:
    """Everything between the topics."""

    registry: Registry
    dsn: str
    catalogue: Catalogue = CATALOGUE
    now: datetime = NOW
    sent: Journal = field(default_factory=Journal)
    unread: dict[str, int] = field(default_factory=dict)
    seals: ControlSeals = UNSIGNED

    def __post_init__(self) -> None:
        database = Database(self.dsn, application="tests")
        self.ledger = Ledger(database)
        self.operations = SinkOperations(database)
        self.restores = Restores(database)
        self.backfills = Backfills(database)
        self.offsets = count()

    def clock(self) -> datetime:
        """The town's clock, which is set by hand."""
        return self.now

    def emission(self) -> Emission:
        """Writes down what is sent."""
        return Emission(self.registry, self.catalogue, self.sent, source="tests")

    def reconciler(self, catalogue: Catalogue | None = None) -> Reconciler:
        """One that knows the town's sinks, or others."""
        known = catalogue or self.catalogue
        emission = Emission(self.registry, known, self.sent, source="tests")
        return Reconciler(
            self.registry,
            self.ledger,
            self.operations,
            emission,
            known,
            seal=lambda receipt: receipt,
            clock=self.clock,
            first_after=MINUTE,
            unread=lambda _group, topics, *, written_before: self.unread.get(topics[0], 0),
        )

    def ask(self, *events: PrivacyRequest | ConsentChange) -> list[Task]:
        """Have events planned, saved and sent; their tasks."""
        before = len(self.sent.records)
        for kind, handler in ((PrivacyRequest, RequestsHandler), (ConsentChange, ConsentsHandler)):
            handle = handler(
                self.registry,
                self.ledger,
                self.emission(),
                self.catalogue,
                self.seals,
                clock=self.clock,
                due_after=MINUTE,
            )
            batch = [self._read(handle.codec, event) for event in events if isinstance(event, kind)]
            if batch:
                handle(batch)
        return self.tasks(before)

    def tasks(self, since: int = 0) -> list[Task]:
        """The tasks that were sent."""
        codecs = {sink.name: tasks_codec(self.registry, sink.name) for sink in self.catalogue.sinks}
        return [
            codecs[record.topic.split(".")[2]].decode(record.value)
            for record in self.sent.records[since:]
            if record.topic.startswith("olvido.tasks.")
        ]

    def statuses(self, since: int = 0) -> list[RequestStatus]:
        """The statuses that were told."""
        codec = request_status_codec(self.registry)
        return [
            codec.decode(record.value)
            for record in self.sent.records[since:]
            if record.topic == codec.topic.name
        ]

    def answer(
        self,
        tasks: Iterable[Task],
        outcome: Outcome | Callable[[Task], Outcome] = Outcome.ERASED,
        *,
        detail: str = "",
    ) -> None:
        """Have the sinks answer some tasks now."""
        self.record(
            [
                receipt_for(
                    task, outcome if isinstance(outcome, Outcome) else outcome(task), applied_at=self.now,
                    detail=detail,
                )
                for task in tasks
            ]
        )  # fmt: skip

    def record(self, told: Sequence[Receipt]) -> None:
        """Have receipts recorded."""
        handle = ReceiptsHandler(self.registry, self.ledger, self.emission(), self.seals, clock=self.clock)
        handle([self._read(handle.codec, receipt) for receipt in told])

    def look_again(self, tasks: Sequence[Task], result: LookResult | None = None) -> LaterLook:
        """Have the sink of some tasks, done an hour ago, look again, and what it finds recorded."""
        applied = [self.now - HOUR for _ in tasks]
        not_verified = [
            NotVerified(request_id=task.source_id, generation=task.generation, result=result)
            for task in tasks
            if result is not None
        ]
        [sink] = {task.sink for task in tasks}
        look = look_of(
            sink, HOUR, applied, self.now, looked=len(tasks), forgotten=0, not_verified=not_verified
        )
        self.record_looks([look])
        return look

    def record_looks(self, looks: Sequence[LaterLook]) -> None:
        """Have later looks recorded."""
        handle = LooksHandler(self.registry, self.ledger, self.emission(), self.seals, clock=self.clock)
        handle([self._read(handle.codec, look) for look in looks])

    def record_letters(self, letters: Sequence[DeadLetter]) -> None:
        """Have the recorder read dead letters."""
        handle = ReceiptsHandler(self.registry, self.ledger, self.emission(), self.seals, clock=self.clock)
        handle([self._read(handle.dead_letters_codec, letter) for letter in letters])

    def _read(self, codec: Codec, value) -> Received:
        match value:
            case LaterLook():
                key = value.sink.encode()
            case DeadLetter():
                key = str(value.dead_letter_id).encode()
            case _:
                key = value.subject_id.encode()
        partitions = KafkaSection().partitions_of(codec.topic.name)
        record = received(
            next(self.offsets), partition=partition_of(key, partitions), topic=codec.topic.name, key=key,
            value=codec.encode(value),
        )  # fmt: skip
        return replace(record, timestamp_ms=int(self.now.timestamp() * 1000), by_broker=True)

    def declare(
        self, sink: str = "crm", *, since: datetime, taken_at: datetime | None = None, name: str = "r1"
    ):
        """Declare a restore."""
        return self.restores.declare(
            an_act(Verb.RESTORE, self.now), operation_id=UUID(int=next(_ids)), name=name, sink=sink,
            backup_taken_at=taken_at or since, since=since,
        )  # fmt: skip
