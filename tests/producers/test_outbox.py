"""The outbox and its relay on a real database: what is committed arrives, what is rolled back never was."""

import socket
import sys
import threading
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from uuid import UUID, uuid4

import psycopg2
import psycopg2.extensions
import pytest
from emptied import database, emptied
from psycopg2 import sql

from olvido.broker.contract import Record
from olvido.broker.kafka import KafkaPublisher
from olvido.broker.memory import MemoryBroker
from olvido.core.causes import Cause
from olvido.core.errors import ConfigError, InvalidInput, Refused, Unavailable
from olvido.producers.emitter import Writer
from olvido.producers.outbox import Outbox
from olvido.producers.relay import Relay, run_relay
from olvido.schemas.codec import requests_codec
from olvido.schemas.registry import Registry
from olvido.schemas.settings.deployment import Connections, KafkaSection, MetricsSection, RegistrySection
from olvido.schemas.topics import CONSENTS, REQUESTS, VERIFICATIONS

ANA = {"email": "canary@example.es", "customer_id": "CANARY-1042"}
AN_ID = UUID("01935d0e-5b6a-7c3d-8e4f-0123456789ab")
WHEN = datetime(2026, 3, 1, tzinfo=UTC)
NOBODY = KafkaSection(bootstrap_servers="127.0.0.1:1")  # no broker ever listens there

Connection = psycopg2.extensions.connection


@pytest.fixture(scope="module")
def outbox_database(postgres_admin_dsn: str) -> Iterator[str]:
    """The database that outboxes are in, one after another."""
    with database(postgres_admin_dsn, "outbox") as dsn:
        yield dsn


@pytest.fixture
def dsn(outbox_database: str) -> str:
    """An empty database."""
    return emptied(outbox_database)


@pytest.fixture
def outbox(writer: Writer) -> Outbox:
    return Outbox(writer)


@pytest.fixture
def connection(dsn: str) -> Iterator[Connection]:
    """The caller's own connection, with the outbox's table made."""
    with closing(psycopg2.connect(dsn)) as connection:
        with connection, connection.cursor() as cursor:
            Outbox.create_table(cursor)
            cursor.execute("create table accounts (id int primary key)")
        yield connection


def rows(connection: Connection, table: str = "olvido_outbox") -> int:
    with connection, connection.cursor() as cursor:
        cursor.execute(sql.SQL("select count(*) from {}").format(sql.Identifier(table)))
        (count,) = cursor.fetchone() or (0,)
        return int(count)


def relayed(dsn: str, publisher: MemoryBroker) -> int:
    """Bring over what there is."""
    relay = Relay(dsn, publisher, batch=7)
    count = 0
    while (turn := relay.turn()) > 0:
        count += turn
    return count


def test_an_event_and_the_callers_own_rows_are_one_commit(
    dsn: str, connection: Connection, outbox: Outbox, memory: MemoryBroker, memory_registry: Registry
) -> None:
    with connection, connection.cursor() as cursor:
        cursor.execute("insert into accounts values (1)")
        told = outbox.request_erasure(cursor, identities=ANA, request_id=AN_ID)
    assert (told, rows(connection), rows(connection, "accounts")) == (AN_ID, 1, 1)
    assert relayed(dsn, memory) == 1
    (record,) = memory.records(REQUESTS.name)
    assert requests_codec(memory_registry).decode(record.value).request_id == AN_ID
    assert dict(record.headers)["ce_id"] == str(AN_ID).encode()
    assert rows(connection) == 0


def test_what_the_caller_rolls_back_is_never_emitted(
    dsn: str, connection: Connection, outbox: Outbox, memory: MemoryBroker
) -> None:
    def fails() -> None:
        with connection, connection.cursor() as cursor:
            outbox.request_erasure(cursor, identities=ANA)
            cursor.execute("insert into accounts values (1), (1)")

    with pytest.raises(psycopg2.errors.UniqueViolation):
        fails()
    assert (rows(connection), relayed(dsn, memory)) == (0, 0)


def test_every_kind_of_event_goes_through(
    dsn: str, connection: Connection, outbox: Outbox, memory: MemoryBroker
) -> None:
    consent = {"identities": ANA, "purpose": "marketing", "occurred_at": WHEN}
    with connection, connection.cursor() as cursor:
        request_id = outbox.request(cursor, right="ACCESS", identities=ANA)
        outbox.verify(cursor, request_id, method="call", verified_at=WHEN, identities=ANA)
        outbox.grant_consent(cursor, **consent)  # type: ignore[arg-type]
        outbox.withdraw_consent(cursor, **consent)  # type: ignore[arg-type]
    assert relayed(dsn, memory) == 4
    counts = [len(memory.records(topic.name)) for topic in (REQUESTS, CONSENTS, VERIFICATIONS)]
    assert counts == [1, 2, 1]


def test_the_same_event_twice_is_one_row(connection: Connection, outbox: Outbox) -> None:
    for _ in "12":
        with connection, connection.cursor() as cursor:
            outbox.request_erasure(cursor, identities=ANA, request_id=AN_ID)
    assert rows(connection) == 1


def test_no_identity_is_in_the_table_in_clear(connection: Connection, outbox: Outbox) -> None:
    with connection, connection.cursor() as cursor:
        outbox.request_erasure(cursor, identities=ANA)
        cursor.execute("select olvido_outbox::text, encode(value, 'escape') from olvido_outbox")
        told = str(cursor.fetchall()).lower()
    assert "canary" not in told
    assert b"canary".hex() not in told


def test_what_cannot_be_used_leaves_the_callers_transaction_as_it_was(
    connection: Connection, outbox: Outbox
) -> None:
    with connection, connection.cursor() as cursor:
        with pytest.raises(InvalidInput):
            outbox.request_erasure(cursor, identities={})
        cursor.execute("insert into accounts values (1)")
    assert rows(connection, "accounts") == 1


def test_making_the_table_again_changes_nothing(connection: Connection, outbox: Outbox) -> None:
    with connection, connection.cursor() as cursor:
        outbox.request_erasure(cursor, identities=ANA)
        Outbox.create_table(cursor)
    assert rows(connection) == 1


def test_neither_broker_nor_registry_is_needed_once_an_outbox_is_made(
    connection: Connection, connections: Connections
) -> None:
    outbox = Outbox.of(connections.model_copy(update={"kafka": NOBODY}))
    for codec in (outbox._writer._requests, outbox._writer._consents, outbox._writer._verifications):
        codec._registry = Registry(RegistrySection(url="http://127.0.0.1:1"))
    with connection, connection.cursor() as cursor:
        outbox.request_erasure(cursor, identities=ANA)
    assert rows(connection) == 1


# --- the relay -------------------------------------------------------------------------------------


def fill(connection: Connection, outbox: Outbox, count: int, *, people: int = 5) -> list[UUID]:
    """Consent changes of some people, one transaction each."""
    ids = []
    for n in range(count):
        with connection, connection.cursor() as cursor:
            ids.append(
                outbox.grant_consent(
                    cursor,
                    identities={"customer_id": f"C-{n % people}"},
                    purpose="marketing",
                    occurred_at=WHEN,
                    regions=["cn"],
                )
            )
    return ids


def ids_by_subject(memory: MemoryBroker) -> dict[bytes | None, list[bytes | None]]:
    told: dict[bytes | None, list[bytes | None]] = {}
    for record in memory.records(CONSENTS.name):
        told.setdefault(record.key, []).append(dict(record.headers)["ce_id"])
    return told


def emitted(memory: MemoryBroker) -> Counter[str]:
    return Counter(one.decode() for ids in ids_by_subject(memory).values() for one in ids if one is not None)


def test_each_subject_keeps_its_order(
    dsn: str, connection: Connection, outbox: Outbox, memory: MemoryBroker
) -> None:
    ids = fill(connection, outbox, 40)
    relayed(dsn, memory)
    expected = [[str(one).encode() for one in ids[person::5]] for person in range(5)]
    assert sorted(ids_by_subject(memory).values()) == sorted(expected)


class Dies(Exception):
    """The process ends here."""


class PublishesAndDies:
    """The records arrive, and the process dies before it learns of it."""

    def __init__(self, inner: MemoryBroker) -> None:
        self.inner = inner

    def close(self) -> None:
        self.inner.close()

    def publish(self, records: Sequence[Record]) -> None:
        self.inner.publish(records)
        raise Dies


def test_a_crash_between_publishing_and_deleting_sends_again_with_the_same_ids(
    dsn: str, connection: Connection, outbox: Outbox, memory: MemoryBroker
) -> None:
    ids = fill(connection, outbox, 3)
    with pytest.raises(Dies):
        Relay(dsn, PublishesAndDies(memory)).turn()
    assert rows(connection) == 3
    relayed(dsn, memory)
    assert emitted(memory) == {str(one): 2 for one in ids}


def put(connection: Connection, topic: str, headers: str = "[]", value: bytes = b"v") -> None:
    """A row as anybody could write it who may write to the table."""
    with connection, connection.cursor() as cursor:
        cursor.execute(
            "insert into olvido_outbox (event_id, topic, key, value, headers) values (%s, %s, %s, %s, %s)",
            (str(uuid4()), topic, "k", value, headers),
        )


class TakesNoneSoLarge:
    """A broker that takes no record above a size, and says of which call, but not of which record."""

    def __init__(self, inner: MemoryBroker) -> None:
        self.inner = inner

    def close(self) -> None:
        self.inner.close()

    def publish(self, records: Sequence[Record]) -> None:
        if any(len(record.value or b"") > 100_000 for record in records):
            raise Refused(Cause.TOO_LARGE, field="value")
        self.inner.publish(records)


@pytest.mark.parametrize(
    ("topic", "headers", "value"),
    [
        pytest.param("olvido.receipts.v1", "[]", b"v", id="a topic of sinks"),
        pytest.param("olvido.tasks.crm.v1", "[]", b"v", id="a topic of the processors"),
        pytest.param(REQUESTS.name, "no JSON", b"v", id="headers that are none"),
        pytest.param(REQUESTS.name, "[1]", b"v", id="headers that are no pairs"),
        pytest.param(REQUESTS.name, "[]", b"v" * 200_000, id="larger than the broker takes"),
    ],
)
def test_a_row_that_cannot_be_sent_stays_and_holds_up_no_other(
    dsn: str, connection: Connection, outbox: Outbox, memory: MemoryBroker,
    topic: str, headers: str, value: bytes,
) -> None:  # fmt: skip
    """Whoever may write to the shop's table is not thereby a sink, and cannot end its relay."""
    first = fill(connection, outbox, 2)
    put(connection, topic, headers, value)
    ids = [*first, *fill(connection, outbox, 2)]
    relay = Relay(dsn, TakesNoneSoLarge(memory))
    relay.turn()
    assert emitted(memory) == {str(one): 1 for one in ids}
    assert (rows(connection), relay.refused, relay.turn()) == (1, 1, 0)


class Down:
    """A broker that is down until it is told otherwise."""

    def __init__(self, inner: MemoryBroker) -> None:
        self.inner = inner
        self.up = threading.Event()
        self.asked = threading.Event()

    def close(self) -> None:
        self.inner.close()

    def publish(self, records: Sequence[Record]) -> None:
        self.asked.set()
        if not self.up.is_set():
            raise Unavailable("the broker is down")
        self.inner.publish(records)


class Running:
    """A relay in a thread."""

    def __init__(self, relay: Relay) -> None:
        self.relay, self.stop = relay, threading.Event()
        self._thread = threading.Thread(target=relay.run, args=(self.stop,), daemon=True)
        self._thread.start()

    def end(self) -> None:
        self.stop.set()
        self._thread.join(10)
        assert not self._thread.is_alive()


@pytest.fixture
def run() -> Iterator[Callable[[Relay], Running]]:
    running: list[Running] = []

    def start(relay: Relay) -> Running:
        running.append(Running(relay))
        return running[-1]

    yield start
    for one in running:
        one.stop.set()


def until(told: Callable[[], bool], what: str) -> None:
    looked = threading.Event()
    for _ in range(1200):
        if told():
            return
        looked.wait(0.05)
    pytest.fail(f"not within a minute: {what}")


def test_a_broker_that_is_down_is_waited_for(
    dsn: str,
    connection: Connection,
    outbox: Outbox,
    memory: MemoryBroker,
    run: Callable[[Relay], Running],
) -> None:
    ids = fill(connection, outbox, 3)
    broker = Down(memory)
    relay = run(Relay(dsn, broker))
    broker.asked.wait(10)
    assert rows(connection) == 3
    broker.up.set()
    until(lambda: rows(connection) == 0, "all were brought over")
    relay.end()
    assert emitted(memory) == {str(one): 1 for one in ids}


def test_a_database_that_drops_the_connection_is_asked_again(
    dsn: str,
    connection: Connection,
    outbox: Outbox,
    memory: MemoryBroker,
    run: Callable[[Relay], Running],
) -> None:
    fill(connection, outbox, 3)
    relay = run(Relay(dsn, memory))
    until(lambda: rows(connection) == 0, "the first were brought over")
    with connection, connection.cursor() as cursor:
        cursor.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'olvido-relay'"
        )
        assert cursor.rowcount == 1
    fill(connection, outbox, 3)
    until(lambda: rows(connection) == 0, "the others too")
    relay.end()
    assert len(memory.records(CONSENTS.name)) == 6


def test_relays_side_by_side_send_nothing_twice_and_keep_the_order(
    dsn: str,
    connection: Connection,
    outbox: Outbox,
    memory: MemoryBroker,
    run: Callable[[Relay], Running],
) -> None:
    relays = [run(Relay(dsn, memory, batch=3)) for _ in range(3)]
    ids = fill(connection, outbox, 60, people=2)
    until(lambda: rows(connection) == 0, "all were brought over")
    for relay in relays:
        relay.end()
    expected = [[str(one).encode() for one in ids[person::2]] for person in range(2)]
    assert sorted(ids_by_subject(memory).values()) == sorted(expected)
    assert sum(relay.relay.relayed for relay in relays) == 60


def test_while_one_relay_works_another_stands_by(
    dsn: str, connection: Connection, outbox: Outbox, memory: MemoryBroker
) -> None:
    fill(connection, outbox, 3)
    seen = []

    class Looks:
        def publish(self, records: Sequence[Record]) -> None:
            seen.append(Relay(dsn, memory).turn())

        def close(self) -> None: ...

    Relay(dsn, Looks()).turn()
    assert seen == [0]


def test_a_missing_table_is_told_with_what_makes_it(dsn: str, memory: MemoryBroker) -> None:
    with pytest.raises(ConfigError, match=r"no table olvido_outbox: make it with Outbox\.create_table"):
        Relay(dsn, memory).run(threading.Event())


def test_a_silent_database_is_unavailable_and_its_password_not_shown(memory: MemoryBroker) -> None:
    with pytest.raises(Unavailable) as told:
        Relay("postgresql://me:geheim@127.0.0.1:1/none", memory).turn()
    assert str(told.value) == "the outbox's database does not answer: OperationalError"


def test_without_psycopg2_a_relay_says_what_to_install(
    memory: MemoryBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "psycopg2", None)
    with pytest.raises(ConfigError, match=r"pip install 'olvido\[producer\]' psycopg2-binary"):
        Relay("postgresql://127.0.0.1:1/none", memory)


def test_from_the_outbox_to_kafka(dsn: str, connection: Connection, connections: Connections) -> None:
    from olvido.broker.groups import end_offsets

    before = sum(end_offsets(connections.kafka, [CONSENTS.name]).values())
    fill(connection, Outbox.of(connections), 20)
    stop = threading.Event()
    thread = threading.Thread(target=run_relay, args=(connections, dsn, stop), daemon=True)
    thread.start()
    until(lambda: rows(connection) == 0, "all were brought over")
    stop.set()
    thread.join(10)
    assert sum(end_offsets(connections.kafka, [CONSENTS.name]).values()) == before + 20


def test_a_relay_tells_how_it_is_and_what_it_brought(
    dsn: str, connection: Connection, connections: Connections
) -> None:
    fill(connection, Outbox.of(connections), 3)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    watched = connections.model_copy(update={"metrics": MetricsSection(port=port)})
    stop = threading.Event()
    thread = threading.Thread(target=run_relay, args=(watched, dsn, stop), daemon=True)
    thread.start()
    until(lambda: rows(connection) == 0, "all were brought over")

    def page(path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return str(answer.read().decode())

    assert (page("/healthz"), page("/readyz")) == ("ok\n", "ok\n")
    until(lambda: "olvido_relayed 3.0" in page("/metrics"), "it is counted")
    stop.set()
    thread.join(10)


def test_a_relay_whose_broker_is_down_is_alive_and_not_ready(
    dsn: str,
    connection: Connection,
    outbox: Outbox,
    memory: MemoryBroker,
    run: Callable[[Relay], Running],
) -> None:
    fill(connection, outbox, 1)
    broker = Down(memory)
    relay = Relay(dsn, broker)
    assert relay.why_not_ready() == ""
    running = run(relay)
    until(lambda: relay.why_not_ready() == "the broker is down", "it says so")
    assert relay.why_not_alive() == ""
    broker.up.set()
    until(lambda: relay.why_not_ready() == "", "it is ready again")
    running.end()


def test_while_kafka_is_down_the_events_stay_in_the_outbox(
    dsn: str, connection: Connection, outbox: Outbox
) -> None:
    fill(connection, outbox, 2)
    with KafkaPublisher(NOBODY, client_id="test", timeout_s=1) as publisher, pytest.raises(Unavailable):
        Relay(dsn, publisher).turn()
    assert rows(connection) == 2
