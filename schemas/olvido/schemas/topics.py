"""The table of topics: the one place that says what travels where, keyed how, kept how long, by whom.

How many partitions each has is a setting of the deployment: ``KafkaSection.partitions_of``.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from olvido.core.catalogue import Catalogue

YEAR = timedelta(days=400)  # a year and a month: a year can be replayed at any time
HOUR = timedelta(hours=1)
HALF_YEAR = timedelta(days=180)  # twice the longest legal clock (GDPR art. 12(3): three months)
# Who is no sink: the processes that write and read the topics below, and the parts that they run on.
NO_SINKS = frozenset({"processors", "recorder", "relay", "kafka", "registry", "postgres"})


class Cleanup(StrEnum):
    """Kafka's ``cleanup.policy``."""

    DELETE = "delete"
    COMPACT = "compact"


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """One topic: what is on it and who may touch it."""

    name: str
    schema: str  # the .avsc file's stem
    key: str  # in words
    writers: tuple[str, ...]
    readers: tuple[str, ...]
    retention: timedelta | None = YEAR  # None: for ever (compacted)
    cleanup: Cleanup = Cleanup.DELETE

    @property
    def subject(self) -> str:
        """Its subject in the schema registry (TopicNameStrategy)."""
        return f"{self.name}-value"


REQUESTS = Topic(
    name="olvido.requests.v1",
    schema="privacy_request",
    key="subject_id",
    writers=("upstream services",),
    readers=("processors",),
)
CONSENTS = Topic(
    name="olvido.consents.v1",
    schema="consent_change",
    key="subject_id",
    writers=("upstream services",),
    readers=("processors",),
)
VERIFICATIONS = Topic(
    name="olvido.verifications.v1",
    schema="verification",
    key="subject_id",
    writers=("verifiers",),
    readers=("processors",),
)
RECEIPTS = Topic(
    name="olvido.receipts.v1",
    schema="receipt",
    key="subject_id",
    writers=("sinks", "processors"),  # the processors answer for sinks that were removed
    readers=("recorder",),
)
LOOKS = Topic(
    name="olvido.looks.v1",
    schema="later_look",
    key="sink",
    writers=("sinks",),
    readers=("recorder",),
)
REQUEST_STATUS = Topic(
    name="olvido.request-status.v1",
    schema="request_status",
    key="request_id",
    writers=("processors", "recorder"),
    readers=("upstream services",),
    cleanup=Cleanup.COMPACT,
    retention=None,
)
CONSENT_STATE = Topic(
    name="olvido.consent-state.v1",
    schema="consent_state",
    key="handle/purpose",
    writers=("processors",),
    readers=("upstream services",),
    cleanup=Cleanup.COMPACT,
    retention=None,
)
DEAD_LETTERS = Topic(
    name="olvido.dead-letters.v1",
    schema="dead_letter",
    key="dead_letter_id",
    writers=("processors", "recorder", "sinks"),
    readers=("recorder",),
)

# Says nothing but that it arrives: who does not read its partition's does not read at all, also when
# nobody asks for anything. Not one of FIXED: no decision travels on it, and no lag of work is counted on it.
CANARIES = Topic(
    name="olvido.canaries.v1",
    schema="canary",
    key="a number that lands on the partition",
    writers=("processors",),
    readers=("processors", "recorder", "sinks"),
    retention=HOUR,
)

UPSTREAM = (REQUESTS, CONSENTS, VERIFICATIONS)  # what upstream services write to, and nobody else of ours
FIXED = (*UPSTREAM, RECEIPTS, LOOKS, REQUEST_STATUS, CONSENT_STATE, DEAD_LETTERS)


def tasks_topic(sink: str) -> Topic:
    """The topic of one sink's tasks: its own lag, access rights and replay."""
    return Topic(
        name=f"olvido.tasks.{sink}.v1",
        schema="task",
        key="subject_id",
        writers=("processors",),
        readers=(f"sink {sink}",),
        retention=HALF_YEAR,
    )


PROCESSORS_GROUP = "olvido.processors"
RECORDER_GROUP = "olvido.recorder"
# Nobody joins these and nothing is committed for them: a client that reads must name one.
FOLLOW_GROUP = "olvido-follow"
READ_RANGE_GROUP = "olvido-read-range"


def sink_group(sink: str) -> str:
    """The consumer group of a sink: each has its own, so a target that is down stops nobody else."""
    return f"olvido.sink.{sink}"


def readers_of(sinks: Iterable[str]) -> dict[str, list[str]]:
    """Every consumer group and the topics it must read."""
    return {
        PROCESSORS_GROUP: [REQUESTS.name, CONSENTS.name, VERIFICATIONS.name],
        RECORDER_GROUP: [RECEIPTS.name, LOOKS.name, DEAD_LETTERS.name],
        **{sink_group(name): [tasks_topic(name).name] for name in sinks},
    }


def reads(group: str, topic: str) -> bool:
    """Whether a consumer group has a topic to read; that of a sink that is not declared any more as well."""
    return topic in readers_of([group.removeprefix(sink_group(""))]).get(group, ())


def topics_of(catalogue: Catalogue) -> tuple[Topic, ...]:
    """All topics a deployment has."""
    return (*FIXED, CANARIES, *(tasks_topic(sink.name) for sink in catalogue.sinks))
