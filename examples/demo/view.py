"""What is seen: a live table of the sinks while the story runs, then promises, times, what to type next."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from demo.evidence import Promise
from demo.story import DOWN
from demo.timing import Timing
from demo.watch import Reading, Watch
from olvido.core.outcomes import Outcome
from olvido.core.rights.consent import Consent
from olvido.core.rights.erase import Erase
from shop.people import SYSTEMS

LINE_EVERY_S = 2.0  # where there is no terminal
REFRESH_PER_S = 4
BAR_WIDTH = 30
WIDTH_MAX = 110

_ERASED = Erase.done | {Outcome.RETAINED}


class View:
    """One console, whatever it can do: a terminal, a pipe, no colours, no Unicode."""

    def __init__(self, console: Console) -> None:
        self._console = console
        unicode = "utf" in (console.encoding or "").lower()
        self._kept, self._broken, self._point = ("✓", "✗", "▸") if unicode else ("+", "x", ">")

    def title(self, text: str) -> None:
        """The line that all begins with."""
        self._console.print(Text(text, style="bold"))

    def tell(self, text: str, *, at_s: float | None = None) -> None:
        """One line of the story."""
        when = "      " if at_s is None else f"{at_s:4.0f} s"
        line = Table.grid(padding=(0, 1))
        line.add_row(Text(when, style="dim"), Text(self._point, style="cyan"), Text(text))
        self._console.print(line)

    @contextmanager
    def watching(self, watch: Watch, *, expected: int) -> Iterator[None]:
        """Show how far each sink is, for as long as the block lasts."""
        if self._console.is_terminal and not self._console.is_dumb_terminal:
            with Live(
                get_renderable=lambda: self._board(watch.last, expected),
                console=self._console,
                refresh_per_second=REFRESH_PER_S,
            ):
                yield
        else:
            with self._printing_lines(watch, expected):
                yield
            self._console.print(self._board(watch.last, expected))

    def promises(self, promises: Sequence[Promise]) -> None:
        """Every promise with its mark, in words too: colours may be off."""
        table = Table.grid(padding=(0, 1))
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True)
        table.add_column()
        for promise in promises:
            mark = Text(self._kept, style="green") if promise.kept else Text(self._broken, style="bold red")
            word = Text("kept", style="green") if promise.kept else Text("BROKEN", style="bold red")
            table.add_row(mark, word, Text(promise.text, style="bold"))
            table.add_row("", "", Text(promise.evidence, style="dim" if promise.kept else "red"))
        self._console.print(Padding(table, (1, 0)), width=min(self._console.width, WIDTH_MAX))

    def verdict(self, promises: Sequence[Promise]) -> None:
        """How many were kept."""
        kept = sum(promise.kept for promise in promises)
        style = "bold green" if kept == len(promises) else "bold red"
        self._console.print(Text(f"{kept} of {len(promises)} promises kept", style=style))

    def times(self, timing: Timing) -> None:
        """Time to erase and rates."""
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        table.add_column("time to erase")
        for column in ("p50", "p99"):
            table.add_column(column, justify="right")
        for name, (p50, p99) in timing.by_sink.items():
            note = " (down at first)" if name == DOWN else ""
            table.add_row(f"{name}{note}", _seconds(p50), _seconds(p99))
        table.add_row("everywhere", _seconds(timing.overall[0]), _seconds(timing.overall[1]))
        self._console.print(table)
        self._console.print(
            Text(
                f"{timing.requests} requests, {timing.tasks:,} tasks and {timing.rows:,} rows erased "
                f"in {timing.span.total_seconds():.0f} s of story: {timing.tasks_per_s:,.0f} tasks/s, "
                f"{timing.rows_per_s:,.0f} rows/s, the outages included"
            )
        )

    def next(self, commands: Mapping[str, str]) -> None:
        """What to type next."""
        table = Table.grid(padding=(0, 2))
        for command, meaning in commands.items():
            table.add_row(Text(command, style="cyan"), Text(meaning))
        self._console.print(Padding(table, (1, 0)))

    def _board(self, seen: Reading, expected: int) -> Group:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
        table.add_column("sink", no_wrap=True)
        for column in ("planned", "done", "erased", "unknown", "consents", "waiting", "again"):
            table.add_column(column, justify="right", no_wrap=True)
        table.add_column("state", no_wrap=True)
        for name in SYSTEMS:
            sink = seen.sink(name)
            erased, consents = (
                sum(sink.outcomes.get(one, 0) for one in kinds) for kinds in (_ERASED, Consent.done)
            )
            numbers = (
                sink.planned, sink.answered, erased, sink.outcomes.get(Outcome.NOT_FOUND, 0), consents,
                sink.waiting, sink.sent_again,
            )  # fmt: skip
            table.add_row(name, *(f"{number:,}" for number in numbers), _state(name, seen))
        bar = Table.grid(padding=(0, 1))
        bar.add_row(
            ProgressBar(total=max(expected, 1), completed=seen.answered, width=BAR_WIDTH),
            Text(f"{seen.answered:,} of {expected:,} receipts; {seen.finished} requests final"),
        )
        return Group(table, bar)

    @contextmanager
    def _printing_lines(self, watch: Watch, expected: int) -> Iterator[None]:
        ended = threading.Event()

        def lines() -> None:
            while not ended.wait(LINE_EVERY_S):
                seen = watch.last
                sinks = "  ".join(f"{name} {seen.sink(name).answered}" for name in SYSTEMS)
                told = f"{watch.elapsed_s:4.0f} s   {seen.answered} of {expected} receipts: {sinks}"
                self._console.print(told, markup=False, soft_wrap=True)

        thread = threading.Thread(target=lines, name="demo-lines", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


def _state(name: str, seen: Reading) -> Text:
    process = seen.processes.get(f"sink-{name}")
    if process is None or process.state != "running":
        return Text(process.state if process else "unknown", style="red")
    if name == DOWN and not _runs(seen, "shop-marketing"):
        return Text("no target", style="yellow")
    if process.restarts:
        return Text("up again", style="green")
    return Text("up", style="green")


def _runs(seen: Reading, program: str) -> bool:
    process = seen.processes.get(program)
    return process is not None and process.state in ("starting", "running")


def _seconds(span: timedelta) -> str:
    return f"{span.total_seconds():.1f} s"
