"""What people decide about requests that no sink is asked for yet: two release or discard, one withdraws."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from olvido.core.acts import Act
from olvido.core.brake import HeldDecision, HeldFor
from olvido.core.lifecycle import Event, RequestState, step
from olvido.ledger import publications, states
from olvido.ledger.acts import record
from olvido.ledger.connection import Database, Transaction
from olvido.ledger.rows import About, RequestHead, StateRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """What a decision came to."""

    proposed: int  # a second person has to decide the same
    carried_out: int  # this was the second person


class Brake:
    """The requests that are held, for the people who decide about them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def held(self, *, asked_by: str | None = None, limit: int) -> list[Mapping[str, Any]]:
        """The requests that are held, the oldest first."""
        with self._database.transaction() as transaction:
            return transaction.records("held_requests", asked_by=asked_by, limit=limit)

    def counts(self) -> dict[str, tuple[int, datetime]]:
        """How many are held for each reason, and since when the oldest."""
        with self._database.transaction() as transaction:
            rows = transaction.rows("held_counts")
        return {held_for: (count, oldest_at) for held_for, count, oldest_at in rows}

    def decide(
        self,
        act: Act,
        decision: HeldDecision,
        *,
        ids: Sequence[UUID] | None = None,
        asked_by: str | None = None,
    ) -> Decided:
        """Decide about requests that are above a limit: all there are, some, or one asker's.

        Each has its effect when a second person decides the same: who acts must be another than who
        proposed it. A repeat by the same person, or another decision, is a proposal.
        """
        with self._database.transaction() as transaction:
            rows = transaction.rows(
                "choose_held", decision=decision.value, who=act.who, asked_by=asked_by,
                ids=None if ids is None else list(ids),
            )  # fmt: skip
            final = [request_id for request_id, second in rows if second]
            proposed = [request_id for request_id, second in rows if not second]
            transaction.run("propose_held", ids=proposed, decision=decision.value, who=act.who, now=act.at)
            match decision:
                case HeldDecision.RELEASE:
                    released = HeldFor.RELEASED.value
                    transaction.run("release_held", ids=final, released=released, now=act.at)
                case HeldDecision.DISCARD:
                    heads, _ = states.lock(transaction, final)
                    _end(transaction, heads, Event.DISCARDED, now=act.at)
            decided = Decided(proposed=len(proposed), carried_out=len(final))
            counts = {"proposed": decided.proposed, "carried_out": decided.carried_out}
            record(transaction, replace(act, details={**act.details, **counts}))
        return decided

    def withdraw(self, act: Act, request_id: UUID) -> RequestState | None:
        """Withdraw a request that no sink was asked for; the state it has then, None if there is none.

        A process that starts it at the same moment takes turns with us: then it is withdrawn, or it has
        started and nothing is done.
        """
        with self._database.transaction() as transaction:
            heads, _ = states.lock(transaction, [request_id])
            if request_id not in heads:
                return None
            before = heads[request_id].state
            state = step(before, Event.WITHDRAWN)
            if state is not before:
                _end(transaction, heads, Event.WITHDRAWN, now=act.at)
                record(transaction, act)
        return state


def _end(transaction: Transaction, heads: Mapping[UUID, RequestHead], event: Event, *, now: datetime) -> None:
    """Requests that will never start; the processors publish it."""
    if not heads:
        return
    ids = list(heads)
    rows = [
        StateRow(
            request_id=head.request_id, before=head.state, state=step(head.state, event), tasks=0, answered=0
        )
        for head in heads.values()
    ]
    states.write(transaction, rows, now=now)
    transaction.run("delete_held", ids=ids)
    transaction.run("delete_awaiting", ids=ids)
    # Left behind: a timer of the processors publishes what nobody has ended.
    publications.begin(transaction, About(request_ids=ids))
