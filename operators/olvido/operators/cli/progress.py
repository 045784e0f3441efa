"""How far long work is: a bar with rate and time left on a terminal, a plain line now and then elsewhere."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from rich import progress as bars
from rich.console import Console
from rich.progress import (
    BarColumn,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from olvido.operators.cli.output import messages
from olvido.operators.desk.progress import Notice, Paused, Progress, Resumed, Waiting
from olvido.operators.desk.text import counted, span

LINE_EVERY_S = 10.0


@contextmanager
def progress(
    what: str, total: int, *, unit: str = "records", console: Console = messages
) -> Iterator[Progress]:
    """Show progress on stderr while the block runs.

    Args:
        what: what is being done, in a word or two.
        total: how much there is to do.
        unit: of what, in the plural.
        console: where.
    """
    if not console.is_terminal:
        yield _Lines(what, total, unit, console)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        TextColumn("{task.completed:,.0f}/{task.total:,.0f}"),
        _Rate(),
        TimeRemainingColumn(),
    )
    with bars.Progress(*columns, console=console, transient=False) as shown:
        yield _Shown(shown, shown.add_task(what, total=total))


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:,.0f}/s" if task.speed else "-/s")


class _Shown:
    def __init__(self, shown: bars.Progress, task: TaskID) -> None:
        self._shown = shown
        self._task = task

    def __call__(self, count: int) -> None:
        self._shown.advance(self._task, count)

    def to(self, done: int) -> None:
        self._shown.update(self._task, completed=done)

    def notice(self, notice: Notice) -> None:
        self._shown.console.print(text_of(notice), markup=False)


class _Lines:
    """For logs and pipes: a line at most every ten seconds, without anything that moves."""

    def __init__(self, what: str, total: int, unit: str, console: Console) -> None:
        self._what = what
        self._total = total
        self._unit = unit
        self._console = console
        self._began_at = self._told_at = time.monotonic()
        self._done = 0
        self._first: int | None = None

    def __call__(self, count: int) -> None:
        self.to(self._done + count)

    def to(self, done: int) -> None:
        self._done = done
        now = time.monotonic()
        if self._first is None:
            self._first = done
        if now - self._told_at < LINE_EVERY_S:
            return
        self._told_at = now
        rate = (done - self._first) / (now - self._began_at)
        left = f", {span(timedelta(seconds=(self._total - done) / rate))} left" if rate > 0 else ""
        self._console.print(
            f"{self._what}: {done:,} of {self._total:,} {self._unit}, {rate:,.0f}/s{left}", markup=False
        )

    def notice(self, notice: Notice) -> None:
        self._console.print(text_of(notice), markup=False)


def text_of(notice: Notice) -> str:
    """What a person reads, and what they may do about it."""
    match notice:
        case Paused(name=name):
            return f"paused; go on with: olvido replay resume {name}"
        case Resumed():
            return "goes on"
        case Waiting(tasks=tasks):
            before = (f"{sink} has {counted(number, 'task')} before it" for sink, number in tasks.items())
            return f"waiting: {', '.join(before)}"
