"""The simulation can go red: twelve bugs that people write, each found; and a history is its seed's alone."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from simulation.bugs import BUGS, SLOW_TO_TELL
from simulation.examine import examine, report, shortest

SEEDS_MAX = 60  # within which each bug is found; all but these need twenty at most
RARE = {"told and not looked after": 240}  # about one world of thirty
TESTS = Path(__file__).parents[1]


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_found(bug: str):
    seeds = RARE.get(bug, SEEDS_MAX)
    for seed in range(seeds):
        if examine(seed, makers=BUGS[bug]).violations:
            return
    pytest.fail(f"{bug} was not found within {seeds} seeds")


def test_to_stand_still_before_telling_is_no_bug_by_itself():
    """The bug that is planted with it is found because nobody looks, not because somebody stands still."""
    for seed in range(SEEDS_MAX):
        finding = examine(seed, makers=SLOW_TO_TELL)
        assert not finding.violations, report(finding)


def test_a_red_history_is_made_shorter_and_stays_red_in_the_same_way():
    makers = BUGS["no dedupe"]
    finding = next(one for seed in range(SEEDS_MAX) if (one := examine(seed, makers=makers)).violations)
    small, how = shortest(finding, makers=makers)
    assert finding.violations[0].name in {violation.name for violation in small.violations}
    assert len(small.history.events) < len(finding.history.events)
    assert how


def test_the_same_seed_gives_the_same_history_whatever_the_hash_seed():
    program = "from simulation.examine import examine; print([examine(s).history.digest() for s in range(4)])"
    told = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={
                **os.environ,
                "PYTHONHASHSEED": str(number),
                "PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path]),
            },
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for number in range(5)
    }
    assert len(told) == 1
