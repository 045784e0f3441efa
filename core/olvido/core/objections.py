"""Whether the person's objection to a use of the data stands, or was taken back (GDPR arts. 18 and 21).

State is kept per (handle, purpose): the latest of all objections and of all that takes them back. The order
is total and a function of what was asked only, so every permutation and repetition of the same requests ends
in the same state. The place of a request is what it states, and not later than the broker took it: who takes
an objection back by a clock ahead does not take back one that the person makes after it.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

# A restriction is against every use, and is kept where the objections are: no purpose has an empty name.
EVERY_USE = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectionState:
    """The latest that a person asked about one use of the data, for one handle."""

    handle: str
    purpose: str  # or :data:`EVERY_USE`
    occurred_at: datetime  # its place in the order: when the broker took the request at the latest
    request_id: UUID
    released: bool  # it takes back what was before it

    @property
    def order(self) -> tuple[datetime, bool, str]:
        """Its place; the greatest stands, and in one instant the objection: the protective side wins."""
        return (self.occurred_at, not self.released, str(self.request_id))
