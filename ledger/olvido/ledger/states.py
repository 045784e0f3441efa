"""Where requests stand: locked, and written by one statement, whichever process moves them."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from operator import attrgetter
from uuid import UUID

from olvido.ledger.connection import Transaction, columns
from olvido.ledger.rows import RequestHead, StateRow, head_of, readable


def lock(transaction: Transaction, request_ids: Iterable[UUID]) -> tuple[dict[UUID, RequestHead], set[UUID]]:
    """Lock some requests, in one order everywhere: processes that move them take turns, and none deadlocks.

    Returns:
        Those that can be read, by their ids; and the ids of the others.
    """
    rows = transaction.rows("lock_requests", ids=sorted(set(request_ids), key=_number))
    heads = {head.request_id: head for head in readable(rows, head_of)}
    return heads, {row[0] for row in rows if row[0] not in heads} if len(heads) < len(rows) else set()


_number = attrgetter("int")  # Python orders two ids by many calls, and two numbers by none


def write(transaction: Transaction, rows: Sequence[StateRow], *, now: datetime) -> None:
    """Write the states that events give. A request that another process moved meanwhile is left alone."""
    if rows:
        transaction.run(
            "write_request_states",
            **columns(rows, "before", "state", "final", id="request_id", task="tasks", answer="answered"),
            now=now,
        )
