"""What is owed is sent again when it is due; on a real ledger and registry."""

from dataclasses import replace
from datetime import timedelta

import pytest
from key_files import UNSIGNED
from values import CATALOGUE, NOW, Journal, a_receipt, an_erasure, an_id, read

from olvido.core.catalogue import Catalogue
from olvido.core.errors import Unavailable
from olvido.core.outcomes import Outcome
from olvido.ledger.connection import Database
from olvido.ledger.sink_operations import SinkOperations
from olvido.ledger.store import Ledger
from olvido.processors import requests
from olvido.processors.emission import Emission
from olvido.processors.reconciler import Reconciler
from olvido.schemas.codec import receipts_codec, requests_codec, tasks_codec

MINUTE = timedelta(minutes=1)
SMALL = replace(CATALOGUE, sinks=CATALOGUE.sinks[:2])


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self):
        return self.now


class Broken(Journal):
    """A broker that is down."""

    def publish(self, records) -> None:
        raise Unavailable("down")


@pytest.fixture
def operations(ledger_dsn) -> SinkOperations:
    return SinkOperations(Database(ledger_dsn, application="tests"))


@pytest.fixture
def world(registry, ledger: Ledger):
    """One request that was saved and whose tasks were never sent."""
    event = an_erasure()
    item = read(event)
    codec = requests_codec(registry)
    item = replace(item, received=replace(item.received, value=codec.encode(event)))
    output = requests.step(
        [item], requests.KnownRequests(requests={}, verifications={}), SMALL, UNSIGNED, NOW
    )
    rows = [replace(row, event=codec.stored(row.event, row.appended_at)) for row in output.rows]
    ledger.requests.save(rows, output.tasks, topic="olvido.requests.v1", now=NOW, due_after=MINUTE)
    return output.tasks


class Written:
    """When the oldest record was written that a group has not read, of the groups that are behind."""

    def __init__(self, **oldest) -> None:
        self.oldest = oldest

    def __call__(self, group, topics, *, written_before):
        reader = group.rpartition(".")[2]
        return int(reader in self.oldest and self.oldest[reader] < written_before)


KEEPING_UP = Written()


def a_reconciler(
    registry, ledger, operations, publisher, clock, *, catalogue: Catalogue = SMALL, unread=KEEPING_UP
):
    return Reconciler(
        registry, ledger, operations, Emission(registry, catalogue, publisher, source="tests"), catalogue,
        seal=lambda receipt: receipt, clock=clock, first_after=MINUTE, unread=unread,
    )  # fmt: skip


def test_a_task_that_was_never_sent_is_sent_when_it_is_due_and_then_less_and_less_often(
    registry, ledger, operations, world
):
    clock, sent = Clock(), Journal()
    reconciler = a_reconciler(registry, ledger, operations, sent, clock)
    assert reconciler.run_once() == 0
    tries = []
    for minute in range(1, 17):
        clock.now = NOW + minute * MINUTE
        if reconciler.run_once():
            tries.append(minute)
    assert tries == [1, 3, 7, 15]
    codecs = {sink.name: tasks_codec(registry, sink.name) for sink in SMALL.sinks}
    decoded = [codecs[record.topic.split(".")[2]].decode(record.value) for record in sent.records]
    assert sorted(decoded[:2], key=lambda task: task.sink) == sorted(world, key=lambda task: task.sink)
    assert {record.key for record in sent.records} == {world[0].subject_id.encode()}


def test_a_sink_that_is_behind_is_not_sent_its_tasks_again(registry, ledger, operations, world):
    clock, sent, unread = Clock(), Journal(), Written(crm=NOW)
    reconciler = a_reconciler(registry, ledger, operations, sent, clock, unread=unread)
    clock.now = NOW + MINUTE
    assert reconciler.run_once() == 1
    assert [record.topic for record in sent.records] == ["olvido.tasks.marketing.v1"]
    unread.oldest.clear()
    clock.now += MINUTE
    assert reconciler.run_once() == 1
    assert {row["sink"]: row["attempts"] for row in ledger.figures.tasks(an_id(1))} == {
        "crm": 2,
        "marketing": 2,
    }


def test_nothing_is_sent_again_while_the_recorder_is_behind_on_receipts(registry, ledger, operations, world):
    """Else a backlog of receipts grows by tasks that are answered long since: in a soak, by 694,186."""
    clock, sent, unread = Clock(), Journal(), Written(recorder=NOW)
    reconciler = a_reconciler(registry, ledger, operations, sent, clock, unread=unread)
    for minute in range(1, 20):
        clock.now = NOW + minute * MINUTE
        assert reconciler.run_once() == 0
    assert {row["attempts"] for row in ledger.figures.tasks(an_id(1))} == {1}
    unread.oldest.clear()
    clock.now += MINUTE
    assert reconciler.run_once() == 2


def test_a_reader_that_keeps_up_and_is_never_done_puts_nothing_off(registry, ledger, operations, world):
    """Where records come without a pause there is always one unread."""
    clock, sent = Clock(), Journal()
    clock.now = NOW + MINUTE
    just_now = clock.now - timedelta(seconds=1)
    unread = Written(crm=just_now, marketing=just_now, recorder=just_now)
    assert a_reconciler(registry, ledger, operations, sent, clock, unread=unread).run_once() == 2


def test_a_broker_that_is_down_makes_it_later_and_not_lost(registry, ledger, operations, world):
    """A crash between noting the try and sending is the same."""
    clock = Clock()
    clock.now = NOW + MINUTE
    with pytest.raises(Unavailable):
        a_reconciler(registry, ledger, operations, Broken(), clock).run_once()
    clock.now += 10 * MINUTE
    sent = Journal()
    assert a_reconciler(registry, ledger, operations, sent, clock).run_once() == 2


def test_a_task_with_a_receipt_is_not_sent_again(registry, ledger, operations, world):
    clock, sent = Clock(), Journal()
    with ledger.recording([an_id(1)]) as recording:
        recording.settle([a_receipt(task) for task in world], now=NOW)
    clock.now = NOW + MINUTE
    assert a_reconciler(registry, ledger, operations, sent, clock).run_once() == 0


def test_the_tasks_of_a_sink_that_was_removed_are_answered_and_not_stuck(registry, ledger, operations, world):
    clock, sent = Clock(), Journal()
    clock.now = NOW + MINUTE
    only_crm = replace(SMALL, sinks=SMALL.sinks[:1])
    assert a_reconciler(registry, ledger, operations, sent, clock, catalogue=only_crm).run_once() == 1
    told = [record for record in sent.records if record.topic == "olvido.receipts.v1"]
    receipt = receipts_codec(registry).decode(told[0].value)
    marketing = next(task for task in world if task.sink == "marketing")
    assert (receipt.outcome, receipt.task_id) == (Outcome.UNSUPPORTED, marketing.task_id)
    with ledger.recording([an_id(1)]) as recording:
        recording.settle([receipt], now=NOW)
        assert recording.outcomes()[an_id(1)]["marketing"] is Outcome.UNSUPPORTED
