"""A canary person: who it is on which day, and how it is with one."""

from datetime import UTC, date, datetime, timedelta

import pytest

from olvido.core.canary_people import DAYS, Asked, CanaryPerson, CanaryState, canary_people, canary_state
from olvido.core.outcomes import Outcome

AT = datetime(2026, 11, 30, 0, 1, tzinfo=UTC)


def test_each_sink_and_day_has_a_person_of_its_own_and_always_the_same():
    people = [*canary_people("crm", AT), *canary_people("blog", AT)]
    assert people[0] == CanaryPerson(sink="crm", day=date(2026, 11, 30))
    assert people[1].day == date(2026, 11, 29)
    assert len({person.address for person in people}) == len({p.request_id for p in people}) == 2 * DAYS
    assert canary_people("crm", AT + timedelta(hours=23)) == canary_people("crm", AT)


@pytest.mark.parametrize("outcome", Outcome)
def test_what_stands_after_an_answer_stands_whatever_the_answer_is(outcome: Outcome):
    asked = Asked(requested_at=AT, outcome=outcome, applied_at=AT)
    assert canary_state(asked, stands=True) is CanaryState.STANDING


def test_only_what_the_sink_erased_is_forgotten():
    """Where something else removed the rows, nothing was tried."""
    states = {
        outcome: canary_state(Asked(requested_at=AT, outcome=outcome, applied_at=AT), stands=False)
        for outcome in Outcome
    }
    gone = {outcome for outcome, state in states.items() if state is CanaryState.FORGOTTEN}
    assert gone == {Outcome.ERASED, Outcome.ANONYMISED}
    assert set(states.values()) == {CanaryState.FORGOTTEN, CanaryState.LOST}


def test_before_an_answer_the_sink_is_not_blamed():
    assert canary_state(None, stands=False) is CanaryState.ABSENT
    assert canary_state(None, stands=True) is CanaryState.PLANTED
    for stands in (False, True):
        assert canary_state(Asked(requested_at=AT), stands=stands) is CanaryState.OWED
