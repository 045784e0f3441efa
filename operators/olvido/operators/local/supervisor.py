"""The supervisor: supervisord, one per state folder, which keeps the stack's programs running.

It is detached from `olvido up`, spoken to over a Unix socket that its owner alone can open, and ends all its
programs when it ends. When it was killed itself, its programs live on: each carries the stack's mark in its
environment, and the next `up` or `down` finds them by it and stops them. Nothing is ever found by its name.
"""

import contextlib
import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import time
import xmlrpc.client
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from olvido.operators.local.errors import StackError, tail
from olvido.operators.local.program import Program, escaped
from olvido.operators.local.state import StateFolder
from olvido.schemas.private_files import write_private

MARK = "OLVIDO_STACK_MARK"
START_S_MAX = 15.0
SHUTDOWN_S_MAX = 120.0
ORPHAN_STOP_S_MAX = 20.0  # PostgreSQL writes a checkpoint first
LOOK_AGAIN_AFTER_S = 0.05
UP_STATES = frozenset({"STARTING", "RUNNING"})
DOWN_STATES = frozenset({"STOPPED", "EXITED", "FATAL"})
BAD_NAME, NO_FILE, NOT_EXECUTABLE = 10, 20, 21  # faults, as `supervisor.xmlrpc.Faults` has them

if TYPE_CHECKING:
    import psutil  # type: ignore[import-untyped, unused-ignore]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessStatus:
    """What supervisord says of one program."""

    name: str
    state: str  # supervisord's name for it, in lower case: running, starting, backoff, stopped, exited, …
    pid: int | None
    uptime: timedelta | None
    restarts: int
    exit_status: int | None  # of its last end; negative for a signal
    note: str  # why it could not be started, if so


@dataclass(frozen=True, slots=True)
class Supervisor:
    """A handle on the supervisord of one state folder; it may or may not run."""

    folder: StateFolder
    mark: str
    owner: str = ""  # `pid@created` of the process that it must not outlive; see `this_process()`
    _lock: threading.Lock = field(default_factory=threading.Lock, compare=False, repr=False)

    @property
    def log(self) -> Path:
        """What supervisord itself says: each start, end and signal."""
        return self.folder.log("supervisord")

    def alive(self) -> bool:
        """Whether it answers, even if it is shutting down."""
        try:
            self._call("supervisor.getState")
        except OSError:
            return False
        except xmlrpc.client.Fault:
            return True
        return True

    def ensure(self, *, hidden: frozenset[str] = frozenset()) -> None:
        """Have it running. What a killed one left behind is stopped first.

        Its programs inherit our environment, except for the `hidden` variables.
        Raises StackError, with the last lines of its log, when it can't be started.
        """
        try:
            self._call("supervisor.getState")
        except OSError:
            self.stop_orphans()
        except xmlrpc.client.Fault:  # somebody's `down` was interrupted: let it finish
            self._wait_for_end()
        else:
            return
        self._sections.mkdir(exist_ok=True)
        self._write_configuration()
        command = (sys.executable, "-m", "supervisor.supervisord", "-c", str(self._configuration.absolute()))
        environment = {name: value for name, value in os.environ.items() if name not in hidden}
        environment[MARK] = self.mark
        began = subprocess.run(
            command, cwd=self.folder.path, env=environment, capture_output=True, text=True, check=False
        )
        deadline = time.monotonic() + START_S_MAX
        while began.returncode == 0 and time.monotonic() < deadline:
            if self.alive():
                return
            time.sleep(LOOK_AGAIN_AFTER_S)
        output = (began.stdout + began.stderr).strip()
        raise StackError(
            f"supervisord did not start: {output}\nIts log, {self.log}, ends with:\n{tail(self.log)}"
        )

    def apply(
        self,
        programs: Iterable[Program],
        *,
        environment: Mapping[str, str] | None = None,
        only: bool = False,
    ) -> list[str]:
        """Make the programs known; one that changed is stopped, and is to be started again by the caller.

        `environment` is stack.env. With `only`, processes that are not named any more are stopped and
        forgotten (parts never are). Applying the same again changes nothing.

        Returns:
            The names of those that changed.
        """
        with self._lock:
            wanted = {program.name: program for program in programs}
            if only:
                for path in self._sections.glob("*.conf"):
                    if path.stem not in wanted and self._kinds().get(path.stem) != "part":
                        path.unlink()
            for program in wanted.values():
                self._write_section(program, environment or {})
            self._write_configuration()
            return self._reload()

    def start(self, name: str) -> None:
        """Start a program now, unless it runs. Returns at once; supervisord goes on trying if it ends.

        Raises StackError when there is no such program, or no such file to run.
        """
        known = self.status().get(name)
        if known is not None and known.state == "backoff":
            self.stop(name)  # or it would sit out its pause first
        try:
            self._call("supervisor.startProcess", name, False)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode == BAD_NAME:
                raise StackError(f"the supervisor knows no program {name!r}") from fault
            if fault.faultCode in (NO_FILE, NOT_EXECUTABLE):
                raise StackError(f"{name} can't be run: {fault.faultString}") from fault
            # ALREADY_STARTED is what was wanted; SPAWN_ERROR is shown by status() and tried again.

    def stop(self, name: str) -> None:
        """Stop a program and wait for its end. A stopped one stays stopped until start()."""
        try:
            self._call("supervisor.stopProcess", name, True)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode == BAD_NAME:
                raise StackError(f"the supervisor knows no program {name!r}") from fault

    def restart(self, name: str) -> None:
        """Stop a program, wait for its end, start it."""
        self.stop(name)
        self.start(name)

    def status(self) -> dict[str, ProcessStatus]:
        """How each program is; empty when the supervisor does not run."""
        try:
            processes = self._call("supervisor.getAllProcessInfo")
            restarts = self._call("olvido.restarts")
        except OSError:
            return {}
        return {one["name"]: _process_status(one, restarts.get(one["name"], 0)) for one in processes}

    def shutdown(self) -> None:
        """Stop all programs, last started first, and then the supervisor. Returns when none is left."""
        with contextlib.suppress(OSError, xmlrpc.client.Fault):
            self._call("supervisor.shutdown")
        self._wait_for_end()

    def orphans(self) -> "list[psutil.Process]":
        """The living processes of this stack, by its mark, supervisord among them."""
        from olvido.operators.local.marked import marked  # a look at a stack that runs needs none of it

        return marked(MARK, self.mark)

    def stop_orphans(self) -> None:
        """Stop every process of this stack: asked first, killed when it has not ended in time.

        Raises StackError when one can't be ended.
        """
        from olvido.operators.local.marked import end

        deadline = time.monotonic() + ORPHAN_STOP_S_MAX
        asked: set[int] = set()
        while left := self.orphans():
            for process in left:
                if process.pid not in asked or time.monotonic() > deadline:
                    asked.add(process.pid)
                    end(process, kill=time.monotonic() > deadline)
            if time.monotonic() > deadline + ORPHAN_STOP_S_MAX:
                pids = ", ".join(str(process.pid) for process in left)
                raise StackError(
                    f"processes of an earlier stack can't be ended: {pids}. End them, then try again."
                )
            time.sleep(LOOK_AGAIN_AFTER_S)

    def _wait_for_end(self) -> None:
        # Each program has its own time to end; after that supervisord kills it.
        deadline = time.monotonic() + SHUTDOWN_S_MAX
        while self.alive() and time.monotonic() < deadline:
            time.sleep(LOOK_AGAIN_AFTER_S)
        self.stop_orphans()

    def _relative(self, path: Path) -> Path:
        """A path as supervisord reads it, which runs in the state folder."""
        return path.relative_to(self.folder.path)

    @property
    def _configuration(self) -> Path:
        return self.folder.run / "supervisord.conf"

    @property
    def _sections(self) -> Path:
        return self.folder.run / "programs"

    @property
    def _kinds_file(self) -> Path:
        return self.folder.run / "programs.json"

    def known(self) -> dict[str, dict[str, str]]:
        """Kind and address of each program that was ever applied and not removed."""
        try:
            content: dict[str, dict[str, str]] = json.loads(self._kinds_file.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return {}
        return {name: known for name, known in content.items() if (self._sections / f"{name}.conf").exists()}

    def _kinds(self) -> dict[str, str]:
        return {name: known["kind"] for name, known in self.known().items()}

    def _write_configuration(self) -> None:
        """Write all that supervisord reads, sections and all, into one file; paths begin at its own folder.

        supervisord would look for more files in vain in a folder whose name has a blank or a bracket, and it
        expands what stands before the name of a log twice.
        """
        sections = [path.read_text(encoding="utf-8") for path in sorted(self._sections.glob("*.conf"))]
        write_private(
            self._configuration,
            f"""[unix_http_server]
file={escaped(str(self.folder.socket_path(self.mark)))}
chmod=0600
[supervisord]
logfile={self._relative(self.log)}
logfile_maxbytes=10MB
logfile_backups=2
pidfile={self._relative(self.folder.run)}/supervisord.pid
directory={escaped(str(self.folder.path))}
childlogdir={self._relative(self.folder.run)}
umask=077
{"user=root" if os.geteuid() == 0 else ""}
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
[rpcinterface:olvido]
supervisor.rpcinterface_factory=olvido.operators.local.keeper:make_keeper
owner={self.owner}
"""
            + "".join(sections),
        )

    def _write_section(self, program: Program, environment: Mapping[str, str]) -> None:
        given = (
            environment
            if program.given is None
            else {name: value for name, value in environment.items() if name in program.given}
        )
        text = program.section(
            log=self._relative(self.folder.log(program.name)),
            environment={**given, **program.environment, MARK: self.mark},
        )
        path = self._sections / f"{program.name}.conf"
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            write_private(path, text)
        known = self.known() | {program.name: {"kind": program.kind, "address": program.address}}
        write_private(self._kinds_file, json.dumps(known, indent=1))

    def _reload(self) -> list[str]:
        """Let supervisord read its sections again, as `supervisorctl update` does."""
        ((added, changed, removed),) = self._call("supervisor.reloadConfig")
        for name in [*changed, *removed]:
            self._call("supervisor.stopProcessGroup", name)
            self._call("supervisor.removeProcessGroup", name)
        for name in [*added, *changed]:
            self._call("supervisor.addProcessGroup", name)
        return list(changed)

    def _call(self, method: str, *arguments: object) -> Any:  # noqa: ANN401 - what XML-RPC gives
        path = self.folder.socket_path(self.mark)
        if not path.exists():
            raise ConnectionRefusedError(path)
        transport = _Transport(path)
        # The host is a formality of xmlrpc.client; the transport goes to the socket.
        with xmlrpc.client.ServerProxy("http://localhost", transport=transport, allow_none=True) as proxy:
            call: Any = proxy
            for word in method.split("."):
                call = getattr(call, word)
            try:
                return call(*arguments)
            except http.client.HTTPException as error:
                raise ConnectionError(f"{path}: {error!r}") from error


class _Transport(xmlrpc.client.Transport):
    """To the socket of a supervisord. Its own, `SupervisorTransport`, loads all of its HTTP server."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, host: object) -> http.client.HTTPConnection:
        return _Connection(self._path)


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost")
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self._path))


def _process_status(info: Mapping[str, Any], restarts: int) -> ProcessStatus:
    state = str(info["statename"])
    ended = state in DOWN_STATES or state == "BACKOFF"
    return ProcessStatus(
        name=str(info["name"]),
        state=state.lower(),
        pid=int(info["pid"]) or None,
        uptime=None if ended else datetime.now(UTC) - datetime.fromtimestamp(int(info["start"]), UTC),
        restarts=restarts,
        exit_status=int(info["exitstatus"]) if info["stop"] else None,
        note=str(info["spawnerr"]),
    )
