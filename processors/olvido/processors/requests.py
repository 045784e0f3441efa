"""Privacy requests: each becomes one task for every sink concerned, once."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from olvido.broker.reading import Read
from olvido.core.brake import HeldFor
from olvido.core.catalogue import Catalogue
from olvido.core.errors import Refused
from olvido.core.events import PrivacyRequest
from olvido.core.instants import is_late
from olvido.core.lifecycle import FINAL_STATES, Event, RequestState, begin, event_of
from olvido.core.plan import check_request, plan_tasks
from olvido.core.requests import due, needs_verification
from olvido.core.rights.names import Right
from olvido.core.status import RequestStatus, status_of
from olvido.core.tasks import Task
from olvido.ledger.rows import Due, HeldRow, KnownRequest, KnownVerification, RequestRow, VerificationKey
from olvido.processors.sources import Again, New, Planned, recognise, sent
from olvido.schemas.privacy.seals import ControlSeals
from olvido.schemas.sealed_records import session_in

NOT_SIGNED = "(unsigned)"
NOBODY: Mapping[UUID, HeldFor] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownRequests:
    """What the ledger knows of a batch's request ids."""

    requests: Mapping[UUID, KnownRequest | Refused]
    verifications: Mapping[VerificationKey, KnownVerification]
    others: Set[UUID] = frozenset()  # which of the ids a consent change has


def step(
    batch: Sequence[Read[PrivacyRequest]],
    known: KnownRequests,
    catalogue: Catalogue,
    seals: ControlSeals,
    now: datetime,
    *,
    braked: Mapping[UUID, HeldFor] = NOBODY,
) -> Planned[RequestRow]:
    """Decide on a batch of requests. Those that are ``braked`` are saved, and no sink is asked for them.

    The redelivery law: stepping a batch again, after it was saved, gives the same records. A
    record that comes again from its own place is a redelivery and asks for the same again, for
    nobody knows whether its tasks were sent.
    """

    def check(read: Read[PrivacyRequest], taken_at: datetime) -> None:
        check_request(read.value, catalogue, taken_at)
        seals.check_source(read.value, sent(read), now)

    recognised = recognise(batch, known.requests, known.others, check=check, now=now)
    rows: list[RequestRow] = []
    new_tasks: list[Task] = []
    tasks: list[Task] = []
    statuses: list[RequestStatus] = []
    held: list[HeldRow] = []
    for event in recognised.events:
        match event:
            case New(value=value):
                request = _verified(value, known.verifications, seals)
                planned, happened, row = _start(request, catalogue, now, braked)
                state = begin(happened)
                held.extend([row] if row else [])
                rows.append(_row(event, request, state, len(planned), catalogue))
                statuses.append(status_of(request, state, unanswered(planned)))
                new_tasks.extend(planned)
                tasks.extend(planned)
            case Again(value=request, first=first):
                statuses.append(status_of(request, first.state, first.outcomes))
                tasks.extend(
                    task
                    for task in plan_tasks(request, catalogue)
                    if first.state is not RequestState.IDENTITY_PENDING and task.sink in first.owed
                )
    return Planned(
        rows=tuple(rows),
        new_tasks=tuple(new_tasks),
        tasks=tuple(tasks),
        statuses=tuple(statuses),
        dead_letters=recognised.dead_letters,
        duplicates=recognised.duplicates,
        held=tuple(held),
    )


def unanswered(tasks: Sequence[Task]) -> dict[str, None]:
    """What the sinks of tasks that were just planned have answered: nothing yet."""
    return {task.sink: None for task in tasks}


def planned_event(request: PrivacyRequest, tasks: Sequence[Task]) -> Event:
    """What happens to a request whose tasks were just planned."""
    return event_of(request.right, unanswered(tasks).values())


def _start(
    request: PrivacyRequest, catalogue: Catalogue, now: datetime, braked: Mapping[UUID, HeldFor]
) -> tuple[tuple[Task, ...], Event, HeldRow | None]:
    required = request.right in catalogue.verification_required
    if needs_verification(request, required_by_policy=required):
        return (), Event.UNVERIFIED, None
    return plan_start(request, catalogue, now, braked)


def plan_start(
    request: PrivacyRequest, catalogue: Catalogue, now: datetime, braked: Mapping[UUID, HeldFor]
) -> tuple[tuple[Task, ...], Event, HeldRow | None]:
    """What happens to a request that waits for nobody: it gets its tasks, or is held and no sink is asked."""
    tasks = plan_tasks(request, catalogue)
    held = _held(request, catalogue, now, braked) if tasks else None
    return ((), Event.HELD, held) if held else (tasks, planned_event(request, tasks), None)


def _held(
    request: PrivacyRequest, catalogue: Catalogue, now: datetime, braked: Mapping[UUID, HeldFor]
) -> HeldRow | None:
    if limit := braked.get(request.request_id):
        return HeldRow(request_id=request.request_id, held_for=limit, start_at=None)
    grace = catalogue.limits.erase_after
    if request.right is Right.ERASE and grace:
        return HeldRow(request_id=request.request_id, held_for=HeldFor.ERASE_AFTER, start_at=now + grace)
    return None


def _verified(
    request: PrivacyRequest,
    verifications: Mapping[VerificationKey, KnownVerification],
    seals: ControlSeals,
) -> PrivacyRequest:
    """The request with the verification that came before it, if one is about the same person.

    What it says of its own verification counts only where its principal may verify.
    """
    verification = verifications.get((request.request_id, request.subject_id))
    if verification is not None:
        return replace(request, verified=verification.verified)
    if request.verified is None or seals.may_verify(request):
        return request
    return replace(request, verified=None)


def asked_by(request: PrivacyRequest) -> str:
    """The principal that asked, by the seal that was checked. All unsigned requests count as one's."""
    if request.seal is None:
        return NOT_SIGNED
    try:
        return session_in(request.seal.header).principal
    except Refused:  # of a row that was damaged since it was checked
        return NOT_SIGNED


def due_of(request: PrivacyRequest, catalogue: Catalogue) -> Due:
    """By when a request is to be answered, as the ledger keeps it."""
    verified_at = None if request.verified is None else request.verified.verified_at
    deadline = due(request, catalogue.law_of(request.jurisdiction))
    if deadline is None:
        return Due(verified_at=verified_at)
    return Due(
        at=deadline.due_at, by=deadline.regime, provisional=deadline.provisional, verified_at=verified_at
    )


def _row(
    event: New[PrivacyRequest], request: PrivacyRequest, state: RequestState, tasks: int, catalogue: Catalogue
) -> RequestRow:
    return RequestRow(
        request_id=request.request_id,
        right=request.right.value,
        subject_id=request.subject_id,
        requested_at=request.requested_at,
        state=state.value,
        tasks=tasks,
        finished=state in FINAL_STATES,
        digest=event.digest,
        place=event.place,
        event=event.event,
        awaiting=state is RequestState.IDENTITY_PENDING,
        asked_by=asked_by(request),
        appended_at=request.appended_at,
        late=is_late(request.requested_at, event.taken_at, catalogue.instants.late_after),
        due=due_of(request, catalogue),
        jurisdiction=catalogue.place_of(request.jurisdiction),
    )
