"""Groups and offsets: how far a group is, where a partition begins and ends. Nothing is joined or moved."""

# pyright: reportPrivateImportUsage=false
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # they are public, and not marked so
    AdminClient,
    OffsetSpec,
)

from olvido.broker.admin import ANSWER_S_MAX, NOT_YET, admin_client, asking, result_of, settled, silent
from olvido.broker.contract import Lag
from olvido.broker.kafka import open_consumer
from olvido.core.offsets import Partition
from olvido.schemas.settings.deployment import KafkaSection

REACH_TIMEOUT_S = 3.0  # a person is waiting for `olvido doctor`
EARLIEST: Any = OffsetSpec.earliest()  # type: ignore[no-untyped-call]
LATEST: Any = OffsetSpec.latest()  # type: ignore[no-untyped-call]


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
    fell_off: int = 0  # offsets that retention removed before it had read them: an alarm, never normal


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """A cluster that answered."""

    cluster_id: str
    brokers: int


def reach(kafka: KafkaSection, *, timeout_s: float = REACH_TIMEOUT_S) -> Cluster:
    """Ask the cluster who it is.

    Raises:
        Unavailable: it does not answer in time.
    """
    with asking(kafka) as admin:
        metadata = admin.list_topics(timeout=timeout_s)
    return Cluster(cluster_id=metadata.cluster_id or "", brokers=len(metadata.brokers))


def start_offsets(kafka: KafkaSection, topics: Sequence[str]) -> dict[Partition, int]:
    """The oldest offset that is still kept, of each partition. Topics that are not there are left out.

    Raises:
        Unavailable: the broker does not answer.
    """
    with asking(kafka) as admin:
        return offsets_of(admin, partitions_of(admin, topics), EARLIEST)


def end_offsets(kafka: KafkaSection, topics: Sequence[str]) -> dict[Partition, int]:
    """The offset that the next record will get, of each partition. Topics that are not there are left out.

    Raises:
        Unavailable: the broker does not answer.
    """
    with asking(kafka) as admin:
        return offsets_of(admin, partitions_of(admin, topics), LATEST)


def offsets_at(kafka: KafkaSection, topics: Sequence[str], instant: datetime) -> dict[Partition, int]:
    """The offset of the first record that was written at an instant or later, of each partition.

    Where there is none yet, the offset that the next record will get. Topics that are not there
    are left out.

    Raises:
        Unavailable: the broker does not answer.
    """
    with asking(kafka) as admin:
        return _offsets_at(admin, partitions_of(admin, topics), instant)


def lag(kafka: KafkaSection, group: str, topics: Sequence[str]) -> tuple[Lag, ...]:
    """How far a group is in each partition of its topics.

    Raises:
        Unavailable: the broker does not answer.
    """
    with asking(kafka) as admin:
        partitions = partitions_of(admin, topics)
        starts = offsets_of(admin, partitions, EARLIEST)
        # Committed before end: so a group at work never seems ahead of its topic.
        committed = _committed(kafka, group, partitions)
        ends = offsets_of(admin, partitions, LATEST)
    return _lags(partitions, starts, committed, ends)


def topic_ids(kafka: KafkaSection, topics: Sequence[str]) -> dict[str, str]:
    """The id that the cluster gave each topic when it was made; those that are not there are left out.

    Raises:
        Unavailable: the broker does not answer.
    """
    with asking(kafka) as admin:
        described = admin.describe_topics(TopicCollection([*topics]), request_timeout=ANSWER_S_MAX)
        found = {}
        for topic, answer in described.items():
            try:
                found[topic] = str(result_of(answer).topic_id)
            except KafkaException as error:
                if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                    raise
    return found


def unread(kafka: KafkaSection, group: str, topics: Sequence[str], *, written_before: datetime) -> int:
    """How many records of its topics, written before an instant, a group has yet to handle.

    Raises:
        Unavailable: the broker does not answer.
    """
    with asking(kafka) as admin:
        partitions = partitions_of(admin, topics)
        starts = offsets_of(admin, partitions, EARLIEST)
        committed = _committed(kafka, group, partitions)
        ends = _offsets_at(admin, partitions, written_before)
    return sum(one.behind for one in _lags(partitions, starts, committed, ends))


def group_state(kafka: KafkaSection, group: str) -> GroupState:
    """How the broker sees a group; ``DEAD`` without members where it has never heard of it.

    Raises:
        Unavailable: the broker does not answer.
    """
    with asking(kafka) as admin:
        try:
            described = settled(
                lambda: result_of(
                    admin.describe_consumer_groups([group], request_timeout=ANSWER_S_MAX)[group]
                )
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
        self._admin = admin_client(kafka)

    def look(self) -> list[GroupFigures]:
        """How every group is now, in the order given.

        Raises:
            Unavailable: the broker does not answer.
        """
        try:
            return self._look()
        except KafkaException as error:
            raise silent(self._kafka, error.args[0].str()) from error

    def _look(self) -> list[GroupFigures]:
        names = list(self._topics)
        there = self._admin.list_topics(timeout=REACH_TIMEOUT_S).topics
        described = self._admin.describe_consumer_groups(names, request_timeout=ANSWER_S_MAX)
        partitions = {
            group: [(name, number) for name in topics if name in there for number in there[name].partitions]
            for group, topics in self._topics.items()
        }
        everywhere = [one for group in names for one in partitions[group]]
        # Start before committed before end: so a group at work never seems ahead of its topic, nor to
        # have missed what retention removes once it was read.
        starts = offsets_of(self._admin, everywhere, EARLIEST)
        committed = {group: _committed(self._kafka, group, partitions[group]) for group in names}
        ends = offsets_of(self._admin, everywhere, LATEST)
        lags = {group: _lags(partitions[group], starts, committed[group], ends) for group in names}
        return [
            GroupFigures(
                group=group,
                state=state,
                members=members,
                behind=sum(one.behind for one in lags[group]),
                handled=sum(committed[group].values()),
                fell_off=sum(one.fell_off for one in lags[group]),
            )
            for group in names
            for state, members in [_described(described[group])]
        ]


def _lags(
    partitions: Sequence[Partition],
    starts: Mapping[Partition, int],
    committed: Mapping[Partition, int],
    ends: Mapping[Partition, int],
) -> tuple[Lag, ...]:
    return tuple(
        Lag(
            topic=partition[0],
            partition=partition[1],
            committed=committed.get(partition),
            start=starts[partition],
            end=ends[partition],
        )
        for partition in partitions
    )


def _described(answer: "Future[Any]") -> tuple[str, int]:
    try:
        described = result_of(answer)
    except KafkaException as error:
        if error.args[0].code() not in {KafkaError.GROUP_ID_NOT_FOUND, *NOT_YET}:
            raise
        return "DEAD", 0
    return described.state.name, len(described.members)


def partitions_of(admin: AdminClient, topics: Sequence[str]) -> tuple[Partition, ...]:
    there = admin.list_topics(timeout=ANSWER_S_MAX).topics
    return tuple(
        (name, partition) for name in topics if name in there for partition in sorted(there[name].partitions)
    )


def offsets_of(
    admin: AdminClient, partitions: Sequence[Partition], which: OffsetSpec
) -> dict[Partition, int]:
    if not partitions:
        return {}
    asked = {TopicPartition(topic, partition): which for topic, partition in partitions}

    def ask() -> dict[Partition, int]:
        answers = admin.list_offsets(asked, request_timeout=ANSWER_S_MAX)
        return {(one.topic, one.partition): result_of(answer).offset for one, answer in answers.items()}

    return settled(ask)


def _offsets_at(
    admin: AdminClient, partitions: Sequence[Partition], instant: datetime
) -> dict[Partition, int]:
    spec: Any = OffsetSpec.for_timestamp(int(instant.timestamp() * 1000))
    found = offsets_of(admin, partitions, spec)
    ends = offsets_of(admin, partitions, LATEST)
    return {one: offset if offset >= 0 else ends[one] for one, offset in found.items()}


def _committed(kafka: KafkaSection, group: str, partitions: Sequence[Partition]) -> dict[Partition, int]:
    # Asked by a consumer that joins nothing. librdkafka's admin client ends the process with SIGSEGV when a
    # broker that has just come back says that it is not the group's coordinator yet: confluentinc's
    # confluent-kafka-python#1982, confluent-kafka-javascript#374; still so in 2.16.
    if not partitions:
        return {}
    consumer = open_consumer(kafka, group=group, client_id="olvido-admin")
    try:
        asked = [TopicPartition(*one) for one in partitions]
        answer = settled(lambda: consumer.committed(asked, timeout=ANSWER_S_MAX))
    finally:
        consumer.close()
    return {(one.topic, one.partition): one.offset for one in answer if one.offset >= 0}
