"""Kafka: one KRaft node, broker and controller in one process, on the loopback alone."""

import contextlib
import shutil
import subprocess
import tempfile
from pathlib import Path

from olvido.operators.local import java
from olvido.operators.local.errors import PartFailed, last_lines
from olvido.operators.local.program import Program
from olvido.operators.local.state import HOST, State, StateFolder, kafka_id
from olvido.schemas.private_files import write_private

NAME = "kafka"
PRIORITY = 20
HEAP = "512m"
MAIN = "kafka.Kafka"
FORMAT = "kafka.tools.StorageTool"
FORMAT_S_MAX = 60
FORMATTED = "formatted"  # beside the jars: what their tool made once, which is copied into each new folder
META = "meta.properties"
DATA = "data"  # in the folder that it runs in: the setting is a list, which a comma in a whole path would cut
STOP_WAIT_S = 30  # it hands over its logs cleanly; 0.3 s as a rule
# Without the second compiler it starts in 1.6 s instead of 2.2. On two cores it then took its first 800,000
# records at about twice the rate for half the CPU; a demo or a test does not live long enough for more.
JVM = (f"-Xmx{HEAP}", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")


def program(folder: StateFolder, state: State, *, jars: Path) -> Program:
    """The broker, as the supervisor is to run it. Call prepare() first."""
    return Program(
        name=NAME,
        kind="part",
        command=(
            str(java.JAVA),
            *java.options(jars, JVM),
            "-XX:+ExitOnOutOfMemoryError",  # so that it is started again
            f"-Djava.io.tmpdir={_home(folder) / 'tmp'}",
            "-Dorg.slf4j.simpleLogger.showDateTime=true",
            "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd HH:mm:ss.SSS",
            "-Dorg.slf4j.simpleLogger.showThreadName=false",
            "-Dorg.slf4j.simpleLogger.log.org.apache.kafka.common.config=warn",
            "-cp",
            f"{jars}/*",
            MAIN,
            str(_properties_path(folder)),
        ),
        environment=java.ENVIRONMENT,
        address=address(state),
        directory=_home(folder),
        priority=PRIORITY,
        stop_wait_s=STOP_WAIT_S,
    )


def address(state: State) -> str:
    """What clients bootstrap from."""
    return f"{HOST}:{state.ports[NAME]}"


def prepare(folder: StateFolder, state: State, *, jars: Path) -> None:
    """Write the settings, and format the storage if it never was.

    The tool takes as much CPU as half a start of the broker, so it runs once for each version; what it made
    is copied, with ids of its own. The storage gets its name when it is whole: an `up` that is interrupted
    here begins again.
    Raises PartFailed with what the tool printed.
    """
    home = _home(folder)
    (home / "tmp").mkdir(parents=True, exist_ok=True)
    home.chmod(0o700)
    data = home / DATA
    if not data.exists():
        _format(home, data, state, jars=jars)
    write_private(_properties_path(folder), properties(state))


def properties(state: State) -> str:
    """The node's settings, for a process that runs in the folder of its data."""
    clients, controller = state.ports[NAME], state.ports["kafka-controller"]
    settings = {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@{HOST}:{controller}",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "CLIENTS",
        "listeners": f"CLIENTS://{HOST}:{clients},CONTROLLER://{HOST}:{controller}",
        "advertised.listeners": f"CLIENTS://{HOST}:{clients}",
        "listener.security.protocol.map": "CLIENTS:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": DATA,
        # Topics are declared; a misspelt one must fail and not appear.
        "auto.create.topics.enable": "false",
        "num.partitions": 4,
        "default.replication.factor": 1,
        "min.insync.replicas": 1,
        "offsets.topic.replication.factor": 1,
        "offsets.topic.num.partitions": 4,  # 50 by default: each is a folder and an open file
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "transaction.state.log.num.partitions": 4,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
        "share.coordinator.state.topic.num.partitions": 4,
        "group.initial.rebalance.delay.ms": 0,  # nobody waits for more members on one machine
        "group.min.session.timeout.ms": 1000,  # tests let consumers die
        # An empty record, for the controllers of other nodes: by default twice a second, each flushed to the
        # disk. With fewer of them an idle node takes a quarter less CPU.
        "metadata.max.idle.interval.ms": 30_000,
        "log.cleaner.dedupe.buffer.size": 33_554_432,  # 128 MB by default, a quarter of this heap
        "num.network.threads": 2,
        "num.io.threads": 4,
    }
    return "".join(f"{name}={value}\n" for name, value in settings.items())


def _format(home: Path, data: Path, state: State, *, jars: Path) -> None:
    # A folder of its own, settings and all: the tool of a killed `up` may still be at work in another,
    # and would format our storage if it came to read our settings.
    for left in home.glob("new-*"):
        shutil.rmtree(left, ignore_errors=True)
    new = Path(tempfile.mkdtemp(dir=home, prefix="new-"))
    storage = new / DATA
    if (jars / FORMATTED).is_dir():
        shutil.copytree(jars / FORMATTED, storage)
        _rename(storage, state)
    else:
        storage.mkdir()
        _run_tool(new, state, jars=jars)
        _keep(storage, jars=jars)
    storage.rename(data)
    shutil.rmtree(new)


def _rename(storage: Path, state: State) -> None:
    """Make a copied storage this cluster's own: two brokers with one id would take each other's records."""
    lines = (storage / META).read_text(encoding="utf-8").splitlines()
    own = {"cluster.id": state.cluster_id, "directory.id": kafka_id()}
    others = [line for line in lines if line.partition("=")[0] not in own]
    write_private(
        storage / META, "\n".join([*others, *(f"{name}={value}" for name, value in own.items()), ""])
    )


def _keep(storage: Path, *, jars: Path) -> None:
    """Keep a copy of a new storage beside the jars: it appears whole or not at all."""
    # No fault is one for this `up`: another one was faster, or nobody may write here.
    with (
        contextlib.suppress(OSError),
        tempfile.TemporaryDirectory(dir=jars, prefix=f"{FORMATTED}-", ignore_cleanup_errors=True) as folder,
    ):
        shutil.copytree(storage, Path(folder) / DATA).rename(jars / FORMATTED)


def _run_tool(new: Path, state: State, *, jars: Path) -> None:
    settings = new / "format.properties"
    write_private(settings, properties(state))
    command = (
        str(java.JAVA),
        *JVM,
        "-cp",
        f"{jars}/*",
        FORMAT,
        "format",
        "-t",
        state.cluster_id,
        "-c",
        str(settings),
    )
    done = subprocess.run(
        command,
        cwd=new,
        env=java.ENVIRONMENT,  # and nothing of ours: it needs no secret
        capture_output=True,
        encoding="utf-8",
        timeout=FORMAT_S_MAX,
        check=False,
    )
    if done.returncode != 0:
        raise PartFailed(f"Kafka's storage could not be formatted:\n{last_lines(done.stdout + done.stderr)}")


def _home(folder: StateFolder) -> Path:
    return folder.path.resolve() / NAME


def _properties_path(folder: StateFolder) -> Path:
    return _home(folder) / "server.properties"
