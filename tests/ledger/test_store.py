"""The ledger on a real PostgreSQL: what is saved once stays once, and holes are found."""

import threading
from dataclasses import replace
from datetime import timedelta

import psycopg2
import pytest
from key_files import UNSIGNED
from values import CATALOGUE, NOW, a_change, a_receipt, an_erasure, an_id, read

from olvido.core.causes import Cause
from olvido.core.consents import states_of
from olvido.core.errors import ConfigError, Unavailable
from olvido.core.events import Decision
from olvido.core.offsets import OffsetRange
from olvido.core.outcomes import Outcome
from olvido.core.receipts import receipt_for, stands
from olvido.core.standing import later
from olvido.ledger import schema
from olvido.ledger.connection import Database, Overtaken
from olvido.ledger.handled_offsets import ranges_of
from olvido.ledger.rows import RequestRow, Try
from olvido.ledger.store import Ledger
from olvido.processors import consents, requests
from olvido.processors.receipts import fold
from olvido.processors.sources import Planned

MINUTE = timedelta(minutes=1)


def saved_requests(ledger: Ledger, batch) -> Planned[RequestRow]:
    known, verified, _ = ledger.requests.known([item.value.request_id for item in batch])
    output = requests.step(
        batch, requests.KnownRequests(requests=known, verifications=verified), CATALOGUE, UNSIGNED, NOW
    )
    ledger.requests.save(
        output.rows,
        output.new_tasks,
        topic="olvido.requests.v1",
        now=NOW,
        due_after=MINUTE,
    )
    return output


def test_migrating_twice_changes_nothing_the_second_time(empty_dsn):
    assert schema.migrate(empty_dsn) == schema.names()
    assert schema.migrate(empty_dsn) == []
    schema.check(empty_dsn)


def test_a_ledger_without_its_migrations_is_refused_with_the_fix(empty_dsn):
    """B62"""
    with pytest.raises(ConfigError, match="olvido ledger migrate"):
        schema.check(empty_dsn)


def test_the_redelivery_law_holds_through_the_database(ledger):
    """What was saved, loaded again, makes the step ask for the same records."""
    batch = [read(an_erasure(number, verification_required=number == 3), number) for number in range(1, 5)]
    first = saved_requests(ledger, batch)
    again = saved_requests(ledger, batch)
    assert again.rows == ()
    assert again.tasks == first.tasks
    assert again.statuses == first.statuses


def test_two_processes_that_save_the_same_id_do_not_both_succeed(ledger):
    output = requests.step(
        [read(an_erasure())],
        requests.KnownRequests(requests={}, verifications={}),
        CATALOGUE,
        UNSIGNED,
        NOW,
    )
    save = {"topic": "olvido.requests.v1", "now": NOW, "due_after": MINUTE}
    rows = output.new_tasks
    ledger.requests.save(output.rows, rows, **save)
    with pytest.raises(Overtaken):
        ledger.requests.save(output.rows, rows, **save)


def test_holes_below_the_committed_offset_are_found(ledger):
    topic = "olvido.requests.v1"
    ledger.progress.add(ranges_of([(topic, 0, offset) for offset in (0, 1, 2, 5, 6, 9)]))
    ledger.progress.add(ranges_of([(topic, 0, offset) for offset in (6, 7)]))
    assert ledger.progress.holes([OffsetRange(topic, 0, 0, 12), OffsetRange(topic, 1, 3, 5)]) == [
        OffsetRange(topic, 0, 3, 5),
        OffsetRange(topic, 0, 8, 9),
        OffsetRange(topic, 0, 10, 12),
        OffsetRange(topic, 1, 3, 5),
    ]


def test_offsets_become_the_fewest_ranges():
    assert ranges_of([("a", 0, 3), ("a", 0, 1), ("a", 0, 2), ("a", 1, 3), ("a", 0, 2), ("b", 0, 4)]) == (
        OffsetRange("a", 0, 1, 4),
        OffsetRange("a", 1, 3, 4),
        OffsetRange("b", 0, 4, 5),
    )


def test_consents_saved_in_any_order_end_in_the_state_of_the_core(ledger):
    """The order of SQL is the order of the core, ties included."""
    changes = [
        a_change(1, Decision.GRANTED, occurred_at=NOW - MINUTE),
        a_change(2, Decision.WITHDRAWN, occurred_at=NOW - MINUTE),
        a_change(3, Decision.GRANTED, occurred_at=NOW - 2 * MINUTE),
        a_change(4, Decision.GRANTED, occurred_at=NOW - MINUTE),
        a_change(5, Decision.WITHDRAWN, occurred_at=NOW - MINUTE),
    ]
    expected = states_of(changes[0])[0]
    for change in changes[1:]:
        expected = later(expected, states_of(change)[0])
    for offset, change in enumerate([*changes, *reversed(changes)]):
        # Each is stepped without knowing of the others, as by two processes at once.
        unknown = consents.KnownConsents(changes={}, states={})
        output = consents.step([read(change, offset)], unknown, CATALOGUE, UNSIGNED, NOW)
        try:
            ledger.consents.save(
                output.rows, output.states, [], topic="olvido.consents.v1", now=NOW,
                due_after=MINUTE,
            )  # fmt: skip
        except Overtaken:
            assert offset >= len(changes)
    _, states, _ = ledger.consents.known([], [(expected.handle, expected.purpose)])
    assert list(states.values()) == [expected]


def settled(ledger: Ledger, *batch) -> None:
    with ledger.recording({receipt.request_id for receipt in batch}) as recording:
        recording.settle(batch, now=NOW)


def test_of_several_receipts_the_first_final_one_stands_as_in_the_core(ledger):
    output = saved_requests(ledger, [read(an_erasure())])
    task = output.tasks[0]
    one = a_receipt(task, Outcome.ERASED, applied_at=NOW)
    two = a_receipt(task, Outcome.FAILED, applied_at=NOW + MINUTE)
    deferred = receipt_for(task, Outcome.DEFERRED, applied_at=NOW - MINUTE)
    standing = deferred
    for receipt in (deferred, two, one, deferred, two):
        settled(ledger, receipt)
        standing = stands(standing, receipt)
        row = next(row for row in ledger.figures.tasks(an_id(1)) if row["sink"] == task.sink)
        assert (row["outcome"], row["applied_at"]) == (standing.outcome.value, standing.applied_at)
    assert standing == two


@pytest.mark.parametrize("otherwise", [{"task_id": an_id(77)}, {"sink": "marketing"}, {"generation": 1}])
def test_a_receipt_settles_no_other_task_than_the_one_it_names(ledger, otherwise):
    crm, marketing = saved_requests(ledger, [read(an_erasure())]).tasks
    foreign, right = a_receipt(replace(crm, **otherwise)), a_receipt(marketing)
    with ledger.recording({an_id(1)}) as recording:
        assert recording.settle([foreign, right], now=NOW) == [right]
        assert recording.refusals([foreign, right]) == [Cause.UNKNOWN_TASK, None]


def test_a_receipt_that_comes_again_is_written_once_and_is_no_conflict(ledger):
    receipt = a_receipt(saved_requests(ledger, [read(an_erasure())]).tasks[0])
    for written in ([receipt], []):
        with ledger.recording({an_id(1)}) as recording:
            assert recording.settle([receipt], now=NOW) == written
            assert recording.refusals([receipt]) == [None]


def test_two_recorders_that_settle_the_last_two_tasks_at_once_leave_a_final_state(ledger):
    """Without taking hold of the request first, each would see the other's task as open."""
    tasks = saved_requests(ledger, [read(an_erasure())]).tasks
    holding, proceed = threading.Event(), threading.Event()

    def record(task, *, wait: bool) -> None:
        with ledger.recording({an_id(1)}) as recording:
            recording.settle([a_receipt(task)], now=NOW)
            if wait:
                holding.set()
                assert proceed.wait(10)
            recording.write_states(fold(recording.heads, recording.outcomes())[0], now=NOW)

    first = threading.Thread(target=record, args=(tasks[0],), kwargs={"wait": True})
    second = threading.Thread(target=record, args=(tasks[1],), kwargs={"wait": False})
    first.start()
    assert holding.wait(10)
    second.start()
    proceed.set()
    first.join(10)
    second.join(10)
    assert ledger.figures.request(an_id(1))["state"] == "fulfilled"


def test_a_task_that_is_due_is_handed_out_once_and_then_postponed(ledger, ledger_dsn):
    saved_requests(ledger, [read(an_erasure())])
    with ledger.tasks.owed(now=NOW, limit=10) as early:
        assert early.owed == []
    late = NOW + 2 * MINUTE
    with ledger.tasks.owed(now=late, limit=10) as due:
        assert sorted(item.sink for item in due.owed) == ["crm", "marketing"]
        with Ledger(Database(ledger_dsn, application="other")).tasks.owed(now=late, limit=10) as others:
            assert others.owed == []
        due.until([Try(attempts=2, due_at=late + MINUTE) for _ in due.owed], now=late)
    with ledger.tasks.owed(now=late, limit=10) as again:
        assert again.owed == []


def test_a_task_with_a_receipt_is_owed_no_more(ledger):
    tasks = saved_requests(ledger, [read(an_erasure())]).tasks
    settled(ledger, a_receipt(tasks[0]))
    with ledger.tasks.owed(now=NOW + 2 * MINUTE, limit=10) as due:
        assert [item.sink for item in due.owed] == [tasks[1].sink]


def test_what_a_sink_has_deferred_is_asked_again_a_day_later(ledger):
    """`deferred` is a promise and not an end."""
    tasks = saved_requests(ledger, [read(an_erasure())]).tasks
    settled(ledger, a_receipt(tasks[0]), receipt_for(tasks[1], Outcome.DEFERRED, applied_at=NOW))
    with ledger.tasks.owed(now=NOW + timedelta(hours=23), limit=10) as early:
        assert early.owed == []
    with ledger.tasks.owed(now=NOW + timedelta(hours=25), limit=10) as due:
        assert [item.sink for item in due.owed] == [tasks[1].sink]


def test_a_database_that_is_down_is_unavailable_and_names_no_password():
    ledger = Ledger(Database("postgresql://olvido:hunter2@127.0.0.1:1/ledger", application="tests"))
    with pytest.raises(Unavailable) as unavailable:
        ledger.figures.overview()
    assert "hunter2" not in str(unavailable.value)


def test_a_connection_that_was_cut_is_opened_anew(ledger, postgres_admin_dsn):
    ledger.figures.overview()
    with psycopg2.connect(postgres_admin_dsn) as connection, connection.cursor() as cursor:
        cursor.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'tests'"
        )
    with pytest.raises(Unavailable):
        ledger.figures.overview()
    assert ledger.figures.overview()["requests"] == 0


def test_an_event_is_kept_to_the_byte(ledger):
    item = read(an_erasure())
    item = replace(item, received=replace(item.received, value=bytes(range(256)) * 5))
    saved_requests(ledger, [item])
    assert ledger.requests.events([an_id(1)]) == {an_id(1): bytes(range(256)) * 5}
