"""A sink joins late: what was asked before it came is looked through, batch by batch.

The position stands in the ledger and is written with the tasks it counts. So a backfill that was
killed goes on where it was, and two that run at once take turns and share the work.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import pairwise
from uuid import UUID

from olvido.core.acts import Act
from olvido.core.errors import OlvidoError
from olvido.core.lifecycle import Event, step
from olvido.core.rights.known import RIGHTS
from olvido.core.rights.names import Action
from olvido.core.sinks import OperationKind
from olvido.ledger import states
from olvido.ledger.acts import record
from olvido.ledger.connection import Database, Transaction, columns
from olvido.ledger.rows import RequestHead, StateRow, action_of
from olvido.ledger.sink_operations import OpenOperation, begin, note_position

# What came in as long before the backfill began is looked at twice: a batch may have been in hand.
OVERLAP = timedelta(minutes=10)
_RIGHTS = [right.value for right, asked in RIGHTS.items() if asked.backfilled]
_FIRST = str(UUID(int=0))


class BackfillClosed(OlvidoError):
    """The backfill came to its end while it was carried on: somebody else did it, or closed it."""


class BackfillPhase(StrEnum):
    """What is looked through, in this order."""

    REQUESTS = "requests"
    CONSENTS = "consents"  # those that stand only
    LATE_REQUESTS = "late_requests"  # what came in meanwhile
    LATE_CONSENTS = "late_consents"
    END = "end"


_NEXT = dict(pairwise(BackfillPhase))


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillPosition:
    """How far a backfill is."""

    phase: BackfillPhase = BackfillPhase.REQUESTS
    after: tuple[str, ...] = (_FIRST,)  # the key of the last row that was looked at
    size: int = 0  # how much there was to look through when it began
    looked: int = 0  # how much of that is behind it
    tasks: int = 0
    known_at: str | None = None  # since when processors say that they know the sink
    late: int = 0  # tasks that processors should have planned themselves since then, in this pass
    planned: bool = False  # everything was looked through, and processors plan the rest


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillSource:
    """A request or consent change that the sink may have to hear of."""

    source_id: UUID
    action: Action
    received_at: datetime
    event: bytes | None  # None where the ledger has deleted it


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTask:
    """A task of one of the sources in hand."""

    source_id: UUID
    task_id: UUID
    action: Action


class Backfills:
    """Begins backfills and carries them on."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def join(
        self, act: Act, *, operation_id: UUID, name: str, sink: str, purposes: Sequence[str]
    ) -> OpenOperation:
        """Begin a backfill, or carry on with the one that is open; either way with the record of the act."""
        with self._database.transaction() as transaction:
            size = transaction.rows("backfill_size", rights=_RIGHTS, purposes=list(purposes))[0][0]
            operation, _ = begin(
                transaction, OperationKind.BACKFILL, operation_id=operation_id, name=name, sink=sink,
                plan={}, position=asdict(BackfillPosition(size=size)), now=act.at,
            )  # fmt: skip
            record(transaction, replace(act, details={**act.details, "operation": operation.name}))
        return operation

    def position(self, operation: OpenOperation) -> BackfillPosition:
        """How far one is.

        Raises:
            BackfillClosed: it is at its end.
        """
        with self._database.transaction() as transaction:
            return _hold(transaction, operation)

    @contextmanager
    def batch(
        self, operation: OpenOperation, *, purposes: Sequence[str], now: datetime, limit: int
    ) -> Iterator["BackfillBatch"]:
        """The next sources, in one transaction: a crash before the end of the block leaves all as it was.

        Raises:
            BackfillClosed: it is at its end.
        """
        with self._database.transaction() as transaction:
            position = _hold(transaction, operation)
            if position.phase is BackfillPhase.END:
                position = replace(position, phase=BackfillPhase.LATE_REQUESTS, after=(_FIRST,), late=0)
            yield BackfillBatch(
                transaction, operation, position, purposes=list(purposes), now=now, limit=limit
            )


class BackfillBatch:
    """Some sources in hand."""

    def __init__(
        self, transaction: Transaction, operation: OpenOperation, position: BackfillPosition, *,
        purposes: list[str], now: datetime, limit: int,
    ) -> None:  # fmt: skip
        self._transaction = transaction
        self._operation = operation
        self._position = position
        self._now = now
        self._limit = limit
        self._last = position.after
        self.sources = self._load(position, purposes)

    def save(self, tasks: Sequence[NewTask]) -> BackfillPosition:
        """Have the tasks owed that are not there yet; returns how far it is with them."""
        new: list[UUID] = []
        if tasks:
            # Held before anything is written, in the order of recorders: they and we take turns.
            ids = {task.source_id for task in tasks if task.action is not Action.CONSENT}
            heads, _ = states.lock(self._transaction, ids)
            new = [
                source_id
                for (source_id,) in self._transaction.rows(
                    "issue_first",
                    sink=self._operation.sink,
                    now=self._now,
                    operation_id=self._operation.operation_id,
                    **columns(tasks, "source_id", "task_id", "action"),
                )
            ]
            widened = [heads[source_id] for source_id in new if source_id in heads]
            states.write(self._transaction, [_widened(head) for head in widened], now=self._now)
        position = self._moved(new)
        note_position(self._transaction, self._operation.operation_id, asdict(position))
        return position

    def _load(self, position: BackfillPosition, purposes: list[str]) -> list[BackfillSource]:
        since = self._operation.since - OVERLAP
        run = self._transaction.rows
        match position.phase:
            case BackfillPhase.REQUESTS | BackfillPhase.LATE_REQUESTS:
                rows = run(
                    "requests_after", after=UUID(position.after[0]), rights=_RIGHTS, limit=self._limit,
                    since=since if position.phase is BackfillPhase.LATE_REQUESTS else None,
                )  # fmt: skip
                found = [(row[:1], row[0], action_of(row[1]), *row[2:]) for row in rows]
            case BackfillPhase.CONSENTS:
                handle, purpose = position.after if len(position.after) == 2 else ("", "")
                rows = run(
                    "standing_consents_after", handle=handle, purpose=purpose, purposes=purposes,
                    limit=self._limit,
                )  # fmt: skip
                found = [(row[:2], row[2], Action.CONSENT, *row[3:]) for row in rows]
            case BackfillPhase.LATE_CONSENTS | BackfillPhase.END:
                rows = run(
                    "consent_changes_after", after=UUID(position.after[0]), purposes=purposes, since=since,
                    limit=self._limit,
                )  # fmt: skip
                found = [(row[:1], row[0], Action.CONSENT, *row[1:]) for row in rows]
        if len(found) == self._limit:
            self._last = tuple(str(part) for part in found[-1][0])
        else:
            self._last = ()
        return [
            BackfillSource(
                source_id=source_id,
                action=action,
                received_at=received_at,
                event=None if event is None else bytes(event),
            )
            for _, source_id, action, received_at, event in found
        ]

    def _moved(self, new: Sequence[UUID]) -> BackfillPosition:
        before = self._position
        received = {source.source_id: source.received_at for source in self.sources}
        known_at = datetime.fromisoformat(before.known_at) if before.known_at else None
        late = before.late + sum(known_at is not None and received[source_id] > known_at for source_id in new)
        phase = before.phase if self._last else _NEXT[before.phase]
        looked = len(self.sources) if before.phase in {BackfillPhase.REQUESTS, BackfillPhase.CONSENTS} else 0
        return replace(
            before,
            phase=phase,
            after=self._last or (_FIRST,),
            looked=before.looked + looked,
            tasks=before.tasks + len(new),
            late=late,
            planned=phase is BackfillPhase.END and known_at is not None and not late,
        )


def _widened(head: RequestHead) -> StateRow:
    return StateRow(
        request_id=head.request_id,
        before=head.state,
        state=step(head.state, Event.OWED),
        tasks=head.tasks + 1,
        answered=head.answered,
    )


def _hold(transaction: Transaction, operation: OpenOperation) -> BackfillPosition:
    rows = transaction.rows("hold_backfill", operation_id=operation.operation_id)
    if not rows:
        raise BackfillClosed(f"{operation.name} came to its end meanwhile")
    [(held,)] = rows
    return BackfillPosition(**{**held, "phase": BackfillPhase(held["phase"]), "after": tuple(held["after"])})
