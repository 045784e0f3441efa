"""What others may read of a request: its state and each sink's outcome."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from olvido.core.events import Right
from olvido.core.receipts import Outcome
from olvido.core.requests import RequestState


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
