"""Olvido as it runs: every process real and separate, two systems to erase from.

A stack takes half a minute to start, so the files of one group (`xdist_group`) share one: those that look at
it, those that mend, and those that ask a sink for what was decided before (a restore, a backfill). Replays
and kills have one each: they take as long as a group, or wait for every task of a sink. Each test has people
and requests of its own, and counts what it changed rather than what is there, since the files of a group come
in any order.

The registry of a stack is that of all workers, where no test of the group stops it or looks at it: each stack
has the same schemas under the same subjects.
"""

import os
import signal
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

import psycopg2
import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from conftest import DOWNLOADS, Parts

from olvido.broker.groups import end_offsets, lag
from olvido.core.errors import Unavailable
from olvido.ledger.connection import Database
from olvido.ledger.letters import Letters
from olvido.ledger.store import Ledger
from olvido.operators.desk.prepare import prepare
from olvido.operators.local.programs import programs_of
from olvido.operators.local.stack import REGISTRY_VARIABLE, Stack, temporary_stack
from olvido.operators.settings import signing_file
from olvido.producers import Accepted, Producer
from olvido.schemas.registry import Registry
from olvido.schemas.settings.deployment import PRODUCER, Deployment
from olvido.schemas.topics import sink_group, tasks_topic
from shop.leaks import Leak, Scanner, log_bytes, spellings
from shop.segments import segment_bytes
from shop.systems import dump_database

# Kills stop the registry, and who looks is shown it.
OWN_REGISTRY = {"journeys: kill", "journeys: look"}

TOML = """
regions = ["cn", "sg"]
purposes = ["marketing"]

[brake]
erasures_per_hour_of_one = 1_000_000_000  # as many in a minute as others ask for in a year
erasures_per_hour = 1_000_000_000

[reconciler]
first_after_s = 15
every_s = 2

[sinks.crm]
kind = "postgres"
region = "cn"
dsn = { env = "OLVIDO_CRM_DSN" }
identities = ["email"]
purposes = ["marketing"]
rows_max = 20

[sinks.crm.tables.customers]
key = "id"
created = "created_at"
identities = { email = "email" }
erase = "delete"
[sinks.crm.tables.customers.consent.marketing]
granted = { marketing_allowed = true }
withdrawn = { marketing_allowed = false }

[sinks.crm.tables.tickets]
key = "id"
parent = { table = "customers", column = "customer_id" }
erase = "delete"

[sinks.store-sg]
kind = "postgres"
region = "sg"
dsn = { env = "OLVIDO_STORE_SG_DSN" }
identities = ["email"]

[sinks.store-sg.tables.accounts]
key = "id"
created = "created_at"
identities = { email = "email" }
erase = "anonymise"
null = ["email"]
"""

# Triggers remember each effect, outside of what Olvido can see: an effect that came twice would stand there.
CRM = """
create table customers (id bigint generated always as identity primary key, email text not null,
    marketing_allowed bool, created_at timestamptz not null default '2025-01-01');
create index on customers (lower(email));
create table tickets (id bigint generated always as identity primary key,
    customer_id bigint not null references customers, body text);
create index on tickets (customer_id);
create table effects (what text, id bigint);
create function remember() returns trigger security definer language plpgsql as
    $$ begin insert into effects values (tg_table_name, old.id); return null; end $$;
create trigger remember after delete on customers for each row execute function remember();
create trigger remember after delete on tickets for each row execute function remember();
"""
STORE = """
create table accounts (id bigint generated always as identity primary key, email text,
    created_at timestamptz not null default '2025-01-01');
create index on accounts (lower(email));
create table effects (what text, id bigint);
create function remember() returns trigger security definer language plpgsql as
    $$ begin insert into effects values (tg_table_name, old.id); return null; end $$;
create trigger remember after update on accounts for each row execute function remember();
"""


@dataclass(frozen=True)
class Chain:
    """Everything, running."""

    stack: Stack
    deployment: Deployment
    ledger: Ledger
    made: list[str] = field(default_factory=list)  # the e-mail addresses of all people that were made
    logs_elsewhere: tuple[Path, ...] = ()  # folders with the logs of parts that this stack shares

    @property
    def letters(self) -> Letters:
        """The dead letters."""
        return Letters(Database(self.deployment.ledger_dsn, application="tests"))

    def people(self, label: str, count: int) -> list[str]:
        """Make so many people, each with a row in either system and two tickets; their e-mail addresses."""
        emails = [f"{label}-{number}@example.es" for number in range(count)]
        self.sql("crm", "insert into customers (email) select unnest(%s)", (emails,))
        self.sql(
            "crm",
            "insert into tickets (customer_id, body) select id, 'b' from customers, generate_series(1, 2) "
            "where email like %s",
            (f"{label}-%",),
        )
        self.sql("store_sg", "insert into accounts (email) select unnest(%s)", (emails,))
        self.made.extend(emails)
        return emails

    def leaks(self) -> list[Leak]:
        """Where one of the people that were made is named, in any spelling: in Kafka, the ledger or a log."""
        scanner = Scanner(
            {
                pattern: f"one of {email.rpartition('-')[0]}, as {how}"
                for email in self.made
                for how, pattern in spellings(email)
            }
        )
        places = (
            segment_bytes(self.stack.folder.path / "kafka"),
            dump_database(self.stack.ledger_dsn),
            log_bytes([self.stack.folder.logs, *self.logs_elsewhere]),
        )
        return [leak for place in places for where, data in place for leak in scanner.scan(data, where=where)]

    def producer(self, principal: str = PRODUCER) -> Producer:
        """The SDK, as an upstream service or a verifier has it."""
        signing = {"signing_file": signing_file(principal, self.stack.directory)}
        keys = self.deployment.keys.model_copy(update=signing)
        return Producer.of(self.deployment.model_copy(update={"keys": keys}))

    def kill(self, name: str, number: signal.Signals) -> bool:
        """Send a signal to a process by its pid; the supervisor starts it again. False if it is down."""
        pid = self.stack.supervisor.status()[name].pid
        if pid:
            os.kill(pid, number)
        return bool(pid)

    def commit_by_hand(self, group: str, topics: Sequence[str]) -> None:
        """Commit a group to the end of its topics, over whatever is unread. Stop its reader first."""
        kafka = self.deployment.kafka
        places = [TopicPartition(*place, end) for place, end in end_offsets(kafka, topics).items()]
        admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})

        def committed() -> bool:
            # Refused for as long as the broker counts the stopped process as a member.
            asked = [ConsumerGroupTopicPartitions(group, places)]
            try:
                told = admin.alter_consumer_group_offsets(asked)[group].result()
            except KafkaException:
                return False
            return all(place.error is None for place in told.topic_partitions)

        self.until(committed, what=f"committing for {group} by hand", within_s=60)

    def before(self, sink: str) -> int:
        """How many tasks a sink has yet to read."""
        return sum(
            one.behind for one in lag(self.deployment.kafka, sink_group(sink), [tasks_topic(sink).name])
        )

    def effects(self, database: str) -> int:
        """How many effects a system's own triggers have seen."""
        count: int = self.sql(database, "select count(*) from effects")[0][0]
        return count

    def sql(self, database: str, statement: str, values: Sequence[Any] = ()) -> list[tuple]:
        """Look into a system directly, as its owner."""
        connection = psycopg2.connect(self.stack.dsn(database))
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(statement, values)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def overview(self) -> Mapping[str, Any]:
        """What is owed; nothing while the ledger is down."""
        try:
            return self.ledger.figures.overview()
        except Unavailable:
            return {}

    def until(self, true: Callable[[], bool], *, what: str, within_s: float) -> None:
        """Wait until something holds; fail, with what is owed and the ends of the logs, if it never does."""
        deadline = monotonic() + within_s
        never = threading.Event()
        while not true():
            if monotonic() > deadline:
                pytest.fail(f"{what} did not happen in {within_s:.0f} s; {self.overview()}\n{self.logs()}")
            never.wait(0.2)

    def logs(self) -> str:
        """The last lines of each log."""
        ends = []
        for path in sorted(self.stack.folder.logs.glob("*.log")):
            lines = path.read_text(errors="replace").splitlines()[-8:]
            ends.append(f"--- {path.name}\n" + "\n".join(line[:300] for line in lines))
        return "\n".join(ends)

    def final(self, accepted: Iterable[Accepted], *, within_s: float) -> None:
        """Wait until each of these requests is there and final, whatever else is open."""
        ids = [str(one.id) for one in accepted]
        count = "select count(finished_at) from requests where request_id = any(%s::uuid[])"

        def done() -> bool:
            try:
                return self.sql("ledger", count, (ids,)) == [(len(ids),)]
            except psycopg2.OperationalError:  # the ledger is one of the parts that are stopped and killed
                return False

        self.until(done, what=f"{len(ids)} requests final", within_s=within_s)

    def answered(self, accepted: Iterable[Accepted], *, within_s: float) -> None:
        """Wait until every task of these events has its final receipt, whatever else is open."""
        ids = [str(one.id) for one in accepted]
        count = (
            "select count(distinct source_id), count(*) - count(nullif(outcome, 'deferred'))"
            " from tasks where source_id = any(%s::uuid[])"
        )
        self.until(
            lambda: self.sql("ledger", count, (ids,)) == [(len(ids), 0)],
            what=f"{len(ids)} events answered",
            within_s=within_s,
        )


class Standing:
    """The stack of the group whose tests run: one at a time, from the group's first test to its last."""

    def __init__(self) -> None:
        self._group: str | None = None
        self._held = ExitStack()

    def of(self, group: str, shared: Parts | None) -> Chain:
        """The group's stack, started if it does not run."""
        if self._group != group:
            self.end()
            self._chain = self._held.enter_context(running(shared=shared))
            self._group = group
        return self._chain

    def end(self) -> None:
        """Stop what runs, if anything does. Nobody may be named on it."""
        self._group = None
        self._held.close()


STANDING = pytest.StashKey[Standing]()


@contextmanager
def running(toml: str = TOML, shared: Parts | None = None) -> Iterator[Chain]:
    """A stack with processors, recorder and two sinks; when its tests are done, nobody is named on it.

    Args:
        toml: the deployment.
        shared: whose registry it takes; None: it has one of its own.
    """
    environ = {name: os.environ[name] for name in (*DOWNLOADS, "HOME") if name in os.environ}
    if shared is not None:
        environ[REGISTRY_VARIABLE] = shared.registry_url
    with temporary_stack(environ=environ) as stack:
        (stack.directory / "olvido.toml").write_text(toml)
        with operated(stack):
            deployment = Deployment.load(stack.directory / "olvido.toml")
            prepare(deployment, stack.directory, lambda _: None)
            chain = Chain(
                stack,
                deployment,
                Ledger(Database(deployment.ledger_dsn, application="tests")),
                logs_elsewhere=() if shared is None else shared.logs,
            )
            chain.sql("crm", CRM)
            chain.sql("store_sg", STORE)
            programs = programs_of(deployment, stack.directory)
            stack.supervisor.apply(programs, environment=stack.environment)
            for program in programs:
                stack.supervisor.start(program.name)
        yield chain
        assert chain.leaks() == []


@contextmanager
def operated(stack: Stack) -> Iterator[None]:
    """Have the environment of somebody who operates a stack, and nothing of another one's."""
    keys = stack.directory / ".olvido" / "keys"
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("OLVIDO_")]:
            if name not in DOWNLOADS:
                patch.delenv(name)
        for name, value in {
            **stack.environment,
            "OLVIDO_CONFIG": str(stack.directory / "olvido.toml"),
            "OLVIDO_KEYS__HANDLE_FILE": str(keys / "handle.key"),
            "OLVIDO_KEYS__PUBLIC_DIR": str(keys / "public"),
            "OLVIDO_KEYS__SIGNING_FILE": str(keys / "signing" / "producer" / "signing.key"),
        }.items():
            patch.setenv(name, value)
        yield


def group_of(node: pytest.Item | pytest.Module) -> str:
    """Which group's stack a test runs on: files that name the same `xdist_group` share one."""
    marker = node.get_closest_marker("xdist_group")
    return str(marker.args[0]) if marker else node.nodeid.partition("::")[0]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(
    item: pytest.Item, nextitem: pytest.Item | None
) -> Generator[None, object, object]:
    """After a group's last test its stack ends, and does not run on beside what others test."""
    try:
        return (yield)
    finally:
        standing = item.session.stash.get(STANDING, None)
        if standing and (nextitem is None or group_of(nextitem) != group_of(item)):
            standing.end()


@pytest.fixture(scope="session")
def standing(request: pytest.FixtureRequest) -> Iterator[Standing]:
    """What runs; also where a run of tests ends early, it is stopped."""
    request.session.stash[STANDING] = standing = Standing()
    yield standing
    standing.end()


@pytest.fixture(scope="module")
def chain(request: pytest.FixtureRequest, standing: Standing) -> Iterator[Chain]:
    """The stack of this file's group. What the group's other files have left is still on it."""
    group = group_of(request.node)
    chain = standing.of(group, None if group in OWN_REGISTRY else request.getfixturevalue("parts"))
    with operated(chain.stack):
        yield chain


@pytest.fixture(scope="module")
def registry(chain: Chain) -> Registry:
    """This chain's registry."""
    return Registry(chain.deployment.registry)
