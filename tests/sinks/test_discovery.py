"""A data map proposed for databases as people have them: by real readers, on real databases."""

import sqlite3
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import psycopg2
import pytest
from pymysql.constants import CLIENT
from sinks.mariadb_server import connected
from sinks.people_targets import content, database, names_nobody, proposed, role, run, tables_of
from sinks.shop import an_erasure, settings

from olvido.core.errors import ConfigError, Unavailable
from olvido.core.outcomes import Outcome
from olvido.core.subject import IdentityKind
from olvido.sinks.discovery.duckdb_reader import DuckDBReader
from olvido.sinks.discovery.live import TargetReader
from olvido.sinks.discovery.looking import look_at
from olvido.sinks.discovery.mysql_reader import MySQLReader
from olvido.sinks.discovery.postgres_reader import PostgresReader
from olvido.sinks.discovery.proposal import Proposal
from olvido.sinks.discovery.sqlite_reader import SqliteReader
from olvido.sinks.discovery.writing import toml_of
from olvido.sinks.kinds.mysql_address import Address
from olvido.sinks.kinds.postgres import PostgresSink
from olvido.sinks.tables.map_rules import read_data_map

KINDS = (IdentityKind.CUSTOMER_ID, IdentityKind.EMAIL, IdentityKind.PHONE)


def text_of(proposal: Proposal) -> str:
    return toml_of(proposal, declared=KINDS, rows=200)


def one_line(text: str) -> str:
    """Comments without their line breaks."""
    return " ".join(text.replace("#", "").split())


@pytest.fixture(scope="module")
def shop(postgres: str) -> Iterator[str]:
    with database(postgres, content("shop")) as dsn:
        yield dsn


@pytest.fixture(scope="module")
def forum(postgres: str) -> Iterator[str]:
    with database(postgres, content("forum")) as dsn:
        yield dsn


@pytest.fixture(scope="module")
def crm(postgres: str) -> Iterator[str]:
    with database(postgres, content("crm")) as dsn:
        yield dsn


def test_a_shops_map_is_proposed_with_what_a_person_must_decide_left_open(shop: str):
    proposal = proposed(PostgresReader("crm", shop))
    assert tables_of(text_of(proposal)) == {
        "customers": {
            "key": "id",
            "person": "customer_no",
            "created": "created_at",
            "identities": {"customer_id": "customer_no", "email": "email", "phone": "phone"},
            "columns": {
                "customer_no": "user.unique_id",
                "email": "user.contact.email",
                "phone": "user.contact.phone_number",
                "full_name": "user.name",
            },
            "erase": "delete",
        },
        "carts": {"key": "id", "parent": {"table": "customers", "column": "customer_id"}, "erase": "delete"},
        "contact_form": {
            "key": "id",
            "created": "sent_at",
            "identities": {"email": "reply_to"},
            "parent": {"table": "customers", "column": "customer_id"},
            "columns": {
                "reply_to": "user.contact.email",
                "message": "user.content",
                "ip": "user.device.ip_address",
            },
            "erase": "delete",
        },
        "orders": {"key": "id", "parent": {"table": "customers", "column": "customer_id"}},
        "order_lines": {
            "key": ["order_id", "product_id"],
            "parent": {"table": "orders", "column": "order_id"},
        },
        # Somebody of the staff changed a lamp: the lamp stays.
        "products": {"key": "id", "mentions": [{"table": "customers", "column": "updated_by"}]},
        "addresses": {
            "key": "id",
            "shared_by": [{"table": "customers", "column": "address_id"}],
            "erase": "delete",
        },
    }
    assert proposal.undecided == ("orders", "order_lines")
    assert proposal.others == ("audit_log", "countries")
    assert proposal.typed == {
        "audit_log": (
            "subject_type, subject_id: what a row belongs to is said by a type and an id. If such rows "
            'are the person\'s: parent = { table = "customers", column = "subject_id", '
            'where = { subject_type = "Customer" } }',
        )
    }


def test_an_open_decision_is_refused_and_a_decided_map_fits_the_target(shop: str):
    """By the very check that the sink makes when it starts."""
    tables = dict(tables_of(text_of(proposed(PostgresReader("crm", shop)))))
    with pytest.raises(ConfigError, match=r"order_lines.erase: is missing|orders.erase: is missing"):
        read_data_map(settings({}), tables)
    for name in ("orders", "order_lines"):
        tables[name] = {**tables[name], "erase": "delete"}
    assert set(read_data_map(settings({}), tables).tables) == set(tables)


def test_the_evidence_is_a_sentence_for_each_column(shop: str):
    lines = text_of(proposed(PostgresReader("crm", shop))).splitlines()
    assert "#   email        100 % of 60 samples are e-mail addresses" in lines
    assert "#   phone        100 % of 60 samples are phone numbers" in lines
    assert "#   full_name    by its name: names" in lines
    assert "#   message   by its name: texts that people wrote" in lines
    assert "# ? newsletter looks like a consent: for which purpose? See docs/sinks, consent" in lines
    assert max(map(len, lines)) < 80


@pytest.mark.parametrize("name", ["shop", "forum", "crm"])
def test_nobody_is_named_in_a_proposal(name: str, request: pytest.FixtureRequest):
    proposal = proposed(PostgresReader("crm", request.getfixturevalue(name)))
    assert names_nobody(text_of(proposal))
    assert names_nobody(repr(proposal))


def test_without_foreign_keys_names_and_values_say_what_belongs_to_whom(forum: str):
    text = text_of(proposed(PostgresReader("crm", forum)))
    tables = tables_of(text)
    assert {name: table.get("parent") for name, table in tables.items()} == {
        "fo_users": None,
        "fo_user_emails": {"table": "fo_users", "column": "user_id", "climb": True},
        "fo_posts": {"table": "fo_users", "column": "author_id"},
        "fo_messages": {"table": "fo_users", "column": "recipient_id"},
    }
    assert "no foreign key; 40 of 40 sampled values are keys of fo_users" in text
    assert (
        one_line(text).count(
            "sender_id points at fo_users as well (no foreign key; 30 of 30 sampled values are keys of "
            "fo_users), and cannot be null. Whose is the row?"
        )
        == 1
    )
    assert "fo_users has no e-mail address or phone number of its own" in text


def test_what_is_proposed_for_a_forum_erases_a_person_by_an_address_in_a_table_of_its_own(
    postgres: str, monkeypatch: pytest.MonkeyPatch
):
    with database(postgres, content("forum")) as dsn:
        tables = tables_of(text_of(proposed(PostgresReader("crm", dsn))))
        monkeypatch.setenv("OLVIDO_TEST_CRM", dsn)
        given = settings({"dsn": {"env": "OLVIDO_TEST_CRM"}, "tables": tables})
        with closing(PostgresSink.from_section(replace(given, identities=(IdentityKind.EMAIL,)))) as sink:
            sink.check()
            sink.install()
            [receipt] = sink.apply([an_erasure(email="quimera.9@example.es", at=datetime.now(UTC))])
        assert receipt.outcome is Outcome.ERASED
        assert receipt.counts["fo_users.deleted"] == 1
        assert run(dsn, "SELECT count(*), count(*) FILTER (WHERE id = 10) FROM fo_users") == [(39, 0)]
        assert run(dsn, "SELECT count(*) FROM fo_user_emails WHERE user_id = 10") == [(0,)]
        assert run(dsn, "SELECT count(*) FROM fo_posts WHERE author_id = 10") == [(0,)]


def test_who_follows_whom_is_either_persons(postgres: str):
    statements = """
    CREATE TABLE users (id bigint PRIMARY KEY, email text NOT NULL);
    CREATE TABLE follows (follower_id bigint REFERENCES users (id), followee_id bigint REFERENCES users (id),
        since timestamptz, PRIMARY KEY (follower_id, followee_id));
    CREATE TABLE invitations (id bigint PRIMARY KEY, invited_by bigint NOT NULL REFERENCES users (id),
        email text NOT NULL);
    INSERT INTO users SELECT n, 'quimera.' || n || '@example.es' FROM generate_series(1, 9) AS n;
    INSERT INTO invitations SELECT n, n, 'quimera.' || n || '@example.com' FROM generate_series(1, 9) AS n;
    """
    with database(postgres, statements) as dsn:
        tables = tables_of(text_of(proposed(PostgresReader("crm", dsn))))
    assert tables["follows"]["key"] == ["follower_id", "followee_id"]
    assert tables["follows"]["parent"] == [
        {"table": "users", "column": "followee_id"},
        {"table": "users", "column": "follower_id"},
    ]
    # Whoever is invited is not who invites: no address leads from one to the other.
    assert "parent" not in tables["invitations"]


def test_what_may_be_about_either_of_two_people_gets_no_label_and_a_secret_is_one_anywhere(postgres: str):
    statements = """
    CREATE TABLE users (id bigint PRIMARY KEY, email text NOT NULL, email_hash text, password text);
    CREATE TABLE letters (id bigint PRIMARY KEY, sender_id bigint NOT NULL REFERENCES users (id),
        recipient_id bigint NOT NULL REFERENCES users (id), message text, api_token text);
    CREATE TABLE enclosures (id bigint PRIMARY KEY, letter_id bigint NOT NULL REFERENCES letters (id),
        message text);
    INSERT INTO users SELECT n, 'quimera.' || n || '@example.es', md5(n::text), md5(n::text)
        FROM generate_series(1, 9) AS n;
    INSERT INTO letters SELECT n, n, 10 - n, 'I wrote to quimera.' || n || '@example.es', md5(n::text)
        FROM generate_series(1, 9) AS n;
    INSERT INTO enclosures SELECT n, n, 'I am quimera.' || n || '@example.es' FROM generate_series(1, 9) AS n;
    """
    with database(postgres, statements) as dsn:
        tables = tables_of(text_of(proposed(PostgresReader("crm", dsn))))
    assert {name: table.get("columns") for name, table in tables.items()} == {
        "users": {"email": "user.contact.email", "password": {"secret": True}},
        "letters": {"api_token": {"secret": True}},
        "enclosures": None,
    }


def test_a_key_of_several_columns_is_pointed_at_by_several(postgres: str):
    statements = """
    CREATE TABLE users (tenant int, id bigint, email text NOT NULL, PRIMARY KEY (tenant, id));
    CREATE TABLE visits (tenant int NOT NULL, user_id bigint NOT NULL, page text,
        FOREIGN KEY (tenant, user_id) REFERENCES users (tenant, id));
    INSERT INTO users SELECT 1, n, 'quimera.' || n || '@example.es' FROM generate_series(1, 9) AS n;
    """
    with database(postgres, statements) as dsn:
        tables = tables_of(text_of(proposed(PostgresReader("crm", dsn))))
    assert tables["users"]["key"] == ["tenant", "id"]
    assert tables["visits"] == {
        "parent": {"table": "users", "column": ["tenant", "user_id"]},
        "erase": "delete",
    }


def test_a_digest_of_an_address_is_no_address_and_its_form_is_told(postgres: str):
    statements = """
    CREATE TABLE users (id bigint PRIMARY KEY, email_sha256 text NOT NULL, phone text);
    INSERT INTO users SELECT n, encode(sha256(n::text::bytea), 'hex'), '+34 600731' || lpad(n::text, 3, '0')
        FROM generate_series(1, 9) AS n;
    """
    with database(postgres, statements) as dsn:
        text = text_of(proposed(PostgresReader("crm", dsn)))
    assert "email" not in tables_of(text)["users"]["identities"]
    assert 'form = "sha256" }' in text


def test_spanish_and_pinyin_are_understood(crm: str):
    proposal = proposed(PostgresReader("crm", crm))
    text = text_of(proposal)
    tables = tables_of(text)
    assert tables["clientes"]["identities"] == {
        "customer_id": "id",
        "email": "correo_electronico",
        "phone": "movil",
    }
    # Nine digits that begin with a 6 are a number in Spain, and another in Chile.
    assert 'phone = { column = "movil", form = "national:ES" }, or national:CL' in one_line(text)
    assert tables["clientes"]["created"] == "fecha_alta"
    # The key of one table alone may be the customer's number: number 7 elsewhere is somebody else.
    assert tables["yonghu"]["identities"] == {
        "email": "youxiang",
        "phone": {"column": "shouji", "form": "national:CN"},
    }
    assert "erase" not in tables["facturas"]
    assert [one.table.name for one in proposal.unlinked] == [
        "empresas"
    ]  # people belong to it: it is nobody's
    [clientes] = [table for table in proposal.tables if table.name == "clientes"]
    assert clientes.seen.evidence["dni"].text == "100 % of 40 samples are DNI or NIE of Spain"
    assert "FechaNacimiento" in clientes.seen.evidence


def test_of_the_example_shop_the_tables_of_the_repositorys_own_map_are_proposed(postgres: str):
    """`olvido sinks discover crm` after `olvido up`."""
    project = Path(__file__).parents[2]
    people = """
    INSERT INTO customers (customer_no, name, email, phone, locale)
        SELECT 'C-' || n, 'Ana Quimera', 'quimera.' || n || '@example.es',
            '+34 600731' || lpad(n::text, 3, '0'), 'es'
        FROM generate_series(1, 30) AS n;
    INSERT INTO enquiries (from_email, body)
        SELECT 'quimera.' || n || '@example.es', '' FROM generate_series(1, 9) AS n;
    """
    made = (project / "examples/shop/crm.sql").read_text(encoding="utf-8") + people
    with database(postgres, made) as dsn:
        tables = tables_of(text_of(proposed(PostgresReader("crm", dsn))))
    declared = tomllib.loads((project / "olvido.toml").read_text(encoding="utf-8"))["sinks"]["crm"]["tables"]
    assert tables.keys() == declared.keys()
    for key in ("key", "person", "created", "identities", "parent", "shared_by"):
        assert {name: table.get(key) for name, table in tables.items()} == {
            name: table.get(key) for name, table in declared.items()
        }


def test_a_role_that_may_only_read_is_enough(shop: str):
    with role(shop, "GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}") as dsn:
        assert proposed(PostgresReader("crm", dsn)) == proposed(PostgresReader("crm", shop))


def test_a_table_that_the_role_may_not_read_goes_by_names_alone(shop: str):
    with role(shop, "GRANT SELECT ON orders TO {role}") as dsn:
        text = text_of(proposed(PostgresReader("crm", dsn)))
    assert "only names were looked at: this role may not read it" in text
    assert tables_of(text)["customers"]["identities"]["email"] == "email"


def test_nothing_is_written_even_where_reading_would_write(postgres: str):
    """Row security whose policy writes a log: in a transaction that is READ ONLY, PostgreSQL refuses it."""
    policy = """
    CREATE TABLE read_log (at timestamptz);
    CREATE TABLE users (id bigint PRIMARY KEY, email text);
    INSERT INTO users SELECT n, 'quimera.' || n || '@example.es' FROM generate_series(1, 9) AS n;
    CREATE FUNCTION noted() RETURNS boolean LANGUAGE sql VOLATILE SECURITY DEFINER
        AS 'INSERT INTO public.read_log VALUES (now()) RETURNING true';
    ALTER TABLE users ENABLE ROW LEVEL SECURITY;
    CREATE POLICY watched ON users USING (noted());
    """
    with (
        database(postgres, policy) as dsn,
        role(dsn, "GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}") as ours,
    ):
        assert run(ours, "SELECT count(*) FROM users") == [(9,)]
        assert run(dsn, "SELECT count(*) > 0 FROM read_log") == [(True,)]
        run(dsn, "TRUNCATE read_log")
        text = text_of(proposed(PostgresReader("crm", ours)))
        assert run(dsn, "SELECT count(*) FROM read_log") == [(0,)]
    assert "its rows cannot be read now (SQLSTATE 25006)" in text


def test_a_reader_waits_for_no_lock_and_reads_the_other_tables(shop: str):
    reader = PostgresReader("crm", shop)
    tables = reader.tables()
    with closing(psycopg2.connect(shop)) as connection, connection.cursor() as cursor:
        cursor.execute("LOCK TABLE carts IN ACCESS EXCLUSIVE MODE")
        seen = {one.table.name: one for one in look_at(reader, tables)}
    reader.close()
    assert seen["carts"].why_not == "its rows cannot be read now (SQLSTATE 55P03)"
    assert seen["customers"].evidence["email"].sure


def test_of_a_large_table_rows_from_all_over_are_read(postgres: str):
    statements = """
    CREATE TABLE users (id bigint PRIMARY KEY, contact text);
    INSERT INTO users SELECT n, CASE WHEN n > 10000 THEN 'quimera.' || n || '@example.es' END
        FROM generate_series(1, 100000) AS n;
    ANALYZE users;
    """
    with database(postgres, statements) as dsn:
        reader = PostgresReader("crm", dsn)
        [table] = reader.tables()
        found = reader.sample(table, ["contact"], 200)
        reader.close()
    assert len(found.values["contact"]) > 50  # the first 10,000 have none


def test_names_of_any_form_are_quoted_and_no_line_of_a_comment_ends_early(postgres: str):
    statements = """
    CREATE SCHEMA "Other";
    CREATE TABLE "Other"."Us""ers" ("Id" bigint PRIMARY KEY, "E-Mail" text, "a
b" text);
    INSERT INTO "Other"."Us""ers" SELECT n, 'quimera.' || n || '@example.es', 'quimera.' || n || '@example.es'
        FROM generate_series(1, 9) AS n;
    CREATE TABLE "100 %s" (id bigint PRIMARY KEY, "%s er_id" bigint);
    INSERT INTO "100 %s" SELECT n, n FROM generate_series(1, 9) AS n;
    """
    with database(postgres, statements) as dsn:
        text = text_of(proposed(PostgresReader("crm", dsn)))
    tables = tables_of(text)
    assert tables.keys() == {'Other.Us"ers', "100 %s"}
    assert tables['Other.Us"ers']["identities"]["email"] == "E-Mail"
    assert tables["100 %s"]["parent"] == {"table": 'Other.Us"ers', "column": "%s er_id"}


@pytest.mark.parametrize(
    "reader",
    [
        PostgresReader("crm", "postgresql://crm:geheim@127.0.0.1:1/crm"),
        MySQLReader("crm", Address.of("mysql://crm:geheim@127.0.0.1:1/crm")),
    ],
)
def test_a_database_that_does_not_answer_is_unavailable_and_its_password_stays_unread(reader: TargetReader):
    assert "geheim" not in repr(reader)
    with pytest.raises(Unavailable) as caught:
        reader.tables()
    assert "geheim" not in str(caught.value)


@pytest.fixture(params=["sqlite", "duckdb", "mysql"])
def other_reader(request: pytest.FixtureRequest, tmp_path: Path) -> TargetReader:
    path = tmp_path / f"people.{request.param}"
    if request.param == "mysql":
        url = request.getfixturevalue("mariadb_url")
        with closing(connected(url, client_flag=CLIENT.MULTI_STATEMENTS)) as connection:
            cursor = connection.cursor()
            cursor.execute(content("file"))
            while cursor.nextset():  # or the server may still be at the last of them when we look
                pass
        return MySQLReader("crm", Address.of(url))
    if request.param == "sqlite":
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript(content("file"))
        return SqliteReader("crm", path)
    with duckdb.connect(path) as connection:
        connection.execute(content("file"))
    return DuckDBReader("crm", path)


def test_another_database_is_read_as_postgresql_is(other_reader: TargetReader):
    proposal = proposed(other_reader)
    tables = tables_of(text_of(proposal))
    assert tables == {
        "contacts": {
            "key": "id",
            "person": "id",
            "created": "created_at",
            "identities": {"customer_id": "id", "email": "email"},
            "columns": {"email": "user.contact.email", "name": "user.name"},
            "erase": "delete",
        },
        "visits": {"key": "id", "parent": {"table": "contacts", "column": "contact_id"}, "erase": "delete"},
    }
    assert proposal.others == ("colours",)
    assert names_nobody(text_of(proposal))


def test_of_the_example_shops_analytics_the_kinds_of_its_own_map_are_proposed(tmp_path: Path):
    project = Path(__file__).parents[2]
    with duckdb.connect(tmp_path / "analytics.duckdb") as connection:
        connection.execute((project / "examples/shop/analytics.sql").read_text(encoding="utf-8"))
    tables = tables_of(text_of(proposed(DuckDBReader("crm", tmp_path / "analytics.duckdb"))))
    declared = tomllib.loads((project / "olvido.toml").read_text(encoding="utf-8"))["sinks"]["analytics"][
        "tables"
    ]
    assert tables["visitors"]["identities"] == declared["visitors"]["identities"]


def test_a_file_that_its_sink_has_open_is_waited_for(tmp_path: Path):
    """A sink holds it for a batch: here until somebody has waited for it."""
    path = tmp_path / "people.duckdb"
    with duckdb.connect(path) as connection:
        connection.execute(content("file"))
    hold = (
        "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('held', flush=True); input(); c.close()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        waited: list[float] = []

        def let_go(seconds: float) -> None:
            if not waited:
                holder.communicate("\n")
            waited.append(seconds)

        reader = DuckDBReader("crm", path, pause=let_go)
        assert {table.name for table in reader.tables()} == {"contacts", "visits", "colours"}
    assert waited


@pytest.mark.parametrize("reader", [SqliteReader, DuckDBReader])
def test_a_file_that_is_not_there_is_not_made(reader: type, tmp_path: Path):
    with pytest.raises(Unavailable, match="there is no file"):
        reader("crm", tmp_path / "nothing").tables()
    assert list(tmp_path.iterdir()) == []
