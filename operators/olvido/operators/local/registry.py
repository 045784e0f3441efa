"""The schema registry: Apicurio, which speaks Confluent's API, on the loopback alone.

Its default storage is in memory: after a restart it would give the ids in Kafka's records to other schemas.
So it keeps them in the database `registry` of the embedded PostgreSQL.
"""

from pathlib import Path

from olvido.operators.local import java
from olvido.operators.local.program import Program
from olvido.operators.local.state import HOST, State, StateFolder

NAME = "registry"
DATABASE = "registry"
PRIORITY = 30
HEAP = "384m"
# Without the second compiler it is up in 2.5 s instead of 3.2, and few requests come to speed up later.
JVM = (f"-Xmx{HEAP}", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
POOL_MIN, POOL_MAX = 2, 20  # of PostgreSQL's 200 connections; Apicurio's own choice is 20 and 100
PATH = "/apis/ccompat/v7"


def program(folder: StateFolder, state: State, *, home: Path) -> Program:
    """The registry, as the supervisor is to run it. Its database must be there."""
    work = folder.run.resolve()
    return Program(
        name=NAME,
        kind="part",
        command=(
            str(java.JAVA),
            *java.options(home, JVM),
            "-XX:+ExitOnOutOfMemoryError",
            f"-Djava.io.tmpdir={work}",
            "-jar",
            str(home / "quarkus-run.jar"),
        ),
        environment={
            **java.ENVIRONMENT,
            "APICURIO_STORAGE_KIND": "sql",
            "APICURIO_STORAGE_SQL_KIND": "postgresql",
            "APICURIO_DATASOURCE_URL": f"jdbc:postgresql://{HOST}:{state.ports['postgres']}/{DATABASE}",
            "APICURIO_DATASOURCE_USERNAME": DATABASE,
            "APICURIO_DATASOURCE_PASSWORD": state.passwords[DATABASE],
            "APICURIO_DATASOURCE_JDBC_INITIAL_SIZE": str(POOL_MIN),
            "APICURIO_DATASOURCE_JDBC_MIN_SIZE": str(POOL_MIN),
            "APICURIO_DATASOURCE_JDBC_MAX_SIZE": str(POOL_MAX),
            "APICURIO_STORAGE_SNAPSHOT_LOCATION": str(work),
            "APICURIO_IMPORT_WORK_DIR": str(work),
            "QUARKUS_HTTP_HOST": HOST,
            "QUARKUS_HTTP_PORT": str(state.ports[NAME]),
            "QUARKUS_HTTP_ACCESS_LOG_ENABLED": "false",
            "QUARKUS_MANAGEMENT_HOST": HOST,
            "QUARKUS_MANAGEMENT_PORT": str(state.ports["registry-management"]),
            "QUARKUS_BANNER_ENABLED": "false",
        },
        given=frozenset(),
        address=address(state),
        priority=PRIORITY,
    )


def address(state: State) -> str:
    """What clients of Confluent's API are given."""
    return f"http://{HOST}:{state.ports[NAME]}{PATH}"
