"""What travels: records read and records written, who carries them, and how far a group has come.

Two carriers keep this contract: ``kafka.py`` and, for simulation, ``memory.py``.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

from olvido.schemas.envelope import Headers


@dataclass(frozen=True, slots=True)
class Received:
    """One record as it was read: raw bytes at their coordinates."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()
    timestamp_ms: int = field(default=0, compare=False)  # 0 where nobody says
    by_broker: bool = field(default=False, compare=False)  # the broker set the timestamp, not the writer

    @property
    def appended_at(self) -> datetime | None:
        """When the broker took it; None where that is not known, since the topic has its writers' times."""
        return datetime.fromtimestamp(self.timestamp_ms / 1000, UTC) if self.by_broker else None


@dataclass(frozen=True, slots=True)
class Record:
    """One record to be written."""

    topic: str
    key: bytes
    value: bytes | None
    headers: Headers = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Lag:
    """How far a group is in one partition."""

    topic: str
    partition: int
    committed: int | None  # None: the group has never committed here
    start: int  # the oldest offset that is still kept
    end: int  # the offset that the next record will get

    @property
    def behind(self) -> int:
        """Records that the group has yet to handle."""
        return max(0, self.end - max(self.start, self.committed or 0))

    @property
    def fell_off(self) -> int:
        """Offsets that retention removed before the group had read them: an alarm, never normal."""
        return max(0, self.start - self.committed) if self.committed is not None else 0


class Publisher(Protocol):
    """Writes records, and says so only when the broker has them."""

    def publish(self, records: Sequence[Record]) -> None:
        """Write all of them and wait for every delivery report.

        A repeat writes them again: readers recognise them by their ids.

        Raises:
            Unavailable: the broker did not confirm all in time; some may be there.
        """
        ...

    def close(self) -> None:
        """Let go of the broker. A repeat does nothing.

        Raises:
            NotDelivered: the broker did not confirm what another thread had begun to write.
        """
        ...


class Handler(Protocol):
    """Handles one batch, durably, before its offsets are committed."""

    def __call__(self, batch: Sequence[Received]) -> None:
        """Do everything the batch asks for. A batch may come again, whole or in part.

        Raises:
            Unavailable: something it needs is down; the loop pauses and brings the batch again.
        """
        ...
