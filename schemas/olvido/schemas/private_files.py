"""Files of keys and secrets: there whole, or not at all; readable by their owner alone unless public."""

import logging
import os
import stat
import tempfile
from functools import lru_cache
from pathlib import Path

from olvido.core.errors import ConfigError

log = logging.getLogger("olvido.schemas")

OTHERS = stat.S_IRWXG | stat.S_IRWXO


def write_private(path: Path, content: bytes | str, *, new: bool = False) -> bool:
    """Write a file with mode 0600, in one step for its readers.

    Args:
        path: where; its folder is there.
        content: all of it. A text is written as UTF-8.
        new: leave a file alone that is there already, also if another process makes it at this moment.

    Returns:
        Whether it was written.

    Raises:
        OSError: it cannot be written. Then nothing is left of it.
    """
    return _write(path, content, new=new, mode=0o600)


def read_private(path: Path) -> bytes:
    """Read a secret, and warn once of a file that others than its owner can read.

    It is no fault: a file that a cluster mounts may be open to the process's group.

    Raises:
        OSError: it cannot be read.
    """
    if is_open_to_others(path):
        _warn_of(path)
    return path.read_bytes()


def read_key(path: Path, *, setting: str) -> bytes:
    """Read the file of a key that a setting names.

    Raises:
        ConfigError: it is not there, or cannot be read: only the first is mended by a new key.
    """
    try:
        return read_private(path)
    except FileNotFoundError:
        raise ConfigError(f"{setting}: {path} is not there; make one with: olvido keys create") from None
    except OSError as error:
        raise ConfigError(f"{setting}: {path} cannot be read: {error.strerror}") from None


def is_open_to_others(path: Path) -> bool:
    """Whether others than its owner may do something with a file."""
    return bool(path.stat().st_mode & OTHERS)


@lru_cache
def _warn_of(path: Path) -> None:
    log.warning("%s holds a secret and can be read by others: chmod 600 %s", path, path)


def write_new(path: Path, content: bytes) -> None:
    """Write a secret once, whole or not at all, readable by its owner only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        write_private(path, content, new=True)  # if another process was first, theirs stands


def write_public(path: Path, content: bytes | str) -> None:
    """Write what everybody may read, in one step for its readers."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _write(path, content, new=False, mode=0o644)


def _write(path: Path, content: bytes | str, *, new: bool, mode: int) -> bool:
    data = content.encode() if isinstance(content, str) else content
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # which gives it 0600
    draft = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            # Killed before the next step, a draft is left that nobody reads. Without this line a power cut
            # after it could leave the name with nothing in it.
            os.fsync(file.fileno())
        draft.chmod(mode)
        if not new:
            draft.replace(path)
            return True
        try:
            os.link(draft, path)  # unlike a rename, it fails where somebody else was first
        except FileExistsError:
            return False
        return True
    finally:
        draft.unlink(missing_ok=True)
