"""What was said in the story, and what is found at its end: values, by which alone promises are judged."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from olvido.core.lifecycle import RequestState
from olvido.core.outcomes import Outcome
from olvido.core.receipts import Receipt
from shop.leaks import Leak, Scan
from shop.people import Cast, Person
from shop.plan import Plan
from shop.systems import Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One consent change that a person made."""

    event_id: UUID
    person: Person
    purpose: str
    granted: bool
    occurred_at: datetime

    @property
    def order(self) -> tuple[datetime, bool, str]:
        """Its place among all that was said of it: of two words in one instant the withdrawal stands."""
        return (self.occurred_at, not self.granted, str(self.event_id))


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRow:
    """A row of somebody who signed up again, as it was when it was written."""

    person: Person
    system: str
    table: str
    key: str
    content: str
    written_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    """A process that was sent SIGKILL while it had work."""

    program: str
    pid: int
    waiting: int  # what it had been given and had not answered yet
    pid_after: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """The moment when the target that was down from the start came up."""

    sink: str
    answered: int  # by it, at that moment
    answered_by_others: int
    owed_to_others: int  # tasks of the others, all in all


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What was said and done."""

    cast: Cast
    plan: Plan
    before: Mapping[str, Snapshot]  # all systems, before anything was said
    asked: Mapping[UUID, Person]  # who asked to be forgotten, by request
    repeated: frozenset[UUID]  # requests that were sent twice
    consents: Sequence[Said]
    garbage_sha256: bytes  # of the record that nobody can read
    new_rows: Sequence[NewRow]
    kills: Sequence[Kill]
    outage: Outage | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRow:
    """A request, as the ledger has it."""

    request_id: UUID
    state: RequestState
    requested_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRow:
    """A task, as the ledger has it."""

    source_id: UUID
    sink: str
    task_id: UUID
    generation: int
    action: str
    outcome: Outcome | None
    counts: Mapping[str, int]
    applied_at: datetime | None
    attempts: int

    @property
    def key(self) -> str:
        """What a sink remembers it by."""
        return f"{self.task_id}.{self.generation}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterRow:
    """A dead letter, as the ledger has it."""

    topic: str
    cause: str
    sha256: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What the systems, the topics, the ledger and the logs hold at the end."""

    after: Mapping[str, Snapshot]
    named: Mapping[str, Mapping[str, int]]  # rows that name somebody who left; by system and table
    traces: Mapping[str, Sequence[Leak]]  # identities of those who left, in any table of a system
    journals: Mapping[str, Mapping[str, int]]  # by sink: how often it remembers each task_id.generation
    requests: Sequence[RequestRow]
    tasks: Sequence[TaskRow]
    letters: Sequence[LetterRow]
    receipts: Sequence[Receipt]  # all that is on the topic, repeats too
    scans: Sequence[Scan]
    spellings: int  # how many the scan looked for
    planted: int  # leaks that were planted for the scanner to prove itself
    planted_found: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """Something that was promised, and whether it was kept."""

    text: str
    kept: bool
    evidence: str = field(default="")
