"""Sinks look again for people they erased; on a real ledger and registry, with the steps around it."""

from dataclasses import replace
from datetime import timedelta

import pytest
from processors.town import HOUR, MINUTE, Town
from values import an_erasure, an_id

from olvido.core.causes import Cause
from olvido.core.lifecycle import RequestState
from olvido.core.looks import LookResult, NotVerified
from olvido.core.outcomes import Outcome
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
