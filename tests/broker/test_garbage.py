"""How a process that collects rarely ends."""

import subprocess
import sys

ENDS = """
import duckdb
from olvido.broker.runtime.garbage import collect_rarely
{collect}
"""


def test_a_process_that_collects_rarely_ends_without_a_line_about_leaks() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", ENDS.format(collect="collect_rarely()")],
        check=False,
        capture_output=True,
        text=True,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_what_was_frozen_for_good_would_be_printed_as_leaked() -> None:
    """Without this the test above could not fail."""
    ended = subprocess.run(
        [sys.executable, "-c", ENDS.format(collect="import gc; gc.collect(); gc.freeze()")],
        check=False,
        capture_output=True,
        text=True,
    )
    assert "leaked" in ended.stderr
