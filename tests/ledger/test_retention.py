"""What the ledger forgets, and what it keeps because something needs it. By the real database."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

import psycopg2
import pytest
from key_files import UNSIGNED
from values import CATALOGUE, NOW, a_change, a_receipt, an_erasure, an_id, read, received

from olvido.broker.reading import dead_letter_of
from olvido.core.acts import Act, Verb
from olvido.core.causes import Cause
from olvido.core.errors import Refused
from olvido.core.events import Decision
from olvido.core.outcomes import Outcome
from olvido.core.plan import plan_tasks
from olvido.core.replay import Plan, ReplaySelection, ReplayState
from olvido.core.sinks import OperationKind
from olvido.ledger import letters as keeping
from olvido.ledger import retention as module
from olvido.ledger.backfills import Backfills
from olvido.ledger.connection import Database
from olvido.ledger.letters import Letters
from olvido.ledger.replays import Replays
from olvido.ledger.restores import Restores
from olvido.ledger.retention import REST, Retention
from olvido.ledger.sink_operations import SinkOperations
from olvido.ledger.store import Ledger
from olvido.processors import consents, requests
from olvido.processors.receipts import fold

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
KEPT = 10 * DAY
SINKS = ("crm", "marketing")


class Clock:
    """A clock that is set by hand."""

    now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    """It stands eleven days after what was received at NOW: one day past its time."""
    clock = Clock()
    clock.now = NOW + 11 * DAY
    return clock


@pytest.fixture
def retention(ledger: Ledger, clock: Clock) -> Retention:
    """Keeps ten days."""
    return Retention(ledger.database, keep_events=KEPT, keep_dead_letters=KEPT, clock=clock)


def ask(ledger: Ledger, number: int, *, at: datetime = NOW, done: bool = True, **request: object) -> None:
    """A request that both sinks have carried out, if it is done."""
    output = requests.step(
        [read(an_erasure(number, **request), number)],
        requests.KnownRequests(requests={}, verifications={}), CATALOGUE, UNSIGNED, at,
    )  # fmt: skip
    rows = output.new_tasks
    ledger.requests.save(output.rows, rows, topic="olvido.requests.v1", now=at, due_after=MINUTE)
    if done:
        settle(ledger, number, Outcome.ERASED, at=at)


def settle(ledger: Ledger, number: int, outcome: Outcome, *, at: datetime = NOW, generation: int = 0) -> None:
    tasks = [replace(task, generation=generation) for task in plan_tasks(an_erasure(number), CATALOGUE)]
    with ledger.recording([an_id(number)]) as recording:
        recording.settle([a_receipt(task, outcome, applied_at=at) for task in tasks], now=at)
        recording.write_states(fold(recording.heads, recording.outcomes())[0], now=at)


def change(ledger: Ledger, number: int, decision: Decision, *, at: datetime = NOW) -> None:
    """A consent change that its sinks have followed."""
    output = consents.step(
        [read(a_change(number, decision, occurred_at=at - MINUTE), number)],
        consents.KnownConsents(changes={}, states={}), CATALOGUE, UNSIGNED, at,
    )  # fmt: skip
    rows = output.new_tasks
    ledger.consents.save(
        output.rows, output.states, rows, topic="olvido.consents.v1", now=at, due_after=MINUTE
    )
    with ledger.recording([]) as recording:
        recording.settle(
            [a_receipt(task, Outcome.CONSENT_APPLIED, applied_at=at) for task in output.tasks], now=at
        )


def kept(ledger: Ledger) -> set[int]:
    """The numbers of the events that are there."""
    numbers = {an_id(number): number for number in range(1, 2000)}
    with psycopg2.connect(ledger.database._dsn) as connection, connection.cursor() as cursor:
        cursor.execute("select source_id from events")
        return {numbers[UUID(str(source_id))] for (source_id,) in cursor.fetchall()}


def an_act(number: int = 70) -> Act:
    return Act(act_id=an_id(number), at=NOW, who="ana@ops", verb=Verb.BACKFILL, reason="OPS-1", details={})


def test_an_event_goes_when_its_request_was_finished_longer_ago_than_events_are_kept(ledger, retention):
    ask(ledger, 1)
    ask(ledger, 2, at=NOW + 2 * DAY)
    assert retention.run_once() == 1
    assert kept(ledger) == {2}
    # What was asked and what was done stay: they prove it, and hold no identity.
    assert ledger.figures.request(an_id(1))["state"] == "fulfilled"
    assert {row["outcome"] for row in ledger.figures.tasks(an_id(1))} == {"erased"}


def test_an_event_counts_from_the_day_its_request_was_finished(ledger, retention):
    ask(ledger, 1, done=False)
    settle(ledger, 1, Outcome.ERASED, at=NOW + 2 * DAY)
    assert retention.run_once() == 0
    assert kept(ledger) == {1}


def test_what_an_open_request_still_needs_is_kept(ledger, retention):
    ask(ledger, 1, done=False)
    ask(ledger, 2, verification_required=True, done=False)
    ask(ledger, 3, done=False)
    settle(ledger, 3, Outcome.DEFERRED)
    assert retention.run_once() == 0
    assert kept(ledger) == {1, 2, 3}


def test_a_consent_is_kept_as_long_as_it_stands(ledger, retention):
    change(ledger, 20, Decision.GRANTED, at=NOW - DAY)
    change(ledger, 21, Decision.WITHDRAWN, at=NOW)
    assert retention.run_once() == 1
    assert kept(ledger) == {21}


def test_what_a_restore_asks_for_again_is_kept_until_it_is_answered(ledger, retention, clock):
    ask(ledger, 1)
    ask(ledger, 2)
    Restores(ledger.database).declare(
        an_act(), operation_id=an_id(80), name="restore-crm", sink="crm",
        backup_taken_at=NOW - DAY, since=NOW - DAY,
    )  # fmt: skip
    assert retention.run_once() == 0
    assert kept(ledger) == {1, 2}
    settle(ledger, 1, Outcome.ERASED, at=NOW, generation=1)
    clock.now += REST
    assert retention.run_once() == 1
    assert kept(ledger) == {2}


def a_replay(ledger: Ledger) -> Callable[[], object]:
    replays = Replays(ledger.database)
    plan = Plan(
        cluster_id="c", ledger_id="l", selection=ReplaySelection(), issued=SINKS, places=(),
        sinks=(), waiting=0, rate=1.0, windows=(),
    )  # fmt: skip
    assert replays.save(an_id(81), "replay-1", plan, now=NOW)
    return lambda: replays.move(an_id(81), ReplayState.CANCELLED, now=NOW)


def a_backfill(ledger: Ledger) -> Callable[[], object]:
    Backfills(ledger.database).join(
        an_act(), operation_id=an_id(82), name="backfill-ads", sink="ads", purposes=[]
    )
    operations = SinkOperations(ledger.database)
    return lambda: operations.close(an_act(71), OperationKind.BACKFILL, "backfill-ads")


@pytest.mark.parametrize("begin", [a_replay, a_backfill])
def test_no_event_goes_while_a_replay_or_a_backfill_is_open(ledger, retention, clock, begin):
    ask(ledger, 1)
    end = begin(ledger)
    assert retention.run_once() == 0
    assert kept(ledger) == {1}
    assert end()
    clock.now += REST
    assert retention.run_once() == 1
    assert kept(ledger) == set()


def test_nothing_goes_while_somebody_begins_an_operation(ledger, retention, ledger_dsn):
    """A restore that is not committed yet has tasks that nobody else sees: nothing is deleted beside it."""
    ask(ledger, 1)
    with Database(ledger_dsn, application="tests").transaction() as beginning:
        module.keep_events(beginning)
        assert retention.run_once() == 0
    assert retention.run_once() == 1


def test_a_dead_letter_goes_when_it_was_decided_about_and_never_before(ledger, retention):
    found = [
        dead_letter_of(received(offset), Refused(Cause.BAD_UUID), group="g", now=NOW) for offset in range(3)
    ]
    with ledger.recording([]) as recording:
        keeping.keep(recording._transaction, found)
    letters = Letters(ledger.database)
    letters.discarded(found[:1], now=NOW)
    letters.discarded(found[1:2], now=NOW + 2 * DAY)
    assert retention.run_once() == 1
    left = {one.letter.dead_letter_id: one.state for one in letters.newest(state=None, limit=9)}
    assert {found[1].dead_letter_id: "discarded", found[2].dead_letter_id: "open"} == left


def test_a_crash_between_batches_leaves_the_rest_to_the_next_look(ledger, retention, clock, monkeypatch):
    for number in range(1, 8):
        ask(ledger, number)
    monkeypatch.setattr(module, "BATCHES_MAX", 1)
    assert retention.run_once(limit=3) == 3  # and here its process dies
    assert len(kept(ledger)) == 4
    following = Retention(ledger.database, keep_events=KEPT, keep_dead_letters=KEPT, clock=clock)
    assert [following.run_once(limit=3) for _ in range(3)] == [3, 1, 0]
    assert kept(ledger) == set()


def test_a_crash_within_a_batch_leaves_all_of_it(ledger, retention, monkeypatch):
    for number in range(1, 4):
        ask(ledger, number)

    forget = Retention._forget_events

    def then_dies(self, *arguments):
        forget(self, *arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(Retention, "_forget_events", then_dies)
    with pytest.raises(KeyboardInterrupt):
        retention.run_once()
    assert kept(ledger) == {1, 2, 3}


def test_after_a_whole_pass_it_rests(ledger, retention, clock):
    assert retention.run_once() == 0
    ask(ledger, 1)
    assert retention.run_once() == 0
    clock.now += REST
    assert retention.run_once() == 1
