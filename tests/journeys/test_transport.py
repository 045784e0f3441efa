"""Every process on a Kafka with TLS, users and access rules: each with its own user, and not a right more."""

import contextlib
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from uuid import UUID

import psycopg2
import pytest
from confluent_kafka.admin import NewTopic
from conftest import Parts
from secure_kafka import MECHANISM, SecureKafka, allow, secure_kafka, user
from shell import olvido

from olvido.broker.admin import asking
from olvido.core.sessions import CONTROL
from olvido.operators.desk import keys
from olvido.operators.settings import private_keys, signing_file
from olvido.producers import Outbox, Producer
from olvido.schemas.access_rules import OPERATORS, PROCESSORS, RECORDER, RELAY, SETUP, UPSTREAM, rules_of
from olvido.schemas.settings.deployment import DESK, PRODUCER, Deployment
from olvido.schemas.topics import REQUESTS

pytestmark = pytest.mark.proof

DONE_S_MAX = 120
END_S_MAX = 30
DENIED = re.compile(r"Principal = (User:olvido-[a-z-]+) is Denied operation = (\w+)")

TOML = """
regions = ["cn"]
purposes = ["marketing"]

[kafka]
partitions = 1
[kafka.options]
"security.protocol" = "SASL_SSL"
"ssl.ca.location" = {{ env = "KAFKA_CA" }}
"sasl.mechanisms" = "{mechanism}"
"sasl.username" = {{ env = "KAFKA_USER" }}
"sasl.password" = {{ file = "{password}" }}

[reconciler]
first_after_s = 15
every_s = 1

[sinks.crm]
kind = "sqlite"
region = "cn"
file = {{ env = "OLVIDO_CRM_FILE" }}
identities = ["email"]

[sinks.crm.tables.customers]
key = "id"
identities = {{ email = "email" }}
erase = "delete"
"""


class Stage:
    """A deployment whose Kafka is on the other side of TLS."""

    def __init__(self, folder: Path, secure: SecureKafka, parts: Parts, dsn: str) -> None:
        self.folder = folder
        self.secure = secure
        self.dsn = dsn
        self._common = {
            "OLVIDO_KAFKA__BOOTSTRAP_SERVERS": f"127.0.0.1:{secure.wire.port}",
            "OLVIDO_REGISTRY__URL": parts.registry_url,
            "OLVIDO_CRM_FILE": str(folder / "crm.db"),
            "OLVIDO_KEYS__HANDLE_FILE": str(folder / ".olvido/keys/handle.key"),
            "OLVIDO_KEYS__PUBLIC_DIR": str(folder / ".olvido/keys/public"),
            "KAFKA_CA": str(secure.authority.file),
        }

    def environment(
        self, process: str, *, signs_as: str, opens: str | None = None, ledger: bool = False
    ) -> dict[str, str]:
        """What a process is given: its own user and the file of its own password."""
        toml = self.folder / process / "olvido.toml"
        toml.parent.mkdir(exist_ok=True)
        password = self.secure.password_file(process)
        toml.write_text(TOML.format(mechanism=MECHANISM, password=password))
        return {
            **self._common,
            "OLVIDO_CONFIG": str(toml),
            "OLVIDO_ENV_FILES": "none",
            "KAFKA_USER": user(process),
            "OLVIDO_KEYS__SIGNING_FILE": str(signing_file(signs_as, self.folder)),
            **({"OLVIDO_LEDGER__DSN": self.dsn} if ledger else {}),
            **({"OLVIDO_KEYS__PRIVATE_DIR": str(private_keys(opens, self.folder))} if opens else {}),
        }

    @contextlib.contextmanager
    def running(self, *arguments: str, given: Mapping[str, str]) -> Iterator[Path]:
        """A process of Olvido, until the block ends; where its log is."""
        log = self.folder / f"{'-'.join(arguments)}.log"
        command = (sys.executable, "-m", "olvido.operators.cli", "run", *arguments)
        with log.open("wb") as output:
            process = subprocess.Popen(
                command, env={**os.environ, **given}, cwd=self.folder, stdout=output, stderr=output
            )
        try:
            yield log
        finally:
            ended = process.poll()
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(END_S_MAX)
            finally:
                process.kill()
        assert ended is None, log.read_text()[-3000:]

    def wait(self, requests: list[UUID], logs: list[Path]) -> None:
        """Wait until requests are fulfilled."""
        deadline = time.monotonic() + DONE_S_MAX
        states: dict[UUID, str] = {}
        while time.monotonic() < deadline:
            states = {one: state_of(self.dsn, one) for one in requests}
            if set(states.values()) == {"fulfilled"}:
                return
            time.sleep(0.2)
        raise AssertionError(f"{states}\n" + "\n".join(log.read_text()[-2000:] for log in logs))


def state_of(dsn: str, request: UUID) -> str:
    with psycopg2.connect(dsn) as ledger, ledger.cursor() as cursor:
        cursor.execute("select state from requests where request_id = %s", (str(request),))
        row = cursor.fetchone()
    return str(row[0]).lower() if row else "unknown"


@pytest.fixture
def stage(tmp_path: Path, parts: Parts, empty_dsn: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    for name in [name for name in os.environ if name.startswith("OLVIDO_") and "CACHE" not in name]:
        if name != "OLVIDO_MAVEN_MIRROR":
            monkeypatch.delenv(name)
    (tmp_path / "first.toml").write_text(TOML.format(mechanism=MECHANISM, password="none"))
    declared = Deployment.load(tmp_path / "first.toml")
    with secure_kafka(tmp_path / "broker", declared.catalogue) as secure:
        allow(secure, rules_of(declared.catalogue))
        stage = Stage(tmp_path, secure, parts, empty_dsn)
        keys.create(declared, tmp_path)
        with sqlite3.connect(tmp_path / "crm.db") as crm:
            crm.execute("create table customers (id integer primary key, email text collate nocase)")
            crm.execute("create index by_email on customers (email)")
            crm.executemany(
                "insert into customers (email) values (?)", [(f"{name}@example.es",) for name in PEOPLE]
            )
        yield stage


PEOPLE = ("ana.sdk", "ana.relay", "ana.loop", "stays")


def test_every_process_works_with_its_own_user_and_is_denied_nothing(stage: Stage):
    setup = stage.environment(SETUP, signs_as=PRODUCER, ledger=True)
    for command in (("ledger", "migrate"), ("topics", "apply")):
        done = olvido(*command, **setup)
        assert done.returncode == 0, done.stderr
    with asking(stage.secure.section(OPERATORS)) as admin:  # so that it is known that the broker's log tells
        (refused,) = admin.create_topics([NewTopic("strange", 1, 1)]).values()
        assert refused.exception(timeout=END_S_MAX) is not None
    processors = stage.environment(PROCESSORS, signs_as=DESK, opens=CONTROL, ledger=True)
    recorder = stage.environment(RECORDER, signs_as=DESK, opens=CONTROL, ledger=True)
    sink = stage.environment("sink-crm", signs_as="sink-crm", opens="cn")
    relay = stage.environment(RELAY, signs_as=PRODUCER) | {"OLVIDO_OUTBOX_DSN": stage.dsn}
    with psycopg2.connect(stage.dsn) as shop, shop.cursor() as cursor:
        Outbox.create_table(cursor)  # a relay without one ends at its start, and says so
    with (
        stage.running("recorder", given=recorder) as of_recorder,
        stage.running("sink", "crm", given=sink) as of_sink,
        stage.running("relay", given=through_environment(stage, RELAY, relay)) as of_relay,
    ):
        logs = [of_recorder, of_sink, of_relay]
        with stage.running("processors", given=processors) as of_faust:
            asked = [by_the_sdk(stage, "ana.sdk"), by_the_outbox(stage, "ana.relay")]
            stage.wait(asked, [*logs, of_faust])
        with stage.running("processors", "--engine", "loop", given=processors) as of_loop:
            stage.wait([by_the_sdk(stage, "ana.loop")], [*logs, of_loop])
        operators = stage.environment(OPERATORS, signs_as=DESK, ledger=True)
        for command in (
            ("topics", "check"), ("topics", "diff"), ("requests", "list"), ("status",),
            ("topics", "tail", REQUESTS.name, "--limit", "2"),
        ):  # fmt: skip
            done = olvido(*command, **operators)
            assert "authorization" not in done.stderr.lower(), (command, done.stderr)
    with sqlite3.connect(stage.folder / "crm.db") as crm:
        assert crm.execute("select email from customers").fetchall() == [("stays@example.es",)]
    heard = bytes(stage.secure.wire.heard)
    assert [one for one, password in stage.secure.passwords.items() if password.encode() in heard] == []
    assert b"example.es" not in heard
    denied = DENIED.findall((stage.secure.folder / "kafka.log").read_text())
    assert denied == [("User:olvido-operators", "CREATE")]


def through_environment(stage: Stage, process: str, given: Mapping[str, str]) -> dict[str, str]:
    """The same login for a process that has no olvido.toml, as upstream services have none."""
    password = {"file": str(stage.secure.password_file(process))}
    options = {
        "security.protocol": "SASL_SSL", "ssl.ca.location": str(stage.secure.authority.file),
        "sasl.mechanisms": MECHANISM, "sasl.username": user(process), "sasl.password": password,
    }  # fmt: skip

    return {**given, "OLVIDO_KAFKA__OPTIONS": json.dumps(options)}


@contextlib.contextmanager
def as_upstream(stage: Stage) -> Iterator[None]:
    given = through_environment(stage, UPSTREAM, stage.environment(UPSTREAM, signs_as=PRODUCER))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in given.items():
            patch.setenv(name, value)
        yield


def by_the_sdk(stage: Stage, name: str) -> UUID:
    with as_upstream(stage), Producer.from_env() as producer:
        return producer.request_erasure(identities={"email": f"{name}@example.es"}, regions=["cn"]).id


def by_the_outbox(stage: Stage, name: str) -> UUID:
    with as_upstream(stage), psycopg2.connect(stage.dsn) as shop, shop.cursor() as cursor:
        outbox = Outbox.from_env()
        return outbox.request_erasure(cursor, identities={"email": f"{name}@example.es"}, regions=["cn"])
