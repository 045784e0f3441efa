"""Dead letters in the ledger: a later refusal beats an earlier one, and a person's word stands until then."""

from dataclasses import replace
from datetime import timedelta

import pytest
from key_files import UNSIGNED
from values import CATALOGUE, NOW, an_erasure, an_id, read, received

from olvido.broker.reading import dead_letter_of
from olvido.core.causes import Cause
from olvido.core.dead_letters import DeadLetter, LetterState
from olvido.core.errors import Refused
from olvido.ledger.connection import Database
from olvido.ledger.letters import Grouping, Letters, LetterSelection
from olvido.ledger.store import Ledger
from olvido.processors import requests

MINUTE = timedelta(minutes=1)


@pytest.fixture
def letters(ledger_dsn, ledger) -> Letters:
    return Letters(Database(ledger_dsn, application="test"))


@pytest.fixture
def parked(ledger) -> DeadLetter:
    """The letter of a task that is owed."""
    output = requests.step(
        [read(an_erasure())],
        requests.KnownRequests(requests={}, verifications={}),
        CATALOGUE,
        UNSIGNED,
        NOW,
    )
    ledger.requests.save(
        output.rows, output.new_tasks,
        topic="olvido.requests.v1", now=NOW, due_after=MINUTE,
    )  # fmt: skip
    task = output.new_tasks[0]
    return a_letter(cause=Cause.REFUSED_BY_TARGET, task_id=task.task_id, source_id=task.source_id)


def a_letter(offset: int = 0, *, cause: Cause = Cause.UNKNOWN_PURPOSE, **changes) -> DeadLetter:
    letter = dead_letter_of(received(offset), Refused(cause), group="g", now=NOW)
    return replace(letter, **changes)


def again(letter: DeadLetter, attempts: int) -> DeadLetter:
    return replace(letter, attempts=attempts, offset=100 + attempts, failed_at=NOW + attempts * MINUTE)


def keep(ledger: Ledger, *letters: DeadLetter) -> None:
    with ledger.recording([]) as recording:
        recording.write_dead_letters(letters)


def state_of(letters: Letters, letter: DeadLetter):
    kept = letters.one(letter.dead_letter_id)
    return kept.state, kept.letter.attempts, kept.letter.offset


def parked_tasks(ledger: Ledger) -> list:
    return [row["parked"] for row in ledger.figures.tasks(an_id(1)) if row["parked"]]


def test_a_letter_comes_back_as_it_was_told(ledger, letters, parked):
    keep(ledger, parked)
    assert letters.open(LetterSelection(), limit=9) == [parked]


def test_a_refusal_that_is_told_again_changes_nothing(ledger, letters):
    letter = a_letter()
    keep(ledger, letter)
    assert letters.discarded([letter], now=NOW) == 1
    keep(ledger, letter)
    keep(ledger, replace(letter, offset=55))
    assert state_of(letters, letter) == ("discarded", 1, 0)


def test_a_later_refusal_opens_the_letter_again_where_the_record_stands_now(ledger, letters):
    letter = a_letter()
    keep(ledger, letter)
    assert letters.redriven([letter], now=NOW, due_after=MINUTE) == 1
    assert state_of(letters, letter) == ("redriven", 1, 0)
    keep(ledger, again(letter, 2))
    assert state_of(letters, letter) == ("open", 2, 102)
    keep(ledger, letter)  # the first refusal, told late
    assert state_of(letters, letter) == ("open", 2, 102)


def test_what_was_refused_again_in_the_meantime_is_neither_redriven_nor_discarded(ledger, letters, parked):
    keep(ledger, parked)
    keep(ledger, again(parked, 2))
    assert letters.redriven([parked], now=NOW, due_after=MINUTE) == 0
    assert letters.discarded([parked], now=NOW) == 0
    assert state_of(letters, parked)[0] == "open"
    assert parked_tasks(ledger) == ["REFUSED_BY_TARGET"]


def test_the_task_of_a_redriven_letter_is_owed_again_and_parked_anew_only_by_a_later_refusal(
    ledger, letters, parked
):
    keep(ledger, parked)
    assert [task.task_id for task in letters.parked([parked])] == [parked.task_id]
    assert letters.redriven([parked], now=NOW, due_after=2 * MINUTE) == 1
    assert parked_tasks(ledger) == []
    [due] = [row["due_at"] for row in ledger.figures.tasks(an_id(1)) if row["task_id"] == parked.task_id]
    assert due == NOW + 2 * MINUTE
    keep(ledger, parked)  # told again: the recorder read its topic once more
    assert parked_tasks(ledger) == []
    keep(ledger, again(parked, 2))
    assert parked_tasks(ledger) == ["REFUSED_BY_TARGET"]


def test_letters_are_selected_oldest_first_and_given_in_the_order_of_their_topics(ledger, letters):
    made = [a_letter(n, failed_at=NOW - n * MINUTE) for n in range(4)]
    keep(ledger, *made)
    assert [letter.offset for letter in letters.open(LetterSelection(), limit=2)] == [2, 3]
    assert letters.open(LetterSelection(cause=Cause.EMPTY), limit=9) == []
    keep(ledger, replace(made[3], attempts=5))
    assert [letter.offset for letter in letters.open(LetterSelection(), limit=2)] == [1, 2]
    assert [letter.offset for letter in letters.open(LetterSelection(topic="t"), limit=9)] == [0, 1, 2, 3]


def test_letters_are_counted_by_cause_topic_and_group(ledger, letters):
    keep(ledger, a_letter(1, failed_at=NOW - MINUTE), a_letter(2), a_letter(3, cause=Cause.EMPTY))
    letters.discarded([a_letter(3, cause=Cause.EMPTY)], now=NOW)
    counted = [
        (row["what"], row["state"], row["letters"], row["oldest_failed_at"]) for row in letters.counts()
    ]
    assert counted == [
        ("UNKNOWN_PURPOSE", "open", 2, NOW - MINUTE),
        ("EMPTY", "discarded", 1, NOW),
    ]
    [row] = letters.counts(Grouping.TOPIC, state=LetterState.OPEN)
    assert (row["what"], row["letters"]) == ("t", 2)
    assert letters.counts(Grouping.GROUP, state=LetterState.OPEN)[0]["what"] == "g"
