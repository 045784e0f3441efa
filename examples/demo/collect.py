"""Reads what there is at the end: the systems, the receipts' topic, the ledger, segments and logs."""

import random
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import psycopg2.extras
from confluent_kafka import Consumer, TopicPartition

from demo.evidence import Findings, LetterRow, RequestRow, Story, TaskRow
from olvido.broker.kafka import open_consumer
from olvido.core.lifecycle import RequestState
from olvido.core.outcomes import Outcome
from olvido.core.receipts import Receipt
from olvido.schemas.codec import receipts_codec
from olvido.schemas.registry import Registry
from olvido.schemas.settings.deployment import KafkaSection, RegistrySection
from olvido.schemas.topics import RECEIPTS
from shop.leaks import WORD_BYTES, Leak, Scanner, log_bytes, patterns_of, scan
from shop.people import Cast, Person, make_people
from shop.segments import segment_bytes
from shop.systems import System, Systems, dump_database, opened

READ_S_MAX = 30.0
POLL_S = 0.2
CANARY_SEED = -1  # somebody who is in no story: leaked on purpose, to see the scanner find them


def scanner_for(cast: Cast) -> Scanner:
    """What looks for everybody: in every spelling for those who spoke to Olvido, as text for all."""
    spoke = (*cast.leaving, *cast.consenting)
    return Scanner(
        patterns_of(cast.everybody, thorough=False) | patterns_of(spoke) | patterns_of([_canary()])
    )


def collect(
    story: Story,
    *,
    systems: Systems,
    scanner: Scanner,
    kafka: KafkaSection,
    registry_url: str,
    ledger_dsn: str,
    kafka_folder: Path,
    log_folders: Sequence[Path],
) -> Findings:
    """Read everything. The sink of the DuckDB file must have been stopped: one process may have it open."""
    planted, found = prove(scanner)
    requests, tasks, letters = read_ledger(ledger_dsn)
    traces = Scanner(patterns_of(story.cast.leaving, thorough=False, but=_still_known(story.cast)))
    return Findings(
        after=systems.snapshot(),
        named={system.name: system.find(story.cast.leaving) for system in systems.all},
        traces={system.name: traces_in(system, traces) for system in systems.all},
        journals={system.name: system.journal() for system in systems.all},
        requests=requests,
        tasks=tasks,
        letters=letters,
        receipts=read_receipts(kafka, Registry(RegistrySection(url=registry_url))),
        scans=(
            scan("Kafka", segment_bytes(kafka_folder), scanner),
            scan("ledger", dump_database(ledger_dsn), scanner),
            scan("logs", log_bytes(log_folders), scanner),
        ),
        spellings=len(scanner),
        planted=planted,
        planted_found=found,
    )


def read_ledger(dsn: str) -> tuple[list[RequestRow], list[TaskRow], list[LetterRow]]:
    """Requests, tasks and dead letters."""
    with opened(dsn) as connection, connection, connection.cursor() as cursor:
        psycopg2.extras.register_uuid(conn_or_curs=cursor)  # type: ignore[no-untyped-call]
        cursor.execute("select request_id, state, requested_at, finished_at from requests")
        requests = [
            RequestRow(request_id=one, state=RequestState(state), requested_at=asked, finished_at=done)
            for one, state, asked, done in cursor
        ]
        cursor.execute(
            "select source_id, sink, task_id, generation, action, outcome, counts, applied_at, attempts "
            "from tasks"
        )
        tasks = [
            TaskRow(
                source_id=source, sink=sink, task_id=task, generation=generation, action=action,
                outcome=Outcome(outcome) if outcome else None, counts=counts or {}, applied_at=applied,
                attempts=attempts,
            )
            for source, sink, task, generation, action, outcome, counts, applied, attempts in cursor
        ]  # fmt: skip
        cursor.execute("select topic, cause, sha256 from dead_letters")
        letters = [LetterRow(topic=topic, cause=cause, sha256=bytes(sha)) for topic, cause, sha in cursor]
    return requests, tasks, letters


def read_receipts(kafka: KafkaSection, registry: Registry) -> list[Receipt]:
    """Every receipt that is on the topic, in no particular order.

    Raises:
        Refused: one of them is none.
    """
    codec = receipts_codec(registry)
    consumer = open_consumer(kafka, group="olvido.demo", client_id="olvido-demo")
    try:
        return [codec.decode(value) for value in _values(consumer, RECEIPTS.name)]
    finally:
        consumer.close()


def prove(scanner: Scanner) -> tuple[int, int]:
    """Leak somebody in every spelling into a file, and let the scanner look: how many, and how many found."""
    chance = random.Random(1)
    planted = [pattern for pattern in patterns_of([_canary()]) if len(pattern) >= WORD_BYTES]
    with tempfile.TemporaryDirectory(prefix="olvido-demo-") as folder:
        file = Path(folder) / "leaks.bin"
        file.write_bytes(b"".join(chance.randbytes(chance.randrange(9, 99)) + leak for leak in planted))
        found = {pattern for pattern, _ in scanner.found(file.read_bytes())}
    return len(planted), len(found.intersection(planted))


def traces_in(system: System, scanner: Scanner) -> list[Leak]:
    """Identities in any table of a system, the sink's own tables too."""
    return [leak for where, data in system.dump() for leak in scanner.scan(data, where=where)]


def _canary() -> Person:
    return replace(make_people(CANARY_SEED, 1)[0], number=-1)


def _still_known(cast: Cast) -> Mapping[int, frozenset[str]]:
    """What may still stand there of people who left: of a new life, or of somebody they lived with."""
    every = frozenset({"name"})  # people share names
    known = dict.fromkeys((person.number for person in cast.leaving), every)
    known |= {person.number: every | {"email", "phone"} for person in cast.resigned}
    known |= {leaver.number: every | {"phone"} for leaver, _ in cast.pairs}
    return known


def _values(consumer: Consumer, topic: str) -> Iterator[bytes | None]:
    """The values of all records that are on a topic now."""
    there = consumer.list_topics(topic, timeout=READ_S_MAX).topics[topic].partitions
    places = [TopicPartition(topic, number, 0) for number in there]
    left = sum(_length(consumer, place) for place in places)
    consumer.assign(places)
    give_up_at = time.monotonic() + READ_S_MAX
    while left:
        if time.monotonic() > give_up_at:
            raise TimeoutError(f"{left} records of {topic} did not come within {READ_S_MAX:.0f} s")
        # It returns when it has that many, or after the time: so not with READ_S_MAX.
        for message in consumer.consume(num_messages=1000, timeout=POLL_S):
            if message.error() is None:
                left -= 1
                yield message.value()


def _length(consumer: Consumer, place: TopicPartition) -> int:
    low, high = consumer.get_watermark_offsets(place, timeout=READ_S_MAX)
    return int(high) - int(low)
