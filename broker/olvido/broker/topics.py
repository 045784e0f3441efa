"""Topics and schemas: are they as declared, and what can be mended.

The table in ``schemas/topics.py`` says what should be. ``diff`` compares, ``apply`` mends what can be mended
without moving a key or losing a record, and refuses the rest by name. What keeps records longer, or in more
copies, than the table says is no difference.
"""

# pyright: reportPrivateImportUsage=false
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # they are public, and not marked so
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    TopicMetadata,
)

from olvido.broker.admin import ANSWER_S_MAX, asking, result_of
from olvido.broker.groups import LATEST, offsets_of, partitions_of
from olvido.core.catalogue import Catalogue
from olvido.core.errors import ConfigError
from olvido.schemas.registry import Registry
from olvido.schemas.settings.deployment import KafkaSection
from olvido.schemas.topics import CANARIES, UPSTREAM, Cleanup, Topic, topics_of

DAY = timedelta(days=1)
# The settings without which records are lost, or their writers' clocks are believed.
_LOSSY = frozenset({"cleanup.policy", "retention.ms", "message.timestamp.type"})
FOR_EVER = "-1"  # as the broker writes a retention without an end

# The broker's own default. It limits what is compressed together and not one record, so less would refuse
# whole batches; one record is at most 64 KiB (see codec.VALUE_BYTES_MAX).
BATCH_BYTES_MAX = 1_048_588


class Repair(StrEnum):
    """What ``apply`` does about a difference."""

    MEND = "mend"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that is not as it is declared."""

    topic: str
    what: str  # "topic", "schema", "partitions", "replicas" or a broker's setting such as "retention.ms"
    is_: str
    should: str
    remedy: Repair
    why: str = ""  # it is refused
    fix: str = "run: olvido topics apply"

    def __str__(self) -> str:
        tail = f" ({self.why})" if self.why else ""
        return f"{self.topic}: {self.what} is {self.is_}, should be {self.should}{tail}"


def check(kafka: KafkaSection, registry: Registry, catalogue: Catalogue) -> None:
    """Check that topics and schemas are as declared: what a process does before it starts.

    Raises:
        ConfigError: naming the first difference and the fix.
        Unavailable: broker or registry does not answer.
    """
    differences = diff(kafka, registry, catalogue)
    if differences:
        first, more = differences[0], len(differences) - 1
        raise ConfigError(f"{first}{f', and {more} more' if more else ''}; {first.fix}")


def check_fit(kafka: KafkaSection, topics: Sequence[Topic]) -> None:
    """Check that topics keep what they are given, as long and in the order that is declared.

    What a process does with the topics it reads, before it reads them: in one that is wrong in this, records
    are lost or overtake each other, and nobody would notice. One that is not there yet is waited for.

    Raises:
        ConfigError: another number of partitions, a shorter retention, compaction, or timestamps that whoever
            writes a record sets; with the fix.
        Unavailable: the broker does not answer.
    """
    with asking(kafka) as admin:
        metadata = admin.list_topics(timeout=ANSWER_S_MAX).topics
        there = [topic for topic in topics if topic.name in metadata]
        try:
            settings = _settings_of(admin, [topic.name for topic in there])
        except KafkaException as error:
            # Who may only read need not be allowed to ask for settings: then `olvido doctor` is who looks.
            if error.args[0].code() != KafkaError.TOPIC_AUTHORIZATION_FAILED:
                raise
            settings = {}
    for topic in there:
        known = settings.get(topic.name)
        for one in _topic_differences(topic, metadata[topic.name], known or {}, kafka):
            if one.what == "partitions" or (known and one.what in _LOSSY):
                raise ConfigError(f"{one}; {one.fix}")


def diff(kafka: KafkaSection, registry: Registry, catalogue: Catalogue) -> list[Difference]:
    """Everything that is not as declared, in the table's order. Changes nothing.

    Raises:
        Unavailable: broker or registry does not answer.
    """
    with asking(kafka) as admin:
        topics = topics_of(catalogue)
        there = admin.list_topics(timeout=ANSWER_S_MAX).topics
        settings = _settings_of(admin, [topic.name for topic in topics if topic.name in there])
    return [
        difference
        for topic in topics
        for difference in (
            *_topic_differences(topic, there.get(topic.name), settings.get(topic.name, {}), kafka),
            *_schema_differences(topic, registry),
        )
    ]


def apply(kafka: KafkaSection, registry: Registry, catalogue: Catalogue) -> list[Difference]:
    """Make topics and schemas as declared. A repeat changes nothing.

    Returns:
        What was different: what could be mended is mended now, what is refused is as it was.

    Raises:
        ConfigError: the cluster or the registry does not allow what is declared.
        Unavailable: broker or registry does not answer. What was done stays; go on with a repeat.
    """
    differences = diff(kafka, registry, catalogue)
    to_mend = [difference for difference in differences if difference.remedy is Repair.MEND]
    missing = {difference.topic for difference in to_mend if difference.what == "topic"}
    refused = {d.topic for d in differences if d.what == "schema" and d.remedy is Repair.REFUSED}
    topics = topics_of(catalogue)
    # Schemas first: a topic that is there can be written to, and writers look their schema up.
    for topic in topics:
        if topic.name not in refused:
            registry.register(topic.subject, topic.schema)
    with asking(kafka) as admin:
        _create(admin, [topic for topic in topics if topic.name in missing], kafka)
        _grow(admin, [d for d in to_mend if d.what == "partitions"])
        _alter(admin, [d for d in to_mend if d.what not in {"topic", "schema", "partitions"}])
        _wait_for(admin, missing)
    return differences


def settings_for(topic: Topic, kafka: KafkaSection) -> dict[str, str]:
    """The broker's settings of a topic, by their own names."""
    settings = {
        "cleanup.policy": topic.cleanup.value,
        "compression.type": "producer",
        "max.message.bytes": str(BATCH_BYTES_MAX),
        # Of three copies two must have a record before it counts as written; one broker may be away.
        "min.insync.replicas": str(max(1, min(2, kafka.replication_factor - 1))),
        "unclean.leader.election.enable": "false",
    }
    if topic in UPSTREAM:
        # What upstream states of an instant is judged by when the broker took the record.
        settings["message.timestamp.type"] = "LogAppendTime"
    if topic.retention is not None:
        settings["retention.ms"] = str(int(topic.retention.total_seconds() * 1000))
        if topic.retention < DAY:
            # Retention takes whole segments, and the one being written to lives for a week by itself.
            settings["segment.ms"] = settings["retention.ms"]
    return settings


def _topic_differences(
    topic: Topic, there: TopicMetadata | None, settings: Mapping[str, str], kafka: KafkaSection
) -> Iterator[Difference]:
    def difference(what: str, is_: object, should: object, **refused: str) -> Difference:
        remedy = Repair.REFUSED if refused else Repair.MEND
        return Difference(
            topic=topic.name, what=what, is_=str(is_), should=str(should), remedy=remedy, **refused
        )

    if there is None:
        yield difference("topic", "missing", "there")
        return
    is_, should = len(there.partitions), kafka.partitions_of(topic.name)
    if topic == CANARIES and is_ < should:
        yield difference("partitions", is_, should)  # no canary has an order to keep
    elif is_ != should:
        yield difference(
            "partitions",
            is_,
            should,
            why="keys would move, and a person's records lose their order",
            fix=f'a topic keeps its number: write "{topic.name}" = {is_} under [kafka.topic_partitions]',
        )
    replicas = min((len(partition.replicas) for partition in there.partitions.values()), default=0)
    if replicas < kafka.replication_factor:
        yield difference(
            "replicas",
            replicas,
            kafka.replication_factor,
            why="the broker alone can copy them",
            fix="run: kafka-reassign-partitions",
        )
    for name, declared in settings_for(topic, kafka).items():
        given = settings.get(name, "unknown")
        if not _keeps_as_much(name, given, declared):
            yield difference(name, given, declared, **_why_not(topic, name, given))


def _keeps_as_much(name: str, is_: str, should: str) -> bool:
    """Whether a setting is as declared, or keeps records longer or in more copies than that.

    To "mend" such a setting would delete what somebody wants kept, or weaken what somebody made safe.
    """
    if name == "retention.ms" and is_ == FOR_EVER:
        return True
    if name in {"retention.ms", "min.insync.replicas"} and is_.isdecimal():
        return int(is_) >= int(should)
    return is_ == should


def _why_not(topic: Topic, name: str, is_: str) -> dict[str, str]:
    if name == "cleanup.policy" and topic.cleanup is Cleanup.DELETE and "compact" in is_:
        return {
            "why": "compaction may have removed records",
            "fix": "find out who turned it on, and replay from the source",
        }
    return {}


def _schema_differences(topic: Topic, registry: Registry) -> Iterator[Difference]:
    try:
        registry.id_of(topic.subject, topic.schema)
    except ConfigError:
        problem = registry.problem_with(topic.subject, topic.schema)
        yield Difference(
            topic=topic.name,
            what="schema",
            is_="not registered",
            should=f"{topic.schema}.avsc",
            remedy=Repair.REFUSED if problem else Repair.MEND,
            why=problem or "",
            **({"fix": "see: olvido topics diff"} if problem else {}),
        )


def _settings_of(admin: AdminClient, names: Sequence[str]) -> dict[str, dict[str, str]]:
    if not names:
        return {}
    asked = [ConfigResource(ConfigResource.Type.TOPIC, name) for name in names]
    answers = admin.describe_configs(asked, request_timeout=ANSWER_S_MAX)
    return {
        resource.name: {name: str(entry.value) for name, entry in result_of(answer).items()}
        for resource, answer in answers.items()
    }


def _create(admin: AdminClient, topics: Sequence[Topic], kafka: KafkaSection) -> None:
    if not topics:
        return
    new = [
        NewTopic(
            topic.name,
            num_partitions=kafka.partitions_of(topic.name),
            replication_factor=kafka.replication_factor,
            config=settings_for(topic, kafka),
        )
        for topic in topics
    ]
    for name, created in admin.create_topics(new, request_timeout=ANSWER_S_MAX).items():
        try:
            result_of(created)
        except KafkaException as error:
            reason: KafkaError = error.args[0]
            if reason.code() == KafkaError.TOPIC_ALREADY_EXISTS:
                continue  # another `apply` was at work; what it made is compared by the next diff
            if reason.code() == KafkaError.INVALID_REPLICATION_FACTOR:
                raise ConfigError(
                    f"kafka.replication_factor: the cluster has fewer than {kafka.replication_factor} brokers"
                ) from None
            if reason.code() in {KafkaError.POLICY_VIOLATION, KafkaError.INVALID_CONFIG}:
                raise ConfigError(f"the cluster refuses to make {name}: {reason.str()}") from None
            raise


def _grow(admin: AdminClient, differences: Sequence[Difference]) -> None:
    new = [NewPartitions(one.topic, int(one.should)) for one in differences]
    if new:
        for answer in admin.create_partitions(new, request_timeout=ANSWER_S_MAX).values():
            result_of(answer)


def _alter(admin: AdminClient, differences: Sequence[Difference]) -> None:
    changes: dict[str, list[ConfigEntry]] = {}
    for one in differences:
        changes.setdefault(one.topic, []).append(
            ConfigEntry(one.what, one.should, incremental_operation=AlterConfigOpType.SET)
        )
    if not changes:
        return
    resources = [
        ConfigResource(ConfigResource.Type.TOPIC, name, incremental_configs=entries)
        for name, entries in changes.items()
    ]
    for answer in admin.incremental_alter_configs(resources, request_timeout=ANSWER_S_MAX).values():
        result_of(answer)


def _wait_for(admin: AdminClient, names: Collection[str]) -> None:
    """Wait until each partition of new topics is led, so that the caller can write and read at once."""
    missing = set(names)
    deadline = time.monotonic() + ANSWER_S_MAX
    while missing:
        there = admin.list_topics(timeout=ANSWER_S_MAX).topics
        missing = {name for name in missing if name not in there or not _is_led(there[name])}
        if missing and time.monotonic() > deadline:
            raise KafkaException(KafkaError(KafkaError.LEADER_NOT_AVAILABLE))
    offsets_of(admin, partitions_of(admin, sorted(names)), LATEST)


def _is_led(topic: TopicMetadata) -> bool:
    return topic.error is None and all(partition.leader >= 0 for partition in topic.partitions.values())
