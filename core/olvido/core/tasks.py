"""What one sink must do for one request or consent change, and when to ask it again."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from olvido.core.events import Decision, SealedBox
from olvido.core.subject import Handle

# Ask again after 1, 2, 4 … minutes, then once a day. A sink that has not read its topic to the end
# is not asked: what it was sent may still be before it.
DELAY_FIRST = timedelta(minutes=1)
DELAY_MAX = timedelta(days=1)


class Action(StrEnum):
    """What is asked of a sink: one of the six rights, or to follow a consent change."""

    ERASE = "ERASE"
    ACCESS = "ACCESS"
    PORTABILITY = "PORTABILITY"
    RECTIFY = "RECTIFY"
    RESTRICT = "RESTRICT"
    OBJECT = "OBJECT"
    CONSENT = "CONSENT"
    UNKNOWN = "UNKNOWN"  # the Avro enum's default: an action of a newer version

    @property
    def lasting(self) -> bool:
        """Whether it leaves something behind in the system, which an older backup does not have."""
        return self in _LASTING


_LASTING = frozenset({Action.ERASE, Action.RESTRICT, Action.OBJECT, Action.RECTIFY, Action.CONSENT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One sink's share. A pure function of the event, the catalogue and the generation."""

    task_id: UUID
    generation: int
    sink: str
    action: Action
    request_id: UUID | None  # exactly one of request_id and event_id is set
    event_id: UUID | None
    subject_id: str
    handles: tuple[Handle, ...]
    box: SealedBox
    occurred_at: datetime  # of an erasure: the fence; of a consent change: its place in the order
    purposes: tuple[str, ...]
    decision: Decision | None
    policy_version: str

    @property
    def source_id(self) -> UUID:
        """The request or event this task comes from; the sealed box is bound to it."""
        source = self.request_id or self.event_id
        assert source is not None, "a task comes from a request or a consent change"
        return source


def delay_after(attempts: int, *, first: timedelta = DELAY_FIRST) -> timedelta:
    """How long to wait for a receipt after the n-th sending, counted from one, before sending again."""
    doublings = min(attempts - 1, 20)  # 2^20 minutes is far beyond DELAY_MAX
    return min(first * (1 << doublings), DELAY_MAX)
