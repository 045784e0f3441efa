"""What one sink must do for one request or consent change, and when to ask it again."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from olvido.core.events import Seal, SealedBox
from olvido.core.instants import effective_at
from olvido.core.rights.names import Action
from olvido.core.rights.what import What
from olvido.core.subject import Handle

# Ask again after 1, 2, 4 … minutes, then once a day. A sink that has not read its topic to the end
# is not asked: what it was sent may still be before it.
DELAY_FIRST = timedelta(minutes=1)
DELAY_MAX = timedelta(days=1)

IdempotencyKey = tuple[UUID, int]  # task_id and generation


@dataclass(frozen=True, slots=True)
class RequestId:
    """The request that a task carries out."""

    id: UUID


@dataclass(frozen=True, slots=True)
class ConsentChangeId:
    """The consent change that a task carries out."""

    id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """Two people let one task pass the limits of its sink, and the desk signed that they did."""

    principal: str  # who signed
    key_id: str
    signature: bytes  # over task_id and generation


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One sink's share. A pure function of the event, the catalogue and the generation."""

    task_id: UUID
    generation: int
    sink: str
    source: RequestId | ConsentChangeId
    what: What
    subject_id: str
    handles: tuple[Handle, ...]
    box: SealedBox
    seal: Seal | None = None  # the seal of the event
    appended_at: datetime | None = None  # when the broker took the event; no seal is over it
    release: Release | None = None  # what it takes is not limited

    @property
    def action(self) -> Action:
        """The name of what is asked."""
        return self.what.action

    @property
    def key(self) -> IdempotencyKey:
        """What a sink remembers it by: what has the same key is done once and answered alike."""
        return (self.task_id, self.generation)

    @property
    def occurred_at(self) -> datetime:
        """When the person asked or decided, as upstream states it: that is sealed."""
        return self.what.at

    @property
    def effective_at(self) -> datetime:
        """Since when it counts: the fence of an erasure, the place of a decision in the order.

        Whoever can write tasks can only make it earlier than what is sealed.
        """
        return effective_at(self.what.at, self.appended_at)

    @property
    def source_id(self) -> UUID:
        """The request or event this task comes from; the sealed box is bound to it."""
        return self.source.id

    @property
    def request_id(self) -> UUID | None:
        """The request this task comes from, if it is one."""
        return self.source.id if isinstance(self.source, RequestId) else None

    @property
    def event_id(self) -> UUID | None:
        """The consent change this task comes from, if it is one."""
        return self.source.id if isinstance(self.source, ConsentChangeId) else None


def delay_after(attempts: int, *, first: timedelta = DELAY_FIRST) -> timedelta:
    """How long to wait for a receipt after the n-th sending, counted from one, before sending again."""
    doublings = min(attempts - 1, 20)  # 2^20 minutes is far beyond DELAY_MAX
    return min(first * (1 << doublings), DELAY_MAX)
