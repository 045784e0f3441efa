"""A PostgreSQL server of the tests' own, which they may stop and start. Its data is thrown away."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg2

from olvido.operators.local.postgres import _binaries, server_account

START_S_MAX = 60


class PostgresServer:
    """One server process on a port of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._port = _free_port()
        account = server_account()
        self._run_as: dict[str, Any] = {}
        if account is not None:
            self._run_as = {"user": account.uid, "group": account.gid, "extra_groups": []}
            os.chown(folder, account.uid, account.gid)
        command = [
            _binaries() / "initdb",
            "-D",
            folder / "data",
            "-U",
            "postgres",
            "-A",
            "trust",
            "-E",
            "UTF8",
        ]
        done = subprocess.run(command, check=False, capture_output=True, cwd=folder, **self._run_as)
        assert done.returncode == 0, done.stderr.decode()

    @property
    def dsn(self) -> str:
        """A superuser of it."""
        return f"postgresql://postgres@127.0.0.1:{self._port}/postgres"

    def start(self) -> None:
        """Start, and return when it takes writes."""
        options = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "fsync": "off",
            "max_connections": "50",
            "shared_buffers": "128MB",
            "log_min_messages": "fatal",
        }
        words = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        self._process = subprocess.Popen(
            [_binaries() / "postgres", "-D", self._folder / "data", "-p", str(self._port), *words],
            cwd=self._folder, stderr=subprocess.DEVNULL, **self._run_as,
        )  # fmt: skip
        give_up_at = time.monotonic() + START_S_MAX
        while not self._answers():
            assert self._process.poll() is None, "PostgreSQL ended while it was starting"
            assert time.monotonic() < give_up_at, f"PostgreSQL did not answer within {START_S_MAX} s"
            time.sleep(0.05)  # nobody tells us when it is up

    def stop(self, *, signal: int = 3) -> None:
        """Stop at once, as a power cut would: SIGQUIT, no shutdown checkpoint."""
        if self._process is not None:
            self._process.send_signal(signal)
            self._process.wait(timeout=30)
            self._process = None

    def copy(self, folder: Path) -> None:
        """Copy its data, as a backup does. It must stand still: use :meth:`stop` with SIGINT."""
        shutil.copytree(self._folder / "data", folder, copy_function=shutil.copy)

    def put_back(self, folder: Path) -> None:
        """Put a copy in place of its data, to be recovered as from an archive: on a timeline of its own."""
        data = self._folder / "data"
        shutil.rmtree(data)
        shutil.copytree(folder, data, copy_function=shutil.copy)
        data.chmod(0o700)
        (data / "recovery.signal").touch()
        with (data / "postgresql.auto.conf").open("a") as settings:
            settings.write("restore_command = 'false'\n")
        for path in (data, *data.rglob("*")):
            if self._run_as:
                os.chown(path, self._run_as["user"], self._run_as["group"])

    def _answers(self) -> bool:
        """Whether it takes writes: while it recovers what was put back, it answers those who read."""
        try:
            with (
                closing(psycopg2.connect(self.dsn, connect_timeout=2)) as connection,
                connection.cursor() as cursor,
            ):
                cursor.execute("select not pg_is_in_recovery()")
                return bool(cursor.fetchone()[0])
        except psycopg2.OperationalError:
            return False


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """A running server, as long as the block lasts."""
    folder = Path(tempfile.mkdtemp(prefix="olvido-test-postgres-"))
    server = None
    try:
        server = PostgresServer(folder)
        server.start()
        yield server
    finally:
        if server is not None:
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
