"""Dead letters worked through: sent again, or given up. Each step may be cut short and repeated."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import groupby
from typing import Any

from olvido.broker import admin
from olvido.broker.contract import Publisher, Received, Record
from olvido.broker.reading import digest_of, redrive_of, sent_headers
from olvido.core.dead_letters import ATTEMPTS_MAX, REDRIVE_HEADER, DeadLetter, Redrive
from olvido.core.rates import Pace
from olvido.core.receipts import Outcome
from olvido.ledger.letters import Letters
from olvido.ledger.progress import ranges_of
from olvido.operators.cli.progress import Advance
from olvido.processors.emission import Emission
from olvido.processors.reconciler import answer
from olvido.schemas.settings.deployment import KafkaSection

CHUNK = 200  # letters whose records are held in memory: 12 MB of the largest there may be
BATCHES_PER_S = 10  # how smoothly a rate is kept
DISCARDED = "dead letter discarded by an operator"


class Fate(StrEnum):
    """What became of a letter that was to be redriven."""

    SENT = "sent"
    OWED = "owed"
    GONE = "gone"
    LIMIT = "limit"

    @property
    def meaning(self) -> str:
        """One line for a person."""
        return _MEANING[self]

    @property
    def stays_open(self) -> bool:
        """Whether a person has to decide all the same."""
        return self in {Fate.GONE, Fate.LIMIT}


_MEANING = {
    Fate.SENT: "its record stands on its topic once more",
    Fate.OWED: "its topic does not hold the record any more; the reconciler sends the task anew",
    Fate.GONE: "its topic does not hold the record any more: have it sent anew, or discard it",
    Fate.LIMIT: f"refused {ATTEMPTS_MAX} times: mend the cause and name it with --past-limit, or discard it",
}


@dataclass(frozen=True, slots=True)
class Found:
    """A letter, and its record where its topic still holds the very same bytes."""

    letter: DeadLetter
    record: Received | None


def find(kafka: KafkaSection, letters: Sequence[DeadLetter]) -> Iterator[Found]:
    """Look up the record of each letter, in the order of their topics.

    Raises:
        Unavailable: the broker does not answer.
    """

    def place(letter: DeadLetter) -> tuple[str, int]:
        return letter.topic, letter.partition

    ordered = sorted(letters, key=lambda letter: (*place(letter), letter.offset))
    kept = admin.start_offsets(kafka, sorted({letter.topic for letter in letters}))
    for (topic, partition), here in groupby(ordered, key=place):
        wanted = list(here)
        records: dict[int, Received] = {}
        if (topic, partition) in kept:
            ranges = ranges_of((topic, partition, letter.offset) for letter in wanted)
            records = {
                record.offset: record
                for record in admin.read_range(
                    kafka, topic, partition, [(one.low, one.high) for one in ranges]
                )
            }
        for letter in wanted:
            record = records.get(letter.offset)
            same = record is not None and digest_of(record) == letter.sha256
            yield Found(letter, record if same else None)


class Redriving:
    """Sends the records of dead letters again."""

    def __init__(
        self,
        kafka: KafkaSection,
        letters: Letters,
        publisher: Publisher,
        *,
        rate: float,
        due_after: timedelta,
    ) -> None:
        """
        Args:
            kafka: where the records are.
            letters: knows the dead letters.
            publisher: sends.
            rate: how many a second at most.
            due_after: how long a task may take before the reconciler looks at it.
        """
        self._kafka = kafka
        self._letters = letters
        self._publisher = publisher
        self._pace = Pace(rate)
        self._batch = max(1, int(rate / BATCHES_PER_S))
        self._due_after = due_after

    def look(self, letters: Sequence[DeadLetter], *, past_limit: bool) -> Iterator[tuple[DeadLetter, Fate]]:
        """What would become of letters. Nothing is sent and nothing is changed."""
        for chunk in _chunks(letters, CHUNK):
            for found in find(self._kafka, chunk):
                yield found.letter, self._fate(found, past_limit=past_limit)

    def send(self, letters: Sequence[DeadLetter], *, past_limit: bool) -> Iterator[tuple[DeadLetter, Fate]]:
        """Send the records of letters again, and tell what became of each.

        It may be cut short at any point. A repeat takes up what is still open.

        Raises:
            Unavailable: broker or ledger does not answer. What was told is done.
        """
        for chunk in _chunks(letters, CHUNK):
            for batch in _chunks(list(find(self._kafka, chunk)), self._batch):
                told = [(found, self._fate(found, past_limit=past_limit)) for found in batch]
                self._send([found for found, fate in told if fate is Fate.SENT])
                owed = [found.letter for found, fate in told if fate is Fate.OWED]
                if owed:
                    self._letters.redriven(owed, now=datetime.now(UTC), due_after=timedelta())
                yield from ((found.letter, fate) for found, fate in told)

    def _send(self, batch: Sequence[Found]) -> None:
        if not batch:
            return
        time.sleep(self._pace.take(len(batch), time.monotonic()))
        self._publisher.publish([_again(found) for found in batch])
        # Killed here, the records were sent and their letters are open: they are sent once more, with
        # the same attempt in their headers, and readers tell them by their ids. Marked first, a letter
        # that was never sent would count as redriven, and nobody would look at it again.
        self._letters.redriven(
            [found.letter for found in batch], now=datetime.now(UTC), due_after=self._due_after
        )

    def _fate(self, found: Found, *, past_limit: bool) -> Fate:
        if found.letter.attempts >= ATTEMPTS_MAX and not past_limit:
            return Fate.LIMIT
        if found.record is not None:
            return Fate.SENT
        return Fate.OWED if self._letters.parked([found.letter]) else Fate.GONE


def discard(
    letters: Sequence[DeadLetter], known: Letters, emission: Emission, *, advance: Advance
) -> tuple[int, int]:
    """Give letters up; the tasks that wait because of them are answered as failed.

    Returns:
        How many letters were discarded, and how many tasks were answered.

    Raises:
        Unavailable: broker or ledger does not answer. A repeat goes on where it was.
    """
    discarded = answered = 0
    for chunk in _chunks(letters, CHUNK):
        now = datetime.now(UTC)
        owed = known.parked(chunk)
        emission.send(
            emission.prepare(receipts=[answer(task, Outcome.FAILED, DISCARDED, now) for task in owed])
        )
        # Killed here, the tasks are answered and the letters are open: a repeat gives the same receipts,
        # of which the first stands. The other way round a request would wait for ever.
        discarded += known.discarded(chunk, now=now)
        answered += len(owed)
        advance(len(chunk))
    return discarded, answered


def _again(found: Found) -> Record:
    """A record as it was, with a header that says where it stood first and how often it was refused."""
    record = found.record
    assert record is not None, "what is not there is not sent"
    redrive = Redrive(redrive_of(record).origin, found.letter.attempts)
    headers = [(name, content or b"") for name, content in sent_headers(record)]
    # A record without a key, which nobody can handle either, gets an empty one.
    return Record(
        record.topic, record.key or b"", record.value, (*headers, (REDRIVE_HEADER, redrive.header()))
    )


def _chunks(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (items[start : start + size] for start in range(0, len(items), size))
