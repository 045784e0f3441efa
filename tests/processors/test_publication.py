"""The last word on a compacted topic is what is so, whoever stands still or dies; on a real ledger."""

from datetime import timedelta

import pytest
from processors.town import Town
from values import Journal, a_change, an_erasure

from olvido.core.events import Decision
from olvido.core.lifecycle import RequestState
from olvido.processors import publication
from olvido.processors.publication import Publication
from olvido.schemas.codec import consent_state_codec
from olvido.schemas.topics import CONSENT_STATE, REQUEST_STATUS


class Killed(BaseException):
    """The process is dead."""


class StandsStill(Journal):
    """Before it first writes to a topic, others go on; where told so, it dies of what it wrote."""

    others = None

    def until(self, topic, others, *, dies: bool = False) -> None:
        self.topic, self.others, self.dies = topic, others, dies

    def publish(self, records) -> None:
        waits = self.others is not None and records[0].topic == self.topic
        if waits:
            others, self.others = self.others, None
            others()
        super().publish(records)
        if waits and self.dies:
            raise Killed


@pytest.fixture
def town(registry, ledger_dsn) -> Town:
    return Town(registry, ledger_dsn, sent=StandsStill())


def last_words(town: Town) -> tuple[list[RequestState], list[Decision]]:
    codec = consent_state_codec(town.registry)
    states = {
        record.key: codec.decode(record.value)
        for record in town.sent.records
        if record.topic == CONSENT_STATE.name
    }
    statuses = {status.request_id: status.state for status in town.statuses()}
    return list(statuses.values()), [state.decision for state in states.values()]


def test_who_stood_still_before_a_status_tells_the_newer_one_after_it(town: Town):
    event = an_erasure()
    tasks = town.ask(event)
    town.sent.until(REQUEST_STATUS.name, lambda: town.answer(tasks[1:]))
    town.answer(tasks[:1])
    assert [status.answered for status in town.statuses()] == [0, 2, 1, 2]
    assert last_words(town) == ([RequestState.FULFILLED], [])


def test_who_stood_still_before_a_consent_tells_the_newer_one_after_it(town: Town):
    later = a_change(2, Decision.GRANTED, occurred_at=town.now)
    town.sent.until(CONSENT_STATE.name, lambda: town.ask(later))
    town.ask(a_change(1, Decision.WITHDRAWN))
    assert last_words(town) == ([], [Decision.GRANTED])


def test_what_a_dead_process_told_too_late_is_told_again_when_it_is_given_up(town: Town, monkeypatch):
    tasks = town.ask(an_erasure())
    town.sent.until(REQUEST_STATUS.name, lambda: town.answer(tasks[1:]), dies=True)
    with pytest.raises(Killed):
        town.answer(tasks[:1])
    assert last_words(town) == ([RequestState.IN_PROGRESS], [])

    look = Publication(town.ledger, town.emission()).run_once
    assert look() == 0  # it may be alive
    monkeypatch.setattr(publication, "GIVEN_UP_AFTER", timedelta())
    assert look() == 1
    assert last_words(town) == ([RequestState.FULFILLED], [])
    assert look() == 0


def test_who_dies_while_it_tells_for_a_dead_one_leaves_it_to_the_next(town: Town, monkeypatch):
    monkeypatch.setattr(publication, "GIVEN_UP_AFTER", timedelta())
    for _ in range(2):
        town.sent.until(CONSENT_STATE.name, lambda: None, dies=True)
        with pytest.raises(Killed):
            town.ask(a_change()) if _ == 0 else Publication(town.ledger, town.emission()).run_once()
    assert Publication(town.ledger, town.emission()).run_once() == 2


def test_what_is_so_is_told_once(town: Town):
    town.ask(an_erasure(), a_change(2))
    assert [record.topic for record in town.sent.records].count(REQUEST_STATUS.name) == 1
    assert [record.topic for record in town.sent.records].count(CONSENT_STATE.name) == 1
