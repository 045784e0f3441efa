"""Kafka by librdkafka: the publisher that waits for every delivery report, and the consumers' settings.

The one file that says which options of librdkafka Olvido relies on, and why.
"""

import logging
import os
import re
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Any, Self

from confluent_kafka import (
    TIMESTAMP_LOG_APPEND_TIME,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
)
from confluent_kafka.admin import AdminClient

from olvido.broker import diagnosis
from olvido.broker.contract import Received, Record
from olvido.broker.library_log import OnceAMinute
from olvido.broker.login import login_of
from olvido.core.causes import Cause
from olvido.core.errors import ConfigError, NotDelivered, Refused, Unavailable
from olvido.schemas.settings.deployment import KafkaSection

logger = logging.getLogger("olvido.broker")
# librdkafka's own lines (a broker that refuses a connection, say), apart, so that they can be turned down.
library_logger = logging.getLogger("olvido.broker.librdkafka")
library_logger.addFilter(OnceAMinute())

PUBLISH_S_MAX = 30.0  # of one publish; a broker that restarts is back in less
GRACE_S = 2.0  # librdkafka looks for timed-out records once a second
REPORTS_POLL_S = 0.1  # how soon a thread that brings reports notices that it is to end

Options = dict[str, Any]

# How librdkafka names what it does not take; an alias, such as linger.ms, by its first name.
_PROPERTY = re.compile(r'configuration property:? "([a-z0-9._]+)"')

_COMMON: Options = {
    "reconnect.backoff.max.ms": 2_000,  # a broker that is back is found again within two seconds
    "topic.metadata.refresh.interval.ms": 10_000,  # a topic made after we started is found, too
    "log.connection.close": False,  # idle connections are closed all the time
}
_PRODUCER: Options = {
    # Records of one call are there at once, so little is won by waiting for more. Measured, one thread
    # calling with one record, with 1,000: 5 ms 165 and 112,000/s; 1 ms 640 and 210,000/s.
    "linger.ms": 1,
    "compression.type": "lz4",  # aiokafka reads it with cramjam, which the processors' extra installs
}
_PRODUCER_FIXED: Options = {
    "acks": "all",
    "enable.idempotence": True,  # librdkafka's own retries neither double nor reorder
    # Java's and aiokafka's partitions. librdkafka's default puts three keys of four elsewhere.
    "partitioner": "murmur2_random",
}
_CONSUMER: Options = {
    # A killed process's partitions go to others after this. A commit that finds no coordinator takes as
    # long to fail, and SIGTERM waits for it: so it stays well below ten seconds.
    "session.timeout.ms": 8_000,
    "max.poll.interval.ms": 600_000,  # how long a handler may take over one batch
    "partition.assignment.strategy": "cooperative-sticky",
}
_CONSUMER_FIXED: Options = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    # Where a committed offset has expired: handle again rather than skip. The default skips.
    "auto.offset.reset": "earliest",
}


class KafkaPublisher:
    """Writes records to Kafka. Keeps :class:`~olvido.broker.contract.Publisher`; threads may share one."""

    def __init__(self, kafka: KafkaSection, *, client_id: str, timeout_s: float = PUBLISH_S_MAX) -> None:
        """
        Args:
            kafka: where the broker is. It need not be up yet.
            client_id: how the broker's logs and quotas know this process.
            timeout_s: how long one publish waits for its delivery reports.

        Raises:
            ConfigError: an option that librdkafka does not take, or one that Olvido relies on.
        """
        self._kafka = kafka
        self._timeout_s = timeout_s
        own = {**_PRODUCER, "client.id": client_id, "message.timeout.ms": int(timeout_s * 1000)}
        self._options = _merged(kafka, own, _PRODUCER_FIXED)
        self._lock = threading.Lock()
        self._connection: _Connection | None = self._new_connection()

    def publish(self, records: Sequence[Record]) -> None:
        """Write all of them and wait for every delivery report.

        A repeat writes them again: readers recognise them by their ids.

        Raises:
            Unavailable: the broker did not confirm all in time; some may be there.
            Refused: ``TOO_LARGE``: a record is larger than the broker takes; some others may be there.
        """
        if not records:
            return
        connection = self._current()
        reports = _Reports()
        deadline = time.monotonic() + self._timeout_s + GRACE_S
        try:
            with reports.sending():
                for record in records:
                    self._produce(connection, record, reports, deadline)
            reports.wait(deadline)
        finally:
            if reports.open:
                # Nothing of this call may arrive after it has failed: it would overtake a repeat.
                # If the process dies before this line nothing arrives either: the queue dies with it.
                self._discard(connection)
                reports.wait(time.monotonic() + GRACE_S)
        if reports.error is not None:
            if _fatal(reports.error):
                self._discard(connection)
            raise self._unavailable(reports.topic, connection.fault or reports.error.name())
        if reports.open:
            raise self._unavailable(records[0].topic, f"{reports.open} of {len(records)} not confirmed")

    def close(self) -> None:
        """Write what other threads have begun, then let go of the broker. A repeat does nothing.

        Raises:
            NotDelivered: the broker did not confirm some records.
        """
        with self._lock:
            connection, self._connection = self._connection, None
        if connection is None or connection.pid != os.getpid():
            return
        left = connection.producer.flush(self._timeout_s)
        connection.end()
        if left:
            raise NotDelivered(
                f"Kafka at {self._kafka.bootstrap_servers} did not confirm {left} records; send them again"
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"KafkaPublisher({self._kafka.bootstrap_servers})"

    def _produce(
        self, connection: "_Connection", record: Record, reports: "_Reports", deadline: float
    ) -> None:
        while True:
            try:
                connection.producer.produce(
                    record.topic,
                    value=record.value,
                    key=record.key,
                    headers=list(record.headers),
                    on_delivery=reports.take,
                )
            except BufferError:
                # The queue is full. Reports make room, and at its time-out each record is reported.
                connection.producer.poll(REPORTS_POLL_S)
                if time.monotonic() > deadline:
                    raise self._unavailable(record.topic, "its queue stays full") from None
            except KafkaException as error:
                raise self._refusal(connection, record.topic, error.args[0]) from None
            else:
                reports.one_sent()
                return

    def _refusal(self, connection: "_Connection", topic: str, error: KafkaError) -> Unavailable | Refused:
        if error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
            return Refused(Cause.TOO_LARGE, field="value", reason=f"larger than {topic} takes")
        if _fatal(error):
            self._discard(connection)
        return self._unavailable(topic, connection.fault or error.name())

    def _current(self) -> "_Connection":
        with self._lock:
            if self._connection is None:
                self._connection = self._new_connection()
            elif self._connection.pid != os.getpid():
                # We were forked: librdkafka's threads stayed behind. The parent's connection is left alone,
                # since to destroy it here would wait for those threads for ever.
                _left_behind.append(self._connection)
                self._connection = self._new_connection()
            return self._connection

    def _discard(self, connection: "_Connection") -> None:
        """Throw a producer away, with all it has not sent: after a fatal error it sends nothing again.

        Other threads that wait on it see their records reported as purged, and say unavailable.
        """
        with self._lock:
            if self._connection is connection:
                self._connection = None
        connection.end()

    def _new_connection(self) -> "_Connection":
        with naming_bad_options(self._kafka):
            return _Connection(self._options)

    def _unavailable(self, topic: str, what: str) -> Unavailable:
        fault = fault_of_login(self._kafka) if what in _PERHAPS_LOGIN else ""
        return Unavailable(
            f"Kafka at {self._kafka.bootstrap_servers} did not take records for {topic}: {fault or what}"
            f"{_HINTS.get(what, '')}"
        )


class _Connection:
    """One librdkafka producer, and the thread that brings its delivery reports as they come."""

    def __init__(self, options: Options) -> None:
        self.fault = ""  # the fatal error after which it sends nothing more, by its name
        self.producer = Producer(options, logger=library_logger)
        self.pid = os.getpid()
        self._ended = threading.Event()
        threading.Thread(target=self._bring_reports, name="olvido-delivery-reports", daemon=True).start()

    def end(self) -> None:
        """Send nothing more; what was not sent is reported as purged. A repeat does nothing."""
        self.producer.purge()
        self._ended.set()

    def _bring_reports(self) -> None:
        while not self._ended.is_set():
            try:
                self.producer.poll(REPORTS_POLL_S)
            except KafkaException as error:
                # A fatal error, which names the cause; the reports of what it purges do not. They are still
                # to come, and without this thread none would.
                self.fault = error.args[0].name()
        with suppress(KafkaException):
            self.producer.flush(GRACE_S)


class _Reports:
    """The delivery reports that one publish still waits for, and the first error among them."""

    def __init__(self) -> None:
        self._counting = threading.Lock()
        self._all_came = threading.Event()  # a condition would be locked, and looked at, for each report
        self._all_sent = False  # until then a report may come before its record is counted
        self.open = 0
        self.error: KafkaError | None = None
        self.topic = ""

    @contextmanager
    def sending(self) -> Iterator[None]:
        """While records are being sent there is one report more to wait for: that all are sent."""
        self.one_sent()
        try:
            yield
        finally:
            self._all_sent = True
            self._less()

    def one_sent(self) -> None:
        with self._counting:
            self.open += 1

    def take(self, error: KafkaError | None, message: Message) -> None:
        if error is not None and (self.error is None or _fatal(error)):
            self.error, self.topic = error, message.topic() or ""
        self._less()

    def wait(self, deadline: float) -> None:
        self._all_came.wait(max(0.0, deadline - time.monotonic()))

    def _less(self) -> None:
        with self._counting:
            self.open -= 1
            ended = self._all_sent and self.open <= 0
        if ended:
            self._all_came.set()


def _fatal(error: KafkaError) -> bool:
    return error.fatal() or error.code() == KafkaError._FATAL


_left_behind: list[_Connection] = []  # of the process that we were forked from

_NOT_ALLOWED = (
    "; the broker's access rules do not let this process write there: compare them with: olvido generate acls"
)
_HINTS = {
    "UNKNOWN_TOPIC_OR_PART": "; make it with: olvido topics apply",
    "_UNKNOWN_TOPIC": "; make it with: olvido topics apply",
    "_UNKNOWN_PARTITION": "; compare with: olvido topics diff",
    "TOPIC_AUTHORIZATION_FAILED": _NOT_ALLOWED,
    "CLUSTER_AUTHORIZATION_FAILED": _NOT_ALLOWED,  # of a login that may write to no topic at all
}
_PERHAPS_LOGIN = {"_MSG_TIMED_OUT", "_TRANSPORT", "_ALL_BROKERS_DOWN", "_AUTHENTICATION", "_SSL"}


def open_consumer(
    kafka: KafkaSection, *, group: str, client_id: str, more: Options | None = None
) -> Consumer:
    """A consumer with Olvido's settings: nothing is committed by itself, and no record is skipped.

    Args:
        kafka: where the broker is. It need not be up yet.
        group: the consumer group.
        client_id: how the broker's logs and quotas know this process.
        more: librdkafka options of this one consumer.

    Raises:
        ConfigError: an option that librdkafka does not take, or one that Olvido relies on.
    """
    own = {**_CONSUMER, "group.id": group, "client.id": client_id, **(more or {})}
    options = _merged(kafka, own, _CONSUMER_FIXED)
    with naming_bad_options(kafka):
        return Consumer(options, logger=library_logger)


def admin_options(kafka: KafkaSection, *, client_id: str) -> Options:
    """What an admin client is made with."""
    return _merged(kafka, {"client.id": client_id}, {})


def fault_of_login(kafka: KafkaSection) -> str:
    """Why the broker is no use to us though it listens, and the setting to mend; empty for another cause."""

    def ask(**more: object) -> AdminClient:
        options: Options = {**admin_options(kafka, client_id="olvido-admin"), **more}
        return AdminClient(options, logger=library_logger)

    return diagnosis.fault_of_login(kafka, login_of(kafka), ask)


def received(message: Message) -> Received:
    """One record as the rest of Olvido sees it. Its value may be None: a tombstone is a record."""
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    assert topic is not None
    assert partition is not None
    assert offset is not None
    given = message.headers() or []
    pairs = given.items() if isinstance(given, dict) else given
    headers = tuple([(name, value.encode() if isinstance(value, str) else value) for name, value in pairs])
    kind, timestamp_ms = message.timestamp()
    return Received(
        topic, partition, offset, message.key(), message.value(), headers, max(0, timestamp_ms),
        by_broker=kind == TIMESTAMP_LOG_APPEND_TIME,
    )  # fmt: skip


def _merged(kafka: KafkaSection, own: Options, fixed: Options) -> Options:
    """Our options, under the deployment's, under those that Olvido's promises rest on."""
    options = login_of(kafka).options
    for name, value in fixed.items():
        given = options.get(name)
        if given is not None and given.lower() != str(value).lower():
            raise ConfigError(
                f"kafka.options.{name} is {value} in every process of Olvido and cannot be changed; remove it"
            )
    return {"bootstrap.servers": kafka.bootstrap_servers, **_COMMON, **own, **options, **fixed}


@contextmanager
def naming_bad_options(kafka: KafkaSection) -> Iterator[None]:
    """Turn librdkafka's complaint about an option into an error that names it and shows no value."""
    try:
        yield
    except (KafkaException, ValueError, TypeError) as error:
        named = _PROPERTY.search(str(error))
        name = f".{named[1]}" if named else f" ({', '.join(sorted(kafka.options)) or 'none given'})"
        raise ConfigError(f"kafka.options{name}: librdkafka does not take this option or its value") from None
