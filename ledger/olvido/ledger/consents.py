"""Consent changes, and the latest decision about one purpose for one handle."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from olvido.core.consents import ConsentState
from olvido.core.tasks import Task
from olvido.ledger import consent_states, events, publications, tasks
from olvido.ledger.connection import Database, Overtaken, columns
from olvido.ledger.rows import NOTHING, About, ConsentKey, ConsentRow, KnownChange, Place


class Consents:
    """The consent changes there are, and the decisions that stand."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def known(
        self, ids: Sequence[UUID], keys: Sequence[ConsentKey]
    ) -> tuple[dict[UUID, KnownChange], dict[ConsentKey, ConsentState], set[UUID]]:
        """What is known of some event ids, the latest decisions, and which of the ids a request has."""
        with self._database.transaction() as transaction:
            rows = transaction.rows("consent_changes_known", ids=list(ids))
            states = consent_states.latest(transaction, keys)
            others = transaction.rows("request_ids", ids=list(ids))
        changes = {
            event_id: KnownChange(
                digest=bytes(digest), place=Place(partition, offset), appended_at=appended_at
            )
            for event_id, digest, partition, offset, appended_at in rows
        }
        latest = {(state.handle, state.purpose): state for state in states}
        return changes, latest, {request_id for (request_id,) in others}

    def save(
        self,
        changes: Sequence[ConsentRow],
        states: Sequence[ConsentState],
        new_tasks: Sequence[Task],
        *,
        topic: str,
        now: datetime,
        due_after: timedelta,
        publication: About = NOTHING,
    ) -> int | None:
        """Save new consent changes, the states they give and their tasks; begin their publication.

        Returns:
            The publication's id.

        Raises:
            Overtaken: one of the ids is there by now.
        """
        with self._database.transaction() as transaction:
            if changes:
                inserted = transaction.rows(
                    "insert_consent_changes",
                    **columns(
                        changes, "event_id", "purpose", "decision", "subject_id", "occurred_at", "digest",
                        "appended_at", "late", partition="place.partition", offset="place.offset",
                    ),
                    received_ats=[now] * len(changes),
                )  # fmt: skip
                if len(inserted) != len(changes):
                    raise Overtaken("an event id was saved by another process")
                events.insert(transaction, topic, [(row.event_id, row.event) for row in changes])
                consent_states.upsert(transaction, states)
                tasks.insert(transaction, new_tasks, now, due_after)
            return publications.begin(transaction, publication) if publication else None
