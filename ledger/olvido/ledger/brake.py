"""What people decide about what is held: two release or discard, one withdraws.

Held are requests that no sink is asked for yet, and tasks that are above a limit of their sink.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from olvido.core.acts import Act
from olvido.core.brake import HeldDecision, HeldFor
from olvido.core.lifecycle import Event, RequestState, step
from olvido.core.tasks import Release
from olvido.ledger import publications, states
from olvido.ledger.acts import record
from olvido.ledger.connection import Database, Transaction, columns
from olvido.ledger.rows import About, RequestHead, StateRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """What a decision came to."""

    proposed: int  # a second person has to decide the same
    carried_out: int  # this was the second person
    given_up: tuple[UUID, ...] = ()  # dead letters of tasks that two people discard: they are to be answered


ReleaseTask = Callable[[UUID, int], Release]  # of a task's id and generation
_TASK = ("source_id", "sink", "generation")


class Brake:
    """What is held, for the people who decide about it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def held(
        self, *, asked_by: str | None = None, sink: str | None = None, limit: int
    ) -> list[Mapping[str, Any]]:
        """The requests that are held, then the tasks above a limit of their sink; the oldest first."""
        with self._database.transaction() as transaction:
            requests = [] if sink else transaction.records("held_requests", asked_by=asked_by, limit=limit)
            tasks = transaction.records(
                "held_tasks", asked_by=asked_by, sink=sink, limit=limit - len(requests)
            )
        return [*requests, *tasks]

    def counts(self) -> dict[str, tuple[int, datetime]]:
        """How many requests are held for each reason, and since when the oldest."""
        with self._database.transaction() as transaction:
            rows = transaction.rows("held_counts")
        return {held_for: (count, oldest_at) for held_for, count, oldest_at in rows}

    def task_counts(self) -> dict[str, int]:
        """How many tasks are above a limit, by sink."""
        with self._database.transaction() as transaction:
            return dict(transaction.rows("held_task_counts"))

    def decide(
        self,
        act: Act,
        decision: HeldDecision,
        *,
        ids: Sequence[UUID] | None = None,
        asked_by: str | None = None,
        sink: str | None = None,
        release: ReleaseTask | None = None,
    ) -> Decided:
        """Decide about what is above a limit.

        Each has its effect when a second person decides the same: who acts must be another than who
        proposed it. A repeat by the same person, or another decision, is a proposal.

        Args:
            act: who decides, and why.
            decision: what.
            ids: only what is held of these requests.
            asked_by: only what this principal has asked for.
            sink: only tasks that are above a limit of this sink.
            release: signs that one task may pass the limits of its sink; None: only requests are meant.

        Returns:
            What it came to. The dead letters of tasks that were discarded are still open, and what was
            decided stands: the caller answers the tasks, and may repeat it if it was cut short.
        """
        which: dict[str, Any] = {"ids": None if ids is None else list(ids), "asked_by": asked_by}
        with self._database.transaction() as transaction:
            requests = [] if sink else _decide_requests(transaction, act, decision, which)
            tasks, letters = (
                _decide_tasks(transaction, act, decision, {**which, "sink": sink}, release)
                if release
                else ([], [])
            )
            second = [*requests, *tasks]
            decided = Decided(
                proposed=second.count(False), carried_out=second.count(True), given_up=tuple(letters)
            )
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


def _decide_requests(
    transaction: Transaction, act: Act, decision: HeldDecision, which: Mapping[str, Any]
) -> list[bool]:
    """Decide about requests; of each whether this was the second person."""
    rows = transaction.rows("choose_held", decision=decision.value, who=act.who, **which)
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
    return [second for _, second in rows]


def _decide_tasks(
    transaction: Transaction,
    act: Act,
    decision: HeldDecision,
    which: Mapping[str, Any],
    release: ReleaseTask,
) -> tuple[list[bool], list[UUID]]:
    """Decide about tasks.

    Returns:
        Of each whether this was the second person, and the dead letters of those that two people discard.
    """
    rows = transaction.records("choose_held_tasks", decision=decision.value, who=act.who, **which)
    seconds = [bool(row["second"]) for row in rows]
    proposed = [row for row in rows if not row["second"]]
    if proposed:
        transaction.run(
            "propose_held_tasks",
            **_columns(proposed, *_TASK),
            decision=decision.value,
            who=act.who,
            now=act.at,
        )
    final = [row for row in rows if row["second"]]
    if not final:
        return seconds, []
    if decision is HeldDecision.RELEASE:
        signed = [release(row["task_id"], row["generation"]) for row in final]
        transaction.run(
            "release_held_tasks",
            **_columns(final, *_TASK),
            **columns(signed, "principal", "key_id", "signature"),
            now=act.at,
        )
        return seconds, []
    found = transaction.rows("letters_of_held_tasks", **_columns(final, "source_id", "task_id", "generation"))
    return seconds, [dead_letter_id for (dead_letter_id,) in found]


def _columns(rows: Sequence[Mapping[str, Any]], *names: str) -> dict[str, Any]:
    return {f"{name}s": [row[name] for row in rows] for name in names}


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
