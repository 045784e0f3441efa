"""What the records and enums of our schemas are in Python: the table from which readers and writers are made.

A record is a frozen dataclass with the schema's names of fields, unless a shape here says otherwise.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any, assert_never
from uuid import UUID

from olvido.core.causes import Cause
from olvido.core.consents import ConsentState
from olvido.core.dead_letters import DeadLetter
from olvido.core.errors import Refused
from olvido.core.events import (
    ConsentChange,
    Decision,
    PrivacyRequest,
    Right,
    SealedBox,
    Verification,
    Verified,
)
from olvido.core.lifecycle import RequestState
from olvido.core.receipts import Outcome, Receipt
from olvido.core.status import RequestStatus
from olvido.core.subject import Handle, IdentityKind
from olvido.core.tasks import (
    Access,
    Action,
    Consent,
    ConsentChangeId,
    Erase,
    Object,
    Portability,
    Rectify,
    RequestId,
    Restrict,
    Task,
    Unknown,
    What,
)


@dataclass(frozen=True, slots=True)
class Shape:
    """How a record is made of its fields, and how its fields are found in the value."""

    make: Callable[..., Any]  # takes each field by its name
    views: Mapping[str, Callable[[Any], Any]] = field(default_factory=dict)  # of fields that are no attribute


def _task(
    *,
    task_id: UUID,
    generation: int,
    sink: str,
    action: Action,
    box: SealedBox,
    request_id: UUID | None,
    event_id: UUID | None,
    subject_id: str,
    handles: tuple[Handle, ...],
    occurred_at: datetime,
    purposes: tuple[str, ...],
    decision: Decision | None,
    policy_version: str,
) -> Task:
    """A task out of what the wire says: refused if it has what its action does not have.

    Raises:
        Refused: writing it again would not give the same bytes, so nobody of ours wrote it.
    """
    what = _what(action, occurred_at, purposes, decision, policy_version)
    return Task(
        task_id=task_id,
        generation=generation,
        sink=sink,
        source=_source(what, request_id, event_id),
        what=what,
        subject_id=subject_id,
        handles=handles,
        box=box,
    )


def _source(what: What, request_id: UUID | None, event_id: UUID | None) -> RequestId | ConsentChangeId:
    if (request_id is None) == (event_id is None):
        raise Refused(Cause.BAD_UUID, field="request_id", reason="a task has one of request_id and event_id")
    if request_id is not None and not isinstance(what, Consent):
        return RequestId(request_id)
    if event_id is not None and isinstance(what, Consent | Unknown):
        return ConsentChangeId(event_id)
    raise Refused(
        Cause.NON_CANONICAL,
        field="action",
        reason="a consent comes from a consent change, a right from a request",
    )


def _what(  # noqa: PLR0911 - one for each right
    action: Action,
    at: datetime,
    purposes: tuple[str, ...],
    decision: Decision | None,
    policy_version: str,
) -> What:
    if action is Action.UNKNOWN:
        return Unknown(asked_at=at, purposes=purposes, decision=decision, policy_version=policy_version)
    if action is Action.CONSENT:
        if len(purposes) != 1 or decision is None:
            raise Refused(Cause.NON_CANONICAL, field="decision", reason="a consent is about one purpose")
        return Consent(purpose=purposes[0], decision=decision, occurred_at=at, policy_version=policy_version)
    if decision is not None or policy_version:
        raise Refused(Cause.NON_CANONICAL, field="decision", reason="only a consent has one")
    if purposes and action is not Action.OBJECT:
        raise Refused(Cause.NON_CANONICAL, field="purposes", reason="only an objection has some")
    match action:
        case Action.ERASE:
            return Erase(fence=at)
        case Action.ACCESS:
            return Access(asked_at=at)
        case Action.PORTABILITY:
            return Portability(asked_at=at)
        case Action.RECTIFY:
            return Rectify(asked_at=at)
        case Action.RESTRICT:
            return Restrict(asked_at=at)
        case Action.OBJECT:
            return Object(purposes=purposes, asked_at=at)
        case _:
            assert_never(action)


def _purposes(task: Task) -> tuple[str, ...]:
    match task.what:
        case Object(purposes=purposes) | Unknown(purposes=purposes):
            return purposes
        case Consent(purpose=purpose):
            return (purpose,)
        case _:
            return ()


def _status(*, answered: int, outcomes: Mapping[str, Outcome], **fields: Any) -> RequestStatus:  # noqa: ANN401
    if answered != len(outcomes):
        raise Refused(Cause.NON_CANONICAL, field="answered", reason="it is not the number of outcomes")
    return RequestStatus(outcomes=outcomes, **fields)


RECORDS: Mapping[str, Shape] = {
    "Handle": Shape(Handle),
    "SealedBox": Shape(SealedBox),
    "Verified": Shape(Verified),
    "PrivacyRequest": Shape(PrivacyRequest),
    "ConsentChange": Shape(ConsentChange),
    "Verification": Shape(Verification),
    "Task": Shape(
        _task,
        {
            "purposes": _purposes,
            "decision": lambda task: getattr(task.what, "decision", None),
            "policy_version": lambda task: getattr(task.what, "policy_version", ""),
        },
    ),
    "Receipt": Shape(Receipt),
    "RequestStatus": Shape(_status, {"answered": lambda status: len(status.outcomes)}),
    "ConsentState": Shape(ConsentState),
    "DeadLetter": Shape(DeadLetter),
    "Canary": Shape(lambda *, sent_at: sent_at, {"sent_at": lambda sent_at: sent_at}),
}


def wire_fields(record: str, names: Iterable[str], value: object) -> dict[str, Any]:
    """A value's fields under the names that they have on the wire.

    Args:
        record: the name of the Avro record, such as ``Task``.
        names: its fields, in their order.
        value: what the codec made of such a record.
    """
    views = RECORDS[record].views
    return {name: views[name](value) if name in views else getattr(value, name) for name in names}


def _by_value(members: type[Enum]) -> dict[str, Enum]:
    return {member.value: member for member in members}


# The member that each symbol is. A symbol that is none, such as a decision UNKNOWN, is of a newer version.
ENUMS: Mapping[str, Mapping[str, Enum]] = {
    "Right": _by_value(Right),
    "Action": _by_value(Action),
    "Decision": _by_value(Decision),
    "Outcome": _by_value(Outcome),
    "RequestState": _by_value(RequestState),
    "Cause": _by_value(Cause),
    "IdentityKind": {kind.name: kind for kind in IdentityKind},
}
