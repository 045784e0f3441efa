"""``make simulate SEEDS=100000``: many worlds on all cores, with what was reached and what was found.

It stops by itself: at the first red seed, whose shortest history it prints, or at the end, where
everything that can happen must have happened often enough.
"""

import argparse
import gc
import hashlib
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from multiprocessing import get_context
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from simulation.coverage import EXPECTED, least, missing
from simulation.examine import examine, report, seeds_for_ever

CHUNK = 20  # seeds that a process is given at once
ROOT = Path(__file__).parents[2]
WORLDS_FOR_COVERAGE = 2_000  # with fewer, what is rare may be missing by chance


@dataclass(slots=True)
class Result:
    """What came of some seeds."""

    worlds: int = 0
    red: list[int] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0  # that passed in the worlds

    def add(self, other: "Result") -> None:
        """Take in what came of others."""
        self.worlds += other.worlds
        self.red += other.red
        self.counts.update(other.counts)
        self.seconds += other.seconds


def examine_all(seeds: Sequence[int]) -> Result:
    """Examine seeds one after the other, on this core."""
    result = Result()
    for seed in seeds:
        finding = examine(seed)
        result.worlds += 1
        result.counts.update(finding.counts)
        result.seconds += finding.seconds
        if finding.violations:
            result.red.append(seed)
    return result


def main() -> int:
    """Run what the command line asks for; 1 where something is red or was not reached."""
    parser = argparse.ArgumentParser(prog="make simulate", description=__doc__)
    parser.add_argument("--seeds", type=int, default=2_000, help="how many worlds")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--seed", type=int, help="one seed alone, with its shortest history if it is red")
    parser.add_argument("--keep-going", action="store_true", help="go on after a red seed")
    asked = parser.parse_args()
    console = Console()
    if asked.seed is not None:
        finding = examine(asked.seed)
        console.print(report(finding) if finding.violations else f"seed {asked.seed}: nothing is wrong")
        return 1 if finding.violations else 0
    seeds = [*seeds_for_ever(), *range(asked.first, asked.first + asked.seeds)]
    whole = _run(seeds, keep_going=asked.keep_going)
    for name in sorted(EXPECTED | set(whole.counts)):
        console.print(f"{whole.counts[name]:>12,} {name}", highlight=False)
    console.print(
        f"{whole.worlds:,} worlds, {timedelta(seconds=round(whole.seconds))} of their time, "
        f"{len(whole.red)} of them red"
    )
    console.print(f"the worlds' code is {code()}", highlight=False)
    enough = whole.worlds >= WORLDS_FOR_COVERAGE
    too_seldom = missing(whole.counts, at_least=least(whole.worlds)) if enough else []
    for what in too_seldom:
        console.print(f"reached too seldom: {what}", highlight=False)
    for seed in whole.red[:3]:
        console.print(report(examine(seed)), highlight=False)
    return 1 if whole.red or too_seldom else 0


def code() -> str:
    """What the worlds are made of: a digest of our modules that they load, and of the schemas.

    Two commits with the same digest have the same worlds, whatever else differs.
    """
    loaded = (Path(module.__file__) for module in sys.modules.values() if getattr(module, "__file__", None))
    ours = {path.relative_to(ROOT) for path in loaded if path.is_relative_to(ROOT)}
    ours |= {path.relative_to(ROOT) for path in (ROOT / "schemas").rglob("*.avsc")}
    whole = hashlib.sha256()
    for path in sorted(path for path in ours if path.parts[0] != ".venv"):
        whole.update(f"{path}\n".encode() + hashlib.sha256((ROOT / path).read_bytes()).digest())
    return whole.hexdigest()[:16]


def _run(seeds: Sequence[int], *, keep_going: bool) -> Result:
    chunks = [seeds[start : start + CHUNK] for start in range(0, len(seeds), CHUNK)]
    whole = Result()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bar = progress.add_task("worlds", total=len(seeds))
        for result in _each(chunks):
            whole.add(result)
            progress.update(bar, completed=whole.worlds, description=f"worlds, {len(whole.red)} red")
            for seed in result.red:
                progress.print(f"seed {seed} is red: make simulate SEED={seed}")
            if whole.red and not keep_going:
                break
    return whole


def _each(chunks: Sequence[Sequence[int]]) -> Iterator[Result]:
    # What a process has imported stays: to look through it after each world took a twentieth of the time.
    with get_context("spawn").Pool(os.cpu_count(), initializer=gc.freeze) as pool:
        yield from pool.imap_unordered(examine_all, chunks)


if __name__ == "__main__":
    sys.exit(main())
