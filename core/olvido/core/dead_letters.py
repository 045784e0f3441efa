"""A record that could not be handled, and why: coordinates and a digest, never a copy.

The record itself stays where it was read; a dead letter is a claim check for it. So
nothing that might hold a person's data in clear is ever copied to a second place.

Redriven, the same bytes stand on the same topic a second time, and a header says where they
stood first. So a reader that has to refuse them again knows which dead letter it is.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Self
from uuid import UUID

from olvido.core.causes import Cause
from olvido.core.offsets import Offset

ATTEMPTS_MAX = 5  # what was refused so often is not sent again by a cause or a topic, only by its own id
REDRIVE_HEADER = "olvido_redrive"

# Bounded on purpose: anybody who may write to a topic may write this header.
_REDRIVE = re.compile(rb"([a-zA-Z0-9._-]{1,249})/(\d{1,9})/(\d{1,18})/([1-9]\d{0,2})(?:/(\d{1,15}))?")


class LetterState(StrEnum):
    """Where a dead letter stands."""

    OPEN = "open"
    REDRIVEN = "redriven"  # sent again, and not come back since
    DISCARDED = "discarded"


@dataclass(frozen=True, slots=True)
class Redrive:
    """What the header of a redriven record says."""

    origin: Offset
    attempts: int  # how often it had been refused by then
    appended_at: datetime | None = None  # when the broker took it first

    def header(self) -> bytes:
        """The header's value."""
        origin = self.origin
        first = "" if self.appended_at is None else f"/{int(self.appended_at.timestamp() * 1000)}"
        return f"{origin.topic}/{origin.partition}/{origin.offset}/{self.attempts}{first}".encode()

    @classmethod
    def parse(cls, value: bytes | None) -> Self | None:
        """Read the header's value; None where it is not of our making."""
        found = _REDRIVE.fullmatch(value or b"")
        if found is None:
            return None
        topic, partition, offset, attempts, first = found.groups()
        origin = Offset(topic.decode(), int(partition), int(offset))
        appended_at = None if first is None else datetime.fromtimestamp(int(first) / 1000, UTC)
        return cls(origin, int(attempts), appended_at)


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
    sha256: bytes  # of the value, so that a redrive sees whether it is still the same record
    size: int
    attempts: int
    failed_at: datetime
    task_id: UUID | None  # set where the record was a task that could be read
    generation: int
    source_id: UUID | None = None  # the request or consent change that task comes from


def latest(letters: Iterable[DeadLetter]) -> list[DeadLetter]:
    """Of several refusals of one record the one of most attempts; of equals the first.

    So a refusal that is recorded again, in whichever order, never undoes a later one.
    """
    standing: dict[UUID, DeadLetter] = {}
    for letter in letters:
        first = standing.setdefault(letter.dead_letter_id, letter)
        if letter.attempts > first.attempts:
            standing[letter.dead_letter_id] = letter
    return list(standing.values())
