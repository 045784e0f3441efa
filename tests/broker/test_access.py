"""A Kafka with TLS, users and access rules: who may do what, what the wire shows, and what an error says.

The rights are those that `olvido generate acls` prints, and no other.
"""

import asyncio
import gc
import io
import shlex
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path

import pytest
from confluent_kafka import KafkaError, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from processors.kafka_login import as_faust
from ruamel.yaml import YAML
from secure_kafka import MECHANISM, SecureKafka, allow, secure_kafka, user, with_kafka
from token_server import TokenServer, unsecured_token

from olvido.broker.admin import asking
from olvido.broker.contract import Record
from olvido.broker.groups import lag, reach
from olvido.broker.kafka import KafkaPublisher, open_consumer
from olvido.broker.ranges import read_range
from olvido.broker.topics import check_fit
from olvido.core.catalogue import Catalogue
from olvido.core.errors import InvalidInput, Unavailable
from olvido.operators.cli.acls import kafka_commands, strimzi_users, users_of
from olvido.schemas.access_rules import (
    CANARY_PEOPLE,
    OPERATORS,
    PROCESSORS,
    RECORDER,
    RELAY,
    SETUP,
    UPSTREAM,
    VERIFIERS,
    KafkaOperation,
    Resource,
    Rule,
    processes_of,
    rules_of,
)
from olvido.schemas.settings.deployment import Deployment, KafkaSection, Secret
from olvido.schemas.topics import (
    CANARIES,
    CONSENTS,
    DEAD_LETTERS,
    LOOKS,
    PROCESSORS_GROUP,
    RECEIPTS,
    RECORDER_GROUP,
    REQUEST_STATUS,
    REQUESTS,
    sink_group,
    tasks_topic,
    topics_of,
)

READ_S_MAX = 20
TASKS = tasks_topic("crm").name


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory, deployment: Deployment) -> Iterator[SecureKafka]:
    """One broker for this file, with the rights that the command prints and a record in each topic."""
    catalogue = deployment.catalogue
    with secure_kafka(tmp_path_factory.mktemp("secure"), catalogue) as running:
        admin = running.superuser()
        made = admin.create_topics([NewTopic(topic.name, 1, 1) for topic in topics_of(catalogue)])
        for answer in made.values():
            answer.result()
        allow(running, read_commands(kafka_commands(catalogue, users_of(catalogue))))
        with KafkaPublisher(KafkaSection(bootstrap_servers=running.inside), client_id="tests") as publisher:
            publisher.publish([Record(topic.name, b"k", b"v") for topic in topics_of(catalogue)])
        yield running


def read_commands(text: str) -> tuple[Rule, ...]:
    """What Kafka's tool would understand."""
    rules = []
    for line in text.splitlines():
        words = shlex.split(line)
        principal = words[words.index("--allow-principal") + 1]
        process = principal.removeprefix("User:olvido-")
        operations = [words[at + 1] for at, word in enumerate(words) if word == "--operation"]
        resource = next(one for one in Resource if f"--{one.value}" in words)
        name = words[words.index(f"--{resource.value}") + 1]
        rules += [Rule(process, resource, name, KafkaOperation(one)) for one in operations]
    return tuple(rules)


def writable(secure: SecureKafka, process: str, topics: list[str]) -> set[str]:
    """The topics that a process can really write to."""
    refused: dict[str, str] = {}
    with KafkaPublisher(secure.section(process), client_id="tests") as publisher:
        for topic in topics:
            try:
                publisher.publish([Record(topic, b"k", b"v")])
            except Unavailable as error:
                refused[topic] = str(error)
    assert [why for why in refused.values() if "olvido generate acls" not in why] == []
    return set(topics) - refused.keys()


def readable(secure: SecureKafka, process: str, topics: list[str]) -> set[str]:
    """The topics of which a process can really read the record that is there; no group is joined for it."""
    with asking(secure.section(process)) as admin:
        there = admin.list_topics(timeout=READ_S_MAX).topics
    visible = set(topics) & there.keys()  # of any other it does not even learn where it is
    given, refused = set[str](), set[str]()
    consumer = open_consumer(secure.section(process), group="tests", client_id="tests")
    try:
        consumer.assign([TopicPartition(topic, 0, 0) for topic in sorted(visible)])
        while visible - given - refused:
            message = consumer.poll(READ_S_MAX)
            assert message is not None, (process, visible - given - refused)
            error = message.error()
            if error is None:
                given.add(message.topic())
            elif error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
                refused.add(message.topic())
    finally:
        consumer.close()
    assert not given & refused
    return given


@pytest.mark.proof
def test_each_process_reads_and_writes_what_it_may_and_no_other_topic(
    secure: SecureKafka, deployment: Deployment
):
    compare(secure, deployment.catalogue, processes_of(deployment.catalogue))


def test_a_process_of_each_kind_reads_and_writes_what_it_may_and_no_other_topic(
    secure: SecureKafka, deployment: Deployment
):
    compare(secure, deployment.catalogue, (UPSTREAM, PROCESSORS, "sink-crm", SETUP))


def compare(secure: SecureKafka, catalogue: Catalogue, processes: tuple[str, ...]) -> None:
    """Try every topic in both directions as each process."""
    topics = [topic.name for topic in topics_of(catalogue)]
    tasks = {tasks_topic(sink.name).name for sink in catalogue.sinks}
    of_sinks = {RECEIPTS.name, LOOKS.name, DEAD_LETTERS.name}
    statuses = {"olvido.request-status.v1", "olvido.consent-state.v1"}
    verifications = {"olvido.verifications.v1"}
    asked = {REQUESTS.name, CONSENTS.name}
    # Written by hand, not worked out: a slip in the table or in the rules must not agree with itself.
    expected: dict[str, tuple[set[str], set[str]]] = {
        UPSTREAM: (asked, statuses),
        VERIFIERS: (verifications, set()),
        RELAY: (asked, set()),
        CANARY_PEOPLE: ({REQUESTS.name}, set()),
        PROCESSORS: (
            {*tasks, *statuses, RECEIPTS.name, DEAD_LETTERS.name, CANARIES.name},
            {*asked, *verifications, CANARIES.name},
        ),
        RECORDER: (
            {"olvido.request-status.v1", DEAD_LETTERS.name},
            {RECEIPTS.name, LOOKS.name, DEAD_LETTERS.name, CANARIES.name},
        ),
        **{
            f"sink-{sink.name}": (of_sinks, {tasks_topic(sink.name).name, CANARIES.name})
            for sink in catalogue.sinks
        },
        OPERATORS: (set(topics) - {CANARIES.name}, set(topics)),
        SETUP: (set(), set()),
    }
    found = {
        process: (writable(secure, process, topics), readable(secure, process, topics))
        for process in processes
    }
    assert found == {process: expected[process] for process in processes}


def test_a_group_is_joined_by_its_own_process_alone(secure: SecureKafka, deployment: Deployment):
    groups = {
        PROCESSORS: PROCESSORS_GROUP,
        RECORDER: RECORDER_GROUP,
        **{f"sink-{name}": sink_group(name) for name in deployment.sinks},
    }
    for process in processes_of(deployment.catalogue):
        for group in groups.values():
            allowed = Rule(process, Resource.GROUP, group, KafkaOperation.READ) in rules_of(
                deployment.catalogue
            )
            assert allowed == (groups.get(process) == group)
    joined = open_consumer(secure.section("sink-crm"), group=sink_group("marketing"), client_id="tests")
    joined.subscribe([TASKS])
    message = joined.poll(READ_S_MAX)
    joined.close()
    assert message is not None
    assert message.error().code() == KafkaError.GROUP_AUTHORIZATION_FAILED


def test_what_the_processes_ask_beside_their_records_is_allowed(secure: SecureKafka, deployment: Deployment):
    processors, sink = secure.section(PROCESSORS), secure.section("sink-crm")
    assert reach(processors).brokers == 1
    for name in deployment.sinks:  # figures, and what the reconciler waits for
        assert len(lag(processors, sink_group(name), [tasks_topic(name).name])) == 1
    assert len(lag(processors, RECORDER_GROUP, [RECEIPTS.name, LOOKS.name, DEAD_LETTERS.name])) == 3
    assert [one.value for one in read_range(processors, REQUESTS.name, 0, [(0, 1)])] == [b"v"]
    assert [one.value for one in read_range(secure.section(RECORDER), LOOKS.name, 0, [(0, 1)])] == [b"v"]
    assert len(lag(sink, sink_group("crm"), [TASKS, CANARIES.name])) == 2
    with pytest.raises(Exception, match="retention"):  # it sees the settings: this broker's are not ours
        check_fit(sink, [tasks_topic("crm")])


def test_setup_makes_topics_and_nobody_else_does(secure: SecureKafka):
    for process, allowed in ((SETUP, True), (OPERATORS, False), (PROCESSORS, False)):
        with asking(secure.section(process)) as admin:
            (answer,) = admin.create_topics([NewTopic(REQUESTS.name, 1, 1)]).values()
            error = answer.exception(timeout=READ_S_MAX).args[0]
        there = error.code() == KafkaError.TOPIC_ALREADY_EXISTS
        assert there == allowed, (process, error)


def test_no_byte_of_a_password_and_of_a_record_is_on_the_wire(secure: SecureKafka):
    secret = b"what-only-the-broker-may-read"
    with KafkaPublisher(secure.section(UPSTREAM), client_id="tests") as publisher:
        publisher.publish([Record(REQUESTS.name, b"k", secret)])
    asyncio.run(as_faust(secure.section(PROCESSORS)))
    assert len(secure.wire.heard) > 1000
    heard = bytes(secure.wire.heard)
    assert [name for name, password in secure.passwords.items() if password.encode() in heard] == []
    assert secret not in heard
    assert user(UPSTREAM).encode() not in heard


def test_both_clients_log_in_by_tokens_and_have_the_rights_of_their_own_users(secure: SecureKafka):
    secrets = {user(process): secure.passwords[process] for process in (PROCESSORS, RECORDER)}
    with TokenServer(secrets, 3600, unsecured_token) as tokens:
        recorder = secure.section_by_token(RECORDER, tokens.url)
        with KafkaPublisher(recorder, client_id="tests") as publisher:
            publisher.publish([Record(REQUEST_STATUS.name, b"k", b"v")])
            with pytest.raises(Unavailable, match="olvido generate acls"):
                publisher.publish([Record(TASKS, b"k", b"v")])
        consumer = open_consumer(recorder, group=RECORDER_GROUP, client_id="tests")
        consumer.subscribe([RECEIPTS.name])
        message = consumer.poll(READ_S_MAX)
        consumer.close()
        assert (message.error(), message.topic()) == (None, RECEIPTS.name)
        assert reach(recorder).brokers == 1
        asyncio.run(as_faust(secure.section_by_token(PROCESSORS, tokens.url)))
        asked = {authorization for authorization, _ in tokens.asked}
    assert len(asked) == len(secrets)  # each client with its own secret
    with TokenServer({}, 3600, unsecured_token) as tokens:  # knows nobody
        recorder = secure.section_by_token(RECORDER, tokens.url)
        before = admin_clients()
        with pytest.raises(Unavailable, match=r"no token to show: .*sasl\.oauthbearer\.client\.secret"):
            reach(recorder)
        assert admin_clients() == before  # of the asking and of the look at what is wrong with it
    assert b"eyJ" not in secure.wire.heard  # how a token begins


def admin_clients() -> int:
    """How many there are in this process, each with threads and connections of its own."""
    gc.collect()
    return sum(isinstance(one, AdminClient) for one in gc.get_objects())


def test_a_login_that_is_wrong_is_told_by_the_setting_to_mend(secure: SecureKafka, tmp_path: Path):
    right = secure.section(UPSTREAM)
    for changed, says in (
        (
            {"sasl.password": Secret(file=secure.password_file(RELAY))},
            "check kafka.options sasl.username, sasl.p",
        ),
        ({"sasl.mechanisms": "PLAIN"}, "and sasl.mechanisms"),
        ({"ssl.ca.location": "/etc/ssl/certs/ca-certificates.crt"}, "check kafka.options ssl.ca.location"),
    ):
        told(with_kafka(right, **changed), says)
    elsewhere = right.model_copy(update={"bootstrap_servers": f"localhost:{secure.wire.port}"})
    told(elsewhere, "is for another host name than the address that is given: write kafka.bootstrap_servers")
    told(right.model_copy(update={"bootstrap_servers": secure.inside}), "speaks no TLS")
    told(right.model_copy(update={"options": {}}), "wants TLS: give kafka.options security.protocol")


def told(kafka: KafkaSection, says: str) -> None:
    with pytest.raises(Unavailable, match=says) as error:
        reach(kafka, timeout_s=0.5)
    assert MECHANISM not in str(error.value)


def test_strimzi_is_given_the_same_rules(deployment: Deployment):
    catalogue = deployment.catalogue
    manifests = strimzi_users(catalogue, users_of(catalogue), cluster="kafka")
    given = {
        Rule(
            one["metadata"]["name"].removeprefix("olvido-"), Resource(acl["resource"]["type"]),
            acl["resource"]["name"], KafkaOperation(operation),
        )
        for one in manifests
        for acl in one["spec"]["authorization"]["acls"]
        for operation in acl["operations"]
    }  # fmt: skip
    assert (
        given
        == set(rules_of(catalogue))
        == set(read_commands(kafka_commands(catalogue, users_of(catalogue))))
    )
    assert {one["metadata"]["name"] for one in manifests} == {user(one) for one in processes_of(catalogue)}


def test_no_rule_is_for_everybody_everything_or_a_transaction(deployment: Deployment):
    text = kafka_commands(deployment.catalogue, users_of(deployment.catalogue))
    assert not {"*", "All", "--transactional-id", "--cluster", "prefixed"} & set(shlex.split(text))


def test_users_have_the_names_that_are_given_and_no_two_are_one(deployment: Deployment):
    assert users_of(deployment.catalogue, ["relay=CN=relay,O=Shop"])[RELAY] == "CN=relay,O=Shop"
    for given, says in (
        ("relai=x", "did you mean 'relay'"),
        ("relay", "PROCESS=NAME"),
        ("relay=olvido-upstream", "two processes"),
    ):
        with pytest.raises(InvalidInput, match=says):
            users_of(deployment.catalogue, [given])


def test_the_command_prints_them(deployment: Deployment):
    from olvido.operators.cli.generate import AclFormat, acls

    printed = io.StringIO()
    with redirect_stdout(printed):
        acls(AclFormat.STRIMZI, user=["upstream=shop"], cluster="main")
    manifests = list(YAML(typ="safe").load_all(printed.getvalue()))
    assert manifests[0]["metadata"]["name"] == "shop"
    assert {one["metadata"]["labels"]["strimzi.io/cluster"] for one in manifests} == {"main"}
