"""The relay: brings what the outbox holds to Kafka, in order, at least once.

The second delivery of an event carries the same ids as the first, and the processors know it for a repeat.
"""

import json
import logging
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

from olvido.broker.contract import Publisher, Record
from olvido.broker.kafka import KafkaPublisher
from olvido.broker.runtime.patience import delays
from olvido.core.causes import Cause
from olvido.core.errors import ConfigError, Refused, Unavailable
from olvido.producers.sql import STATEMENTS
from olvido.schemas.settings.deployment import Connections, MetricsSection
from olvido.schemas.topics import UPSTREAM

if TYPE_CHECKING:
    import psycopg2.extensions

logger = logging.getLogger("olvido.producers")

BATCH = 500
# How often an empty outbox is looked at. Not LISTEN: a NOTIFY takes one lock for the whole database at the
# commit of each of the caller's transactions, and they would queue there.
OUTBOX_POLL_S = 0.25
CONNECT_TIMEOUT_S = 5
STATEMENT_TIMEOUT_MS = 10_000
_UPSTREAM = frozenset(topic.name for topic in UPSTREAM)
STILL_S_MAX = 60.0  # one turn waits for the broker for half a minute at most


class Relay:
    """Brings rows to Kafka. Several may run side by side: one works, the others stand by."""

    def __init__(self, dsn: str, publisher: Publisher, *, batch: int = BATCH) -> None:
        """
        Args:
            dsn: the database that holds ``olvido_outbox``. It need not be up yet, nor stay up.
            publisher: writes to Kafka.
            batch: how many events one transaction brings over.

        Raises:
            ConfigError: psycopg2 is not installed.
        """
        self._psycopg2 = _driver()
        self._dsn = dsn
        self._publisher = publisher
        self._batch = batch
        self._connection: psycopg2.extensions.connection | None = None
        self.relayed = 0  # events, repeats included
        self._refused: set[int] = set()  # positions
        self._problem = ""
        self._turned_at = time.monotonic()

    def run(self, stop: threading.Event) -> None:
        """Bring events over until ``stop`` is set. What is down is waited for.

        Raises:
            ConfigError: the table is not there.
        """
        waits = delays()
        try:
            while not stop.is_set():
                try:
                    count = self.turn()
                except Unavailable as error:
                    delay_s = next(waits)
                    self._problem = str(error)
                    logger.warning("relay: %s; trying again in %.1f s", error, delay_s)
                    stop.wait(delay_s)
                else:
                    waits = delays()
                    self._problem = ""
                    if count < self._batch:
                        stop.wait(OUTBOX_POLL_S)
                self._turned_at = time.monotonic()
        finally:
            self._disconnect()

    def turn(self) -> int:
        """Bring over the events that have waited longest.

        Returns:
            How many were looked at; none if there are none, or if another relay is at work.

        Raises:
            Unavailable: database or broker does not answer; the events stay where they are.
            ConfigError: the table is not there.
        """
        with self._transaction() as cursor:
            cursor.execute(STATEMENTS["take_turn"])
            if not _one(cursor)[0]:
                return 0
            cursor.execute(STATEMENTS["oldest"], ([*self._refused], self._batch))
            rows = cursor.fetchall()
            sent = self._send(rows)
            if sent:
                # Kafka has them. A crash before the commit below sends them once more, with the same
                # ids; a crash before the line above sends nothing and deletes nothing.
                cursor.execute(STATEMENTS["delete"], (sent,))
        self.relayed += len(sent)
        return len(rows)

    @property
    def refused(self) -> int:
        """How many rows this relay has passed over; they stand in the outbox for a person."""
        return len(self._refused)

    def _send(self, rows: Sequence[tuple[Any, ...]]) -> list[int]:
        """Publish rows; returns the positions of those that Kafka has.

        One row that cannot be sent stays where it is and holds up no other.
        """
        records: dict[int, Record] = {}
        for position, *row in rows:
            try:
                records[position] = _record(*row)
            except Refused as refused:
                self._pass_over(position, refused)
        try:
            self._publisher.publish([*records.values()])
        except Refused:
            # One of them, and nobody says which. Those that are there are sent again, with the same ids.
            return [position for position, record in records.items() if self._is_sent(position, record)]
        return [*records]

    def _is_sent(self, position: int, record: Record) -> bool:
        try:
            self._publisher.publish([record])
        except Refused as refused:
            self._pass_over(position, refused)
            return False
        return True

    def _pass_over(self, position: int, refused: Refused) -> None:
        # Not stored: a relay that starts anew finds the same, and says so once.
        self._refused.add(position)
        logger.error("relay: the outbox's row at position %d is not sent: %s", position, refused)

    def why_not_alive(self) -> str:
        """One plain sentence; empty while turns come to their ends, also those that find something down."""
        still_s = time.monotonic() - self._turned_at
        return f"the relay's turn has taken {still_s:.0f} s" if still_s > STILL_S_MAX else ""

    def why_not_ready(self) -> str:
        """One plain sentence; empty while database and broker answer."""
        return self.why_not_alive() or self._problem

    @contextmanager
    def _transaction(self) -> Iterator["psycopg2.extensions.cursor"]:
        psycopg2 = self._psycopg2
        try:
            connection = self._connection = self._connection or self._connect()
            with connection, connection.cursor() as cursor:
                yield cursor
        except psycopg2.errors.UndefinedTable:
            raise ConfigError(
                "the database has no table olvido_outbox: make it with Outbox.create_table(cursor)"
            ) from None
        except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
            # After these a connection cannot be trusted: the next turn makes a new one. Whether a COMMIT
            # that got no answer took place makes no difference: what was deleted is in Kafka.
            self._disconnect()
            raise Unavailable(f"the outbox's database does not answer: {type(error).__name__}") from error

    def _connect(self) -> "psycopg2.extensions.connection":
        connection: psycopg2.extensions.connection = self._psycopg2.connect(
            self._dsn,
            connect_timeout=CONNECT_TIMEOUT_S,
            application_name="olvido-relay",
            options=f"-c statement_timeout={STATEMENT_TIMEOUT_MS}",
        )
        return connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def run_relay(connections: Connections, dsn: str, stop: threading.Event) -> None:
    """Bring what the outbox at ``dsn`` holds to Kafka, until ``stop`` is set: a process of its own.

    Raises:
        ConfigError: psycopg2 or the table is missing, or an option is wrong.
        NotDelivered: some records were not confirmed at the end; they are still in the outbox.
    """
    with KafkaPublisher(connections.kafka, client_id="olvido-relay") as publisher:
        relay = Relay(dsn, publisher)
        if connections.metrics.port is None:
            relay.run(stop)
        else:
            with _serving(connections.metrics, relay):
                relay.run(stop)


def _serving(section: MetricsSection, relay: Relay) -> AbstractContextManager[None]:
    """Serve the relay's metrics and health. Who only emits need not have what that takes.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        from olvido.broker.runtime.metrics import RELAY_REFUSED, RELAYED
        from olvido.broker.runtime.serving import serving
    except ModuleNotFoundError as error:
        raise ConfigError(f"metrics.port needs {error.name}; install it, or leave the port out") from None
    RELAYED.set_function(lambda: relay.relayed)
    RELAY_REFUSED.set_function(lambda: relay.refused)
    return serving(section, relay)


def _record(topic: str, key: str, value: bytes, headers: str) -> Record:
    """The record of a row.

    Raises:
        Refused: its topic is none that upstream services write to, or its headers are no outbox's.
    """
    # Or anybody who may write to the caller's table could write tasks and receipts with the relay's login.
    if topic not in _UPSTREAM:
        raise Refused(Cause.NON_CANONICAL, field="topic", reason="upstream services write to no such topic")
    try:
        pairs = tuple((str(name), str(text).encode()) for name, text in json.loads(headers))
    except (ValueError, TypeError):
        raise Refused(Cause.NON_CANONICAL, field="headers") from None
    return Record(topic, key.encode(), bytes(value), pairs)


def _one(cursor: "psycopg2.extensions.cursor") -> tuple[Any, ...]:
    row = cursor.fetchone()
    assert row is not None
    return row


def _driver() -> Any:  # noqa: ANN401 - a module, imported late: who only emits need not have it
    try:
        import psycopg2
        import psycopg2.errors
    except ImportError:
        raise ConfigError(
            "the relay needs psycopg2; install it with: pip install 'olvido[producer]' psycopg2-binary"
        ) from None
    return psycopg2
