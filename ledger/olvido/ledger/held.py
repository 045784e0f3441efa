"""Requests that no sink is asked for yet: above the brake's limits, or within their grace period.

They have no tasks, so nothing sends, restores, backfills or replays them. They start here, counted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from olvido.core.brake import HeldFor, Limits, Start, above
from olvido.core.tasks import Task
from olvido.ledger import publications, states, tasks
from olvido.ledger.connection import Database, Overtaken, Transaction, columns
from olvido.ledger.rows import NOTHING, About, HeldRow, StateRow

FIRST = UUID(int=0)  # lies before every request


class Braked(Overtaken):
    """Some of the erasures are above a limit: nothing was saved; step again, and hold them.

    Args:
        held: those, and the limit that each is above.
    """

    def __init__(self, held: Mapping[UUID, HeldFor]) -> None:
        super().__init__(f"{len(held)} erasures are above what may start in an hour")
        self.held = held


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldRequest:
    """A request that may start by now."""

    request_id: UUID
    released: bool  # by two people: it is not counted
    asked_by: str
    event: bytes | None


class Held:
    """The requests that are held, for the process that starts them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def due(self, *, now: datetime, after: UUID = FIRST, limit: int) -> list[HeldRequest]:
        """The next requests that may start by now, ordered by their ids."""
        with self._database.transaction() as transaction:
            rows = transaction.rows("held_due", now=now, after=after, limit=limit)
        return [
            HeldRequest(
                request_id=request_id,
                released=held_for == HeldFor.RELEASED,
                asked_by=asked_by,
                event=None if event is None else bytes(event),
            )
            for request_id, held_for, asked_by, event in rows
        ]

    def start(
        self,
        started: Sequence[StateRow],
        new_tasks: Sequence[Task],
        *,
        starts: Sequence[Start],
        limits: Limits,
        now: datetime,
        publication: About = NOTHING,
    ) -> int | None:
        """Start held requests: their tasks are owed from now on, and due at once.

        Args:
            started: the requests.
            new_tasks: their tasks.
            starts: those of them that count; what people released does not.
            limits: how many may start.
            now: when.
            publication: what is published of them.

        Raises:
            Braked: some are above a limit.
            Overtaken: one of them was withdrawn, or started by another process. Nothing was saved.
        """
        ids = [row.request_id for row in started]
        with self._database.transaction() as transaction:
            states.lock(transaction, ids)
            if len(transaction.rows("end_held", ids=ids, now=now)) != len(ids):
                raise Overtaken("a held request was decided about by somebody else")
            states.write(transaction, started, now=now)
            tasks.insert(transaction, new_tasks, now, now - now)
            begun = publications.begin(transaction, publication) if publication else None
            admit(transaction, starts, limits)
            return begun

    def hold_back(self, held: Mapping[UUID, HeldFor]) -> None:
        """Requests that were about to start by themselves wait for people."""
        if not held:
            return
        with self._database.transaction() as transaction:
            transaction.run("hold_back", request_ids=list(held), held_fors=list(held.values()))


def insert(transaction: Transaction, rows: Sequence[HeldRow], now: datetime) -> None:
    """Note requests that no sink is asked for yet. A repeat changes nothing."""
    if rows:
        transaction.run("insert_held", **columns(rows, "request_id", "held_for", "start_at"), now=now)


def admit(transaction: Transaction, starts: Sequence[Start], limits: Limits) -> None:
    """Count erasures that start in this transaction. It is its last act: others that start some wait for it.

    Raises:
        Braked: some are above a limit.
    """
    if not starts:
        return
    transaction.rows("brake_turn")
    # In statements of their own: each sees what those before us have committed.
    if held := above(starts, dict(transaction.rows("erasures_counted")), limits):
        raise Braked(held)
    transaction.run("count_erasures", asked_bys=[start.asked_by for start in starts])
