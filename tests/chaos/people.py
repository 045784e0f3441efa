"""The people of a run, all made up. All about one follows from a number, so nobody has to remember it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

NEW_LIFE = 10_000_000_000  # added to the ids of rows that were made after the person asked
TICKETS_MAX = 4
LATER = datetime(2030, 1, 1, tzinfo=UTC)
EARLIER = datetime(2025, 1, 1, tzinfo=UTC)
WORD = "word"  # what the systems' triggers call a change of a row that stays


class Part(StrEnum):
    """What a person does in the play."""

    ERASED = "erased"  # asks to be forgotten
    TALKS = "talks"  # grants and withdraws, told in any order
    BYSTANDER = "bystander"  # does nothing, and nothing may happen to them


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with rows in some of the systems."""

    number: int

    @property
    def part(self) -> Part:
        if self.number % 20 == 19:
            return Part.BYSTANDER
        return Part.TALKS if self.number % 5 == 0 else Part.ERASED

    @property
    def email(self) -> str:
        return f"persona-{self.number}@example.es"

    @property
    def tickets(self) -> int:
        """Different for neighbours, so that what is said of one is not true of the other."""
        return self.number % TICKETS_MAX

    @property
    def new_life(self) -> bool:
        """Whether they came back after they had asked: those rows stay."""
        return self.part is Part.ERASED and self.number % 10 == 3

    def known_to(self, sink: str) -> bool:
        return self.number % 10 != {"crm": 7, "store-sg": 8, "marketing": 9}[sink]

    def customers(self) -> Iterator[tuple[int, str, datetime]]:
        """Rows of the CRM, as they are planted."""
        return self._rows("crm")

    def accounts(self) -> Iterator[tuple[int, str, datetime]]:
        """Rows of the store."""
        return self._rows("store-sg")

    def contacts(self) -> Iterator[tuple[int, str, datetime]]:
        """Rows of the marketing service."""
        return self._rows("marketing")

    def ticket_rows(self) -> Iterator[tuple[int, int]]:
        """(id, customer) of the tickets."""
        for customer, _, _ in self.customers():
            for ticket in range(self.tickets):
                yield customer * TICKETS_MAX + ticket, customer

    def doomed(self, sink: str) -> set[tuple[str, int]]:
        """The effects that an erasure must have in a system: each exactly once."""
        if self.part is not Part.ERASED or not self.known_to(sink):
            return set()
        match sink:
            case "crm":
                own = {("tickets", self.number * TICKETS_MAX + ticket) for ticket in range(self.tickets)}
                return {("customers", self.number), *own}
            case "store-sg":
                return {("accounts", self.number)}
            case _:
                return {("contacts", self.number)}

    def _rows(self, sink: str) -> Iterator[tuple[int, str, datetime]]:
        if self.known_to(sink):
            yield self.number, self.email, EARLIER
            if self.new_life:
                yield self.number + NEW_LIFE, self.email, LATER


def people(numbers: Sequence[int]) -> list[Person]:
    """Some of them."""
    return [Person(number) for number in numbers]
