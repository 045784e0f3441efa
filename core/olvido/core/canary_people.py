"""Canary people: nobody at all, put into a sink each day and erased by an ordinary request.

A sink's receipt says what the sink believes. Whether the rows are gone is seen by somebody who put them there
and looks for them without the sink. A canary person has an address that nobody can have, so that no row of a
person is ever concerned.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from uuid import UUID

from olvido.core.ids import canary_person_id
from olvido.core.outcomes import Outcome

DOMAIN = "olvido.invalid"  # RFC 2606: no name under .invalid is ever given to anybody
ADDRESS, DAY = "{address}", "{day}"  # in a value of a planted row: the person's address, and 20261130
DAYS = 8  # how many days are looked at, today included: what stands for longer is known by then
GONE = frozenset({Outcome.ERASED, Outcome.ANONYMISED})

Value = bool | int | float | str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlantedRow:
    """One row of a canary person."""

    table: str
    columns: Mapping[str, Value]
    named: tuple[str, ...]  # the columns that hold the address: by them the row is looked for


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryPerson:
    """The canary person of one sink and day."""

    sink: str
    day: date

    @property
    def address(self) -> str:
        """The one identity."""
        return f"canary+{self.sink}-{self.day:%Y%m%d}@{DOMAIN}"

    @property
    def request_id(self) -> UUID:
        """The id of the one request. It follows from sink and day, so a request that is sent twice is one."""
        return canary_person_id(self.sink, self.day)

    def rows(self, tables: Mapping[str, Mapping[str, Value]]) -> Sequence[PlantedRow]:
        """What is planted, in the order of the section ``sinks.<name>.canary``.

        Args:
            tables: by table and column, the values; ``{address}`` and ``{day}`` in them are the person's.
        """
        return [
            PlantedRow(
                table=table,
                columns={name: self._filled(value) for name, value in columns.items()},
                named=tuple(name for name, value in columns.items() if ADDRESS in str(value)),
            )
            for table, columns in tables.items()
        ]

    def _filled(self, value: Value) -> Value:
        if not isinstance(value, str):
            return value
        return value.replace(ADDRESS, self.address).replace(DAY, f"{self.day:%Y%m%d}")


def canary_people(sink: str, now: datetime) -> Sequence[CanaryPerson]:
    """Those of the last days, today's first. A day begins at midnight in UTC."""
    return [CanaryPerson(sink=sink, day=(now - timedelta(days=back)).date()) for back in range(DAYS)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the ledger knows of the request for a canary person, and of the sink's last task for it."""

    requested_at: datetime
    outcome: Outcome | None = None  # the final one; None while the sink owes it
    applied_at: datetime | None = None

    @property
    def time_to_forget(self) -> timedelta:
        """From the request to the moment that the sink had carried it out; their clocks may differ."""
        assert self.applied_at is not None
        return max(self.applied_at - self.requested_at, timedelta())


class CanaryState(StrEnum):
    """How it is with one canary person."""

    ABSENT = "absent"  # neither planted nor asked for
    PLANTED = "planted"  # its rows stand, and nobody has asked yet
    OWED = "owed"  # asked for; the sink has not answered
    FORGOTTEN = "forgotten"  # the sink says that it erased them, and no row stands
    STANDING = "standing"  # the sink has answered for good, and rows stand
    LOST = "lost"  # no row stands, and the sink did not erase it: something else has


def canary_state(asked: Asked | None, *, stands: bool) -> CanaryState:
    """How it is with a canary person.

    Args:
        asked: what the ledger knew BEFORE the rows were looked for: a sink that erases between the two is
            then late and not a liar.
        stands: whether rows of it were found.
    """
    if asked is None:
        return CanaryState.PLANTED if stands else CanaryState.ABSENT
    if asked.outcome is None:
        return CanaryState.OWED
    if stands:
        return CanaryState.STANDING
    return CanaryState.FORGOTTEN if asked.outcome in GONE else CanaryState.LOST
