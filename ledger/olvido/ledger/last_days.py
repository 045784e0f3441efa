"""By when requests are to be answered, as it was worked out."""

from collections.abc import Sequence

from olvido.ledger.connection import Transaction, columns
from olvido.ledger.rows import DueRow

COLUMNS = {"due_at": "due.at", "due_by": "due.by", "due_provisional": "due.provisional"}


def write(transaction: Transaction, rows: Sequence[DueRow]) -> None:
    """Write what was worked out anew. A request that is finished by now keeps what it had."""
    if rows:
        transaction.run("write_due", **columns(rows, id="request_id", **COLUMNS))
