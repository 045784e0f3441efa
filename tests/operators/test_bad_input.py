"""What does not fit a deployment is refused with the fix, before anything is read; doctor finds the same."""

import json
from pathlib import Path
from uuid import uuid4

import psycopg2
import pytest
from confluent_kafka.admin import AdminClient, NewTopic
from shell import olvido

from olvido.operators.desk import keys
from olvido.operators.settings import signing_file
from olvido.schemas.registry import Registry
from olvido.schemas.settings.deployment import Deployment, KafkaSection, principal_of
from olvido.schemas.topics import tasks_topic

TOML = """
regions = ["cn"]
purposes = ["marketing"]

[sinks.{sink}]
kind = "postgres"
region = "cn"
dsn = {{ env = "TARGET_DSN" }}
identities = ["email"]
[sinks.{sink}.tables.customers]
key = "id"
created = "created_at"
identities = {{ email = "mail" }}
erase = "delete"
"""


@pytest.fixture
def sink() -> str:
    """A sink of a name that no other test uses."""
    return f"crm-{uuid4().hex[:8]}"


@pytest.fixture
def project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kafka_section: KafkaSection, registry: Registry,
    parts, empty_dsn: str, sink: str,
) -> Path:  # fmt: skip
    """A project with one sink, whose target has the table but not the column that the data map names."""
    with psycopg2.connect(empty_dsn) as connection, connection.cursor() as cursor:
        cursor.execute("create table customers (id bigint primary key, created_at timestamptz)")
    path = tmp_path / "olvido.toml"
    path.write_text(TOML.format(sink=sink))
    for name, value in {
        "OLVIDO_CONFIG": str(path),
        "OLVIDO_ENV_FILES": "none",
        "OLVIDO_KAFKA__BOOTSTRAP_SERVERS": kafka_section.bootstrap_servers,
        "OLVIDO_REGISTRY__URL": parts.registry_url,
        "OLVIDO_LEDGER__DSN": empty_dsn,
        "OLVIDO_KEYS__HANDLE_FILE": str(tmp_path / ".olvido" / "keys" / "handle.key"),
        "OLVIDO_KEYS__PUBLIC_DIR": str(tmp_path / ".olvido" / "keys" / "public"),
        "OLVIDO_KEYS__SIGNING_FILE": str(signing_file(principal_of(sink), tmp_path)),
        "OLVIDO_KEYS__PRIVATE_DIR": str(tmp_path / ".olvido" / "keys" / "private" / "cn"),
        "TARGET_DSN": empty_dsn,
    }.items():
        monkeypatch.setenv(name, value)
    keys.create(Deployment.load(path), tmp_path)
    return tmp_path


def wrong_findings() -> list[str]:
    """What doctor finds wrong."""
    done = olvido("doctor", "-o", "json")
    assert done.returncode == 10, done.stderr
    return [finding["text"] for finding in json.loads(done.stdout) if not finding["good"]]


def test_a_data_map_that_names_a_column_which_is_not_there_is_refused(project: Path, sink: str):
    done = olvido("run", "sink", sink)
    assert done.returncode == 2, done.stderr
    assert f"sinks.{sink}.tables.customers" in done.stderr
    assert "mail" in done.stderr
    assert [text for text in wrong_findings() if "mail" in text]


def test_a_topic_of_another_number_of_partitions_is_read_by_nobody(
    project: Path, sink: str, kafka_section: KafkaSection, empty_dsn: str
):
    with psycopg2.connect(empty_dsn) as connection, connection.cursor() as cursor:
        cursor.execute("alter table customers add column mail text")  # the target is as the data map says
    topic = tasks_topic(sink).name
    client = AdminClient({"bootstrap.servers": kafka_section.bootstrap_servers})
    client.create_topics([NewTopic(topic, 3, 1)])[topic].result(30)
    done = olvido("run", "sink", sink)
    assert done.returncode == 2, done.stderr
    assert f"{topic}: partitions is 3, should be 6" in done.stderr
    assert f'write "{topic}" = 3 under [kafka.topic_partitions]' in done.stderr
    assert [text for text in wrong_findings() if f"{topic}: partitions is 3" in text]
