"""A backup of a sink was put back: what was done since is asked of it again, in one transaction."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from olvido.core.acts import Act
from olvido.core.lifecycle import Event, RequestState, step
from olvido.core.rights.known import ACTIONS
from olvido.core.rights.names import Action
from olvido.core.sinks import OperationKind
from olvido.ledger.acts import record
from olvido.ledger.connection import Database, Transaction
from olvido.ledger.sink_operations import AlreadyOpen, begin, find_open, note_position

_REOPENED = step(RequestState.FULFILLED, Event.OWED).value  # as from every state that sinks were asked in
LASTING = [action.value for action, asked in ACTIONS.items() if asked.lasting]


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedAgain:
    """What is asked of a sink again."""

    answered: Mapping[Action, int]  # its receipts say that they were done, and the backup does not have them
    unanswered: int  # sent and not answered: they may have been done before the backup was put back

    @property
    def tasks(self) -> int:
        """All of it."""
        return sum(self.answered.values()) + self.unanswered


class Restores:
    """Declares restores."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def first_request_at(self) -> datetime | None:
        """Since when the ledger knows of anything; None if it is empty."""
        with self._database.transaction() as transaction:
            first: datetime | None = transaction.rows("first_request_at")[0][0]
        return first

    def preview(self, sink: str, *, backup_taken_at: datetime, since: datetime, now: datetime) -> AskedAgain:
        """What :meth:`declare` would ask for now. Nothing is written.

        Raises:
            AlreadyOpen: a restore of this sink from this backup is not at its end.
        """
        with self._database.transaction() as transaction:
            transaction.rows("patiently")
            open_ = find_open(transaction, OperationKind.RESTORE, sink, _plan(backup_taken_at, since))
            if open_ is not None:
                raise AlreadyOpen(open_.name)
            return _issue(transaction, sink, since=since, now=now, operation_id=None)

    def declare(
        self,
        act: Act,
        *,
        operation_id: UUID,
        name: str,
        sink: str,
        backup_taken_at: datetime,
        since: datetime,
    ) -> AskedAgain:
        """Ask a sink again for all lasting work it did since an instant, each with the next generation.

        One transaction: the act, the operation, its tasks, and their requests in progress again. A
        crash before its end leaves nothing; after it everything is owed, and the reconciler sends it.

        Raises:
            AlreadyOpen: a restore of this sink from this backup is not at its end.
            Unavailable: the ledger does not answer. Whether it was declared, a repeat shows.
        """
        with self._database.transaction() as transaction:
            transaction.rows("patiently")
            transaction.rows("one_restore_at_a_time", sink=sink)
            open_, new = begin(
                transaction,
                OperationKind.RESTORE,
                operation_id=operation_id,
                name=name,
                sink=sink,
                plan=_plan(backup_taken_at, since),
                position={},
                now=act.at,
            )
            if not new:
                raise AlreadyOpen(open_.name)
            record(transaction, act)
            again = _issue(transaction, sink, since=since, now=act.at, operation_id=operation_id)
            note_position(transaction, operation_id, {"tasks": again.tasks, "planned": True})
        return again


def _plan(backup_taken_at: datetime, since: datetime) -> dict[str, object]:
    return {"backup_taken_at": backup_taken_at.isoformat(), "since": since.isoformat()}


def _issue(
    transaction: Transaction, sink: str, *, since: datetime, now: datetime, operation_id: UUID | None
) -> AskedAgain:
    rows = transaction.rows(
        "issue_again", sink=sink, actions=LASTING, since=since, now=now, operation_id=operation_id,
        dry_run=operation_id is None, reopened=_REOPENED,
    )  # fmt: skip
    return AskedAgain(
        answered={Action(action): answered for action, answered, _ in rows if answered},
        unanswered=sum(unanswered for _, _, unanswered in rows),
    )
