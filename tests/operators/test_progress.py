"""How far long work is, on a terminal and elsewhere."""

import io

import pytest
from rich.console import Console

from olvido.operators.cli import progress
from olvido.operators.desk.progress import Waiting


def test_a_terminal_shows_a_bar_with_count_rate_and_time_left():
    console = Console(file=io.StringIO(), force_terminal=True, width=80, highlight=False)
    with progress.progress("replaying", 200, unit="tasks", console=console) as bar:
        bar.to(200)
        bar.notice(Waiting({"crm": 1200}))
    shown = console.file.getvalue()
    assert "200/200" in shown
    assert "/s" in shown
    assert "waiting: crm has 1,200 tasks before it" in shown


def test_elsewhere_there_are_plain_lines_and_not_many(monkeypatch: pytest.MonkeyPatch):
    clock = iter([0.0, 1.0, 11.0, 12.0, 22.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    console = Console(file=io.StringIO(), width=80)
    with progress.progress("replaying", 1000, unit="tasks", console=console) as bar:
        for done in (0, 100, 150, 200):
            bar.to(done)
    assert console.file.getvalue().splitlines() == [
        "replaying: 100 of 1,000 tasks, 9/s, 99 s left",
        "replaying: 200 of 1,000 tasks, 9/s, 88 s left",
    ]
