"""What doctor finds about targets that failed over or were restored."""

import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg2
import pytest
from processors.town import Town
from simulation.registry_twin import RegistryTwin
from values import CATALOGUE, an_erasure

from olvido.core.subject import IdentityKind
from olvido.operators.cli.stack import _row
from olvido.operators.desk import doctor, restore
from olvido.operators.settings import deployment
from olvido.schemas.privacy.identities import normalise
from olvido.schemas.settings.deployment import Deployment
from olvido.schemas.topics import topics_of
from olvido.sinks.contract import OpenedTask
from olvido.sinks.plugins import load_sink

TOML = """
regions = ["cn"]
purposes = ["marketing"]

[sinks.crm]
kind = "postgres"
region = "cn"
dsn = { env = "OLVIDO_TARGET" }
identities = ["email"]
[sinks.crm.tables.customers]
key = "id"
created = "created_at"
identities = { email = "mail" }
erase = "delete"
"""
LEFT_AT = datetime(2026, 11, 20, 3, 0, 7, tzinfo=UTC)


@pytest.fixture
def declared(ledger, ledger_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    """A sink that has noted the lineage of its target, which is in the ledger's own database."""
    (tmp_path / "olvido.toml").write_text(TOML)
    for name, value in {
        "OLVIDO_CONFIG": str(tmp_path / "olvido.toml"),
        "OLVIDO_ENV_FILES": "none",
        "OLVIDO_LEDGER__DSN": ledger_dsn,
        "OLVIDO_TARGET": ledger_dsn,
    }.items():
        monkeypatch.setenv(name, value)
    run(ledger_dsn, "create table customers (id bigint primary key, mail text, created_at timestamptz)")
    declared = deployment()
    sink = load_sink(declared, "crm")
    sink.install()
    sink.close()
    return declared


def run(dsn: str, statement: str, *values: object) -> None:
    with psycopg2.connect(dsn) as connection, connection.cursor() as cursor:
        cursor.execute(statement, values)
    connection.close()


def declare(declared: Deployment, since: datetime) -> str:
    one = restore.Restore(sink="crm", backup_taken_at=since, since=since, declared_at=datetime.now(UTC))
    restore.declare(declared, one, "OPS-17")
    return one.name


def of_crm(declared: Deployment) -> list[doctor.Finding]:
    return list(doctor._findings(lambda: doctor._check_sink(declared, "crm")))


def test_a_target_that_is_the_same_as_ever_is_right(declared: Deployment):
    assert [finding.good for finding in of_crm(declared)] == [True]


def test_a_fail_over_is_found_until_a_restore_is_declared(declared: Deployment, ledger_dsn: str):
    # As a replica that was promoted, or a backup, holds it: noted while the target was on another timeline.
    run(
        ledger_dsn, "insert into olvido.lineages values ('1/1', %s, %s)", LEFT_AT - timedelta(days=9), LEFT_AT
    )
    fits, finding = of_crm(declared)
    assert (fits.good, finding.good) == (True, False)
    assert "failed over or was restored after 2026-11-20 03:00:07Z" in finding.text
    assert _row(finding)["fix"] == (
        "olvido restore declare --sink crm --backup-taken-at 2026-11-20T03:00:07Z --dry-run"
    )
    name = declare(declared, LEFT_AT)
    assert [finding.good for finding in of_crm(declared)] == [True, True]
    assert name in of_crm(declared)[1].text


def test_a_target_that_forgot_what_it_answered_is_found_whatever_its_kind(
    declared: Deployment, ledger_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A file tells nothing of its history; but what was put back in its place has another memory."""
    file = tmp_path / "crm.sqlite"
    monkeypatch.setenv("OLVIDO_TARGET", str(file))
    section = TOML.replace('"postgres"', '"sqlite"').replace("dsn =", "look_again = []\nfile =")
    (tmp_path / "olvido.toml").write_text(section)
    declared = deployment()
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("create table customers (id integer primary key, mail text, created_at text)")
    ana = normalise(IdentityKind.EMAIL, "ana@example.es")
    town = Town(RegistryTwin(topics_of(CATALOGUE)), ledger_dsn)
    with closing(load_sink(declared, "crm")) as sink:
        for number in (1, 2):
            [task] = [one for one in town.ask(an_erasure(number)) if one.sink == "crm"]
            with closing(sqlite3.connect(file)) as connection, connection:
                values = (number, "ana@example.es", "2020-01-01 00:00:00")
                connection.execute("insert into customers values (?, ?, ?)", values)
            sink.apply([OpenedTask(task=task, identities=(ana,))])
            town.answer([task])
            if number == 1:
                shutil.copy(file, tmp_path / "backup")
    assert [finding.good for finding in memory(declared)] == [True]
    shutil.copy(tmp_path / "backup", file)
    [finding] = memory(declared)
    assert (finding.good, finding.about) == (False, "crm")
    assert "does not remember 1 of its newest 2 answers" in finding.text
    declare(declared, finding.since)
    assert memory(declared) == []  # all of it is asked again


def memory(declared: Deployment) -> list[doctor.Finding]:
    return list(doctor._findings(lambda: doctor._check_memory(declared, "crm")))
