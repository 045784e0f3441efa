"""Privacy requests: each becomes one task for every sink concerned, once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from olvido.broker.reading import Read, dead_letter_of
from olvido.core.catalogue import Catalogue
from olvido.core.causes import Cause
from olvido.core.dead_letters import DeadLetter
from olvido.core.digests import content_digest, same_content
from olvido.core.errors import Refused
from olvido.core.events import PrivacyRequest
from olvido.core.lifecycle import FINAL_STATES, Event, RequestState, begin, event_of
from olvido.core.plan import check_request, plan_tasks
from olvido.core.requests import needs_verification
from olvido.core.status import RequestStatus, status_of
from olvido.core.tasks import Task
from olvido.ledger.rows import KnownRequest, KnownVerification, Place, RequestRow, VerificationKey
from olvido.schemas.topics import PROCESSORS_GROUP


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the ledger knows of a batch's request ids."""

    requests: Mapping[UUID, KnownRequest]
    verifications: Mapping[VerificationKey, KnownVerification]


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """What a batch of requests asks for."""

    rows: tuple[RequestRow, ...]
    tasks: tuple[Task, ...]
    statuses: tuple[RequestStatus, ...]
    dead_letters: tuple[DeadLetter, ...]
    duplicates: int

    @property
    def new_tasks(self) -> tuple[Task, ...]:
        """The tasks of requests that are new, and not of those that were delivered again."""
        new = {row.request_id for row in self.rows}
        return tuple(task for task in self.tasks if task.request_id in new)


def step(batch: Sequence[Read[PrivacyRequest]], known: Known, catalogue: Catalogue, now: datetime) -> Output:
    """Decide on a batch of requests.

    The redelivery law: stepping a batch again, after it was saved, gives the same records. A
    record that comes again from its own place is a redelivery and asks for the same again, for
    nobody knows whether its tasks were sent. The same request from another place is a
    duplicate: it changes nothing and asks for nothing. The same id with another content is a
    dead letter, and the first stands.
    """
    rows: dict[UUID, RequestRow] = {}
    tasks: list[Task] = []
    statuses: list[RequestStatus] = []
    letters: list[DeadLetter] = []
    duplicates = 0
    for read in batch:
        request = read.value
        place = Place(read.received.partition, read.received.offset)
        try:
            first = known.requests.get(request.request_id)
            if first is None or first.place != place:
                # What was saved from here was found good, by whatever clock: ours may be behind that one.
                check_request(request, catalogue, now)
            row = rows.get(request.request_id)
            before = first or row
            if before is None:
                request = _verified(request, known.verifications)
                planned, state = _start(request, catalogue)
                rows[request.request_id] = _row(read, place, state, len(planned))
                statuses.append(status_of(request, state, unanswered(planned)))
                tasks.extend(planned)
            elif not same_content(request, before.digest):
                raise Refused(Cause.ID_REUSE, field="request_id")
            elif first is not None and first.place == place:
                statuses.append(status_of(request, first.state, first.outcomes))
                tasks.extend(
                    task
                    for task in plan_tasks(request, catalogue)
                    if first.state is not RequestState.IDENTITY_PENDING and task.sink in first.owed
                )
            else:
                duplicates += 1
        except Refused as refused:
            letters.append(dead_letter_of(read.received, refused, group=PROCESSORS_GROUP, now=now))
    return Output(
        rows=tuple(rows.values()),
        tasks=tuple(tasks),
        statuses=tuple(statuses),
        dead_letters=tuple(letters),
        duplicates=duplicates,
    )


def unanswered(tasks: Sequence[Task]) -> dict[str, None]:
    """What the sinks of tasks that were just planned have answered: nothing yet."""
    return {task.sink: None for task in tasks}


def planned_event(request: PrivacyRequest, tasks: Sequence[Task]) -> Event:
    """What happens to a request whose tasks were just planned."""
    return event_of(request.right, unanswered(tasks).values())


def _start(request: PrivacyRequest, catalogue: Catalogue) -> tuple[tuple[Task, ...], RequestState]:
    required = request.right in catalogue.verification_required
    if needs_verification(request, required_by_policy=required):
        return (), begin(Event.UNVERIFIED)
    tasks = plan_tasks(request, catalogue)
    return tasks, begin(planned_event(request, tasks))


def _verified(
    request: PrivacyRequest, verifications: Mapping[VerificationKey, KnownVerification]
) -> PrivacyRequest:
    """The request with the verification that came before it, if one is about the same person."""
    verification = verifications.get((request.request_id, request.subject_id))
    return request if verification is None else replace(request, verified=verification.verified)


def _row(read: Read[PrivacyRequest], place: Place, state: RequestState, tasks: int) -> RequestRow:
    request = read.value
    assert read.received.value is not None, "a value was decoded from it"
    return RequestRow(
        request_id=request.request_id,
        right=request.right.value,
        subject_id=request.subject_id,
        requested_at=request.requested_at,
        state=state.value,
        tasks=tasks,
        finished=state in FINAL_STATES,
        digest=content_digest(request),
        place=place,
        event=read.received.value,
        awaiting=state is RequestState.IDENTITY_PENDING,
    )
