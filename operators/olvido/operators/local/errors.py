"""What can go wrong while parts are fetched, started and stopped, and what the reader can do about it."""

from pathlib import Path

from olvido.core.errors import OlvidoError

LOG_LINES_SHOWN = 15


class StackError(OlvidoError):
    """A part could not be fetched, started or stopped; the message says which, why and what to do."""


class DownloadFailed(StackError):
    """A pinned file could not be fetched, or what arrived is not what was pinned."""


class PartFailed(StackError):
    """A part ended, or did not answer before its deadline. The message ends with its last log lines."""


def tail(log: Path, *, lines: int = LOG_LINES_SHOWN) -> str:
    """Give the last lines of a log, indented, or say that there are none."""
    try:
        text = log.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        text = ""
    return last_lines(text, lines=lines)


def last_lines(text: str, *, lines: int = LOG_LINES_SHOWN) -> str:
    """Give the end of what a program said, indented, or say that it printed nothing."""
    last = text.splitlines()[-lines:]
    return "\n".join(f"  {line}" for line in last) if last else "  (nothing)"
