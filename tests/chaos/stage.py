"""The deployment that is tormented: real processes, two where that makes zombies, and proxies between."""

import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psutil
import psycopg2
from journeys.conftest import CRM, STORE, TOML, Chain

from chaos.bugs import BUG, HEALERS
from chaos.points import NAME, ORDERS, order_path
from chaos.proxy import HttpFaults, Proxies
from olvido.broker.groups import lag
from olvido.core.errors import Unavailable
from olvido.ledger.connection import Database
from olvido.ledger.store import Ledger
from olvido.operators.desk.prepare import prepare
from olvido.operators.local.program import Program
from olvido.operators.local.programs import programs_of
from olvido.operators.local.stack import LEDGER_OWNER_VARIABLE, Stack, temporary_stack
from olvido.operators.local.state import choose_port
from olvido.schemas.settings.deployment import Deployment
from olvido.schemas.topics import (
    CONSENTS,
    DEAD_LETTERS,
    LOOKS,
    PROCESSORS_GROUP,
    RECEIPTS,
    RECORDER_GROUP,
    REQUESTS,
    sink_group,
    tasks_topic,
)

TESTS = Path(__file__).parent.parent
MARKETING = TESTS.parent / "examples" / "shop" / "marketing.py"
MARKETING_TOML = """
[sinks.marketing]
kind = "http"
region = "sg"
url = { env = "OLVIDO_MARKETING_URL" }
identities = ["email"]
purposes = ["marketing"]
"""
TWINS = ("processors", "sink-crm")  # a second process in the same group: a rebalance, and a zombie, are real
PARTS = ("kafka", "postgres", "registry")
METRICS_PORT = "OLVIDO_METRICS__PORT"
TARGET = "marketing"  # the HTTP service itself, not its sink
DISK_MB = 384  # of each small disk
PERSON_KB = 8  # of such a disk: all that a person who decides leaves there, dead rows and indexes too
BALLAST = "ballast"

# More that the systems remember by themselves and Olvido cannot see: each change of a word.
CRM_WORDS = """
create function remember_word() returns trigger security definer language plpgsql as
    $$ begin insert into effects values ('word', old.id); return null; end $$;
create trigger remember_word after update on customers for each row execute function remember_word();
create index on effects (id);
"""
MARKETING_EFFECTS = """
create table if not exists effects (what text, id integer);
create trigger if not exists remember after delete on contacts
    begin insert into effects values ('contacts', old.id); end;
create trigger if not exists remember_word after update on contacts
    begin insert into effects values ('word', old.id); end;
"""


@dataclass
class Stage:
    """Everything, running, and the hands to torment it with."""

    chain: Chain
    orders: Path
    proxies: Proxies
    http: HttpFaults
    marketing_file: Path
    disks: Mapping[str, Path]  # what can be filled up, by who is on it: nothing, where none can be mounted
    programs: Sequence[Program]
    environment: Mapping[str, str]
    stopped: set[int] = field(default_factory=set)
    planted: tuple[str, bool] | None = None

    @property
    def victims(self) -> tuple[str, ...]:
        """The processes of Olvido."""
        return tuple(program.name for program in self.programs if program.name != TARGET)

    @property
    def names(self) -> tuple[str, ...]:
        """Everything that can be killed."""
        return (*self.victims, TARGET, *PARTS)

    def pid(self, name: str) -> int | None:
        """Its pid, while it lives."""
        status = self.chain.stack.supervisor.status().get(name)
        return None if status is None else status.pid

    def signal(self, name: str, number: signal.Signals) -> int | None:
        """Send a signal; the pid, or None if there was nobody."""
        pid = self.pid(name)
        if pid is None:
            return None
        with suppress(ProcessLookupError):
            os.kill(pid, number)
            (self.stopped.add if number is signal.SIGSTOP else self.stopped.discard)(pid)
            return pid
        return None

    def restarts(self) -> int:
        """How often anything was started again."""
        return sum(one.restarts for one in self.chain.stack.supervisor.status().values())

    def behind(self) -> int | None:
        """How many records wait to be handled, anywhere; None while the broker does not say."""
        kafka = self.chain.deployment.kafka
        try:
            return sum(
                one.behind for group, topics in self.groups().items() for one in lag(kafka, group, topics)
            )
        except Unavailable:
            return None

    def groups(self) -> Mapping[str, list[str]]:
        """Who reads what."""
        return {
            PROCESSORS_GROUP: [REQUESTS.name, CONSENTS.name],
            RECORDER_GROUP: [RECEIPTS.name, LOOKS.name, DEAD_LETTERS.name],
            **{sink_group(name): [tasks_topic(name).name] for name in self.chain.deployment.sinks},
        }

    def ledger_topics(self) -> list[str]:
        """What is read by those who keep their offsets in the ledger, too."""
        return [*self.groups()[PROCESSORS_GROUP], *self.groups()[RECORDER_GROUP]]

    def run_with(self, bug: str = "", *, healers: bool = True) -> None:
        """Have every process of Olvido run with that bug planted; those that change are started again."""
        if self.planted == (bug, healers):
            return
        self.planted = (bug, healers)
        more = {BUG: bug, HEALERS: "on" if healers else "off"}
        programs = [replace(one, environment={**one.environment, **more}) for one in self.programs]
        supervisor = self.chain.stack.supervisor
        supervisor.apply(programs, environment=self.environment)
        for program in programs:
            supervisor.start(program.name)

    def order(self, number: int, name: str, point: str, at: int) -> None:
        """Tell a process where to die."""
        draft = self.orders / f"{name}.draft"
        draft.write_text(f"{number} {point} {at}", encoding="ascii")
        draft.rename(order_path(self.orders, name))

    def carried_out(self) -> list[tuple[str, str]]:
        """The orders that were carried out since the last call: who, and where."""
        told = []
        for path in self.orders.glob("*.done"):
            _, point, _ = path.read_text(encoding="ascii").split()
            path.unlink()
            told.append((path.stem, point))
        return told

    def take_back(self, name: str) -> None:
        """An order that was not carried out is none any more."""
        order_path(self.orders, name).unlink(missing_ok=True)

    def fill_disk(self, name: str) -> None:
        """Leave no byte on the disk of a part."""
        with suppress(OSError), (self.disks[name] / BALLAST).open("wb") as file:
            while True:
                file.write(b"\0" * 1024 * 1024)
                file.flush()

    def free_disk(self, name: str) -> None:
        """Give the room back. Repeating it is harmless."""
        (self.disks[name] / BALLAST).unlink(missing_ok=True)

    def lift(self) -> None:
        """End every fault there may be, and have everything run."""
        self.proxies.open_all()
        self.http.answers = type(self.http.answers).WELL
        for name in self.victims:
            self.take_back(name)
        for name in self.disks:
            self.free_disk(name)
        for pid in tuple(self.stopped):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        self.stopped.clear()
        for name in self.names:
            self.chain.stack.supervisor.start(name)

    @contextmanager
    def marketing(self) -> Iterator[sqlite3.Connection]:
        """The marketing service's own file."""
        connection = sqlite3.connect(self.marketing_file, timeout=60)
        try:
            with connection:
                yield connection
        finally:
            connection.close()


@contextmanager
def stage(say: Callable[[str], None] = lambda _: None, *, people: int = 0) -> Iterator[Stage]:
    """Have it all run, for as long as the block lasts. Nothing of it is left afterwards.

    Args:
        say: is told what is being done.
        people: how many will decide something: the small disks have room for them while nothing fills them.
    """
    environ = dict(os.environ)
    proxies = Proxies()
    with temporary_stack() as stack:
        try:
            with _small_disks(stack, DISK_MB + people * PERSON_KB // 1024) as disks:
                yield _set(stack, proxies, disks, say)
        finally:
            os.environ.clear()
            os.environ.update(environ)
            proxies.close()


def _set(stack: Stack, proxies: Proxies, disks: Mapping[str, Path], say: Callable[[str], None]) -> Stage:
    say("the parts answer")
    addresses = _behind_proxies(stack, proxies)
    marketing_port = choose_port(None)
    http = HttpFaults(marketing_port)
    addresses["OLVIDO_MARKETING_URL"] = f"http://127.0.0.1:{proxies.add(TARGET, http.port)}"
    for name in [name for name in os.environ if name.startswith("OLVIDO_")]:
        if name not in {"OLVIDO_CACHE", "OLVIDO_MAVEN_MIRROR"}:
            del os.environ[name]
    folder = stack.directory
    (folder / "olvido.toml").write_text(TOML + MARKETING_TOML)
    keys = folder / ".olvido" / "keys"
    os.environ.update(addresses)
    os.environ["OLVIDO_CONFIG"] = str(folder / "olvido.toml")
    os.environ["OLVIDO_KEYS__HANDLE_FILE"] = str(keys / "handle.key")
    os.environ["OLVIDO_KEYS__PUBLIC_DIR"] = str(keys / "public")
    os.environ["OLVIDO_KEYS__SIGNING_FILE"] = str(keys / "signing" / "producer" / "signing.key")
    deployment = Deployment.load(folder / "olvido.toml")
    prepare(deployment, folder, lambda _: None)
    chain = Chain(stack, deployment, Ledger(Database(stack.ledger_dsn, application="witness")))
    chain.sql("crm", CRM + CRM_WORDS)
    chain.sql("store_sg", STORE + "create index on effects (id);")
    orders = folder / "orders"
    orders.mkdir()
    file = folder / "marketing.sqlite"
    programs = [_victim(one, orders) for one in programs_of(deployment, folder)]
    programs += [_twin(one) for one in programs if one.name in TWINS]
    target = Program(
        name=TARGET,
        command=(sys.executable, str(MARKETING), "--port", str(marketing_port), "--file", str(file)),
        given=frozenset(),
        directory=folder,
    )
    made = Stage(
        chain=chain, orders=orders, proxies=proxies, http=http, marketing_file=file, disks=disks,
        programs=[target, *programs], environment=addresses,
    )  # fmt: skip
    made.run_with()
    chain.until(lambda: _answers(file), what="the marketing service", within_s=30)
    with made.marketing() as connection:
        connection.executescript(MARKETING_EFFECTS)
    say(f"{len(made.programs)} processes run")
    return made


def _victim(program: Program, orders: Path) -> Program:
    """The same program, by way of ``chaos.victim``."""
    python, _, _, *arguments = program.command
    path = os.pathsep.join(filter(None, (str(TESTS), os.environ.get("PYTHONPATH"))))
    return replace(
        program,
        command=(python, "-m", "chaos.victim", *arguments),
        environment={**program.environment, "PYTHONPATH": path, ORDERS: str(orders), NAME: program.name},
    )


def _twin(program: Program) -> Program:
    """A second process of the same group, with a port of its own for its metrics."""
    name = f"{program.name}-2"
    own = {NAME: name, METRICS_PORT: str(choose_port(None))}
    return replace(program, name=name, environment={**program.environment, **own})


def _behind_proxies(stack: Stack, proxies: Proxies) -> dict[str, str]:
    """Every address, with a proxy's port in it. Kafka itself has to name its proxy to its clients."""
    addresses = {}
    for variable, address in stack.environment.items():
        if variable == LEDGER_OWNER_VARIABLE:  # only the tables are made with it, before any fault
            addresses[variable] = address
            continue
        name = re.sub(r"^OLVIDO_|_+(BOOTSTRAP_SERVERS|URL|DSN)$", "", variable).lower()
        port = int(re.findall(r":(\d+)", address.rpartition("@")[2])[0])
        addresses[variable] = address.replace(f":{port}", f":{proxies.add(name, port)}")
    settings = stack.folder.path / "kafka" / "server.properties"
    proxy = addresses["OLVIDO_KAFKA__BOOTSTRAP_SERVERS"]
    _set_setting(settings, "advertised.listeners", f"CLIENTS://{proxy}")
    stack.supervisor.restart("kafka")
    return addresses


@contextmanager
def _small_disks(stack: Stack, size_mb: int) -> Iterator[Mapping[str, Path]]:
    """Put the databases on a small disk of their own, and Kafka on another, where we may mount some."""
    disks: dict[str, Path] = {}
    try:
        for name, move in (("postgres", _move_databases), ("kafka", _move_kafka)):
            if disk := _mounted(size_mb):
                disks[name] = disk
                move(stack, disk / "data")
        yield disks
    finally:
        for disk in disks.values():
            (disk / BALLAST).unlink(missing_ok=True)
        # Servers have files there: they end first, and the rest of the stack with them.
        stack.supervisor.shutdown()
        for disk in disks.values():
            subprocess.run(["umount", str(disk)], check=True)
            disk.rmdir()


def _mounted(size_mb: int) -> Path | None:
    """A new disk in memory; None where we may not mount one."""
    folder = Path(tempfile.mkdtemp(prefix="olvido-disk-"))
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size_mb}m,mode=711", "tmpfs", str(folder)]
    if os.geteuid() == 0 and subprocess.run(mount, capture_output=True, check=False).returncode == 0:
        return folder
    folder.rmdir()
    return None


def _move_databases(stack: Stack, place: Path) -> None:
    place.mkdir()
    pid = stack.supervisor.status()["postgres"].pid
    owner = psutil.Process(pid).uids().real
    os.chown(place, owner, owner)
    connection = psycopg2.connect(stack.admin_dsn())
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("create tablespace small location %s", (str(place),))
        for database in ("ledger", "crm", "store_sg"):
            cursor.execute(f"alter database {database} set tablespace small")
    connection.close()


def _move_kafka(stack: Stack, place: Path) -> None:
    home = Path(psutil.Process(stack.supervisor.status()["kafka"].pid).cwd())  # where the setting counts from
    stack.supervisor.stop("kafka")
    settings = stack.folder.path / "kafka" / "server.properties"
    shutil.move(home / _setting(settings, "log.dirs"), place)
    _set_setting(settings, "log.dirs", str(place))
    stack.supervisor.start("kafka")


def _setting(file: Path, name: str) -> str:
    found = re.search(rf"(?m)^{re.escape(name)}=(.*)$", file.read_text())
    assert found is not None, name
    return found[1]


def _set_setting(file: Path, name: str, value: str) -> None:
    file.write_text(re.sub(rf"(?m)^{re.escape(name)}=.*$", f"{name}={value}", file.read_text()))


def _answers(file: Path) -> bool:
    """Whether the service has made its tables."""
    if not file.exists():
        return False
    connection = sqlite3.connect(file)
    try:
        tables: Any = connection.execute("select name from sqlite_master where name = 'answered'").fetchall()
    finally:
        connection.close()
    return bool(tables)
