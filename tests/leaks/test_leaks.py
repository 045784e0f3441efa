"""Hundreds of people ask; no byte outside of the targets names one of them, in any spelling.

That the search finds what is there is proved in the same run, over the same bytes: twenty leaks are planted.
``make test`` has 250 people, ``make proof`` a thousand in the same play.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from leaks.places import places
from leaks.plants import PLANTS
from leaks.play import play
from leaks.stage import stage

from shop.leaks import Leak, Scan, Scanner, patterns_of, scan
from shop.people import Person, make_people

pytestmark = [pytest.mark.journey, pytest.mark.timeout(600)]

SEED = 2_026
POISONED = 12
REQUESTS_SEGMENTS = (
    "olvido.requests.v1-"  # where others wrote the poisoned in clear; nobody can take that back
)


@dataclass(frozen=True, slots=True)
class Found:
    """What the search came upon, and who was there to be found."""

    people: Sequence[Person]
    poisoned: Sequence[Person]
    leaked: Sequence[Person]
    scans: dict[str, Scan]

    def of(self, number: int) -> list[tuple[str, Leak]]:
        """All leaks of one person, with their places."""
        return [
            (place, leak)
            for place, scan in self.scans.items()
            for leak in scan.leaks
            if leak.what.partition(" of person ")[2].startswith(f"{number} ")
        ]


@pytest.fixture(scope="module", params=[250, pytest.param(1_000, marks=pytest.mark.proof)])
def found(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Found:
    """Plant, play with so many people, and search everything."""
    folder = tmp_path_factory.mktemp("leaks")
    everybody = make_people(SEED, request.param + POISONED + len(PLANTS))
    people, others = everybody[: request.param], everybody[request.param :]
    poisoned, leaked = others[:POISONED], others[POISONED:]
    with stage() as standing:
        for (_, _, plant), person in zip(PLANTS, leaked, strict=True):
            plant(standing, person, folder)
        play(standing, people, poisoned, folder)
        scanner = Scanner(patterns_of(everybody))
        scans = {place: scan(place, parts, scanner) for place, parts in places(standing, folder).items()}
    return Found(people, poisoned, leaked, scans)


@pytest.mark.parametrize("number", range(len(PLANTS)), ids=[f"{place}: {what}" for place, what, _ in PLANTS])
def test_a_planted_leak_is_found_where_it_is(found: Found, number: int):
    place, _, _ = PLANTS[number]
    assert place in {where for where, _ in found.of(found.leaked[number].number)}


def test_nobody_who_asked_is_named_anywhere(found: Found):
    known = {person.number for person in found.people}
    named = [
        f"{place}: {leak.what} in {leak.where}"
        for number in sorted(known)
        for place, leak in found.of(number)
    ]
    assert named == []


def test_who_stands_in_clear_in_a_record_that_nobody_can_read_is_carried_no_further(found: Found):
    carried = [
        f"{place}: {leak.what} in {leak.where}"
        for person in found.poisoned
        for place, leak in found.of(person.number)
        if not (place == "Kafka" and REQUESTS_SEGMENTS in leak.where)
    ]
    assert carried == []
    assert all(found.of(person.number) for person in found.poisoned)  # and the search knows them


def test_every_place_was_there_to_be_searched(found: Found):
    assert {place for place, scan in found.scans.items() if scan.size < 100 or scan.unread} == set()
    assert found.scans["Kafka"].size > 1_000_000
    assert found.scans["ledger"].size > 10_000_000
