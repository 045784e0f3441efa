"""The pinned parts: what `olvido up` needs besides Python wheels, fetched once and checked by SHA-256.

Kafka and the registry come from a Maven repository. `parts.lock.json` names each file by its coordinate, hash
and size, and no host: the repository is `OLVIDO_MAVEN_MIRROR`, else the mirror of Central in the user's own
`~/.m2/settings.xml`, else the one that jgo knows. Java and PostgreSQL are wheels and need nothing from here.

What arrived is kept in `OLVIDO_CACHE` (else `~/.cache/olvido`) and is shared by all clones.
"""

import hashlib
import json
import os
import shutil
import tarfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from olvido.operators.local.errors import DownloadFailed
from olvido.operators.local.locks import locked

LOCK_FILE = Path(__file__).with_name("parts.lock.json")
CACHE_VARIABLE = "OLVIDO_CACHE"
MIRROR_VARIABLE = "OLVIDO_MAVEN_MIRROR"

THREADS = 8
CHUNK_BYTES = 64 * 1024  # what a cut connection loses at most
SILENCE_S_MAX = 30  # without a byte
ATTEMPTS_MAX = 6  # of one file, each goes on where the last one broke; pauses double from 0.5 s: 15 s in all
PAUSE_FIRST_S = 0.5

Advance = Callable[[int], None]  # is given how many bytes arrived (or, negative, were thrown away)


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """One pinned file of a Maven repository."""

    coordinate: (
        str  # group:artifact:version, then :packaging and :classifier where they are not `jar` and none
    )
    sha256: str
    size: int

    @property
    def filename(self) -> str:
        """`kafka-clients-4.3.1.jar`, as the repository and our cache call it."""
        _, artifact, version, packaging, classifier = self._fields()
        return f"{artifact}-{version}{'-' + classifier if classifier else ''}.{packaging}"

    @property
    def path(self) -> str:
        """Where a Maven repository keeps it, relative to its address."""
        group, artifact, version, _, _ = self._fields()
        return f"{group.replace('.', '/')}/{artifact}/{version}/{self.filename}"

    def _fields(self) -> tuple[str, str, str, str, str]:
        group, artifact, version, packaging, classifier, *_ = [*self.coordinate.split(":"), "", ""]
        return group, artifact, version, packaging or "jar", classifier


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One program of the stack, as the lock file pins it."""

    name: str
    title: str
    version: str
    artifacts: tuple[Artifact, ...]

    @property
    def key(self) -> str:
        """The name of its folder in the cache: another lock gives another folder."""
        pins = "".join(artifact.sha256 for artifact in self.artifacts)
        return f"{self.name}-{self.version}-{hashlib.sha256(pins.encode()).hexdigest()[:8]}"

    @property
    def size(self) -> int:
        """Bytes to fetch when nothing is cached."""
        return sum(artifact.size for artifact in self.artifacts)


def load_lock(path: Path = LOCK_FILE) -> dict[str, Part]:
    """Read the pinned parts, by name."""
    content: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    return {
        name: Part(
            name=name,
            title=part["title"],
            version=part["version"],
            artifacts=tuple(Artifact(**artifact) for artifact in part["artifacts"]),
        )
        for name, part in content.items()
    }


def cache_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Where fetched files are kept: `OLVIDO_CACHE`, else `olvido` under the user's cache folder."""
    if given := environ.get(CACHE_VARIABLE):
        return Path(given).expanduser()
    return Path(environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "olvido"


def repository(environ: Mapping[str, str] = os.environ) -> str:
    """The address that files are fetched from, without a slash at its end."""
    settings = Path(environ.get("HOME", "~")).expanduser() / ".m2" / "settings.xml"
    address = environ.get(MIRROR_VARIABLE) or _mirror_of_central(settings)
    if not address:
        from jgo.constants import MAVEN_CENTRAL_URL  # with a client for HTTP, which only who downloads needs

        address = str(MAVEN_CENTRAL_URL)
    return address.rstrip("/")


def _mirror_of_central(settings: Path) -> str | None:
    """The mirror that the user gave to Maven for `central`, or for everything."""
    try:
        root = ElementTree.parse(settings).getroot()  # noqa: S314 - the user's own file
    except (OSError, ElementTree.ParseError):
        return None
    for mirror in root.iterfind("{*}mirrors/{*}mirror"):
        of = {word.strip() for word in (mirror.findtext("{*}mirrorOf") or "").split(",")}
        if of & {"central", "*", "external:*"} and "!central" not in of:
            return (mirror.findtext("{*}url") or "").strip() or None
    return None


def fetch_jars(part: Part, *, cache: Path, base: str, console: Console | None = None) -> Path:
    """Have all files of a part in one folder of the cache, and give that folder.

    A file that is there with its size was checked when it came. Several threads fetch what is missing.
    """
    folder = cache / part.key
    with locked(cache / "lock", console=console, what="the download cache"):
        missing = [each for each in part.artifacts if not _is_there(folder / each.filename, each)]
        if missing:
            folder.mkdir(parents=True, exist_ok=True)
            with _progress(part, missing, console) as advance:
                _fetch_all(missing, folder=folder, cache=cache, base=base, advance=advance)
    return folder


def fetch_archive(part: Part, *, cache: Path, base: str, console: Console | None = None) -> Path:
    """Have the one archive of a part unpacked in the cache, and give its folder."""
    (artifact,) = part.artifacts
    folder = cache / part.key
    with locked(cache / "lock", console=console, what="the download cache"):
        if folder.is_dir():
            return folder
        archive = cache / artifact.filename
        if not _is_there(archive, artifact):
            with _progress(part, [artifact], console) as advance:
                fetch(artifact, to=archive, cache=cache, base=base, advance=advance)
        unpacked = cache / f"{part.key}.new"
        shutil.rmtree(unpacked, ignore_errors=True)
        with tarfile.open(archive) as tar:
            # Python 3.11 before 3.11.4 has no filters; the archive's hash was checked, so that is no danger.
            safely: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
            tar.extractall(unpacked, **safely)  # noqa: S202
        # The folder appears whole or not at all; the archive is no longer needed then.
        unpacked.rename(folder)
        archive.unlink()
    return folder


def fetch(artifact: Artifact, *, to: Path, cache: Path, base: str, advance: Advance = lambda _: None) -> None:
    """Fetch one file, check it, and only then give it its name.

    A transfer that breaks goes on where it broke, in this call or in a later one. A file that is not what was
    pinned is deleted and fetched once more from its start.
    Raises DownloadFailed when that is wrong too, or when the repository does not answer.
    """
    partial = cache / "partial" / artifact.sha256
    partial.parent.mkdir(parents=True, exist_ok=True)
    to.parent.mkdir(parents=True, exist_ok=True)
    url = f"{base}/{artifact.path}"
    for last_try in (False, True):
        _transfer(url, artifact, partial, advance)
        actual = _sha256(partial)
        if actual == artifact.sha256:
            partial.replace(to)
            return
        advance(-partial.stat().st_size)
        partial.unlink()
        if last_try:
            raise DownloadFailed(
                f"{artifact.filename} is not the file that was pinned: expected SHA-256 {artifact.sha256}, "
                f"got {actual}, twice, from {url}. It was deleted. "
                f"Try another repository: {MIRROR_VARIABLE}=https://…"
            )


def _fetch_all(artifacts: list[Artifact], *, folder: Path, cache: Path, base: str, advance: Advance) -> None:
    stopped = threading.Event()

    def advance_unless_stopped(count: int) -> None:
        if stopped.is_set():
            raise DownloadFailed("stopped, because another file failed or by Ctrl-C")
        advance(count)

    def fetch_one(artifact: Artifact) -> None:
        to = folder / artifact.filename
        fetch(artifact, to=to, cache=cache, base=base, advance=advance_unless_stopped)

    with ThreadPoolExecutor(THREADS) as pool:
        jobs = [pool.submit(fetch_one, each) for each in artifacts]
        try:
            for job in as_completed(jobs):
                job.result()
        except BaseException:
            # What has not begun does not begin, what has stops at its next bytes; the next `up` goes on.
            stopped.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _transfer(url: str, artifact: Artifact, partial: Path, advance: Advance) -> None:
    """Append what is missing of a file to its partial, trying again when the connection breaks."""
    reason = ""
    for attempt in range(1, ATTEMPTS_MAX + 1):
        try:
            if _append(url, artifact, partial, advance):
                return
            reason = "the connection was cut"
        except ConnectionError as error:
            reason = str(error)
        except OSError as error:  # requests' exceptions, whose texts are long
            reason = type(error).__name__
        if attempt < ATTEMPTS_MAX:
            time.sleep(PAUSE_FIRST_S * 2 ** (attempt - 1))
    raise DownloadFailed(
        f"{artifact.filename} could not be fetched from {url}: {reason} ({ATTEMPTS_MAX} attempts). "
        f"What arrived is kept, and the next try goes on from there. "
        f"If this repository can't be reached from here, name a mirror: {MIRROR_VARIABLE}=https://…"
    )


def _append(url: str, artifact: Artifact, partial: Path, advance: Advance) -> bool:
    """Ask for the rest of a file and append it; say whether the file now has its full size."""
    have = partial.stat().st_size if partial.exists() else 0
    if have >= artifact.size:
        advance(have)
        return True
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    from jgo.util import http  # only who downloads waits for it

    with http.get(url, stream=True, timeout=SILENCE_S_MAX, headers=headers) as response:
        if response.status_code >= 500:
            raise ConnectionError(f"it answered {response.status_code}")
        if response.status_code == 416:  # its file is shorter than what we have: begin again
            partial.unlink()
            return False
        if response.status_code not in (200, 206):
            raise DownloadFailed(
                f"{artifact.filename} could not be fetched: {url} answered {response.status_code}. "
                f"If the repository is a mirror, it may not hold this file: check {MIRROR_VARIABLE}."
            )
        resumed = response.status_code == 206
        have = have if resumed else 0
        counted = 0 if resumed else -have
        advance(counted)
        with partial.open("ab" if resumed else "wb") as file:
            for chunk in response.iter_content(CHUNK_BYTES):
                file.write(chunk)
                have += len(chunk)
                advance(len(chunk))
                if have > artifact.size:
                    break  # not our file; the hash will say so
    return have >= artifact.size


def _is_there(path: Path, artifact: Artifact) -> bool:
    return path.exists() and path.stat().st_size == artifact.size


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _progress(part: Part, missing: list[Artifact], console: Console | None) -> Iterator[Advance]:
    """Show bytes, rate and time left: a bar on a terminal, two plain lines elsewhere."""
    total = sum(artifact.size for artifact in missing)
    title = f"{part.title} {part.version}"
    if console is None:
        yield lambda _: None
    elif console.is_terminal:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=console) as bar:
            task = bar.add_task(title, total=total)
            yield lambda count: bar.advance(task, count)
    else:
        console.print(f"fetching {title}: {total / 1e6:.0f} MB", highlight=False)
        began = time.monotonic()
        yield _PlainProgress(console=console, title=title, total=total)
        console.print(f"fetched {title} in {time.monotonic() - began:.0f} s", highlight=False)


class _PlainProgress:
    """A line every ten seconds, for a log that nobody watches live."""

    SAY_EVERY_S = 10.0

    def __init__(self, *, console: Console, title: str, total: int) -> None:
        self._console, self._title, self._total = console, title, total
        self._done = 0
        self._said_at = time.monotonic()
        self._lock = threading.Lock()

    def __call__(self, count: int) -> None:
        with self._lock:
            self._done += count
            if time.monotonic() - self._said_at >= self.SAY_EVERY_S:
                self._said_at = time.monotonic()
                self._console.print(f"  {self._title}: {self._done / 1e6:.0f} of {self._total / 1e6:.0f} MB")
