"""What is PostgreSQL's own: its catalogue, its locks, its restarts, and what its errors would give away."""

import logging
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from signal import SIGINT
from typing import Any

import psycopg2
import psycopg2.extras
import pytest
from emptied import emptied
from psycopg2.extensions import connection, cursor
from sinks.postgres_server import PostgresServer
from sinks.shop import LONG_AGO, TABLES, WITHOUT_INVOICES, a_consent, a_customer, an_erasure, settings
from sinks.targets import PostgresTarget

from olvido.core.causes import Cause
from olvido.core.errors import ConfigError, Refused, Unavailable
from olvido.core.events import Decision
from olvido.core.outcomes import Outcome
from olvido.schemas.settings.deployment import Deployment
from olvido.sinks.contract import SinkSettings
from olvido.sinks.kinds.postgres import PostgresSink
from olvido.sinks.plugins import settings_of
from olvido.sinks.tables.engine import TableRows
from olvido.sinks.tables.map_rules import read_data_map
from olvido.sinks.tables.ownership import Match

EXAMPLES = Path(__file__).parents[2] / "examples/shop"
CANARY = "canary@example.com"


@pytest.fixture
def shop(postgres_target: PostgresTarget) -> PostgresTarget:
    """The shop."""
    return postgres_target


@contextmanager
def a_sink(tables: Any = TABLES, *, checked: bool = True, **own: Any) -> Iterator[PostgresSink]:
    """A sink of the shop."""
    sink = PostgresSink.from_section(settings({"dsn": {"env": "OLVIDO_TEST_CRM"}, "tables": tables, **own}))
    if checked:
        sink.check()
        sink.install()
    yield sink
    sink.close()


MISFITS = {
    "a table that is absent": ("DROP TABLE contacts", "sinks.crm.tables.contacts", "no such table"),
    "a view": (
        "ALTER TABLE contacts RENAME TO c; CREATE VIEW contacts AS SELECT * FROM c",
        "sinks.crm.tables.contacts", "not a table"),
    "a column that is absent": (
        "ALTER TABLE customers RENAME phone TO mobile", "customers.identities.phone", "'phone'"),
    "a marked column that is absent": (
        "ALTER TABLE customers DROP restricted", "sinks.crm.tables.customers", "'restricted'"),
    "an identity of a strange type": (
        "ALTER TABLE customers ALTER phone TYPE bytea USING NULL", "customers.identities.phone", "bytea"),
    "a fence that is no instant": (
        "ALTER TABLE customers ALTER created_at TYPE text", "customers.created", "text"),
    "a parent column that fits no key": (
        "ALTER TABLE contacts ALTER customer_id TYPE date USING now()", "contacts.parent", "date"),
    "a key that is not unique": (
        "ALTER TABLE customers DROP CONSTRAINT customers_pkey", "customers.key", "primary key"),
    "a key that may be null": (
        "ALTER TABLE customers DROP CONSTRAINT customers_pkey; ALTER TABLE customers ALTER id DROP NOT NULL;"
        "CREATE UNIQUE INDEX ON customers (id)", "customers.key", "SET NOT NULL"),
    "a generated column that is emptied": (
        "ALTER TABLE tickets DROP body;"
        "ALTER TABLE tickets ADD body text GENERATED ALWAYS AS (author_name) STORED",
        "sinks.crm.tables.tickets", "'body' is generated"),
    "an identity column that is marked": (
        "ALTER TABLE customers DROP restricted;"
        "ALTER TABLE customers ADD restricted int GENERATED ALWAYS AS IDENTITY",
        "sinks.crm.tables.customers", "'restricted' is generated"),
    "a shared row pointed at by another type": (
        "ALTER TABLE customers ALTER address_id TYPE text", "addresses.shared_by", "text"),
    "a column that refuses to be unlinked": (
        "ALTER TABLE tickets ALTER customer_id SET NOT NULL", "tickets.unlink",
        "ALTER TABLE tickets ALTER customer_id DROP NOT NULL"),
    "one value set where each must differ": (
        "CREATE UNIQUE INDEX ON tickets (author_name)", "tickets.set", "put it in null"),
    "a table that shares rows and does not say so": (
        "ALTER TABLE tickets ADD place bigint REFERENCES addresses",
        "sinks.crm.tables.addresses.shared_by", "tickets (place) refers to addresses"),
    "a table outside that refers to one inside": (
        "CREATE TABLE loans (id int, customer_id bigint REFERENCES customers)",
        "sinks.crm.tables.customers", "loans (customer_id) refers to customers"),
}  # fmt: skip


@pytest.mark.parametrize("case", MISFITS)
def test_a_target_that_does_not_fit_is_refused_naming_table_and_column(
    shop: PostgresTarget, case: str
) -> None:
    change, place, what = MISFITS[case]
    shop.run(change)
    with pytest.raises(ConfigError) as caught, a_sink():
        pass
    assert place in str(caught.value)
    assert what in str(caught.value)


def test_a_label_of_a_column_that_is_absent_is_refused(shop: PostgresTarget) -> None:
    """The role may not see it, or it is mistyped: what is meant to be secret would be no secret."""
    tables = {**TABLES, "customers": {**TABLES["customers"], "columns": {"pin_hash": {"secret": True}}}}
    with pytest.raises(ConfigError) as caught, a_sink(tables):
        pass
    assert str(caught.value).startswith("olvido.toml: sinks.crm.tables.customers.columns: ")
    assert "'pin_hash'" in str(caught.value)


TWO_PEOPLE = "ADD recipient_id bigint REFERENCES customers"

# What a deletion would do by a foreign key that the data map does not know of: the change, and what is said.
UNSEEN = {
    "a second key that stops deletions": (f"ALTER TABLE contacts {TWO_PEOPLE}", "contacts (recipient_id)"),
    "one that is checked at the end": (
        f"ALTER TABLE contacts {TWO_PEOPLE} DEFERRABLE INITIALLY DEFERRED", "contacts (recipient_id)"),
    "one that restricts": (
        f"ALTER TABLE contacts {TWO_PEOPLE} ON DELETE RESTRICT", "contacts (recipient_id)"),
    "one that cascades": (f"ALTER TABLE contacts {TWO_PEOPLE} ON DELETE CASCADE", "ON DELETE CASCADE"),
    "one that sets null": (f"ALTER TABLE contacts {TWO_PEOPLE} ON DELETE SET NULL", "ON DELETE SET NULL"),
    "one that sets a default": (
        f"ALTER TABLE contacts {TWO_PEOPLE} ON DELETE SET DEFAULT", "ON DELETE SET DEFAULT"),
    "rows that are retained": (
        "ALTER TABLE invoices ADD referred_by bigint REFERENCES customers ON DELETE CASCADE",
        "invoices (referred_by)"),
    "a cascade into a table outside": (
        "CREATE TABLE loans (id int, customer_id bigint REFERENCES customers ON DELETE CASCADE)",
        'add it to the data map with parent = { table = "customers", column = "customer_id" }'),
    "a cascade from a child": (
        "CREATE TABLE calls (id int, contact bigint REFERENCES contacts ON DELETE CASCADE)",
        "calls (contact) refers to contacts"),
    "a letter that would be cut loose": (
        "CREATE TABLE letters (id int, customer_id bigint REFERENCES customers ON DELETE SET NULL)",
        "letters (customer_id) refers to customers"),
    "a table that refers to itself": (
        "ALTER TABLE customers ADD referred_by bigint REFERENCES customers ON DELETE CASCADE",
        "customers (referred_by) refers to customers"),
    "another column than the key": (
        "ALTER TABLE customers ADD UNIQUE (customer_no); "
        "ALTER TABLE contacts ADD no text REFERENCES customers (customer_no) ON DELETE CASCADE",
        "other columns than the key 'id'"),
    "a partition that points": (
        "CREATE TABLE loans (id int, at date, customer_id bigint) PARTITION BY RANGE (at);"
        "CREATE TABLE loans_1 PARTITION OF loans FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');"
        "ALTER TABLE loans_1 ADD FOREIGN KEY (customer_id) REFERENCES customers ON DELETE CASCADE",
        "loans_1 (customer_id)"),
    "rows of a table that inherits": (
        "CREATE TABLE contacts_2 (PRIMARY KEY (id)) INHERITS (contacts);"
        "CREATE TABLE calls (id int, contact bigint REFERENCES contacts_2 ON DELETE CASCADE)",
        "calls (contact) refers to contacts"),
    "a shared row that would leave others loose": (
        "ALTER TABLE tickets ADD place bigint REFERENCES addresses ON DELETE SET NULL",
        "tickets (place) refers to addresses"),
    "a column that is emptied while others point at it": (
        "ALTER TABLE tickets ADD UNIQUE (author_name);"
        "CREATE TABLE quotes (id int, author text REFERENCES tickets (author_name) ON UPDATE CASCADE)",
        "quotes (author) refers to"),
}  # fmt: skip


@pytest.mark.parametrize("case", UNSEEN)
def test_a_foreign_key_that_would_act_unseen_is_refused(shop: PostgresTarget, case: str) -> None:
    """Erasing one customer deleted another's order, and the receipt counted neither."""
    change, what = UNSEEN[case]
    shop.run(change)
    tables = {**TABLES, "tickets": {**TABLES["tickets"], "set": {"body": ""}, "null": ["author_name"]}}
    with pytest.raises(ConfigError) as caught, a_sink(tables):
        pass
    assert str(caught.value).startswith("olvido.toml: sinks.crm.tables.")
    assert what in str(caught.value)


@pytest.mark.parametrize("action", ["NO ACTION", "RESTRICT", "CASCADE", "SET NULL", "SET DEFAULT"])
def test_a_foreign_key_along_the_map_may_do_what_it_likes(shop: PostgresTarget, action: str) -> None:
    for child in ("contacts", "enquiries", "tickets", "invoices"):
        shop.run(f"ALTER TABLE {child} ADD FOREIGN KEY (customer_id) REFERENCES customers ON DELETE {action}")
    shop.run(f"ALTER TABLE customers ADD FOREIGN KEY (address_id) REFERENCES addresses ON DELETE {action}")
    shop.add("addresses", {"id": 1, "street": "Calle"})
    shop.add("customers", a_customer(1, address_id=1), a_customer(2, address_id=1))
    shop.add("contacts", {"id": 1, "customer_id": 1, "note": "n"})
    shop.add("invoices", {"id": 1, "customer_id": 1, "total": 7})
    with a_sink() as sink:
        [receipt] = sink.apply([an_erasure(customer_id="C-1")])
    assert receipt.counts == {"customers.deleted": 1, "contacts.deleted": 1, "invoices.retained": 1}
    assert shop.rows("invoices") == [(1, None, 7)]
    assert len(shop.rows("addresses")) == 1


@pytest.mark.parametrize("name", ["crm", "store-sg"])
def test_the_repositorys_own_systems_fit_its_data_maps(
    shop: PostgresTarget, deployment: Deployment, name: str
) -> None:
    shop.run("DROP TABLE addresses, customers, contacts, enquiries, tickets, invoices")
    shop.run((EXAMPLES / f"{name.replace('-', '_')}.sql").read_text("utf-8"))
    section = settings_of(deployment, name)
    sink = PostgresSink(section, shop.dsn, read_data_map(section, section.own["tables"]))
    sink.check()
    sink.close()


def test_rows_hidden_by_row_security_are_not_called_absent(
    shop: PostgresTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.run("ALTER TABLE customers ENABLE ROW LEVEL SECURITY")
    with (
        as_role(shop, monkeypatch, "GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}"),
        a_sink(checked=False) as sink,
        pytest.raises(ConfigError, match="row security"),
    ):
        sink.check()


def test_a_role_without_the_rights_is_told_before_a_row_is_touched(
    shop: PostgresTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        as_role(shop, monkeypatch, "GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}"),
        a_sink(checked=False) as sink,
        pytest.raises(ConfigError, match="GRANT"),
    ):
        sink.check()


@contextmanager
def as_role(shop: PostgresTarget, monkeypatch: pytest.MonkeyPatch, grant: str) -> Iterator[None]:
    """The sink connects as a role with these rights."""
    role = "r_" + psycopg2.extensions.parse_dsn(shop.dsn)["dbname"]
    shop.run(f"CREATE ROLE {role} LOGIN")
    shop.run(f"GRANT CREATE ON DATABASE {role[2:]} TO {role}; " + grant.format(role=role))
    parts = {**psycopg2.extensions.parse_dsn(shop.dsn), "user": role}
    monkeypatch.setenv("OLVIDO_TEST_CRM", psycopg2.extensions.make_dsn(**parts))
    try:
        yield
    finally:
        shop.run(f"DROP OWNED BY {role}; DROP ROLE {role}")


def test_a_column_that_refuses_to_be_emptied_is_named_with_the_ways_out(shop: PostgresTarget) -> None:
    shop.run("ALTER TABLE tickets ALTER body SET NOT NULL")
    tickets = {**TABLES["tickets"], "set": {"author_name": ""}, "null": ["body"]}
    way_out = r"tickets\.null: .*use set, or ALTER TABLE tickets ALTER body DROP NOT NULL"
    with pytest.raises(ConfigError, match=way_out), a_sink({**TABLES, "tickets": tickets}):
        pass


def test_a_missing_index_is_only_told_and_not_by_each_ping(
    shop: PostgresTarget, caplog: pytest.LogCaptureFixture
) -> None:
    with a_sink() as sink, caplog.at_level(logging.DEBUG):
        assert sink.check() == ()
        shop.run("DROP INDEX customers_lower_idx")
        slow = "no index begins with lower(email) on customers; each batch reads the whole table"
        assert sink.check() == (slow,)
        sink.ping()
        assert caplog.text == ""


def test_a_column_that_vanishes_while_running_is_named_the_next_time(shop: PostgresTarget) -> None:
    with a_sink() as sink:
        shop.run("ALTER TABLE customers RENAME phone TO mobile")
        with pytest.raises(Unavailable, match="have changed"):
            sink.apply([an_erasure(phone="+34")])
        with pytest.raises(ConfigError, match="'phone'"):
            sink.apply([an_erasure(phone="+34")])


def test_tables_may_stand_in_a_schema_and_keys_be_of_other_types(shop: PostgresTarget) -> None:
    shop.run("""
        CREATE SCHEMA hr;
        CREATE TABLE hr."order" (ref uuid PRIMARY KEY DEFAULT gen_random_uuid(), customer_no int,
            email varchar(50));
        CREATE TABLE hr.items (code varchar(9) PRIMARY KEY, "order" uuid REFERENCES hr."order");
        INSERT INTO hr."order" (customer_no, email) VALUES (1, 'A@x.org'), (2, 'b@x.org');
        INSERT INTO hr.items SELECT 'i' || customer_no, ref FROM hr."order";
    """)
    tables = {
        "hr.order": {
            "key": "ref",
            "identities": {"customer_id": "customer_no", "email": "email"},
            "erase": "delete",
        },
        "hr.items": {"key": "code", "parent": {"table": "hr.order", "column": "order"}, "erase": "delete"},
        "customers": TABLES["customers"],
    }
    with a_sink(tables) as sink:
        receipts = sink.apply(
            [an_erasure(customer_id="x1"), an_erasure(customer_id="99999999999"), an_erasure(customer_id="1")]
        )
    assert [receipt.outcome for receipt in receipts] == [Outcome.NOT_FOUND, Outcome.NOT_FOUND, Outcome.ERASED]
    assert receipts[2].counts == {"hr.order.deleted": 1, "hr.items.deleted": 1}
    assert shop.run("SELECT code FROM hr.items") == [("i2",)]


def test_it_makes_no_difference_what_else_the_process_taught_psycopg2(shop: PostgresTarget) -> None:
    """Other rooms may have ids read as UUID, or JSON as text, for the whole process."""
    shop.add("customers", a_customer(1))
    ids = psycopg2.extensions.string_types.get(2950)
    psycopg2.extras.register_uuid()
    psycopg2.extras.register_default_jsonb(globally=True, loads=str)
    try:
        with a_sink() as sink:
            consent = a_consent(Decision.WITHDRAWN, customer_id="C-1")
            first = sink.apply([consent, an_erasure(customer_id="C-1")])
            assert [receipt.outcome for receipt in first] == [Outcome.SUPPRESSED, Outcome.ERASED]
            assert sink.apply([consent])[0] == first[0]
    finally:
        psycopg2.extras.register_default_jsonb(globally=True)
        psycopg2.extensions.register_type(ids or psycopg2.STRING)


def test_values_of_any_type_are_set_and_read_back(shop: PostgresTarget) -> None:
    shop.run("""
        CREATE TYPE mood AS ENUM ('glad', 'gone');
        CREATE TABLE notes (id int PRIMARY KEY, email text, m mood, price numeric(9, 2), code char(4),
            doc json, at date);
        INSERT INTO notes VALUES (1, 'a@x.org', 'glad', 7.5, 'ab', '{"a": 1}', '2026-01-01');
    """)
    notes = {
        "key": "id", "identities": {"email": "email"}, "erase": "anonymise", "null": ["email"],
        "set": {"m": "gone", "price": 0, "code": "x", "doc": "{}", "at": "1900-01-01"},
    }  # fmt: skip
    with a_sink({"notes": notes, "customers": TABLES["customers"]}) as sink:
        [receipt] = sink.apply([an_erasure(email="A@x.org")])
    assert receipt.outcome is Outcome.ANONYMISED
    assert shop.run("SELECT email, m::text, price::text, code, doc::text, at::text FROM notes") == [
        (None, "gone", "0.00", "x   ", "{}", "1900-01-01")
    ]


def test_rows_that_a_trigger_keeps_are_still_there(shop: PostgresTarget) -> None:
    """A target may refuse quietly. Then nothing is claimed and nothing is changed."""
    shop.add("customers", a_customer(1), a_customer(2))
    shop.run("""
        CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
        CREATE TRIGGER keep BEFORE DELETE ON customers FOR EACH ROW WHEN (old.id = 2) EXECUTE FUNCTION keep();
    """)
    with a_sink() as sink:
        with pytest.raises(Refused) as caught:
            sink.apply([an_erasure(customer_id="C-1"), an_erasure(customer_id="C-2")])
        assert (caught.value.cause, caught.value.field) == (Cause.STILL_THERE, "customers")
        assert len(shop.rows("customers")) == 2
        assert sink.apply([an_erasure(customer_id="C-1")])[0].outcome is Outcome.ERASED


# What is about one row, though PostgreSQL numbers it like a lost right, a missing table, a full server.
OF_ONE_ROW = {
    "a statement that takes too long": ("RAISE SQLSTATE '57014'", Cause.TOO_SLOW),
    "a lock that nobody gives up": ("RAISE SQLSTATE '55P03'", Cause.TOO_SLOW),
    "a trigger that allows no deletion": ("RAISE SQLSTATE '42501'", Cause.REFUSED_BY_TARGET),
    "a trigger that calls what is not there": ("PERFORM no_such_function()", Cause.REFUSED_BY_TARGET),
    "a trigger that reads what is not there": ("PERFORM 1 FROM no_such_table", Cause.REFUSED_BY_TARGET),
    "a trigger that sets a generated column": (
        "UPDATE made SET doubled = 1", Cause.REFUSED_BY_TARGET),
    "a check that the rest would violate": ("INSERT INTO made (n) VALUES (-1)", Cause.REFUSED_BY_TARGET),
    "a table in no state to be written": ("RAISE SQLSTATE '55000'", Cause.REFUSED_BY_TARGET),
}  # fmt: skip


@pytest.mark.parametrize("case", OF_ONE_ROW)
def test_a_fault_of_one_row_parks_its_task_and_holds_up_nobody_else(shop: PostgresTarget, case: str) -> None:
    act, cause = OF_ONE_ROW[case]
    shop.add("customers", a_customer(1), a_customer(2))
    shop.run(f"""
        CREATE TABLE made (n int CHECK (n > 0), doubled int GENERATED ALWAYS AS (2 * n) STORED);
        CREATE FUNCTION veto() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN {act}; RETURN old; END$$;
        CREATE TRIGGER veto BEFORE DELETE ON customers FOR EACH ROW WHEN (old.id = 1) EXECUTE FUNCTION veto();
    """)
    with a_sink() as sink:
        for batch in ([1, 2], [1]):
            with pytest.raises(Refused) as caught:
                sink.apply([an_erasure(customer_id=f"C-{n}") for n in batch])
            assert caught.value.cause is cause
        assert sink.apply([an_erasure(customer_id="C-2")])[0].outcome is Outcome.ERASED
        [told] = sink.rehearse([an_erasure(customer_id="C-1").task], lambda _: an_erasure(customer_id="C-1"))
        assert told.receipt is None
    assert [row[0] for row in shop.rows("customers")] == [1]


def test_a_row_that_somebody_keeps_locked_parks_its_task(shop: PostgresTarget) -> None:
    shop.add("customers", a_customer(1), a_customer(2))
    with (
        a_sink(lock_timeout_s=0.1) as sink,
        uncommitted(shop, "SELECT * FROM customers WHERE id = 1 FOR UPDATE"),
    ):
        with pytest.raises(Refused) as caught:
            sink.apply([an_erasure(customer_id="C-1")])
        assert caught.value.cause is Cause.TOO_SLOW
        assert sink.apply([an_erasure(customer_id="C-2")])[0].outcome is Outcome.ERASED


@pytest.mark.parametrize("change", ["REVOKE DELETE ON customers FROM {role}", "DROP TABLE contacts",
                                    "REVOKE INSERT ON olvido.applied FROM {role}",
                                    "DROP SCHEMA olvido CASCADE"])  # fmt: skip
def test_a_right_or_table_that_is_lost_stops_the_sink_and_parks_nobody(
    shop: PostgresTarget, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    shop.add("customers", a_customer(1))
    with a_sink():
        pass  # the journal is the superuser's
    grant = (
        "GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}; GRANT USAGE ON SCHEMA olvido TO {role};"
        "GRANT ALL ON ALL TABLES IN SCHEMA olvido TO {role}"
    )
    with as_role(shop, monkeypatch, grant), a_sink() as sink:
        role = "r_" + psycopg2.extensions.parse_dsn(shop.dsn)["dbname"]
        shop.run(change.format(role=role))
        with pytest.raises(Unavailable, match="have changed"):
            sink.apply([an_erasure(customer_id="C-1")])
    assert len(shop.rows("customers")) == 1


def test_what_was_done_outlives_a_crash_whatever_the_targets_default(shop: PostgresTarget) -> None:
    """The receipt goes out after the COMMIT; with synchronous_commit = off a crash then forgets both."""
    name = shop.run("SELECT current_database()")[0][0]
    for word in ("off", "local", "remote_write", "remote_apply"):
        shop.run(f'ALTER DATABASE "{name}" SET synchronous_commit = {word}')
        shop.run("""
            DROP TABLE IF EXISTS seen;
            CREATE TABLE seen (word text);
            CREATE OR REPLACE FUNCTION see() RETURNS trigger LANGUAGE plpgsql
                AS $$BEGIN INSERT INTO seen VALUES (current_setting('synchronous_commit')); RETURN old; END$$;
            CREATE OR REPLACE TRIGGER see BEFORE DELETE ON customers FOR EACH ROW EXECUTE FUNCTION see();
        """)
        shop.add("customers", a_customer(1))
        with a_sink() as sink:
            sink.apply([an_erasure(customer_id="C-1")])
        assert shop.run("SELECT * FROM seen") == [("remote_apply" if word == "remote_apply" else "on",)]


def test_an_error_of_the_targets_gives_no_identity_away(
    shop: PostgresTarget, caplog: pytest.LogCaptureFixture
) -> None:
    shop.add("customers", a_customer(1, email=CANARY))
    shop.run("""
        CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql
            AS 'BEGIN RAISE EXCEPTION ''%'', old.email; END';
        CREATE TRIGGER shout BEFORE DELETE ON customers FOR EACH ROW EXECUTE FUNCTION shout();
    """)
    with a_sink() as sink, caplog.at_level(logging.DEBUG), pytest.raises(Refused) as caught:
        sink.apply([an_erasure(email=CANARY)])
    error: BaseException | None = caught.value
    assert caught.value.cause is Cause.REFUSED_BY_TARGET
    assert error is not None
    assert error.__suppress_context__
    assert CANARY not in f"{error!r}{error}{caplog.text}"


@pytest.mark.parametrize(
    ("dsn", "kind"),
    [
        ("postgresql://me:s3cr3t@127.0.0.1:1/x", Unavailable),
        ("postgresql://me:s3cr3t@[::1/x", ConfigError),
        ("host=127.0.0.1 password=s3cr3t nonsense", ConfigError),
        ("host=no-such-host.invalid password=s3cr3t", Unavailable),
    ],
)
def test_a_wrong_address_gives_no_password_away(
    monkeypatch: pytest.MonkeyPatch, dsn: str, kind: type[Exception]
) -> None:
    monkeypatch.setenv("OLVIDO_TEST_CRM", dsn)
    with a_sink(checked=False) as sink, pytest.raises(kind) as caught:
        sink.check()
    assert "s3cr3t" not in f"{caught.value!r}{sink!r}"
    assert "sink" in str(caught.value)


def test_a_dsn_written_out_is_refused_and_not_repeated() -> None:
    with pytest.raises(ConfigError) as caught:
        PostgresSink.from_section(settings({"dsn": "postgresql://me:s3cr3t@h/x", "tables": TABLES}))
    assert "sinks.crm.dsn" in str(caught.value)
    assert "s3cr3t" not in str(caught.value)


class Counting(cursor):
    """Counts the statements of all cursors."""

    count = 0

    def execute(self, query: Any, vars: Any = None) -> None:
        Counting.count += 1
        super().execute(query, vars)


def test_the_number_of_statements_does_not_grow_with_the_tasks(
    shop: PostgresTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.add("customers", *(a_customer(n) for n in range(60)))
    connect = psycopg2.connect
    monkeypatch.setattr(psycopg2, "connect", lambda *a, **k: connect(*a, cursor_factory=Counting, **k))
    with a_sink() as sink:
        counts = []
        for batch in ([1], range(10, 60)):
            Counting.count = 0
            sink.apply([an_erasure(customer_id=f"C-{n}", email=f"person{n}@example.com") for n in batch])
            counts.append(Counting.count)
    assert counts[0] == counts[1] < 25


class LosesTheAnswer(connection):
    """Its first COMMIT is done, but the answer to it is lost."""

    lost = 0

    def commit(self) -> None:
        super().commit()
        if LosesTheAnswer.lost:
            LosesTheAnswer.lost -= 1
            self.close()
            raise psycopg2.OperationalError("server closed the connection unexpectedly")


def test_a_commit_whose_answer_is_lost_is_harmless(
    shop: PostgresTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Failure F19."""
    shop.add("customers", a_customer(1))
    connect = psycopg2.connect
    monkeypatch.setattr(
        psycopg2, "connect", lambda *a, **k: connect(*a, connection_factory=LosesTheAnswer, **k)
    )
    with a_sink() as sink:
        task = an_erasure(customer_id="C-1")
        LosesTheAnswer.lost = 1
        with pytest.raises(Unavailable):
            sink.apply([task])
        [receipt] = sink.apply([task])
    assert receipt.counts == {"customers.deleted": 1}


def test_two_processes_with_the_same_batch_have_one_effect_and_one_answer(shop: PostgresTarget) -> None:
    """A zombie that goes on after a rebalance (KIP-98's question, without its answer)."""
    shop.add("customers", *(a_customer(n) for n in range(40)))
    batch = [an_erasure(customer_id=f"C-{n}") for n in range(40)]
    start = threading.Barrier(2)

    def work(tasks: list[Any]) -> Any:
        with a_sink() as sink:
            start.wait()
            return sink.apply(tasks)

    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(work, (batch, batch[::-1]))
    assert list(one) == list(other)[::-1]
    assert all(receipt.counts == {"customers.deleted": 1} for receipt in one)


@pytest.mark.parametrize("before", ["new", "known"])
def test_the_last_two_at_an_address_leave_none_behind_whoever_comes_first(
    shop: PostgresTarget, monkeypatch: pytest.MonkeyPatch, before: str
) -> None:
    """Each saw the other's row in its snapshot, so neither deleted the address, and both said verified."""
    people = 3 if before == "known" else 2
    shop.add("addresses", {"id": 1, "street": "Calle"})
    shop.add("customers", *(a_customer(n, address_id=1) for n in range(people)))
    both, first = threading.Barrier(2), threading.local()
    remembered = TableRows.remembered

    def together(rows: TableRows, keys: Any) -> Any:
        known = remembered(rows, keys)  # each has its snapshot from here on
        if not getattr(first, "done", False):
            first.done = True
            both.wait(timeout=30)
        return known

    def leave(number: int) -> Any:
        with a_sink(checked=False) as sink:
            return sink.apply([an_erasure(customer_id=f"C-{number}")])

    with a_sink() as sink:
        if before == "known":  # somebody left before, so the address is in the list already
            sink.apply([an_erasure(customer_id="C-2")])
    monkeypatch.setattr(TableRows, "remembered", together)
    with ThreadPoolExecutor(2) as pool:
        receipts = [receipt for [receipt] in pool.map(leave, (0, 1))]
    assert [receipt.outcome for receipt in receipts] == [Outcome.ERASED, Outcome.ERASED]
    assert sum(receipt.counts.get("addresses.deleted", 0) for receipt in receipts) == 1
    assert shop.rows("addresses") == []
    assert shop.run("SELECT * FROM olvido.shared_rows") == []


@pytest.mark.parametrize("races", [20, pytest.param(200, marks=pytest.mark.proof)])
@pytest.mark.parametrize("way", ["shared_by", "pointed_at_by"])
def test_the_last_two_at_an_address_race_and_leave_none_behind(
    shop: PostgresTarget, way: str, races: int
) -> None:
    """Without anything that lines them up: 52 of 60 such races once left the address behind."""
    tables = {
        "customers": {"key": "id", "identities": {"customer_id": "customer_no"}, "erase": "delete"},
        "addresses": {"key": "id", way: [{"table": "customers", "column": "address_id"}], "erase": "delete"},
    }
    with closing(a_member(tables)) as one, closing(a_member(tables)) as other, ThreadPoolExecutor(2) as pool:
        for _ in range(races):
            shop.run(
                "INSERT INTO addresses VALUES (1, 'Calle'); "
                "INSERT INTO customers (id, customer_no, address_id) VALUES (1, 'C-1', 1), (2, 'C-2', 1)"
            )
            batches = ([an_erasure(customer_id="C-1")], [an_erasure(customer_id="C-2")])
            work = [pool.submit(sink.apply, batch) for sink, batch in zip((one, other), batches, strict=True)]
            receipts = [receipt for each in work for receipt in each.result()]
            # Who was first was the only one to find somebody else there.
            first = Outcome.ERASED if way == "shared_by" else Outcome.AMBIGUOUS
            taking = [receipt for receipt in receipts if receipt.counts.get("addresses.deleted")]
            assert [receipt.outcome for receipt in taking] == [Outcome.ERASED]
            assert [receipt.outcome for receipt in receipts if receipt not in taking] == [first]
            assert shop.rows("addresses") == shop.rows("customers") == []


def a_member(tables: Mapping[str, Any]) -> PostgresSink:
    """A member of a sink's group, ready."""
    own = {"dsn": {"env": "OLVIDO_TEST_CRM"}, "tables": tables}
    given = settings(own)
    sink = PostgresSink.from_section(
        SinkSettings(
            name=given.name, region=given.region, identities=given.identities[:1], purposes=(), own=own
        )
    )
    sink.check()
    sink.install()
    return sink


@contextmanager
def uncommitted(shop: PostgresTarget, query: str) -> Iterator[connection]:
    """Another program in the middle of a transaction."""
    with closing(psycopg2.connect(shop.dsn)) as other, other.cursor() as cur:
        cur.execute(query)
        yield other


def wait_until_blocked(shop: PostgresTarget, work: Future[Any]) -> None:
    """Until a sink waits for somebody's lock."""
    waiting = (
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name = 'olvido'"
    )
    while shop.run(waiting) == [(0,)]:
        assert not work.done(), work.exception()


def test_a_zombie_that_touched_no_row_is_met_in_the_journal(shop: PostgresTarget) -> None:
    """It did the task after this batch looked: what it did is rolled back, and the zombie's answer stands."""
    shop.add("customers", a_customer(1))
    one = an_erasure(customer_id="C-1")
    zombie = (
        "INSERT INTO olvido.applied (task_id, generation, outcome, counts, detail, applied_at) "
        f"VALUES ('{one.task.task_id}', 0, 'not_found', '{{}}', 'by customer_id', now())"
    )
    with a_sink() as sink, ThreadPoolExecutor(1) as pool:
        with uncommitted(shop, zombie) as other:
            work = pool.submit(sink.apply, [one])
            wait_until_blocked(shop, work)
            other.commit()
        [receipt] = work.result()
    assert (receipt.outcome, receipt.detail) == (Outcome.NOT_FOUND, "by customer_id")
    assert len(shop.rows("customers")) == 1


def test_a_child_that_is_being_inserted_goes_too(shop: PostgresTarget) -> None:
    """Its foreign key would be violated: the sink looks again, and finds it."""
    shop.run("ALTER TABLE contacts ADD FOREIGN KEY (customer_id) REFERENCES customers")
    shop.add("customers", a_customer(1))
    with a_sink() as sink, ThreadPoolExecutor(1) as pool:
        with uncommitted(shop, "INSERT INTO contacts VALUES (1, 1, 'n')") as other:
            work = pool.submit(sink.apply, [an_erasure(customer_id="C-1")])
            wait_until_blocked(shop, work)
            other.commit()
        [receipt] = work.result()
    assert receipt.counts == {"customers.deleted": 1, "contacts.deleted": 1}


def test_a_row_that_changes_hands_meanwhile_is_its_new_owners(shop: PostgresTarget) -> None:
    shop.add("customers", a_customer(1))
    with a_sink() as sink, ThreadPoolExecutor(1) as pool:
        with uncommitted(shop, "UPDATE customers SET customer_no = 'C-2'") as other:
            work = pool.submit(sink.apply, [an_erasure(customer_id="C-1")])
            wait_until_blocked(shop, work)
            other.commit()
        [receipt] = work.result()
    assert receipt.outcome is Outcome.NOT_FOUND
    assert len(shop.rows("customers")) == 1


def test_what_is_known_by_the_number_of_the_person_is_not_read_again_by_an_address(
    shop: PostgresTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the row itself nor what a key holds to it; what hangs on somebody else is, and is kept."""
    shop.run("ALTER TABLE enquiries ADD FOREIGN KEY (customer_id) REFERENCES customers")
    shop.add("customers", a_customer(1), a_customer(2, phone=a_customer(1)["phone"]))
    enquiry = {"from_email": "person1@example.com", "body": "b", "received_at": LONG_AGO}
    shop.add("enquiries", *({"id": n, "customer_id": of, **enquiry} for n, of in enumerate((1, 2, None))))
    read: list[tuple[str, int]] = []
    match = TableRows.match

    def counted(rows: TableRows, name: str, *given: Any) -> list[Match]:
        found = match(rows, name, *given)
        read.append((name, len(found)))
        return found

    monkeypatch.setattr(TableRows, "match", counted)
    person = {"customer_id": "C-1", "email": "person1@example.com", "phone": a_customer(1)["phone"]}
    with a_sink() as sink:
        [receipt] = sink.apply([an_erasure(**person)])
    # By the number the person's row, by telephone another one; the two enquiries that hang elsewhere.
    assert read[:2] == [("customers", 2), ("enquiries", 2)]
    assert receipt.outcome is Outcome.AMBIGUOUS
    assert receipt.counts == {"customers.deleted": 1, "enquiries.deleted": 2}
    assert [row[0] for row in shop.rows("enquiries")] == [1]
    assert [row[0] for row in shop.rows("customers")] == [2]


def test_a_constraint_that_stands_for_good_is_refused(shop: PostgresTarget) -> None:
    """A foreign key made after the check, from a table that the data map does not know."""
    shop.add("customers", a_customer(1))
    with a_sink() as sink:
        shop.run("CREATE TABLE loans (customer_id bigint REFERENCES customers); INSERT INTO loans VALUES (1)")
        with pytest.raises(Refused) as caught:
            sink.apply([an_erasure(customer_id="C-1")])
    assert caught.value.cause is Cause.REFUSED_BY_TARGET
    assert "loans" in caught.value.field
    assert len(shop.rows("customers")) == 1


def test_a_target_that_only_reads_for_now_is_waited_for_and_refuses_nothing(shop: PostgresTarget) -> None:
    """As a standby does, until it has taken over."""
    shop.add("customers", a_customer(1))
    with a_sink() as sink:
        name = shop.run("SELECT current_database()")[0][0]
        shop.run(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
        sink.close()
        with pytest.raises(Unavailable):
            sink.apply([an_erasure(customer_id="C-1")])
        shop.run(f'SET transaction_read_only = off; ALTER DATABASE "{name}" RESET ALL')
        sink.close()
        assert [one.outcome for one in sink.apply([an_erasure(customer_id="C-1")])] == [Outcome.ERASED]


def test_a_server_that_is_restarted_mid_batch_is_gone_on_with(
    own_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = PostgresTarget(emptied(own_server.dsn), monkeypatch)
    shop.add("customers", *(a_customer(n) for n in range(5)))
    batch = [an_erasure(customer_id=f"C-{n}") for n in range(4)]
    with a_sink() as sink, ThreadPoolExecutor(1) as pool:
        other = psycopg2.connect(shop.dsn)
        other.cursor().execute("SELECT * FROM customers WHERE id = 3 FOR UPDATE")
        work = pool.submit(sink.apply, batch)
        wait_until_blocked(shop, work)
        own_server.stop()
        with pytest.raises(Unavailable):
            work.result()
        with pytest.raises(Unavailable, match="Connection refused"):
            sink.apply(batch)
        own_server.start()
        receipts = sink.apply(batch)
        other.close()
    assert {receipt.outcome for receipt in receipts} == {Outcome.ERASED}
    assert [row[0] for row in shop.rows("customers")] == [4]


def test_what_was_answered_is_there_after_the_server_was_killed_at_the_commit(
    own_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its owner has switched synchronous_commit off, and it writes what was committed only after 10 s."""
    shop = PostgresTarget(emptied(own_server.dsn), monkeypatch)
    name = shop.run("SELECT current_database()")[0][0]
    with closing(psycopg2.connect(shop.dsn)) as admin, admin.cursor() as cur:
        admin.autocommit = True
        cur.execute(f'ALTER DATABASE "{name}" SET synchronous_commit = off')
        cur.execute("ALTER SYSTEM SET wal_writer_delay = '10s'")
        cur.execute("ALTER SYSTEM SET wal_writer_flush_after = '1GB'")
    own_server.stop()
    own_server.start()
    shop.add("customers", a_customer(1), a_customer(2))
    with a_sink() as sink:
        shop.run("CHECKPOINT")
        [receipt] = sink.apply([an_erasure(customer_id="C-1")])
        own_server.stop()
        own_server.start()
        assert receipt.outcome is Outcome.ERASED
        assert [row[0] for row in shop.rows("customers")] == [2]
        assert shop.run("SELECT outcome FROM olvido.applied") == [("erased",)]
    with closing(psycopg2.connect(shop.dsn)) as admin, admin.cursor() as cur:
        admin.autocommit = True
        cur.execute("ALTER SYSTEM RESET ALL")


def test_a_backup_that_was_put_back_is_noticed_with_the_instant_up_to_which_nothing_is_lost(
    own_server: PostgresServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog
) -> None:
    shop = PostgresTarget(emptied(own_server.dsn), monkeypatch)
    shop.add("customers", a_customer(1), a_customer(2))
    with a_sink() as sink:
        sink.apply([an_erasure(customer_id="C-1")])
        sink.ping()
        assert sink.lineage().left_at is None
    [(seen_at,)] = shop.run("SELECT last_seen_at FROM olvido.lineages")
    own_server.stop(signal=SIGINT)
    own_server.copy(tmp_path / "backup")
    own_server.start()
    with a_sink() as sink:
        sink.apply([an_erasure(customer_id="C-2")])
        assert sink.lineage().left_at is None
        own_server.stop(signal=SIGINT)
        own_server.put_back(tmp_path / "backup")
        own_server.start()
        assert [row[0] for row in shop.rows("customers")] == [2]
        with pytest.raises(Unavailable):
            sink.ping()
        # It goes on, as a sink does after a fail-over, and is asked before it has noted anything.
        assert sink.lineage().left_at == seen_at
        sink.ping()
        sink.ping()
        assert sink.lineage().left_at == seen_at
    assert caplog.text.count("failed over or was restored") == 1


def test_the_journal_and_the_tables_of_olvido_hold_no_identity(shop: PostgresTarget) -> None:
    shop.add("customers", a_customer(1, email=CANARY))
    with a_sink(WITHOUT_INVOICES) as sink:
        sink.apply([an_erasure(email=CANARY)])
    for table in ("applied", "consent_state", "objections", "row_marks", "shared_rows"):
        assert CANARY not in str(shop.run(f"SELECT * FROM olvido.{table}"))
