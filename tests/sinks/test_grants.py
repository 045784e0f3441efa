"""The least role of a sink: with it the sink works, without a part of it not, and nothing else is allowed."""

import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any
from uuid import uuid4

import psycopg2
import pytest
from sinks.people_targets import content, database, run
from sinks.shop import a_consent, an_erasure, settings

from olvido.core.canary_people import CanaryPerson
from olvido.core.errors import ConfigError, Refused, Unavailable
from olvido.core.events import Decision
from olvido.core.outcomes import Outcome
from olvido.core.subject import IdentityKind
from olvido.sinks.discovery.grants import least_role
from olvido.sinks.discovery.mapped import mapped_tables
from olvido.sinks.kinds.postgres import PostgresSink
from olvido.sinks.tables.journal_steps import steps
from olvido.sinks.tables.map_rules import read_data_map

OF_CUSTOMERS = {"table": "customers", "column": "customer_id"}
TABLES: dict[str, Any] = {
    "customers": {
        "key": "id",
        "person": "customer_no",
        "created": "created_at",
        "identities": {"customer_id": "customer_no", "email": "email", "phone": "phone"},
        "erase": "delete",
        "consent": {"marketing": {"granted": {"newsletter": True}, "withdrawn": {"newsletter": False}}},
    },
    "carts": {"key": "id", "parent": OF_CUSTOMERS, "erase": "delete"},
    "contact_form": {
        "key": "id",
        "parent": OF_CUSTOMERS,
        "identities": {"email": "reply_to"},
        "created": "sent_at",
        "erase": "anonymise",
        "set": {"reply_to": "", "message": ""},
        "null": ["ip"],
        "unlink": True,
    },
    "orders": {"key": "id", "parent": OF_CUSTOMERS, "erase": "delete"},
    "order_lines": {
        "key": "order_id",
        "parent": {"table": "orders", "column": "order_id"},
        "erase": "delete",
    },
    "products": {
        "key": "id",
        "parent": {"table": "customers", "column": "updated_by"},
        "erase": "anonymise",
        "unlink": True,
    },
    "addresses": {
        "key": "id",
        "shared_by": [{"table": "customers", "column": "address_id"}],
        "erase": "delete",
    },
}


@pytest.fixture
def shop(postgres: str) -> Iterator[str]:
    with database(postgres, content("shop")) as dsn:
        yield dsn


@pytest.fixture
def role(shop: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The least role, applied twice; the sink's address is in the environment."""
    name = f'olvido_"{uuid4().hex[:8]}%'
    statements = least_role(name, mapped_tables(read_data_map(settings({}), TABLES)))
    run(shop, statements)
    run(shop, statements)
    quoted = '"' + name.replace('"', '""') + '"'
    run(shop, f"ALTER ROLE {quoted} PASSWORD 'for-tests'")
    monkeypatch.setenv("OLVIDO_TEST_CRM", psycopg2.extensions.make_dsn(shop, user=name, password="for-tests"))
    yield name
    run(shop, f"DROP OWNED BY {quoted}; DROP ROLE {quoted}")


def address(shop: str, role: str) -> str:
    return psycopg2.extensions.make_dsn(shop, user=role, password="for-tests")


def sink() -> PostgresSink:
    return PostgresSink.from_section(settings({"dsn": {"env": "OLVIDO_TEST_CRM"}, "tables": TABLES}))


def started(ours: PostgresSink) -> None:
    """As a process of the sink does, and then a batch."""
    ours.check()
    ours.install()
    ours.apply([an_erasure(customer_id="C-20", at=datetime.now(UTC))])


def test_with_the_least_role_check_install_an_erasure_and_a_consent_work(shop: str, role: str):
    run(shop, "UPDATE customers SET newsletter = true")
    with closing(sink()) as ours:
        ours.check()
        ours.install()
        ours.install()
        [erased, withdrawn] = ours.apply(
            [
                an_erasure(customer_id="C-7", email="quimera.7@example.es", at=datetime.now(UTC)),
                a_consent(Decision.WITHDRAWN, customer_id="C-8"),
            ]
        )
    assert erased.outcome is Outcome.ANONYMISED
    assert erased.counts["customers.deleted"] == 1
    assert withdrawn.outcome is Outcome.SUPPRESSED
    assert run(shop, "SELECT newsletter FROM customers WHERE customer_no = 'C-8'") == [(False,)]
    assert run(shop, "SELECT count(*) FROM customers WHERE customer_no = 'C-7'") == [(0,)]


def test_the_least_role_brings_its_own_journal_to_the_newest_version(shop: str, role: str):
    ours_at = address(shop, role)
    with closing(sink()) as ours:
        ours.install()
    run(
        ours_at,
        "DROP VIEW olvido.row_words; ALTER TABLE olvido.row_marks RENAME TO row_words;"
        "DROP TABLE olvido.journal_version; DROP INDEX olvido.objections_of;"
        "ALTER TABLE olvido.objections DROP COLUMN released",
    )
    with closing(sink()) as ours:
        ours.check()
        ours.install()
    assert run(shop, "SELECT max(version) FROM olvido.journal_version") == [(len(steps("postgres")),)]


def test_check_says_that_a_step_is_missing_which_another_role_must_do(shop: str, role: str):
    """The tables are an administrator's: only their owner may change them."""
    for step in steps("postgres")[:1]:
        run(shop, step)
    run(shop, least_role(role, mapped_tables(read_data_map(settings({}), TABLES))))
    with closing(sink()) as ours:
        for act in (ours.check, ours.install):
            with pytest.raises(ConfigError, match=r"lacks install_2, and this role .* does not own"):
                act()
    for step in steps("postgres")[1:]:
        run(shop, step)
    run(shop, least_role(role, mapped_tables(read_data_map(settings({}), TABLES))))
    with closing(sink()) as ours:
        started(ours)


def test_a_role_that_may_not_read_the_version_is_refused_with_what_to_run(shop: str, role: str):
    with closing(sink()) as ours:
        ours.install()
        run(
            address(shop, role),
            f'REVOKE SELECT ON olvido.journal_version FROM "{role.replace(chr(34), 2 * chr(34))}"',
        )
        for act in (ours.check, ours.install):
            with pytest.raises(ConfigError, match="may not use what is in the schema olvido"):
                act()


def test_everything_else_is_refused(shop: str, role: str):
    with closing(sink()) as ours:
        ours.check()
        ours.install()
    ours_at = address(shop, role)
    for statement in (
        "SELECT * FROM audit_log",
        "SELECT * FROM countries",
        "INSERT INTO customers (id, customer_no, email) VALUES (999, 'C-999', 'quimera@example.es')",
        "UPDATE customers SET email = ''",
        "UPDATE contact_form SET sent_at = now()",
        "UPDATE products SET price = 0",
        "DELETE FROM products",
        "DELETE FROM contact_form",
        "DELETE FROM countries",
        "TRUNCATE customers",
        "CREATE SCHEMA another",
        "DROP TABLE customers",
        "SELECT * FROM pg_authid",
        "CREATE ROLE another",
    ):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            run(ours_at, statement)


def test_who_is_planted_may_be_put_in_and_nobody_else_changed(shop: str, role: str):
    canary: dict[str, Any] = {"customers": {"email": "{address}", "customer_no": "canary-{day}"}}
    run(shop, "CREATE SEQUENCE numbers START 1000 OWNED BY customers.id")
    run(shop, "ALTER TABLE customers ALTER COLUMN id SET DEFAULT nextval('numbers')")
    run(shop, least_role(role, mapped_tables(read_data_map(settings({}), TABLES)), canary))
    rows = CanaryPerson(sink="crm", day=date(2026, 11, 30)).rows(canary)
    with closing(sink()) as ours:
        ours.install()
        ours.plant(rows)
        found = ours.standing([rows])
        assert found.rows == (1,)
        [receipt] = ours.apply([an_erasure(email="canary+crm-20261130@olvido.invalid", at=found.at)])
    assert receipt.counts == {"customers.deleted": 1}
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        run(address(shop, role), "UPDATE customers SET email = ''")
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        run(address(shop, role), "INSERT INTO orders DEFAULT VALUES")


def test_no_right_can_be_left_out(shop: str, role: str):
    """Each right of each table is taken away in turn: the sink then refuses to start, or to erase."""
    statements = least_role(role, mapped_tables(read_data_map(settings({}), TABLES)))
    granted = re.findall(r'^GRANT (.*) ON ("public"\."\w+") TO (.*);$', statements, re.MULTILINE)
    assert len(granted) == len(TABLES)
    tried = 0
    for rights, table, to in granted:
        for right in re.findall(r"\w+(?: \(.*?\))?", rights):
            run(shop, f"REVOKE {right} ON {table} FROM {to}")
            with closing(sink()) as ours, pytest.raises((ConfigError, Refused, Unavailable)):
                started(ours)
            run(shop, f"GRANT {right} ON {table} TO {to}")
            tried += 1
    assert tried == 15
    with closing(sink()) as ours:
        ours.check()


def test_a_map_that_shrinks_takes_rights_away(shop: str, role: str):
    smaller = {name: table for name, table in TABLES.items() if name not in {"products", "addresses"}}
    run(shop, least_role(role, mapped_tables(read_data_map(settings({}), smaller))))
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        run(address(shop, role), "SELECT * FROM addresses")


def test_a_table_of_another_schema_is_granted_there():
    tables = {"crm.people": {"key": "id", "identities": {"email": "email"}, "erase": "delete"}}
    emails = replace(settings({}), identities=(IdentityKind.EMAIL,))
    statements = least_role("eraser", mapped_tables(read_data_map(emails, tables))).splitlines()
    assert 'GRANT USAGE ON SCHEMA "crm" TO "eraser";' in statements
    assert 'GRANT SELECT, DELETE ON "crm"."people" TO "eraser";' in statements
