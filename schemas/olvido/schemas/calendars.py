"""The working days of places, by the ``holidays`` library, and until when each place's are known.

The library answers for years whose holidays nobody has published yet, and does not say so: of China it then
gives the holidays without the working weekends that go with them. So each calendar has a day until which
somebody looked at it.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

from olvido.core.errors import InvalidInput, did_you_mean

if TYPE_CHECKING:
    from holidays import HolidayBase


@dataclass(frozen=True, slots=True, kw_only=True)
class HolidayCalendar:
    """The working days of a country or of a part of it, by its code of ISO 3166 such as ``ES`` or ``US-CA``.

    Attributes:
        code: which.
        known_until: the last day that somebody looked at.
        source: what was looked at.
    """

    code: str
    known_until: date
    source: str

    def is_working_day(self, day: date) -> bool:
        """Whether it is no holiday and of no weekend, or a day of a weekend that is worked on instead."""
        return _holidays(self.code).is_working_day(day)


def calendar_of(code: str) -> HolidayCalendar:
    """Give the calendar of a code.

    Raises:
        InvalidInput: it is none of those that were looked at; with the nearest that is.
    """
    known = calendars()
    if code not in known:
        raise InvalidInput("calendar", f"knows no {code!r}{did_you_mean(code, known)}")
    return known[code]


@cache
def calendars() -> Mapping[str, HolidayCalendar]:
    """Give the calendars that somebody looked at, by their code, as ``calendars.toml`` says."""
    text = resources.files("olvido.schemas").joinpath("calendars.toml").read_text(encoding="utf-8")
    return {code: HolidayCalendar(code=code, **one) for code, one in tomllib.loads(text).items()}


@cache
def _holidays(code: str) -> "HolidayBase":
    from holidays import country_holidays  # loaded when the first working day is asked for

    country, _, part = code.partition("-")
    return country_holidays(country, subdiv=part or None)
