"""A backup of a sink was put back; on a real ledger and registry, with the steps around it."""

import threading
from dataclasses import replace
from datetime import timedelta

import psycopg2
import pytest
from processors.town import MINUTE, Town, an_act
from values import CATALOGUE, NOW, a_change, a_receipt, an_erasure, an_id, received

from olvido.broker.reading import dead_letter_of
from olvido.core.acts import Verb
from olvido.core.causes import Cause
from olvido.core.errors import Refused, Unavailable
from olvido.core.lifecycle import RequestState
from olvido.core.outcomes import Outcome
from olvido.core.rights.names import Action, Right
from olvido.core.sinks import OperationKind, Standing
from olvido.ledger.sink_operations import AlreadyOpen
from olvido.processors import reconciler as reconciling
from olvido.processors.receipts import fold
from olvido.schemas.codec import receipts_codec

HOUR = timedelta(hours=1)


@pytest.fixture
def town(registry, ledger, ledger_dsn) -> Town:
    return Town(registry, ledger_dsn)


def state(town: Town, number: int) -> tuple[str, int, int]:
    row = town.ledger.figures.request(an_id(number))
    return (row["state"], row["answered"], row["tasks"])


def test_what_was_done_since_the_backup_is_asked_of_that_sink_again_and_of_no_other(town):
    town.answer(town.ask(an_erasure(1)))  # before the backup: it holds
    town.now += HOUR
    taken_at = town.now
    town.now += HOUR
    town.answer(town.ask(an_erasure(2), an_erasure(3)))
    town.answer(town.ask(a_change(4, person=4)), Outcome.CONSENT_APPLIED)
    town.answer(town.ask(an_erasure(5, right=Right.ACCESS)), Outcome.EXPORTED)  # leaves nothing behind
    town.now += HOUR

    preview = town.restores.preview("crm", backup_taken_at=taken_at, since=taken_at, now=town.now)
    assert preview.answered == {Action.CONSENT: 1, Action.ERASE: 2}
    again = town.declare(since=taken_at)
    assert (again.answered, again.unanswered, again.tasks) == (preview.answered, 0, 3)
    assert [state(town, n) for n in (1, 2, 3, 5)] == [
        ("fulfilled", 2, 2), ("in_progress", 1, 2), ("in_progress", 1, 2), ("fulfilled", 2, 2),
    ]  # fmt: skip
    assert town.operations.standings()["crm"][0] is Standing.UNSAFE

    before = len(town.sent.records)
    assert town.reconciler().run_once() == 3
    sent = town.tasks(before)
    assert {(task.sink, task.generation, task.source_id) for task in sent} == {
        ("crm", 1, an_id(n)) for n in (2, 3, 4)
    }
    # The fence is where it was: what a person did after asking is not touched.
    assert {task.occurred_at for task in sent} == {NOW - MINUTE}
    # Whoever reads the states is told before the sink is.
    told = town.statuses(before)
    assert {(one.request_id, one.state, one.answered) for one in told} == {
        (an_id(n), RequestState.IN_PROGRESS, 1) for n in (2, 3)
    }
    assert town.sent.records[before].topic == "olvido.request-status.v1"

    town.answer([task for task in sent if task.action is Action.ERASE])
    town.reconciler().run_once()
    assert town.operations.standings()["crm"][0] is Standing.UNSAFE
    town.answer([task for task in sent if task.action is Action.CONSENT], Outcome.CONSENT_APPLIED)
    town.reconciler().run_once()
    assert town.operations.standings() == {}
    [row] = town.operations.newest(OperationKind.RESTORE)
    assert (row["state"], row["tasks"], row["answered"]) == ("done", 3, 3)
    assert [state(town, n) for n in (2, 3)] == [("fulfilled", 2, 2)] * 2


def test_a_receipt_that_was_under_way_while_the_backup_was_put_back_hides_nothing(town):
    """The sink did it, the restore undid it, and only then the receipt arrived."""
    tasks = [task for task in town.ask(an_erasure(1)) if task.sink == "crm"]
    town.now += HOUR
    again = town.declare(since=NOW - HOUR)
    assert (again.answered, again.unanswered) == ({}, 1)
    town.answer(tasks)
    assert state(town, 1)[0] == "in_progress"
    before = len(town.sent.records)
    town.reconciler().run_once()
    assert [(task.sink, task.generation) for task in town.tasks(before) if task.generation] == [("crm", 1)]


def test_a_parked_task_that_was_done_all_the_same_is_asked_again(town):
    """It was refused, delivered once more and done; the restore undid it before the receipt arrived."""
    [task] = [task for task in town.ask(an_erasure(1)) if task.sink == "crm"]
    refusal = dead_letter_of(
        received(0), Refused(Cause.STILL_THERE), group="g", now=NOW,
        task_id=task.task_id, source_id=task.source_id,
    )  # fmt: skip
    with town.ledger.recording([]) as recording:
        recording.write_dead_letters([refusal])
    assert town.declare(since=NOW - HOUR).unanswered == 1
    town.answer([task])
    assert state(town, 1)[0] == "in_progress"
    before = len(town.sent.records)
    town.reconciler().run_once()
    assert [(sent.sink, sent.generation) for sent in town.tasks(before) if sent.generation] == [("crm", 1)]


def test_a_recorder_at_work_and_a_restore_take_turns(town, ledger_dsn):
    """The recorder's receipt is of before the restore: its request must not end with it."""
    town.answer(town.ask(an_erasure(1), an_erasure(2)))
    late = [task for task in town.ask(an_erasure(3)) if task.sink == "marketing"]
    looking = psycopg2.connect(ledger_dsn)
    looking.autocommit = True
    with town.ledger.recording([an_id(1), an_id(3)]) as recording:
        declaring = threading.Thread(target=lambda: town.declare(since=NOW))
        declaring.start()
        with looking.cursor() as cursor:
            waits = 0
            while not waits:
                cursor.execute("select count(*) from pg_locks where not granted")
                [(waits,)] = cursor.fetchall()
        recording.settle([a_receipt(task) for task in late], now=town.now)
        recording.write_states(fold(recording.heads, recording.outcomes())[0], now=NOW)
    declaring.join(30)
    looking.close()
    assert [state(town, n)[0] for n in (1, 2, 3)] == ["in_progress"] * 3
    town.reconciler().run_once()
    town.answer(task for task in town.tasks() if task.sink == "crm")
    assert [state(town, n) for n in (1, 2, 3)] == [("fulfilled", 2, 2)] * 3


def test_to_find_nobody_the_second_time_undoes_no_erasure(town):
    """The person was not in the backup."""
    town.answer(town.ask(an_erasure(1)))
    town.declare(since=NOW)
    before = len(town.sent.records)
    town.reconciler().run_once()
    town.answer(town.tasks(before), Outcome.NOT_FOUND)
    assert state(town, 1) == ("fulfilled", 2, 2)
    assert town.statuses()[-1].outcomes["crm"] is Outcome.ERASED


def test_the_same_restore_is_declared_once_while_it_is_open(town):
    town.answer(town.ask(an_erasure(1)))
    town.declare(since=NOW)
    with pytest.raises(AlreadyOpen) as refused:
        town.declare(since=NOW, name="r2")
    assert refused.value.name == "r1"
    with pytest.raises(AlreadyOpen):
        town.restores.preview("crm", backup_taken_at=NOW, since=NOW, now=town.now)
    # An older backup is another restore; what is owed is not asked for once more.
    assert town.declare(since=NOW - HOUR, name="r3").tasks == 0
    assert {row["generation"] for row in town.ledger.figures.tasks(an_id(1))} == {0, 1}


def test_a_restore_that_dies_before_its_end_leaves_nothing(town, ledger_dsn):
    town.answer(town.ask(an_erasure(1)))
    with psycopg2.connect(ledger_dsn) as connection, connection.cursor() as cursor:
        # The last statement of the transaction meets a server that ends.
        cursor.execute(
            "create function die() returns trigger language plpgsql as"
            " $$ begin perform pg_terminate_backend(pg_backend_pid()); return new; end $$;"
            "create trigger die before update on operations for each row execute function die()"
        )
    with pytest.raises(Unavailable):
        town.declare(since=NOW)
    assert town.operations.open() == []
    assert state(town, 1) == ("fulfilled", 2, 2)
    with psycopg2.connect(ledger_dsn) as connection, connection.cursor() as cursor:
        cursor.execute(
            "select (select count(*) from acts), (select count(*) from tasks where generation > 0)"
        )
        assert cursor.fetchone() == (0, 0)


def test_what_cannot_be_done_again_keeps_the_sink_unsafe_until_a_person_closes_it(town):
    town.answer(town.ask(an_erasure(1), an_erasure(2)))
    town.declare(since=NOW)
    before = len(town.sent.records)
    town.reconciler().run_once()
    forgotten, done = town.tasks(before)
    town.answer([forgotten], Outcome.FAILED, detail="forgotten: key cn-2025-01 is destroyed")
    town.answer([done])
    town.reconciler().run_once()
    [row] = town.operations.newest(OperationKind.RESTORE)
    assert (row["answered"], row["forgotten"], row["failed"], row["waiting"]) == (1, 1, 0, 0)
    [left] = town.operations.open_tasks(row["operation_id"], stuck=True, limit=10)
    assert left["task_id"] == forgotten.task_id
    assert town.operations.close(an_act(Verb.CANCEL, town.now), OperationKind.RESTORE, "r1")
    assert town.operations.standings() == {}
    assert not town.operations.close(an_act(Verb.CANCEL, town.now), OperationKind.RESTORE, "r1")


def test_what_was_not_sent_when_a_restore_is_closed_stays_owed(town):
    town.answer(town.ask(an_erasure(1)))
    town.declare(since=NOW)
    town.operations.close(an_act(Verb.CANCEL, town.now), OperationKind.RESTORE, "r1")
    before = len(town.sent.records)
    assert town.reconciler().run_once() == 1
    assert [task.generation for task in town.tasks(before)] == [1]


def test_an_event_that_the_ledger_has_no_more_is_forgotten_and_said(town, ledger_dsn):
    town.answer(town.ask(an_erasure(1)))
    town.declare(since=NOW)
    with psycopg2.connect(ledger_dsn) as connection, connection.cursor() as cursor:
        cursor.execute("delete from events")
    before = len(town.sent.records)
    assert town.reconciler().run_once() == 0
    [told] = [record for record in town.sent.records[before:] if record.topic == "olvido.receipts.v1"]
    town.record([receipts_codec(town.registry).decode(told.value)])
    [row] = town.operations.newest(OperationKind.RESTORE)
    assert (row["forgotten"], row["answered"]) == (1, 0)
    assert state(town, 1) == ("partially_fulfilled", 2, 2)


def test_a_restore_goes_no_further_ahead_than_its_sink_and_not_in_front_of_the_day(town, monkeypatch):
    monkeypatch.setattr(reconciling, "AHEAD_MAX", 5)
    town.answer(town.ask(*(an_erasure(n) for n in range(1, 13))))
    town.ask(an_erasure(20))  # work of the day, without a receipt yet
    town.now += MINUTE
    town.declare(since=NOW)
    before = len(town.sent.records)

    class Counting(dict):
        """What was sent and not yet read."""

        def get(self, topic, _default):
            return sum(record.topic == topic for record in town.sent.records[before:]) - self.read

        read = 0

    town.unread = Counting()
    reconciler = town.reconciler()
    reconciler.run_once(limit=3)
    sent = [(task.source_id, task.generation) for task in town.tasks(before) if task.sink == "crm"]
    assert sent[0] == (an_id(20), 0)
    assert len(sent) == 5
    reconciler.run_once(limit=3)
    assert len([task for task in town.tasks(before) if task.sink == "crm"]) == 5
    Counting.read = 5
    reconciler.run_once(limit=3)
    assert len([task for task in town.tasks(before) if task.sink == "crm"]) == 10


def test_a_worker_that_does_not_know_a_sink_yet_leaves_its_restore_alone(town):
    town.answer(town.ask(an_erasure(1)))
    town.declare(since=NOW)
    old = replace(CATALOGUE, sinks=CATALOGUE.sinks[1:])
    before = len(town.sent.records)
    assert town.reconciler(old).run_once() == 0
    town.reconciler().run_once()
    town.now += 2 * MINUTE  # no receipt in time
    assert town.reconciler(old).run_once() == 0
    assert [record.topic for record in town.sent.records[before:]] == [
        "olvido.request-status.v1", "olvido.tasks.crm.v1",
    ]  # fmt: skip
