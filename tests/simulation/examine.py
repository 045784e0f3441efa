"""One seed, from its world to what is wrong with it; and the shortest history that still shows it."""

import gc
import subprocess
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from simulation.checker import Standing, Violation, check, check_replay
from simulation.faults import RATES
from simulation.history import History
from simulation.scheduler import Stuck
from simulation.world import Makers, World

TRIES_MAX = 150  # worlds that shrinking may run, if nothing else is said
SEEDS_FOR_EVER = Path(__file__).parents[1] / "seeds.txt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What became of one seed."""

    seed: int
    violations: tuple[Violation, ...]
    counts: dict[str, int]  # what was reached
    seconds: float  # that passed in the world
    history: History = field(repr=False)


def examine(
    seed: int,
    *,
    without: frozenset[str] = frozenset(),
    dropped: frozenset[int] = frozenset(),
    makers: Makers | None = None,
) -> Finding:
    """Run the world of a seed, check it, read everything once more, and check again."""
    with _uncollected():
        return _examine(seed, without=without, dropped=dropped, makers=makers or Makers())


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without the search for cycles: a world ends before it matters, and it took a fifth of the time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _examine(seed: int, *, without: frozenset[str], dropped: frozenset[int], makers: Makers) -> Finding:
    world = World(seed, without=without, dropped=dropped, makers=makers)
    try:
        world.run()
        violations = check(world)
        if not violations:
            before = Standing.of(world)
            world.replay()
            violations = check_replay(world, before)
    except Stuck as stuck:
        violations = [Violation("liveness", str(stuck))]
    except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding of this seed
        last = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(last.filename).name}:{last.lineno}"
        violations = [Violation("raised", f"{type(error).__name__} at {where}: {error}")]
    finally:
        world.end()
    for task in world.tables.tasks.values():
        if task["outcome"] == "failed":  # the answer for what is forgotten: no target gives it
            world.faults.count("outcome: failed")
    for letter in world.tables.dead_letters.values():
        world.faults.count(f"cause: {letter['cause']}")
    return Finding(
        seed=seed,
        violations=tuple(violations),
        counts=world.faults.counts,
        seconds=world.scheduler.seconds,
        history=world.history,
    )


@dataclass(slots=True)
class _Smaller:
    """What is left out while the same thing stays wrong."""

    again: Callable[[frozenset[str], frozenset[int]], Finding]
    name: str
    finding: Finding
    without: frozenset[str] = frozenset()
    dropped: frozenset[int] = frozenset()
    tries: int = 0

    def leave_out(self, without: frozenset[str], dropped: frozenset[int]) -> bool:
        """Try the world without these; whether it is still wrong in the same way."""
        self.tries += 1
        finding = self.again(without, dropped)
        if not any(violation.name == self.name for violation in finding.violations):
            return False
        self.finding, self.without, self.dropped = finding, without, dropped
        return True


def shortest(
    finding: Finding, *, makers: Makers | None = None, tries: int = TRIES_MAX
) -> tuple[Finding, list[str]]:
    """The smallest world of the same seed that is wrong in the same way, and how to see it.

    Greedy: first each fault is left out, then the workload by halves, quarters and single records.
    """
    smaller = _Smaller(
        again=lambda without, dropped: examine(finding.seed, without=without, dropped=dropped, makers=makers),
        name=finding.violations[0].name,
        finding=finding,
    )
    for fault in sorted(RATES):
        if smaller.tries < tries:
            smaller.leave_out(smaller.without | {fault}, smaller.dropped)
    numbers = sorted(item.number for item in World(finding.seed).items)
    size = max(1, len(numbers) // 2)
    while size and smaller.tries < tries:
        left = [number for number in numbers if number not in smaller.dropped]
        for start in range(0, len(left), size):
            if smaller.tries < tries:
                smaller.leave_out(smaller.without, smaller.dropped | set(left[start : start + size]))
        size //= 2
    kept = [number for number in numbers if number not in smaller.dropped]
    return smaller.finding, [
        f"faults left: {', '.join(sorted(set(RATES) - smaller.without)) or 'none'}",
        f"records left: {kept}",
    ]


def report(finding: Finding, *, makers: Makers | None = None) -> str:
    """What a person needs to see it again: seed, commit, and the shortest history."""
    small, how = shortest(finding, makers=makers)
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    lines = [
        f"seed {finding.seed} at commit {commit or 'unknown'}: {len(finding.violations)} violations",
        *(f"  {violation}" for violation in finding.violations[:10]),
        "the shortest history found:",
        *(f"  {line}" for line in how),
        *(f"  {violation}" for violation in small.violations[:10]),
        *(f"  {' '.join(map(str, event))}" for event in small.history.events),
        f"add {finding.seed} to tests/seeds.txt: it is run first from then on",
    ]
    return "\n".join(lines)


def seeds_for_ever() -> list[int]:
    """The seeds that once found something."""
    lines = SEEDS_FOR_EVER.read_text(encoding="utf-8").splitlines()
    return [int(line.split("#")[0]) for line in lines if line.split("#")[0].strip()]
