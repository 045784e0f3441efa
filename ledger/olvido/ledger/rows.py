"""What is saved and what is known: the ledger's rows as frozen values."""

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, TypeVar
from uuid import UUID

from olvido.core.brake import HeldFor
from olvido.core.causes import Cause
from olvido.core.consents import ConsentState
from olvido.core.errors import Refused
from olvido.core.events import Verified
from olvido.core.lifecycle import FINAL_STATES, RequestState
from olvido.core.outcomes import Outcome
from olvido.core.receipts import outcome_of
from olvido.core.rights.names import Action, Right
from olvido.core.status import RequestStatus
from olvido.core.tasks import Release

logger = logging.getLogger("olvido.ledger")

T = TypeVar("T")
R = TypeVar("R", bound=Sequence[Any])

# By sink: its outcome each time it was asked, the oldest first; None for no receipt yet.
Generations = Mapping[str, Sequence[Outcome | None]]
Outcomes = Mapping[str, Outcome | None]  # by sink: what it has come to; None while it owes an answer


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record was read: by this a redelivery and a duplicate differ."""

    partition: int
    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownChange:
    """A consent change that was saved before: what it meant the first time, and where it was read."""

    digest: bytes
    place: Place
    appended_at: datetime | None = None  # when the broker took it


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownRequest:
    """A request that was saved before: where it stands, and what its sinks have answered.

    ``generations`` is by sink: its outcome each time it was asked, the oldest first; None for no receipt yet.
    """

    digest: bytes
    place: Place
    subject_id: str
    state: RequestState
    generations: Generations
    appended_at: datetime | None = None  # when the broker took it

    @property
    def outcomes(self) -> Outcomes:
        """What each sink has come to; None while it owes an answer."""
        return {sink: outcome_of(outcomes) for sink, outcomes in self.generations.items()}

    @property
    def owed(self) -> frozenset[str]:
        """The sinks whose first task has no receipt: nobody knows whether it was sent."""
        return frozenset(sink for sink, outcomes in self.generations.items() if outcomes[0] is None)


# source_id, sink, generation, task_id: the ids as numbers, of which Python takes the hash in no time.
TaskKey = tuple[int, str, int, int]
VerificationKey = tuple[UUID, str]  # request_id, and the subject that somebody vouches for


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownVerification:
    """The standing verification of a request for one subject."""

    event_id: UUID
    subject_id: str
    verified: Verified
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """By when a request is to be answered, and by which law; of a clock that has not begun, nothing."""

    at: datetime | None = None
    by: str | None = None
    provisional: bool = False
    verified_at: datetime | None = None  # when it was proved who asks, if it was: it was worked out by that


NOT_DUE = Due()


@dataclass(frozen=True, slots=True, kw_only=True)
class DueRow:
    """A request whose last day is worked out anew."""

    request_id: UUID
    due: Due


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRow:
    """A request as it is saved the first time."""

    request_id: UUID
    right: str
    subject_id: str
    requested_at: datetime
    state: str
    tasks: int
    finished: bool
    digest: bytes
    place: Place
    event: bytes
    awaiting: bool
    asked_by: str = ""
    appended_at: datetime | None = None  # when the broker took it
    late: bool = False  # so long after what it states that it is shown
    due: Due = NOT_DUE
    jurisdiction: str | None = None  # of those that are declared; None: what holds for all


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldRow:
    """A request that no sink is asked for yet."""

    request_id: UUID
    held_for: HeldFor
    start_at: datetime | None  # when it starts by itself; None until people decide


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentRow:
    """A consent change as it is saved the first time."""

    event_id: UUID
    purpose: str
    decision: str
    subject_id: str
    occurred_at: datetime
    digest: bytes
    place: Place
    event: bytes
    appended_at: datetime | None = None  # when the broker took it
    late: bool = False  # so long after what it states that it is shown


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationRow:
    """A verification as it is saved the first time."""

    event_id: UUID
    request_id: UUID
    subject_id: str
    verified: Verified
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestHead:
    """A request as its row has it: what a status says of it besides its receipts, and where it stands."""

    request_id: UUID
    right: Right
    subject_id: str
    requested_at: datetime
    state: RequestState
    tasks: int
    answered: int


ConsentKey = tuple[str, str]  # handle, purpose


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """Requests and consents whose states are published."""

    request_ids: Sequence[UUID] = ()
    consents: Sequence[ConsentKey] = ()

    def __bool__(self) -> bool:
        return bool(self.request_ids or self.consents)


NOTHING = About()


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The states of requests and consents at one moment: what the compacted topics must hold in the end."""

    statuses: Sequence[RequestStatus] = ()
    states: Sequence[ConsentState] = ()

    def __bool__(self) -> bool:
        return bool(self.statuses or self.states)

    @property
    def about(self) -> About:
        """What it speaks of, each once."""
        return About(
            request_ids=tuple(dict.fromkeys(status.request_id for status in self.statuses)),
            consents=tuple(dict.fromkeys((state.handle, state.purpose) for state in self.states)),
        )

    def updated_by(self, later: "Snapshot") -> "Snapshot":
        """Both, in the order in which they were published."""
        return Snapshot(statuses=[*self.statuses, *later.statuses], states=[*self.states, *later.states])

    def changed_since(self, published: "Snapshot") -> "Snapshot":
        """What of it differs from what was published last, or was not published at all."""
        statuses = {status.request_id: status for status in published.statuses}
        states = {(state.handle, state.purpose): state for state in published.states}
        return Snapshot(
            statuses=[one for one in self.statuses if statuses.get(one.request_id) != one],
            states=[one for one in self.states if states.get((one.handle, one.purpose)) != one],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class OwedTask:
    """A task that is due for another try, or for the first one where an operation asked for it."""

    source_id: UUID
    sink: str
    generation: int
    task_id: UUID
    action: Action
    attempts: int
    operation_id: UUID | None  # the restore or backfill that asked for it
    subject_id: str
    event: bytes | None  # as it was read; None where the ledger has deleted it
    release: Release | None = None  # two people let it pass the limits of its sink


@dataclass(frozen=True, slots=True, kw_only=True)
class Try:
    """How often a task has been sent, and when it is due again."""

    attempts: int
    due_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StateRow:
    """The state that an event gives a request."""

    request_id: UUID
    before: RequestState  # where it stood: the row is left alone if it stands elsewhere by now
    state: RequestState
    tasks: int
    answered: int

    @property
    def final(self) -> bool:
        """Whether it is finished."""
        return self.state in FINAL_STATES


def readable(rows: Iterable[R], read: Callable[[R], T]) -> Iterator[T]:
    """What rows say, without those that hold what this version does not know, such as a state of a newer one.

    Each row begins with its id. One concerns one request or operation, which is left as it is. Raised, it
    would end every process that comes to it, each time.
    """
    for row in rows:
        try:
            value = read(row)
        except ValueError:
            logger.error("the row of %s holds what this version does not know; it is left as it is", row[0])
        else:
            yield value


def unreadable_row(table: str) -> Refused:
    """Why a record is refused that is about such a row."""
    return Refused(Cause.UNSUPPORTED_VERSION, field=table, reason="its row is one of a newer version")


def action_of(text: str) -> Action:
    """The action of a task: UNKNOWN for one that this version does not know."""
    try:
        return Action(text)
    except ValueError:
        return Action.UNKNOWN


@lru_cache(maxsize=4096)
def generations_in(text: str) -> Generations:
    """What the sinks of a request have answered, as queries give it.

    Most requests of a batch are answered alike, so each text is read once. Its readers change nothing.
    """
    return {
        sink: tuple(None if outcome is None else Outcome(outcome) for outcome in outcomes)
        for sink, outcomes in json.loads(text).items()
    }


@lru_cache(maxsize=4096)
def outcomes_in(text: str) -> Outcomes:
    """What the sinks of a request have come to, as :func:`generations_in`."""
    return {sink: outcome_of(outcomes) for sink, outcomes in generations_in(text).items()}


def head_of(row: Sequence[Any]) -> RequestHead:
    """A request as queries give its row."""
    request_id, right, subject_id, requested_at, state, tasks, answered = row
    return RequestHead(
        request_id=request_id,
        right=Right(right),
        subject_id=subject_id,
        requested_at=requested_at,
        state=RequestState(state),
        tasks=tasks,
        answered=answered,
    )
