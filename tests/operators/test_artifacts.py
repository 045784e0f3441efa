"""Pinned downloads, from a real HTTP server on the loopback that misbehaves on purpose."""

import hashlib
import io
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from rich.console import Console

from olvido.operators.local import artifacts
from olvido.operators.local.artifacts import (
    Artifact,
    Part,
    fetch,
    fetch_archive,
    fetch_jars,
    load_lock,
    repository,
)
from olvido.operators.local.errors import DownloadFailed

CONTENT = bytes(range(256)) * 8192  # 2 MiB


class Repository(ThreadingHTTPServer):
    """A Maven repository of a few files; it understands Range, and cuts what it is told to cut."""

    daemon_threads = True

    def __init__(self, files: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files = files
        self.cut_after: list[int] = []  # bytes after which the next answers are cut, one each
        self.asked: list[str] = []  # the Range of each request, or ""
        self.ranges = True
        self.busy = 0  # how often to answer 503 first
        self.after: dict[str, Path] = {}  # what is answered only when a file has come

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Repository

    def do_GET(self) -> None:
        body = self.server.files.get(self.path.lstrip("/"))
        wanted = self.headers.get("Range", "")
        self.server.asked.append(wanted)
        if self.server.busy:
            self.server.busy -= 1
            self.send_error(503)
            return
        if body is None:
            self.send_error(404)
            return
        while (file := self.server.after.get(self.path.lstrip("/"))) and not file.exists():
            time.sleep(0.005)
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.server.ranges else 0
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        cut = self.server.cut_after.pop(0) if self.server.cut_after else len(body)
        self.wfile.write(body[start : start + cut])

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(files: dict[str, bytes]) -> Iterator[Repository]:
    with Repository(files) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()


def pinned(coordinate: str, content: bytes) -> Artifact:
    return Artifact(coordinate=coordinate, sha256=hashlib.sha256(content).hexdigest(), size=len(content))


def a_part(*artifacts: Artifact) -> Part:
    return Part(name="thing", title="Thing", version="1.0", artifacts=artifacts)


THING = pinned("org.example.things:thing:1.0", CONTENT)


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artifacts, "PAUSE_FIRST_S", 0.001)


def test_a_coordinate_gives_the_path_that_maven_uses() -> None:
    assert THING.path == "org/example/things/thing/1.0/thing-1.0.jar"
    archive = Artifact(coordinate="io.x:app:2.0:tar.gz:all", sha256="", size=0)
    assert archive.path == "io/x/app/2.0/app-2.0-all.tar.gz"


def test_a_file_is_fetched_and_given_its_name(tmp_path: Path) -> None:
    with serving({THING.path: CONTENT}) as server:
        fetch(THING, to=tmp_path / "thing.jar", cache=tmp_path, base=server.base)
    assert (tmp_path / "thing.jar").read_bytes() == CONTENT


def test_a_download_that_is_cut_goes_on_where_it_was(tmp_path: Path) -> None:
    arrived: list[int] = []
    with serving({THING.path: CONTENT}) as server:
        server.cut_after = [1_000_000, 500_000]
        fetch(THING, to=tmp_path / "thing.jar", cache=tmp_path, base=server.base, advance=arrived.append)
        asked = server.asked
    assert (tmp_path / "thing.jar").read_bytes() == CONTENT
    assert asked[0] == ""
    assert len(asked) == 3
    assert all(wanted.startswith("bytes=") for wanted in asked[1:])
    assert sum(arrived) == len(CONTENT)


def test_a_download_goes_on_in_a_later_call(tmp_path: Path) -> None:
    with serving({THING.path: CONTENT}) as server:
        server.cut_after = [1_500_000] + [0] * 20
        with pytest.raises(DownloadFailed, match=r"thing-1\.0\.jar could not be fetched"):
            fetch(THING, to=tmp_path / "thing.jar", cache=tmp_path, base=server.base)
        assert not (tmp_path / "thing.jar").exists()
        server.cut_after, server.asked = [], []
        fetch(THING, to=tmp_path / "thing.jar", cache=tmp_path, base=server.base)
        (asked,) = server.asked
        assert 1_500_000 - artifacts.CHUNK_BYTES < int(asked[6:-1]) <= 1_500_000
    assert (tmp_path / "thing.jar").read_bytes() == CONTENT


def test_a_repository_that_is_busy_is_asked_again(tmp_path: Path) -> None:
    with serving({THING.path: CONTENT}) as server:
        server.busy = 2
        fetch(THING, to=tmp_path / "thing.jar", cache=tmp_path, base=server.base)
        server.busy = 100
        with pytest.raises(DownloadFailed, match="it answered 503"):
            fetch(THING, to=tmp_path / "again.jar", cache=tmp_path, base=server.base)
    assert (tmp_path / "thing.jar").read_bytes() == CONTENT


def test_a_server_that_knows_no_ranges_is_asked_from_the_start(tmp_path: Path) -> None:
    with serving({THING.path: CONTENT}) as server:
        server.ranges, server.cut_after = False, [1_000_000]
        fetch(THING, to=tmp_path / "thing.jar", cache=tmp_path, base=server.base)
    assert (tmp_path / "thing.jar").read_bytes() == CONTENT


@pytest.mark.parametrize(
    "wrong", [CONTENT[:-1] + b"?", CONTENT + b"?" * 100_000], ids=["altered", "too long"]
)
def test_a_file_that_is_not_what_was_pinned_is_refused_and_named(tmp_path: Path, wrong: bytes) -> None:
    with serving({THING.path: wrong}) as server:
        with pytest.raises(DownloadFailed) as failed:
            fetch(THING, to=tmp_path / "thing.jar", cache=tmp_path, base=server.base)
        assert len(server.asked) == 2, "fetched once more before it is refused"

    assert "thing-1.0.jar" in str(failed.value)
    assert THING.sha256 in str(failed.value)
    assert "OLVIDO_MAVEN_MIRROR" in str(failed.value)
    assert list(tmp_path.rglob("*.jar")) == []
    assert list((tmp_path / "partial").iterdir()) == []


def test_a_corrupt_file_names_the_hash_that_it_has(tmp_path: Path) -> None:
    wrong = CONTENT[:-1] + b"?"
    with serving({THING.path: wrong}) as server, pytest.raises(DownloadFailed) as failed:
        fetch(THING, to=tmp_path / "thing.jar", cache=tmp_path, base=server.base)
    assert hashlib.sha256(wrong).hexdigest() in str(failed.value)


def test_a_rotten_partial_is_thrown_away_and_fetched_from_the_start(tmp_path: Path) -> None:
    partial = tmp_path / "partial" / THING.sha256
    partial.parent.mkdir()
    partial.write_bytes(b"?" * 1_000_000)
    with serving({THING.path: CONTENT}) as server:
        fetch(THING, to=tmp_path / "thing.jar", cache=tmp_path, base=server.base)
        assert server.asked == ["bytes=1000000-", ""]
    assert (tmp_path / "thing.jar").read_bytes() == CONTENT


def test_a_file_that_the_mirror_does_not_hold_is_named(tmp_path: Path) -> None:
    with serving({}) as server, pytest.raises(DownloadFailed, match=r"thing-1\.0\.jar.* answered 404"):
        fetch(THING, to=tmp_path / "thing.jar", cache=tmp_path, base=server.base)


def test_only_what_is_missing_is_fetched(tmp_path: Path) -> None:
    files = {f"file-{number}": bytes([number]) * 1000 for number in range(20)}
    artifacts = [pinned(f"org.example:{name}:1", content) for name, content in files.items()]
    served = {artifact.path: content for artifact, content in zip(artifacts, files.values(), strict=True)}
    part = a_part(*artifacts)
    with serving(served) as server:
        folder = fetch_jars(part, cache=tmp_path, base=server.base)
        assert len(server.asked) == 20
        (folder / artifacts[3].filename).unlink()
        (folder / artifacts[4].filename).write_bytes(b"short")
        fetch_jars(part, cache=tmp_path, base=server.base)
        assert len(server.asked) == 22
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        artifact.filename: content for artifact, content in zip(artifacts, files.values(), strict=True)
    }


def test_one_bad_file_among_many_stops_the_part_and_keeps_the_good_ones(tmp_path: Path) -> None:
    good, bad = pinned("org.example:good:1", b"good"), pinned("org.example:bad:1", b"bad!")
    part = a_part(good, bad)
    with serving({good.path: b"good", bad.path: b"evil"}) as server:
        server.after[bad.path] = tmp_path / part.key / good.filename
        with pytest.raises(DownloadFailed, match=r"bad-1\.jar"):
            fetch_jars(part, cache=tmp_path, base=server.base)
    assert [path.name for path in tmp_path.rglob("*.jar")] == ["good-1.jar"]


def test_an_archive_is_unpacked_once(tmp_path: Path) -> None:
    with io.BytesIO() as buffer:
        with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
            tar.addfile(entry := tarfile.TarInfo("lib/hello.txt"), io.BytesIO(b""))
            assert entry.size == 0
        content = buffer.getvalue()
    part = a_part(pinned("org.example:app:1:tar.gz:all", content))
    with serving({part.artifacts[0].path: content}) as server:
        folder = fetch_archive(part, cache=tmp_path, base=server.base)
        assert fetch_archive(part, cache=tmp_path, base=server.base) == folder
        assert len(server.asked) == 1
    assert (folder / "lib" / "hello.txt").exists()
    assert list(tmp_path.glob("*.tar.gz")) == []


def test_progress_is_told_in_plain_lines_where_nobody_watches(tmp_path: Path) -> None:
    console = Console(file=io.StringIO(), force_terminal=False)
    with serving({THING.path: CONTENT}) as server:
        fetch_jars(a_part(THING), cache=tmp_path, base=server.base, console=console)
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().splitlines() == [
        "fetching Thing 1.0: 2 MB",
        "fetched Thing 1.0 in 0 s",
    ]


def test_progress_is_a_bar_on_a_terminal(tmp_path: Path) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    with serving({THING.path: CONTENT}) as server:
        fetch_jars(a_part(THING), cache=tmp_path, base=server.base, console=console)
    assert isinstance(console.file, io.StringIO)
    assert "2.1/2.1 MB" in console.file.getvalue()


def test_the_mirror_is_the_users_word_then_mavens_then_jgos(tmp_path: Path) -> None:
    home = {"HOME": str(tmp_path)}
    without = repository(home)
    assert without.startswith("https://")
    (tmp_path / ".m2").mkdir()
    (tmp_path / ".m2" / "settings.xml").write_text(
        '<settings xmlns="urn:x"><mirrors><mirror><id>m</id><url>https://mirror.test/maven/</url>'
        "<mirrorOf>central</mirrorOf></mirror></mirrors></settings>"
    )
    assert repository(home) == "https://mirror.test/maven"
    assert repository(home | {"OLVIDO_MAVEN_MIRROR": "https://mine.test/m2/"}) == "https://mine.test/m2"


def test_the_lock_pins_every_file_and_names_no_host() -> None:
    text = artifacts.LOCK_FILE.read_text(encoding="utf-8")
    assert "://" not in text
    pins = [artifact for part in load_lock().values() for artifact in part.artifacts]
    assert len(pins) > 90
    assert all(len(pin.sha256) == 64 and pin.size > 0 for pin in pins)
    assert len({pin.filename for pin in pins}) == len(pins)


def test_two_that_choose_at_the_same_moment_get_other_ports() -> None:
    """The suite's workers are seeded alike, and a part listens only seconds after its port was chosen."""
    script = (
        "import random; random.seed(7);"
        "from olvido.operators.local.state import choose_port;"
        "print(*[choose_port(None) for _ in range(40)])"
    )
    both = [
        subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    ports = [port for each in both for port in each.communicate(timeout=60)[0].split()]
    assert len(set(ports)) == len(ports) == 80
