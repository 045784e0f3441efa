"""What waits for a person, as a figure to watch: cheap enough to be read every few seconds."""

from olvido.ledger.connection import Database


def parked_by_sink(database: Database) -> dict[str, int]:
    """How many tasks of each sink are parked; sinks without one are left out.

    Raises:
        Unavailable: the ledger does not answer.
    """
    with database.transaction() as transaction:
        return dict(transaction.rows("parked_by_sink"))
