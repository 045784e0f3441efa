"""Privacy requests: found, shown with what each sink has answered, or moment by moment."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from olvido.core.errors import InvalidInput
from olvido.core.lifecycle import RequestState
from olvido.core.outcomes import Outcome
from olvido.core.rights.known import RIGHTS
from olvido.core.rights.names import Right
from olvido.core.subject import Handle
from olvido.ledger.figures import Figures
from olvido.operators.desk.faults import NotThere, check_known
from olvido.operators.desk.law import DeadlineView, last_days
from olvido.operators.desk.ledger import database
from olvido.schemas.settings.deployment import Deployment

NO_OUTCOME = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which requests. What is not given does not narrow."""

    state: RequestState | None = None
    right: str | None = None
    sink: str | None = None
    outcome: str | None = None  # of a task; ``none`` for a receipt that is missing
    overdue: bool = False  # open, and the last day is over
    due_in: timedelta | None = None  # open, and the last day is over by then
    open_for: timedelta | None = None  # open for longer than this
    since: datetime | None = None
    handles: tuple[Handle, ...] | None = None  # of one person: any of them
    subject: str | None = None  # the same, by a pseudonym


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One privacy request."""

    request_id: UUID
    right: str
    subject_id: str
    state: str
    tasks: int
    answered: int
    requested_at: datetime  # as upstream states it
    appended_at: datetime | None  # when the broker took it; None of what was saved before that was kept
    late: bool  # the broker took it so long after that a person should know
    received_at: datetime
    finished_at: datetime | None
    due_at: (
        datetime | None
    )  # by when it is to be answered; None while every clock waits for the proof of identity
    due_by: str | None  # the law that sets it, as it stood when the request came
    extended_at: datetime | None  # when an extension was recorded
    identity_verified_at: datetime | None  # when it was proved who asks, as far as the last day goes by it
    jurisdiction: str | None  # whose law holds, of those that are declared; None: what holds for all
    due_provisional: bool  # a calendar did not know the holidays of that time yet


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed(Request):
    """One of many."""

    overdue: bool
    verified: int  # at how many sinks a later look found nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskView:
    """What one sink was asked, and what it has answered."""

    sink: str
    action: str
    generation: int  # above 0 where it was asked again, after a restore
    task_id: UUID
    outcome: str | None
    counts: Mapping[str, int] | None
    attempts: int
    parked: str | None
    sent_at: datetime
    due_at: datetime | None
    applied_at: datetime | None
    read_back_at: datetime | None  # in the transaction of the work nothing was left, as far as that could see
    verified_at: datetime | None  # when the sink last looked again later, and nothing was left
    found_again_at: datetime | None = None  # when a later look last found the person again
    detail: str | None = None
    operation: str | None = None  # the kind of what asked again
    operation_name: str | None = None
    operation_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationView:
    """A check that it is really this person."""

    method: str
    verified_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class LookView:
    """A later look of a sink, as far as it speaks of the request."""

    sink: str
    generation: int
    after_s: int
    looked_at: datetime
    result: str | None  # None: nothing was found


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A task that became a dead letter."""

    sink: str
    cause: str
    failed_at: datetime
    state: str
    decided_at: datetime | None
    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestWithTasks:
    """A request and its tasks."""

    request: Request
    tasks: tuple[TaskView, ...]
    deadlines: tuple[DeadlineView, ...] = ()  # what each law says now, the earliest first

    @property
    def latest(self) -> tuple[TaskView, ...]:
        """Of each sink what it was asked last."""
        by_sink = {task.sink: task for task in sorted(self.tasks, key=lambda task: task.generation)}
        return tuple(by_sink.values())

    @property
    def verified(self) -> int:
        """At how many sinks a later look found nothing."""
        return sum(task.verified_at is not None for task in self.latest)

    @property
    def read_back(self) -> int:
        """At how many sinks nothing was left in the transaction of the work."""
        return sum(task.read_back_at is not None for task in self.latest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """Everything that is known to have happened to a request, as rows."""

    request: Request
    verifications: tuple[VerificationView, ...]
    tasks: tuple[TaskView, ...]
    looks: tuple[LookView, ...]
    dead_letters: tuple[Letter, ...]


def find(declared: Deployment, which: Filter, *, now: datetime, limit: int) -> list[Listed]:
    """Requests, newest first.

    Raises:
        InvalidInput: naming a filter whose value there is not, with the nearest that there is.
        Unavailable: the ledger does not answer.
    """
    check_known("right", which.right, [right.value for right in RIGHTS])
    check_known("sink", which.sink, declared.sinks)
    check_known("outcome", which.outcome, [NO_OUTCOME, *(outcome.value for outcome in Outcome)])
    subjects = [handle.value for handle in which.handles or ()]
    if which.subject is not None:
        if not which.subject.startswith("h"):
            raise InvalidInput("subject", "is a pseudonym such as h1_…, never an identity")
        subjects.append(which.subject)
    marks: list[bytes] = []
    if subjects:
        from olvido.schemas.codec import avro_text  # it loads the registry's client, for this alone

        marks = [avro_text(subject) for subject in subjects]
    rows = Figures(database(declared)).requests(
        now=now, state=which.state, right=which.right, sink=which.sink, outcome=which.outcome,
        since=which.since, due_before=_due_before(which, now), limit=limit,
        open_since=None if which.open_for is None else now - which.open_for,
        subjects=subjects or None, marks=marks,
    )  # fmt: skip
    return [Listed(**_named(row)) for row in rows]


def show(declared: Deployment, request_id: UUID) -> RequestWithTasks:
    """One request, and what each sink has answered.

    Raises:
        NotThere: there is no such request.
        Unavailable: the ledger does not answer.
    """
    figures = Figures(database(declared))
    request = _request(figures, request_id)
    return RequestWithTasks(
        request=request,
        tasks=tuple(TaskView(**row) for row in figures.tasks(request_id)),
        deadlines=last_days(
            declared,
            Right(request.right),
            request.requested_at,
            jurisdiction=request.jurisdiction or "",
            extended=request.extended_at is not None,
            verified_at=request.identity_verified_at,
        ),
    )


def story(declared: Deployment, request_id: UUID) -> Story:
    """One request, and everything that is known to have happened to it.

    Raises:
        NotThere: there is no such request.
        Unavailable: the ledger does not answer.
    """
    figures = Figures(database(declared))
    request, found = _request(figures, request_id), figures.story(request_id)
    return Story(
        request=request,
        verifications=tuple(VerificationView(**row) for row in found["verifications"]),
        tasks=tuple(TaskView(**row) for row in found["tasks"]),
        looks=tuple(LookView(**row) for row in found["looks"]),
        dead_letters=tuple(Letter(**row) for row in found["dead_letters"]),
    )


def _due_before(which: Filter, now: datetime) -> datetime | None:
    if which.overdue:
        return now
    return None if which.due_in is None else now + which.due_in


def _request(figures: Figures, request_id: UUID) -> Request:
    row = figures.request(request_id)
    if row is None:
        raise NotThere("request", str(request_id))
    return Request(**_named(row))


def _named(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row under the names people use: `right` is a word of SQL, and cannot be a column's."""
    return {name.rstrip("_"): value for name, value in row.items()}
