"""Consent changes: the latest decision for each (handle, purpose), and a task for every sink concerned."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from olvido.broker.reading import Read
from olvido.core.catalogue import Catalogue
from olvido.core.consents import ConsentState, states_of
from olvido.core.events import ConsentChange
from olvido.core.instants import InstantLimits, is_late
from olvido.core.plan import check_consent, plan_tasks
from olvido.core.standing import later
from olvido.core.tasks import Task
from olvido.ledger.rows import ConsentKey, ConsentRow, KnownChange
from olvido.processors.sources import New, Planned, recognise, sent
from olvido.schemas.privacy.seals import ControlSeals


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownConsents:
    """What the ledger knows of a batch's event ids, handles and purposes."""

    changes: Mapping[UUID, KnownChange]
    states: Mapping[ConsentKey, ConsentState]
    others: Set[UUID] = frozenset()  # which of the ids a request has


def step(
    batch: Sequence[Read[ConsentChange]],
    known: KnownConsents,
    catalogue: Catalogue,
    seals: ControlSeals,
    now: datetime,
) -> Planned[ConsentRow]:
    """Decide on a batch of consent changes.

    A change that comes late moves no state, and its sinks get their tasks all the same: which decision is
    the later one is decided where it is applied. The redelivery law holds as for requests.
    """

    def check(read: Read[ConsentChange], taken_at: datetime) -> None:
        check_consent(read.value, catalogue, taken_at)
        seals.check_source(read.value, sent(read), now)

    recognised = recognise(batch, known.changes, known.others, check=check, now=now)
    rows: list[ConsentRow] = []
    states: dict[ConsentKey, ConsentState] = {}
    new_tasks: list[Task] = []
    tasks: list[Task] = []
    for event in recognised.events:
        planned = plan_tasks(event.value, catalogue)
        tasks.extend(planned)
        if isinstance(event, New):
            rows.append(_row(event, catalogue.instants))
            new_tasks.extend(planned)
        for state in states_of(event.value):
            key = (state.handle, state.purpose)
            before = states.get(key) or known.states.get(key)
            states[key] = state if before is None else later(before, state)
    return Planned(
        rows=tuple(rows),
        new_tasks=tuple(new_tasks),
        tasks=tuple(tasks),
        states=tuple(states.values()),
        dead_letters=recognised.dead_letters,
        duplicates=recognised.duplicates,
    )


def keys_of(batch: Sequence[Read[ConsentChange]]) -> list[tuple[str, str]]:
    """The (handle, purpose) a batch speaks of, each once."""
    return sorted({(handle.value, read.value.purpose) for read in batch for handle in read.value.handles})


def _row(event: New[ConsentChange], limits: InstantLimits) -> ConsentRow:
    change = event.value
    return ConsentRow(
        event_id=change.event_id,
        purpose=change.purpose,
        decision=change.decision.value,
        subject_id=change.subject_id,
        occurred_at=change.occurred_at,
        digest=event.digest,
        place=event.place,
        event=event.event,
        appended_at=change.appended_at,
        late=is_late(change.occurred_at, event.taken_at, limits.late_after),
    )
