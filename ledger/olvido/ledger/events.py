"""Events as they were read from upstream, sealed boxes and all, so that their tasks can be issued again."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from olvido.ledger.connection import Database, Overtaken, Transaction, columns


@dataclass(frozen=True, slots=True)
class FramedEvent:
    """An event that is kept under the id that a registry gave its schema."""

    source_id: UUID
    topic: str
    event: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class RewrittenEvent:
    """An event in another form than before."""

    source_id: UUID
    before: bytes
    event: bytes


class Events:
    """The form in which events are kept. Several may rewrite it: each row changes once."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def framed(self, *, after: UUID, limit: int) -> list[FramedEvent]:
        """The next events by their ids that are kept under a registry's id."""
        with self._database.transaction() as transaction:
            rows = transaction.rows("events_framed", after=after, limit=limit)
        return [FramedEvent(source_id, topic, bytes(event)) for source_id, topic, event in rows]

    def rewrite(self, events: Sequence[RewrittenEvent]) -> None:
        """Keep events in another form. One that was deleted meanwhile stays deleted."""
        with self._database.transaction() as transaction:
            transaction.run("rewrite_events", **columns(events, "source_id", "before", "event"))


def insert(transaction: Transaction, topic: str, events: Sequence[tuple[UUID, bytes]]) -> None:
    """Keep events, each with the id of its new request or consent change.

    Ids of both are one space. The process that saves a request looks for a consent change of its id
    beforehand, and the other way round; if both save one id at once, the second waits here for the first,
    and looks again.

    Raises:
        Overtaken: one of the ids is there by now.
    """
    inserted = transaction.rows(
        "insert_events",
        topic=topic,
        source_ids=[source_id for source_id, _ in events],
        events=[event for _, event in events],
    )
    if len(inserted) != len(events):
        raise Overtaken("an id was saved for the other kind by another process")
