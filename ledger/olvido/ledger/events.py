"""Events as they were read from upstream, sealed boxes and all, so that their tasks can be issued again."""

from collections.abc import Sequence
from uuid import UUID

from olvido.ledger.connection import Transaction


def insert(transaction: Transaction, topic: str, events: Sequence[tuple[UUID, bytes]]) -> None:
    """Keep events, each with the id of its request or consent change. A repeat changes nothing."""
    transaction.run(
        "insert_events",
        topic=topic,
        source_ids=[source_id for source_id, _ in events],
        events=[event for _, event in events],
    )
