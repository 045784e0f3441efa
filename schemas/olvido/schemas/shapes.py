"""What the records and enums of our schemas are in Python: the table from which readers and writers are made.

A record is a frozen dataclass with the schema's names of fields, unless a shape here says otherwise.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any
from uuid import UUID

from olvido.core.causes import Cause
from olvido.core.consents import ConsentState
from olvido.core.dead_letters import DeadLetter
from olvido.core.errors import Refused
from olvido.core.events import (
    ConsentChange,
    Decision,
    PrivacyRequest,
    Seal,
    SealedBox,
    Verification,
    Verified,
)
from olvido.core.lifecycle import RequestState
from olvido.core.looks import LaterLook, LookResult, NotVerified
from olvido.core.outcomes import Outcome
from olvido.core.receipts import Receipt
from olvido.core.rights.consent import Consent
from olvido.core.rights.known import ACTIONS
from olvido.core.rights.names import Action, Right
from olvido.core.rights.unknown import Unknown
from olvido.core.rights.what import Particulars, What
from olvido.core.sessions import Recipient, SignedSession
from olvido.core.status import RequestStatus
from olvido.core.subject import Handle, IdentityKind
from olvido.core.tasks import ConsentChangeId, Release, RequestId, Task


@dataclass(frozen=True, slots=True)
class Shape:
    """How a record is made of its fields, and how its fields are found in the value."""

    make: Callable[..., Any]  # takes each field by its name
    views: Mapping[str, Callable[[Any], Any]] = field(default_factory=dict)  # of fields that are no attribute


def _task(
    *,
    seal: Seal | None,
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
    appended_at: datetime | None,
    release: Release | None,
) -> Task:
    """A task out of what the wire says: refused if it has what its action does not have.

    Raises:
        Refused: writing it again would not give the same bytes, so nobody of ours wrote it.
    """
    what = ACTIONS[action].of_wire(occurred_at, Particulars(purposes, decision, policy_version))
    return Task(
        task_id=task_id,
        generation=generation,
        sink=sink,
        source=_source(what, request_id, event_id),
        what=what,
        subject_id=subject_id,
        handles=handles,
        box=box,
        seal=seal,
        appended_at=appended_at,
        release=release,
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


def _status(*, answered: int, outcomes: Mapping[str, Outcome], **fields: Any) -> RequestStatus:  # noqa: ANN401
    if answered != len(outcomes):
        raise Refused(Cause.NON_CANONICAL, field="answered", reason="it is not the number of outcomes")
    return RequestStatus(outcomes=outcomes, **fields)


RECORDS: Mapping[str, Shape] = {
    "Handle": Shape(Handle),
    "SealedBox": Shape(SealedBox),
    "Seal": Shape(Seal),
    "Release": Shape(Release),
    "SignedSession": Shape(SignedSession),
    "Recipient": Shape(Recipient),
    "Verified": Shape(Verified),
    "PrivacyRequest": Shape(PrivacyRequest),
    "ConsentChange": Shape(ConsentChange),
    "Verification": Shape(Verification),
    "Task": Shape(
        _task,
        {
            "purposes": lambda task: task.what.particulars.purposes,
            "decision": lambda task: task.what.particulars.decision,
            "policy_version": lambda task: task.what.particulars.policy_version,
        },
    ),
    "Receipt": Shape(Receipt),
    "LaterLook": Shape(LaterLook),
    "NotVerified": Shape(NotVerified),
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
    "LookResult": _by_value(LookResult),
    "RequestState": _by_value(RequestState),
    "Cause": _by_value(Cause),
    "IdentityKind": {kind.name: kind for kind in IdentityKind},
}
