"""The brake: what is above a limit waits for two people; on a real ledger and registry."""

from dataclasses import replace
from datetime import timedelta
from threading import Thread
from uuid import UUID

import psycopg2
import pytest
from processors.town import HOUR, Town, an_act
from values import CATALOGUE, NOW, a_verification, an_erasure, an_id, received

from olvido.core.acts import Act, Verb
from olvido.core.brake import HeldDecision, HeldFor, Limits, Start
from olvido.core.events import PrivacyRequest
from olvido.core.rights.names import Right
from olvido.ledger.acts import Acts
from olvido.ledger.brake import Brake, Decided
from olvido.ledger.connection import Database
from olvido.ledger.held import Braked, admit
from olvido.processors.handlers.batches import RequestsHandler
from olvido.processors.handlers.held import HeldRequests
from olvido.processors.handlers.verifications import VerificationsHandler
from olvido.processors.requests import NOT_SIGNED

MINUTE = timedelta(minutes=1)


def a_town(registry, dsn, **limits) -> Town:
    return Town(registry, dsn, catalogue=replace(CATALOGUE, limits=Limits(**limits)))


@pytest.fixture
def town(registry, ledger, ledger_dsn) -> Town:
    return a_town(registry, ledger_dsn, erasures_per_hour=5, erasures_per_hour_of_one=3)


def ask(town: Town, *requests: PrivacyRequest, again: bool = False) -> list:
    """Have requests handled, as one batch that nobody has signed; their tasks."""
    before = len(town.sent.records)
    handle = RequestsHandler(
        town.registry,
        town.ledger,
        town.emission(),
        town.catalogue,
        town.seals,
        clock=town.clock,
        due_after=MINUTE,
    )
    batch = [
        received(next(town.offsets), topic="olvido.requests.v1", key=one.subject_id.encode(),
                     value=handle.codec.encode(one))
        for one in requests
    ]  # fmt: skip
    for _ in range(1 + again):  # a batch that comes again asks for the same
        handle(batch)
    return town.tasks(before)


def start(town: Town) -> list:
    """What the timers of the processors do; the tasks that are sent."""
    before = len(town.sent.records)
    HeldRequests(town.registry, town.ledger, town.emission(), town.catalogue, clock=town.clock).run_once()
    town.reconciler().run_once()
    return town.tasks(before)


def sources(tasks) -> set[UUID]:
    return {task.source_id for task in tasks}


def states(town: Town, *numbers: int) -> list[str]:
    return [town.ledger.figures.request(an_id(number))["state"] for number in numbers]


def held(dsn: str) -> dict[UUID, str]:
    with psycopg2.connect(dsn) as connection, connection.cursor() as cursor:
        cursor.execute("select request_id::text, held_for from held")
        return {UUID(request_id): held_for for request_id, held_for in cursor.fetchall()}


def an_hour_passes(dsn: str) -> None:
    """By the database's clock, which counts."""
    with psycopg2.connect(dsn) as connection, connection.cursor() as cursor:
        cursor.execute("update erasures_started set minute = minute - interval '61 minutes'")


@pytest.mark.parametrize("forged", [500, pytest.param(10_000, marks=pytest.mark.proof)])
def test_of_forged_erasures_of_a_valid_producer_the_limit_is_done(registry, ledger, ledger_dsn, forged):
    town = a_town(registry, ledger_dsn, erasures_per_hour=60, erasures_per_hour_of_one=40)
    sent: set[UUID] = set()
    for begin in range(0, forged, 500):
        sent |= sources(ask(town, *(an_erasure(begin + number) for number in range(500))))
    assert len(sent) == 40
    town.now += 2 * HOUR
    assert len(sources(start(town)) | sent) == 40  # the same ones again: nobody has answered
    assert len(held(ledger_dsn)) == forged - 40


def test_what_is_above_a_limit_has_no_tasks_and_says_so(town, ledger_dsn):
    assert sources(ask(town, *map(an_erasure, range(5)))) == {an_id(0), an_id(1), an_id(2)}
    assert states(town, 2, 3, 4) == ["in_progress", "received", "received"]
    assert held(ledger_dsn) == {an_id(3): "erasures_per_hour_of_one", an_id(4): "erasures_per_hour_of_one"}
    assert [status.state for status in town.statuses() if status.request_id == an_id(3)] == ["received"]
    assert list(town.ledger.figures.tasks(an_id(3))) == []


def test_the_limit_for_all_counts_everybody_together(town, ledger_dsn):
    with Database(ledger_dsn, application="tests").transaction() as transaction:
        admit(transaction, [Start(an_id(n), "shop") for n in range(3)], town.catalogue.limits)
    assert sources(ask(town, *map(an_erasure, range(3, 6)))) == {an_id(3), an_id(4)}
    assert held(ledger_dsn) == {an_id(5): "erasures_per_hour"}


def test_other_rights_are_not_counted_and_not_held(town):
    ask(town, *map(an_erasure, range(4)))
    others = [an_erasure(10 + n, right=right) for n, right in enumerate((Right.ACCESS, Right.RESTRICT))]
    assert sources(ask(town, *others)) == {an_id(10), an_id(11)}


def test_a_batch_that_comes_again_counts_once_and_sends_nothing_that_is_held(town, ledger_dsn):
    assert sources(ask(town, *map(an_erasure, range(5)), again=True)) == {an_id(0), an_id(1), an_id(2)}
    an_hour_passes(ledger_dsn)
    assert len(sources(ask(town, *map(an_erasure, range(10, 13)), again=True))) == 3


def test_an_hour_later_others_start_and_what_is_held_does_not(town, ledger_dsn):
    ask(town, *map(an_erasure, range(5)))
    an_hour_passes(ledger_dsn)
    town.now += HOUR
    assert sources(ask(town, an_erasure(10))) == {an_id(10)}
    assert states(town, 3, 4) == ["received", "received"]


def test_an_erasure_that_waited_for_its_verification_is_counted_when_it_starts(town, ledger_dsn):
    waiting = [an_erasure(n, verification_required=True) for n in range(5)]
    assert ask(town, *waiting) == []
    before = len(town.sent.records)
    handle = VerificationsHandler(
        town.registry,
        town.ledger,
        town.emission(),
        town.catalogue,
        town.seals,
        clock=town.clock,
        due_after=MINUTE,
    )
    handle([town._read(handle.codec, a_verification(one, 900 + n)) for n, one in enumerate(waiting)])
    handle.release_crossed()
    assert len(sources(town.tasks(before))) == 3
    assert sorted(held(ledger_dsn).values()) == ["erasures_per_hour_of_one"] * 2
    assert sorted(states(town, *range(5))) == ["in_progress"] * 3 + ["received"] * 2


def test_no_restore_or_reconciler_sends_what_is_held(town, ledger_dsn):
    tasks = ask(town, *map(an_erasure, range(5)))
    town.answer(tasks)
    town.now += HOUR
    before = len(town.sent.records)
    town.declare(since=NOW - HOUR)
    town.reconciler().run_once()
    assert sources(town.tasks(before)) == {an_id(0), an_id(1), an_id(2)}


def test_two_processes_that_save_at_once_start_no_more_than_the_limit(town, ledger_dsn):
    """The second waits for the first one's commit, and counts what it has started."""
    limits, braked = town.catalogue.limits, []
    database = Database(ledger_dsn, application="tests")

    def second() -> None:
        try:
            with Database(ledger_dsn, application="tests").transaction() as transaction:
                admit(transaction, [Start(an_id(9), "shop")], limits)
        except Braked as above:
            braked.append(above.held)

    with database.transaction() as transaction:
        admit(transaction, [Start(an_id(n), "shop") for n in range(3)], limits)
        thread = Thread(target=second)
        thread.start()
        looking = psycopg2.connect(ledger_dsn)
        with looking, looking.cursor() as cursor:
            waits = 0
            while not waits:
                cursor.execute("select count(*) from pg_locks where not granted")
                [(waits,)] = cursor.fetchall()
    thread.join(30)
    looking.close()
    assert braked == [{an_id(9): HeldFor.ERASURES_PER_HOUR_OF_ONE}]


# --- what people decide -------------------------------------------------------------------------


def act_of(who: str, verb: Verb = Verb.RELEASE) -> Act:
    return replace(an_act(verb, NOW), who=who)


def brake_of(dsn: str) -> Brake:
    return Brake(Database(dsn, application="tests"))


def test_one_person_alone_releases_nothing_however_often(town, ledger_dsn):
    ask(town, *map(an_erasure, range(5)))
    brake = brake_of(ledger_dsn)
    for _ in range(2):
        assert brake.decide(act_of("ana@ops"), HeldDecision.RELEASE) == Decided(proposed=2, carried_out=0)
        assert sources(start(town)) & {an_id(3), an_id(4)} == set()
    assert states(town, 3, 4) == ["received", "received"]


def test_two_people_release_what_both_have_seen_and_it_is_not_counted(town, ledger_dsn):
    ask(town, *map(an_erasure, range(5)))
    brake = brake_of(ledger_dsn)
    brake.decide(act_of("ana@ops"), HeldDecision.RELEASE)
    ask(town, an_erasure(6))  # has come since: one person has not seen it
    second = act_of("bo@ops")
    assert brake.decide(second, HeldDecision.RELEASE) == Decided(proposed=1, carried_out=2)
    assert sources(start(town)) == {an_id(3), an_id(4)}
    assert states(town, 3, 4, 6) == ["in_progress", "in_progress", "received"]
    assert start(town) == []
    acts = Acts(Database(ledger_dsn, application="tests")).newest(verb=Verb.RELEASE)
    assert {(one["who"], one["details"]["carried_out"]) for one in acts} == {("ana@ops", 0), ("bo@ops", 2)}


def test_what_was_released_is_done_and_counts_as_any_other(town, ledger_dsn):
    ask(town, *map(an_erasure, range(4)))
    for who in ("ana@ops", "bo@ops"):
        brake_of(ledger_dsn).decide(act_of(who), HeldDecision.RELEASE, ids=[an_id(3)])
    town.answer(start(town))
    assert states(town, 3) == ["fulfilled"]


def test_two_people_discard_and_it_is_refused_and_published(town, ledger_dsn):
    ask(town, *map(an_erasure, range(5)))
    brake = brake_of(ledger_dsn)
    for who in ("ana@ops", "bo@ops"):
        brake.decide(act_of(who, Verb.DISCARD), HeldDecision.DISCARD, asked_by=NOT_SIGNED)
    assert states(town, 3, 4) == ["refused", "refused"]
    assert sources(start(town)) & {an_id(3), an_id(4)} == set()
    assert town.ledger.publications.unended(older_than=timedelta(), limit=10)[1].request_ids == (
        an_id(3), an_id(4),
    )  # fmt: skip


def test_two_people_who_decide_otherwise_decide_nothing(town, ledger_dsn):
    ask(town, *map(an_erasure, range(5)))
    brake = brake_of(ledger_dsn)
    brake.decide(act_of("ana@ops"), HeldDecision.DISCARD)
    assert brake.decide(act_of("bo@ops"), HeldDecision.RELEASE) == Decided(proposed=2, carried_out=0)
    assert brake.decide(act_of("ana@ops"), HeldDecision.RELEASE) == Decided(proposed=0, carried_out=2)


# --- grace, and withdrawal -----------------------------------------------------------------------


@pytest.fixture
def patient(registry, ledger, ledger_dsn) -> Town:
    return a_town(registry, ledger_dsn, erase_after=timedelta(hours=72), erasures_per_hour=2)


def test_within_its_grace_period_no_sink_is_asked_and_after_it_each_is(patient):
    assert ask(patient, an_erasure(1)) == []
    patient.now += timedelta(hours=71)
    assert start(patient) == []
    patient.now += HOUR
    assert sources(start(patient)) == {an_id(1)}
    assert sources(ask(patient, an_erasure(2, right=Right.RESTRICT))) == {an_id(2)}


def test_a_request_that_is_withdrawn_within_its_grace_period_leaves_no_effect(patient, ledger_dsn):
    ask(patient, an_erasure(1))
    state = brake_of(ledger_dsn).withdraw(act_of("ana@ops", Verb.WITHDRAW), an_id(1))
    patient.now += timedelta(hours=80)
    assert (state, start(patient), states(patient, 1)) == ("withdrawn", [], ["withdrawn"])


def test_a_request_that_waits_for_its_verification_can_be_withdrawn(town, ledger_dsn):
    request = an_erasure(1, verification_required=True)
    ask(town, request)
    brake_of(ledger_dsn).withdraw(act_of("ana@ops", Verb.WITHDRAW), an_id(1))
    before = len(town.sent.records)
    handle = VerificationsHandler(
        town.registry,
        town.ledger,
        town.emission(),
        town.catalogue,
        town.seals,
        clock=town.clock,
        due_after=MINUTE,
    )
    handle([town._read(handle.codec, a_verification(request))])
    handle.release_crossed()
    assert (town.tasks(before), states(town, 1)) == ([], ["withdrawn"])


def test_what_sinks_were_asked_for_is_not_withdrawn(town, ledger_dsn):
    ask(town, an_erasure(1))
    acts = Acts(Database(ledger_dsn, application="tests"))
    assert brake_of(ledger_dsn).withdraw(act_of("ana@ops", Verb.WITHDRAW), an_id(1)) == "in_progress"
    assert brake_of(ledger_dsn).withdraw(act_of("ana@ops", Verb.WITHDRAW), an_id(99)) is None
    assert acts.newest(verb=Verb.WITHDRAW) == []


def test_those_whose_grace_period_ends_at_once_are_counted_too(patient, ledger_dsn):
    ask(patient, *map(an_erasure, range(5)))
    patient.now += timedelta(hours=73)
    assert len(sources(start(patient))) == 2
    assert sorted(held(ledger_dsn).values()) == ["erasures_per_hour"] * 3


def test_a_held_request_that_nobody_can_read_holds_up_no_other(patient, ledger_dsn):
    ask(patient, an_erasure(1), an_erasure(2))
    with psycopg2.connect(ledger_dsn) as connection, connection.cursor() as cursor:
        cursor.execute("update events set event = 'x' where source_id = %s", (str(an_id(1)),))
        cursor.execute("update held set held_for = 'newer' where request_id = %s", (str(an_id(1)),))
    patient.now += timedelta(hours=73)
    assert sources(start(patient)) == {an_id(2)}
    assert states(patient, 1) == ["received"]
    assert set(brake_of(ledger_dsn).counts()) == {"newer"}
