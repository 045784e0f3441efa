"""The state folder `.olvido/`: what a stack must remember between two `up`s.

.olvido/state.json         ports, passwords, cluster id, mark                            0600
.olvido/stack.env          the addresses that Olvido's processes read                    0600
.olvido/admin.env          PostgreSQL's superuser, for people; given to no process       0600
.olvido/lock               held while `up` or `down` works
.olvido/run/               supervisord's configuration, pid file and socket              0700
.olvido/logs/NAME.log      what each program says; rotated                               0700
.olvido/kafka/, postgres/  their data
"""

import base64
import contextlib
import json
import os
import re
import secrets
import socket
import tempfile
import time
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from olvido.operators.local.errors import StackError
from olvido.operators.settings import STATE
from olvido.schemas.private_files import write_private

ADMIN_ENV = "admin.env"
HOST = "127.0.0.1"

USUAL_PORTS = {
    "kafka": 9092,
    "kafka-controller": 9093,
    "registry": 8081,
    "registry-management": 9001,
    "postgres": 5432,
}
# Below what Linux hands to outgoing connections (32768 and up), so that none of those takes it from us.
OTHER_PORTS = range(20_000, 32_000)
CLAIM_S = 600.0  # how long a port that was chosen is left to the part that is to listen on it
SOCKET_PATH_BYTES_MAX = 90  # Linux allows 107 and macOS 103; supervisord appends its pid while it binds

_PLAIN = re.compile(r"[A-Za-z0-9_./:@,+=?&%~-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What is remembered. Made once; ports change only when somebody else took them."""

    mark: str  # in the environment of each process of this stack: how orphans are found
    cluster_id: str
    usual_ports: bool = True
    ports: Mapping[str, int] = field(default_factory=dict)
    passwords: Mapping[str, str] = field(default_factory=dict, repr=False)
    given: tuple[
        str, ...
    ] = ()  # the variables whose parts were given to the last `up`, and not started by it
    postgres_home: str = ""  # outside the state folder when PostgreSQL's account can't reach into it

    def with_port(self, name: str, port: int) -> "State":
        """Remember another port for one part."""
        return replace(self, ports={**self.ports, name: port})

    def with_password(self, role: str) -> "State":
        """Remember a password for a role that has none."""
        if role in self.passwords:
            return self
        return replace(self, passwords={**self.passwords, role: secrets.token_urlsafe(24)})


@dataclass(frozen=True, slots=True, kw_only=True)
class StateFolder:
    """The folder of one project's stack."""

    project: Path

    @property
    def path(self) -> Path:
        """`.olvido` in the project's folder."""
        return self.project / STATE

    @property
    def run(self) -> Path:
        """What only matters while the stack runs."""
        return self.path / "run"

    @property
    def logs(self) -> Path:
        """One log per program."""
        return self.path / "logs"

    @property
    def lock(self) -> Path:
        """Held while `up` or `down` works."""
        return self.path / "lock"

    def log(self, program: str) -> Path:
        """Where one program's output goes."""
        return self.logs / f"{program}.log"

    def exists(self) -> bool:
        """Whether there ever was an `up` here that got as far as remembering anything."""
        return (self.path / "state.json").exists()

    def make(self) -> None:
        """Have the folder, its parts and their access rights."""
        # Root's PostgreSQL runs under another account, which must pass through (not read) this folder.
        self.path.mkdir(parents=True, exist_ok=True)
        self.path.chmod(0o711 if os.geteuid() == 0 else 0o700)
        for folder in (self.run, self.logs):
            folder.mkdir(exist_ok=True)
            folder.chmod(0o700)
        ignore = self.path / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n", encoding="utf-8")

    def load(self) -> State:
        """Read what is remembered. Raises StackError when the file can't be read as such."""
        path = self.path / "state.json"
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            return State(**content | {"given": tuple(content["given"])})
        except (ValueError, TypeError, KeyError) as error:
            raise StackError(
                f"{path} can't be read ({error}). It holds the stack's passwords and ports: restore it, or "
                f"end the process in {self.run / 'supervisord.pid'}, delete {self.path}, and start anew."
            ) from error

    def load_or_make(self, *, usual_ports: bool = True) -> State:
        """Read what is remembered, or begin."""
        if self.exists():
            return self.load()
        state = State(mark=uuid.uuid4().hex, cluster_id=kafka_id(), usual_ports=usual_ports)
        self.save(state)
        return state

    def save(self, state: State) -> None:
        """Remember, readable by the owner alone."""
        write_private(self.path / "state.json", json.dumps(asdict(state), indent=1))

    def socket_path(self, mark: str) -> Path:
        """Where supervisord listens: in the state folder, or under a short path when that is too long.

        The short folder is ours alone (0700); raises StackError when somebody else made one of that name.
        """
        usual = self.run.resolve() / "supervisor.sock"
        if len(os.fsencode(usual)) <= SOCKET_PATH_BYTES_MAX:
            return usual
        folder = Path(tempfile.gettempdir()) / f"olvido-{os.geteuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        if folder.is_symlink() or found.st_uid != os.geteuid() or found.st_mode & 0o077:
            raise StackError(
                f"{folder} is not a folder that only you can use. Remove it, set TMPDIR to another folder, "
                f"or move the project to a shorter path than {self.project}."
            )
        return folder / f"{mark[:16]}.sock"


def port_is_free(port: int) -> bool:
    """Whether a server could listen there now, on our side of the loopback."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        if probe.connect_ex((HOST, port)) == 0:
            return False
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def choose_port(usual: int | None, *, taken: frozenset[int] = frozenset()) -> int:
    """Give the usual port, or a free one when it is taken.

    Raises StackError when nothing is free, which means that something else is wrong.
    """
    if usual is not None and usual not in taken and port_is_free(usual):
        return usual
    # By the system's own chance: processes that are seeded alike, as tests are, would all try the same ports.
    for port in secrets.SystemRandom().sample(OTHER_PORTS, 200):
        if port not in taken and port_is_free(port) and _claim(port):
            return port
    raise StackError(
        f"no free TCP port was found on {HOST} between {OTHER_PORTS.start} and {OTHER_PORTS.stop}"
    )


def _claim(port: int) -> bool:
    """Whether a port is ours to give: another `up` may have chosen it, and its part not listen on it yet.

    A claim is a file that nobody deletes; one that is older than any start no longer counts. Killed before
    the part listens: the port is passed over for that long, and there are thousands of others.
    """
    claims = Path(tempfile.gettempdir()) / f"olvido-ports-{os.getuid()}"
    claim = claims / str(port)
    try:
        claims.mkdir(mode=0o700, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            if claim.stat().st_mtime < time.time() - CLAIM_S:
                claim.unlink()
        claim.touch(mode=0o600, exist_ok=False)
    except FileExistsError:
        return False
    except OSError:
        pass  # a folder that somebody else made, a full disk: without claims, as if we were alone
    return True


def kafka_id() -> str:
    """A new id of a cluster or of a folder: 16 random bytes as base64, which Kafka wants.

    One that begins with a dash would look like an option.
    """
    while True:
        candidate = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not candidate.startswith("-"):
            return candidate


def write_env(path: Path, values: Mapping[str, str], *, comment: str) -> None:
    """Write a dotenv file, 0600. A file that says the same already is left alone."""
    lines = [f"# {comment}", *(f"{name}={_quoted(value)}" for name, value in values.items())]
    text = "\n".join(lines) + "\n"
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        write_private(path, text)


def _quoted(value: str) -> str:
    if _PLAIN.fullmatch(value):
        return value
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
