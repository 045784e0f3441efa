"""Where requests stand: locked, and written by one statement, whoever moves them."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from operator import attrgetter
from uuid import UUID

from olvido.ledger.connection import Transaction, columns
from olvido.ledger.rows import RequestHead, StateRow, head_of


def lock(transaction: Transaction, request_ids: Iterable[UUID]) -> dict[UUID, RequestHead]:
    """Lock some requests, in one order everywhere: whoever moves them takes turns, and none deadlocks."""
    rows = transaction.rows("lock_requests", ids=sorted(set(request_ids), key=_number))
    return {head.request_id: head for head in map(head_of, rows)}


_number = attrgetter("int")  # Python orders two ids by many calls, and two numbers by none


def write(transaction: Transaction, rows: Sequence[StateRow], *, now: datetime) -> None:
    """Write the states that events give. A request that another process moved meanwhile is left alone."""
    if rows:
        transaction.run(
            "write_request_states",
            **columns(rows, "before", "state", "final", id="request_id", task="tasks", answer="answered"),
            now=now,
        )
