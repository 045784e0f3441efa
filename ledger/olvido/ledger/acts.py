"""The record of what operators did. The database itself refuses to change or delete a row of it.

The owner of the tables can do it all the same. So each act is linked to the one before it by a digest. An
owner who changes one has to compute all later links anew: the last link is then not the one that was noted.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """How the record of acts stands."""

    acts: int
    link: str  # of the last act, in hex; empty where there is none
    broken_at: int | None  # the first act that does not follow from those before it; None where all do


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

    def chain(self) -> Chain:
        """Whether each act follows from those before it."""
        with self._database.transaction() as transaction:
            broken = transaction.rows("broken_act")
            last = transaction.rows("last_act")
        acts, link = (last[0][0], bytes(last[0][1]).hex()) if last else (0, "")
        return Chain(acts=acts, link=link, broken_at=broken[0][0] if broken else None)
