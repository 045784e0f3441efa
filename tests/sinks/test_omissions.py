"""What a data map leaves out of a live PostgreSQL: each omission is found, and can be excused."""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest
from sinks.databases import MySQLDatabase
from sinks.people_targets import content, database, names_nobody, proposed, run, tables_of
from sinks.shop import settings

from olvido.core.subject import IdentityKind
from olvido.schemas.settings.deployment import Deployment
from olvido.sinks.discovery.duckdb_reader import DuckDBReader
from olvido.sinks.discovery.links import unwritten, written
from olvido.sinks.discovery.live import TargetReader
from olvido.sinks.discovery.looking import look_at
from olvido.sinks.discovery.mapped import mapped_tables
from olvido.sinks.discovery.mysql_reader import MySQLReader
from olvido.sinks.discovery.omissions import Omission, Omitted, omissions
from olvido.sinks.discovery.postgres_reader import PostgresReader
from olvido.sinks.discovery.sqlite_reader import SqliteReader
from olvido.sinks.discovery.writing import toml_of
from olvido.sinks.kinds.mysql_address import Address
from olvido.sinks.plugins import settings_of
from olvido.sinks.tables.map_rules import read_data_map

KINDS = (IdentityKind.CUSTOMER_ID, IdentityKind.EMAIL, IdentityKind.PHONE)
INDEXES = """
CREATE INDEX ON customers (lower(email));
CREATE INDEX ON customers (phone);
CREATE INDEX ON customers (address_id);
CREATE INDEX ON carts (customer_id);
CREATE INDEX ON contact_form (customer_id);
CREATE INDEX ON contact_form (lower(reply_to));
CREATE INDEX ON orders (customer_id);
CREATE INDEX ON products (updated_by);
"""


@pytest.fixture
def shop(postgres: str) -> Iterator[str]:
    """A shop with every index that its map needs."""
    with database(postgres, content("shop") + INDEXES) as dsn:
        yield dsn


@pytest.fixture
def whole(shop: str) -> dict[str, Any]:
    """A map of all of it: what is proposed, with each decision made."""
    text = toml_of(proposed(PostgresReader("crm", shop)), declared=KINDS, rows=200)
    tables = dict(tables_of(text))
    for name in ("orders", "order_lines"):
        tables[name] = {**tables[name], "erase": "delete"}
    return tables


def found(dsn: str, tables: Mapping[str, Any], excused: Mapping[str, str] | None = None) -> list[Omission]:
    reader = PostgresReader("crm", dsn)
    try:
        seen = look_at(reader, reader.tables())
        links = [*written([one.table for one in seen]), *unwritten(reader, seen)]
    finally:
        reader.close()
    data_map = read_data_map(settings({}), tables)
    return omissions(
        mapped_tables(data_map), seen, links, kinds=KINDS, excused=excused or {}, dialect="PostgreSQL"
    )


def brief(omitted: list[Omission]) -> list[tuple[str, str, str]]:
    return [(one.omitted.value, one.table, one.column) for one in omitted]


def test_a_whole_map_leaves_nothing_out(shop: str, whole: dict[str, Any]):
    assert brief(found(shop, whole)) == []


def test_a_table_that_appeared_is_found_column_by_column_and_by_what_it_hangs_on(
    shop: str, whole: dict[str, Any]
):
    run(
        shop,
        """
        CREATE TABLE newsletter (id bigint PRIMARY KEY, customer_id bigint, email text, opened boolean);
        INSERT INTO newsletter SELECT n, n, 'quimera.' || n || '@example.es', true
            FROM generate_series(1, 9) AS n;
        CREATE TABLE colours (id bigint PRIMARY KEY, label text);
        """,
    )
    omitted = found(shop, whole)
    assert brief(omitted) == [
        ("not mapped", "newsletter", "email"),
        ("hangs on a person", "newsletter", "customer_id"),
    ]
    assert omitted[0].text == "newsletter.email is not in the map: 9 of 9 samples are e-mail addresses"
    assert "no foreign key; 9 of 9 sampled values are keys of customers" in omitted[1].text
    assert all(names_nobody(repr(one)) for one in omitted)
    excused = {"newsletter.email": "goes with the list server", "newsletter.customer_id": "the same"}
    assert found(shop, whole, excused) == []
    assert found(shop, whole, {"newsletter": "the list server's own"}) == []
    assert found(shop, whole, {"public.newsletter": "the list server's own"}) == []


def test_a_table_with_a_foreign_key_to_a_person_is_found_whatever_is_in_it(shop: str, whole: dict[str, Any]):
    run(shop, "CREATE TABLE likes (id bigint PRIMARY KEY, customer_id bigint REFERENCES customers (id))")
    assert brief(found(shop, whole)) == [("hangs on a person", "likes", "customer_id")]


def test_what_is_gone_is_found_and_cannot_be_excused(shop: str, whole: dict[str, Any]):
    run(shop, "DROP TABLE carts; ALTER TABLE customers DROP COLUMN phone")
    omitted = found(shop, whole, {"carts": "gone", "customers.phone": "gone"})
    assert brief(omitted) == [
        ("column gone", "customers", "phone"),
        ("table gone", "carts", ""),
        ("excuse for nothing", "carts", ""),
        ("excuse for nothing", "customers.phone", ""),
    ]
    assert omitted[0].text == "customers has no column phone, which identities.phone names"


def test_a_labelled_column_that_is_gone_is_found(shop: str, whole: dict[str, Any]):
    customers = {**whole["customers"], "columns": {"nickname": "user.name", "full_name": "user.name"}}
    [omitted] = found(shop, {**whole, "customers": customers})
    assert brief([omitted]) == [("column gone", "customers", "nickname")]
    assert omitted.text == "customers has no column nickname, which columns names"


def test_what_stays_in_an_emptied_row_is_found(shop: str, whole: dict[str, Any]):
    form = {
        **whole["contact_form"],
        "erase": "anonymise",
        "null": ["ip"],
        "set": {"reply_to": ""},
        "unlink": True,
    }
    omitted = found(shop, {**whole, "contact_form": form})
    assert brief(omitted) == [("stays in clear", "contact_form", "message")]


def test_an_address_by_which_nobody_looks_for_rows_is_found(shop: str, whole: dict[str, Any]):
    form = {
        key: value for key, value in whole["contact_form"].items() if key not in {"identities", "created"}
    }
    [one] = found(shop, {**whole, "contact_form": form})
    assert (one.omitted, one.column) == (Omitted.NOT_SEARCHED, "reply_to")
    assert one.fix.startswith('add email = "reply_to" to identities, or excuse it')


def test_a_missing_index_comes_with_the_statement_that_makes_it(shop: str, whole: dict[str, Any]):
    run(shop, "DROP INDEX customers_lower_idx, orders_customer_id_idx")
    omitted = found(shop, whole)
    assert [one.fix for one in omitted] == [
        "CREATE INDEX CONCURRENTLY ON customers (lower(email));",
        "CREATE INDEX CONCURRENTLY ON orders (customer_id);",
    ]
    for one in omitted:
        run(shop, one.fix)
    assert found(shop, whole) == []


def test_a_map_that_names_the_schema_means_the_same_table(shop: str, whole: dict[str, Any]):
    renamed = json.loads(json.dumps(whole).replace('"customers"', '"public.customers"'))
    assert "public.customers" in renamed
    assert brief(found(shop, renamed)) == []


def test_a_table_that_goes_by_the_targets_own_rule_is_in_the_map(shop: str, whole: dict[str, Any]):
    run(
        shop,
        "CREATE TABLE likes (id bigint PRIMARY KEY, email text,"
        " customer_id bigint REFERENCES customers (id) ON DELETE CASCADE)",
    )
    assert brief(found(shop, whole)) == [
        ("not mapped", "likes", "email"),
        ("hangs on a person", "likes", "customer_id"),
    ]
    customers = {**whole["customers"], "cascades": ["likes.customer_id"]}
    assert found(shop, {**whole, "customers": customers}) == []


def test_of_a_key_of_several_columns_the_first_wants_an_index_and_of_a_document_none_does(postgres: str):
    statements = """
    CREATE TABLE users (tenant int, id bigint, email text NOT NULL, profile jsonb, PRIMARY KEY (tenant, id));
    CREATE TABLE visits (tenant int NOT NULL, user_id bigint NOT NULL,
        FOREIGN KEY (tenant, user_id) REFERENCES users (tenant, id));
    """
    tables = {
        "users": {
            "key": ["tenant", "id"],
            "identities": {
                "email": [{"column": "email", "form": "sha256"}, {"column": "profile", "json": "mail"}]
            },
            "erase": "delete",
        },
        "visits": {"parent": {"table": "users", "column": ["tenant", "user_id"]}, "erase": "delete"},
    }
    only_email = replace(settings({}), identities=(IdentityKind.EMAIL,))
    with database(postgres, statements) as dsn:
        reader = PostgresReader("crm", dsn)
        seen = look_at(reader, reader.tables())
        reader.close()
    omitted = omissions(
        mapped_tables(read_data_map(only_email, tables)),
        seen,
        written([one.table for one in seen]),
        kinds=only_email.identities,
        excused={},
        dialect="PostgreSQL",
    )
    assert [one.fix for one in omitted] == [
        "CREATE INDEX CONCURRENTLY ON users (email);",
        "CREATE INDEX CONCURRENTLY ON visits (tenant);",
    ]


@pytest.mark.parametrize(
    ("sink", "file"),
    [("crm", "crm"), ("store-cn", "store_cn"), ("store-sg", "store_sg"), ("analytics", "analytics")],
)
def test_the_maps_of_the_example_shop_leave_nothing_out(sink: str, file: str, postgres: str, tmp_path: Path):
    project = Path(__file__).parents[2]
    made = (project / f"examples/shop/{file}.sql").read_text(encoding="utf-8")
    given = settings_of(Deployment.load(project / "olvido.toml"), sink)
    path = tmp_path / file
    with database(postgres, made if sink in {"crm", "store-sg"} else "SELECT 1") as dsn:
        reader: TargetReader = PostgresReader(sink, dsn)
        if sink == "analytics":
            with duckdb.connect(path) as connection:
                connection.execute(made)
            reader = DuckDBReader(sink, path)
        elif sink == "store-cn":
            with closing(sqlite3.connect(path)) as connection:
                connection.executescript(made)
            reader = SqliteReader(sink, path)
        seen = look_at(reader, reader.tables())
        reader.close()
    omitted = omissions(
        mapped_tables(read_data_map(given, given.own["tables"])),
        seen,
        written([one.table for one in seen]),
        kinds=given.identities,
        excused={},
        dialect=reader.dialect,
    )
    assert omitted == []


def test_of_an_sqlite_file_an_index_without_regard_to_case_serves(tmp_path: Path):
    path = tmp_path / "people.sqlite"
    tables = {
        "contacts": {"key": "id", "identities": {"email": "email"}, "erase": "delete"},
        "visits": {"key": "id", "parent": {"table": "contacts", "column": "contact_id"}, "erase": "delete"},
    }
    only_email = replace(settings({}), identities=(IdentityKind.EMAIL,))

    def fixes() -> list[str]:
        reader = SqliteReader("crm", path)
        seen = look_at(reader, reader.tables())
        given = mapped_tables(read_data_map(only_email, tables))
        omitted = omissions(given, seen, [], kinds=only_email.identities, excused={}, dialect=reader.dialect)
        return [one.fix for one in omitted]

    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(content("file"))
        wanted = [
            "CREATE INDEX contacts_email ON contacts (lower(email));",
            "CREATE INDEX visits_contact_id ON visits (contact_id);",
        ]
        assert fixes() == wanted
        for statement in wanted:
            connection.execute(statement)
        assert fixes() == []
        connection.execute("DROP INDEX contacts_email")
        assert fixes() == wanted[:1]
        connection.execute("CREATE INDEX by_mail ON contacts (email COLLATE NOCASE)")
        assert fixes() == []


def test_in_mariadb_an_index_on_the_column_serves_where_its_collation_overlooks_case(mariadb_url: str):
    database = MySQLDatabase(mariadb_url)
    database.run("""
        CREATE TABLE people (id int PRIMARY KEY, email varchar(80), old text,
            exact varchar(80) COLLATE utf8mb4_bin);
        CREATE TABLE `no``tes` (id int PRIMARY KEY, person_id int)
    """)
    tables = {
        "people": {
            "key": "id", "identities": {"email": ["email", "old", "exact"]}, "erase": "delete",
        },
        "no`tes": {"key": "id", "parent": {"table": "people", "column": "person_id"}, "erase": "delete"},
    }  # fmt: skip
    only_email = replace(settings({}), identities=(IdentityKind.EMAIL,))
    given = mapped_tables(read_data_map(only_email, tables))

    def fixes() -> list[str]:
        reader = MySQLReader("crm", Address.of(mariadb_url))
        seen = look_at(reader, reader.tables())
        reader.close()
        omitted = omissions(given, seen, [], kinds=only_email.identities, excused={}, dialect=reader.dialect)
        return [one.fix for one in omitted]

    wanted = [
        "CREATE INDEX `no``tes_person_id` ON `no``tes` (person_id);",
        "CREATE INDEX people_email ON people (email);",
        "CREATE INDEX people_old ON people (old(100));",
    ]
    assert sorted(fixes()) == wanted
    for statement in wanted:
        database.run(statement)
    assert fixes() == []


def test_rows_that_point_elsewhere_contradict_a_map_that_says_they_all_point_at_one_table(tmp_path: Path):
    """Those of a refund with the same number would have gone with a person's."""
    path = tmp_path / "people.sqlite"
    logs = {"parent": {"table": "people", "column": "subject_id", "where": {}}, "erase": "delete"}
    tables = {"people": {"key": "id", "identities": {"email": "email"}, "erase": "delete"}, "logs": logs}
    only_email = replace(settings({}), identities=(IdentityKind.EMAIL,))

    def findings() -> list[tuple[str, str]]:
        reader = SqliteReader("crm", path)
        seen = look_at(reader, reader.tables())
        given = mapped_tables(read_data_map(only_email, tables))
        omitted = omissions(given, seen, [], kinds=only_email.identities, excused={}, dialect="")
        return [(one.omitted.value, one.fix) for one in omitted]

    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("""
            CREATE TABLE people (id integer PRIMARY KEY, email text);
            CREATE TABLE logs (subject_type text, subject_id integer);
            INSERT INTO logs VALUES ('Person', 1), ('Person', 2);
        """)
        assert findings() == []
        connection.execute("INSERT INTO logs VALUES ('Refund', 1)")
        connection.commit()
        assert findings() == [
            (
                "several types",
                'give where = { subject_type = "…" }, what stands there for people, or '
                'excuse it: "logs.subject_id" = "why"',
            )
        ]
        logs["parent"] = {**logs["parent"], "where": {"subject_type": "Person"}}
        assert findings() == []
