"""A Kafka with TLS, users and access rules: the embedded one, with a listener that a deployment would have.

Its other listener, on the loopback and in clear, is for the broker itself and for whoever sets it up: there
everybody is a superuser. Certificates and passwords are made for the run.
"""

import contextlib
import os
import secrets
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from authority import Authority
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from olvido.core.catalogue import Catalogue
from olvido.operators.local import java, kafka
from olvido.operators.local.artifacts import cache_folder, fetch_jars, load_lock, repository
from olvido.operators.local.state import HOST, State, StateFolder, choose_port, kafka_id
from olvido.schemas.access_rules import Resource, Rule, processes_of, rules_of
from olvido.schemas.settings.deployment import KafkaSection, Secret

START_S_MAX = 60
LOOK_AGAIN_AFTER_S = 0.05
MECHANISM = "SCRAM-SHA-512"


@dataclass
class SecureKafka:
    """Where it is, and how each process logs in."""

    folder: Path
    authority: Authority
    inside: str  # in clear, for the broker itself and the tests' own set-up
    port: int  # of the listener with TLS
    passwords: Mapping[str, str] = field(repr=False)
    wire: "Wire"

    def options(self, process: str) -> dict[str, str | Secret]:
        """What stands in ``kafka.options`` of a process."""
        return {
            "security.protocol": "SASL_SSL",
            "ssl.ca.location": str(self.authority.file),
            "sasl.mechanisms": MECHANISM,
            "sasl.username": user(process),
            "sasl.password": Secret(file=self.password_file(process)),
        }

    def section(self, process: str, **changes: object) -> KafkaSection:
        """The settings of a process; it goes through the wire that is listened to."""
        options = {**self.options(process), **changes}
        return KafkaSection(bootstrap_servers=f"{HOST}:{self.wire.port}", options=options, partitions=1)

    def section_by_token(self, process: str, url: str) -> KafkaSection:
        """The settings of a process that shows a token, which it fetches with its user and password."""
        options = {
            "security.protocol": "SASL_SSL", "ssl.ca.location": str(self.authority.file),
            "sasl.mechanisms": "OAUTHBEARER", "sasl.oauthbearer.method": "oidc",
            "sasl.oauthbearer.token.endpoint.url": url, "sasl.oauthbearer.client.id": user(process),
            "sasl.oauthbearer.client.secret": Secret(file=self.password_file(process)),
        }  # fmt: skip
        return KafkaSection(bootstrap_servers=f"{HOST}:{self.wire.port}", options=options, partitions=1)

    def password_file(self, process: str) -> Path:
        """Where a process reads its password."""
        return self.folder / f"{process}.password"

    def superuser(self) -> AdminClient:
        """Somebody who may do everything."""
        return AdminClient({"bootstrap.servers": self.inside})


class Wire:
    """A proxy that passes on what goes to the broker and keeps it, as an eavesdropper would."""

    def __init__(self) -> None:
        self._listener = socket.create_server((HOST, 0))
        self.port = self._listener.getsockname()[1]
        self.heard = bytearray()
        self._broker = 0

    def leads_to(self, port: int) -> None:
        """Begin to pass on."""
        self._broker = port
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def close(self) -> None:
        """Take nothing more. A thread that went on would hold all modules to the end."""
        self._listener.shutdown(socket.SHUT_RDWR)  # to close it would not wake who waits for a connection
        self._listener.close()
        self._accepting.join()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                try:
                    broker = socket.create_connection((HOST, self._broker))
                except OSError:
                    client.close()
                    continue
                for ends in ((client, broker), (broker, client)):
                    threading.Thread(target=self._pass_on, args=ends, daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self.heard += data
                target.sendall(data)
        for one in (source, target):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


def user(process: str) -> str:
    """The Kafka user of a process."""
    return f"olvido-{process}"


@contextlib.contextmanager
def secure_kafka(folder: Path, catalogue: Catalogue) -> Iterator[SecureKafka]:
    """Run one, with a user for each process of a deployment and no right for any."""
    jars = fetch_jars(load_lock()[kafka.NAME], cache=cache_folder(), base=repository())
    folder.mkdir(exist_ok=True)
    authority, wire = Authority(folder, "authority"), Wire()
    state, taken = State(mark="secure", cluster_id=kafka_id()), {wire.port}
    for name in ("kafka", "kafka-controller", "secure"):
        state = state.with_port(name, choose_port(None, taken=frozenset(taken | set(state.ports.values()))))
    place = StateFolder(project=folder)
    place.make()
    kafka.prepare(place, state, jars=jars)
    settings = place.path / "kafka" / "server.properties"
    settings.write_text(settings.read_text() + _secure(folder, state, authority, wire))
    program = kafka.program(place, state, jars=jars)
    log = folder / "kafka.log"
    with log.open("wb") as output:
        broker = subprocess.Popen(
            program.command, cwd=program.directory, stdout=output, stderr=output,
            env={"PATH": os.environ["PATH"], **java.ENVIRONMENT},
        )  # fmt: skip
    try:
        passwords = {process: secrets.token_urlsafe(18) for process in processes_of(catalogue)}
        running = SecureKafka(folder, authority, kafka.address(state), state.ports["secure"], passwords, wire)
        _wait(running, broker, log)
        _make_users(running)
        wire.leads_to(running.port)
        yield running
    finally:
        wire.close()
        broker.kill()  # what it holds is of no use to anybody
        broker.wait()


def allow(running: SecureKafka, rules: tuple[Rule, ...]) -> None:
    """Give users the rights that rules name."""
    admin = running.superuser()  # kept: one that is collected answers nothing more
    for answer in admin.create_acls([_binding(rule) for rule in rules]).values():
        answer.result(timeout=START_S_MAX)


def allow_deployment(running: SecureKafka, catalogue: Catalogue) -> None:
    """Give each process its rights."""
    allow(running, rules_of(catalogue))


def _binding(rule: Rule) -> AclBinding:
    kind = ResourceType.TOPIC if rule.resource is Resource.TOPIC else ResourceType.GROUP
    operation = AclOperation[rule.operation.name]
    return AclBinding(
        kind, rule.name, ResourcePatternType.LITERAL, f"User:{user(rule.process)}", "*", operation,
        AclPermissionType.ALLOW,
    )  # fmt: skip


def _secure(folder: Path, state: State, authority: Authority, wire: Wire) -> str:
    """What a deployment's broker has beside the embedded one's settings; the last of a name counts."""
    certificate, key = authority.issue("broker")
    store = folder / "broker-store.pem"
    store.write_bytes(key.read_bytes() + certificate.read_bytes())
    listeners = {
        "CLIENTS": f"{HOST}:{state.ports['kafka']}",
        "SECURE": f"{HOST}:{state.ports['secure']}",
        "CONTROLLER": f"{HOST}:{state.ports['kafka-controller']}",
    }
    settings = {
        "listeners": ",".join(f"{name}://{address}" for name, address in listeners.items()),
        "advertised.listeners": f"CLIENTS://{listeners['CLIENTS']},SECURE://{HOST}:{wire.port}",
        "listener.security.protocol.map": "CLIENTS:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:SASL_SSL",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",  # only the listeners of the loopback know such a one
        "allow.everyone.if.no.acl.found": "false",
        "sasl.enabled.mechanisms": f"{MECHANISM},OAUTHBEARER",
        # Of tokens its validator for trials is used, which asks for no signature.
        "listener.name.secure.oauthbearer.sasl.jaas.config": (
            "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required "
            'unsecuredLoginStringClaim_sub="broker";'
        ),
        "listener.name.secure.scram-sha-512.sasl.jaas.config": (
            "org.apache.kafka.common.security.scram.ScramLoginModule required;"
        ),
        "listener.name.secure.ssl.keystore.type": "PEM",
        "listener.name.secure.ssl.keystore.location": str(store),
    }
    return "".join(f"{name}={value}\n" for name, value in settings.items())


def _wait(running: SecureKafka, broker: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_S_MAX
    while time.monotonic() < deadline and broker.poll() is None:
        with contextlib.suppress(OSError):
            socket.create_connection((HOST, running.port), timeout=1).close()
            return
        time.sleep(LOOK_AGAIN_AFTER_S)
    raise AssertionError(f"the broker does not listen: {log.read_text()[-3000:]}")


def _make_users(running: SecureKafka) -> None:
    mechanism = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
    admin = running.superuser()  # kept: one that is collected answers nothing more
    made = admin.alter_user_scram_credentials(
        [
            UserScramCredentialUpsertion(user(process), mechanism, password.encode())
            for process, password in running.passwords.items()
        ]
    )
    for answer in made.values():
        answer.result(timeout=START_S_MAX)
    for process, password in running.passwords.items():
        file = running.password_file(process)
        file.touch(0o600)
        file.write_text(password)


def with_kafka(section: KafkaSection, **changes: object) -> KafkaSection:
    """The same settings with other options."""
    return section.model_copy(update={"options": {**section.options, **changes}})
