"""The deployment that is measured: the embedded parts, sinks with a table each, and real processes."""

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import psycopg2
from rich.console import Console

from olvido.operators.desk.prepare import prepare
from olvido.operators.local.program import Program
from olvido.operators.local.programs import programs_of
from olvido.operators.local.stack import Stack, temporary_stack
from olvido.operators.local.starting import wait_for_readers
from olvido.operators.local.state import choose_port
from olvido.schemas.settings.deployment import Deployment
from olvido.sinks.plugins import load_sink

SINKS = {"crm": "cn", "marketing": "sg", "analytics": "cn", "store-cn": "cn", "store-sg": "sg"}
PORT = "OLVIDO_METRICS__PORT"
TABLE = """
create table people (id bigint generated always as identity primary key, email text not null,
    marketing_allowed boolean not null default true, created_at timestamptz not null default '2020-01-01');
create index on people (lower(email));
"""
# How many records of a topic are saved.
HANDLED = """
select coalesce(sum(upper(piece) - lower(piece)), 0)::bigint
from progress cross join lateral unnest(handled) as piece where topic = %s
"""
HEAD = """
regions = ["cn", "sg"]
purposes = ["marketing"]

[brake]
erasures_per_hour_of_one = 1_000_000_000  # as many in a minute as others ask for in a year
erasures_per_hour = 1_000_000_000

[reconciler]
first_after_s = 60
every_s = 2
"""
SINK = """
[sinks.{name}]
kind = "postgres"
region = "{region}"
dsn = {{ env = "{variable}" }}
identities = ["email"]
purposes = ["marketing"]

[sinks.{name}.tables.people]
key = "id"
created = "created_at"
identities = {{ email = "email" }}
erase = "delete"
[sinks.{name}.tables.people.consent.marketing]
granted = {{ marketing_allowed = true }}
withdrawn = {{ marketing_allowed = false }}
"""


@dataclass(frozen=True)
class Measured:
    """What runs, and what it runs on."""

    deployment: Deployment
    stack: Stack
    sinks: Mapping[str, str]  # name to region

    def dsn(self, sink: str) -> str:
        """The address of a sink's target."""
        return os.environ[variable(sink)]

    @contextlib.contextmanager
    def running(self, *, more: Mapping[str, int] = {}, only: Sequence[str] = ()) -> Iterator[None]:
        """Real processes for as long as the block lasts; with all of them, no group lacks a reader.

        Args:
            more: by the name of a program, how many besides it share its topics.
            only: the names of the programs to run; none: all of them.
        """
        programs = self._programs(more, only)
        supervisor = self.stack.supervisor
        supervisor.apply(programs, environment=self.stack.environment)
        for program in programs:
            supervisor.start(program.name)
        if not only:
            wait_for_readers(Console(stderr=True), self.stack)
        try:
            yield
        finally:
            for program in programs:
                supervisor.stop(program.name)

    def pids(self) -> dict[str, int]:
        """The processes that run, parts included, by name."""
        return {
            name: status.pid
            for name, status in self.stack.supervisor.status().items()
            if status.pid is not None
        }

    def _programs(self, more: Mapping[str, int], only: Sequence[str]) -> list[Program]:
        programs = [
            program
            for program in programs_of(self.deployment, self.stack.directory)
            if not only or program.name in only
        ]
        members = [
            replace(
                program,
                name=f"{program.name}-{number}",
                environment={**program.environment, PORT: str(choose_port(None))},
                address="",
            )
            for program in programs
            for number in range(2, 2 + more.get(program.name, 0))
        ]
        return [*programs, *members]


@contextlib.contextmanager
def staged(sinks: Mapping[str, str] = SINKS, *, toml: str = "") -> Iterator[Measured]:
    """Start the parts, make topics, keys and ledger, and for each sink a target of one table.

    Args:
        sinks: names and regions.
        toml: what else the deployment says.
    """
    with temporary_stack() as stack:
        os.environ.update(stack.environment)
        text = (
            HEAD
            + toml
            + "".join(
                SINK.format(name=name, region=region, variable=variable(name))
                for name, region in sinks.items()
            )
        )
        (stack.directory / "olvido.toml").write_text(text, encoding="utf-8")
        os.environ["OLVIDO_CONFIG"] = str(stack.directory / "olvido.toml")
        keys = stack.directory / ".olvido" / "keys"
        os.environ["OLVIDO_KEYS__HANDLE_FILE"] = str(keys / "handle.key")
        os.environ["OLVIDO_KEYS__PUBLIC_DIR"] = str(keys / "public")
        os.environ["OLVIDO_KEYS__SIGNING_FILE"] = str(keys / "signing" / "producer" / "signing.key")
        deployment = Deployment.load()
        prepare(deployment, stack.directory, lambda _: None)
        for sink in sinks:
            os.environ[variable(sink)] = _database(stack, sink)
            target = load_sink(deployment, sink)
            target.check()
            target.install()
            target.close()
        yield Measured(deployment, stack, sinks)


def variable(sink: str) -> str:
    """Where a sink's address stands."""
    return f"BENCH_{sink.upper().replace('-', '_')}_DSN"


def _database(stack: Stack, sink: str) -> str:
    name = f"bench_{sink.replace('-', '_')}"
    with contextlib.closing(psycopg2.connect(stack.admin_dsn())) as admin:
        admin.autocommit = True
        with admin.cursor() as cursor:
            cursor.execute(f"create database {name}")
    dsn = psycopg2.extensions.make_dsn(stack.admin_dsn(), dbname=name)
    with contextlib.closing(psycopg2.connect(dsn)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(TABLE)
    return dsn
