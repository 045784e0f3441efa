"""Which of two decisions about a purpose is the later one.

State is kept per (handle, purpose). The order is total and a function of the
changes only, so every permutation and repetition of the same ones ends in the
same state: processor, sink and ledger alike. The place of a change is what it
states, and not later than the broker took it: a grant from a clock ahead does
not stand over a withdrawal that the person made after it.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from olvido.core.events import ConsentChange, Decision


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentState:
    """The latest decision about one purpose for one handle."""

    handle: str
    purpose: str
    decision: Decision
    occurred_at: datetime  # its place in the order: when the broker took the change at the latest
    event_id: UUID
    policy_version: str

    @property
    def order(self) -> tuple[datetime, int, str]:
        """Its place in the order."""
        return order_key(self.occurred_at, self.decision, self.event_id)


def order_key(occurred_at: datetime, decision: Decision, event_id: UUID) -> tuple[datetime, int, str]:
    """The place of a change in the order, by its effective instant; the greater is the later decision.

    In the same instant a withdrawal is the later decision: the protective side wins.
    """
    return (occurred_at, int(decision is Decision.WITHDRAWN), str(event_id))


def states_of(change: ConsentChange) -> tuple[ConsentState, ...]:
    """What a change says, once for each handle."""
    return tuple(
        ConsentState(
            handle=handle.value,
            purpose=change.purpose,
            decision=change.decision,
            occurred_at=change.effective_at,
            event_id=change.event_id,
            policy_version=change.policy_version,
        )
        for handle in change.handles
    )
