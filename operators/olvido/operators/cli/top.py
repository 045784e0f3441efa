"""`olvido top`: how fast everything moves, live."""

import select
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Group
from rich.live import Live
from rich.text import Text

from olvido.core.sinks import Standing
from olvido.operators.cli.output import console, table_of

if TYPE_CHECKING:
    from olvido.operators.desk.top import Look, Looking, ReaderPace

MS = timedelta(milliseconds=1)
LOOK_EVERY_S = 1.0
KEYS_S = 0.1  # how soon q is noticed
REMEMBERED = 60  # looks: a minute of them is drawn where there is room
BARS = "▁▂▃▄▅▆▇█"
WIDTH_WITH_STANDINGS = 110  # columns


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("top")(top)


def top(
    every: Annotated[
        float, typer.Option(min=0.2, max=3600, help="Seconds between two looks.")
    ] = LOOK_EVERY_S,
    count: Annotated[
        int | None, typer.Option(min=1, help="End after so many looks; without it, never.")
    ] = None,
) -> None:
    """Watch how fast records are handled, how far everybody is, how long people wait. q or Ctrl-C ends it.

    Examples:
        olvido top
        olvido top --every 10 --count 6 | tee -a rates.log
    """
    from olvido.operators.desk.top import Looking
    from olvido.operators.settings import deployment

    watcher = Watcher(Looking(deployment()))
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

    def __init__(self, looking: "Looking") -> None:
        self._looking = looking
        self.history: dict[str, deque[float]] = {}
        self.seen = deque["Look"](maxlen=1)
        self.changed = threading.Event()

    def watch(self, every_s: float, count: int | None, ended: threading.Event) -> None:
        """Look until a person ends it, or so many times."""
        looks = 0
        while not ended.is_set():
            began = time.monotonic()
            look = self._looking.look(self.seen[-1] if self.seen else None)
            for one in look.readers:
                self.history.setdefault(one.group, deque(maxlen=REMEMBERED)).append(one.rate)
            self.seen.append(look)
            self.changed.set()
            looks += 1
            if count is not None and looks >= count:
                ended.set()
            ended.wait(max(0.0, every_s - (time.monotonic() - began)))


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


def _line(look: "Look") -> str:
    readers = (
        f"{one.group.removeprefix('olvido.')} {one.rate:.0f}/s behind {one.behind}" for one in look.readers
    )
    owed = sum(sink.owed for sink in look.sinks.values())
    letters = sum(one.letters for one in look.dead_letters)
    problems = (f"! {problem}" for problem in look.problems)
    return "; ".join(
        [f"{look.at:%Y-%m-%dT%H:%M:%SZ} owed {owed}", f"dead letters {letters}", *readers, *problems]
    )


def _screen(watcher: Watcher) -> Group:
    look, wide = watcher.seen[-1], console.width >= WIDTH_WITH_STANDINGS
    rows = [
        _row(look, one, watcher.history.get(one.group, ()), bars=40 if wide else 10) for one in look.readers
    ]
    columns = ["reader", "/s", "trend", "behind", "owed", "oldest", "p50", "p95"]
    if wide:
        columns += ["p99", "standing"]
    letters = ", ".join(f"{one.letters} {one.cause}" for one in look.dead_letters) or "none"
    unsafe = [
        f"{name} is {one.standing}" for name, one in look.sinks.items() if one.standing != Standing.LIVE
    ]
    lines: list[Any] = [
        Text(
            f"olvido top   {look.at:%H:%M:%S} UTC   asked in {look.took / MS:.0f} ms   q ends it",
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


def _row(look: "Look", one: "ReaderPace", rates: Sequence[float], *, bars: int) -> dict[str, Any]:
    name = one.group.removeprefix("olvido.")
    sink = name.removeprefix("sink.")
    known = look.sinks.get(sink)
    p50, p95, p99 = known.times if known and known.times else (None, None, None)
    is_sink = sink != name
    return {
        "reader": sink + ("" if one.members else " (nobody)"),
        "/s": round(one.rate, 1),
        "trend": sparkline(list(rates), bars),
        "behind": one.behind,
        "owed": (known.owed if known else 0) if is_sink else None,
        "oldest": look.at - known.oldest_owed_at if known and known.oldest_owed_at else None,
        "p50": p50,
        "p95": p95,
        "p99": p99,
        "standing": (known.standing if known else Standing.LIVE) if is_sink else None,
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
