"""Records read: each is a value where it was found, or a dead letter. Nothing is lost between the two."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, Protocol, TypeVar
from uuid import UUID

from olvido.broker.contract import Received
from olvido.core.causes import Cause
from olvido.core.dead_letters import REDRIVE_HEADER, DeadLetter, Redrive
from olvido.core.errors import Refused
from olvido.core.ids import dead_letter_id
from olvido.core.offsets import Offset
from olvido.schemas.envelope import check_headers

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Decoder(Protocol[T_co]):
    """What turns bytes into values: a codec."""

    def decode(self, data: bytes | None) -> T_co:
        """
        Raises:
            Refused: the bytes are no such value.
            Unavailable: that is not known now.
        """
        ...


@dataclass(frozen=True, slots=True)
class Read(Generic[T]):
    """A value and the record it was read from."""

    value: T
    received: Received

    @property
    def traceparent(self) -> str:
        """The W3C trace context that came with it, or nothing."""
        for name, content in self.received.headers:
            if name == "traceparent" and content is not None:
                return content.decode("ascii", "replace")
        return ""


def read_batch(
    batch: Sequence[Received],
    codec: Decoder[T],
    *,
    key_of: Callable[[T], str],
    group: str,
    now: datetime,
) -> tuple[list[Read[T]], list[DeadLetter]]:
    """Decode a batch, keeping its order.

    Args:
        batch: records of one topic.
        codec: the topic's codec.
        key_of: what the Kafka key must be for a value.
        group: the consumer group that reads.
        now: when.

    Raises:
        Unavailable: the registry is needed for an id that is new here, and does not answer.
    """
    read: list[Read[T]] = []
    letters: list[DeadLetter] = []
    for received in batch:
        try:
            check_headers(sent_headers(received))
            value = codec.decode(received.value)
            if received.key != key_of(value).encode():
                raise Refused(Cause.KEY_MISMATCH, field="key")
            read.append(Read(value, received))
        except Refused as refused:
            letters.append(dead_letter_of(received, refused, group=group, now=now))
    return read, letters


def dead_letter_of(
    received: Received,
    refused: Refused,
    *,
    group: str,
    now: datetime,
    task_id: UUID | None = None,
    generation: int = 0,
    source_id: UUID | None = None,
) -> DeadLetter:
    """The dead letter of one record: a claim check, with the cause and the field but no value.

    Of a record that was redriven it is the same letter as before, with one attempt more.
    """
    sha256 = digest_of(received)
    before = redrive_of(received)
    origin = before.origin
    return DeadLetter(
        dead_letter_id=dead_letter_id(group, origin.topic, origin.partition, origin.offset, sha256),
        group=group,
        topic=received.topic,
        partition=received.partition,
        offset=received.offset,
        cause=refused.cause,
        field=refused.field,
        reason=refused.reason,
        sha256=sha256,
        size=len(received.value or b""),
        attempts=before.attempts + 1,
        failed_at=now,
        task_id=task_id,
        generation=generation,
        source_id=source_id,
    )


def digest_of(received: Received) -> bytes:
    """SHA-256 of a record's value; a tombstone's is that of nothing."""
    return hashlib.sha256(received.value or b"").digest()


def redrive_of(received: Received) -> Redrive:
    """Where a record stood first, and how often it had been refused when it was sent.

    A header that is not as we write it, is there twice or speaks of another topic is as none: it
    says nothing about the record, which is handled all the same.
    """
    redrives = [Redrive.parse(value) for name, value in received.headers if name == REDRIVE_HEADER]
    match redrives:
        case [Redrive(origin=Offset(topic=received.topic)) as redrive]:
            return redrive
        case _:
            return Redrive(Offset(received.topic, received.partition, received.offset), attempts=0)


def first_appended_at(received: Received, taken_at: datetime) -> datetime:
    """When the broker took a record that may have been redriven: when it took it first.

    Whoever writes records can write that header, but only an earlier time has an effect, and so early an
    instant can be stated in the record itself.

    Args:
        received: the record.
        taken_at: when the broker took it the last time.
    """
    first = redrive_of(received).appended_at
    return taken_at if first is None else min(first, taken_at)


def sent_headers(received: Received) -> tuple[tuple[str, bytes | None], ...]:
    """A record's headers as its writer sent them: without the one that redriving adds.

    Or a record with as many headers as are allowed would be refused for the one we added.
    """
    if REDRIVE_HEADER not in dict(received.headers) or not redrive_of(received).attempts:
        return received.headers
    return tuple(header for header in received.headers if header[0] != REDRIVE_HEADER)
