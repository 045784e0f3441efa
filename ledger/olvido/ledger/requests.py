"""Privacy requests: what is known of them, and how they are saved the first time."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from olvido.core.brake import Limits, Start
from olvido.core.errors import Refused
from olvido.core.lifecycle import RequestState
from olvido.core.rights.names import Right
from olvido.core.tasks import Task
from olvido.ledger import events, last_days, publications, tasks, verifications
from olvido.ledger import held as held_requests
from olvido.ledger.connection import Database, Overtaken, columns
from olvido.ledger.rows import (
    NOTHING,
    About,
    HeldRow,
    KnownRequest,
    KnownVerification,
    Place,
    RequestRow,
    VerificationKey,
    generations_in,
    readable,
    unreadable_row,
)

DEFAULTS = Limits()


class Requests:
    """The requests there are."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def known(
        self, ids: Sequence[UUID]
    ) -> tuple[dict[UUID, KnownRequest | Refused], dict[VerificationKey, KnownVerification], set[UUID]]:
        """What is known of some request ids, the verifications for them, and which of them a change has.

        Of a request whose row cannot be read it is known why.
        """
        with self._database.transaction() as transaction:
            rows = transaction.rows("requests_known", ids=list(ids))
            verified = verifications.known(transaction, ids)
            others = transaction.rows("consent_change_ids", ids=list(ids))
        requests: dict[UUID, KnownRequest | Refused] = {row[0]: unreadable_row("requests") for row in rows}
        requests.update(readable(rows, _known))
        return requests, verified, {event_id for (event_id,) in others}

    def save(
        self,
        requests: Sequence[RequestRow],
        new_tasks: Sequence[Task],
        *,
        topic: str,
        now: datetime,
        due_after: timedelta,
        publication: About = NOTHING,
        held: Sequence[HeldRow] = (),
        limits: Limits = DEFAULTS,
    ) -> int | None:
        """Save new requests with their tasks, and begin their publication; returns its id.

        Args:
            requests: the requests.
            new_tasks: their tasks.
            topic: where they were read.
            now: when.
            due_after: how long a receipt may take.
            publication: what is published of them.
            held: those that no sink is asked for yet.
            limits: how many erasures may start.

        Raises:
            Braked: some erasures are above a limit.
            Overtaken: one of the ids is there by now.
        """
        with self._database.transaction() as transaction:
            if requests:
                inserted = transaction.rows(
                    "insert_requests",
                    **columns(
                        requests, "request_id", "right", "subject_id", "requested_at", "state", "digest",
                        "asked_by", "appended_at", "late", "jurisdiction",
                        partition="place.partition", offset="place.offset", task="tasks",
                        **last_days.COLUMNS,
                    ),
                    received_ats=[now] * len(requests),
                    finished_ats=[now if row.finished else None for row in requests],
                )  # fmt: skip
                if len(inserted) != len(requests):
                    raise Overtaken("a request id was saved by another process")
                events.insert(transaction, topic, [(row.request_id, row.event) for row in requests])
                awaiting = [row.request_id for row in requests if row.awaiting]
                if awaiting:
                    transaction.run("insert_awaiting", ids=awaiting)
                tasks.insert(transaction, new_tasks, now, due_after)
                held_requests.insert(transaction, held, now)
            begun = publications.begin(transaction, publication) if publication else None
            held_requests.admit(transaction, _starts(requests), limits)
            return begun

    def events(self, ids: Sequence[UUID]) -> dict[UUID, bytes]:
        """Some requests as they were read."""
        with self._database.transaction() as transaction:
            rows = transaction.rows("requests_with_events", ids=list(ids))
        return {request_id: bytes(event) for request_id, event in rows}


def _known(row: Sequence[Any]) -> tuple[UUID, KnownRequest]:
    request_id, digest, partition, offset, subject_id, state, generations, appended_at = row
    return request_id, KnownRequest(
        digest=bytes(digest),
        place=Place(partition, offset),
        subject_id=subject_id,
        state=RequestState(state),
        generations=generations_in(generations),
        appended_at=appended_at,
    )


def _starts(requests: Sequence[RequestRow]) -> list[Start]:
    return [Start(row.request_id, row.asked_by) for row in requests if row.tasks and row.right == Right.ERASE]
