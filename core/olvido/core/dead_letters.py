"""A record that could not be handled, and why: coordinates and a digest, never a copy.

The record itself stays where it was read; a dead letter is a claim check for it. So
nothing that might hold a person's data in clear is ever copied to a second place.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from olvido.core.causes import Cause


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """One reader's refusal of one record."""

    dead_letter_id: UUID
    group: str  # the consumer group that refused it
    topic: str
    partition: int
    offset: int
    cause: Cause
    field: str  # the name of the field at fault, or empty
    reason: str
    sha256: bytes  # of the value, so that redriving can tell it is still the same record
    size: int
    attempts: int
    failed_at: datetime
    task_id: UUID | None  # set where the record was a task that could be read
    generation: int
    source_id: UUID | None = None  # the request or consent change that task comes from
