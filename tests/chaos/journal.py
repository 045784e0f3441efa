"""What upstream was told is accepted: in a file of its own, synced before anything else is believed."""

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One event that was accepted."""

    id: str  # request_id or event_id
    person: int
    what: str  # erase, grant or withdraw
    at: str  # when the person said so
    subject_id: str


class Journal:
    """A file that only grows."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("a", encoding="utf-8")

    def write(self, told: Iterable[Told]) -> None:
        """Write down, and return when the disk has it."""
        self._file.writelines(json.dumps(asdict(one)) + "\n" for one in told)
        self._file.flush()
        os.fsync(self._file.fileno())

    def read(self) -> Iterator[Told]:
        """Read the file, not the memory of whoever wrote it."""
        with self.path.open(encoding="utf-8") as file:
            for line in file:
                yield Told(**json.loads(line))

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()
