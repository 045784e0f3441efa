"""Restores and backfills: how far each is, what is left to a person, closing it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from olvido.core.acts import Act
from olvido.core.sinks import OperationKind
from olvido.ledger.figures import Figures
from olvido.ledger.sink_operations import SinkOperations
from olvido.operators.desk.faults import NotThere
from olvido.operators.desk.ledger import database
from olvido.schemas.settings.deployment import Deployment


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A restore or backfill, and what its tasks have come to."""

    operation_id: UUID
    name: str
    sink: str
    state: str
    tasks: int
    answered: int
    left: int  # not sent yet, or sent and not answered
    parked: int
    failed: int
    forgotten: int
    plan: Mapping[str, datetime]  # such as when the backup was taken
    began_at: datetime
    finished_at: datetime | None

    @property
    def stuck(self) -> int:
        """How many tasks are left to a person."""
        return self.parked + self.failed + self.forgotten

    @property
    def left_over(self) -> dict[str, int]:
        """What is not done, by why."""
        return {
            "left": self.left,
            "parked": self.parked,
            "failed": self.failed,
            "forgotten": self.forgotten,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class StuckTask:
    """A task that has not ended well."""

    task_id: UUID
    source_id: UUID
    action: str
    generation: int
    state: str
    detail: str | None


def newest(
    declared: Deployment, kind: OperationKind, *, sink: str | None = None, limit: int = 50
) -> list[Operation]:
    """The operations of a kind, newest first."""
    return [
        _operation(row) for row in SinkOperations(database(declared)).newest(kind, sink=sink, limit=limit)
    ]


def names(declared: Deployment, *, limit: int) -> list[str]:
    """The names of restores, backfills and replays, newest first."""
    return Figures(database(declared)).operation_names(limit=limit)


def find(declared: Deployment, kind: OperationKind, name: str) -> Operation:
    """An operation by its name.

    Raises:
        NotThere: there is none of that name.
    """
    operations = SinkOperations(database(declared))
    row = next(iter(operations.newest(kind, name=name)), None)
    if row is None:
        raise NotThere(kind.value, repr(name), [one["name"] for one in operations.newest(kind)])
    return _operation(row)


def stuck_tasks(declared: Deployment, operation: Operation, *, limit: int) -> list[StuckTask]:
    """The tasks of an operation that are left to a person."""
    rows = SinkOperations(database(declared)).open_tasks(operation.operation_id, stuck=True, limit=limit)
    return [StuckTask(**row) for row in rows]


def close(declared: Deployment, kind: OperationKind, operation: Operation, act: Act) -> bool:
    """End an operation whose rest a person takes over; False if it is at its end already.

    What was not answered stays owed and is sent as ever.
    """
    return SinkOperations(database(declared)).close(act, kind, operation.name)


def _operation(row: Mapping[str, Any]) -> Operation:
    return Operation(
        operation_id=row["operation_id"],
        name=row["name"],
        sink=row["sink"],
        state=row["state"],
        tasks=row["tasks"],
        answered=row["answered"],
        left=row["unsent"] + row["waiting"],
        parked=row["parked"],
        failed=row["failed"],
        forgotten=row["forgotten"],
        plan={name: datetime.fromisoformat(instant) for name, instant in row["plan"].items()},
        began_at=row["created_at"],
        finished_at=row["finished_at"],
    )
