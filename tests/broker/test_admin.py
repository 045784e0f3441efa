"""Topics compared and mended, groups and offsets told, on a real broker and registry."""

import dataclasses
import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from broker.topics import MakeTopic
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
)

from olvido.broker import groups as broker_groups
from olvido.broker import ranges as broker_ranges
from olvido.broker import topics as broker_topics
from olvido.broker.contract import Lag, Record
from olvido.broker.groups import Cluster, GroupState
from olvido.broker.kafka import KafkaPublisher
from olvido.broker.topics import Difference, Repair
from olvido.core.catalogue import Catalogue, SinkEntry
from olvido.core.errors import ConfigError, Unavailable
from olvido.core.subject import IdentityKind
from olvido.operators.local.stack import temporary_stack
from olvido.schemas.registry import Registry
from olvido.schemas.settings.deployment import Deployment, KafkaSection
from olvido.schemas.topics import (
    CANARIES,
    REQUEST_STATUS,
    REQUESTS,
    UPSTREAM,
    VERIFICATIONS,
    tasks_topic,
    topics_of,
)

NOBODY = KafkaSection(bootstrap_servers="127.0.0.1:1")  # no broker ever listens there


@pytest.fixture
def sink() -> str:
    return f"s{uuid4().hex[:12]}"


@pytest.fixture
def catalogue(deployment: Deployment, sink: str) -> Catalogue:
    """The deployment's, with one sink more, whose topic is not there yet."""
    entry = SinkEntry(
        name=sink, region="cn", identities=frozenset({IdentityKind.EMAIL}), purposes=frozenset()
    )
    known = deployment.catalogue
    return dataclasses.replace(known, sinks=(*known.sinks, entry))


def of_sink(differences: list[Difference], sink: str) -> list[Difference]:
    return [difference for difference in differences if difference.topic == tasks_topic(sink).name]


def make(kafka: KafkaSection, sink: str, partitions: int = 6, **config: str) -> None:
    client = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    topic = tasks_topic(sink)
    settings = {
        **broker_topics.settings_for(topic, kafka),
        **{k.replace("_", "."): v for k, v in config.items()},
    }
    client.create_topics([NewTopic(topic.name, partitions, 1, config=settings)])[topic.name].result(30)


def settings(kafka: KafkaSection, topic: str) -> dict[str, str]:
    client = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
    return {
        name: entry.value for name, entry in client.describe_configs([resource])[resource].result(30).items()
    }


def change_setting(kafka: KafkaSection, topic: str, name: str, value: str) -> None:
    client = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    change = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[change])
    client.incremental_alter_configs([resource])[resource].result(30)


def test_what_is_missing_is_made_and_a_repeat_changes_nothing(
    kafka_section: KafkaSection, registry: Registry, catalogue: Catalogue, sink: str
) -> None:
    topic = tasks_topic(sink)
    missing = [
        Difference(topic=topic.name, what="topic", is_="missing", should="there", remedy=Repair.MEND),
        Difference(
            topic=topic.name, what="schema", is_="not registered", should="task.avsc", remedy=Repair.MEND
        ),
    ]
    assert broker_topics.diff(kafka_section, registry, catalogue) == missing
    assert broker_topics.apply(kafka_section, registry, catalogue) == missing
    assert broker_topics.apply(kafka_section, registry, catalogue) == []
    assert broker_topics.diff(kafka_section, registry, catalogue) == []


def test_every_topic_of_the_table_is_there_with_its_settings(
    kafka_section: KafkaSection, registry: Registry, deployment: Deployment
) -> None:
    for topic in topics_of(deployment.catalogue):
        wanted = broker_topics.settings_for(topic, kafka_section)
        there = settings(kafka_section, topic.name)
        assert {name: there[name] for name in wanted} == wanted


def test_events_are_kept_by_time_and_states_for_ever(kafka_section: KafkaSection) -> None:
    kept = broker_topics.settings_for(REQUESTS, kafka_section)
    compacted = broker_topics.settings_for(REQUEST_STATUS, kafka_section)
    assert (kept["cleanup.policy"], kept["retention.ms"]) == ("delete", str(400 * 24 * 3600 * 1000))
    assert (compacted["cleanup.policy"], "retention.ms" in compacted) == ("compact", False)


@pytest.mark.parametrize(("replicas", "in_sync"), [(1, "1"), (2, "1"), (3, "2"), (5, "2")])
def test_one_broker_may_be_away_without_stopping_anybody(replicas: int, in_sync: str) -> None:
    told = broker_topics.settings_for(REQUESTS, KafkaSection(replication_factor=replicas))
    assert told["min.insync.replicas"] == in_sync


def test_another_retention_is_mended(
    kafka_section: KafkaSection, registry: Registry, catalogue: Catalogue, sink: str
) -> None:
    make(kafka_section, sink, retention_ms="1000")
    should = broker_topics.settings_for(tasks_topic(sink), kafka_section)["retention.ms"]
    told = of_sink(broker_topics.apply(kafka_section, registry, catalogue), sink)
    assert (
        Difference(
            topic=tasks_topic(sink).name, what="retention.ms", is_="1000", should=should, remedy=Repair.MEND
        )
        in told
    )
    assert settings(kafka_section, tasks_topic(sink).name)["retention.ms"] == should


@pytest.mark.parametrize(
    ("name", "kept"), [("retention.ms", "-1"), ("retention.ms", "315360000000"), ("min.insync.replicas", "3")]
)
def test_what_keeps_longer_or_is_safer_is_no_difference_and_is_never_changed(
    kafka_section: KafkaSection, registry: Registry, catalogue: Catalogue, sink: str, name: str, kept: str
) -> None:
    broker_topics.apply(kafka_section, registry, catalogue)
    change_setting(kafka_section, tasks_topic(sink).name, name, kept)
    assert of_sink(broker_topics.diff(kafka_section, registry, catalogue), sink) == []
    broker_topics.check(kafka_section, registry, catalogue)
    assert of_sink(broker_topics.apply(kafka_section, registry, catalogue), sink) == []
    assert settings(kafka_section, tasks_topic(sink).name)[name] == kept


def test_another_count_of_partitions_is_refused_and_never_changed(
    kafka_section: KafkaSection, registry: Registry, catalogue: Catalogue, sink: str
) -> None:
    make(kafka_section, sink, partitions=3)
    broker_topics.apply(kafka_section, registry, catalogue)
    (told,) = of_sink(broker_topics.diff(kafka_section, registry, catalogue), sink)
    assert (told.what, told.is_, told.should, told.remedy) == ("partitions", "3", "6", Repair.REFUSED)
    assert "keys would move" in str(told)
    assert f'"{tasks_topic(sink).name}" = 3 under [kafka.topic_partitions]' in told.fix
    assert len(broker_groups.end_offsets(kafka_section, [tasks_topic(sink).name])) == 3
    as_told = kafka_section.model_copy(update={"topic_partitions": {tasks_topic(sink).name: 3}})
    assert of_sink(broker_topics.diff(as_told, registry, catalogue), sink) == []


def test_topics_are_made_with_the_partitions_of_the_settings_and_the_canaries_alone_grow(
    own_kafka: KafkaSection, registry: Registry, catalogue: Catalogue, sink: str
) -> None:
    """No canary has an order to keep: more partitions move nothing that matters."""
    one = own_kafka.model_copy(update={"partitions": 1})
    topics = [topic.name for topic in topics_of(catalogue) if topic != tasks_topic(sink)]
    broker_topics.apply(one, registry, dataclasses.replace(catalogue, sinks=catalogue.sinks[:-1]))
    assert sorted(broker_groups.end_offsets(one, topics)) == [(name, 0) for name in sorted(topics)]
    own = {tasks_topic(sink).name: 24, REQUESTS.name: 2}
    more = one.model_copy(update={"topic_partitions": own})
    told = [each for each in broker_topics.apply(more, registry, catalogue) if each.what == "partitions"]
    assert [(each.topic, each.is_, each.should, each.remedy) for each in told] == [
        (REQUESTS.name, "1", "2", Repair.REFUSED),
        (CANARIES.name, "1", "24", Repair.MEND),
    ]
    counted = Counter(name for name, _ in broker_groups.end_offsets(more, [*topics, tasks_topic(sink).name]))
    assert counted == {**dict.fromkeys(topics, 1), tasks_topic(sink).name: 24, CANARIES.name: 24}


def test_compaction_of_events_is_refused_and_never_changed(
    kafka_section: KafkaSection, registry: Registry, catalogue: Catalogue, sink: str
) -> None:
    make(kafka_section, sink, cleanup_policy="compact")
    broker_topics.apply(kafka_section, registry, catalogue)
    (told,) = of_sink(broker_topics.diff(kafka_section, registry, catalogue), sink)
    assert (told.what, told.is_, told.remedy) == ("cleanup.policy", "compact", Repair.REFUSED)


def test_a_process_does_not_start_on_topics_that_are_not_as_declared(
    kafka_section: KafkaSection, registry: Registry, catalogue: Catalogue, deployment: Deployment, sink: str
) -> None:
    broker_topics.check(kafka_section, registry, deployment.catalogue)
    with pytest.raises(ConfigError) as told:
        broker_topics.check(kafka_section, registry, catalogue)
    assert str(told.value) == (
        f"{tasks_topic(sink).name}: topic is missing, should be there, and 1 more; run: olvido topics apply"
    )


@pytest.mark.parametrize(
    ("how", "says", "fix"),
    [
        (
            {"partitions": 3},
            "partitions is 3, should be 6 (keys would move",
            " = 3 under [kafka.topic_partitions]",
        ),
        (
            {"cleanup_policy": "compact"},
            "cleanup.policy is compact, should be delete",
            "; find out who turned it on, and replay from the source",
        ),
        ({"retention_ms": "60000"}, "retention.ms is 60000, should be", "; run: olvido topics apply"),
    ],
)
def test_nobody_starts_to_read_a_topic_that_loses_or_mixes_up_records(
    kafka_section: KafkaSection, sink: str, how: dict[str, Any], says: str, fix: str
) -> None:
    make(kafka_section, sink, **how)
    with pytest.raises(ConfigError) as told:
        broker_topics.check_fit(kafka_section, [tasks_topic(sink)])
    assert f"{tasks_topic(sink).name}: {says}" in str(told.value)
    assert str(told.value).endswith(fix)


def test_what_upstream_writes_has_the_brokers_time_and_nobody_reads_it_otherwise(
    kafka_section: KafkaSection, registry: Registry, deployment: Deployment
) -> None:
    """Whoever writes a record would say when it was taken, and what it states is judged by that."""
    name, told = "message.timestamp.type", VERIFICATIONS.name
    assert {settings(kafka_section, topic.name)[name] for topic in UPSTREAM} == {"LogAppendTime"}
    change_setting(kafka_section, told, name, "CreateTime")
    try:
        with pytest.raises(ConfigError, match=r"message\.timestamp\.type is CreateTime") as raised:
            broker_topics.check_fit(kafka_section, UPSTREAM)
        assert str(raised.value).endswith("; run: olvido topics apply")
        [difference] = broker_topics.diff(kafka_section, registry, deployment.catalogue)
        assert (difference.topic, difference.what, difference.remedy) == (told, name, Repair.MEND)
    finally:
        broker_topics.apply(kafka_section, registry, deployment.catalogue)
    broker_topics.check_fit(kafka_section, UPSTREAM)


def test_a_time_that_the_writer_sets_is_not_taken_for_the_brokers(
    kafka_section: KafkaSection, make_topic: MakeTopic
) -> None:
    topic, old = make_topic(1), 1_000_000_000_000
    writer = Producer({"bootstrap.servers": kafka_section.bootstrap_servers})
    change_setting(kafka_section, topic, "message.timestamp.type", "CreateTime")
    writer.produce(topic, b"v", timestamp=old)
    assert writer.flush(10) == 0
    change_setting(kafka_section, topic, "message.timestamp.type", "LogAppendTime")
    before = datetime.now(UTC)
    writer.produce(topic, b"v", timestamp=old)
    assert writer.flush(10) == 0
    [first, second] = broker_ranges.read_range(kafka_section, topic, 0, [(0, 2)])
    assert (first.timestamp_ms, first.appended_at) == (old, None)
    assert second.appended_at is not None
    assert abs(second.appended_at - before) < timedelta(hours=1)


def test_a_topic_that_keeps_longer_or_is_not_there_yet_stops_nobody(
    kafka_section: KafkaSection, registry: Registry, catalogue: Catalogue, sink: str
) -> None:
    broker_topics.check_fit(kafka_section, [tasks_topic(sink)])
    make(kafka_section, sink, retention_ms="-1")
    broker_topics.check_fit(kafka_section, [tasks_topic(sink)])
    broker_topics.apply(kafka_section, registry, catalogue)
    broker_topics.check_fit(kafka_section, [tasks_topic(sink)])


def test_groups_are_looked_at_together(
    kafka_section: KafkaSection, registry: Registry, catalogue: Catalogue, sink: str
) -> None:
    broker_topics.apply(kafka_section, registry, catalogue)
    topic = tasks_topic(sink).name
    groups = broker_groups.Groups(
        kafka_section, {f"olvido.sink.{sink}": [topic], "nobody": ["no.such.topic"]}
    )
    assert groups.look() == [
        broker_groups.GroupFigures(group=f"olvido.sink.{sink}", state="DEAD", members=0, behind=0, handled=0),
        broker_groups.GroupFigures(group="nobody", state="DEAD", members=0, behind=0, handled=0),
    ]
    written(kafka_section, topic, 5)
    assert [one.behind for one in groups.look()] == [5, 0]


def test_more_copies_than_brokers_is_an_error_that_names_the_setting(
    kafka_section: KafkaSection, registry: Registry, catalogue: Catalogue
) -> None:
    three = kafka_section.model_copy(update={"replication_factor": 3})
    with pytest.raises(ConfigError, match=r"kafka\.replication_factor: the cluster has fewer than 3 brokers"):
        broker_topics.apply(three, registry, catalogue)


def test_a_schema_that_the_registry_refuses_is_told_with_its_reason_and_nothing_is_registered(
    kafka_section: KafkaSection, registry: Registry, catalogue: Catalogue, sink: str
) -> None:
    fields = [{"name": "x", "type": "int"}]
    other = json.dumps({"type": "record", "name": "Task", "namespace": "olvido.v1", "fields": fields})
    registry.register_text(tasks_topic(sink).subject, other)
    broker_topics.apply(kafka_section, registry, catalogue)
    (told,) = of_sink(broker_topics.diff(kafka_section, registry, catalogue), sink)
    assert (told.what, told.is_, told.remedy) == ("schema", "not registered", Repair.REFUSED)
    assert told.why
    assert len(registry.versions(tasks_topic(sink).subject)) == 1


def test_a_cluster_says_who_it_is(kafka_section: KafkaSection) -> None:
    told = broker_groups.reach(kafka_section)
    assert told == Cluster(cluster_id=told.cluster_id, brokers=1)
    assert told.cluster_id


@pytest.mark.parametrize(
    "ask",
    [
        lambda: broker_groups.reach(NOBODY, timeout_s=0.5),
        lambda: next(broker_ranges.read_range(NOBODY, "t", 0, [(0, 1)])),
    ],
)
def test_a_broker_that_is_silent_is_unavailable(ask: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker_ranges, "ANSWER_S_MAX", 0.5)
    with pytest.raises(Unavailable, match=r"^Kafka at 127\.0\.0\.1:1 does not answer: "):
        ask()  # type: ignore[operator]


def written(kafka: KafkaSection, topic: str, count: int) -> None:
    with KafkaPublisher(kafka, client_id="test") as publisher:
        publisher.publish([Record(topic, b"k", str(n).encode()) for n in range(count)])


def test_a_group_that_never_read_is_behind_by_all_there_is(
    kafka_section: KafkaSection, make_topic: MakeTopic
) -> None:
    topic = make_topic(1)
    written(kafka_section, topic, 5)
    (told,) = broker_groups.lag(kafka_section, "never-read", [topic, "no-such-topic"])
    assert told == Lag(topic=topic, partition=0, committed=None, start=0, end=5)
    assert (told.behind, told.fell_off) == (5, 0)


def test_what_was_written_before_an_instant_and_not_read_is_counted(
    kafka_section: KafkaSection, make_topic: MakeTopic
) -> None:
    topic, group = make_topic(1), f"half-way-{uuid4().hex}"
    at = datetime.now(UTC) - timedelta(minutes=5)
    stamped = Producer({"bootstrap.servers": kafka_section.bootstrap_servers})
    for minutes in range(10):
        stamped.produce(topic, b"v", timestamp=int((at + timedelta(minutes=minutes)).timestamp() * 1000))
    assert stamped.flush(10) == 0

    def unread(minutes: float) -> int:
        instant = at + timedelta(minutes=minutes)
        return broker_groups.unread(kafka_section, group, [topic, "no-such-topic"], written_before=instant)

    assert [unread(minutes) for minutes in (-1, 0, 0.5, 3, 60)] == [0, 0, 1, 3, 10]
    reader = Consumer({"bootstrap.servers": kafka_section.bootstrap_servers, "group.id": group})
    reader.commit(offsets=[TopicPartition(topic, 0, 4)], asynchronous=False)
    reader.close()
    assert [unread(minutes) for minutes in (3, 5, 60)] == [0, 1, 6]


def test_a_look_tells_what_retention_removed_before_it_was_read(
    kafka_section: KafkaSection, make_topic: MakeTopic
) -> None:
    topic, group = make_topic(1), f"too-late-{uuid4().hex}"
    written(kafka_section, topic, 5)
    reader = Consumer({"bootstrap.servers": kafka_section.bootstrap_servers, "group.id": group})
    reader.commit(offsets=[TopicPartition(topic, 0, 1)], asynchronous=False)
    reader.close()
    groups = broker_groups.Groups(kafka_section, {group: [topic]})
    assert [(one.behind, one.fell_off) for one in groups.look()] == [(4, 0)]
    admin = AdminClient({"bootstrap.servers": kafka_section.bootstrap_servers})
    for answer in admin.delete_records([TopicPartition(topic, 0, 4)]).values():
        answer.result(timeout=10)
    assert [(one.behind, one.fell_off) for one in groups.look()] == [(1, 3)]


def test_what_retention_removed_before_it_was_read_is_told() -> None:
    told = Lag(topic="t", partition=0, committed=3, start=10, end=12)
    assert (told.behind, told.fell_off) == (2, 7)


def test_a_group_that_nobody_knows_is_dead(kafka_section: KafkaSection) -> None:
    assert broker_groups.group_state(kafka_section, "nobody-knows") == GroupState(
        group="nobody-knows", state="DEAD", members=0
    )


def test_ranges_are_read_as_they_stand_and_nothing_else(
    kafka_section: KafkaSection, make_topic: MakeTopic
) -> None:
    topic = make_topic(1)
    written(kafka_section, topic, 10)
    ranges = [(0, 2), (4, 5), (8, 12), (20, 30)]
    read = [
        (record.offset, record.value) for record in broker_ranges.read_range(kafka_section, topic, 0, ranges)
    ]
    assert read == [(n, str(n).encode()) for n in (0, 1, 4, 8, 9)]


def test_what_retention_removed_is_not_there_and_the_rest_is(
    kafka_section: KafkaSection, make_topic: MakeTopic
) -> None:
    from confluent_kafka import TopicPartition

    topic = make_topic(1)
    written(kafka_section, topic, 10)
    client = AdminClient({"bootstrap.servers": kafka_section.bootstrap_servers})
    place = TopicPartition(topic, 0, 6)
    client.delete_records([place])[place].result(30)
    read = [record.offset for record in broker_ranges.read_range(kafka_section, topic, 0, [(0, 3), (4, 8)])]
    assert read == [6, 7]
    assert (
        broker_groups.start_offsets(kafka_section, [topic]),
        broker_groups.end_offsets(kafka_section, [topic]),
    ) == (
        {(topic, 0): 6},
        {(topic, 0): 10},
    )


def test_reading_a_range_joins_no_group(kafka_section: KafkaSection, make_topic: MakeTopic) -> None:
    topic = make_topic(1)
    written(kafka_section, topic, 2)
    assert len(list(broker_ranges.read_range(kafka_section, topic, 0, [(0, 2)]))) == 2
    assert broker_groups.group_state(kafka_section, "olvido-read-range").members == 0


def test_a_setting_changed_by_hand_is_found(
    kafka_section: KafkaSection, registry: Registry, catalogue: Catalogue, sink: str
) -> None:
    broker_topics.apply(kafka_section, registry, catalogue)
    change_setting(kafka_section, tasks_topic(sink).name, "unclean.leader.election.enable", "true")
    (told,) = of_sink(broker_topics.diff(kafka_section, registry, catalogue), sink)
    assert str(told) == (f"{tasks_topic(sink).name}: unclean.leader.election.enable is true, should be false")


def test_a_broker_that_has_just_come_up_is_asked_for_a_groups_offsets() -> None:
    """It says that it is no coordinator yet: librdkafka's admin client dies of that by SIGSEGV."""
    with temporary_stack(parts=frozenset({"kafka"})) as stack:
        kafka = KafkaSection(bootstrap_servers=stack.bootstrap_servers)
        client = AdminClient({"bootstrap.servers": stack.bootstrap_servers})
        for made in client.create_topics([NewTopic("fresh", 2, 1)]).values():
            made.result(30)
        assert [one.committed for one in broker_groups.lag(kafka, "nobody", ["fresh"])] == [None, None]
