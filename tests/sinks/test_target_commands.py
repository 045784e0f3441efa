"""`olvido sinks discover | check | grants | plan`: a sink's database and its data map, from the shell."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest
from shell import olvido, told
from sinks.databases import MySQLDatabase
from sinks.people_targets import content, database, names_nobody, role, run, tables_of
from sinks.shop import an_erasure

from olvido.schemas.settings.deployment import Deployment
from olvido.sinks.plugins import load_sink

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
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)  # these tests run in a workflow of GitHub, too
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
def test_what_cannot_be_read_is_said_by_its_name(project: Path, arguments, code, words):
    (project / "olvido.toml").write_text(HEAD + CRM_TABLES)
    for command in ("discover", "check"):
        done = olvido("sinks", command, *arguments)
        assert done.returncode == code
        assert words in done.stderr


def test_a_target_that_does_not_answer_is_exit_10(project: Path):
    done = olvido("sinks", "discover", "crm", CRM_DSN="postgresql://crm:geheim@127.0.0.1:1/crm")
    assert done.returncode == 10
    assert "sink crm: PostgreSQL does not answer" in done.stderr
    assert "geheim" not in done.stderr


CRM_TABLES = """
[sinks.crm.tables.customers]
key = "id"
person = "customer_no"
identities = { customer_id = "customer_no", email = "email" }
erase = "delete"

[sinks.crm.excused]
"addresses" = "shared with the warehouse, which erases them itself"
"customers.phone" = "goes with its row"
"contact_form.ip" = "emptied after a day"
"contact_form.nothing" = "no such column"
"""


def test_check_says_what_is_left_out_and_ends_with_10(project: Path):
    with (project / "olvido.toml").open("a") as file:
        file.write(CRM_TABLES)
    done = olvido("sinks", "check", "crm")
    assert done.returncode == 10
    assert "contact_form.reply_to is not in the map: 100 % of 30 samples are e-mail addresses" in done.stdout
    assert '→ map it, or excuse it: "contact_form.reply_to" = "why"' in done.stdout
    assert "orders is not in the map; customer_id points at customers (a foreign key)" in done.stdout
    assert "contact_form.nothing is excused and is not in the target" in done.stdout
    assert "contact_form.ip " not in done.stdout
    assert "addresses." not in done.stdout
    assert names_nobody(done.stdout + done.stderr)
    found = json.loads(olvido("sinks", "check", "crm", "-o", "json").stdout)
    assert found["unread"] == []
    assert {one["omitted"] for one in found["omissions"]} == {
        "excuse for nothing",
        "hangs on a person",
        "no index",
        "not mapped",
    }


@pytest.mark.parametrize(
    ("arguments", "environment"), [(("-o", "github"), {}), ((), {"GITHUB_ACTIONS": "true"})]
)
def test_in_a_pull_request_findings_stand_at_their_lines(project: Path, arguments, environment):
    (project / "olvido.toml").write_text(HEAD + CRM_TABLES)
    done = olvido("sinks", "check", "crm", *arguments, **environment)
    assert done.returncode == 10
    lines = (project / "olvido.toml").read_text().splitlines()
    number = 1 + lines.index('"contact_form.nothing" = "no such column"')
    file = project / "olvido.toml"
    assert (
        f"::warning file={file},line={number},title=crm%3A excuse for nothing::contact_form.nothing is "
        "excused and is not in the target; take it out of excused"
    ) in done.stdout.splitlines()
    assert all(line.startswith("::warning file=") for line in done.stdout.splitlines())


def test_a_map_that_leaves_nothing_out_is_0(project: Path, shop: str):
    (project / "olvido.toml").write_text(
        HEAD
        + """
[sinks.file.tables.contacts]
key = "id"
identities = { email = "email" }
erase = "delete"
[sinks.file.tables.visits]
key = "id"
parent = { table = "contacts", column = "contact_id" }
erase = "delete"
"""
    )
    done = olvido("sinks", "check", "file")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "3 tables looked at; nothing is left out\n"


def test_check_without_tables_says_what_to_do(project: Path):
    done = olvido("sinks", "check", "crm")
    assert done.returncode == 2
    assert "sinks.crm.tables: says nothing of what is erased" in done.stderr


def test_rows_that_may_not_be_read_are_told(project: Path, postgres: str):
    (project / "olvido.toml").write_text(HEAD + CRM_TABLES)
    rights = "GRANT SELECT ON customers TO {role}"
    with database(postgres, content("shop")) as dsn, role(dsn, rights) as ours:
        done = olvido("sinks", "check", "crm", CRM_DSN=ours)
    assert "of 8 tables this role may not read the rows, so their names alone were judged: " in done.stderr
    assert "contact_form.message is not in the map: by its name: texts that people wrote" in done.stdout


def test_grants_prints_sql_for_a_role(project: Path):
    (project / "olvido.toml").write_text(HEAD + CRM_TABLES)
    done = olvido("sinks", "grants", "crm", "--role", "eraser")
    assert done.returncode == 0, done.stderr
    assert 'GRANT SELECT, DELETE ON "public"."customers" TO "eraser";' in done.stdout.splitlines()
    assert "\\password eraser" in done.stderr
    found = json.loads(olvido("sinks", "grants", "crm", "-o", "json").stdout)
    assert found["role"] == "olvido_crm"
    assert 'CREATE ROLE "olvido_crm" LOGIN;' in found["statements"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("mails",), "SINK: is a sink of kind 'http'; rights are known of: duckdb, mysql, postgres, sqlite"),
        (("crm", "--role", "x" * 64), "--role: is no name of a role"),
    ],
)
def test_a_role_that_cannot_be_made_is_refused(project: Path, arguments, words):
    (project / "olvido.toml").write_text(HEAD + CRM_TABLES)
    done = olvido("sinks", "grants", *arguments)
    assert done.returncode == 2
    assert words in done.stderr


@pytest.fixture
def erasable(project: Path, postgres: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A shop of its own, which its sink may change, with a whole data map."""
    with database(postgres, content("shop")) as dsn:
        monkeypatch.setenv("CRM_DSN", dsn)
        proposed = olvido("sinks", "discover", "crm").stdout
        decided = proposed.replace('# erase = "delete"', 'erase = "delete"')
        (project / "olvido.toml").write_text(HEAD + decided)
        yield dsn


EVERYTHING = """
SELECT (SELECT count(*) FROM customers), (SELECT count(*) FROM orders), (SELECT count(*) FROM contact_form),
    (SELECT count(*) FROM addresses), to_regnamespace('olvido')::text
"""


def test_plan_counts_what_an_erasure_would_do_and_changes_nothing(erasable: str):
    before = run(erasable, EVERYTHING)
    done = olvido("sinks", "plan", "crm", "--email", "quimera.7@example.es")
    assert done.returncode == 0, done.stderr
    assert [line.split() for line in done.stdout.splitlines()[2:]] == [
        ["contact_form", "deleted", "1"],
        ["order_lines", "deleted", "2"],
        ["orders", "deleted", "2"],
        ["customers", "deleted", "1"],
    ]
    assert done.stderr == "it would be answered: erased\nnothing was changed\n"
    assert run(erasable, EVERYTHING) == before
    assert before[0][-1] is None  # the target has got no journal by it either


def test_plan_is_what_the_erasure_does_then(erasable: str, project: Path):
    """By the same code: the counts of the receipt are those of the plan."""
    person = '{"email": "quimera.9@example.es"}'
    found = told("sinks", "plan", "crm", "--identities-from", "-", given=person)
    sink = load_sink(Deployment.load(project / "olvido.toml"), "crm")
    sink.install()
    [receipt] = sink.apply([an_erasure(email="quimera.9@example.es", at=datetime.now(UTC))])
    sink.close()
    assert {f"{row['table']}.{row['done']}": row["rows"] for row in found["rows"]} == receipt.counts
    assert found["outcome"] == receipt.outcome.value
    assert names_nobody(json.dumps(found))


def test_plan_of_nobody_finds_nobody(erasable: str):
    done = olvido("sinks", "plan", "crm", "--email", "nobody@example.es")
    assert (done.returncode, done.stdout) == (0, "")
    assert "it would be answered: not_found" in done.stderr
    assert "nobody@example.es" not in done.stderr


def test_a_target_that_refuses_the_erasure_is_told(erasable: str):
    """Not as a count of nothing."""
    run(
        erasable,
        """
        CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'hold'; END $$;
        CREATE TRIGGER hold BEFORE DELETE ON customers FOR EACH ROW EXECUTE FUNCTION no();
        """,
    )
    done = olvido("sinks", "plan", "crm", "--email", "quimera.7@example.es")
    assert (done.returncode, done.stdout) == (4, "")
    assert "crm's target refuses this erasure, so it would become a dead letter" in done.stderr


@pytest.mark.parametrize(
    ("sink", "code", "words"),
    [
        ("file", 4, "file cannot be asked what it would do: its file is held by its own process"),
        ("mails", 4, "mails cannot be asked what it would do: its target cannot take back what it has done"),
    ],
)
def test_a_target_that_cannot_take_back_says_why(project: Path, sink: str, code: int, words: str):
    (project / "olvido.toml").write_text(
        HEAD
        + '[sinks.file.tables.contacts]\nkey = "id"\nidentities = { email = "email" }\nerase = "delete"\n'
    )
    done = olvido("sinks", "plan", sink, "--email", "quimera.7@example.es")
    assert done.returncode == code
    assert words in done.stderr


def test_a_database_of_mariadb_is_planned_for_and_granted(
    project: Path, mariadb_url: str, monkeypatch: pytest.MonkeyPatch
):
    shop = MySQLDatabase(mariadb_url)
    shop.run("CREATE TABLE people (id bigint PRIMARY KEY, email varchar(80), KEY (email))")
    shop.run("INSERT INTO people VALUES (1, 'quimera.7@example.es'), (2, 'other@example.es')")
    monkeypatch.setenv("CRM_DSN", mariadb_url)
    head = HEAD.replace('kind = "postgres"', 'kind = "mysql"').replace("dsn =", "url =")
    tables = '[sinks.crm.tables.people]\nkey = "id"\nidentities = { email = "email" }\nerase = "delete"\n'
    (project / "olvido.toml").write_text(head + tables)
    planned = told("sinks", "plan", "crm", "--email", "quimera.7@example.es")
    assert planned["outcome"] == "erased"
    assert planned["rows"] == [{"table": "people", "done": "deleted", "rows": 1}]
    assert shop.run("SELECT count(*) FROM people") == [(2,)]
    granted = olvido("sinks", "grants", "crm")
    assert "GRANT SELECT, DELETE ON `people` TO 'olvido_crm'@'%';" in granted.stdout.splitlines()
    assert "IDENTIFIED BY '…' ACCOUNT UNLOCK" in granted.stderr


def test_identities_that_a_sink_is_not_given_plan_nothing(erasable: str):
    done = olvido("sinks", "plan", "crm", "--phone", "+34 600 000 000")
    assert done.returncode == 2
    assert "crm knows people by email: give one of these" in done.stderr


def test_a_file_of_sqlite_is_discovered_checked_and_planned_for(
    project: Path, monkeypatch: pytest.MonkeyPatch
):
    with closing(sqlite3.connect(project / "people.sqlite")) as connection:
        connection.executescript(content("file"))
    monkeypatch.setenv("CRM_FILE", str(project / "people.sqlite"))
    head = HEAD.replace('kind = "duckdb"', 'kind = "sqlite"')
    (project / "olvido.toml").write_text(head)
    found = olvido("sinks", "discover", "file")
    assert tables_of(found.stdout, "file").keys() == {"contacts", "visits"}
    (project / "olvido.toml").write_text(head + found.stdout)
    checked = olvido("sinks", "check", "file")
    assert checked.returncode == 10
    assert "CREATE INDEX contacts_email ON contacts (lower(email));" in checked.stdout
    assert "chmod 660" in olvido("sinks", "grants", "file").stdout
    planned = told("sinks", "plan", "file", "--email", "quimera.1@example.es")
    assert planned["outcome"] == "erased"
    assert {row["table"]: row["rows"] for row in planned["rows"]} == {"visits": 1, "contacts": 1}
    with closing(sqlite3.connect(project / "people.sqlite")) as connection:
        assert connection.execute("SELECT count(*) FROM contacts").fetchone() == (6,)
