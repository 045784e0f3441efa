"""The parts as containers, where a Docker engine is at hand: the images of docker-compose.yml."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from testcontainers.core.container import DockerContainer
from testcontainers.core.wait_strategies import HttpWaitStrategy, LogMessageWaitStrategy

KAFKA_IMAGE = "apache/kafka:4.3.1"
REGISTRY_IMAGE = "apicurio/apicurio-registry:3.3.3"
POSTGRES_IMAGE = "postgres:18"
MARIADB_IMAGE = "mariadb:10.11"


@contextmanager
def containers() -> Iterator[tuple[str, str, str]]:
    """Kafka's address, the registry's address and a superuser's DSN, as long as the block lasts."""
    with ExitStack() as stack:
        kafka = stack.enter_context(_kafka())
        registry = stack.enter_context(
            DockerContainer(REGISTRY_IMAGE)
            .with_exposed_ports(8080)
            .waiting_for(HttpWaitStrategy(8080, "/apis/ccompat/v7/subjects"))
        )
        postgres = stack.enter_context(
            DockerContainer(POSTGRES_IMAGE)
            .with_exposed_ports(5432)
            .with_env("POSTGRES_PASSWORD", "olvido")
            .waiting_for(LogMessageWaitStrategy("listening on IPv4 address"))
        )
        host = registry.get_container_host_ip()
        yield (
            kafka,
            f"http://{host}:{registry.get_exposed_port(8080)}/apis/ccompat/v7",
            f"postgresql://postgres:olvido@{host}:{postgres.get_exposed_port(5432)}/postgres",
        )


@contextmanager
def mariadb() -> Iterator[str]:
    """A superuser of a MariaDB server, as long as the block lasts."""
    container = (
        DockerContainer(MARIADB_IMAGE)
        .with_exposed_ports(3306)
        .with_env("MARIADB_ROOT_PASSWORD", "olvido")
        .with_command("--character-set-server=utf8mb4 --collation-server=utf8mb4_general_ci")
        # It starts twice: the first time, for itself alone, at port 0.
        .waiting_for(LogMessageWaitStrategy(r"port: 3306 "))
    )
    with container:
        yield f"mysql://root:olvido@{container.get_container_host_ip()}:{container.get_exposed_port(3306)}"


@contextmanager
def _kafka() -> Iterator[str]:
    """Kafka must know its outer address before it starts, so a free port is bound one to one."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    container = (
        DockerContainer(KAFKA_IMAGE)
        .with_bind_ports(port, port)
        .with_env("KAFKA_NODE_ID", "1")
        .with_env("KAFKA_PROCESS_ROLES", "broker,controller")
        .with_env("KAFKA_LISTENERS", f"PLAINTEXT://:{port},CONTROLLER://:9093")
        .with_env("KAFKA_ADVERTISED_LISTENERS", f"PLAINTEXT://127.0.0.1:{port}")
        .with_env("KAFKA_CONTROLLER_LISTENER_NAMES", "CONTROLLER")
        .with_env("KAFKA_LISTENER_SECURITY_PROTOCOL_MAP", "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT")
        .with_env("KAFKA_CONTROLLER_QUORUM_VOTERS", "1@localhost:9093")
        .with_env("KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR", "1")
        .with_env("KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS", "0")
        .with_env("KAFKA_AUTO_CREATE_TOPICS_ENABLE", "false")
        .waiting_for(LogMessageWaitStrategy("Kafka Server started"))
    )
    with container:
        yield f"127.0.0.1:{port}"
