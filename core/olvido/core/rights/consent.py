"""A consent change: no right of a request, but asked of sinks in the same way (GDPR arts. 6(1)(a), 7(3))."""

from collections.abc import Set
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar, Self

from olvido.core.causes import Cause
from olvido.core.errors import Refused
from olvido.core.events import ConsentChange, Decision
from olvido.core.outcomes import Outcome
from olvido.core.rights.names import Action
from olvido.core.rights.what import Particulars, What


@dataclass(frozen=True, slots=True)
class Consent(What):
    """Follow what the person decided about a purpose."""

    purpose: str
    decision: Decision
    occurred_at: datetime  # its place in the order of what the person decided about the purpose
    policy_version: str

    action: ClassVar[Action] = Action.CONSENT
    done: ClassVar[frozenset[Outcome]] = frozenset(
        {Outcome.CONSENT_APPLIED, Outcome.SUPPRESSED, Outcome.SUPERSEDED}
    )
    lasting: ClassVar[bool] = True

    @classmethod
    def of_change(cls, change: ConsentChange) -> Self:
        """What a consent change asks of each sink that acts on its purpose."""
        return cls(
            purpose=change.purpose,
            decision=change.decision,
            occurred_at=change.occurred_at,
            policy_version=change.policy_version,
        )

    @classmethod
    def of_wire(cls, at: datetime, particulars: Particulars) -> Self:
        """See :meth:`What.of_wire`."""
        purposes, decision, policy_version = particulars
        if len(purposes) != 1 or decision is None:
            raise Refused(Cause.NON_CANONICAL, field="decision", reason="a consent is about one purpose")
        return cls(purpose=purposes[0], decision=decision, occurred_at=at, policy_version=policy_version)

    @staticmethod
    def digest_part(change: ConsentChange) -> dict[str, object]:
        """What the digest of a consent change has beyond the person."""
        return {
            "purpose": change.purpose,
            "decision": change.decision.value,
            "occurred_at": change.occurred_at.astimezone(UTC).isoformat(timespec="microseconds"),
            "policy_version": change.policy_version,
        }

    @property
    def at(self) -> datetime:
        """When the person decided."""
        return self.occurred_at

    @property
    def particulars(self) -> Particulars:
        """The purpose, the decision and the policy that it was made under."""
        return Particulars((self.purpose,), self.decision, self.policy_version)

    def concerns(self, purposes: Set[str]) -> bool:
        """Only those that act on the purpose."""
        return self.purpose in purposes
