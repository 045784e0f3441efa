"""What happened in a world, in order, as plain values: what the checker reads and a failure prints."""

import hashlib
from dataclasses import dataclass, field
from typing import Any

Event = tuple[Any, ...]


@dataclass
class History:
    """An append-only list of (seconds, what, …)."""

    events: list[Event] = field(default_factory=list)
    logs: list[str] = field(default_factory=list)

    def note(self, seconds: float, what: str, *details: Any) -> None:
        """Write down that something happened."""
        self.events.append((round(seconds, 3), what, *details))

    def of(self, what: str) -> list[Event]:
        """All that happened of one kind."""
        return [event for event in self.events if event[1] == what]

    def digest(self) -> str:
        """The same for the same seed, whatever the machine and the hash seed."""
        digest = hashlib.sha256()
        for event in self.events:
            digest.update(repr(event).encode())
        return digest.hexdigest()
