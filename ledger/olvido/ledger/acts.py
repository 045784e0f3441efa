"""The record of what operators did. The database itself refuses to change or delete a row of it."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from olvido.core.acts import Act, Verb
from olvido.ledger.connection import Database, Transaction


def record(transaction: Transaction, act: Act) -> None:
    """Record an act in the transaction that carries it out. The same act again changes nothing."""
    transaction.run(
        "insert_act",
        act_id=act.act_id,
        at=act.at,
        who=act.who,
        verb=act.verb.value,
        reason=act.reason,
        details=json.dumps(act.details),
    )


class Acts:
    """The acts, for those who act outside the ledger and for those who look."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, act: Act) -> None:
        """Record an act in a transaction of its own: before what it allows is done.

        Raises:
            Unavailable: the ledger does not answer; then the act may not be done either.
        """
        with self._database.transaction() as transaction:
            record(transaction, act)

    def newest(
        self,
        *,
        verb: Verb | None = None,
        who: str | None = None,
        since: datetime | None = None,
        limit: int = 50,
    ) -> list[Mapping[str, Any]]:
        """Acts, newest first."""
        with self._database.transaction() as transaction:
            return transaction.records("list_acts", verb=verb, who=who, since=since, limit=limit)
