"""The real parts, once for the whole run. In this order: an address given, Docker, embedded.

A part that is given but broken, or that is to be had nowhere, fails the tests that need it and
says what to do. Nothing is skipped in silence: what only apt could bring, where there is no apt, is said in
a closing line (:mod:`not_tried`).
"""

import gc
import os
import shutil
import signal
import threading
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from costs import pytest_collection_modifyitems, pytest_terminal_summary  # noqa: F401 - hooks of all tests
from emptied import MigratedDatabase, database, emptied
from hypothesis import settings
from leaks.captured import people_in
from not_tried import (  # noqa: F401 - as above
    pytest_fail_for_what_was_not_tried,
    pytest_report_what_was_not_tried,
)
from one_registry import (  # noqa: F401 - as above
    AskedOnce,
    one_registry,
    pytest_configure_node,
    pytest_end_the_one_registry,
)

from olvido.ledger import schema
from olvido.ledger.connection import Database
from olvido.ledger.store import Ledger
from olvido.operators.desk import ledger as desk_ledger
from olvido.schemas.registry import Registry
from olvido.schemas.settings.deployment import Deployment, KafkaSection, RegistrySection

PROJECT = Path(__file__).parent.parent
KAFKA = "OLVIDO_TEST_KAFKA"
REGISTRY = "OLVIDO_TEST_REGISTRY"
POSTGRES = "OLVIDO_TEST_POSTGRES_DSN"
DOWNLOADS = ("OLVIDO_CACHE", "OLVIDO_MAVEN_MIRROR", "XDG_CACHE_HOME")  # where they are, and come from

# A machine with other work to do makes any example slow: how long one takes says nothing.
settings.register_profile("whatever the clock says", deadline=None)
settings.load_profile("whatever the clock says")


def pytest_configure() -> None:
    """Hear Ctrl-C, also where a shell began us in its background and had it ignored.

    What is ignored stays ignored in every process that we start, and the tests of Ctrl-C would wait in vain.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure() -> None:
    """Take back from the collector what Hypothesis gave it to call.

    What is called there lives until the interpreter is gone, and what it reaches lives as long: functions of
    tests and sinks, and by their annotations the types of DuckDB, whose library then prints each as leaked.
    """
    gc.callbacks.clear()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What a test makes the product say names none of the tests' people: output, errors and log lines."""
    report = yield
    named = [title for title, text in report.sections if people_in(text)]
    if report.passed and named:
        report.outcome = "failed"
        report.longrepr = f"somebody is named in: {', '.join(named)}"
        report.sections = [part for part in report.sections if part[0] not in named]
    return report


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Where the real parts are."""

    bootstrap_servers: str
    registry_url: str
    postgres_admin_dsn: str
    origin: str  # given, docker or embedded
    logs: tuple[Path, ...] = ()  # folders with what embedded parts have logged


@pytest.fixture(scope="session")
def docker() -> bool:
    """Whether a Docker engine answers: a client alone starts nothing."""
    if shutil.which("docker") is None:
        return False
    import docker

    try:
        client = docker.from_env(timeout=3)
        client.ping()
    except docker.errors.DockerException:
        return False
    client.close()
    return True


@pytest.fixture(scope="session")
def parts(request: pytest.FixtureRequest, docker: bool, deployment: Deployment) -> Iterator[Parts]:
    """A broker, a registry and a database; the registry is that of all workers, where there are some."""
    given = [name for name in (KAFKA, REGISTRY, POSTGRES) if os.environ.get(name)]
    if given and len(given) < 3:
        missing = {KAFKA, REGISTRY, POSTGRES} - set(given)
        pytest.fail(f"{', '.join(given)} given, but not {', '.join(sorted(missing))}: give all three or none")
    if given:
        yield Parts(
            bootstrap_servers=os.environ[KAFKA],
            registry_url=os.environ[REGISTRY],
            postgres_admin_dsn=os.environ[POSTGRES],
            origin="given",
        )
    elif docker:
        from containers import containers

        with containers() as (bootstrap_servers, registry_url, dsn):
            yield Parts(
                bootstrap_servers=bootstrap_servers,
                registry_url=registry_url,
                postgres_admin_dsn=dsn,
                origin="docker",
            )
    else:
        from olvido.operators.local.stack import REGISTRY_VARIABLE, temporary_stack

        environ = {name: os.environ[name] for name in DOWNLOADS if name in os.environ}
        environ["HOME"] = str(Path.home())
        shared = one_registry(request.config, environ, deployment.catalogue)
        if shared is not None:
            environ[REGISTRY_VARIABLE] = shared.url
        with temporary_stack(environ=environ) as stack:
            yield Parts(
                bootstrap_servers=stack.bootstrap_servers,
                registry_url=stack.registry_url,
                postgres_admin_dsn=stack.admin_dsn(),
                origin="embedded",
                logs=(stack.folder.logs, *([] if shared is None else [shared.logs])),
            )


@pytest.fixture(scope="session")
def deployment() -> Deployment:
    """The repository's own olvido.toml."""
    return Deployment.load(PROJECT / "olvido.toml")


@pytest.fixture(scope="session")
def kafka_section(parts: Parts) -> KafkaSection:
    """Where the broker is."""
    return KafkaSection(bootstrap_servers=parts.bootstrap_servers)


@pytest.fixture(scope="session")
def registry(parts: Parts, kafka_section: KafkaSection, deployment: Deployment) -> Registry:
    """The registry, with all topics and schemas of olvido.toml applied."""
    from olvido.broker.runtime.patience import patiently
    from olvido.broker.topics import apply

    registry = AskedOnce(RegistrySection(url=parts.registry_url))
    # As `olvido up` does: a broker on a busy machine may take longer over its leaders than one try waits.
    patiently("topics", lambda: apply(kafka_section, registry, deployment.catalogue), threading.Event())
    return registry


@pytest.fixture(scope="session")
def postgres_admin_dsn(parts: Parts) -> str:
    """A superuser of the database server."""
    return parts.postgres_admin_dsn


@pytest.fixture(scope="session")
def ledger_database(postgres_admin_dsn: str) -> Iterator[MigratedDatabase]:
    """The database that ledgers are in, one after another."""
    with database(postgres_admin_dsn, "ledger") as dsn:
        yield MigratedDatabase(dsn, schema.migrate)


@pytest.fixture
def empty_dsn(ledger_database: MigratedDatabase) -> str:
    """An empty database."""
    desk_ledger._at.cache_clear()  # it keeps a connection for its process, and emptying ends all of them
    return emptied(ledger_database.dsn)


@pytest.fixture
def ledger_dsn(ledger_database: MigratedDatabase) -> str:
    """A migrated ledger's database, with nothing in it."""
    desk_ledger._at.cache_clear()
    return ledger_database.anew()


@pytest.fixture
def ledger(ledger_dsn: str) -> Ledger:
    """A migrated ledger."""
    return Ledger(Database(ledger_dsn, application="tests"))
