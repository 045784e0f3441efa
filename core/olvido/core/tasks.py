"""What one sink must do for one request or consent change, and when to ask it again."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import ClassVar, assert_never
from uuid import UUID

from olvido.core.events import Decision, SealedBox
from olvido.core.subject import Handle

# Ask again after 1, 2, 4 … minutes, then once a day. A sink that has not read its topic to the end
# is not asked: what it was sent may still be before it.
DELAY_FIRST = timedelta(minutes=1)
DELAY_MAX = timedelta(days=1)


class Action(StrEnum):
    """The name of what is asked of a sink: one of the six rights, or to follow a consent change."""

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


@dataclass(frozen=True, slots=True)
class Erase:
    """Delete or anonymise the person's data (GDPR art. 17)."""

    fence: datetime  # when the person asked: what they did afterwards stays
    action: ClassVar[Action] = Action.ERASE


@dataclass(frozen=True, slots=True)
class Access:
    """Give out a copy of the person's data (GDPR art. 15)."""

    asked_at: datetime
    action: ClassVar[Action] = Action.ACCESS


@dataclass(frozen=True, slots=True)
class Portability:
    """Give out the person's data in a machine-readable form (GDPR art. 20)."""

    asked_at: datetime
    action: ClassVar[Action] = Action.PORTABILITY


@dataclass(frozen=True, slots=True)
class Rectify:
    """Correct the person's data (GDPR art. 16)."""

    asked_at: datetime
    action: ClassVar[Action] = Action.RECTIFY


@dataclass(frozen=True, slots=True)
class Restrict:
    """Keep the person's data, and use them no longer (GDPR art. 18)."""

    asked_at: datetime
    action: ClassVar[Action] = Action.RESTRICT


@dataclass(frozen=True, slots=True)
class Object:
    """Use the person's data no longer for some purposes (GDPR art. 21)."""

    purposes: tuple[str, ...]  # none: all purposes
    asked_at: datetime
    action: ClassVar[Action] = Action.OBJECT


@dataclass(frozen=True, slots=True)
class Consent:
    """Follow what the person decided about a purpose (GDPR arts. 6(1)(a), 7(3))."""

    purpose: str
    decision: Decision
    occurred_at: datetime  # its place in the order of what the person decided about the purpose
    policy_version: str
    action: ClassVar[Action] = Action.CONSENT


@dataclass(frozen=True, slots=True)
class Unknown:
    """An action of a newer version: a sink answers that it does not support it."""

    asked_at: datetime
    purposes: tuple[
        str, ...
    ] = ()  # these three as they came: what they mean to that action is not known here
    decision: Decision | None = None
    policy_version: str = ""
    action: ClassVar[Action] = Action.UNKNOWN


What = Erase | Access | Portability | Rectify | Restrict | Object | Consent | Unknown


@dataclass(frozen=True, slots=True)
class RequestId:
    """The request that a task carries out."""

    id: UUID


@dataclass(frozen=True, slots=True)
class ConsentChangeId:
    """The consent change that a task carries out."""

    id: UUID


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

    @property
    def action(self) -> Action:
        """The name of what is asked."""
        return self.what.action

    @property
    def occurred_at(self) -> datetime:
        """When the person asked or decided."""
        match self.what:
            case Erase(fence=at) | Consent(occurred_at=at):
                return at
            case Access(asked_at=at) | Portability(asked_at=at) | Rectify(asked_at=at):
                return at
            case Restrict(asked_at=at) | Object(asked_at=at) | Unknown(asked_at=at):
                return at
            case _:
                assert_never(self.what)

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
