"""Consent changes: the latest word for each (handle, purpose), and a task for every sink that acts on it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from olvido.broker.reading import Read, dead_letter_of
from olvido.core.catalogue import Catalogue
from olvido.core.causes import Cause
from olvido.core.consents import ConsentState, later, states_of
from olvido.core.dead_letters import DeadLetter
from olvido.core.digests import content_digest, same_content
from olvido.core.errors import Refused
from olvido.core.events import ConsentChange
from olvido.core.plan import check_consent, plan_tasks
from olvido.core.tasks import Task
from olvido.ledger.rows import ConsentRow, Place
from olvido.ledger.rows import Known as KnownChange
from olvido.schemas.topics import PROCESSORS_GROUP


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the ledger knows of a batch's event ids, handles and purposes."""

    changes: Mapping[UUID, KnownChange]
    states: Mapping[tuple[str, str], ConsentState]


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """What a batch of consent changes asks for."""

    rows: tuple[ConsentRow, ...]
    states: tuple[ConsentState, ...]
    tasks: tuple[Task, ...]
    dead_letters: tuple[DeadLetter, ...]
    duplicates: int

    @property
    def new_tasks(self) -> tuple[Task, ...]:
        """The tasks of changes that are new, and not of those that were delivered again."""
        new = {row.event_id for row in self.rows}
        return tuple(task for task in self.tasks if task.event_id in new)


def step(batch: Sequence[Read[ConsentChange]], known: Known, catalogue: Catalogue, now: datetime) -> Output:
    """Decide on a batch of consent changes.

    A change that comes late moves no state, but its sinks are told all the same: which word is
    the later one is decided where it is applied. The redelivery law holds as for requests.
    """
    rows: dict[UUID, ConsentRow] = {}
    states: dict[tuple[str, str], ConsentState] = {}
    tasks: list[Task] = []
    letters: list[DeadLetter] = []
    duplicates = 0
    for read in batch:
        change = read.value
        place = Place(read.received.partition, read.received.offset)
        try:
            first = known.changes.get(change.event_id)
            if first is None or first.place != place:
                # What was saved from here was found good, by whatever clock: ours may be behind that one.
                check_consent(change, catalogue, now)
            before = first or rows.get(change.event_id)
            if before is not None and not same_content(change, before.digest):
                raise Refused(Cause.ID_REUSE, field="event_id")
        except Refused as refused:
            letters.append(dead_letter_of(read.received, refused, group=PROCESSORS_GROUP, now=now))
            continue
        if before is not None and (first is None or first.place != place):
            duplicates += 1
            continue
        if first is None:
            rows[change.event_id] = _row(read, place)
        for state in states_of(change):
            key = (state.handle, state.purpose)
            standing = states.get(key) or known.states.get(key)
            states[key] = state if standing is None else later(standing, state)
        tasks.extend(plan_tasks(change, catalogue))
    return Output(
        rows=tuple(rows.values()),
        states=tuple(states.values()),
        tasks=tuple(tasks),
        dead_letters=tuple(letters),
        duplicates=duplicates,
    )


def keys_of(batch: Sequence[Read[ConsentChange]]) -> list[tuple[str, str]]:
    """The (handle, purpose) a batch speaks of, each once."""
    return sorted({(handle.value, read.value.purpose) for read in batch for handle in read.value.handles})


def _row(read: Read[ConsentChange], place: Place) -> ConsentRow:
    change = read.value
    assert read.received.value is not None, "a value was decoded from it"
    return ConsentRow(
        event_id=change.event_id,
        purpose=change.purpose,
        decision=change.decision.value,
        subject_id=change.subject_id,
        occurred_at=change.occurred_at,
        digest=content_digest(change),
        place=place,
        event=read.received.value,
    )
