"""Working days are those of the places, and each calendar says until when somebody looked at it."""

from datetime import date, timedelta

import pytest

from olvido.core.errors import InvalidInput
from olvido.core.law.deadlines import last_day
from olvido.core.law.regimes import Unit
from olvido.schemas.calendars import calendar_of, calendars

# The State Council's notice of 2026: weekend days that are worked on, for the holidays beside them.
WORKED_ON = ["2026-01-04", "2026-02-14", "2026-02-28", "2026-05-09", "2026-09-20", "2026-10-10"]


@pytest.mark.parametrize("day", WORKED_ON)
def test_chinas_weekend_days_that_are_worked_on_are_counted(day: str):
    worked = date.fromisoformat(day)
    assert worked.weekday() >= 5
    assert calendar_of("CN").is_working_day(worked)


def test_no_other_weekend_day_of_china_is_worked_on_in_2026():
    china, first = calendar_of("CN"), date(2026, 1, 1)
    weekend = [day for number in range(365) if (day := first + timedelta(number)).weekday() >= 5]
    assert [str(day) for day in weekend if china.is_working_day(day)] == WORKED_ON


def test_of_the_year_after_china_is_known_to_be_unknown():
    assert calendar_of("CN").known_until == date(2026, 12, 31)


def test_holidays_are_left_out():
    assert not calendar_of("ES").is_working_day(date(2026, 10, 12))  # a Monday
    assert not calendar_of("US-CA").is_working_day(date(2026, 11, 26))
    assert last_day(date(2026, 10, 9), 1, Unit.BUSINESS_DAYS, calendar_of("ES")) == date(2026, 10, 13)
    assert last_day(date(2026, 10, 9), 1, Unit.BUSINESS_DAYS, calendar_of("GB")) == date(2026, 10, 12)


@pytest.mark.parametrize("code", sorted(calendars()))
def test_each_calendar_is_there_and_says_what_was_looked_at(code: str):
    one = calendar_of(code)
    days = [date(one.known_until.year, 1, 1) + timedelta(number) for number in range(365)]
    assert 230 < sum(map(one.is_working_day, days)) < 262
    assert one.source


def test_one_that_nobody_looked_at_is_refused_with_its_neighbour():
    with pytest.raises(InvalidInput, match="US-CA"):
        calendar_of("US-C")
