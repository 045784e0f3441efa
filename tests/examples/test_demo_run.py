"""`make demo` as a whole: it keeps its promises, and leaves nothing behind, however it ends."""

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from rich.console import Console

from demo.run import EXIT_INTERRUPTED, HOME, run_demo
from olvido.core.errors import ConfigError
from olvido.operators.local.stack import down, status

PROJECT = Path(__file__).parents[2]
BEGUN_S_MAX = 60

pytestmark = [pytest.mark.journey, pytest.mark.timeout(300)]


@pytest.fixture
def clone(tmp_path: Path) -> Iterator[Path]:
    """A folder that looks like a clone of the project, so that a demo of the user's is not touched."""
    (tmp_path / "olvido.toml").symlink_to(PROJECT / "olvido.toml")
    (tmp_path / "examples").symlink_to(PROJECT / "examples")
    yield tmp_path
    down(tmp_path / HOME, purge=True)


def _running(clone: Path) -> list[str]:
    return [part.name for part in status(clone / HOME) if part.state != "stopped"]


@pytest.mark.proof
def test_the_story_ends_with_every_promise_kept_and_nothing_running(clone: Path) -> None:
    console = Console(file=io.StringIO(), width=80, highlight=False)
    before = dict(os.environ)
    code = run_demo(clone, console)
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "12 of 12 promises kept" in shown, shown
    assert code == 0
    assert _running(clone) == []
    assert dict(os.environ) == before


def test_ctrl_c_stops_everything(clone: Path) -> None:
    program = (
        f"import sys; from pathlib import Path; from rich.console import Console; "
        f"from demo.run import run_demo; sys.exit(run_demo(Path({str(clone)!r}), Console()))"
    )
    with (clone / "out.txt").open("w") as out:
        environment = {**os.environ, "PYTHONPATH": str(PROJECT / "examples")}
        demo = subprocess.Popen([sys.executable, "-c", program], stdout=out, stderr=out, env=environment)
    give_up_at = time.monotonic() + BEGUN_S_MAX
    while "PostgreSQL answers" not in (clone / "out.txt").read_text():
        assert time.monotonic() < give_up_at, (clone / "out.txt").read_text()
        assert demo.poll() is None, (clone / "out.txt").read_text()
        time.sleep(0.1)
    demo.send_signal(signal.SIGINT)
    assert demo.wait(60) == EXIT_INTERRUPTED, (clone / "out.txt").read_text()
    assert _running(clone) == []
    assert not psutil.pid_exists(demo.pid) or psutil.Process(demo.pid).status() == psutil.STATUS_ZOMBIE


def test_where_there_is_no_shop_nothing_is_started(tmp_path: Path) -> None:
    (tmp_path / "olvido.toml").symlink_to(PROJECT / "olvido.toml")
    with pytest.raises(ConfigError, match="clone of the project"):
        run_demo(tmp_path, Console(file=io.StringIO()))
    assert status(tmp_path / HOME) == []
