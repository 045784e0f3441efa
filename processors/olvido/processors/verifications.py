"""Verifications: a request that waited for one gets its tasks when it comes, in whichever order."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from olvido.broker.contract import Received
from olvido.broker.reading import dead_letter_of
from olvido.core.brake import HeldFor, Start
from olvido.core.catalogue import Catalogue
from olvido.core.causes import Cause
from olvido.core.dead_letters import DeadLetter
from olvido.core.errors import Refused
from olvido.core.events import PrivacyRequest, Verification, check_instant
from olvido.core.lifecycle import RequestState
from olvido.core.lifecycle import step as next_state
from olvido.core.plan import plan_tasks
from olvido.core.rights.names import Right
from olvido.core.status import RequestStatus, status_of
from olvido.core.tasks import Task
from olvido.ledger.rows import (
    DueRow,
    HeldRow,
    KnownRequest,
    KnownVerification,
    Place,
    StateRow,
    VerificationKey,
    VerificationRow,
)
from olvido.processors.requests import NOBODY, asked_by, due_of, plan_start, unanswered
from olvido.processors.sources import taken
from olvido.schemas.privacy.seals import ControlSeals
from olvido.schemas.topics import PROCESSORS_GROUP


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownVerifications:
    """What the ledger knows of the requests that are verified."""

    requests: Mapping[UUID, KnownRequest | Refused]  # or why what is known of it cannot be read
    events: Mapping[UUID, PrivacyRequest | Refused]  # the same requests as they were read, or why not
    verifications: Mapping[VerificationKey, KnownVerification]


@dataclass(frozen=True, slots=True)
class Given:
    """A verification and its place; where the record is at hand, the record."""

    verification: Verification
    place: Place
    received: Received | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Released:
    """What a batch of verifications asks for."""

    rows: tuple[VerificationRow, ...]
    started: tuple[StateRow, ...]
    tasks: tuple[Task, ...]
    statuses: tuple[RequestStatus, ...]
    dead_letters: tuple[DeadLetter, ...]
    unreadable: Mapping[UUID, Refused]  # requests that wait on: why their event is not read
    held: tuple[HeldRow, ...] = ()  # of those that no longer wait: no sink is asked yet
    starts: tuple[Start, ...] = ()  # the erasures that start
    due: tuple[DueRow, ...] = ()  # by when those that start are to be answered


def step(
    batch: Sequence[Given],
    known: KnownVerifications,
    catalogue: Catalogue,
    seals: ControlSeals,
    now: datetime,
    *,
    braked: Mapping[UUID, HeldFor] = NOBODY,
) -> Released:
    """Decide on a batch of verifications. The first verification of a request and subject stands.

    One that comes before its request is kept, whatever subject it is about; one about another subject
    than the request's is a dead letter once the request is known. So no verification releases another
    person's request, nor keeps out the one that does. The redelivery law holds as for requests.
    A request whose stored event cannot be read stays as it is, with its verification kept: it starts
    when the event can be read again.
    """
    rows: dict[VerificationKey, VerificationRow] = {}
    started: dict[UUID, StateRow] = {}
    tasks: list[Task] = []
    statuses: list[RequestStatus] = []
    letters: list[DeadLetter] = []
    unreadable: dict[UUID, Refused] = {}
    held: list[HeldRow] = []
    for given in batch:
        verification, request_id = given.verification, given.verification.request_id
        key = (request_id, verification.subject_id)
        stored = known.verifications.get(key)
        again = stored is not None and (stored.event_id, stored.place) == (verification.event_id, given.place)
        try:
            request = _checked(given, known.requests.get(request_id), catalogue, seals, now, again=again)
        except Refused as refused:
            if given.received is not None:
                letters.append(dead_letter_of(given.received, refused, group=PROCESSORS_GROUP, now=now))
            continue
        if stored is None and key not in rows:
            rows[key] = _row(given)
        if request is None or request_id in started:
            continue
        # The ledger keeps no event of a request that was finished long ago: nothing is asked for it again.
        event = known.events.get(request_id)
        if event is not None and (request.state is RequestState.IDENTITY_PENDING or again):
            if isinstance(event, Refused):
                unreadable[request_id] = event
                continue
            planned = plan_tasks(event, catalogue)
            if request.state is RequestState.IDENTITY_PENDING:
                planned, happened, row = plan_start(event, catalogue, now, braked)
                state = next_state(request.state, happened)
                held.extend([row] if row else [])
                started[request_id] = StateRow(
                    request_id=request_id, before=request.state, state=state, tasks=len(planned), answered=0
                )
                statuses.append(status_of(event, state, unanswered(planned)))
                tasks.extend(planned)
            else:  # saved before, and nobody knows whether it was published
                statuses.append(status_of(event, request.state, request.outcomes))
                tasks.extend(task for task in planned if task.sink in request.owed)
    return Released(
        rows=tuple(rows.values()),
        started=tuple(started.values()),
        tasks=tuple(tasks),
        statuses=tuple(statuses),
        dead_letters=tuple(letters),
        unreadable=unreadable,
        held=tuple(held),
        starts=tuple(_erasures(started, known.events)),
        due=tuple(_due(started, {**rows, **known.verifications}, known, catalogue)),
    )


def _erasures(
    started: Mapping[UUID, StateRow], events: Mapping[UUID, PrivacyRequest | Refused]
) -> Iterator[Start]:
    """The erasures among the requests that start."""
    for request_id, row in started.items():
        event = events[request_id]
        if row.tasks and isinstance(event, PrivacyRequest) and event.right is Right.ERASE:
            yield Start(request_id, asked_by(event))


def _due(
    started: Mapping[UUID, StateRow], proofs: Mapping[VerificationKey, VerificationRow | KnownVerification],
    known: KnownVerifications, catalogue: Catalogue,
) -> Iterator[DueRow]:  # fmt: skip
    """By when those that start are to be answered, now that it is proved who asks."""
    for request_id in started:
        event = known.events[request_id]
        if isinstance(event, PrivacyRequest):
            proved = replace(event, verified=proofs[request_id, event.subject_id].verified)
            yield DueRow(request_id=request_id, due=due_of(proved, catalogue))


def _checked(
    given: Given,
    request: KnownRequest | Refused | None,
    catalogue: Catalogue,
    seals: ControlSeals,
    now: datetime,
    *,
    again: bool,
) -> KnownRequest | None:
    """The request of a verification, where it is known, once it was checked who verified whom, and when.

    Raises:
        Refused: it cannot be so; its principal may not verify it; it is about another subject than the
            request's.
    """
    if isinstance(request, Refused):
        raise request
    if not again:  # what was saved from here was found good, by a clock that may be ahead of ours
        verified_at = given.verification.verified.verified_at
        check_instant(
            verified_at, taken(given.received, now), field="verified.verified_at",
            ahead_max=catalogue.instants.ahead_max,
        )  # fmt: skip
        if given.received is not None:
            seals.check_verification(given.verification, given.received.value or b"", now)
    if request is not None and request.subject_id != given.verification.subject_id:
        raise Refused(Cause.KEY_MISMATCH, field="subject_id", reason="not the subject of the request")
    return request


def _row(given: Given) -> VerificationRow:
    return VerificationRow(
        event_id=given.verification.event_id,
        request_id=given.verification.request_id,
        subject_id=given.verification.subject_id,
        verified=given.verification.verified,
        place=given.place,
    )
