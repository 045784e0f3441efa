"""When the broker took a record: judged, kept with the event, and carried by every task of it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from processors.town import MINUTE, Town
from values import NOW, a_change, an_erasure, an_id

from olvido.broker.contract import Received
from olvido.core.causes import Cause
from olvido.core.dead_letters import REDRIVE_HEADER, Redrive
from olvido.core.events import ConsentChange, Decision, PrivacyRequest
from olvido.core.offsets import Offset
from olvido.core.tasks import Task
from olvido.ledger.connection import Database
from olvido.ledger.figures import Figures
from olvido.processors.handlers.batches import ConsentsHandler, RequestsHandler
from olvido.schemas.codec import dead_letters_codec
from olvido.schemas.topics import DEAD_LETTERS

HOUR = timedelta(hours=1)
GRANTED, WITHDRAWN = Decision.GRANTED, Decision.WITHDRAWN


class Written:
    """Records as the broker holds them, and what comes of reading them."""

    def __init__(self, town: Town) -> None:
        self.town = town

    def record(
        self, event: PrivacyRequest | ConsentChange, at: datetime, *, by_broker: bool = True
    ) -> Received:
        """The record of an event that was taken at an instant."""
        codec = self._handler(event).codec
        record = self.town._read(codec, event)
        return replace(record, timestamp_ms=int(at.timestamp() * 1000), by_broker=by_broker)

    def read(self, event: PrivacyRequest | ConsentChange, *records: Received) -> Sequence[Task]:
        """Have records of one kind of event handled; the tasks that were sent."""
        before = len(self.town.sent.records)
        self._handler(event)(records)
        return self.town.tasks(before)

    def take(self, event: PrivacyRequest | ConsentChange, at: datetime) -> Sequence[Task]:
        """Have an event written, and read at once."""
        return self.read(event, self.record(event, at))

    def causes(self) -> list[Cause]:
        """Of the dead letters that were sent."""
        codec = dead_letters_codec(self.town.registry)
        return [
            codec.decode(record.value).cause
            for record in self.town.sent.records
            if record.topic == DEAD_LETTERS.name
        ]

    def stands(self, person: int = 1) -> Decision:
        """What stands about marketing for a person."""
        handle = a_change(1, person=person).handles[0].value
        _, states, _ = self.town.ledger.consents.known([], [(handle, "marketing")])
        return states[handle, "marketing"].decision

    def figures(self) -> Figures:
        """What is shown to people."""
        return Figures(Database(self.town.dsn, application="tests"))

    def _handler(self, event: PrivacyRequest | ConsentChange) -> RequestsHandler | ConsentsHandler:
        kind = RequestsHandler if isinstance(event, PrivacyRequest) else ConsentsHandler
        town = self.town
        return kind(
            town.registry, town.ledger, town.emission(), town.catalogue, town.seals,
            clock=town.clock, due_after=MINUTE,
        )  # fmt: skip


@pytest.fixture
def written(registry, ledger, ledger_dsn) -> Written:
    return Written(Town(registry, ledger_dsn))


def test_a_fence_from_a_clock_ahead_is_at_most_when_the_broker_took_the_erasure(written: Written) -> None:
    """Whenever its tasks are made: at first, when the reconciler sends them again, or read anew."""
    erasure = an_erasure(requested_at=NOW + 4 * MINUTE)
    record = written.record(erasure, NOW)
    first = written.read(erasure, record)
    assert {(task.occurred_at, task.effective_at) for task in first} == {(NOW + 4 * MINUTE, NOW)}
    written.town.now += 2 * HOUR
    assert written.read(erasure, record) == first
    before = len(written.town.sent.records)
    written.town.reconciler().run_once()
    assert sorted(written.town.tasks(before), key=str) == sorted(first, key=str)


def test_what_is_further_ahead_than_the_setting_is_refused_however_late_it_is_read(written: Written) -> None:
    """By our own clock it is past when a processor that stood for an hour reads it."""
    ahead = an_erasure(requested_at=NOW + 6 * MINUTE)
    written.town.now += HOUR
    assert written.take(ahead, NOW) == []
    assert written.causes() == [Cause.FUTURE]


def test_a_grant_from_a_clock_ahead_does_not_stand_over_a_later_withdrawal(written: Written) -> None:
    """Review B15 (e19): the ledger and each sink are told the same places."""
    grant = written.take(a_change(1, GRANTED, occurred_at=NOW + 4 * MINUTE), NOW)
    withdrawal = written.take(a_change(2, WITHDRAWN, occurred_at=NOW + MINUTE), NOW + MINUTE)
    assert written.stands() is WITHDRAWN
    assert {task.effective_at for task in grant} < {task.effective_at for task in [*grant, *withdrawal]}
    assert max(task.effective_at for task in grant) < min(task.effective_at for task in withdrawal)


def test_a_redriven_grant_keeps_its_place(written: Written) -> None:
    """It was refused as of the future. Its instant is past by now, and the person has withdrawn meanwhile."""
    grant = a_change(1, GRANTED, occurred_at=NOW + 10 * MINUTE)
    refused = written.record(grant, NOW)
    written.read(grant, refused)
    assert written.causes() == [Cause.FUTURE]
    written.take(a_change(2, WITHDRAWN, occurred_at=NOW + MINUTE), NOW + MINUTE)
    origin = Offset(refused.topic, refused.partition, refused.offset)
    header = Redrive(origin, 1, refused.appended_at).header()
    again = replace(written.record(grant, NOW + 11 * MINUTE), headers=((REDRIVE_HEADER, header),))
    written.town.now = NOW + 11 * MINUTE
    assert {task.effective_at for task in written.read(grant, again)} == {NOW}
    assert written.stands() is WITHDRAWN


def test_a_forged_header_of_a_redrive_moves_nothing_to_a_later_place(written: Written) -> None:
    grant = a_change(1, GRANTED, occurred_at=NOW + 4 * MINUTE)
    record = written.record(grant, NOW)
    header = Redrive(Offset(record.topic, record.partition, 0), 1, NOW + HOUR).header()
    tasks = written.read(grant, replace(record, headers=((REDRIVE_HEADER, header),)))
    assert {task.effective_at for task in tasks} == {NOW}


def test_what_came_out_of_an_outbox_hours_later_keeps_its_instant_and_is_shown_as_late(
    written: Written,
) -> None:
    old = an_erasure(1, requested_at=NOW - 3 * HOUR)
    assert {task.effective_at for task in written.take(old, NOW)} == {NOW - 3 * HOUR}
    written.take(an_erasure(2, requested_at=NOW - MINUTE), NOW)
    written.take(a_change(3, WITHDRAWN, occurred_at=NOW - 3 * HOUR), NOW)
    shown = {number: written.figures().request(an_id(number)) for number in (1, 2)}
    assert {number: (row["late"], row["appended_at"]) for number, row in shown.items() if row} == {
        1: (True, NOW),
        2: (False, NOW),
    }
    [consent] = written.figures().consents([a_change(3).handles[0].value])
    assert consent["late"]


def test_where_the_topic_has_its_writers_times_a_record_counts_as_taken_when_it_is_read(
    written: Written, caplog: pytest.LogCaptureFixture
) -> None:
    """A writer could set that time, too. Read once more, its tasks are those of the first time."""
    grant = a_change(1, GRANTED, occurred_at=NOW + 4 * MINUTE)
    record = written.record(grant, NOW + 4 * MINUTE, by_broker=False)
    first = written.read(grant, record)
    assert {task.effective_at for task in first} == {NOW}
    assert "run: olvido topics apply" in caplog.text.lower()
    written.town.now += HOUR
    assert written.read(grant, record) == first
