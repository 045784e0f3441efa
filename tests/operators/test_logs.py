"""What processes say: a JSON line for each record, or text for people; nobody is named, nothing is forged."""

import json
import os
import pty
import subprocess
import sys

import pytest

SAYING = """
import logging, threading, warnings
from olvido.operators.cli import logs
logs.set_up(level="INFO")
log = logging.getLogger("some.library")
{what}
"""


def said(what: str, **environment: str) -> list[str]:
    """The lines that a process leaves on stderr."""
    done = subprocess.run(
        [sys.executable, "-c", SAYING.format(what=what)],
        env={**os.environ, **environment}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.stdout == ""
    return done.stderr.splitlines()


def said_in_json(what: str) -> list[dict]:
    return [json.loads(line) for line in said(what)]


def test_a_line_is_json_with_level_logger_instant_and_message():
    [line] = said_in_json('log.info("handled %d of %s", 3, "olvido.requests.v1")')
    assert line.pop("timestamp").endswith("Z")
    assert line == {"level": "info", "logger": "some.library", "message": "handled 3 of olvido.requests.v1"}


@pytest.mark.parametrize(
    "what",
    [
        'log.warning("row of ana@example.es, +34 600 123 456, at postgresql://crm:hunter2@db/crm")',
        'log.warning("row of %s", "ana@example.es")',
        'log.warning("a row", extra={"person": {"who": ["ana@example.es"]}, "dsn": "password=hunter2"})',
        'warnings.warn("ana@example.es and token=hunter2")',
        'raise ValueError("Key (email)=(ana@example.es), password=hunter2")',
        """
try:
    raise ValueError("Key (email)=(ana@example.es), password=hunter2")
except ValueError:
    log.exception("failed")
""",
        """
def work(): raise ValueError("ana@example.es password=hunter2")
thread = threading.Thread(target=work); thread.start(); thread.join()
""",
    ],
)
@pytest.mark.parametrize("form", ["json", "text"])
def test_no_person_and_no_secret_is_in_a_line_of_whoever_says_it(what: str, form: str):
    text = "\n".join(said(what, OLVIDO_LOG_FORMAT=form))
    assert text != ""
    assert [word for word in ("ana@", "hunter2", "600 123") if word in text] == []


def test_a_traceback_is_one_line_that_says_where():
    [line] = said_in_json("def work(): raise ValueError(1)\nwork()")
    assert line["level"] == "critical"
    assert "in work" in line["exception"]


FORGED = 'log.warning("got %s", "x\\n{\\"level\\": \\"info\\"}\\x1b[2J\\u2028\\x07")'


def test_a_value_cannot_begin_a_line_of_its_own_nor_move_a_cursor():
    [line] = said(FORGED)
    assert json.loads(line)["message"].startswith("got x\n{")
    assert all(sign.isprintable() for sign in line)
    lines = said(FORGED, OLVIDO_LOG_FORMAT="text")
    assert all(sign.isprintable() for line in lines for sign in line)
    assert not any(line.lstrip().startswith("{") for line in lines)


def test_another_form_is_refused():
    assert "OLVIDO_LOG_FORMAT is json or text" in said("", OLVIDO_LOG_FORMAT="xml")[-1]


def test_a_person_at_a_terminal_reads_text():
    outer, inner = pty.openpty()
    subprocess.run(
        [sys.executable, "-c", SAYING.format(what='log.warning("hello")')],
        stderr=inner, check=True, timeout=60,
    )  # fmt: skip
    text = os.read(outer, 4096).decode()
    os.close(inner)
    os.close(outer)
    assert "hello" in text
    assert not text.startswith("{")
