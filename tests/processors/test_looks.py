"""Sinks look again for people they erased; on a real ledger and registry, with the steps around it."""

from dataclasses import replace
from datetime import timedelta

import pytest
from processors.town import HOUR, MINUTE, Town
from values import an_erasure, an_id

from olvido.core.causes import Cause
from olvido.core.lifecycle import RequestState
from olvido.core.looks import LookResult, NotVerified, reapplied_of
from olvido.core.outcomes import Outcome
from olvido.core.receipts import receipt_for
from olvido.schemas.codec import dead_letters_codec


@pytest.fixture
def town(registry, ledger, ledger_dsn) -> Town:
    return Town(registry, ledger_dsn)


def state(town: Town, number: int) -> tuple[str, int, int]:
    row = town.ledger.figures.request(an_id(number))
    return (row["state"], row["answered"], row["tasks"])


def of_crm(tasks):
    return [task for task in tasks if task.sink == "crm"]


def letters(town: Town, since: int):
    codec = dead_letters_codec(town.registry)
    sent = [record for record in town.sent.records[since:] if record.topic == codec.topic.name]
    return [codec.decode(record.value).cause for record in sent]


def test_a_look_that_finds_nobody_changes_no_request(town):
    tasks = town.ask(an_erasure(1))
    town.answer(tasks)
    town.now += HOUR
    before = len(town.sent.records)
    town.look_again(of_crm(tasks))
    assert state(town, 1) == ("fulfilled", 2, 2)
    assert town.sent.records[before:] == []


def test_who_is_found_again_is_asked_for_again_and_the_request_says_so_meanwhile(town):
    tasks = town.ask(an_erasure(1), an_erasure(2))
    town.answer(tasks)
    town.now += HOUR
    before = len(town.sent.records)
    town.look_again([task for task in of_crm(tasks) if task.source_id == an_id(1)], LookResult.FOUND_AGAIN)
    assert [state(town, n) for n in (1, 2)] == [("in_progress", 1, 2), ("fulfilled", 2, 2)]
    [status] = town.statuses(before)
    assert (status.request_id, status.state) == (an_id(1), RequestState.IN_PROGRESS)

    assert town.reconciler().run_once() == 1
    [again] = town.tasks(before)
    assert (again.sink, again.generation, again.task_id) == ("crm", 1, of_crm(tasks)[0].task_id)
    assert again.occurred_at == tasks[0].occurred_at  # the fence is where it was: a new life is not touched
    town.answer([again])
    assert state(town, 1) == ("fulfilled", 2, 2)


def test_a_look_that_comes_again_asks_no_second_time(town):
    tasks = of_crm(town.ask(an_erasure(1)))
    town.answer(tasks)
    town.now += HOUR
    look = town.look_again(tasks, LookResult.FOUND_AGAIN)
    town.record_looks([look])
    town.now += MINUTE  # the sink was killed before it noted that it had looked: it looked once more
    town.look_again(tasks, LookResult.FOUND_AGAIN)
    before = len(town.sent.records)
    town.reconciler().run_once()
    assert [task.generation for task in of_crm(town.tasks(before))] == [1]


def test_of_a_generation_that_is_not_the_newest_nothing_is_asked_again(town):
    """A restore has asked already: what the look found is erased by that."""
    tasks = of_crm(town.ask(an_erasure(1)))
    town.answer(tasks)
    town.now += HOUR
    town.declare(since=town.now - 2 * HOUR)
    town.look_again(tasks, LookResult.FOUND_AGAIN)
    before = len(town.sent.records)
    town.reconciler().run_once()
    assert [task.generation for task in of_crm(town.tasks(before))] == [1]


@pytest.mark.parametrize("result", [LookResult.UNDECIDED, LookResult.NOT_LOOKED])
def test_what_cannot_be_decided_is_not_asked_again(town, result):
    tasks = town.ask(an_erasure(1))
    town.answer(tasks)
    town.now += HOUR
    town.look_again(of_crm(tasks), result)
    assert state(town, 1) == ("fulfilled", 2, 2)


def test_a_look_that_comes_before_the_receipt_of_what_it_found_hides_nothing(town):
    tasks = of_crm(town.ask(an_erasure(1)))
    town.look_again(tasks, LookResult.FOUND_AGAIN)
    town.answer(tasks, Outcome.ERASED)
    assert state(town, 1)[0] == "in_progress"


def test_a_look_that_names_no_task_there_is_becomes_a_dead_letter_and_the_rest_of_it_stands(town):
    tasks = town.ask(an_erasure(1))
    town.answer(tasks)
    town.now += HOUR
    look = town.look_again(of_crm(tasks))
    stranger = NotVerified(request_id=an_id(9), generation=0, result=LookResult.FOUND_AGAIN)
    back = NotVerified(request_id=an_id(1), generation=0, result=LookResult.FOUND_AGAIN)
    before = len(town.sent.records)
    town.record_looks([replace(look, look_id=an_id(77), not_verified=(stranger, back))])
    assert letters(town, before) == [Cause.UNKNOWN_TASK]
    assert state(town, 1)[0] == "in_progress"


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"looked_at": HOUR}, Cause.FUTURE),
        ({"applied_to": 2 * HOUR}, Cause.BAD_TIME),  # it says that it looked before the erasure
        ({"applied_from": -timedelta(days=365 * 40)}, Cause.BAD_TIME),
    ],
)
def test_a_look_that_cannot_be_true_is_refused(town, changes, cause):
    tasks = town.ask(an_erasure(1))
    town.answer(tasks)
    town.now += HOUR
    look = town.look_again(of_crm(tasks))
    moved = {name: getattr(look, name) + by for name, by in changes.items()}
    back = NotVerified(request_id=an_id(1), generation=0, result=LookResult.FOUND_AGAIN)
    before = len(town.sent.records)
    town.record_looks([replace(look, look_id=an_id(78), not_verified=(back,), **moved)])
    assert letters(town, before) == [cause]
    assert state(town, 1)[0] == "fulfilled"


def shown(town: Town, number: int, sink: str = "crm"):
    """Of each generation: when it was verified, and when it was found again."""
    rows = [row for row in town.ledger.figures.tasks(an_id(number)) if row["sink"] == sink]
    [*told] = town.ledger.figures.story(an_id(number))["tasks"]
    assert [row["verified_at"] for row in told if row["sink"] == sink] == [row["verified_at"] for row in rows]
    return [(row["verified_at"], row["found_again_at"]) for row in rows]


def verified(town: Town) -> dict[object, int]:
    """As the list of requests has it: at how many sinks each is verified."""
    rows = town.ledger.figures.requests(now=town.now, limit=10)
    return {row["request_id"]: row["verified"] for row in rows}


def test_verified_is_what_a_later_look_says_and_not_that_it_was_read_back(town):
    tasks = town.ask(an_erasure(1))
    town.record([replace(receipt_for(task, Outcome.ERASED, applied_at=town.now), verified_at=town.now)
                 for task in tasks])  # fmt: skip
    assert shown(town, 1) == [(None, None)]
    assert verified(town) == {an_id(1): 0}
    assert town.ledger.figures.tasks(an_id(1))[0]["read_back_at"] == town.now
    town.now += HOUR
    town.look_again(of_crm(tasks))
    assert shown(town, 1) == [(town.now, None)]
    assert verified(town) == {an_id(1): 1}
    assert shown(town, 1, "marketing") == [(None, None)]  # another sink's looks say nothing of it


def test_of_many_that_a_look_speaks_of_those_it_names_are_not_verified(town):
    tasks = of_crm(town.ask(*(an_erasure(number) for number in (1, 2, 3))))
    town.answer(tasks)
    town.now += HOUR
    look = town.look_again(tasks)
    first = town.now
    town.now += HOUR
    named = [
        NotVerified(request_id=an_id(2), generation=0, result=LookResult.UNDECIDED),
        NotVerified(request_id=an_id(3), generation=0, result=LookResult.FOUND_AGAIN),
    ]
    town.record_looks([replace(look, look_id=an_id(79), looked_at=town.now, not_verified=tuple(named))])
    assert shown(town, 1) == [(town.now, None)]
    assert shown(town, 2) == [(first, None)]
    assert shown(town, 3) == [(first, town.now), (None, None)]
    assert verified(town) == {an_id(1): 1, an_id(2): 1, an_id(3): 0}  # of the third it is asked anew
    story = [
        (row["generation"], row["looked_at"], row["result"])
        for row in town.ledger.figures.story(an_id(3))["looks"]
    ]
    assert story == [(0, first, None), (0, town.now, "found_again")]


@pytest.mark.parametrize(
    "outcome", [Outcome.FAILED, Outcome.AMBIGUOUS, Outcome.DEFERRED, Outcome.UNSUPPORTED]
)
def test_what_was_not_erased_is_never_verified(town, outcome):
    """Its receipt bears an instant between those of others that were looked at."""
    tasks = of_crm(town.ask(an_erasure(1)))
    town.answer(tasks, outcome)
    town.now += HOUR
    town.look_again(tasks)
    assert shown(town, 1) == [(None, None)]


def test_a_look_at_decisions_verifies_no_erasure(town):
    """Its one instant may be that of an erasure of another process of the sink."""
    tasks = of_crm(town.ask(an_erasure(1)))
    town.answer(tasks)
    town.record_looks([reapplied_of("crm", town.now, decisions=3, reapplied=1)])
    [task] = [row for row in town.ledger.figures.tasks(an_id(1)) if row["sink"] == "crm"]
    assert task["verified_at"] is None
    assert town.ledger.figures.reapplied_by_sink() == {"crm": 1}
    assert town.ledger.figures.newest_looks() == {}
