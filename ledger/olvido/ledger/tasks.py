"""Tasks: what is owed, when it is due again, and what was never sent."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from olvido.core.tasks import Release, Task
from olvido.ledger.connection import Database, Transaction, columns
from olvido.ledger.rows import OwedTask, Try, action_of


class Tasks:
    """The tasks that are owed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @contextmanager
    def owed(self, *, now: datetime, limit: int) -> Iterator["Postponing"]:
        """Tasks that are due for another try, held until the block ends; others' are passed over."""
        with self._database.transaction() as transaction:
            yield Postponing(transaction, transaction.records("owed", now=now, limit=limit))

    @contextmanager
    def unsent(self, operation_id: UUID, *, limit: int) -> Iterator["Postponing"]:
        """Tasks of an operation that were never sent, held until the block ends; others' are passed over."""
        with self._database.transaction() as transaction:
            yield Postponing(
                transaction, transaction.records("unsent", operation_id=operation_id, limit=limit)
            )


class Postponing:
    """Tasks in hand that are being sent."""

    def __init__(self, transaction: Transaction, rows: Iterable[Mapping[str, Any]]) -> None:
        self._transaction = transaction
        self.owed = [_owed(row) for row in rows]

    def until(self, tries: Sequence[Try], *, now: datetime) -> None:
        """Note for each task in hand how often it has been sent, and when it is due again."""
        self._transaction.run(
            "postpone",
            **columns(self.owed, "source_id", "sink", "generation"),
            **columns(tries, "due_at", attempt="attempts"),
            now=now,
        )


def _owed(row: Mapping[str, Any]) -> OwedTask:
    fields = dict(row)
    principal, key_id, signature = (fields.pop(name, None) for name in ("principal", "key_id", "signature"))
    fields["action"] = action_of(fields["action"])
    fields["event"] = None if fields["event"] is None else bytes(fields["event"])
    if signature is not None:
        fields["release"] = Release(principal=principal, key_id=key_id, signature=bytes(signature))
    return OwedTask(**fields)


def insert(transaction: Transaction, tasks: Sequence[Task], now: datetime, due_after: timedelta) -> None:
    """Note tasks as owed. A repeat changes nothing."""
    if tasks:
        transaction.run(
            "insert_tasks",
            **columns(tasks, "source_id", "sink", "generation", "task_id", "action"),
            now=now,
            due_at=now + due_after,
        )
