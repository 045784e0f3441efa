"""Upstream: people come, decide something, and it is emitted until it is accepted, at a rate, in a thread."""

import random
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import psycopg2
from psycopg2.extras import execute_values

from chaos.journal import Journal, Told
from chaos.people import Part, Person, people
from chaos.stage import Stage
from olvido.core.errors import Unavailable
from olvido.producers import Producer
from olvido.producers.client import Batch

TICK_S = 0.5
REGIONS = ("cn", "sg")
TWICE = 0.05  # how many events are sent once more, as a caller does that never got its answer


class Upstream:
    """Plants people and emits what they decide, at so many people a second, until told to stop."""

    def __init__(self, stage: Stage, journal: Journal, *, first: int, rate: float, seed: int) -> None:
        self.first = self.next = first
        self.accepted = 0
        self._stage = stage
        self._journal = journal
        self._rate = rate
        self._random = random.Random(f"upstream {seed}")
        self._stop = threading.Event()
        self._abandoned = False
        self._thread = threading.Thread(target=self._run, name="upstream", daemon=True)
        self._words: list[tuple[Person, str, datetime, UUID]] = []  # said, and not yet told
        self.error: BaseException | None = None

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def finish(self) -> None:
        """No new people; what is on its way is emitted until it is accepted."""
        self._stop.set()
        self._thread.join()
        if self.error is not None:
            raise self.error

    def abandon(self) -> None:
        """Stop at once, whatever was not accepted: nothing will be compared."""
        self._abandoned = True
        self._stop.set()

    def _run(self) -> None:
        try:
            with Producer.of(self._stage.chain.deployment) as producer:
                owed = 0.0
                while not self._stop.is_set():
                    began = time.monotonic()
                    owed += self._rate * TICK_S
                    new = people(range(self.next, self.next + int(owed)))
                    owed -= len(new)
                    self._plant(new)
                    self.next += len(new)
                    self._emit(producer, new)
                    self._stop.wait(max(0.0, began + TICK_S - time.monotonic()))
                self._emit(producer, ())
        except BaseException as error:  # noqa: BLE001 - told by finish()
            self.error = error

    # --- people come -----------------------------------------------------------------------------

    def _plant(self, new: Sequence[Person]) -> None:
        """Give them rows. A repeat changes nothing: each row's id follows from its person."""
        while not self._abandoned:
            try:
                self._plant_once(new)
            except (psycopg2.Error, sqlite3.Error):
                time.sleep(0.5)  # a victim, too
            else:
                return

    def _plant_once(self, new: Sequence[Person]) -> None:
        rows = {
            ("crm", "customers (id, email, created_at)"): [row for one in new for row in one.customers()],
            ("crm", "tickets (id, customer_id)"): [row for one in new for row in one.ticket_rows()],
            ("store_sg", "accounts (id, email, created_at)"): [row for one in new for row in one.accounts()],
        }
        for (database, table), values in rows.items():
            connection = psycopg2.connect(self._stage.chain.stack.dsn(database), connect_timeout=5)
            try:
                with connection, connection.cursor() as cursor:
                    execute_values(
                        cursor,
                        f"insert into {table} overriding system value values %s on conflict do nothing",
                        values,
                    )
            finally:
                connection.close()
        with self._stage.marketing() as contacts:
            contacts.executemany(
                "insert or ignore into contacts (id, email, email_key, name, list, created_at) "
                "values (?, ?, ?, '', 'news', ?)",
                [
                    (number, email, email, at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"))
                    for one in new
                    for number, email, at in one.contacts()
                ],
            )

    # --- and decide ------------------------------------------------------------------------------

    def _emit(self, producer: Producer, new: Sequence[Person]) -> None:
        said = list(self._said(new))
        if not said:
            return
        batch = producer.batch()
        told: dict[UUID, Told] = {}
        for person, what, at, event_id in said:
            again = 1 + (self._random.random() < TWICE)
            for _ in range(again):
                _say(batch, person, what, at, event_id)
            told[event_id] = Told(
                id=str(event_id), person=person.number, what=what, at=at.isoformat(), subject_id=""
            )
        while not self._abandoned:
            try:
                batch.flush()
            except Unavailable:
                time.sleep(0.2)
                continue  # the ids stay the same
            break
        else:
            return
        subjects = {one.id: one.subject_id for one in batch.accepted}
        # Only what was accepted, and only now: the broker has confirmed each of them.
        self._journal.write(
            Told(id=one.id, person=one.person, what=one.what, at=one.at, subject_id=subjects[event_id])
            for event_id, one in told.items()
        )
        self.accepted += len(told)

    def _said(self, new: Sequence[Person]) -> Iterator[tuple[Person, str, datetime, UUID]]:
        now = datetime.now(UTC)
        for person in new:
            if person.part is Part.ERASED:
                yield person, "erase", now, uuid4()
            elif person.part is Part.TALKS:
                self._words += [(person, what, at, uuid4()) for what, at in _words(person, now)]
        # Told in any order, some of them much later than others.
        self._random.shuffle(self._words)
        keep = 0 if self._stop.is_set() else len(self._words) // 2
        self._words, tell = self._words[:keep], self._words[keep:]
        yield from tell


def _words(person: Person, now: datetime) -> list[tuple[str, datetime]]:
    """What somebody says in the course of time; two of it in the same instant now and then."""
    day = timedelta(days=1)
    words = [("grant", now - 3 * day), ("withdraw", now - 2 * day), ("grant", now - day)]
    match person.number // 5 % 3:
        case 0:
            words.append(("withdraw", now - day))  # the same instant: the withdrawal holds
        case 1:
            words.append(("withdraw", now - day / 2))
    return words


def _say(batch: Batch, person: Person, what: str, at: datetime, event_id: UUID) -> None:
    identities = {"email": person.email}
    match what:
        case "erase":
            batch.request_erasure(
                identities=identities, regions=REGIONS, request_id=event_id, requested_at=at
            )
        case "grant":
            batch.grant_consent(
                identities=identities, purpose="marketing", occurred_at=at, event_id=event_id, regions=REGIONS
            )
        case _:
            batch.withdraw_consent(
                identities=identities, purpose="marketing", occurred_at=at, event_id=event_id, regions=REGIONS
            )
