"""A lock between processes, held on a file and freed by the kernel when its holder dies."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from olvido.operators.local.errors import StackError

WAIT_S_MAX = 600.0  # another `olvido up` may be downloading
TRY_AGAIN_AFTER_S = 0.1


@contextmanager
def locked(
    path: Path, *, what: str, console: Console | None = None, wait_s: float = WAIT_S_MAX
) -> Iterator[None]:
    """Hold the lock on `path`; wait for another holder, and say so once.

    Raises StackError when the other holder has not let go after `wait_s`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = _acquire(path, what=what, console=console, wait_s=wait_s)
    try:
        yield
    finally:
        os.close(handle)


def _acquire(path: Path, *, what: str, console: Console | None, wait_s: float) -> int:
    deadline = time.monotonic() + wait_s
    announced = False
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_still_that_file(handle, path):
                return handle
        except BlockingIOError:
            if not announced and console is not None:
                console.print(f"another olvido process is using {what}; waiting for it", markup=False)
                announced = True
        os.close(handle)
        if time.monotonic() > deadline:
            raise StackError(
                f"another olvido process has been using {what} for {wait_s:.0f} s ({path}). "
                f"Find it with `ps`, or wait for it, and try again."
            )
        time.sleep(TRY_AGAIN_AFTER_S)


def _is_still_that_file(handle: int, path: Path) -> bool:
    """`down --purge` deletes the folder with the lock in it: a process that waited must look again."""
    try:
        return os.fstat(handle).st_ino == path.stat().st_ino
    except FileNotFoundError:
        return False
