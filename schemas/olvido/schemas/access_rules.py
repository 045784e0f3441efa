"""Who may do what in Kafka, worked out from the table of topics: a user for each process, with no right more.

The broker allows what a rule names and nothing else, if its authorizer is on and
``allow.everyone.if.no.acl.found`` is not.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from olvido.core.catalogue import Catalogue
from olvido.schemas.topics import (
    CANARIES,
    FOLLOW_GROUP,
    PROCESSORS_GROUP,
    READ_RANGE_GROUP,
    RECORDER_GROUP,
    REQUESTS,
    Topic,
    readers_of,
    sink_group,
    topics_of,
)

PROCESSORS, RECORDER = "processors", "recorder"
UPSTREAM, VERIFIERS, RELAY, CANARY_PEOPLE = "upstream", "verifiers", "relay", "canary-people"
OPERATORS = "operators"  # the command line of people: reads all, and sends again what somebody decided to
SETUP = "setup"  # `olvido topics apply`, for the time of an installation or an update


class Resource(StrEnum):
    """What a rule is about, as Kafka names it."""

    TOPIC = "topic"
    GROUP = "group"


class KafkaOperation(StrEnum):
    """What a rule allows, as Kafka names it. Each of the first five implies ``Describe``."""

    READ = "Read"
    WRITE = "Write"
    ALTER = "Alter"
    ALTER_CONFIGS = "AlterConfigs"  # implies DescribeConfigs
    CREATE = "Create"
    DESCRIBE = "Describe"
    DESCRIBE_CONFIGS = "DescribeConfigs"


@dataclass(frozen=True, slots=True, order=True)
class Rule:
    """One thing that one process may do."""

    process: str
    resource: Resource
    name: str
    operation: KafkaOperation


def sink_process(sink: str) -> str:
    """The process of a sink, as the supervisor and the compose file name it."""
    return f"sink-{sink}"


def processes_of(catalogue: Catalogue) -> tuple[str, ...]:
    """Every process that has a user of its own."""
    sinks = (sink_process(sink.name) for sink in catalogue.sinks)
    return (UPSTREAM, VERIFIERS, RELAY, CANARY_PEOPLE, PROCESSORS, RECORDER, *sinks, OPERATORS, SETUP)


def rules_of(catalogue: Catalogue) -> tuple[Rule, ...]:
    """Every rule that a deployment needs, each once, by process and resource."""
    found = {
        *_of_topics(catalogue),
        *_of_groups(catalogue),
        *_of_operators(catalogue),
    }
    order = processes_of(catalogue)
    return tuple(sorted(found, key=lambda rule: (order.index(rule.process), rule)))


def _of_topics(catalogue: Catalogue) -> Iterator[Rule]:
    for topic in topics_of(catalogue):
        for process in _writers(topic, catalogue):
            yield Rule(process, Resource.TOPIC, topic.name, KafkaOperation.WRITE)
        for process in _readers(topic, catalogue):
            yield Rule(process, Resource.TOPIC, topic.name, KafkaOperation.READ)
            # Before it reads, it looks whether the topic keeps what it is given.
            yield Rule(process, Resource.TOPIC, topic.name, KafkaOperation.DESCRIBE_CONFIGS)


def _of_groups(catalogue: Catalogue) -> Iterator[Rule]:
    """Each group by its own process; the processors look how far all are."""
    groups = readers_of(sink.name for sink in catalogue.sinks)
    members = {
        PROCESSORS_GROUP: PROCESSORS,
        RECORDER_GROUP: RECORDER,
        **{sink_group(sink.name): sink_process(sink.name) for sink in catalogue.sinks},
    }
    for group, topics in groups.items():
        yield Rule(members[group], Resource.GROUP, group, KafkaOperation.READ)
        yield Rule(PROCESSORS, Resource.GROUP, group, KafkaOperation.DESCRIBE)
        yield Rule(OPERATORS, Resource.GROUP, group, KafkaOperation.DESCRIBE)
        for topic in topics:
            yield Rule(PROCESSORS, Resource.TOPIC, topic, KafkaOperation.DESCRIBE)
    for process in (PROCESSORS, RECORDER, OPERATORS):  # those that read again what was committed over
        yield Rule(process, Resource.GROUP, READ_RANGE_GROUP, KafkaOperation.DESCRIBE)
    yield Rule(OPERATORS, Resource.GROUP, FOLLOW_GROUP, KafkaOperation.DESCRIBE)


def _of_operators(catalogue: Catalogue) -> Iterator[Rule]:
    for topic in topics_of(catalogue):
        yield Rule(OPERATORS, Resource.TOPIC, topic.name, KafkaOperation.READ)
        yield Rule(OPERATORS, Resource.TOPIC, topic.name, KafkaOperation.DESCRIBE_CONFIGS)
        if topic != CANARIES:  # to redrive a dead letter is to write to the topic that it came from
            yield Rule(OPERATORS, Resource.TOPIC, topic.name, KafkaOperation.WRITE)
        for operation in (KafkaOperation.CREATE, KafkaOperation.ALTER, KafkaOperation.ALTER_CONFIGS):
            yield Rule(SETUP, Resource.TOPIC, topic.name, operation)


def _writers(topic: Topic, catalogue: Catalogue) -> Iterator[str]:
    for role in topic.writers:
        yield from _processes(role, catalogue)
        if role == "upstream services":
            yield RELAY
            if topic == REQUESTS:
                yield CANARY_PEOPLE


def _readers(topic: Topic, catalogue: Catalogue) -> Iterator[str]:
    for role in topic.readers:
        yield from _processes(role, catalogue)


def _processes(role: str, catalogue: Catalogue) -> tuple[str, ...]:
    """The processes that the table of topics means."""
    sinks = {f"sink {sink.name}": (sink_process(sink.name),) for sink in catalogue.sinks}
    return {
        "upstream services": (UPSTREAM,),
        "verifiers": (VERIFIERS,),
        "processors": (PROCESSORS,),
        "recorder": (RECORDER,),
        "sinks": tuple(sink_process(sink.name) for sink in catalogue.sinks),
        **sinks,
    }[role]
