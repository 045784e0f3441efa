"""The latest decision about one purpose for one handle."""

from collections.abc import Sequence

from olvido.core.consents import ConsentState
from olvido.core.events import Decision
from olvido.ledger.connection import Row, Transaction, columns
from olvido.ledger.rows import ConsentKey, readable


def latest(transaction: Transaction, keys: Sequence[ConsentKey]) -> list[ConsentState]:
    """The latest decisions about some (handle, purpose); what nobody has decided about is left out."""
    if not keys:
        return []
    rows = transaction.rows("consents_known", **pairs(keys))
    return [*readable(((row[4], *row) for row in rows), lambda row: _state(row[1:]))]  # by its event_id


def pairs(keys: Sequence[ConsentKey]) -> dict[str, list[str]]:
    """Keys as two columns."""
    return {"handles": [handle for handle, _ in keys], "purposes": [purpose for _, purpose in keys]}


def upsert(transaction: Transaction, states: Sequence[ConsentState]) -> None:
    """Keep of each (handle, purpose) the later decision: the order is that of ``core.consents``."""
    ordered = sorted(states, key=lambda state: (state.handle, state.purpose))  # one order: no deadlock
    transaction.run(
        "upsert_consents",
        **columns(ordered, "handle", "purpose", "decision", "occurred_at", "event_id", "policy_version"),
        ranks=[int(state.decision is Decision.WITHDRAWN) for state in ordered],
    )


def _state(row: Row) -> ConsentState:
    handle, purpose, decision, occurred_at, event_id, policy_version = row
    return ConsentState(
        handle=handle,
        purpose=purpose,
        decision=Decision(decision),
        occurred_at=occurred_at,
        event_id=event_id,
        policy_version=policy_version,
    )
