"""Restores and backfills as operators look at them: what is open, how far it is, what is left over.

Their state has one writer. The reconciler ends an operation whose last receipt is in; an
operator closes one whose rest a person takes over. Every view reads what they wrote.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from olvido.core.acts import Act
from olvido.core.errors import OlvidoError
from olvido.core.sinks import OperationKind, Standing, standing_of
from olvido.ledger.acts import record
from olvido.ledger.connection import Database, Row, Transaction
from olvido.ledger.retention import keep_events
from olvido.ledger.rows import readable

FORGOTTEN = "forgotten:%"  # how the detail of a receipt begins whose box nobody can open any more


class AlreadyOpen(OlvidoError):
    """The same is asked of the sink already, and is not at its end: nothing was done.

    Args:
        name: the operation that is open.
    """

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is open already; nothing was done")
        self.name = name


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenOperation:
    """A restore or a backfill that is not at its end."""

    operation_id: UUID
    name: str
    kind: OperationKind
    sink: str
    since: datetime


class SinkOperations:
    """The restores and backfills there are."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def open(self) -> list[OpenOperation]:
        """Those that are not at their end, the oldest first."""
        with self._database.transaction() as transaction:
            rows = transaction.rows("open_operations")
        return [*readable(rows, _open)]

    def standings(self) -> dict[str, tuple[Standing, OpenOperation]]:
        """The sinks that are not live, each with the oldest operation for which it is not."""
        by_sink: dict[str, list[OpenOperation]] = {}
        for operation in self.open():
            by_sink.setdefault(operation.sink, []).append(operation)
        found = {}
        for sink, operations in by_sink.items():
            standing = standing_of(operation.kind for operation in operations)
            found[sink] = (standing, next(one for one in operations if standing_of([one.kind]) is standing))
        return found

    def newest(
        self, kind: OperationKind, *, name: str | None = None, sink: str | None = None, limit: int = 50
    ) -> list[Mapping[str, Any]]:
        """Operations of a kind, newest first, with what their tasks have come to."""
        with self._database.transaction() as transaction:
            return transaction.records(
                "sink_operations", kind=kind.value, name=name, sink=sink, forgotten=FORGOTTEN, limit=limit
            )

    def open_tasks(self, operation_id: UUID, *, stuck: bool, limit: int) -> list[Mapping[str, Any]]:
        """The tasks of an operation that have not ended well; with ``stuck`` those left to a person."""
        with self._database.transaction() as transaction:
            return transaction.records("open_tasks_of", operation_id=operation_id, stuck=stuck, limit=limit)

    def finish(self, *, now: datetime) -> list[str]:
        """End those whose last receipt is in; returns their names. A repeat ends none twice."""
        with self._database.transaction() as transaction:
            return [name for (name,) in transaction.rows("finish_operations", now=now)]

    def know(self, sinks: Sequence[str], *, now: datetime) -> None:
        """Have backfills know that processors plan for these sinks themselves. A repeat changes nothing."""
        with self._database.transaction() as transaction:
            transaction.run("know_backfills", sinks=list(sinks), now=now)

    def close(self, act: Act, kind: OperationKind, name: str) -> bool:
        """End one whose rest a person takes over, with the record of it; False if it is not open.

        What was not sent yet stays owed and becomes work of the day.
        """
        with self._database.transaction() as transaction:
            closed = transaction.rows("close_operation", name=name, kind=kind.value, now=act.at)
            if closed:
                record(transaction, act)
                transaction.run("hand_over_unsent", operation_id=closed[0][0], now=act.at)
        return bool(closed)


def begin(
    transaction: Transaction,
    kind: OperationKind,
    *,
    operation_id: UUID,
    name: str,
    sink: str,
    plan: Mapping[str, object],
    position: Mapping[str, object],
    now: datetime,
) -> tuple[OpenOperation, bool]:
    """Note an operation as begun unless the same is open; returns the open one, and whether it is new."""
    keep_events(transaction)
    begun = transaction.run(
        "open_operation",
        operation_id=operation_id,
        name=name,
        kind=kind.value,
        sink=sink,
        plan=json.dumps(plan),
        position=json.dumps(position),
        now=now,
    )
    operation = find_open(transaction, kind, sink, plan)
    assert operation is not None, "it was there, or is now"
    return operation, bool(begun)


def find_open(
    transaction: Transaction, kind: OperationKind, sink: str, plan: Mapping[str, object]
) -> OpenOperation | None:
    """The open restore of a sink from one backup, or its open backfill."""
    taken_at = str(plan.get("backup_taken_at", ""))
    rows = transaction.rows("find_open", kind=kind.value, sink=sink, backup_taken_at=taken_at)
    return _open(rows[0]) if rows else None


def note_position(transaction: Transaction, operation_id: UUID, position: Mapping[str, object]) -> None:
    """Write how far an operation is, in the transaction of the work it counts."""
    transaction.run("set_position", operation_id=operation_id, position=json.dumps(position))


def _open(row: Row) -> OpenOperation:
    operation_id, name, kind, sink, since = row
    return OpenOperation(
        operation_id=operation_id, name=name, kind=OperationKind(kind), sink=sink, since=since
    )
