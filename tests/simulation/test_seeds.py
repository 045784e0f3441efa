"""Worlds: nothing accepted is lost, nothing is done twice, and everything rare has happened.

The worlds are cut into chunks, and each chunk may run in a worker of its own. Together the two tiers run two
thousand: 150 guard each change, the rest is for ``make proof``.
"""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest
from simulation.coverage import least, missing, missing_of_few
from simulation.examine import examine, report, seeds_for_ever
from simulation.run import Result, examine_all
from simulation.world import Makers

from olvido.schemas.settings.deployment import KafkaSection

CHUNK = 10  # a chunk is a test, and ends in time on a machine with other work to do
ALL = range(0, 2_000, CHUNK)  # first seeds of the chunks; `make simulate` runs as many as you like
SHORT = range(150, 300, CHUNK)  # of them, those that guard each change; which seeds is arbitrary
LONG = [first for first in ALL if first not in SHORT]


def chunks(firsts: Iterable[int]) -> list:
    """One parameter for each chunk, in a group of its own: workers share the chunks out among them."""
    return [pytest.param(first, marks=pytest.mark.xdist_group(f"worlds {first}")) for first in firsts]


@pytest.fixture
def reached(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A folder of this run that all workers share: what each chunk has reached."""
    folder = tmp_path_factory.getbasetemp()
    folder = (folder if worker_id == "master" else folder.parent) / "worlds"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.mark.xdist_group("seeds for ever")
@pytest.mark.parametrize("seed", seeds_for_ever())
def test_a_seed_that_once_found_something_finds_nothing_any_more(seed: int):
    finding = examine(seed)
    assert not finding.violations, report(finding)


@pytest.mark.parametrize("first", chunks(SHORT))
def test_nothing_is_wrong_with_ten_worlds_and_the_last_chunk_has_seen_everything_happen(
    first: int, reached: Path
):
    result = examined(first, reached)
    assert not result.red, report(examine(result.red[0]))
    counts = seen_by_all(SHORT, reached)
    assert counts is None or missing_of_few(counts) == []


@pytest.mark.xdist_group("worlds of other partitions")
@pytest.mark.parametrize("seeds", [range(10), pytest.param(range(10, 25), marks=pytest.mark.proof)])
@pytest.mark.parametrize("partitions", [1, 24])
def test_the_number_of_partitions_changes_nothing(partitions: int, seeds: range):
    makers = Makers(kafka=KafkaSection(partitions=partitions))
    for seed in seeds:
        finding = examine(seed, makers=makers)
        assert not finding.violations, report(finding)


@pytest.mark.proof
@pytest.mark.parametrize("first", chunks(LONG))
def test_nothing_is_wrong_with_ten_more_worlds_and_everything_has_happened_often(first: int, reached: Path):
    result = examined(first, reached)
    assert not result.red, report(examine(result.red[0]))
    counts = seen_by_all(LONG, reached)
    assert counts is None or missing(counts, at_least=least(len(LONG) * CHUNK)) == []


def examined(first: int, reached: Path) -> Result:
    """What came of one chunk, noted for the others."""
    result = examine_all(range(first, first + CHUNK))
    draft = reached / f"{first}.part"
    draft.write_text(json.dumps(result.counts))
    # Renamed only when it is whole: another worker may count at this moment.
    draft.rename(reached / f"{first}.json")
    return result


def seen_by_all(firsts: Sequence[int], reached: Path) -> Counter[str] | None:
    """What was reached in all the chunks, if all have ended: the last of them counts."""
    notes = [reached / f"{first}.json" for first in firsts]
    if not all(note.exists() for note in notes):
        return None
    counts: Counter[str] = Counter()
    for note in notes:
        counts.update(json.loads(note.read_text()))
    return counts
