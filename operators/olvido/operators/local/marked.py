"""The living processes of one stack, found by the mark in their environment."""

import contextlib
import os
import signal

import psutil  # type: ignore[import-untyped, unused-ignore]


def marked(variable: str, mark: str) -> list[psutil.Process]:
    """Every living process whose environment has this mark: not ours, nor those that started us."""
    mine = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    return [
        each for each in psutil.process_iter() if each.pid not in mine and _has_mark(each, variable, mark)
    ]


def end(process: psutil.Process, *, kill: bool) -> None:
    """Ask a process to end, or kill it. One that is gone is well."""
    with contextlib.suppress(psutil.NoSuchProcess):
        # SIGINT is PostgreSQL's fast shutdown (SIGTERM waits for clients); the JVM and Python heed it too.
        process.send_signal(signal.SIGKILL if kill else signal.SIGINT)


def this_process() -> str:
    """The owner to name when a supervisor must not outlive the process that asked for it."""
    process = psutil.Process()
    return f"{process.pid}@{process.create_time():.2f}"


def _has_mark(process: psutil.Process, variable: str, mark: str) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE and process.environ().get(variable) == mark)
    except (psutil.Error, OSError):
        return False  # gone meanwhile, or another user's
