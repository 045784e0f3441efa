"""Ids of requests and of consent changes are one space: whoever uses one a second time is refused."""

from dataclasses import replace

import pytest
from key_files import UNSIGNED
from processors.town import Town
from values import CATALOGUE, NOW, a_change, an_erasure, an_id, read

from olvido.core.causes import Cause
from olvido.core.outcomes import Outcome
from olvido.ledger.connection import Overtaken
from olvido.processors import consents, requests
from olvido.schemas.codec import dead_letters_codec

REQUEST, CHANGE = an_erasure(1), a_change(1)  # one ticket of the help desk, used for both
TOPICS = {REQUEST: "olvido.requests.v1", CHANGE: "olvido.consents.v1"}


@pytest.fixture
def town(registry, ledger, ledger_dsn) -> Town:
    return Town(registry, ledger_dsn)


def refused(town: Town) -> list[tuple[Cause, str, str]]:
    codec = dead_letters_codec(town.registry)
    letters = [codec.decode(one.value) for one in town.sent.records if one.topic == codec.topic.name]
    return [(letter.cause, letter.field, letter.topic) for letter in letters]


@pytest.mark.parametrize(
    ("first", "second", "field"),
    [(CHANGE, REQUEST, "request_id"), (REQUEST, CHANGE, "event_id")],
    ids=["a request of a change's id", "a change of a request's id"],
)
def test_an_id_that_is_used_for_both_is_refused_the_second_time_and_asks_for_nothing(
    town, first, second, field
):
    """The second one's tasks were sent and not owed, and its state was made of the first one's receipts."""
    assert {task.source_id for task in town.ask(first)} == {an_id(1)}
    assert town.ask(second) == []
    assert refused(town) == [(Cause.ID_REUSE, field, TOPICS[second])]
    assert [row["action"] for row in town.ledger.figures.tasks(an_id(1))] == [
        "CONSENT" if first is CHANGE else "ERASE"
    ] * 2


def test_the_receipts_of_a_change_move_no_request_of_its_id(town):
    tasks = town.ask(CHANGE)
    town.ask(REQUEST)
    town.answer(tasks, Outcome.SUPPRESSED)
    assert town.ledger.figures.request(an_id(1)) is None


def test_two_processes_that_save_one_id_for_both_at_once_leave_one(ledger):
    """Neither has seen the other's row: the second is told to look again, and then refuses it."""
    nothing = consents.KnownConsents(changes={}, states={})
    change = consents.step([read(CHANGE, 1)], nothing, CATALOGUE, UNSIGNED, NOW)
    request = requests.step(
        [read(REQUEST, 1)], requests.KnownRequests(requests={}, verifications={}), CATALOGUE, UNSIGNED, NOW
    )
    more = {"now": NOW, "due_after": NOW - NOW}
    ledger.consents.save(change.rows, change.states, change.new_tasks, topic=TOPICS[CHANGE], **more)
    with pytest.raises(Overtaken):
        ledger.requests.save(request.rows, request.new_tasks, topic=TOPICS[REQUEST], **more)
    known, _, others = ledger.requests.known([an_id(1)])
    assert (known, others) == ({}, {an_id(1)})


def test_a_change_from_the_same_place_as_the_request_of_its_id_is_no_redelivery(town):
    """Partition and offset are those of another topic."""
    town.ask(REQUEST)
    town.offsets = iter(range(100))
    town.ask(replace(CHANGE, purpose="marketing"))
    assert [cause for cause, _, _ in refused(town)] == [Cause.ID_REUSE]
