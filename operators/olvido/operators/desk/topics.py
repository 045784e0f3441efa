"""Topics and schemas: compared with the table of topics, and made as it declares them."""

from olvido.broker import topics
from olvido.broker.groups import end_offsets
from olvido.broker.topics import Difference, Repair
from olvido.operators.desk.faults import NoTopic, check_declared
from olvido.schemas.registry import Registry
from olvido.schemas.settings.deployment import Deployment
from olvido.schemas.topics import Topic, tasks_topic, topics_of


def declared_topics(declared: Deployment) -> tuple[Topic, ...]:
    """The table of topics of a deployment."""
    return tuple(topics_of(declared.catalogue))


def check(declared: Deployment) -> None:
    """Check that everything is as declared.

    Raises:
        ConfigError: naming the first difference, and the fix.
        Unavailable: broker or registry do not answer.
    """
    topics.check(declared.kafka, _registry(declared), declared.catalogue)


def differences(declared: Deployment) -> tuple[Difference, ...]:
    """What is not as declared. Changes nothing.

    Raises:
        Unavailable: broker or registry do not answer.
    """
    return tuple(topics.diff(declared.kafka, _registry(declared), declared.catalogue))


def apply(declared: Deployment) -> tuple[Difference, ...]:
    """Make and mend what can be; returns what was found, of which what is ``REFUSED`` is as it was.

    A repeat changes nothing.

    Raises:
        Unavailable: broker or registry do not answer.
    """
    return tuple(topics.apply(declared.kafka, _registry(declared), declared.catalogue))


def refused(found: tuple[Difference, ...]) -> tuple[Difference, ...]:
    """Those that nobody but a person can mend."""
    return tuple(one for one in found if one.remedy is Repair.REFUSED)


def check_sink(declared: Deployment, name: str) -> None:
    """Check that a sink can be asked for something.

    Raises:
        InvalidInput: there is no such sink.
        NoTopic: its topic is not there yet.
        Unavailable: the broker does not answer.
    """
    check_declared(name, declared.sinks)
    topic = tasks_topic(name).name
    if not end_offsets(declared.kafka, [topic]):
        raise NoTopic("sink", f"its topic {topic} is not at the broker")


def _registry(declared: Deployment) -> Registry:
    return Registry(declared.registry)
