"""What the brake holds, for whoever looks: to decide about it is a matter of its own, see ``brake``.

Held are erasures above what may start in an hour, and tasks above what one may take from a sink's target.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from olvido.core.brake import BRAKED
from olvido.ledger.brake import Brake
from olvido.operators.desk.faults import check_declared
from olvido.operators.desk.ledger import database
from olvido.schemas.settings.deployment import Deployment


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedHeld:
    """A request that no sink is asked for yet, or a task of it that is above a limit of its sink."""

    request_id: UUID
    sink: str  # whose limit the task is above; empty: the whole request is held
    right: str
    held_for: str  # the setting that it is above; of a share the table
    reason: str
    asked_by: str
    held_at: datetime
    start_at: datetime | None
    proposal: str | None  # what one person has decided
    proposed_by: str | None
    proposed_at: datetime | None


def held(declared: Deployment, *, asked_by: str | None, sink: str | None, limit: int) -> list[ListedHeld]:
    """The requests that no sink is asked for yet, then the tasks above a limit of their sink; oldest first.

    Raises:
        InvalidInput: there is no such sink.
    """
    if sink is not None:
        check_declared(sink, declared.sinks)
    rows = Brake(database(declared)).held(asked_by=asked_by, sink=sink, limit=limit)
    return [ListedHeld(**row) for row in rows]


def waiting(declared: Deployment) -> int:
    """How many erasures wait for people: whole requests, and tasks above a limit of their sink."""
    brake = Brake(database(declared))
    return braked(brake.counts()) + sum(brake.task_counts().values())


def braked(counts: dict[str, tuple[int, datetime]]) -> int:
    """Of those that are held, how many wait for people."""
    return sum(count for held_for, (count, _) in counts.items() if held_for in BRAKED)
