"""Later looks: what sinks found of people they had erased, and what is asked of them again for it."""

from collections.abc import Callable, Sequence
from datetime import datetime
from uuid import UUID

from olvido.core.ids import task_id
from olvido.core.looks import LaterLook, NotVerified
from olvido.core.rights.names import Action
from olvido.ledger.connection import Transaction, columns


def insert(transaction: Transaction, looks: Sequence[LaterLook]) -> None:
    """Note what looks have found. A repeat changes nothing."""
    if not looks:
        return
    transaction.run(
        "insert_looks",
        **columns(looks, "look_id", "sink", "after_s", "applied_from", "applied_to", "looked_at", "looked",
                  "forgotten", "decisions", "reapplied", "of_erasures"),
    )  # fmt: skip
    named = [(look, one) for look in looks for one in look.not_verified]
    if named:
        transaction.run(
            "insert_not_verified",
            **columns([one for _, one in named], "request_id", "generation", "result"),
            **columns([look for look, _ in named], "look_id", "sink"),
        )


def known(transaction: Transaction, looks: Sequence[LaterLook]) -> set[tuple[str, NotVerified]]:
    """Which of the tasks that looks name there are, each with its sink."""
    named = _named(looks, lambda look: look.not_verified)
    if not named:
        return set()
    keys = _keys(named)
    rows = transaction.rows("tasks_known", source_ids=keys.pop("request_ids"), **keys)
    return {named[place - 1] for (place,) in rows}


def issue(transaction: Transaction, looks: Sequence[LaterLook], *, now: datetime) -> set[UUID]:
    """Ask sinks again for what they found again, each with its next generation; the requests it is for."""
    named = _named(looks, lambda look: look.found_again)
    rows = transaction.rows("issue_found_again", **_keys(named), now=now) if named else ()
    return {source_id for (source_id,) in rows}


def _named(
    looks: Sequence[LaterLook], of: Callable[[LaterLook], Sequence[NotVerified]]
) -> list[tuple[str, NotVerified]]:
    return [(look.sink, one) for look in looks for one in of(look)]


def _keys(named: Sequence[tuple[str, NotVerified]]) -> dict[str, list[object]]:
    """The keys of tasks as arrays: a sink looks again at its erasures alone."""
    return {
        **columns([one for _, one in named], "request_id", "generation"),
        "sinks": [sink for sink, _ in named],
        "task_ids": [task_id(one.request_id, sink, Action.ERASE) for sink, one in named],
    }
