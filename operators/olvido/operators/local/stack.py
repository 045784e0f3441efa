"""`olvido up | down | status`: the whole stack of one project, from nothing to healthy and back.

A part whose address is given by an environment variable is not started. Everything else is: PostgreSQL and
Kafka at the same time, the registry after PostgreSQL, then the programs that the caller names. Doing it again
changes nothing.
"""

import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from rich.console import Console

from olvido.core.errors import ConfigError, InvalidInput, did_you_mean
from olvido.ledger.writer import WRITER
from olvido.operators.local import kafka, postgres, registry
from olvido.operators.local.artifacts import cache_folder, fetch_archive, fetch_jars, load_lock, repository
from olvido.operators.local.errors import PartFailed, StackError, tail
from olvido.operators.local.locks import locked
from olvido.operators.local.marked import this_process
from olvido.operators.local.part_status import (
    KAFKA_VARIABLE,
    REGISTRY_VARIABLE,
    PartStatus,
    refusal_of,
    status,
)
from olvido.operators.local.probes import kafka_answers, listens, postgres_refuses, registry_answers
from olvido.operators.local.program import Program
from olvido.operators.local.state import (
    ADMIN_ENV,
    HOST,
    USUAL_PORTS,
    State,
    StateFolder,
    choose_port,
    port_is_free,
    write_env,
)
from olvido.operators.local.supervisor import UP_STATES, Supervisor
from olvido.operators.settings import STACK_ENV, read_env

LEDGER_VARIABLE = "OLVIDO_LEDGER__DSN"
LEDGER_OWNER_VARIABLE = "OLVIDO_LEDGER__OWNER_DSN"
ADMIN_VARIABLE = "OLVIDO_POSTGRES_ADMIN_DSN"
# Each database belongs to a role of its own name, which can reach no other. A role that owns nothing of the
# ledger works with it.
DATABASE_VARIABLES = {
    "ledger": LEDGER_VARIABLE,
    "crm": "OLVIDO_CRM_DSN",
    "store_sg": "OLVIDO_STORE_SG_DSN",
}
# Each program gets those that it may have from its own section, and never from our shell.
ADDRESS_VARIABLES = frozenset(
    {KAFKA_VARIABLE, REGISTRY_VARIABLE, ADMIN_VARIABLE, LEDGER_OWNER_VARIABLE, *DATABASE_VARIABLES.values()}
)
# For a look at olvido.toml before the first `up`, which alone knows the addresses.
STAND_INS = {
    KAFKA_VARIABLE: HOST,
    REGISTRY_VARIABLE: f"http://{HOST}",
    **{variable: f"postgresql://{HOST}/{database}" for database, variable in DATABASE_VARIABLES.items()},
}
PARTS = frozenset({"kafka", "registry", "postgres"})
PORTS_OF = {
    "kafka": ("kafka", "kafka-controller"),
    "registry": ("registry", "registry-management"),
    "postgres": ("postgres",),
}
TITLES = {"kafka": "Kafka", "registry": "the schema registry", "postgres": "PostgreSQL"}

HEALTHY_S_MAX = 120.0  # 1 to 6 s on an idle machine; a loaded one may take ten times that
STEADY_S_MAX = 3.0  # beyond a program's own start_s
GRACE_S = 3.0  # PostgreSQL that was just killed starts at the second try: its children still hold its memory
LOOK_AGAIN_AFTER_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """A stack that is up: what a card shows, and what a process needs to reach it."""

    directory: Path
    environment: Mapping[str, str] = field(repr=False)  # what stack.env says; passwords are in it
    given: frozenset[str]  # the variables whose parts run elsewhere
    supervisor: Supervisor = field(repr=False)

    @property
    def bootstrap_servers(self) -> str:
        """Where Kafka is."""
        return self.environment[KAFKA_VARIABLE]

    @property
    def registry_url(self) -> str:
        """Where the schema registry is."""
        return self.environment[REGISTRY_VARIABLE]

    @property
    def ledger_dsn(self) -> str:
        """Where the ledger is, for processes and operators."""
        return self.environment[LEDGER_VARIABLE]

    @property
    def ledger_owner_dsn(self) -> str:
        """Where the ledger is, for whoever makes its tables. Given to no process."""
        return self.environment[LEDGER_OWNER_VARIABLE]

    def dsn(self, database: str) -> str:
        """Where `ledger`, `crm` or `store_sg` is."""
        return self.environment[DATABASE_VARIABLES[database]]

    def admin_dsn(self) -> str:
        """PostgreSQL's superuser. For set-up and tests; never to be given to a process."""
        return read_env(self.folder.path / ADMIN_ENV)[ADMIN_VARIABLE]

    @property
    def folder(self) -> StateFolder:
        """Where everything of it is kept."""
        return StateFolder(project=self.directory)

    @property
    def env_file(self) -> Path:
        """The dotenv file with what `environment` holds."""
        return self.folder.path / STACK_ENV

    def status(self) -> list[PartStatus]:
        """How everything is now."""
        return status(self.directory)


Programs = Sequence[Program] | Callable[[Stack], Sequence[Program]]


def up(
    directory: Path,
    programs: Programs = (),
    console: Console | None = None,
    *,
    parts_only: bool = False,
    parts: frozenset[str] = PARTS,
    environ: Mapping[str, str] | None = None,
    usual_ports: bool = True,
    owner: str = "",
    hidden: frozenset[str] = frozenset(),
    logs_in: bool = False,
) -> Stack:
    """Have the stack of a project up and healthy. What runs already is left alone.

    Args:
        directory: the project's folder; the state goes to `.olvido/` in it.
        programs: what to run beside the parts: a list, or a function that is called when the parts are
            healthy and gives the list (it may create topics and tables first). Each is given stack.env in its
            environment. Programs of an earlier `up` that are not named any more are stopped.
        console: where each step is printed, a line each, and the progress of downloads.
        parts_only: leave programs as they are.
        parts: which parts to start; the registry brings PostgreSQL.
        environ: where given addresses are looked for; the process's environment if None.
        usual_ports: prefer 9092, 8081 and 5432, at the first `up`.
        owner: `this_process()` if the stack must end when the calling process does.
        hidden: variables of our environment that no program inherits, but where it is given them.
        logs_in: whether the programs log in to their broker, which the one that is started here cannot do.

    Raises:
        ConfigError: an address was given and nothing answers there.
        DownloadFailed, PartFailed, StackError: the message says which part, why, and what to do.

    Interrupting it at any point leaves a state from which the next `up` goes on.
    """
    given_by = os.environ if environ is None else environ
    folder = StateFolder(project=directory)
    folder.make()
    with locked(folder.lock, what=f"the stack in {directory}", console=console):
        state = folder.load_or_make(usual_ports=usual_ports)
        given = _given(given_by, state, read_env(folder.path / STACK_ENV))
        _check_given(given)
        if logs_in and KAFKA_VARIABLE not in given:
            raise ConfigError(
                "kafka.options: security.protocol is for a broker of your own, and the one that is run here "
                f"knows no login: give its address in {KAFKA_VARIABLE}, or leave security.protocol out"
            )
        wanted = _wanted(parts, given)
        state = replace(state, given=tuple(sorted(given)))
        folder.save(state)
        supervisor = Supervisor(folder, state.mark, owner)
        starting = _Starting(folder, state, supervisor, console)
        starting.start(wanted, environ=given_by, hidden=hidden)
        stack = _finish(starting, wanted, given)
        if not parts_only:
            chosen = tuple(programs(stack) if callable(programs) else programs)
            _start_programs(supervisor, chosen, stack.environment, console)
    return stack


def down(directory: Path, *, purge: bool = False, console: Console | None = None) -> None:
    """Stop everything of a project's stack, last started first; with `purge`, delete its data as well.

    No process is left when it returns. Doing it again changes nothing.
    """
    folder = StateFolder(project=directory)
    if not folder.exists():
        return
    with locked(folder.lock, what=f"the stack in {directory}", console=console):
        if not folder.exists():  # another `down --purge` was faster
            return
        state = folder.load()
        Supervisor(folder, state.mark).shutdown()
        folder.socket_path(state.mark).unlink(missing_ok=True)
        if purge:
            postgres.forget(state)
            shutil.rmtree(folder.path)


def restart(directory: Path, name: str | None = None, *, console: Console | None = None) -> list[str]:
    """Stop one process of the stack and start it again, or all of them; the parts go on.

    Returns:
        The names of those that were started anew.

    Raises:
        InvalidInput: there is no process of this name.
        StackError: nothing runs here.
    """
    running(directory)  # before the lock, which would make a folder where there is none
    with locked(StateFolder(project=directory).lock, what=f"the stack in {directory}", console=console):
        supervisor = running(directory).supervisor
        processes = [each for each, known in supervisor.known().items() if known["kind"] == "process"]
        chosen = processes if name is None else [each for each in processes if each in (name, f"sink-{name}")]
        if name is not None and not chosen:
            raise InvalidInput("process", f"no process {name!r} runs here{did_you_mean(name, processes)}")
        with ThreadPoolExecutor(max(1, len(chosen))) as pool:
            list(pool.map(supervisor.restart, chosen))
    return chosen


def running(directory: Path) -> Stack:
    """The stack that runs in a project's folder.

    Raises:
        StackError: none does.
    """
    folder = StateFolder(project=directory)
    supervisor = Supervisor(folder, folder.load().mark) if folder.exists() else None
    if supervisor is None or not supervisor.alive():
        raise StackError(f"nothing runs in {directory}: start it with `olvido up`")
    return Stack(
        directory=directory,
        environment=read_env(folder.path / STACK_ENV),
        given=frozenset(folder.load().given),
        supervisor=supervisor,
    )


@contextmanager
def temporary_stack(
    *,
    parts: frozenset[str] = PARTS,
    programs: Programs = (),
    console: Console | None = None,
    environ: Mapping[str, str] | None = None,
) -> Iterator[Stack]:
    """Have a stack in a temporary folder, on unusual ports, for as long as the block lasts.

    For tests: `with temporary_stack(parts=frozenset({"postgres"})) as stack: …`. It is deleted at the end,
    and its processes end by themselves within seconds when the calling process is killed. Addresses in the
    environment are not looked at unless `environ=os.environ` is passed.
    """
    directory = Path(tempfile.mkdtemp(prefix="olvido-"))
    try:
        yield up(
            directory,
            programs,
            console,
            parts=parts,
            environ=environ if environ is not None else {"HOME": str(Path.home()), **_download_settings()},
            usual_ports=False,
            owner=this_process(),
        )
    finally:
        down(directory, purge=True)
        shutil.rmtree(directory, ignore_errors=True)


def _download_settings() -> dict[str, str]:
    names = ("OLVIDO_CACHE", "OLVIDO_MAVEN_MIRROR", "XDG_CACHE_HOME")
    return {name: os.environ[name] for name in names if name in os.environ}


def _given(environ: Mapping[str, str], state: State, remembered: Mapping[str, str]) -> dict[str, str]:
    """The addresses that somebody gave; not our own, which a caller may have loaded from stack.env."""
    names = (KAFKA_VARIABLE, REGISTRY_VARIABLE, LEDGER_OWNER_VARIABLE, *DATABASE_VARIABLES.values())
    ours = {name: value for name, value in remembered.items() if name not in state.given}
    return {name: environ[name] for name in names if environ.get(name) and environ[name] != ours.get(name)}


def _check_given(given: Mapping[str, str]) -> None:
    """Raise ConfigError for a given address that does not answer: never start a part in its stead."""
    for name, value in given.items():
        if reason := refusal_of(name, value):
            shown = value if name in (KAFKA_VARIABLE, REGISTRY_VARIABLE) else "the database"
            raise ConfigError(
                f"{name} is set, but {shown} does not answer: {reason}. "
                f"Start it or correct {name}; or unset {name} to have olvido run one here."
            )


def _wanted(parts: frozenset[str], given: Mapping[str, str]) -> frozenset[str]:
    """Which parts to start: those asked for and not given, and what they stand on."""
    wanted = set(parts & PARTS)
    if KAFKA_VARIABLE in given:
        wanted.discard("kafka")
    if REGISTRY_VARIABLE in given:
        wanted.discard("registry")
    if given.keys() >= set(DATABASE_VARIABLES.values()):
        wanted.discard("postgres")
    if "registry" in wanted:
        wanted.add("postgres")
    return frozenset(wanted)


class _Starting:
    """One `up` at work: the state changes as ports are chosen, and two threads start parts."""

    def __init__(
        self, folder: StateFolder, state: State, supervisor: Supervisor, console: Console | None
    ) -> None:
        self.folder, self.state, self.supervisor = folder, state, supervisor
        self._console = console
        self._state_lock = threading.Lock()
        self._cancelled = threading.Event()

    def start(self, wanted: frozenset[str], *, environ: Mapping[str, str], hidden: frozenset[str]) -> None:
        """Fetch, prepare and start the wanted parts, and wait until each is healthy."""
        homes = self._fetch(wanted, environ)
        self.supervisor.ensure(hidden=ADDRESS_VARIABLES | hidden)
        self._remember_secrets(wanted)
        running = self._running()
        for part in sorted(wanted - running):
            self._choose_ports(part)
        jobs: list[Callable[[], None]] = []
        if "kafka" in wanted:
            jobs.append(lambda: self._start_kafka(homes["kafka"]))
        if "postgres" in wanted:
            jobs.append(lambda: self._start_postgres(homes.get("registry")))
        self._side_by_side(jobs)

    def _fetch(self, wanted: frozenset[str], environ: Mapping[str, str]) -> dict[str, Path]:
        pinned = load_lock()
        cache, base = cache_folder(environ), repository(environ)
        homes = {}
        if "kafka" in wanted:
            homes["kafka"] = fetch_jars(pinned["kafka"], cache=cache, base=base, console=self._console)
        if "registry" in wanted:
            homes["registry"] = fetch_archive(
                pinned["registry"], cache=cache, base=base, console=self._console
            )
        return homes

    def _remember_secrets(self, wanted: frozenset[str]) -> None:
        if "postgres" not in wanted:
            return
        state = self.state
        for role in (postgres.SUPERUSER, registry.DATABASE, WRITER, *DATABASE_VARIABLES):
            state = state.with_password(role)
        if not state.postgres_home:
            state = replace(state, postgres_home=str(postgres.choose_home(self.folder)))
        self._save(state)

    def _running(self) -> frozenset[str]:
        processes = self.supervisor.status()
        return frozenset(
            name for name, one in processes.items() if one.state in {state.lower() for state in UP_STATES}
        )

    def _choose_ports(self, part: str) -> None:
        """Keep the remembered ports of a part that is not running; choose others for taken ones."""
        with self._state_lock:
            for name in PORTS_OF[part]:
                remembered = self.state.ports.get(name)
                if remembered is not None and port_is_free(remembered):
                    continue
                usual = USUAL_PORTS[name] if self.state.usual_ports else None
                port = choose_port(usual, taken=frozenset(self.state.ports.values()))
                if port != (remembered or usual or port):
                    self._say(f"port {remembered or usual} is taken: {name} gets {port}")
                self._save(self.state.with_port(name, port))

    def _start_postgres(self, registry_home: Path | None) -> None:
        self._start_part(
            "postgres",
            prepare=lambda: postgres.prepare(self.state),
            program=lambda: postgres.program(self.state),
            answers=lambda: postgres_refuses(postgres.admin_dsn(self.state)) is None,
        )
        names = list(DATABASE_VARIABLES)
        postgres.ensure_databases(self.state, [*names, registry.DATABASE], {"ledger": WRITER})
        if registry_home is None:
            return
        self._start_part(
            "registry",
            prepare=lambda: None,
            program=lambda: registry.program(self.folder, self.state, home=registry_home),
            answers=lambda: registry_answers(registry.address(self.state)),
        )

    def _start_kafka(self, jars: Path) -> None:
        self._start_part(
            "kafka",
            prepare=lambda: kafka.prepare(self.folder, self.state, jars=jars),
            program=lambda: kafka.program(self.folder, self.state, jars=jars),
            answers=lambda: kafka_answers(kafka.address(self.state)),
        )

    def _start_part(
        self,
        part: str,
        *,
        prepare: Callable[[], None],
        program: Callable[[], Program],
        answers: Callable[[], bool],
    ) -> None:
        """Start a part and wait for it. Somebody may take its port meanwhile: then once more, on another."""
        began = time.monotonic()
        for last_try in (False, True):
            if part not in self._running():
                prepare()
            self.supervisor.apply([program()])
            self.supervisor.start(part)
            try:
                self._wait_until_healthy(part, answers)
            except PartFailed:
                if last_try or self._cancelled.is_set():
                    raise
                self.supervisor.stop(part)
                if all(port_is_free(self.state.ports[name]) for name in PORTS_OF[part]):
                    raise
                self._choose_ports(part)
            else:
                self._say(f"{TITLES[part]} answers at {program().address} ({time.monotonic() - began:.1f} s)")
                return

    def _wait_until_healthy(self, part: str, answers: Callable[[], bool]) -> None:
        began = time.monotonic()
        deadline, graceful = began + HEALTHY_S_MAX, began + GRACE_S
        log = self.folder.log(part)
        while time.monotonic() < deadline and not self._cancelled.is_set():
            now = self.supervisor.status().get(part)
            if now is None or (now.pid is None and time.monotonic() > graceful):
                why = f"exit status {now.exit_status} {now.note}".strip() if now else "the supervisor is gone"
                raise PartFailed(f"{TITLES[part]} ended ({why}). Its log, {log}, ends with:\n{tail(log)}")
            # That it is ours which answers: somebody else's server may sit on the port.
            if now.pid is not None and listens(now.pid, self.state.ports[part]) and answers():
                return
            time.sleep(LOOK_AGAIN_AFTER_S)
        raise PartFailed(
            f"{TITLES[part]} did not answer within {HEALTHY_S_MAX:.0f} s. "
            f"Its log, {log}, ends with:\n{tail(log)}"
        )

    def _side_by_side(self, jobs: Sequence[Callable[[], None]]) -> None:
        pool = ThreadPoolExecutor(max(1, len(jobs)))
        try:
            futures = [pool.submit(job) for job in jobs]
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
        finally:
            # On the way out by an error or Ctrl-C, the other thread stops waiting; what it started goes on.
            self._cancelled.set()
            pool.shutdown(wait=True)

    def _save(self, state: State) -> None:
        self.folder.save(state)
        self.state = state

    def _say(self, text: str) -> None:
        if self._console is not None:
            self._console.print(text, markup=False, highlight=False)


def _finish(starting: _Starting, wanted: frozenset[str], given: Mapping[str, str]) -> Stack:
    """Write down where everything is."""
    state, folder = starting.state, starting.folder
    addresses = {}
    if "kafka" in wanted:
        addresses[KAFKA_VARIABLE] = kafka.address(state)
    if "registry" in wanted:
        addresses[REGISTRY_VARIABLE] = registry.address(state)
    if "postgres" in wanted:
        addresses |= {name: postgres.dsn(state, role, role) for role, name in DATABASE_VARIABLES.items()}
        if LEDGER_VARIABLE not in given:
            addresses[LEDGER_OWNER_VARIABLE] = addresses[LEDGER_VARIABLE]
            addresses[LEDGER_VARIABLE] = postgres.dsn(state, WRITER, "ledger")
        write_env(
            folder.path / ADMIN_ENV,
            {ADMIN_VARIABLE: postgres.admin_dsn(state)},
            comment="PostgreSQL's superuser, for people. No Olvido process is given this.",
        )
    addresses |= given
    write_env(folder.path / STACK_ENV, addresses, comment="Written by `olvido up`: where the parts are.")
    return Stack(
        directory=folder.project,
        environment=addresses,
        given=frozenset(given),
        supervisor=starting.supervisor,
    )


def _start_programs(
    supervisor: Supervisor,
    programs: Sequence[Program],
    environment: Mapping[str, str],
    console: Console | None,
) -> None:
    """Start the caller's programs, and see that each stays up for its `start_s`."""
    changed = supervisor.apply(programs, environment=environment, only=True)
    if changed and console is not None:
        console.print(f"started anew, with what has changed: {', '.join(sorted(changed))}", markup=False)
    for program in sorted(programs, key=lambda each: each.priority):
        supervisor.start(program.name)
    deadline = time.monotonic() + STEADY_S_MAX + max((program.start_s for program in programs), default=0)
    for program in programs:
        while (now := supervisor.status().get(program.name)) and now.state == "starting":
            if time.monotonic() > deadline:
                break
            time.sleep(LOOK_AGAIN_AFTER_S)
        if (
            now is None
            or now.state in ("backoff", "fatal")
            or (now.state == "exited" and program.autorestart)
        ):
            log = supervisor.folder.log(program.name)
            raise PartFailed(
                f"{program.name} does not stay up; it is tried again. Its log, {log}, ends with:\n{tail(log)}"
            )


__all__ = [
    "PARTS",
    "REGISTRY_VARIABLE",
    "PartStatus",
    "Program",
    "Stack",
    "StackError",
    "down",
    "status",
    "temporary_stack",
    "up",
]
