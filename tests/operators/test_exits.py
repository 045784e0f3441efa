"""Each exit code, from a command that ends with it; the pages say the same of them."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest
from shell import olvido

from olvido.operators.cli.exits import Exit

PROJECT = Path(__file__).parents[2]
NOBODY = {
    "OLVIDO_CONFIG": str(PROJECT / "olvido.toml"),
    "OLVIDO_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:1",
    "OLVIDO_REGISTRY__URL": "http://127.0.0.1:1",
    "OLVIDO_LEDGER__DSN": "postgresql://olvido@127.0.0.1:1/ledger",
    "OLVIDO_ENV_FILES": "none",
}
WAITING = ("status", "--watch", "--exit-when-healthy", "--timeout", "1s")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--version",), Exit.OK),
        (("requests", "list", "--limit", "0"), Exit.USAGE),
        (("down", "--purge", "--no-input"), Exit.REFUSED),
        (WAITING, Exit.TIMED_OUT),
        (("status",), Exit.UNHEALTHY),
        (("doctor",), Exit.UNHEALTHY),
        (("requests", "list"), Exit.UNHEALTHY),
    ],
)
def test_a_command_ends_with_the_code_that_says_how(arguments: tuple[str, ...], code: Exit):
    done = olvido(*arguments, **NOBODY)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr


def test_what_is_not_there_is_another_thing_than_what_is_wrong(ledger, ledger_dsn: str):
    done = olvido("requests", "show", str(uuid4()), **{**NOBODY, "OLVIDO_LEDGER__DSN": ledger_dsn})
    assert (done.returncode, "olvido requests list" in done.stderr) == (Exit.NOT_FOUND, True)


@pytest.mark.parametrize("command", [("audit",), ("requests", "list"), ("run", "recorder")])
def test_a_ledger_of_an_older_form_is_refused_with_the_command_that_mends_it(
    empty_dsn: str, kafka_section, command: tuple[str, ...]
):
    done = olvido(*command, **{**NOBODY, "OLVIDO_LEDGER__DSN": empty_dsn})
    assert (done.returncode, done.stdout) == (Exit.USAGE, "")
    assert "olvido ledger migrate" in done.stderr


def test_a_full_disk_is_told_in_a_line():
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "olvido.operators.cli", "topics", "list"],
            stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False, cwd=PROJECT,
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (
        Exit.FAILURE, "olvido: cannot write: no space left on device\n",
    )  # fmt: skip


def test_ctrl_c_is_no_failure():
    """A person who presses it knows what happened: no traceback."""
    command = [sys.executable, "-m", "olvido.operators.cli", "request", "erase", "--identities-from", "-"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, **NOBODY, "PYTHONUNBUFFERED": "1"},
    ) as process:  # fmt: skip
        process.stdin.write(" " * 1_000_000)  # more than a pipe holds: it is written when it is being read
        process.stdin.flush()
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=60)
    assert (process.returncode, told) == (Exit.INTERRUPTED, "")


def test_the_page_tells_each_code_as_the_code_does():
    page = (PROJECT / "docs" / "configuration.md").read_text(encoding="utf-8")
    told = dict(re.findall(r"^\| (\d+) \| (.*) \|$", page, re.MULTILINE))
    assert {str(code.value): code.meaning for code in Exit}.items() <= told.items()
