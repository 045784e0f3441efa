"""Which receipt of a task stands, and which is refused; on a real ledger and registry."""

from datetime import timedelta
from hashlib import sha256

import psycopg2
import pytest
from processors.town import HOUR, Town
from values import NOW, a_change, an_erasure, an_id

from olvido.core.causes import Cause
from olvido.core.dead_letters import DeadLetter
from olvido.core.looks import LookResult
from olvido.core.outcomes import Outcome
from olvido.core.receipts import receipt_for
from olvido.core.tasks import Task
from olvido.ledger.letters import Letters
from olvido.schemas.codec import dead_letters_codec

DAY = timedelta(days=1)
REFUSED = Cause.NOT_IN_SCOPE
LONG_AGO = NOW.replace(year=2001)


@pytest.fixture
def town(registry, ledger, ledger_dsn) -> Town:
    return Town(registry, ledger_dsn)


def causes(town: Town, since: int = 0) -> list[tuple[Cause, str]]:
    codec = dead_letters_codec(town.registry)
    letters = [codec.decode(one.value) for one in town.sent.records[since:] if one.topic == codec.topic.name]
    return [(letter.cause, letter.field) for letter in letters]


def outcomes(town: Town, task: Task) -> list[tuple[int, str | None]]:
    rows = [row for row in town.ledger.figures.tasks(task.source_id) if row["sink"] == task.sink]
    return [(row["generation"], row["outcome"]) for row in rows]


@pytest.mark.parametrize("apart", [timedelta(), 300 * DAY], ids=["in one batch", "300 days later"])
def test_the_first_final_receipt_stands_and_another_one_is_a_conflict(town, apart):
    """Whatever instant the second one names: the one that says it was applied first used to win."""
    crm, marketing = town.ask(an_erasure(1))
    town.answer([marketing])
    first = receipt_for(crm, Outcome.RETAINED, applied_at=town.now, detail="orders: 10 years")
    forged = receipt_for(crm, Outcome.ERASED, applied_at=NOW - timedelta(seconds=30), verified_at=NOW)
    if apart:
        town.record([first])
        town.now += apart
        town.record([forged])
    else:
        town.record([first, forged])
    assert outcomes(town, crm) == [(0, "retained")]
    assert town.ledger.figures.request(an_id(1))["state"] == "partially_fulfilled"
    assert causes(town) == [(Cause.CONFLICT, "outcome")]


def test_an_identical_receipt_is_nothing(town):
    crm, _ = town.ask(an_erasure(1))
    receipt = receipt_for(crm, Outcome.ERASED, applied_at=town.now, counts={"a": 1, "b": 2})
    town.record([receipt, receipt])
    town.now += HOUR
    town.record([receipt])
    assert causes(town) == []


def test_a_final_receipt_comes_over_a_deferred_one_and_not_under_it(town):
    crm, _ = town.ask(an_erasure(1))
    deferred = receipt_for(crm, Outcome.DEFERRED, applied_at=town.now)
    final = receipt_for(crm, Outcome.ERASED, applied_at=town.now)
    town.record([deferred])
    town.record([deferred, final, deferred])
    assert (outcomes(town, crm), causes(town)) == ([(0, "erased")], [])


def test_the_receipt_of_a_later_generation_corrects_the_one_before(town):
    """A sink that looks again and finds the person is asked again; what it then answers is no conflict."""
    crm, _ = town.ask(an_erasure(1))
    town.answer([crm])
    town.now += HOUR
    town.look_again([crm], LookResult.FOUND_AGAIN)
    before = len(town.sent.records)
    town.now += HOUR
    town.reconciler().run_once()
    town.answer([task for task in town.tasks(before) if task.sink == "crm"], Outcome.RETAINED)
    assert (outcomes(town, crm), causes(town)) == ([(0, "erased"), (1, "retained")], [])


@pytest.mark.parametrize(
    ("applied_at", "cause"),
    [
        (LONG_AGO, Cause.BEFORE_REQUEST),
        (NOW - timedelta(minutes=11, seconds=1), Cause.BEFORE_REQUEST),
        (NOW + timedelta(minutes=5, seconds=1), Cause.FUTURE),
    ],
)
def test_a_receipt_of_work_before_it_was_asked_for_or_that_is_still_to_come_is_refused(
    town, applied_at, cause
):
    crm, _ = town.ask(an_erasure(1, requested_at=NOW - timedelta(minutes=1)))
    town.record([receipt_for(crm, Outcome.ERASED, applied_at=applied_at, verified_at=applied_at)])
    assert outcomes(town, crm) == [(0, None)]  # it is owed still, and is asked for again
    assert causes(town) == [(cause, "applied_at")]


@pytest.mark.parametrize("apart", [timedelta(minutes=-10), timedelta(minutes=4)])
def test_clocks_may_differ_by_what_is_allowed(town, apart):
    """Five minutes each: the upstream service's is ahead of ours, the target's behind it."""
    crm, _ = town.ask(an_erasure(1, requested_at=NOW))
    town.record([receipt_for(crm, Outcome.ERASED, applied_at=NOW + apart)])
    assert (outcomes(town, crm), causes(town)) == ([(0, "erased")], [])


def test_a_restore_asks_again_for_what_we_received_since_whatever_the_targets_clock_said(town):
    """A target whose clock is behind used to lose the erasures of that time for good."""
    taken_at = town.now
    town.now += timedelta(minutes=2)
    [crm, _] = town.ask(an_erasure(1, requested_at=town.now))
    [word, _] = town.ask(a_change(2, occurred_at=town.now))
    behind = taken_at - timedelta(minutes=3)
    town.record(
        [
            receipt_for(crm, Outcome.ERASED, applied_at=behind),
            receipt_for(word, Outcome.SUPPRESSED, applied_at=behind - 300 * DAY),
        ]
    )
    assert town.declare(since=taken_at).tasks == 2


def test_a_restore_knows_receipts_that_an_older_version_recorded(town, ledger_dsn):
    """Their time of receipt was not kept: there the target's own counts, as it did then."""
    taken_at = town.now - HOUR
    town.answer(town.ask(an_erasure(1)))
    with psycopg2.connect(ledger_dsn) as connection, connection.cursor() as cursor:
        cursor.execute("update tasks set answered_at = null")
    assert town.declare(since=taken_at).tasks == 1
    assert town.declare(sink="marketing", since=town.now + HOUR, name="r2").tasks == 0


def a_letter(
    number: int, *, group: str = "olvido.sink.crm", topic: str = "olvido.tasks.crm.v1"
) -> DeadLetter:
    return DeadLetter(
        dead_letter_id=an_id(700 + number), group=group, topic=topic, partition=0, offset=number,
        cause=Cause.CANNOT_OPEN, field="box", reason="", sha256=sha256(b"x").digest(), size=1, attempts=1,
        failed_at=NOW, task_id=None, generation=0,
    )  # fmt: skip


def test_a_dead_letter_about_a_record_that_its_reader_does_not_read_is_not_kept(town):
    """Its writer would have an operator write the record again, to any topic: an old state, a payment."""
    forged = [
        a_letter(1, topic="olvido.request-status.v1"),
        a_letter(2, group="olvido.processors", topic="olvido.request-status.v1"),
        a_letter(3, group="payments", topic="payments"),
        a_letter(4, topic="olvido.tasks.marketing.v1"),
        a_letter(5, group="olvido.sink.", topic="olvido.canaries.v1"),
    ]
    own = [
        a_letter(6),
        a_letter(7, group="olvido.sink.gone", topic="olvido.tasks.gone.v1"),
        a_letter(8, group="olvido.processors", topic="olvido.verifications.v1"),
        a_letter(9, group="olvido.recorder", topic="olvido.dead-letters.v1"),
    ]
    town.record_letters([*forged, *own])
    kept = [one.letter for one in Letters(town.ledger.database).newest(limit=100)]
    assert {one.dead_letter_id for one in own} == {
        one.dead_letter_id for one in kept if one.cause is not REFUSED
    }
    assert [(one.topic, one.field) for one in kept if one.cause is REFUSED] == (
        [("olvido.dead-letters.v1", "topic")] * len(forged)
    )
    assert causes(town) == []
