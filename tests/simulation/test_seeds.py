"""Two thousand worlds: nothing accepted is lost, nothing is done twice, and everything rare has happened."""

from collections.abc import Iterator

import pytest
from simulation.coverage import missing
from simulation.examine import examine, report, seeds_for_ever
from simulation.run import Result, examine_all

SEEDS = 2_000
CHUNK = 100


@pytest.fixture(scope="module")
def whole() -> Iterator[Result]:
    """What the chunks have reached together."""
    return Result()


@pytest.mark.parametrize("seed", seeds_for_ever())
def test_a_seed_that_once_found_something_finds_nothing_any_more(seed: int):
    finding = examine(seed)
    assert not finding.violations, report(finding)


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_nothing_is_wrong_with_a_hundred_worlds(first: int, whole: Result):
    result = examine_all(range(first, first + CHUNK))
    whole.add(result)
    assert not result.red, report(examine(result.red[0]))


def test_everything_that_can_happen_has_happened(whole: Result):
    if whole.worlds < SEEDS:
        pytest.skip("this needs all the worlds of this file, in one process")
    assert missing(whole.counts, whole.worlds) == []
