"""A MariaDB server of the tests' own, which they may stop, kill and start. Its data is thrown away."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import debian
import pymysql
from pymysql.connections import Connection

from olvido.operators.local.state import choose_port

PACKAGES = ("mariadb-server-core", "mariadb-client-core")  # a script of the first calls one of the second
START_S_MAX = 60
STOP_S_MAX = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Programs:
    """Where the server's programs are."""

    base: Path  # its folder of bin, sbin and share
    libraries: str  # what LD_LIBRARY_PATH needs, where they were unpacked


def programs() -> Programs | None:
    """The programs of this machine, or else Debian's, unpacked. None where neither is to be had."""
    installed = shutil.which("mariadbd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if installed:
        return Programs(base=Path(installed).resolve().parent.parent, libraries="")
    if debian.has_apt():
        folder = debian.unpacked(*PACKAGES)
        return Programs(base=folder / "usr", libraries=debian.libraries(folder))
    return None


class MariaDBServer:
    """One server process on a port of its own."""

    def __init__(self, folder: Path, found: Programs, *, sync: bool = False) -> None:
        self._folder = folder
        self._base = found.base
        self._environment = {**os.environ, "LD_LIBRARY_PATH": found.libraries}
        self._process: subprocess.Popen[bytes] | None = None
        self._port = choose_port(None)
        self._options = [
            "--no-defaults",
            f"--basedir={self._base}",
            f"--datadir={folder / 'data'}",
            f"--tmpdir={folder}",  # two that start at once would delete each other's tables there
            *(() if sync else ("--debug-no-sync",)),  # the data is thrown away
            "--innodb-log-file-size=16M",  # of 100 MB as usual, which every start would write
            *(["--user=root"] if os.geteuid() == 0 else []),
        ]
        install = self._base / "bin" / "mariadb-install-db"
        self._run(
            ["sh", install, *self._options, "--auth-root-authentication-method=normal", "--skip-test-db"]
        )

    @property
    def url(self) -> str:
        """A superuser of it."""
        return f"mysql://root@127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start, and return when it answers."""
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    self._base / "sbin" / "mariadbd",
                    *self._options,
                    "--bind-address=127.0.0.1",
                    f"--port={self._port}",
                    f"--socket={self._folder / 'socket'}",
                    "--skip-name-resolve",
                    "--innodb-buffer-pool-size=64M",
                    "--character-set-server=utf8mb4",
                    "--collation-server=utf8mb4_general_ci",  # as usual: it overlooks accents
                ],
                cwd=self._folder, env=self._environment, stdout=log, stderr=log,
            )  # fmt: skip
        give_up_at = time.monotonic() + START_S_MAX
        while not self._answers():
            assert self._process.poll() is None, (self._folder / "log").read_text()
            assert time.monotonic() < give_up_at, f"MariaDB did not answer within {START_S_MAX} s"
            time.sleep(0.05)  # nobody tells us when it is up

    def stop(self, *, how: signal.Signals = signal.SIGKILL) -> None:
        """Stop at once, as a power cut would."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(timeout=STOP_S_MAX)
            self._process = None

    def _run(self, command: list[str | Path]) -> None:
        done = subprocess.run(
            command, cwd=self._folder, env=self._environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def _answers(self) -> bool:
        try:
            with closing(connected(self.url, connect_timeout=2)):
                return True
        except pymysql.OperationalError:
            return False


def connected(url: str, **options: Any) -> "Connection[Any]":
    """A connection to a server or a database that a URL names; each statement commits by itself."""
    parts = urlsplit(url)
    return pymysql.connect(
        host=parts.hostname,
        port=parts.port or 3306,
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        database=parts.path.lstrip("/") or None,
        charset="utf8mb4",
        autocommit=True,
        ssl_disabled=True,  # or each connection would read all certificates of the machine: 30 ms of CPU
        **options,
    )


@contextmanager
def mariadb_server(found: Programs) -> Iterator[MariaDBServer]:
    """A running server, as long as the block lasts."""
    folder = Path(tempfile.mkdtemp(prefix="olvido-test-mariadb-"))
    server = None
    try:
        server = MariaDBServer(folder, found)
        server.start()
        yield server
    finally:
        if server is not None:
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)
