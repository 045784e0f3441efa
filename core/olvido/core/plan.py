"""Who must do what: one event in, one task per sink concerned out.

Pure, and the same input always gives the same tasks with the same ids.
"""

from datetime import datetime

from olvido.core.catalogue import Catalogue, SinkEntry
from olvido.core.causes import Cause
from olvido.core.errors import Refused
from olvido.core.events import ConsentChange, PrivacyRequest, Right, SealedBox, check_instant
from olvido.core.ids import task_id
from olvido.core.subject import IdentityKind, check_handles
from olvido.core.tasks import Action, Task


def check_request(request: PrivacyRequest, catalogue: Catalogue, now: datetime) -> None:
    """Check what a request means against the deployment.

    Raises:
        Refused: naming the field. An unknown region or purpose never falls back to a default.
    """
    if request.right is Right.UNKNOWN:
        raise Refused(Cause.UNKNOWN_RIGHT, field="right")
    check_handles(request.handles, request.subject_id)
    check_instant(request.requested_at, now, field="requested_at")
    _check_places(request.regions, request.boxes, catalogue)
    if not set(request.purposes) <= catalogue.purposes:
        raise Refused(Cause.UNKNOWN_PURPOSE, field="purposes")


def check_consent(change: ConsentChange, catalogue: Catalogue, now: datetime) -> None:
    """Check what a consent change means against the deployment.

    Raises:
        Refused: naming the field. An unknown purpose is never allowed by default.
    """
    check_handles(change.handles, change.subject_id)
    check_instant(change.occurred_at, now, field="occurred_at")
    _check_places(change.regions, change.boxes, catalogue)
    if change.purpose not in catalogue.purposes:
        raise Refused(Cause.UNKNOWN_PURPOSE, field="purpose")


def plan_request(request: PrivacyRequest, catalogue: Catalogue, *, generation: int = 0) -> tuple[Task, ...]:
    """The tasks of a request: each sink in its regions that can match one of its identities.

    A sink that cannot do what is asked gets its task all the same and answers
    ``unsupported``: a gap in the promise is shown, not planned away.
    """
    kinds = {handle.kind for handle in request.handles}
    boxes = {box.region: box for box in request.boxes}
    action = Action(request.right.value)
    return tuple(
        Task(
            task_id=task_id(request.request_id, sink.name, action.value),
            generation=generation,
            sink=sink.name,
            action=action,
            request_id=request.request_id,
            event_id=None,
            subject_id=request.subject_id,
            handles=request.handles,
            box=boxes[sink.region],
            occurred_at=request.requested_at,
            purposes=request.purposes,
            decision=None,
            policy_version="",
        )
        for sink in catalogue.sinks
        if _concerns(sink, request.regions, kinds)
    )


def plan_consent(change: ConsentChange, catalogue: Catalogue, *, generation: int = 0) -> tuple[Task, ...]:
    """The tasks of a consent change: each sink in its regions that acts on that purpose.

    They are planned whatever is known already: which word is the later one is decided
    where it is applied, so that a change that comes late is answered and not dropped.
    """
    kinds = {handle.kind for handle in change.handles}
    boxes = {box.region: box for box in change.boxes}
    return tuple(
        Task(
            task_id=task_id(change.event_id, sink.name, Action.CONSENT.value),
            generation=generation,
            sink=sink.name,
            action=Action.CONSENT,
            request_id=None,
            event_id=change.event_id,
            subject_id=change.subject_id,
            handles=change.handles,
            box=boxes[sink.region],
            occurred_at=change.occurred_at,
            purposes=(change.purpose,),
            decision=change.decision,
            policy_version=change.policy_version,
        )
        for sink in catalogue.sinks
        if change.purpose in sink.purposes and _concerns(sink, change.regions, kinds)
    )


def _concerns(sink: SinkEntry, regions: tuple[str, ...], kinds: set[IdentityKind]) -> bool:
    return sink.region in regions and not sink.identities.isdisjoint(kinds)


def _check_places(regions: tuple[str, ...], boxes: tuple[SealedBox, ...], catalogue: Catalogue) -> None:
    if not regions or not set(regions) <= catalogue.regions:
        raise Refused(Cause.UNKNOWN_REGION, field="regions")
    if {box.region for box in boxes} != set(regions) or len(boxes) != len(set(regions)):
        raise Refused(Cause.NO_BOX, field="boxes", reason="there must be one sealed box for each region")
