"""What others may read of a request: its state and each sink's outcome."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from olvido.core.lifecycle import RequestState
from olvido.core.outcomes import Outcome
from olvido.core.rights.names import Right


class RequestFacts(Protocol):
    """What a status says of a request besides its receipts: the request itself has it, and its row."""

    @property
    def request_id(self) -> UUID:
        """The request's id."""
        ...

    @property
    def right(self) -> Right:
        """What the person asks for."""
        ...

    @property
    def subject_id(self) -> str:
        """The person who asks, as a handle."""
        ...

    @property
    def requested_at(self) -> datetime:
        """When the person asked."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestStatus:
    """Where a privacy request stands. A function of the request and the set of its receipts."""

    request_id: UUID
    right: Right
    subject_id: str
    state: RequestState
    tasks: int  # sinks concerned
    outcomes: Mapping[str, Outcome]  # by sink; those that have given a final receipt
    requested_at: datetime

    @property
    def answered(self) -> int:
        """How many sinks have given a final receipt."""
        return len(self.outcomes)


def status_of(
    asked: RequestFacts, state: RequestState, outcomes: Mapping[str, Outcome | None]
) -> RequestStatus:
    """The status of a request.

    Args:
        asked: the request.
        state: where it stands.
        outcomes: what each sink that was asked has come to; None while it owes an answer.
    """
    return RequestStatus(
        request_id=asked.request_id,
        right=asked.right,
        subject_id=asked.subject_id,
        state=state,
        tasks=len(outcomes),
        outcomes=final(outcomes),
        requested_at=asked.requested_at,
    )


def final(outcomes: Mapping[str, Outcome | None]) -> dict[str, Outcome]:
    """Of what sinks have come to, the outcomes after which nothing more will come."""
    return {sink: outcome for sink, outcome in outcomes.items() if outcome and outcome.final}
