"""By when the laws want a request answered: one last day for each rule that gives a number.

A day is a day of the place whose law it is, and the day of receipt is not counted. What is due on a day may
be done until that day ends there. Nothing here knows of stored requests: days and rules come in, last days
go out. None of it is legal advice.
"""

import calendar as months
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Protocol

from olvido.core.law.regimes import Certainty, LawRule, Regime, RuleKind, StartsAt, Unit
from olvido.core.rights.names import Right

DAY = timedelta(days=1)
PROMISE = "promise"  # the code of what no law says, but the deployment
PROMISED_DAYS = 30  # where no law that applies gives a number


_JURISDICTION = re.compile(r"[A-Z]{2}(-[A-Z0-9]{1,3})?")


def is_jurisdiction(code: str) -> bool:
    """Whether it has the form of a code of ISO 3166: a country's, or a part's such as ``US-CA``."""
    return _JURISDICTION.fullmatch(code) is not None


class Calendar(Protocol):
    """Which days of a place are worked on."""

    @property
    def known_until(self) -> date:
        """The last day of which it is known. It answers for later ones, and may be wrong."""

    def is_working_day(self, day: date) -> bool:
        """Whether business days count this one."""


class Weekdays:
    """Monday to Friday, of a place that nobody named: no holiday of it is known."""

    known_until = date.min

    def is_working_day(self, day: date) -> bool:
        """Whether it is a day from Monday to Friday."""
        return day.weekday() < 5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Jurisdiction:
    """What holds for requests: the laws, the zone whose days they count, and its working days.

    Attributes:
        regimes: all that apply, those that another builds on among them.
        zone: where the days are counted.
        calendar: which of them are worked on.
        promised_days: in how many days the deployment itself promises an answer; None: what the laws say.
    """

    regimes: tuple[Regime, ...] = ()
    zone: tzinfo = UTC
    calendar: Calendar = field(default_factory=Weekdays)
    promised_days: int | None = None

    def day_of(self, instant: datetime) -> date:
        """Give the day that it is there at an instant.

        Raises:
            ValueError: the instant has no zone.
        """
        if instant.tzinfo is None:
            raise ValueError("an instant has a zone")
        return instant.astimezone(self.zone).date()


ANYWHERE = Jurisdiction()  # no law is named, and no place


@dataclass(frozen=True, slots=True, kw_only=True)
class DueDate:
    """By when one rule wants something done.

    Attributes:
        regime: the code of the law; ``promise`` where it is the deployment's own.
        rule: which of its rules; None of a promise.
        last_day: the last day, as days are counted there.
        due_at: the instant at which that day has ended.
        provisional: whether its calendar was asked for days that it does not know yet.
    """

    regime: str
    rule: LawRule | None
    last_day: date
    due_at: datetime
    provisional: bool = False

    @property
    def certainty(self) -> Certainty:
        """How far the number may be relied on: a promise is known by whoever made it."""
        return Certainty.SURE if self.rule is None else self.rule.certainty


@dataclass(frozen=True, slots=True)
class Pause:
    """Days on which a clock may stand still: from when something was asked of the person until it came."""

    since: date
    until: date


def deadlines(
    jurisdiction: Jurisdiction,
    right: Right,
    received_on: date,
    *,
    kind: RuleKind = RuleKind.ANSWER,
    verified_on: date | None = None,
    extended: bool = False,
    pauses: Sequence[Pause] = (),
) -> tuple[DueDate, ...]:
    """Give what each regime sets for a right, the earliest first.

    Where no law gives a number for an answer, what the deployment promises stands alone; where it promises
    something, that stands beside them. Of an acknowledgement nothing is promised.

    A rule whose clock begins with the proof of identity sets nothing before that. A pause and a later working
    day lengthen a period only where a rule that is at least likely says so: a doubt makes no promise later.

    Args:
        jurisdiction: what holds.
        right: what is asked for.
        received_on: the day on which the request came, as days are counted there.
        kind: ``ANSWER``, or ``ACKNOWLEDGEMENT``.
        verified_on: the day on which it was proved who asks; None while it is not.
        extended: whether the extension was announced, in time.
        pauses: when the person was waited for. They do not overlap.
    """
    asked = _Asked(jurisdiction, right, extended, tuple(pauses))
    found = [
        deadline
        for regime in jurisdiction.regimes
        for rule in _rules(regime, kind, right)
        if (first := verified_on if rule.starts_at is StartsAt.VERIFIED else received_on) is not None
        and (deadline := _deadline(asked, regime, rule, first)) is not None
    ]
    if kind is RuleKind.ANSWER and (promised := _promised(jurisdiction, right)) is not None:
        day = received_on + promised * DAY
        found.append(DueDate(regime=PROMISE, rule=None, last_day=day, due_at=end_of(day, jurisdiction.zone)))
    return tuple(sorted(found, key=lambda one: (one.due_at, one.regime)))


def extension(
    jurisdiction: Jurisdiction, right: Right, received_on: date, *, verified_on: date | None = None
) -> tuple[DueDate, DueDate] | None:
    """Give the last day by law without an extension, by which it is to be announced, and that with one.

    What the deployment promises itself stands beside no extension: it is the laws that allow one. None where
    no law gives a number, or where the earliest of them allows none, so that nothing would be won.
    """
    before, after = (
        [
            one
            for one in deadlines(jurisdiction, right, received_on, verified_on=verified_on, extended=extended)
            if one.rule is not None
        ]
        for extended in (False, True)
    )
    if not before or after[0].due_at <= before[0].due_at:
        return None
    return before[0], after[0]


def last_day(first: date, length: int, unit: Unit, calendar: Calendar) -> date:
    """Count a period from the day on which something came, which is not counted.

    Months end on the day of the same number, or on the last day of a shorter month.
    """
    match unit:
        case Unit.DAYS:
            return first + length * DAY
        case Unit.MONTHS:
            return _months_after(first, length)
        case Unit.BUSINESS_DAYS:
            day = first
            while length:
                day += DAY
                length -= calendar.is_working_day(day)
            return day


def end_of(day: date, zone: tzinfo) -> datetime:
    """Give the instant at which a day has ended in a zone, in UTC."""
    return datetime.combine(day + DAY, time(), tzinfo=zone).astimezone(UTC)


def _promised(place: Jurisdiction, right: Right) -> int | None:
    """In how many days the deployment promises an answer; where no law says it, in as many as most do."""
    lawful = any(
        rule.length is not None for regime in place.regimes for rule in _rules(regime, RuleKind.ANSWER, right)
    )
    return place.promised_days or (None if lawful else PROMISED_DAYS)


@dataclass(frozen=True, slots=True)
class _Asked:
    place: Jurisdiction
    right: Right
    extended: bool
    pauses: tuple[Pause, ...]


def _deadline(asked: _Asked, regime: Regime, rule: LawRule, first: date) -> DueDate | None:
    if rule.length is None or rule.unit is None:
        return None
    place, right = asked.place, asked.right
    length, unit = rule.length, rule.unit
    day = last_day(first, length, unit, place.calendar)
    for more in _rules(regime, RuleKind.EXTENSION, right) if asked.extended else ():
        if more.length is None or more.unit is None:
            continue
        # Of the same unit it is one longer period from the beginning, as the laws count it.
        day = (
            last_day(first, length + more.length, unit, place.calendar)
            if more.unit is unit
            else last_day(day, more.length, more.unit, place.calendar)
        )
    counted = unit is Unit.BUSINESS_DAYS
    if _relied_on(regime, RuleKind.PAUSE, right):
        stood = sum(_days(place, pause, first, working=counted) for pause in asked.pauses)
        day = last_day(day, stood, unit if counted else Unit.DAYS, place.calendar)
    if any(moves.next_working_day for moves in _relied_on(regime, rule.kind, right)):
        counted = True
        while not place.calendar.is_working_day(day):
            day += DAY
    return DueDate(
        regime=regime.code,
        rule=rule,
        last_day=day,
        due_at=end_of(day, place.zone),
        provisional=counted and day > place.calendar.known_until,
    )


def _days(place: Jurisdiction, pause: Pause, first: date, *, working: bool) -> int:
    """How many days of a pause fall into a period that began then."""
    day, count = max(pause.since, first), 0
    while day < pause.until:
        day += DAY
        count += not working or place.calendar.is_working_day(day)
    return count


def _months_after(day: date, length: int) -> date:
    year, month = divmod(day.year * 12 + day.month - 1 + length, 12)
    return date(year, month + 1, min(day.day, months.monthrange(year, month + 1)[1]))


def _rules(regime: Regime, kind: RuleKind, right: Right) -> Iterable[LawRule]:
    return (rule for rule in regime.rules if rule.kind is kind and (not rule.rights or right in rule.rights))


def _relied_on(regime: Regime, kind: RuleKind, right: Right) -> list[LawRule]:
    return [rule for rule in _rules(regime, kind, right) if rule.certainty is not Certainty.UNSURE]
