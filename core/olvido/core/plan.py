"""Which sinks must do what: one event in, one task per sink concerned out.

Pure, and the same input always gives the same tasks with the same ids.
"""

from datetime import datetime

from olvido.core.catalogue import Catalogue, SinkEntry
from olvido.core.causes import Cause
from olvido.core.errors import Refused
from olvido.core.events import ConsentChange, PrivacyRequest, SealedBox, check_instant
from olvido.core.ids import task_ids
from olvido.core.rights.names import Right
from olvido.core.source import Source, ref_of, what_of
from olvido.core.subject import IdentityKind, check_handles
from olvido.core.tasks import Task


def check_request(request: PrivacyRequest, catalogue: Catalogue, taken_at: datetime) -> None:
    """Check what a request means against the deployment.

    Args:
        request: the request.
        catalogue: what the deployment declares.
        taken_at: when the broker took its record; our own time where it does not say that.

    Raises:
        Refused: naming the field. An unknown region or purpose never falls back to a default.
    """
    if request.right is Right.UNKNOWN:
        raise Refused(Cause.UNKNOWN_RIGHT, field="right")
    check_handles(request.handles, request.subject_id)
    ahead_max = catalogue.instants.ahead_max
    check_instant(request.requested_at, taken_at, field="requested_at", ahead_max=ahead_max)
    _check_places(request.regions, request.boxes, catalogue)
    if not set(request.purposes) <= catalogue.purposes:
        raise Refused(Cause.UNKNOWN_PURPOSE, field="purposes")


def check_consent(change: ConsentChange, catalogue: Catalogue, taken_at: datetime) -> None:
    """Check what a consent change means against the deployment.

    Args:
        change: the consent change.
        catalogue: what the deployment declares.
        taken_at: when the broker took its record; our own time where it does not say that.

    Raises:
        Refused: naming the field. An unknown purpose is never allowed by default.
    """
    check_handles(change.handles, change.subject_id)
    ahead_max = catalogue.instants.ahead_max
    check_instant(change.occurred_at, taken_at, field="occurred_at", ahead_max=ahead_max)
    _check_places(change.regions, change.boxes, catalogue)
    if change.purpose not in catalogue.purposes:
        raise Refused(Cause.UNKNOWN_PURPOSE, field="purpose")


def plan_tasks(source: Source, catalogue: Catalogue, *, generation: int = 0) -> tuple[Task, ...]:
    """The tasks of a request or a consent change: each sink in its regions that can match an identity.

    A sink that cannot do what is asked gets its task all the same and answers ``unsupported``: a gap in the
    promise is shown, not planned away. A consent change reaches the sinks that act on its purpose, whatever
    is known of the purpose already: which decision is the later one is decided where it is applied, so that
    a change that comes late is answered and not dropped.
    """
    what, ref = what_of(source), ref_of(source)
    kinds = {handle.kind for handle in source.handles}
    boxes = {box.region: box for box in source.boxes}
    id_for = task_ids(ref.id, what.action.value)
    return tuple(
        Task(
            task_id=id_for(sink.name),
            generation=generation,
            sink=sink.name,
            source=ref,
            what=what,
            subject_id=source.subject_id,
            handles=source.handles,
            box=boxes[sink.region],
            seal=source.seal,
            appended_at=source.appended_at,
        )
        for sink in catalogue.sinks
        if what.concerns(sink.purposes) and _concerns(sink, source.regions, kinds)
    )


def _concerns(sink: SinkEntry, regions: tuple[str, ...], kinds: set[IdentityKind]) -> bool:
    return sink.region in regions and not sink.identities.isdisjoint(kinds)


def _check_places(regions: tuple[str, ...], boxes: tuple[SealedBox, ...], catalogue: Catalogue) -> None:
    if not regions or not set(regions) <= catalogue.regions:
        raise Refused(Cause.UNKNOWN_REGION, field="regions")
    if {box.region for box in boxes} != set(regions) or len(boxes) != len(set(regions)):
        raise Refused(Cause.NO_BOX, field="boxes", reason="there must be one sealed box for each region")
