"""A record that could not be handled, and why: coordinates and a digest, never a copy.

The record itself stays where it was read; a dead letter is a claim check for it. So
nothing that might hold a person's data in clear is ever copied to a second place.

Redriven, the same bytes stand on the same topic a second time, and a header says where they
stood first. So a reader that has to refuse them again knows which dead letter it is.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Self
from uuid import UUID

from olvido.core.causes import Cause

ATTEMPTS_MAX = 5  # what was refused so often is not sent again by a cause or a topic, only by its own id
REDRIVE_HEADER = "olvido_redrive"

# Bounded on purpose: anybody who may write to a topic may write this header.
_REDRIVE = re.compile(rb"([a-zA-Z0-9._-]{1,249})/(\d{1,9})/(\d{1,18})/([1-9]\d{0,2})")


class LetterState(StrEnum):
    """Where a dead letter stands."""

    OPEN = "open"
    REDRIVEN = "redriven"  # sent again, and not come back since
    DISCARDED = "discarded"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a record stood when it was refused for the first time."""

    topic: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class Redrive:
    """What the header of a redriven record says."""

    origin: Origin
    attempts: int  # how often it had been refused by then

    def header(self) -> bytes:
        """The header's value."""
        origin = self.origin
        return f"{origin.topic}/{origin.partition}/{origin.offset}/{self.attempts}".encode()

    @classmethod
    def parse(cls, value: bytes | None) -> Self | None:
        """Read the header's value; None where it is not of our making."""
        found = _REDRIVE.fullmatch(value or b"")
        if found is None:
            return None
        topic, partition, offset, attempts = found.groups()
        return cls(Origin(topic.decode(), int(partition), int(offset)), int(attempts))


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


def latest(letters: Iterable[DeadLetter]) -> list[DeadLetter]:
    """Of several refusals of one record the one of most attempts; of equals the first.

    So a refusal that is told again, in whichever order, never undoes a later one.
    """
    standing: dict[UUID, DeadLetter] = {}
    for letter in letters:
        first = standing.setdefault(letter.dead_letter_id, letter)
        if letter.attempts > first.attempts:
            standing[letter.dead_letter_id] = letter
    return list(standing.values())


_NEW_ID = "the bytes are spoilt for good: have the upstream service send it anew, then discard this"
_REMEDY = {
    Cause.NULL_VALUE: _NEW_ID,
    Cause.EMPTY: _NEW_ID,
    Cause.TOO_SHORT: _NEW_ID,
    Cause.TOO_LARGE: "have the upstream service send less in one record, then discard this",
    Cause.BAD_MAGIC: "have the upstream service write in Confluent framing, then discard this",
    Cause.UNKNOWN_SCHEMA: "compare the registry (olvido topics diff); once it knows the id, redrive",
    Cause.SCHEMA_NOT_ALLOWED: "if it belongs to this topic: olvido topics apply, then redrive; else discard",
    Cause.TRUNCATED: _NEW_ID,
    Cause.TRAILING_BYTES: _NEW_ID,
    Cause.BAD_UTF8: _NEW_ID,
    Cause.BAD_INDEX: "if a newer version wrote it: upgrade this reader, then redrive; else discard",
    Cause.BAD_TIME: _NEW_ID,
    Cause.BAD_UUID: _NEW_ID,
    Cause.NON_CANONICAL: _NEW_ID,
    Cause.UNSUPPORTED_VERSION: "if a newer version wrote it: upgrade this reader, then redrive; else discard",
    Cause.KEY_MISMATCH: "have the upstream service key it by subject_id and send it anew, then discard",
    Cause.ID_REUSE: "have the upstream service send it under an id of its own, then discard this",
    Cause.FUTURE: "mend the upstream clock; when that instant is past, redrive",
    Cause.BAD_HANDLE: "have the upstream service make handles with the deployment's key, then discard this",
    Cause.UNKNOWN_RIGHT: "upgrade the processors to a version that knows it, then redrive",
    Cause.UNKNOWN_PURPOSE: "declare it in olvido.toml, restart the processors, then redrive; or discard",
    Cause.UNKNOWN_REGION: "declare it in olvido.toml, restart the processors, then redrive; or discard",
    Cause.NO_BOX: "have the upstream service seal a box for each region, then discard this",
    Cause.WRONG_SINK: "find out who wrote it to this topic, then discard this",
    Cause.CANNOT_OPEN: "give the sink the key that box.key_id names, then redrive; a moved box: discard",
    Cause.REFUSED_BY_TARGET: "mend the target or its data map, restart the sink, then redrive",
    Cause.STILL_THERE: "find out what writes the rows back, then redrive",
    Cause.TOO_SLOW: "find the missing index, the trigger, or the program that locks the rows; then redrive",
    Cause.UNKNOWN_TASK: "if the ledger comes from a backup: once it knows the task, redrive; else discard",
    Cause.BAD_COUNT: "mend the sink that counts; the task is asked again by itself; discard this",
}
assert set(_REMEDY) == set(Cause)


def remedy(cause: Cause) -> str:
    """What a person does next, in one line."""
    return _REMEDY[cause]
