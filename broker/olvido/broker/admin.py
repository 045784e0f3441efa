"""What an operator asks of the broker: are the topics as declared, how far is a group, what is at an offset.

The table in ``schemas/topics.py`` says what should be. ``diff`` compares, ``apply`` mends what can be mended
without moving a key or losing a record, and refuses the rest by name. What keeps records longer, or in more
copies, than the table says is no difference.
"""

# pyright: reportPrivateImportUsage=false
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # they are public, and not marked so
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
    TopicMetadata,
)

from olvido.broker.contract import Lag, Received
from olvido.broker.kafka import admin_options, library_logger, naming_bad_options, open_consumer, received
from olvido.core.catalogue import Catalogue
from olvido.core.errors import ConfigError, Unavailable
from olvido.schemas.registry import Registry
from olvido.schemas.settings.deployment import KafkaSection
from olvido.schemas.topics import CANARIES, Cleanup, Topic, topics_of

TIMEOUT_S = 10.0
POLL_S = 0.1
REACH_TIMEOUT_S = 3.0  # a person is waiting for `olvido doctor`
DAY = timedelta(days=1)
FOR_EVER = "-1"  # as the broker writes a retention without an end
READ_TIMEOUT_S = 15.0  # without a record, while a range is read
# The broker's own default. It limits what is compressed together and not one record, so less would refuse
# whole batches; one record is at most 64 KiB (see codec.VALUE_BYTES_MAX).
BATCH_BYTES_MAX = 1_048_588

# What a broker answers for a moment after a topic was made, or it came back: true again soon.
_NOT_YET = {
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.UNKNOWN_LEADER_EPOCH,
    KafkaError.FENCED_LEADER_EPOCH,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError.OFFSET_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR,
}
_EARLIEST: Any = OffsetSpec.earliest()  # type: ignore[no-untyped-call]
_LATEST: Any = OffsetSpec.latest()  # type: ignore[no-untyped-call]

Place = tuple[str, int]  # topic, partition
T = TypeVar("T")


class Remedy(StrEnum):
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
    remedy: Remedy
    why: str = ""  # it is refused
    fix: str = "run: olvido topics apply"

    def __str__(self) -> str:
        tail = f" ({self.why})" if self.why else ""
        return f"{self.topic}: {self.what} is {self.is_}, should be {self.should}{tail}"


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupState:
    """How the broker sees a consumer group."""

    group: str
    state: str  # such as STABLE, EMPTY, PREPARING_REBALANCING; DEAD where there is no such group
    members: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupFigures:
    """How a consumer group is and how far, over all of its topics."""

    group: str
    state: str  # as in GroupState
    members: int
    behind: int  # records that it has yet to handle
    handled: int  # offsets that it has left behind itself: what is added between two looks is its rate


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """A cluster that answered."""

    cluster_id: str
    brokers: int


# --- topics ---------------------------------------------------------------------------------------


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
        ConfigError: another number of partitions, a shorter retention, or compaction; with the fix.
        Unavailable: the broker does not answer.
    """
    with _asking(kafka) as admin:
        metadata = admin.list_topics(timeout=TIMEOUT_S).topics
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
            if one.what == "partitions" or (known and one.what in {"cleanup.policy", "retention.ms"}):
                raise ConfigError(f"{one}; {one.fix}")


def diff(kafka: KafkaSection, registry: Registry, catalogue: Catalogue) -> list[Difference]:
    """Everything that is not as declared, in the table's order. Changes nothing.

    Raises:
        Unavailable: broker or registry does not answer.
    """
    with _asking(kafka) as admin:
        topics = topics_of(catalogue)
        there = admin.list_topics(timeout=TIMEOUT_S).topics
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
    to_mend = [difference for difference in differences if difference.remedy is Remedy.MEND]
    missing = {difference.topic for difference in to_mend if difference.what == "topic"}
    refused = {d.topic for d in differences if d.what == "schema" and d.remedy is Remedy.REFUSED}
    topics = topics_of(catalogue)
    # Schemas first: a topic that is there can be written to, and writers look their schema up.
    for topic in topics:
        if topic.name not in refused:
            registry.register(topic.subject, topic.schema)
    with _asking(kafka) as admin:
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
        remedy = Remedy.REFUSED if refused else Remedy.MEND
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
            remedy=Remedy.REFUSED if problem else Remedy.MEND,
            why=problem or "",
            **({"fix": "see: olvido topics diff"} if problem else {}),
        )


def _settings_of(admin: AdminClient, names: Sequence[str]) -> dict[str, dict[str, str]]:
    if not names:
        return {}
    asked = [ConfigResource(ConfigResource.Type.TOPIC, name) for name in names]
    answers = admin.describe_configs(asked, request_timeout=TIMEOUT_S)
    return {
        resource.name: {name: str(entry.value) for name, entry in _result(answer).items()}
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
    for name, created in admin.create_topics(new, request_timeout=TIMEOUT_S).items():
        try:
            _result(created)
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
        for answer in admin.create_partitions(new, request_timeout=TIMEOUT_S).values():
            _result(answer)


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
    for answer in admin.incremental_alter_configs(resources, request_timeout=TIMEOUT_S).values():
        _result(answer)


def _wait_for(admin: AdminClient, names: Collection[str]) -> None:
    """Wait until each partition of new topics is led, so that the caller can write and read at once."""
    missing = set(names)
    deadline = time.monotonic() + TIMEOUT_S
    while missing:
        there = admin.list_topics(timeout=TIMEOUT_S).topics
        missing = {name for name in missing if name not in there or not _is_led(there[name])}
        if missing and time.monotonic() > deadline:
            raise KafkaException(KafkaError(KafkaError.LEADER_NOT_AVAILABLE))
    _offsets(admin, _places(admin, sorted(names)), _LATEST)


def _is_led(topic: TopicMetadata) -> bool:
    return topic.error is None and all(partition.leader >= 0 for partition in topic.partitions.values())


# --- groups and offsets ---------------------------------------------------------------------------


def reach(kafka: KafkaSection, *, timeout_s: float = REACH_TIMEOUT_S) -> Cluster:
    """Ask the cluster who it is.

    Raises:
        Unavailable: it does not answer in time.
    """
    with _asking(kafka) as admin:
        metadata = admin.list_topics(timeout=timeout_s)
    return Cluster(cluster_id=metadata.cluster_id or "", brokers=len(metadata.brokers))


def start_offsets(kafka: KafkaSection, topics: Sequence[str]) -> dict[Place, int]:
    """The oldest offset that is still kept, of each partition. Topics that are not there are left out.

    Raises:
        Unavailable: the broker does not answer.
    """
    with _asking(kafka) as admin:
        return _offsets(admin, _places(admin, topics), _EARLIEST)


def end_offsets(kafka: KafkaSection, topics: Sequence[str]) -> dict[Place, int]:
    """The offset that the next record will get, of each partition. Topics that are not there are left out.

    Raises:
        Unavailable: the broker does not answer.
    """
    with _asking(kafka) as admin:
        return _offsets(admin, _places(admin, topics), _LATEST)


def offsets_at(kafka: KafkaSection, topics: Sequence[str], instant: datetime) -> dict[Place, int]:
    """The offset of the first record that was written at an instant or later, of each partition.

    Where there is none yet, the offset that the next record will get. Topics that are not there
    are left out.

    Raises:
        Unavailable: the broker does not answer.
    """
    with _asking(kafka) as admin:
        return _offsets_at(admin, _places(admin, topics), instant)


def follow(kafka: KafkaSection, starts: Mapping[Place, int]) -> Iterator[Received]:
    """Read partitions from some offsets on, as records come, for ever; nothing is committed.

    Raises:
        Unavailable: the broker does not take the question. Later silence is waited out.
    """
    consumer = open_consumer(
        kafka, group="olvido-follow", client_id="olvido-follow", more={"fetch.wait.max.ms": 100}
    )
    try:
        consumer.assign([TopicPartition(*place, offset) for place, offset in starts.items()])
        while True:
            # Short, so that Ctrl-C is noticed.
            message = consumer.poll(POLL_S)
            if message is not None and message.error() is None:
                yield received(message)
    except KafkaException as error:
        raise _silent(kafka, error.args[0].str()) from error
    finally:
        consumer.close()


def lag(kafka: KafkaSection, group: str, topics: Sequence[str]) -> tuple[Lag, ...]:
    """How far a group is in each partition of its topics.

    Raises:
        Unavailable: the broker does not answer.
    """
    with _asking(kafka) as admin:
        places = _places(admin, topics)
        starts = _offsets(admin, places, _EARLIEST)
        # Committed before end: so a group at work never seems ahead of its topic.
        committed = _committed(kafka, group, places)
        ends = _offsets(admin, places, _LATEST)
    return _lags(places, starts, committed, ends)


def unread(kafka: KafkaSection, group: str, topics: Sequence[str], *, written_before: datetime) -> int:
    """How many records of its topics, written before an instant, a group has yet to handle.

    Raises:
        Unavailable: the broker does not answer.
    """
    with _asking(kafka) as admin:
        places = _places(admin, topics)
        starts = _offsets(admin, places, _EARLIEST)
        committed = _committed(kafka, group, places)
        ends = _offsets_at(admin, places, written_before)
    return sum(one.behind for one in _lags(places, starts, committed, ends))


def group_state(kafka: KafkaSection, group: str) -> GroupState:
    """How the broker sees a group; ``DEAD`` without members where it has never heard of it.

    Raises:
        Unavailable: the broker does not answer.
    """
    with _asking(kafka) as admin:
        try:
            described = _settled(
                lambda: _result(admin.describe_consumer_groups([group], request_timeout=TIMEOUT_S)[group])
            )
        except KafkaException as error:
            if error.args[0].code() != KafkaError.GROUP_ID_NOT_FOUND:
                raise
            return GroupState(group=group, state="DEAD", members=0)
    return GroupState(group=group, state=described.state.name, members=len(described.members))


class Groups:
    """Consumer groups that are looked at again and again: everything is asked at once, over one connection.

    Args:
        kafka: where the broker is.
        topics: what each group reads.
    """

    def __init__(self, kafka: KafkaSection, topics: Mapping[str, Sequence[str]]) -> None:
        self._kafka = kafka
        self._topics = topics
        with naming_bad_options(kafka):
            self._admin = AdminClient(admin_options(kafka, client_id="olvido-admin"), logger=library_logger)

    def look(self) -> list[GroupFigures]:
        """How every group is now, in the order given.

        Raises:
            Unavailable: the broker does not answer.
        """
        try:
            return self._look()
        except KafkaException as error:
            raise _silent(self._kafka, error.args[0].str()) from error

    def _look(self) -> list[GroupFigures]:
        names = list(self._topics)
        there = self._admin.list_topics(timeout=REACH_TIMEOUT_S).topics
        described = self._admin.describe_consumer_groups(names, request_timeout=TIMEOUT_S)
        places = {
            group: [(name, number) for name in topics if name in there for number in there[name].partitions]
            for group, topics in self._topics.items()
        }
        # Committed before end: so a group at work never seems ahead of its topic.
        committed = {group: _committed(self._kafka, group, places[group]) for group in names}
        everywhere = [place for group in names for place in places[group]]
        starts, ends = (_offsets(self._admin, everywhere, which) for which in (_EARLIEST, _LATEST))
        return [
            GroupFigures(
                group=group,
                state=state,
                members=members,
                behind=sum(one.behind for one in _lags(places[group], starts, committed[group], ends)),
                handled=sum(committed[group].values()),
            )
            for group in names
            for state, members in [_described(described[group])]
        ]


def _lags(
    places: Sequence[Place],
    starts: Mapping[Place, int],
    committed: Mapping[Place, int],
    ends: Mapping[Place, int],
) -> tuple[Lag, ...]:
    return tuple(
        Lag(
            topic=place[0],
            partition=place[1],
            committed=committed.get(place),
            start=starts[place],
            end=ends[place],
        )
        for place in places
    )


def _described(answer: "Future[Any]") -> tuple[str, int]:
    try:
        described = _result(answer)
    except KafkaException as error:
        if error.args[0].code() not in {KafkaError.GROUP_ID_NOT_FOUND, *_NOT_YET}:
            raise
        return "DEAD", 0
    return described.state.name, len(described.members)


def read_range(
    kafka: KafkaSection, topic: str, partition: int, ranges: Iterable[tuple[int, int]]
) -> Iterator[Received]:
    """Read what stands at some offsets again, outside any group; nothing is committed.

    Args:
        kafka: where the broker is.
        topic: the topic.
        partition: one of its partitions.
        ranges: from the first offset to before the second, in rising order. What retention or
            compaction removed, or what was never written, is simply not there.

    Raises:
        Unavailable: the broker does not answer.
    """
    consumer = open_consumer(
        kafka,
        group="olvido-read-range",
        client_id="olvido-read-range",
        more={"enable.partition.eof": True, "fetch.wait.max.ms": 50},
    )
    try:
        for start, end in ranges:
            yield from _read_one(consumer, TopicPartition(topic, partition, start), end, kafka)
    except KafkaException as error:
        raise _silent(kafka, error.args[0].str()) from error
    finally:
        consumer.close()


def _read_one(consumer: Consumer, start: TopicPartition, end: int, kafka: KafkaSection) -> Iterator[Received]:
    # Only within what is kept: from anywhere else librdkafka would begin at the oldest record.
    oldest, newest = consumer.get_watermark_offsets(start, timeout=TIMEOUT_S)
    start.offset, end = max(start.offset, oldest), min(end, newest)
    if start.offset >= end:
        return
    consumer.assign([start])
    deadline = time.monotonic() + READ_TIMEOUT_S
    while time.monotonic() < deadline:
        message = consumer.poll(1.0)
        if message is None:
            continue
        error = message.error()
        if error is not None:
            if error.code() == KafkaError._PARTITION_EOF:
                return
            raise KafkaException(error)
        record = received(message)
        if start.offset <= record.offset < end:
            yield record
        if record.offset + 1 >= end:
            return
        deadline = time.monotonic() + READ_TIMEOUT_S
    raise _silent(kafka, f"nothing from {start.topic}[{start.partition}] for {READ_TIMEOUT_S:.0f} s")


def _places(admin: AdminClient, topics: Sequence[str]) -> tuple[Place, ...]:
    there = admin.list_topics(timeout=TIMEOUT_S).topics
    return tuple(
        (name, partition) for name in topics if name in there for partition in sorted(there[name].partitions)
    )


def _offsets(admin: AdminClient, places: Sequence[Place], which: OffsetSpec) -> dict[Place, int]:
    if not places:
        return {}
    asked = {TopicPartition(topic, partition): which for topic, partition in places}

    def ask() -> dict[Place, int]:
        answers = admin.list_offsets(asked, request_timeout=TIMEOUT_S)
        return {(place.topic, place.partition): _result(answer).offset for place, answer in answers.items()}

    return _settled(ask)


def _offsets_at(admin: AdminClient, places: Sequence[Place], instant: datetime) -> dict[Place, int]:
    spec: Any = OffsetSpec.for_timestamp(int(instant.timestamp() * 1000))
    found = _offsets(admin, places, spec)
    ends = _offsets(admin, places, _LATEST)
    return {place: offset if offset >= 0 else ends[place] for place, offset in found.items()}


def _committed(kafka: KafkaSection, group: str, places: Sequence[Place]) -> dict[Place, int]:
    # Asked by a consumer that joins nothing. librdkafka's admin client ends the process with SIGSEGV when a
    # broker that has just come back says that it is not the group's coordinator yet: confluentinc's
    # confluent-kafka-python#1982, confluent-kafka-javascript#374; still so in 2.16.
    if not places:
        return {}
    consumer = open_consumer(kafka, group=group, client_id="olvido-admin")
    try:
        asked = [TopicPartition(*place) for place in places]
        answer = _settled(lambda: consumer.committed(asked, timeout=TIMEOUT_S))
    finally:
        consumer.close()
    return {(one.topic, one.partition): one.offset for one in answer if one.offset >= 0}


# --- asking ---------------------------------------------------------------------------------------


@contextmanager
def _asking(kafka: KafkaSection) -> Iterator[AdminClient]:
    """An admin client for one question; the broker's silence becomes ``Unavailable``."""
    with naming_bad_options(kafka):
        admin = AdminClient(admin_options(kafka, client_id="olvido-admin"), logger=library_logger)
    try:
        yield admin
    except KafkaException as error:
        raise _silent(kafka, error.args[0].str()) from error


def _silent(kafka: KafkaSection, what: str) -> Unavailable:
    return Unavailable(f"Kafka at {kafka.bootstrap_servers} does not answer: {what}")


def _result(future: "Future[T]") -> T:
    return future.result(timeout=2 * TIMEOUT_S)


def _settled(ask: Callable[[], T]) -> T:
    """Ask until leaders and coordinators have settled, for as long as an answer may take."""
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        try:
            return ask()
        except KafkaException as error:
            # The controller names a leader before it leads, and a client may know it before the broker.
            if error.args[0].code() not in _NOT_YET or time.monotonic() > deadline:
                raise
        time.sleep(POLL_S)
