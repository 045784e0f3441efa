"""Programs that only Debian's packages have: fetched by apt and unpacked, not installed.

No root is needed and nothing of the system changes. What was unpacked is kept beside the other parts that
were fetched (``OLVIDO_CACHE``, else ``~/.cache/olvido``) and is shared by all clones.
"""

import os
import platform
import pwd
import re
import shutil
import subprocess
from pathlib import Path

from olvido.operators.local.artifacts import cache_folder
from olvido.operators.local.locks import locked

FETCH_S_MAX = 240  # one call of apt: package lists of 14 MB, or the packages themselves


def has_apt() -> bool:
    """Whether packages can be fetched and unpacked on this machine."""
    return all(shutil.which(name) for name in ("apt-get", "dpkg-deb"))


def unpacked(*packages: str) -> Path:
    """A folder with some packages, and what they need that is not installed, as ``/`` would have them.

    Asserts that apt could fetch it, and shows what apt answered.
    """
    release = platform.freedesktop_os_release()
    cache = cache_folder() / "debian"
    system = (release["ID"], release.get("VERSION_ID", "rolling"), platform.machine())
    folder = cache / "-".join((*packages, *system))
    with locked(cache / "lock", what="the cache of Debian's packages"):
        if not folder.is_dir():
            # Killed before the rename, the next run begins again; after it, the folder is whole.
            _unpack(packages, cache / "new").rename(folder)
            shutil.rmtree(cache / "new")
    return folder


def libraries(folder: Path) -> str:
    """Where the unpacked shared libraries are, for LD_LIBRARY_PATH."""
    return ":".join(str(found) for top in ("lib", "usr/lib") for found in folder.glob(f"{top}/*-linux-gnu*"))


def _unpack(packages: tuple[str, ...], new: Path) -> Path:
    shutil.rmtree(new, ignore_errors=True)
    archives, root = new / "archives", new / "root"
    archives.mkdir(parents=True)
    root.mkdir()
    for options in ((), _lists_of_our_own(new)):
        failure = _fetch(packages, options, archives)
        if failure is None:
            break
    assert failure is None, f"apt cannot fetch {packages}:\n{failure}"
    for archive in archives.glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", archive, root], check=True, capture_output=True)
    return root


def _lists_of_our_own(new: Path) -> tuple[str, ...]:
    """Where apt shall keep package lists that are ours: the system's are missing on some machines, or old."""
    for folder in ("state/lists/partial", "cache/archives/partial"):
        (new / folder).mkdir(parents=True)
    return ("-o", f"Dir::State={new / 'state'}", "-o", f"Dir::Cache={new / 'cache'}")


def _fetch(packages: tuple[str, ...], options: tuple[str, ...], archives: Path) -> str | None:
    """Bring the archives of packages and of what they lack; or give what apt answered."""
    if options:
        _apt(
            archives, *options, "update"
        )  # one list of several may fail: the next line shows whether it matters
    planned = _apt(archives, *options, "--simulate", "--no-install-recommends", "install", *packages)
    if planned.returncode != 0:
        return planned.stdout + planned.stderr
    missing = re.findall(r"^Inst (\S+)", planned.stdout, flags=re.MULTILINE)
    fetched = _apt(archives, *options, "download", *{*packages, *missing})
    return fetched.stdout + fetched.stderr if fetched.returncode != 0 else None


def _apt(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    # Root's apt fetches as a user of its own, who cannot write into our folder.
    account = pwd.getpwuid(os.geteuid()).pw_name
    return subprocess.run(
        ["apt-get", "-q", "-o", f"APT::Sandbox::User={account}", *words],
        cwd=folder, env={**os.environ, "LC_ALL": "C"}, timeout=FETCH_S_MAX,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
