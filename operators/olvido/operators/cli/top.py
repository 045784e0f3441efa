"""`olvido top`: how fast everything moves, live."""

import select
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer
from rich.console import Group
from rich.live import Live
from rich.text import Text

from olvido.core.errors import OlvidoError
from olvido.core.sinks import Standing
from olvido.operators.cli.output import console, table_of
from olvido.operators.desk.text import span

EVERY_S = 1.0
KEYS_S = 0.1  # how soon q is noticed
REMEMBERED = 60  # looks: a minute of them is drawn where there is room
BARS = "▁▂▃▄▅▆▇█"
WIDE = 110  # columns

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """Everything, at one instant. What did not answer is in ``problems`` and missing elsewhere."""

    at: datetime
    groups: Sequence[Any] = ()
    rates: Mapping[str, float] = field(default_factory=dict)  # records handled a second, by group
    owed: Mapping[str, Row] = field(default_factory=dict)  # by sink, as are the next two
    times: Mapping[str, Row] = field(default_factory=dict)
    standings: Mapping[str, Standing] = field(default_factory=dict)
    dead_letters: Sequence[Row] = ()
    problems: Sequence[str] = ()
    took_s: float = 0.0


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("top")(top)


def top(
    every: Annotated[float, typer.Option(min=0.2, max=3600, help="Seconds between two looks.")] = EVERY_S,
    count: Annotated[
        int | None, typer.Option(min=1, help="End after so many looks; without it, never.")
    ] = None,
) -> None:
    """Watch how fast records are handled, how far everybody is, how long people wait. q or Ctrl-C ends it.

    Examples:
        olvido top
        olvido top --every 10 --count 6 | tee -a rates.log
    """
    watcher = Watcher()
    ended = threading.Event()
    looks = threading.Thread(target=watcher.watch, args=(every, count, ended), daemon=True)
    looks.start()
    try:
        if console.is_terminal:
            _live(watcher, ended)
        else:
            _plainly(watcher, ended)
    except KeyboardInterrupt:  # it is how watching ends
        ended.set()


class Watcher:
    """Looks again and again, in a thread of its own: so that a key is noticed while a part is silent."""

    def __init__(self) -> None:
        from olvido.broker.groups import Groups
        from olvido.ledger.connection import Database
        from olvido.ledger.figures import Figures
        from olvido.ledger.sink_operations import SinkOperations
        from olvido.operators.settings import deployment
        from olvido.processors.figures import readers_of

        declared = deployment()
        database = Database(declared.ledger_dsn, application="olvido.top")
        self._groups = Groups(declared.kafka, readers_of(declared))
        self._figures = Figures(database)
        self._operations = SinkOperations(database)
        self._before: tuple[float, dict[str, int]] | None = None
        self.history: dict[str, deque[float]] = {}
        self.seen = deque[Look](maxlen=REMEMBERED)
        self.changed = threading.Event()

    def watch(self, every_s: float, count: int | None, ended: threading.Event) -> None:
        """Look until told to end, or so many times."""
        looks = 0
        while not ended.is_set():
            began = time.monotonic()
            self.seen.append(self.look())
            self.changed.set()
            looks += 1
            if count is not None and looks >= count:
                ended.set()
            ended.wait(max(0.0, every_s - (time.monotonic() - began)))

    def look(self) -> Look:
        """Ask everybody once."""
        began, problems = time.monotonic(), list[str]()
        found: dict[str, Any] = {}
        for ask in (self._broker, self._ledger):
            try:
                found |= ask()
            except OlvidoError as error:
                problems.append(str(error))
        return Look(at=datetime.now(UTC), problems=problems, took_s=time.monotonic() - began, **found)

    def _broker(self) -> dict[str, Any]:
        groups = self._groups.look()
        now, handled = time.monotonic(), {one.group: one.handled for one in groups}
        then, before = self._before or (now - EVERY_S, handled)
        self._before = (now, handled)
        rates = {
            name: max(0.0, (count - before.get(name, count)) / (now - then))
            for name, count in handled.items()
        }
        for name, rate in rates.items():
            self.history.setdefault(name, deque(maxlen=REMEMBERED)).append(rate)
        return {"groups": groups, "rates": rates}

    def _ledger(self) -> dict[str, Any]:
        return {
            "owed": {row["sink"]: row for row in self._figures.owed_by_sink()},
            "times": {row["sink"]: row for row in self._figures.times_to_apply()},
            "standings": {sink: standing for sink, (standing, _) in self._operations.standings().items()},
            "dead_letters": self._figures.dead_letters_by_cause(),
        }


def sparkline(values: Sequence[float], room: int) -> str:
    """The newest values as bars, the tallest for the greatest of them."""
    shown = list(values)[-room:]
    greatest = max(shown, default=0.0)
    if not greatest:
        return (BARS[0] * len(shown)).rjust(room)
    return "".join(BARS[round(value / greatest * (len(BARS) - 1))] for value in shown).rjust(room)


def _live(watcher: Watcher, ended: threading.Event) -> None:
    with _keys() as pressed, Live(console=console, screen=True, auto_refresh=False) as live:
        live.update(Text("looking …"), refresh=True)
        while not ended.is_set():
            if pressed(KEYS_S) in {"q", "Q"}:
                ended.set()
            if watcher.changed.is_set():
                watcher.changed.clear()
                live.update(_screen(watcher), refresh=True)


def _plainly(watcher: Watcher, ended: threading.Event) -> None:
    """A line for each look: what a log or a pipe can hold."""
    while not (ended.is_set() and not watcher.changed.is_set()):
        if watcher.changed.wait(KEYS_S):
            watcher.changed.clear()
            sys.stdout.write(_line(watcher.seen[-1]) + "\n")
            sys.stdout.flush()


def _line(look: Look) -> str:
    readers = (
        f"{one.group.removeprefix('olvido.')} {look.rates[one.group]:.0f}/s behind {one.behind}"
        for one in look.groups
    )
    owed = sum(row["owed"] for row in look.owed.values())
    letters = sum(row["letters"] for row in look.dead_letters)
    problems = (f"! {problem}" for problem in look.problems)
    return "; ".join(
        [f"{look.at:%Y-%m-%dT%H:%M:%SZ} owed {owed}", f"dead letters {letters}", *readers, *problems]
    )


def _screen(watcher: Watcher) -> Group:
    look, wide = watcher.seen[-1], console.width >= WIDE
    rows = [
        _row(look, one, watcher.history.get(one.group, ()), bars=40 if wide else 10) for one in look.groups
    ]
    columns = ["reader", "/s", "trend", "behind", "owed", "oldest", "p50", "p95"]
    if wide:
        columns += ["p99", "standing"]
    letters = ", ".join(f"{row['letters']} {row['cause']}" for row in look.dead_letters) or "none"
    unsafe = [f"{sink} is {standing.value}" for sink, standing in look.standings.items()]
    lines: list[Any] = [
        Text(
            f"olvido top   {look.at:%H:%M:%S} UTC   asked in {look.took_s * 1000:.0f} ms   q ends it",
            style="bold",
        ),
        Text(""),
        *(Text(f"! {problem}", style="bold red") for problem in (*look.problems, *unsafe)),
    ]
    if rows:
        lines.append(table_of(rows, columns))
    lines += [
        Text(""),
        Text(f"dead letters {letters}"),
        Text(
            "p50, p95: how long half, and 95 %, of the newest 1,000 requests took at most",
            style="dim",
        ),
    ]
    return Group(*lines)


def _row(look: Look, one: Any, rates: Sequence[float], *, bars: int) -> dict[str, Any]:  # noqa: ANN401
    name = one.group.removeprefix("olvido.")
    sink = name.removeprefix("sink.")
    owed, times = look.owed.get(sink), look.times.get(sink)
    p50, p95, p99 = (
        (span(timedelta(seconds=one)) for one in times["seconds"]) if times else (None, None, None)
    )
    is_sink = sink != name
    return {
        "reader": sink + ("" if one.members else " (nobody)"),
        "/s": round(look.rates[one.group], 1),
        "trend": sparkline(list(rates), bars),
        "behind": one.behind,
        "owed": (owed["owed"] if owed else 0) if is_sink else None,
        "oldest": span(look.at - owed["oldest_at"]) if owed else None,
        "p50": p50,
        "p95": p95,
        "p99": p99,
        "standing": look.standings.get(sink, Standing.LIVE).value if is_sink else None,
    }


@contextmanager
def _keys() -> Iterator[Any]:
    """Keys as they are pressed, without Enter: a function that waits for one, and gives it or nothing."""
    if not sys.stdin.isatty():
        yield time.sleep
        return
    import termios
    import tty

    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)

    def pressed(wait_s: float) -> str:
        ready, _, _ = select.select([descriptor], [], [], wait_s)
        return sys.stdin.read(1) if ready else ""

    try:
        tty.setcbreak(descriptor)
        yield pressed
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
