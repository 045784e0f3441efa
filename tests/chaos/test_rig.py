"""The rig in short: some kills that find nothing.

``make proof`` kills more and plants the bugs that it must find; ``make chaos`` kills as many as you like.
"""

import pytest

from chaos.bugs import BUGS
from chaos.rig import Rig
from chaos.stage import stage

pytestmark = [pytest.mark.journey, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def rig():
    with stage() as standing:
        yield Rig(standing, seed=7)


@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=pytest.mark.proof)])
def test_processes_and_parts_are_killed_and_nothing_is_lost_or_done_twice(rig: Rig, kills: int):
    result = rig.run(kills=kills, at_most_s=60 + 5 * kills, every_s=1.0, rate=15)
    assert list(result.findings.lines()) == []
    assert result.findings.events > 0
    assert result.tally.killed >= 1


@pytest.mark.proof  # `make test` plants bugs in the simulator, where each takes a second and not a minute
@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_turns_it_red(rig: Rig, bug: str):
    caught = rig.plant(bug)
    assert caught.caught, caught.told
