"""Dead letters: found, examined, sent again, given up, exported. Each step may be cut short and repeated."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import groupby
from typing import Any
from uuid import UUID

from olvido.broker import groups
from olvido.broker import ranges as broker_ranges
from olvido.broker.contract import Publisher, Received, Record
from olvido.broker.kafka import KafkaPublisher
from olvido.broker.reading import digest_of, redrive_of, sent_headers
from olvido.core.acts import Act
from olvido.core.causes import Cause
from olvido.core.dead_letters import ATTEMPTS_MAX, REDRIVE_HEADER, DeadLetter, LetterState, Redrive
from olvido.core.errors import InvalidInput
from olvido.core.outcomes import Outcome
from olvido.core.rates import Pace
from olvido.ledger.acts import Acts
from olvido.ledger.handled_offsets import ranges_of
from olvido.ledger.letters import Grouping, KeptLetter, Letters, LetterSelection
from olvido.operators.desk.faults import NotAllowed, NotThere
from olvido.operators.desk.ledger import APPLICATION, database
from olvido.operators.desk.progress import Advance
from olvido.operators.desk.records import RecordReader, topic_named
from olvido.operators.settings import own_signing_file, project
from olvido.processors.emission import Emission
from olvido.processors.reconciler import answer
from olvido.schemas.privacy.sealing import Sealer
from olvido.schemas.registry import Registry
from olvido.schemas.settings.deployment import DESK, Deployment, KafkaSection

CHUNK = 200  # letters whose records are held in memory: 12 MB of the largest there may be
BATCHES_PER_S = 10  # how smoothly a rate is kept
DISCARDED = "dead letter discarded by an operator"


class Fate(StrEnum):
    """What becomes of a letter that is to be redriven."""

    SENT = "sent"
    OWED = "owed"
    GONE = "gone"
    LIMIT = "limit"

    @property
    def stays_open(self) -> bool:
        """Whether a person has to decide all the same."""
        return self in {Fate.GONE, Fate.LIMIT}


@dataclass(frozen=True, slots=True)
class LetterWithRecord:
    """A letter, and its record where its topic still holds the very same bytes."""

    letter: DeadLetter
    record: Received | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """Which dead letters a person means."""

    ids: tuple[UUID, ...] = ()
    cause: Cause | None = None
    topic: str | None = None  # its whole name, or short as in ``tasks.crm``
    every: bool = False

    def __post_init__(self) -> None:
        if self.ids and (self.cause or self.topic or self.every):
            raise InvalidInput("dead letters", "ids by themselves, or a cause and a topic: not both")
        if self.every and (self.cause or self.topic):
            raise InvalidInput(
                "every", "is all of them: leave the cause and the topic out, or leave this out"
            )

    @property
    def name(self) -> str | None:
        """What a person types to confirm an act on all of them; None where each one was named."""
        if self.ids:
            return None
        return "all" if self.every else self.cause.value if self.cause else self.topic

    def selection(self, declared: Deployment) -> LetterSelection:
        """The same as the ledger takes it.

        Raises:
            InvalidInput: there is no such topic.
        """
        return LetterSelection(
            ids=self.ids or None,
            cause=self.cause,
            topic=self.topic and topic_named(declared, self.topic).name,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """How many dead letters are alike."""

    what: str  # the cause, topic or group that they share
    state: LetterState
    letters: int
    attempts_max: int
    oldest_failed_at: datetime
    newest_failed_at: datetime


class Next(StrEnum):
    """What is left to do about one dead letter."""

    NOTHING_DISCARDED = "nothing_discarded"
    NOTHING_REDRIVEN = "nothing_redriven"  # it has not come back
    REDRIVE_TASK = "redrive_task"  # the record is gone; the reconciler sends the task anew
    SEND_ANEW = "send_anew"  # the record is gone, and was no task
    AS_ITS_CAUSE = "as_its_cause"
    AS_ITS_CAUSE_PAST_LIMIT = "as_its_cause_past_limit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """One dead letter, its record as it may be shown, and what is left to do."""

    kept: KeptLetter
    record: Mapping[str, Any] | None  # masked; None where the topic does not hold it any more
    next: Next


@dataclass(frozen=True, slots=True, kw_only=True)
class Redriven:
    """What became of one letter that was to be redriven."""

    letter: DeadLetter
    fate: Fate


@dataclass(frozen=True, slots=True, kw_only=True)
class Discarded:
    """What giving letters up came to."""

    discarded: int
    tasks_failed: int
    refused_again: int  # in the meantime: they stay open


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """One dead letter on its way out; with its record only where that was asked for."""

    kept: KeptLetter
    record: Received | None = None


def newest(
    declared: Deployment, chosen: Chosen, *, state: LetterState | None, limit: int
) -> list[KeptLetter]:
    """Dead letters, newest first; in any state if none is given."""
    return Letters(database(declared)).newest(chosen.selection(declared), state=state, limit=limit)


def counted(declared: Deployment, by: Grouping, chosen: Chosen, *, state: LetterState | None) -> list[Count]:
    """How many there are of each, most first."""
    rows = Letters(database(declared)).counts(by, which=chosen.selection(declared), state=state)
    return [Count(**{**row, "state": LetterState(row["state"])}) for row in rows]


def examine(declared: Deployment, dead_letter_id: UUID) -> Examined:
    """One dead letter: its record with everything masked that could name a person, and what to do.

    Raises:
        NotThere: there is no such dead letter.
    """
    kept = Letters(database(declared)).one(dead_letter_id)
    if kept is None:
        raise NotThere("dead letter", str(dead_letter_id))
    reader = RecordReader(declared)
    [found] = find(declared.kafka, [kept.letter])
    masked = None if found.record is None else reader.masked(reader.see(found.record))
    return Examined(kept=kept, record=masked, next=_next(kept, is_there=found.record is not None))


def _next(kept: KeptLetter, *, is_there: bool) -> Next:
    if kept.state is LetterState.DISCARDED:
        return Next.NOTHING_DISCARDED
    if kept.state is LetterState.REDRIVEN:
        return Next.NOTHING_REDRIVEN
    if not is_there:
        return Next.SEND_ANEW if kept.letter.source_id is None else Next.REDRIVE_TASK
    return Next.AS_ITS_CAUSE_PAST_LIMIT if kept.letter.attempts >= ATTEMPTS_MAX else Next.AS_ITS_CAUSE


def open_letters(declared: Deployment, chosen: Chosen, *, limit: int) -> list[DeadLetter]:
    """The open letters that are meant, oldest first.

    Raises:
        InvalidInput: nothing says which.
        NotThere: one that was named does not exist.
        NotAllowed: one that was named is not open any more.
    """
    if not (chosen.ids or chosen.cause or chosen.topic or chosen.every):
        raise InvalidInput("dead letters", "say which: ids, a cause or a topic")
    known = Letters(database(declared))
    letters = known.open(chosen.selection(declared), limit=len(chosen.ids) or limit)
    for missing in set(chosen.ids) - {letter.dead_letter_id for letter in letters}:
        kept = known.one(missing)
        if kept is None:
            raise NotThere("dead letter", str(missing))
        raise NotAllowed(f"dead letter {missing} is {kept.state.value} already; nothing was done")
    return letters


def redrive(
    declared: Deployment, letters: Sequence[DeadLetter], act: Act | None, *, rate: float, past_limit: bool
) -> Iterator[Redriven]:
    """Send the records of letters again, and say what became of each; without an act, what would.

    It may be cut short at any point. A repeat takes up what is still open.

    Raises:
        Unavailable: broker or ledger does not answer. What was yielded is done.
    """
    known = Letters(database(declared))
    if act is not None:
        # Killed after this line, an act stands there that did nothing: better than one that nobody knows of.
        Acts(database(declared)).record(act)
    with KafkaPublisher(declared.kafka, client_id=APPLICATION) as publisher:
        redriving = Redriving(
            declared.kafka, known, publisher, rate=rate,
            due_after=timedelta(seconds=declared.reconciler.first_after_s),
        )  # fmt: skip
        work = redriving.look if act is None else redriving.send
        for letter, fate in work(letters, past_limit=past_limit):
            yield Redriven(letter=letter, fate=fate)


def export(
    declared: Deployment, chosen: Chosen, act: Act | None, *, state: LetterState | None, limit: int
) -> list[Exported]:
    """Dead letters to be written down; their records too, if there is an act to answer for that."""
    kept = newest(declared, chosen, state=state, limit=limit)
    if act is None:
        return [Exported(kept=one) for one in kept]
    # Before a byte is read: killed after this line, an export stands there that showed nothing.
    Acts(database(declared)).record(act)
    records = {
        found.letter.dead_letter_id: found.record for found in find(declared.kafka, [k.letter for k in kept])
    }
    return [Exported(kept=one, record=records[one.letter.dead_letter_id]) for one in kept]


def find(kafka: KafkaSection, letters: Sequence[DeadLetter]) -> Iterator[LetterWithRecord]:
    """Look up the record of each letter, in the order of their topics.

    Raises:
        Unavailable: the broker does not answer.
    """

    def place(letter: DeadLetter) -> tuple[str, int]:
        return letter.topic, letter.partition

    ordered = sorted(letters, key=lambda letter: (*place(letter), letter.offset))
    kept = groups.start_offsets(kafka, sorted({letter.topic for letter in letters}))
    for (topic, partition), here in groupby(ordered, key=place):
        wanted = list(here)
        records: dict[int, Received] = {}
        if (topic, partition) in kept:
            ranges = ranges_of((topic, partition, letter.offset) for letter in wanted)
            records = {
                record.offset: record
                for record in broker_ranges.read_range(
                    kafka, topic, partition, [(one.low, one.high) for one in ranges]
                )
            }
        for letter in wanted:
            record = records.get(letter.offset)
            same = record is not None and digest_of(record) == letter.sha256
            yield LetterWithRecord(letter, record if same else None)


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
        """Send the records of letters again, and give what became of each.

        It may be cut short at any point. A repeat takes up what is still open.

        Raises:
            Unavailable: broker or ledger does not answer. What was yielded is done.
        """
        for chunk in _chunks(letters, CHUNK):
            for batch in _chunks(list(find(self._kafka, chunk)), self._batch):
                fates = [(found, self._fate(found, past_limit=past_limit)) for found in batch]
                self._send([found for found, fate in fates if fate is Fate.SENT])
                owed = [found.letter for found, fate in fates if fate is Fate.OWED]
                if owed:
                    self._letters.redriven(owed, now=datetime.now(UTC), due_after=timedelta())
                yield from ((found.letter, fate) for found, fate in fates)

    def _send(self, batch: Sequence[LetterWithRecord]) -> None:
        if not batch:
            return
        time.sleep(self._pace.take(len(batch), time.monotonic()))
        self._publisher.publish([_again(found) for found in batch])
        # Killed here, the records were sent and their letters are open: they are sent once more, with
        # the same attempt in their headers, and readers recognise them by their ids. Marked first, a letter
        # that was never sent would count as redriven, and nobody would look at it again.
        self._letters.redriven(
            [found.letter for found in batch], now=datetime.now(UTC), due_after=self._due_after
        )

    def _fate(self, found: LetterWithRecord, *, past_limit: bool) -> Fate:
        if found.letter.attempts >= ATTEMPTS_MAX and not past_limit:
            return Fate.LIMIT
        if found.record is not None:
            return Fate.SENT
        return Fate.OWED if self._letters.parked([found.letter]) else Fate.GONE


def discard(declared: Deployment, letters: Sequence[DeadLetter], act: Act, *, advance: Advance) -> Discarded:
    """Give letters up; the tasks that wait because of them are answered as failed.

    Raises:
        NotAllowed: one is of a task above a limit of its sink: two people decide about that.
        ConfigError: the key of the desk, which signs the answers, is not here.
        Unavailable: broker or ledger does not answer. A repeat goes on where it was.
    """
    above = [letter for letter in letters if letter.cause is Cause.ABOVE_LIMIT]
    if held := Letters(database(declared)).parked(above):
        raise NotAllowed(
            "two people discard what is above a limit of a sink; nothing was done; for the first: "
            f"olvido brake discard {held[0].source_id}"
        )
    sealer = _sealer(declared)
    # Killed after this line, an act stands there that did nothing: better than one that nobody knows of.
    Acts(database(declared)).record(act)
    return _give_up(declared, letters, sealer, advance)


def give_up(declared: Deployment, ids: Sequence[UUID]) -> None:
    """Answer tasks as failed that two people decided to discard, and close their dead letters.

    Raises:
        ConfigError, Unavailable: see :func:`discard`.
    """
    letters = Letters(database(declared)).open(LetterSelection(ids=tuple(ids)), limit=len(ids))
    _give_up(declared, letters, _sealer(declared), lambda _: None)


def _sealer(declared: Deployment) -> Sealer:
    return Sealer(project() / declared.keys.public_dir, own_signing_file(declared, DESK))


def _give_up(
    declared: Deployment, letters: Sequence[DeadLetter], sealer: Sealer, advance: Advance
) -> Discarded:
    known = Letters(database(declared))
    discarded = answered = 0
    with KafkaPublisher(declared.kafka, client_id=APPLICATION) as publisher:
        registry = Registry(declared.registry)
        emission = Emission(registry, declared.catalogue, publisher, source=declared.source)
        for chunk in _chunks(letters, CHUNK):
            now = datetime.now(UTC)
            owed = known.parked(chunk)
            emission.send(
                emission.prepare(
                    receipts=[sealer.sealed(answer(task, Outcome.FAILED, DISCARDED, now)) for task in owed]
                )
            )
            # Killed here, the tasks are answered and the letters are open: a repeat gives the same
            # receipts, of which the first stands. The other way round a request would wait for ever.
            discarded += known.discarded(chunk, now=now)
            answered += len(owed)
            advance(len(chunk))
    return Discarded(discarded=discarded, tasks_failed=answered, refused_again=len(letters) - discarded)


def _again(found: LetterWithRecord) -> Record:
    """A record as it was, with a header that says where it stood first and how often it was refused."""
    record = found.record
    assert record is not None, "what is not there is not sent"
    before = redrive_of(record)
    # The broker takes it a second time. Its decision keeps its place among those made meanwhile.
    redrive = Redrive(before.origin, found.letter.attempts, before.appended_at or record.appended_at)
    headers = [(name, content or b"") for name, content in sent_headers(record)]
    # A record without a key, which nobody can handle either, gets an empty one.
    return Record(
        record.topic, record.key or b"", record.value, (*headers, (REDRIVE_HEADER, redrive.header()))
    )


def _chunks(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (items[start : start + size] for start in range(0, len(items), size))
