"""A deployment that hundreds of made-up people pass through, all parts real.

What may hold people, the targets' databases, stands on a server of its own, so that every byte of all the
rest can be searched.
"""

import os
import threading
import traceback
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psycopg2
import pytest
from journeys.conftest import Chain
from shell import olvido
from sinks.http_target import HttpTargetApp
from sinks.targets import served

from olvido.ledger.connection import Database
from olvido.ledger.store import Ledger
from olvido.operators.desk.prepare import prepare
from olvido.operators.local.programs import programs_of
from olvido.operators.local.stack import LEDGER_VARIABLE, Stack, temporary_stack
from olvido.schemas.settings.deployment import Deployment

TARGETS = ("OLVIDO_CRM_DSN", "OLVIDO_STORE_SG_DSN")
TOML = """
regions = ["cn", "sg"]
purposes = ["marketing"]

[brake]
erasures_per_hour_of_one = 1_000_000_000  # as many in a minute as others ask for in a year
erasures_per_hour = 1_000_000_000

[reconciler]
first_after_s = 10
every_s = 1

[sinks.crm]
kind = "postgres"
region = "cn"
dsn = { env = "OLVIDO_CRM_DSN" }
identities = ["email", "phone", "customer_id"]
purposes = ["marketing"]
[sinks.crm.tables.customers]
key = "id"
created = "created_at"
identities = { email = "email", phone = "phone", customer_id = "customer_no" }
erase = "delete"
restrict = { restricted = true }
[sinks.crm.tables.customers.consent.marketing]
granted = { marketing_allowed = true }
withdrawn = { marketing_allowed = false }

[sinks.store-sg]
kind = "postgres"
region = "sg"
dsn = { env = "OLVIDO_STORE_SG_DSN" }
identities = ["email", "device_id", "cookie_id"]
[sinks.store-sg.tables.accounts]
key = "id"
created = "created_at"
identities = { email = "email", device_id = "device_id", cookie_id = "cookie_id" }
erase = "anonymise"
null = ["email", "name", "device_id", "cookie_id"]

[sinks.marketing]
kind = "http"
region = "sg"
url = { env = "OLVIDO_MARKETING_URL" }
identities = ["email", "phone"]
purposes = ["marketing"]
"""
# Who is stubborn cannot be deleted, and the database says so with every name it knows.
CRM = """
create table customers (id bigint generated always as identity primary key, customer_no text unique,
    email text, phone text, name text, marketing_allowed bool, restricted bool not null default false,
    stubborn bool not null default false, created_at timestamptz not null default '2025-01-01');
create index on customers (lower(email));
create index on customers (phone);
create function refuse() returns trigger language plpgsql as $$ begin
    raise exception using errcode = '23514', message = 'cannot delete ' || old.email,
        detail = format('Failing row contains (%s, %s, %s).', old.name, old.phone, old.customer_no);
end $$;
create trigger refuse before delete on customers for each row when (old.stubborn) execute function refuse();
"""
STORE = """
create table accounts (id bigint generated always as identity primary key, email text, name text,
    device_id text, cookie_id text, created_at timestamptz not null default '2025-01-01');
create index on accounts (lower(email));
create index on accounts (device_id);
create index on accounts (cookie_id);
"""


@dataclass
class Stage:
    """Everything, running, and whatever it let out."""

    chain: Chain
    targets: Stack
    marketing: HttpTargetApp
    collector: "Collector"
    bundles: list[Path] = field(default_factory=list)
    said: list[tuple[str, bytes]] = field(default_factory=list)  # by commands, on both streams
    tracebacks: list[tuple[str, bytes]] = field(default_factory=list)
    pages: list[tuple[str, bytes]] = field(default_factory=list)

    def command(self, *arguments: str, given: str = "") -> str:
        """Run `olvido` as a person would, and keep all it says."""
        done = olvido(*arguments, given=given)
        self.said.append((f"olvido {' '.join(arguments[:2])}", (done.stdout + done.stderr).encode()))
        return done.stdout

    def failing(self, act: Callable[[], object]) -> None:
        """Do what must fail, and keep the traceback as a process would print it."""
        try:
            act()
        except Exception as error:  # noqa: BLE001 - whatever it is: its text is what is looked at
            text = "".join(traceback.format_exception(error)) + repr(error)
            self.tracebacks.append((type(error).__name__, text.encode()))
            return
        raise AssertionError("this must fail")

    def look_at_pages(self) -> None:
        """Keep what every process tells of itself."""
        for part in self.chain.stack.status():
            if part.kind == "process":
                for path in ("metrics", "healthz", "readyz"):
                    self.look_at(f"http://{part.address}/{path}")

    def look_at(self, url: str) -> None:
        """Keep a page."""
        self.pages.append((url, _page(url)))

    def bundle(self, to: Path) -> None:
        """Write a support bundle."""
        self.command("support-bundle", "--to", str(to))
        self.bundles.append(to)


class Collector:
    """Takes the spans that processes send, as they come over the wire."""

    def __init__(self) -> None:
        self.came: list[bytes] = []
        came = self.came

        class Taking(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                came.append(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Taking)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to send its spans here, in a form that can be read."""
        return {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self._server.server_port}",
            "OTEL_EXPORTER_OTLP_COMPRESSION": "none",
            "OTEL_BSP_SCHEDULE_DELAY": "500",
        }

    def close(self) -> None:
        """Take nothing more."""
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def stage() -> Iterator[Stage]:
    """Have it up for as long as the block lasts."""
    marketing = HttpTargetApp()
    collector = Collector()
    with (
        pytest.MonkeyPatch.context() as patch,
        served(marketing) as url,
        temporary_stack(parts=frozenset({"postgres"})) as targets,
        temporary_stack() as stack,
    ):
        for name in [name for name in os.environ if name.startswith("OLVIDO_")]:
            if name not in {"OLVIDO_CACHE", "OLVIDO_MAVEN_MIRROR"}:
                patch.delenv(name)
        keys = stack.directory / ".olvido" / "keys"
        for name, value in {
            **stack.environment,
            **{name: targets.environment[name] for name in TARGETS},
            "OLVIDO_MARKETING_URL": url,
            "OLVIDO_ENV_FILES": "none",
            "OLVIDO_CONFIG": str(stack.directory / "olvido.toml"),
            "OLVIDO_KEYS__HANDLE_FILE": str(keys / "handle.key"),
            "OLVIDO_KEYS__PUBLIC_DIR": str(keys / "public"),
            "OLVIDO_KEYS__SIGNING_FILE": str(keys / "signing" / "producer" / "signing.key"),
        }.items():
            patch.setenv(name, value)
        (stack.directory / "olvido.toml").write_text(TOML)
        deployment = Deployment.load(stack.directory / "olvido.toml")
        prepare(deployment, stack.directory, lambda _: None)
        for variable, statements in zip(TARGETS, (CRM, STORE), strict=True):
            with psycopg2.connect(targets.environment[variable]) as connection, connection.cursor() as cursor:
                cursor.execute(statements)
        programs = [
            replace(one, environment={**one.environment, **collector.environment})
            for one in programs_of(deployment, stack.directory)
        ]
        stack.supervisor.apply(programs, environment=stack.environment)
        for program in programs:
            stack.supervisor.start(program.name)
        chain = Chain(stack, deployment, Ledger(Database(os.environ[LEDGER_VARIABLE], application="tests")))
        yield Stage(chain=chain, targets=targets, marketing=marketing, collector=collector)
        collector.close()


def fill(stage: Stage, rows: Sequence[tuple[str, str, str, str, str, str]], stubborn: Sequence[str]) -> None:
    """Make people known to every target.

    Args:
        rows: of each person customer id, e-mail, phone, name, device and cookie.
        stubborn: the e-mails of those that the CRM cannot delete.
    """
    with psycopg2.connect(stage.targets.environment[TARGETS[0]]) as crm, crm.cursor() as cursor:
        cursor.executemany(
            "insert into customers (customer_no, email, phone, name, stubborn) values (%s, %s, %s, %s, %s)",
            [(*row[:4], row[1] in set(stubborn)) for row in rows],
        )
    with psycopg2.connect(stage.targets.environment[TARGETS[1]]) as store, store.cursor() as cursor:
        cursor.executemany(
            "insert into accounts (email, name, device_id, cookie_id) values (%s, %s, %s, %s)",
            [(row[1], row[3], row[4], row[5]) for row in rows],
        )


def _page(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            body: bytes = answer.read()
    except urllib.error.HTTPError as error:
        return error.read()
    return body
