"""Verifications, and the requests that wait for one."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from olvido.core.brake import Limits, Start
from olvido.core.events import Verified
from olvido.core.tasks import Task
from olvido.ledger import held as held_requests
from olvido.ledger import last_days, publications, states, tasks
from olvido.ledger.connection import Database, Overtaken, Row, Transaction, columns
from olvido.ledger.rows import (
    NOTHING,
    About,
    DueRow,
    HeldRow,
    KnownVerification,
    Place,
    StateRow,
    VerificationKey,
    VerificationRow,
)

DEFAULTS = Limits()
FIRST = UUID(int=0)  # lies before every request


class Verifications:
    """The verifications there are. The first of a request and subject stands."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def save(
        self,
        verifications: Sequence[VerificationRow],
        started: Sequence[StateRow],
        new_tasks: Sequence[Task],
        *,
        now: datetime,
        due_after: timedelta,
        publication: About = NOTHING,
        held: Sequence[HeldRow] = (),
        starts: Sequence[Start] = (),
        due: Sequence[DueRow] = (),
        limits: Limits = DEFAULTS,
    ) -> int | None:
        """Save verifications, and the tasks of the requests that waited for them; begin their publication.

        The requests are awaiting all the same until :meth:`end_awaiting` says that their start was published.

        Args:
            verifications: the verifications.
            started: the requests that no longer wait.
            new_tasks: their tasks.
            now: when.
            due_after: how long a receipt may take.
            publication: what is published of them.
            held: those of them that no sink is asked for yet.
            starts: the erasures among those that start.
            due: by when those that start are to be answered.
            limits: how many of them may.

        Returns:
            The publication's id.

        Raises:
            Braked: some erasures are above a limit.
            Overtaken: a request was withdrawn or started by now. Nothing was saved.
        """
        with self._database.transaction() as transaction:
            if verifications:
                transaction.run(
                    "insert_verifications",
                    **columns(
                        verifications, "request_id", "event_id", "subject_id",
                        method="verified.method", verified_at="verified.verified_at",
                        partition="place.partition", offset="place.offset",
                    ),
                )  # fmt: skip
            if started:
                heads, unreadable = states.lock(transaction, [row.request_id for row in started])
                standing = {request_id: head.state for request_id, head in heads.items()}
                # A row that cannot be read will be no other the next time: it must not hold up the batch. The
                # statement that writes states compares where it stands.
                read = [row for row in started if row.request_id not in unreadable]
                if any(standing.get(row.request_id) is not row.before for row in read):
                    raise Overtaken("a request that waited was withdrawn, or started by another process")
                states.write(transaction, started, now=now)
                last_days.write(transaction, due)
                tasks.insert(transaction, new_tasks, now, due_after)
                held_requests.insert(transaction, held, now)
            begun = publications.begin(transaction, publication) if publication else None
            held_requests.admit(transaction, starts, limits)
            return begun

    def crossed(self, *, after: UUID = FIRST, limit: int) -> list[VerificationRow]:
        """Verifications whose requests still wait, because both came in the same moment.

        They are ordered by request; ``after`` is the last request of the page before.
        """
        with self._database.transaction() as transaction:
            rows = transaction.rows("awaiting_verified", after=after, limit=limit)
        return [_row(row) for row in rows]

    def end_awaiting(self, request_ids: Sequence[UUID]) -> None:
        """Requests whose start was published no longer wait."""
        if request_ids:
            with self._database.transaction() as transaction:
                transaction.run("delete_awaiting", ids=list(request_ids))


def known(transaction: Transaction, ids: Sequence[UUID]) -> dict[VerificationKey, KnownVerification]:
    """The verifications that stand for some requests, one for each subject that was verified."""
    rows = map(_row, transaction.rows("verifications_known", ids=list(ids)))
    return {
        (row.request_id, row.subject_id): KnownVerification(
            event_id=row.event_id, subject_id=row.subject_id, verified=row.verified, place=row.place
        )
        for row in rows
    }


def _row(row: Row) -> VerificationRow:
    request_id, event_id, subject_id, method, verified_at, partition, offset = row
    return VerificationRow(
        event_id=event_id,
        request_id=request_id,
        subject_id=subject_id,
        verified=Verified(method=method, verified_at=verified_at),
        place=Place(partition, offset),
    )
