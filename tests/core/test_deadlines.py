"""Last days are those that somebody counts on a calendar with a finger, over thirty years of dates."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from olvido.core.law.deadlines import Jurisdiction, Pause, deadlines, end_of, extension, last_day
from olvido.core.law.regimes import Certainty, LawRule, Regime, RuleKind, StartsAt, Unit, load
from olvido.core.rights.names import Right

DAY = timedelta(days=1)
MADRID, SANTIAGO, SHANGHAI = (
    ZoneInfo(name) for name in ("Europe/Madrid", "America/Santiago", "Asia/Shanghai")
)
DATES = st.dates(date(2000, 1, 1), date(2029, 12, 31))
INSTANTS = st.datetimes(datetime(2000, 1, 1), datetime(2029, 12, 31), timezones=st.just(UTC))


class Weekdays:
    """Monday to Friday, without some days off, and with some weekend days that are worked on."""

    known_until = date(2026, 12, 31)

    def __init__(self, off: frozenset[date] = frozenset(), on: frozenset[date] = frozenset()) -> None:
        self._off, self._on = off, on

    def is_working_day(self, day: date) -> bool:
        return day in self._on or (day.weekday() < 5 and day not in self._off)


CALENDAR = Weekdays()
CALENDARS = st.builds(Weekdays, off=st.frozensets(DATES, max_size=40), on=st.frozensets(DATES, max_size=10))
LAWS = load()


def place(*codes: str, zone: ZoneInfo = MADRID, calendar: Weekdays = CALENDAR) -> Jurisdiction:
    return Jurisdiction(regimes=tuple(LAWS[code] for code in codes), zone=zone, calendar=calendar)


def a_law(*rules: LawRule) -> Jurisdiction:
    return Jurisdiction(regimes=(Regime("x", "X", None, rules),), zone=MADRID, calendar=CALENDAR)


def a_rule(kind: RuleKind = RuleKind.ANSWER, **values: object) -> LawRule:
    return LawRule(
        kind=kind, text="x", source="x", reviewed_on=date(2026, 1, 1),
        **{"certainty": Certainty.SURE, **values},
    )  # fmt: skip


def counted(first: date, length: int, unit: Unit, calendar: Weekdays) -> date:
    """The same by hand: day after day, one at a time, with no arithmetic of dates but the next day."""
    day = first
    if unit is Unit.MONTHS:
        for _ in range(length):
            while day.day != 1 or day == first:
                day += DAY
            first = day
        # Now the first day of the month in question: on to the day of that number, while the month lasts.
        return day
    while length:
        day += DAY
        if unit is Unit.DAYS or calendar.is_working_day(day):
            length -= 1
    return day


@given(DATES, st.integers(1, 90), st.sampled_from([Unit.DAYS, Unit.BUSINESS_DAYS]), CALENDARS)
def test_days_are_those_that_a_finger_counts(first: date, length: int, unit: Unit, calendar: Weekdays):
    assert last_day(first, length, unit, calendar) == counted(first, length, unit, calendar)


@given(DATES, st.integers(1, 24))
def test_months_end_on_the_same_number_or_where_the_month_ends(first: date, length: int):
    month = counted(first, length, Unit.MONTHS, CALENDAR)  # its first day
    days = [month + number * DAY for number in range(31) if (month + number * DAY).month == month.month]
    expected = [day for day in days if day.day <= first.day][-1]
    assert last_day(first, length, Unit.MONTHS, CALENDAR) == expected


@pytest.mark.parametrize(
    ("first", "length", "expected"),
    [
        ("2026-01-31", 1, "2026-02-28"),
        ("2028-01-31", 1, "2028-02-29"),
        ("2028-02-29", 12, "2029-02-28"),
        ("2026-12-31", 2, "2027-02-28"),
        ("2026-11-30", 3, "2027-02-28"),
        ("2026-08-31", 1, "2026-09-30"),
    ],
)
def test_month_ends_and_leap_days(first: str, length: int, expected: str):
    day = last_day(date.fromisoformat(first), length, Unit.MONTHS, CALENDAR)
    assert day == date.fromisoformat(expected)


@given(INSTANTS, st.sampled_from([MADRID, SANTIAGO, SHANGHAI]), st.sampled_from(sorted(LAWS)))
def test_what_is_due_is_due_after_it_came_and_when_a_day_ends_there(
    received_at: datetime, zone: ZoneInfo, code: str
):
    for right in Right:
        there = place(code, zone=zone)
        day = there.day_of(received_at)
        found = deadlines(there, right, day, verified_on=day)
        assert [one.due_at for one in found] == sorted(one.due_at for one in found)
        for one in found:
            assert one.due_at > received_at
            assert (one.due_at - timedelta(microseconds=1)).astimezone(zone).date() == one.last_day
            assert one.due_at.astimezone(zone).date() == one.last_day + DAY


@given(DATES, st.integers(1, 60), st.integers(1, 60))
def test_a_pause_that_may_be_relied_on_moves_the_day_by_its_days_and_never_back(
    received_on: date, after: int, lasts: int
):
    since = received_on + after * DAY
    pauses = [Pause(since, since + lasts * DAY)]
    rule = a_rule(length=30, unit=Unit.DAYS)
    doubt = a_rule(RuleKind.PAUSE, certainty=Certainty.UNSURE)
    [without] = deadlines(a_law(rule), Right.ERASE, received_on, pauses=pauses)
    [paused] = deadlines(a_law(rule, a_rule(RuleKind.PAUSE)), Right.ERASE, received_on, pauses=pauses)
    [doubted] = deadlines(a_law(rule, doubt), Right.ERASE, received_on, pauses=pauses)
    assert doubted.last_day == without.last_day  # a doubt never makes a promise later
    assert paused.last_day == without.last_day + lasts * DAY


@given(DATES, st.integers(1, 60), st.integers(1, 60), CALENDARS)
def test_business_days_are_paused_by_the_business_days_of_the_pause(
    received_on: date, after: int, lasts: int, calendar: Weekdays
):
    since = received_on + after * DAY
    until = since + lasts * DAY
    rules = (a_rule(length=20, unit=Unit.BUSINESS_DAYS), a_rule(RuleKind.PAUSE))
    there = Jurisdiction(regimes=(Regime("x", "X", None, rules),), zone=MADRID, calendar=calendar)
    [paused] = deadlines(there, Right.ERASE, received_on, pauses=[Pause(since, until)])
    stood = sum(calendar.is_working_day(since + number * DAY) for number in range(1, lasts + 1))
    assert paused.last_day == counted(received_on, 20 + stood, Unit.BUSINESS_DAYS, calendar)


def test_a_month_in_spain_ends_on_a_working_day_and_says_where_its_calendar_ends():
    received_on = place().day_of(datetime(2026, 9, 30, 23, 30, tzinfo=UTC))
    assert received_on == date(2026, 10, 1)  # in Madrid
    christmas = Weekdays(off=frozenset({date(2026, 12, 25)}))
    [one] = deadlines(place("gdpr", "es"), Right.ERASE, received_on)
    assert (one.regime, one.last_day, one.provisional) == (
        "gdpr",
        date(2026, 11, 2),
        False,
    )  # the 1st: a Sunday
    assert one.due_at == datetime(2026, 11, 2, 23, tzinfo=UTC)
    [extended] = deadlines(place("gdpr"), Right.ERASE, received_on, extended=True)
    assert (extended.last_day, extended.provisional) == (date(2027, 1, 1), True)
    [moved] = deadlines(place("gdpr", calendar=christmas), Right.ERASE, date(2026, 11, 25))
    assert moved.last_day == date(2026, 12, 28)  # the 25th is a holiday and a Friday


def test_of_several_laws_the_earliest_comes_first_and_each_says_how_sure_it_is():
    everywhere = place("gdpr", "es", "pipl", "pdpa", "mx")
    found = deadlines(everywhere, Right.ERASE, date(2026, 3, 2))
    assert [(one.regime, str(one.last_day), one.certainty.value) for one in found] == [
        ("pipl", "2026-03-23", "unsure"),
        ("mx", "2026-03-30", "unsure"),
        ("pipl", "2026-04-01", "likely"),
        ("gdpr", "2026-04-02", "sure"),
    ]  # Singapore has no right to erasure, and Spain's own law no number


def test_an_extension_is_one_longer_period_from_the_beginning():
    received_on = date(2026, 1, 31)
    [california] = deadlines(place("ccpa"), Right.ACCESS, received_on, extended=True)
    assert california.last_day == received_on + 90 * DAY
    [europe] = deadlines(place("gdpr"), Right.ACCESS, received_on, extended=True)
    assert europe.last_day == date(2026, 4, 30)  # three months of the 31st, not one and then two of the 28th


def test_an_extension_wins_something_or_is_none_and_is_announced_by_the_day_without_it():
    received_on = date(2026, 3, 2)
    before, after = extension(place("gdpr"), Right.ERASE, received_on)
    assert (before.last_day, after.last_day) == (date(2026, 4, 2), date(2026, 6, 2))
    assert extension(place("gdpr", "pipl"), Right.ERASE, received_on) is None  # China's day comes first
    assert extension(place("pipl"), Right.ERASE, received_on) is None
    assert extension(place(), Right.ERASE, received_on) is None
    promised = replace(place("gdpr"), promised_days=9)
    assert extension(promised, Right.ERASE, received_on) == (before, after)


def test_receipt_is_confirmed_where_a_law_says_by_when():
    received_on = date(2026, 3, 6)  # a Friday
    [one] = deadlines(place("ccpa"), Right.ACCESS, received_on, kind=RuleKind.ACKNOWLEDGEMENT)
    assert one.last_day == date(2026, 3, 20)
    assert deadlines(place("gdpr"), Right.ACCESS, received_on, kind=RuleKind.ACKNOWLEDGEMENT) == ()


def test_a_clock_that_begins_with_the_proof_of_identity_sets_nothing_before_it():
    received_on = date(2026, 3, 2)
    [unproved_rule] = [
        rule
        for rule in LAWS["uk"].rules
        if rule.kind is RuleKind.ANSWER and rule.starts_at is StartsAt.VERIFIED
    ]
    assert unproved_rule.length == 1
    assert deadlines(place("uk"), Right.ACCESS, received_on) == ()
    [one] = deadlines(place("uk"), Right.ACCESS, received_on, verified_on=received_on + 10 * DAY)
    assert one.last_day == date(2026, 4, 12)
    [europe] = deadlines(place("gdpr"), Right.ACCESS, received_on, verified_on=received_on + 10 * DAY)
    assert europe.last_day == date(2026, 4, 2)


def test_a_day_that_the_clocks_are_changed_on_ends_when_it_ends():
    assert end_of(date(2026, 3, 29), MADRID) == datetime(2026, 3, 29, 22, tzinfo=UTC)
    assert end_of(date(2026, 10, 25), MADRID) == datetime(2026, 10, 25, 23, tzinfo=UTC)
    # At midnight of the 6th of September 2026 Chile's clocks go to one: the day before ends then.
    assert end_of(date(2026, 9, 5), SANTIAGO) == datetime(2026, 9, 6, 4, tzinfo=UTC)


def test_an_instant_without_a_zone_is_refused():
    with pytest.raises(ValueError, match="zone"):
        place().day_of(datetime(2026, 3, 2, 9))
