"""What a bench found, run by run: told as tables, and kept by commit so that pictures can be drawn of it.

``bench/results/<bench>.json`` is a list, the newest first. Nothing in it is rounded or left out: medians,
spreads and ratios are worked out when they are shown.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

HERE = Path(__file__).parent
RESULTS = HERE / "results"
MEMINFO = Path("/proc/meminfo")
CPUINFO = Path("/proc/cpuinfo")

Runs = list[float]  # what each run measured, in the order of the runs


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Several that did the same work in turns: how fast each was, and what part of one of them that is."""

    title: str
    unit: str
    against: str  # the one that the others are measured by
    runs: Mapping[str, Runs]  # by name

    def table(self) -> str:
        """Markdown, the fastest first."""
        limit = statistics.median(self.runs[self.against]) if self.runs.get(self.against) else None
        lines = [
            f"| {self.title} | {self.unit}: median (least to most) | of {self.against} |",
            "|---|---|---|",
        ]
        for name, runs in sorted(self.runs.items(), key=lambda item: -statistics.median(item[1])):
            ratio = "" if limit is None else f"{statistics.median(runs) / limit:.2f}"
            lines.append(f"| {name} | {spread(runs)} | {ratio} |")
        return "\n".join(lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """How figures move with one thing."""

    title: str
    x: str  # what moves, with its unit
    y: str  # what was measured, with its unit
    lines: Mapping[str, Mapping[float, Runs]] = field(default_factory=dict)  # by name, by x

    def table(self) -> str:
        """Markdown: a row for each x, with what it is of the first one's."""
        names = list(self.lines)
        places = sorted({float(x) for line in self.lines.values() for x in line})
        lines = [f"| {self.x} | " + " | ".join(f"{name}, {self.y}" for name in names) + " |"]
        lines.append("|---" * (len(names) + 1) + "|")
        for x in places:
            cells = []
            for name in names:
                line = {float(at): runs for at, runs in self.lines[name].items()}
                first = statistics.median(line[min(line)])
                ratio = f" · {statistics.median(line[x]) / first:.2f}" if x in line and first else ""
                cells.append(f"{spread(line[x])}{ratio}" if x in line else "")
            lines.append(f"| {x:,.0f} | " + " | ".join(cells) + " |")
        return "\n".join(lines)


def spread(runs: Sequence[float]) -> str:
    """Median, and the least and the most of the runs."""
    median = statistics.median(runs)
    if len(runs) == 1:
        return _figure(median)
    return f"{_figure(median)} ({_figure(min(runs))} to {_figure(max(runs))})"


def _figure(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def tell(bench: str, figures: Sequence[Comparison | Curve], *, keep: bool) -> None:
    """Print the tables; if asked to, put what was measured at the head of the bench's results."""
    for figure in figures:
        sys.stdout.write(figure.table() + "\n\n")
    if not keep:
        return
    path = RESULTS / f"{bench}.json"
    RESULTS.mkdir(exist_ok=True)
    before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    entry = {
        "commit": _git("rev-parse", "--short", "HEAD") + ("+" if _git("status", "--porcelain") else ""),
        "at": datetime.now(UTC).isoformat(timespec="minutes"),
        "command": " ".join(["python", *sys.argv]),
        "machine": machine(),
        "figures": [{"kind": type(figure).__name__, **asdict(figure)} for figure in figures],
    }
    text = json.dumps([entry, *before], indent=1) + "\n"
    path.write_text(text, encoding="utf-8")
    sys.stderr.write(f"kept in {path.relative_to(HERE.parent)}\n")


def load(bench: str) -> list[tuple[Mapping[str, object], Comparison | Curve]]:
    """The newest of each figure that a bench kept, with when and where it was measured.

    Raises:
        FileNotFoundError: nothing was ever kept.
    """
    kinds = {"Comparison": Comparison, "Curve": Curve}
    newest: dict[str, tuple[Mapping[str, object], Comparison | Curve]] = {}
    for told in json.loads((RESULTS / f"{bench}.json").read_text(encoding="utf-8")):
        for figure in told.pop("figures"):
            newest.setdefault(figure["title"], (told, kinds[figure.pop("kind")](**figure)))
    return list(newest.values())


def machine() -> Mapping[str, object]:
    """What it was measured on, as far as that matters to a ratio."""
    cpu = next(
        (line.split(":", 1)[1].strip() for line in _lines(CPUINFO) if line.startswith("model name")), ""
    )
    memory = next((int(line.split()[1]) for line in _lines(MEMINFO) if line.startswith("MemTotal")), 0)
    return {
        "cores": os.cpu_count(),
        "cpu": cpu,
        "memory_gib": round(memory / 2**20),
        "python": platform.python_version(),
        "load_before": round(_LOAD_BEFORE, 2),
    }


def options(description: str | None, *, runs: int = 5) -> argparse.ArgumentParser:
    """What every bench can be told."""
    parser = argparse.ArgumentParser(description=(description or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--runs", type=int, default=runs, help="how often each figure is measured")
    parser.add_argument("--keep", action="store_true", help="put what was measured into bench/results")
    return parser


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=HERE, capture_output=True, text=True, check=False)
    return done.stdout.strip()


_LOAD_BEFORE = os.getloadavg()[0]  # of others: a bench on a busy machine says so
