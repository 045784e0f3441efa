"""`olvido sinks discover`: a sink's database and its data map, from the shell."""

import json
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from shell import olvido
from sinks.people_targets import content, database, names_nobody, role, tables_of

HEAD = """
regions = ["eu"]
purposes = ["newsletter"]

[sinks.crm]
kind = "postgres"
region = "eu"
dsn = { env = "CRM_DSN" }
identities = ["email"]

[sinks.file]
kind = "duckdb"
region = "eu"
file = { env = "CRM_FILE" }
identities = ["email"]

[sinks.mails]
kind = "http"
region = "eu"
url = { env = "MAILS_URL" }
identities = ["email"]
"""


@pytest.fixture(scope="module")
def shop(postgres: str) -> Iterator[str]:
    """A shop, and a role that may read it and nothing else."""
    with (
        database(postgres, content("shop")) as dsn,
        role(dsn, "GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}") as reader,
    ):
        yield reader


@pytest.fixture
def project(shop: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project's folder whose sinks have no tables yet."""
    with duckdb.connect(tmp_path / "people.duckdb") as connection:
        connection.execute(content("file"))
    (tmp_path / "olvido.toml").write_text(HEAD)
    monkeypatch.setenv("OLVIDO_CONFIG", str(tmp_path / "olvido.toml"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("CRM_DSN", shop)
    monkeypatch.setenv("CRM_FILE", str(tmp_path / "people.duckdb"))
    monkeypatch.setenv("MAILS_URL", "http://127.0.0.1:1")
    return tmp_path


def test_discover_prints_a_map_that_can_be_appended_to_olvido_toml(project: Path):
    done = olvido("sinks", "discover", "crm")
    assert done.returncode == 0, done.stderr
    assert {"customers", "orders", "addresses"} <= tables_of(done.stdout).keys()
    assert max(map(len, done.stdout.splitlines())) < 80
    assert "9 tables, 10 columns that look personal; you must decide about orders, order_lines" in done.stderr
    with (project / "olvido.toml").open("a") as file:
        file.write(done.stdout)
    checked = olvido("config", "check")
    assert checked.returncode == 2
    assert ".erase: is missing" in checked.stderr


def test_discover_as_data_says_the_same(project: Path):
    done = olvido("sinks", "discover", "crm", "-o", "json")
    found = json.loads(done.stdout)
    assert (found["sink"], found["identities"]) == ("crm", ["customer_id", "email", "phone"])
    assert {
        "table": "customers",
        "column": "email",
        "type": "text",
        "holds": "e-mail addresses",
        "by": "both",
        "evidence": "100 % of 60 samples are e-mail addresses",
        "in_map": True,
    } in found["columns"]
    assert found["toml"] == olvido("sinks", "discover", "crm").stdout


@pytest.mark.parametrize("form", ["table", "json"])
def test_discover_names_nobody(project: Path, form: str):
    for arguments in (("crm",), ("crm", "--rows", "7"), ("file",)):
        done = olvido("--verbose", "sinks", "discover", *arguments, "-o", form)
        assert done.returncode == 0, done.stderr
        assert names_nobody(done.stdout + done.stderr)


def test_discover_reads_a_file(project: Path):
    done = olvido("sinks", "discover", "file")
    assert tables_of(done.stdout, "file").keys() == {"contacts", "visits"}


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("crmm",), 2, "SINK: olvido.toml has no sink 'crmm'; did you mean 'crm'?"),
        (
            ("mails",),
            2,
            "SINK: is a sink of kind 'http'; tables are read of: duckdb, mysql, postgres, sqlite",
        ),
        (("crm", "--rows", "100000"), 2, "--rows: is from 0 to 10,000"),
    ],
)
def test_what_cannot_be_discovered_is_said_by_its_name(project: Path, arguments, code, words):
    done = olvido("sinks", "discover", *arguments)
    assert done.returncode == code
    assert words in done.stderr


def test_a_target_that_does_not_answer_is_exit_10(project: Path):
    done = olvido("sinks", "discover", "crm", CRM_DSN="postgresql://crm:geheim@127.0.0.1:1/crm")
    assert done.returncode == 10
    assert "sink crm: PostgreSQL does not answer" in done.stderr
    assert "geheim" not in done.stderr
