"""The rig in short: some kills that find nothing, and a planted bug that it must find.

Another bug is planted by ``make proof``, and all of them by ``make chaos BUGS=all``.
"""

import pytest

from chaos.rig import Rig
from chaos.stage import stage

pytestmark = [pytest.mark.journey, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def rig():
    with stage() as standing:
        yield Rig(standing, seed=7)


def test_processes_and_parts_are_killed_and_nothing_is_lost_or_done_twice(rig: Rig):
    result = rig.run(kills=5, at_most_s=60, every_s=1.0, rate=15)
    assert list(result.findings.lines()) == []
    assert result.findings.events > 0
    assert result.tally.killed >= 1


@pytest.mark.parametrize(
    "bug", ["fence-ignored", pytest.param("receipt-for-another-task", marks=pytest.mark.proof)]
)
def test_a_planted_bug_turns_it_red(rig: Rig, bug: str):
    caught = rig.plant(bug, rounds=1)
    assert caught.caught, caught.told
