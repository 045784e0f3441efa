"""What tests make the product say is searched as well, and the search can find something."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent.parent
SAYS = {
    "a line on standard output": "print('asked by ana@example.es')",
    "a log line": "logging.getLogger('olvido').warning('no such phone: +34600123456')",
    "a traceback that somebody printed": 'sys.stderr.write("ValueError: Ana.Ruiz+shop%40Example.com")',
}
CLEAN = "print('h1_MFqv asked for p***@e***.com by way of 127.0.0.1')"


@pytest.mark.parametrize("says", SAYS.values(), ids=SAYS)
def test_a_test_that_names_somebody_fails_and_does_not_repeat_it(says: str, tmp_path: Path):
    done = _run(tmp_path, says)
    assert "somebody is named in: Captured" in done.stdout
    assert "1 failed" in done.stdout
    assert "na@example" not in done.stdout
    assert "600123456" not in done.stdout


def test_a_test_that_names_nobody_passes(tmp_path: Path):
    assert "1 passed" in _run(tmp_path, CLEAN).stdout


def _run(folder: Path, says: str) -> "subprocess.CompletedProcess[str]":
    """One test that says something, in a run of its own, with the hooks of all tests."""
    folder.joinpath("conftest.py").write_text((TESTS / "conftest.py").read_text(), encoding="utf-8")
    test = f"import logging, sys\n\ndef test_speaks():\n    {says}\n"
    folder.joinpath("test_speaks.py").write_text(test, encoding="utf-8")
    options = ("--import-mode=importlib", "-p", "no:cacheprovider", "-p", "no:xdist", "-rP")
    return subprocess.run(
        [sys.executable, "-m", "pytest", *options, "--rootdir", str(folder), str(folder)],
        env={**os.environ, "PYTHONPATH": str(TESTS)}, cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
