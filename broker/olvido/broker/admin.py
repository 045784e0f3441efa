"""One question to the broker: an admin client for it, and what becomes of silence."""

# pyright: reportPrivateImportUsage=false
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TypeVar

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from olvido.broker.kafka import admin_options, fault_of_login, library_logger, naming_bad_options
from olvido.core.errors import Unavailable
from olvido.schemas.settings.deployment import KafkaSection

ANSWER_S_MAX = 10.0
ASK_AGAIN_AFTER_S = 0.1

# What a broker answers for a moment after a topic was made, or it came back: true again soon.
NOT_YET = {
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

_NOT_ALLOWED = "authorization failed"

T = TypeVar("T")


def admin_client(kafka: KafkaSection) -> AdminClient:
    """A client that asks and joins nothing; an option that librdkafka refuses is named."""
    with naming_bad_options(kafka):
        return AdminClient(admin_options(kafka, client_id="olvido-admin"), logger=library_logger)


@contextmanager
def asking(kafka: KafkaSection) -> Iterator[AdminClient]:
    """An admin client for one question; the broker's silence becomes ``Unavailable``."""
    admin = admin_client(kafka)
    try:
        yield admin
    except KafkaException as error:
        raise silent(kafka, error.args[0].str()) from error


def silent(kafka: KafkaSection, what: str) -> Unavailable:
    """The error for a broker that gave no answer; it names the setting to mend where the login is wrong."""
    if _NOT_ALLOWED in what.lower():
        return Unavailable(
            f"Kafka at {kafka.bootstrap_servers} does not allow it to this process: {what}; "
            "compare its rules with: olvido generate acls"
        )
    return Unavailable(f"Kafka at {kafka.bootstrap_servers} does not answer: {fault_of_login(kafka) or what}")


def result_of(future: "Future[T]") -> T:
    return future.result(timeout=2 * ANSWER_S_MAX)


def settled(ask: Callable[[], T]) -> T:
    """Ask until leaders and coordinators have settled, for as long as an answer may take."""
    deadline = time.monotonic() + ANSWER_S_MAX
    while True:
        try:
            return ask()
        except KafkaException as error:
            # The controller names a leader before it leads, and a client may know it before the broker.
            if error.args[0].code() not in NOT_YET or time.monotonic() > deadline:
                raise
        time.sleep(ASK_AGAIN_AFTER_S)
