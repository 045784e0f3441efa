"""The events of a batch, recognised: new ones, ones that come again, duplicates, and ones that are refused.

It is the same for requests and for consent changes. What either asks for, their own steps decide.
"""

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Generic, Protocol, TypeVar
from uuid import UUID

from olvido.broker.contract import Received
from olvido.broker.reading import Read, dead_letter_of, first_appended_at
from olvido.core.causes import Cause
from olvido.core.consents import ConsentState
from olvido.core.dead_letters import DeadLetter
from olvido.core.digests import content_digest, same_content
from olvido.core.errors import Refused
from olvido.core.events import ConsentChange, PrivacyRequest
from olvido.core.source import id_of
from olvido.core.status import RequestStatus
from olvido.core.tasks import Task
from olvido.ledger.rows import HeldRow, Place
from olvido.schemas.topics import PROCESSORS_GROUP


class First(Protocol):
    """What the ledger knows of an id: what it meant the first time, and where it was read."""

    @property
    def digest(self) -> bytes:
        """The digest of its content."""
        ...

    @property
    def place(self) -> Place:
        """Where it was read."""
        ...

    @property
    def appended_at(self) -> datetime | None:
        """When the broker took it; None of what was saved before this was kept."""
        ...


V = TypeVar("V", bound=PrivacyRequest | ConsentChange)
F = TypeVar("F", bound=First)
R = TypeVar("R")


@dataclass(frozen=True, slots=True, kw_only=True)
class New(Generic[V]):
    """An event with an id that nobody has seen."""

    value: V
    place: Place
    digest: bytes
    event: bytes  # as it was read
    taken_at: datetime  # when the broker took this record; ``value`` has when it took it first


@dataclass(frozen=True, slots=True, kw_only=True)
class Again(Generic[V, F]):
    """A record that comes again from its own place: nobody knows whether what it asked for was sent."""

    value: V
    first: F


@dataclass(frozen=True, slots=True, kw_only=True)
class Recognised(Generic[V, F]):
    """The events of a batch, in their order, without duplicates and what was refused."""

    events: tuple[New[V] | Again[V, F], ...]
    dead_letters: tuple[DeadLetter, ...]
    duplicates: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned(Generic[R]):
    """What a batch of events asks for."""

    rows: tuple[R, ...]  # of the new events
    new_tasks: tuple[Task, ...] = ()  # of the new events
    tasks: tuple[Task, ...]  # of those that come again as well
    statuses: tuple[RequestStatus, ...] = ()
    states: tuple[ConsentState, ...] = ()
    held: tuple[HeldRow, ...] = ()  # of the new events: no sink is asked yet
    dead_letters: tuple[DeadLetter, ...]
    duplicates: int


def recognise(
    batch: Sequence[Read[V]],
    known: Mapping[UUID, F | Refused],
    others: Set[UUID],
    *,
    check: Callable[[Read[V], datetime], None],
    now: datetime,
) -> Recognised[V, F]:
    """Recognise the events of a batch.

    The same event from another place is a duplicate: it changes nothing and asks for nothing. The same id
    with another content is a dead letter, and the first stands; so is an id that the other kind has.

    Args:
        batch: the events, as they were read.
        known: what the ledger knows of their ids, or why that cannot be read.
        others: which of their ids an event of the other kind has.
        check: raises ``Refused`` for an event that does not fit the deployment, or that its principal may
            not ask for. It is given when the broker took the event.
        now: when.
    """
    events: list[New[V] | Again[V, F]] = []
    digests: dict[UUID, bytes] = {}  # of the new ones
    letters: list[DeadLetter] = []
    duplicates = 0
    for read in batch:
        source_id, taken_at = id_of(read.value), taken(read.received, now)
        value = replace(read.value, appended_at=first_appended_at(read.received, taken_at))
        place = Place(read.received.partition, read.received.offset)
        first = known.get(source_id)
        try:
            if isinstance(first, Refused):
                raise first
            again = first is not None and first.place == place
            if source_id in others:
                raise Refused(Cause.ID_REUSE, field=_id_field(value))
            if not again:
                # What was saved from here was found good, by whatever clock: ours may be behind that one.
                check(read, taken_at)
            digest = digests.get(source_id) if first is None else first.digest
            if digest is None:
                digest = digests[source_id] = content_digest(value)
                events.append(
                    New(value=value, place=place, digest=digest, event=sent(read), taken_at=taken_at)
                )
            elif not same_content(value, digest):
                raise Refused(Cause.ID_REUSE, field=_id_field(value))
            elif first is not None and again:
                # As it was saved the first time: its tasks must ask for the same again.
                as_saved = replace(read.value, appended_at=first.appended_at)
                events.append(Again(value=as_saved, first=first))
            else:
                duplicates += 1
        except Refused as refused:
            letters.append(dead_letter_of(read.received, refused, group=PROCESSORS_GROUP, now=now))
    return Recognised(events=tuple(events), dead_letters=tuple(letters), duplicates=duplicates)


def taken(received: Received | None, now: datetime) -> datetime:
    """When the broker took a record. Where its topic has its writers' times, or it is not at hand: now.

    Nothing that it states can be later than either.
    """
    return (received and received.appended_at) or now


def sent(read: Read[V]) -> bytes:
    """The record of an event, as it was read."""
    assert read.received.value is not None, "a value was decoded from it"
    return read.received.value


def _id_field(value: PrivacyRequest | ConsentChange) -> str:
    return "request_id" if isinstance(value, PrivacyRequest) else "event_id"
