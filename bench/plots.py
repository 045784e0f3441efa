"""Draw what was kept in ``bench/results``: an SVG for each figure, in ``bench/plots``.

.venv-peers/bin/python bench/plots.py [NAME ...]
"""

import re
import statistics
import sys
from pathlib import Path

import matplotlib as mpl
from figures import RESULTS, Comparison, Curve, load
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter

HERE = Path(__file__).parent
PLOTS = HERE / "plots"
INK = "#24323f"
COLOURS = ("#1b6ca8", "#d1603d", "#4a8f5c", "#8a5aa8", "#b08a2e")
SPAN_FOR_LOG = 30  # an axis that goes over more than this is logarithmic


def main() -> None:
    """Draw all of it, or what is named."""
    PLOTS.mkdir(exist_ok=True)
    # The same figures give the same bytes: a picture changes in a commit only if what was measured did.
    mpl.rcParams |= {"svg.hashsalt": "olvido", "svg.fonttype": "none", "font.family": "sans-serif"}
    mpl.rcParams |= {"text.color": INK, "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK}
    for bench in sys.argv[1:] or sorted(path.stem for path in RESULTS.glob("*.json")):
        for told, figure in load(bench):
            sheet, axes = plt.subplots(figsize=(7.2, 3.6), layout="constrained")
            axes.spines[["top", "right"]].set_visible(False)
            (_bars if isinstance(figure, Comparison) else _lines)(axes, figure)
            sheet.suptitle(figure.title, x=0.01, ha="left", fontsize=11)
            machine = told["machine"]
            axes.set_title(
                f"commit {told['commit']}, {machine['cores']} cores; points: medians, bars: least to most",
                loc="left", fontsize=7, color="#6b7780",
            )  # fmt: skip
            path = PLOTS / f"{bench}-{re.sub('[^a-z0-9]+', '-', figure.title.lower()).strip('-')}.svg"
            sheet.savefig(path, metadata={"Date": None})
            plt.close(sheet)
            print(path.relative_to(HERE.parent))


def _bars(axes: Axes, figure: Comparison) -> None:
    names = sorted(figure.runs, key=lambda name: statistics.median(figure.runs[name]))
    medians = [statistics.median(figure.runs[name]) for name in names]
    below = [median - min(figure.runs[name]) for name, median in zip(names, medians, strict=True)]
    above = [max(figure.runs[name]) - median for name, median in zip(names, medians, strict=True)]
    axes.barh(names, medians, xerr=[below, above], color=COLOURS[0], ecolor=INK, height=0.55, capsize=3)
    if figure.against in figure.runs:
        limit = statistics.median(figure.runs[figure.against])
        axes.axvline(limit, color=INK, linestyle=":", linewidth=1)
        for at, median in enumerate(medians):
            axes.annotate(
                f"{median / limit:.2f}",
                (0, at),
                (4, 0),
                textcoords="offset points",
                color="white",
                va="center",
            )
    axes.set_xlabel(f"{figure.unit} (inside: of {figure.against})")
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))


def _lines(axes: Axes, figure: Curve) -> None:
    for colour, (name, line) in zip(COLOURS * 9, figure.lines.items(), strict=False):
        places = sorted((float(x), runs) for x, runs in line.items())
        xs = [x for x, _ in places]
        medians = [statistics.median(runs) for _, runs in places]
        below = [median - min(runs) for median, (_, runs) in zip(medians, places, strict=True)]
        above = [max(runs) - median for median, (_, runs) in zip(medians, places, strict=True)]
        axes.errorbar(xs, medians, yerr=[below, above], label=name, color=colour, marker="o", ms=4, capsize=3)
        if xs[0] > 0 and xs[-1] / xs[0] > SPAN_FOR_LOG:
            axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    axes.set_xlabel(figure.x)
    axes.set_ylabel(figure.y)
    if axes.get_xscale() == "linear":
        axes.xaxis.get_major_locator().set_params(integer=True)
    else:
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.yaxis.set_major_formatter(EngFormatter(sep=""))
    if len(figure.lines) > 1:
        axes.legend(frameon=False)


if __name__ == "__main__":
    main()
