"""Two thousand worlds: nothing accepted is lost, nothing is done twice, and everything rare has happened."""

from functools import cache

import pytest
from simulation.coverage import missing
from simulation.examine import examine, report, seeds_for_ever
from simulation.run import Result, examine_all

FIRST = 0  # which of them is arbitrary
SEEDS = 2_000  # a tenth of a second each; `make simulate` runs as many as you like
CHUNK = 50


@cache
def chunk(first: int) -> Result:
    """What came of some of the seeds: once, whichever test asks first."""
    return examine_all(range(first, first + CHUNK))


@pytest.mark.parametrize("seed", seeds_for_ever())
def test_a_seed_that_once_found_something_finds_nothing_any_more(seed: int):
    finding = examine(seed)
    assert not finding.violations, report(finding)


@pytest.mark.parametrize("first", range(FIRST, FIRST + SEEDS, CHUNK))
def test_nothing_is_wrong_with_fifty_worlds(first: int):
    result = chunk(first)
    assert not result.red, report(examine(result.red[0]))


@pytest.mark.timeout(1800)  # where it comes first, all the worlds are its own to run
def test_everything_that_can_happen_has_happened():
    whole = Result()
    for first in range(FIRST, FIRST + SEEDS, CHUNK):
        whole.add(chunk(first))
    assert missing(whole.counts, whole.worlds) == []
