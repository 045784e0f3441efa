"""A sink looks again for people it erased, on real databases: what it finds, and what it leaves alone."""

import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg2
import pytest
from sinks.looking import Boxes
from sinks.shop import ASKED_AT, CHILD_OF_CUSTOMER, LATER, LONG_AGO, TABLES, a_customer, a_task, identities
from sinks.targets import PostgresTarget, make_sink
from values import Journal

from olvido.broker.runtime.metrics import REGISTRY
from olvido.core.errors import ConfigError, Unavailable
from olvido.core.looks import LaterLook, LookResult
from olvido.core.outcomes import Outcome
from olvido.core.rights.names import Action
from olvido.sinks import looks
from olvido.sinks.contract import OpenedTask
from olvido.sinks.rights import erase, orphans
from olvido.sinks.sweeping import Sweeping
from olvido.sinks.tables.journal import queries
from olvido.sinks.tables.kept import read

HOUR = timedelta(minutes=62)  # with which a look is due that is taken after an hour: it may be a minute late
AN_ID = UUID(int=10**9)
NEWSLETTER = {"newsletter": {"key": "id", "identities": {"email": "email"}, "erase": "delete"}}


class Shop:
    """The shop in a database, a sink of it, and what its looks publish."""

    def __init__(self, target: Any, folder: Path) -> None:
        self.target = target
        self.boxes = Boxes(folder)
        self.sent = Journal()
        self.sink = self.another()

    def another(self, tables: Any = TABLES, **own: Any) -> Any:
        """A sink of it."""
        sink = make_sink(self.target.environment["OLVIDO_TEST_KIND"], tables, **own)
        sink.check()
        sink.install()
        return sink

    def erase(self, *erasures: OpenedTask) -> list[Outcome]:
        """Have people erased; what came of it."""
        return [receipt.outcome for receipt in self.sink.apply(erasures)]

    def pass_time(self, by: timedelta) -> None:
        """As if everything had been done so much earlier."""
        seconds = int(by.total_seconds())
        self.target.run(
            f"UPDATE {self.target.kept_erasures} SET applied_at = {self.target.earlier.format(seconds)}"
        )

    def sweeping(self) -> Sweeping:
        """Its later looks."""
        return self.boxes.sweeping(self.sink, self.sent)

    def step(self) -> list[LaterLook]:
        """One step of them; what it published."""
        before = len(self.sent.records)
        self.sweeping().step()
        return self.boxes.looks(self.sent.records[before:])

    def until_gone(self) -> None:
        """Wait until the server has noticed that a process was killed, and rolled its transaction back."""
        open_ = (
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
            "AND application_name = 'olvido' AND xact_start IS NOT NULL"
        )
        give_up_at = time.monotonic() + 60
        while self.target.run(open_) != [(0,)]:
            assert time.monotonic() < give_up_at, "the server still holds the transaction"
            time.sleep(0.05)  # nobody tells us when it is gone

    def kept(self) -> list[tuple[int, int]]:
        """Of what is kept, the generations and the places of their next looks."""
        rows = self.target.run(f"SELECT place, tasks FROM {self.target.kept_erasures}")
        return sorted((task.generation, place) for place, tasks in rows for task in read(tasks, "crm"))


def with_customers(target: Any, folder: Path) -> Shop:
    """The shop with three customers."""
    target.add("customers", *map(a_customer, (1, 2, 3)))
    return Shop(target, folder)


@pytest.fixture
def shop(tables_target: Any, tmp_path: Path) -> Shop:
    """The shop in each kind of database that looks again."""
    return with_customers(tables_target, tmp_path)


@pytest.fixture
def in_postgres(postgres_target: PostgresTarget, tmp_path: Path) -> Shop:
    """The shop in PostgreSQL: for what several processes do at once."""
    return with_customers(postgres_target, tmp_path)


def results(looks: Sequence[LaterLook]) -> dict[tuple[UUID, int], str]:
    return {(one.request_id, one.generation): one.result.value for look in looks for one in look.not_verified}


def test_nothing_is_looked_at_before_its_time_and_each_look_in_its_turn(shop: Shop):
    assert shop.erase(shop.boxes.erasure(customer_id="C-1")) == [Outcome.ERASED]
    assert shop.step() == []
    shop.pass_time(timedelta(minutes=60, seconds=30))  # what comes due within the minute shares the record
    assert shop.step() == []
    shop.pass_time(-timedelta(minutes=60, seconds=30))
    for place, wait in enumerate((1, 24, 24 * 7, 24 * 30)):
        assert shop.kept() == [(0, place)]
        shop.pass_time(wait * HOUR)
        [look] = shop.step()
        assert (look.sink, look.after_s, look.looked, look.not_verified) == ("crm", wait * 3600, 1, ())
        assert look.applied_from == look.applied_to < look.looked_at
        shop.pass_time(-wait * HOUR)
        assert shop.step() == []
    assert shop.kept() == []  # after the last look nothing of the person is kept


def test_what_is_kept_holds_no_identity_in_clear(in_postgres: Shop):
    in_postgres.erase(
        in_postgres.boxes.erasure(customer_id="C-1", email="Person1@Example.com", phone="+34600000001")
    )
    [(row, tasks)] = in_postgres.target.run("SELECT k::text, tasks FROM olvido.kept_erasures k")
    [box] = [task.box for task in read(tasks, "crm")]
    for text in ("C-1", "Person1", "person1", "600000001"):
        assert text not in row
        assert text.encode() not in box.wrapped_key + box.nonce + box.ciphertext


def test_a_row_that_commits_after_the_erasures_snapshot_is_found_by_the_next_look(in_postgres: Shop):
    erasure = in_postgres.boxes.erasure(customer_id="C-7", email="person7@example.com")
    with closing(psycopg2.connect(in_postgres.target.dsn)) as application:
        application.cursor().execute(
            "INSERT INTO customers (id, customer_no, created_at) VALUES (7, 'C-7', %s)", (LONG_AGO,)
        )
        assert in_postgres.erase(erasure) == [Outcome.NOT_FOUND]
        application.commit()
    in_postgres.pass_time(HOUR)
    assert results(in_postgres.step()) == {(erasure.task.source_id, 0): "found_again"}


def test_an_import_of_yesterdays_file_is_found_and_erased_again(shop: Shop):
    erasure = shop.boxes.erasure(customer_id="C-1", source_id=AN_ID)
    others = shop.boxes.erasure(customer_id="C-2")
    shop.erase(erasure, others)
    shop.target.add("customers", a_customer(1))
    shop.pass_time(HOUR)
    [look] = shop.step()
    assert look.looked == 2
    assert results([look]) == {(AN_ID, 0): "found_again"}
    again = shop.boxes.erasure(customer_id="C-1", source_id=AN_ID, generation=1)
    assert shop.erase(again) == [Outcome.ERASED]
    assert [row[1] for row in shop.target.rows("customers")] == ["C-3"]
    shop.pass_time(24 * HOUR)
    found = [look for _ in range(3) for look in shop.step()]
    # The first two looks of the person's newest generation, and with the second that of the other one.
    assert [(look.after_s, look.looked) for look in found] == [(3600, 1), (86_400, 2)]
    assert results(found) == {}


def test_of_erasures_that_were_all_asked_for_again_nothing_is_said_and_nothing_kept(shop: Shop):
    shop.erase(shop.boxes.erasure(customer_id="C-1", source_id=AN_ID))
    shop.pass_time(HOUR)
    shop.erase(shop.boxes.erasure(customer_id="C-1", source_id=AN_ID, generation=1))
    assert list(shop.sweeping().looks_since(datetime.now(UTC) - timedelta(minutes=61))) != []
    assert shop.kept() == [(0, 0), (1, 0)]
    assert shop.step() == []
    assert shop.kept() == [(1, 0)]


def test_a_restored_table_is_found(shop: Shop):
    shop.target.run("CREATE TABLE backup AS SELECT * FROM customers")
    erasures = [shop.boxes.erasure(customer_id=f"C-{number}") for number in (1, 2, 3)]
    shop.erase(*erasures)
    shop.target.run("INSERT INTO customers SELECT * FROM backup")
    shop.pass_time(HOUR)
    assert set(results(shop.step()).values()) == {"found_again"}
    assert len(results(shop.step())) == 0  # not again and again until it is done


def test_a_row_of_a_new_life_is_not_touched_and_does_not_contradict(shop: Shop):
    shop.erase(shop.boxes.erasure(customer_id="C-1"))
    shop.target.add("customers", a_customer(1, id=11, created_at=LATER))
    shop.pass_time(HOUR)
    [look] = shop.step()
    assert (look.looked, look.not_verified) == (1, ())
    assert len(shop.target.rows("customers")) == 3


def test_a_row_that_bears_no_instant_may_be_of_a_new_life_so_nothing_is_decided(shop: Shop):
    shop.target.run("CREATE TABLE newsletter (id int PRIMARY KEY, email text)")
    shop.sink = shop.another({**TABLES, **NEWSLETTER})
    erasure = shop.boxes.erasure(email="person1@example.com")
    shop.erase(erasure)
    shop.target.run("INSERT INTO newsletter VALUES (1, 'person1@example.com')")
    shop.pass_time(HOUR)
    assert results(shop.step()) == {(erasure.task.source_id, 0): "undecided"}


def test_rows_that_are_retained_contradict_nothing_and_what_hangs_on_them_later_is_not_verified(shop: Shop):
    tables = {
        "customers": {**TABLES["customers"], "erase": "retain", "ground": "tax law"},
        "contacts": TABLES["contacts"],
    }
    shop.sink = shop.another(tables)
    one, two = shop.boxes.erasure(customer_id="C-1"), shop.boxes.erasure(customer_id="C-2")
    assert shop.erase(one, two) == [Outcome.RETAINED] * 2
    shop.target.run("INSERT INTO contacts VALUES (1, 2, 'called on Monday')")
    shop.pass_time(HOUR)
    assert results(shop.step()) == {(two.task.source_id, 0): "undecided"}


@pytest.mark.parametrize("key", ["id", ()])
def test_a_row_that_hangs_on_a_deleted_one_without_a_foreign_key_is_found_and_erased(shop: Shop, key: Any):
    """No identity leads to it. The key of the deleted row is kept: it is none of the person's identities."""
    shop.sink = shop.another({**TABLES, "contacts": {**TABLES["contacts"], "key": key}})
    erasure = shop.boxes.erasure(customer_id="C-1", source_id=AN_ID)
    shop.erase(erasure, shop.boxes.erasure(customer_id="C-2"))
    shop.target.run("INSERT INTO contacts VALUES (1, 1, 'put in while the erasure ran')")
    shop.target.run("INSERT INTO contacts VALUES (3, 3, 'of a customer who is there')")
    shop.target.run("INSERT INTO contacts VALUES (9, 9, 'of nobody that was ever known')")
    shop.pass_time(HOUR)
    assert results(shop.step()) == {(AN_ID, 0): "found_again"}
    again = shop.boxes.erasure(customer_id="C-1", source_id=AN_ID, generation=1)
    [receipt] = shop.sink.apply([again])
    assert (receipt.outcome, receipt.counts) == (Outcome.ERASED, {"contacts.deleted": 1})
    assert [row[0] for row in shop.target.rows("contacts")] == [3, 9]
    # Its key is kept on: it may happen once more.
    shop.target.run("INSERT INTO contacts VALUES (1, 1, 'once more')")
    shop.pass_time(HOUR)
    assert results(shop.step()) == {(AN_ID, 1): "found_again"}


def test_with_a_row_that_hangs_on_a_deleted_one_goes_what_hangs_on_it(in_postgres: Shop):
    """It was left behind, and nothing led to it any more."""
    shop = in_postgres
    shop.target.run("CREATE TABLE calls (id bigint PRIMARY KEY, contact_id bigint REFERENCES contacts)")
    calls = {"key": "id", "parent": {"table": "contacts", "column": "contact_id"}, "erase": "delete"}
    shop.sink = shop.another({**TABLES, "calls": calls})
    shop.erase(shop.boxes.erasure(customer_id="C-1", source_id=AN_ID))
    shop.target.run("INSERT INTO contacts VALUES (1, 1, 'put in while the erasure ran'), (3, 3, 'another')")
    shop.target.run("INSERT INTO calls VALUES (1, 1), (2, 3)")
    shop.pass_time(HOUR)
    assert results(shop.step()) == {(AN_ID, 0): "found_again"}
    another = a_task(Action.RESTRICT, identities(email="person2@example.com"))
    again = shop.boxes.erasure(customer_id="C-1", source_id=AN_ID, generation=1)
    [_, receipt] = shop.sink.apply([another, again])
    assert receipt.outcome is Outcome.ERASED
    assert receipt.counts == {"contacts.deleted": 1, "calls.deleted": 1}
    assert shop.target.rows("calls") == [(2, 3)]


EMPTIED = {
    **TABLES["customers"],
    "erase": "anonymise",
    "null": ["customer_no", "email", "phone"],
    "restrict": {},
    "lift_restriction": {},
    "consent": {},
}


def test_an_old_row_that_hangs_on_an_emptied_one_is_found_and_erased(shop: Shop):
    """The customer names nobody any more, so nothing led to an enquiry that was put in meanwhile."""
    tables = {
        "customers": EMPTIED,
        "enquiries": {"parent": CHILD_OF_CUSTOMER, "created": "received_at", "erase": "delete"},
    }
    shop.sink = shop.another(tables)
    erasure = shop.boxes.erasure(customer_id="C-1", source_id=AN_ID)
    assert shop.erase(erasure, shop.boxes.erasure(customer_id="C-2")) == [Outcome.ANONYMISED] * 2
    for number, customer, at in ((1, 1, LONG_AGO), (2, 1, LATER), (3, 3, LONG_AGO)):
        row = {"id": number, "customer_id": customer, "from_email": None, "body": "", "received_at": at}
        shop.target.add("enquiries", row)
    shop.pass_time(HOUR)
    assert results(shop.step()) == {(AN_ID, 0): "found_again"}
    [receipt] = shop.sink.apply([shop.boxes.erasure(customer_id="C-1", source_id=AN_ID, generation=1)])
    assert (receipt.outcome, receipt.counts) == (Outcome.ERASED, {"enquiries.deleted": 1})
    assert [row[0] for row in shop.target.rows("enquiries")] == [2, 3]


def test_what_bears_no_instant_under_an_emptied_row_is_not_decided(in_postgres: Shop):
    """Somebody may live on with it. What the erasure has emptied there itself is no finding."""
    shop = in_postgres
    tables = {
        "customers": EMPTIED,
        "tickets": {**TABLES["tickets"], "unlink": False},
    }
    shop.sink = shop.another(tables)
    shop.target.run("INSERT INTO tickets VALUES (1, 1, 'person 1', 'help'), (2, 2, 'person 2', 'help')")
    shop.erase(
        shop.boxes.erasure(customer_id="C-1"),
        shop.boxes.erasure(customer_id="C-2", source_id=AN_ID),
    )
    shop.target.run("INSERT INTO tickets VALUES (3, 2, 'person 2', 'once more')")
    shop.pass_time(HOUR)
    assert results(shop.step()) == {(AN_ID, 0): "undecided"}
    [receipt] = shop.sink.apply([shop.boxes.erasure(customer_id="C-2", source_id=AN_ID, generation=1)])
    assert (receipt.outcome, receipt.counts) == (Outcome.AMBIGUOUS, {})
    assert shop.target.rows("tickets")[2] == (3, 2, "person 2", "once more")


def test_an_emptied_row_that_is_filled_again_is_somebodys(in_postgres: Shop):
    shop = in_postgres
    tables = {
        "customers": EMPTIED,
        "tickets": TABLES["tickets"],
    }
    shop.sink = shop.another(tables)
    shop.erase(shop.boxes.erasure(customer_id="C-1"))
    shop.target.run("UPDATE customers SET customer_no = 'C-7' WHERE id = 1")
    shop.target.run("INSERT INTO tickets VALUES (1, 1, 'person 7', 'help')")
    shop.pass_time(HOUR)
    assert results(shop.step()) == {}


def test_of_a_person_with_very_many_emptied_rows_all_are_looked_at(
    in_postgres: Shop, monkeypatch: pytest.MonkeyPatch
):
    """In three statements, of which the last finds the row that hangs on an emptied one."""
    monkeypatch.setattr(orphans, "KEYS_AT_ONCE", 500)
    shop = in_postgres
    tables = {
        "customers": EMPTIED,
        "tickets": {**TABLES["tickets"], "unlink": False},
    }
    shop.sink = shop.another(tables, people_max=1200)
    shop.target.run("""
        INSERT INTO customers (id, customer_no, created_at)
        SELECT n, 'C-77', '2020-01-01' FROM generate_series(1001, 2200) AS n
    """)
    erasure = shop.boxes.erasure(customer_id="C-77", source_id=AN_ID)
    assert shop.erase(erasure) == [Outcome.ANONYMISED]
    shop.pass_time(HOUR)
    assert results(shop.step()) == {}
    shop.target.run("INSERT INTO tickets VALUES (1, 2200, 'person 77', 'once more')")
    shop.pass_time(timedelta(days=1))
    assert results(shop.step()) == {(AN_ID, 0): "undecided"}
    shop.target.run("DELETE FROM tickets WHERE id = 1")
    shop.pass_time(timedelta(days=7))
    assert results(shop.step()) == {}


def test_of_more_deleted_rows_than_keys_are_kept_nothing_is_decided(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
):
    for module in (orphans, erase):
        monkeypatch.setattr(module, "KEYS_MAX", 1)
    erasure = shop.boxes.erasure(customer_id="C-1")
    shop.erase(erasure)
    shop.pass_time(HOUR)
    assert results(shop.step()) == {(erasure.task.source_id, 0): "undecided"}


def test_every_dialect_has_the_statements_of_later_looks():
    """They stand beside those of the journal."""
    folder = files("olvido.sinks") / "sql"
    dialects = [one.name.removesuffix(".sql") for one in folder.iterdir() if "_" not in one.name]
    assert {"postgres", "duckdb"} <= {*dialects}
    wanted = {
        "keep_batch", "keep_fewer", "keep_gone", "gone_of", "drop_gone", "superseded", "look_alone", "beyond",
        "oldest_due", "due_looks", "done_after", "read_batches", "looked", "drop_batches",
        "keep_decisions", "due_decisions", "put_off_decisions", "drop_decisions", "drop_decisions_of",
    }  # fmt: skip
    assert {name: wanted - queries(name).keys() for name in dialects} == {name: set() for name in dialects}


def test_a_row_that_hangs_on_a_row_that_is_there_again_is_not_touched(shop: Shop):
    """Somebody has the key by now: a new life, or a stranger."""
    shop.erase(shop.boxes.erasure(customer_id="C-1", source_id=AN_ID))
    shop.target.add("customers", a_customer(1, customer_no="C-9", email="x@x.org", phone="+34600009999"))
    shop.target.run("INSERT INTO contacts VALUES (1, 1, 'of C-9')")
    shop.pass_time(HOUR)
    assert results(shop.step()) == {}
    shop.erase(shop.boxes.erasure(customer_id="C-1", source_id=AN_ID, generation=1))
    assert len(shop.target.rows("contacts")) == 1


def test_rows_of_somebody_else_that_name_the_person_leave_it_undecided(shop: Shop):
    """The address stands in the row of another customer: it is nobody's to erase, and nothing is verified."""
    erasure = shop.boxes.erasure(customer_id="C-1", email="person2@example.com")
    assert shop.erase(erasure) == [Outcome.AMBIGUOUS]
    shop.pass_time(HOUR)
    assert results(shop.step()) == {(erasure.task.source_id, 0): "undecided"}
    assert [row[1] for row in shop.target.rows("customers")] == ["C-2", "C-3"]


def test_boxes_of_a_destroyed_key_are_counted_as_not_looked_at_and_dropped(shop: Shop):
    erasure = shop.boxes.erasure(customer_id="C-1")
    shop.erase(erasure)
    shop.boxes.destroy()
    shop.erase(shop.boxes.erasure(customer_id="C-2"))
    shop.pass_time(HOUR)
    [look] = shop.step()
    assert (look.looked, look.forgotten) == (1, 1)
    assert results([look]) == {(erasure.task.source_id, 0): "not_looked"}
    assert shop.kept() == [(0, 1)]


def test_a_box_that_does_not_open_here_is_not_looked_at_and_stops_no_other(shop: Shop):
    erasure = shop.boxes.erasure(customer_id="C-1")
    shop.erase(erasure, shop.boxes.erasure(customer_id="C-2"))
    [(tasks,)] = shop.target.run(f"SELECT tasks FROM {shop.target.kept_erasures}")
    another = tasks.replace("cn-2026-11", "cn-2026-01", 1)
    shop.target.run(f"UPDATE {shop.target.kept_erasures} SET tasks = '{another}'")
    shop.pass_time(HOUR)
    [look] = shop.step()
    assert (look.looked, look.forgotten) == (1, 0)
    assert results([look]) == {(erasure.task.source_id, 0): "not_looked"}
    assert shop.kept() == [(0, 1), (0, 1)]


def test_what_could_not_be_published_is_looked_at_again(shop: Shop, monkeypatch: pytest.MonkeyPatch):
    shop.erase(shop.boxes.erasure(customer_id="C-1"))
    shop.pass_time(HOUR)
    with monkeypatch.context() as patched:
        patched.setattr(shop.sent, "publish", _down)
        shop.sweeping().step()
    assert shop.kept() == [(0, 0)]
    assert len(shop.step()) == 1


def test_how_long_the_oldest_look_has_been_due_and_who_came_back_are_metrics(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
):
    def counted(name: str) -> float:
        value = REGISTRY.get_sample_value(name, {"sink": "crm"})
        assert value is not None
        return value

    shop.erase(shop.boxes.erasure(customer_id="C-1"), shop.boxes.erasure(customer_id="C-2"))
    shop.target.add("customers", a_customer(1))
    shop.pass_time(3 * HOUR)
    shop.sweeping()  # shown before the first step
    before = counted("olvido_sink_resurrected_total")
    shop.step()
    assert counted("olvido_sink_resurrected_total") == before + 1
    assert 7200 <= counted("olvido_sink_verified_age_seconds") < 10_000
    sweeping = shop.sweeping()
    sweeping.step()
    assert counted("olvido_sink_verified_age_seconds") == 0
    # While nobody can ask the target, something may be due: the age goes on.
    monkeypatch.setattr(shop.sink, "look_again", _down)
    sweeping.step()
    assert counted("olvido_sink_verified_age_seconds") > 0


def _down(*_: object) -> None:
    raise Unavailable("Kafka does not answer")


def test_killed_after_the_record_is_published_and_before_it_is_noted_it_looks_once_more(
    in_postgres: Shop, tmp_path: Path
):
    erasure = in_postgres.boxes.erasure(customer_id="C-1")
    in_postgres.erase(erasure)
    in_postgres.target.add("customers", a_customer(1))
    in_postgres.pass_time(HOUR)
    child = subprocess.run(
        [sys.executable, Path(__file__).parent / "killed_while_looking.py", tmp_path, tmp_path / "record"],
        env={**in_postgres.target.environment, "PATH": "", "PYTHONPATH": str(Path(__file__).parent.parent)},
        capture_output=True, check=False, timeout=120,
    )  # fmt: skip
    assert child.returncode == -9, child.stderr.decode()
    in_postgres.until_gone()
    first = in_postgres.boxes.codec.decode((tmp_path / "record").read_bytes())
    [second] = in_postgres.step()
    assert (
        results([first]) == results([second]) == {(erasure.task.source_id, 0): LookResult.FOUND_AGAIN.value}
    )
    assert (first.applied_from, first.applied_to) == (second.applied_from, second.applied_to)
    assert in_postgres.step() == []


def test_one_process_looks_at_a_time(in_postgres: Shop):
    """A second member of the group finds nothing to do, and takes nothing from the first."""
    in_postgres.erase(in_postgres.boxes.erasure(customer_id="C-1"))
    in_postgres.pass_time(HOUR)
    seen = []

    class Meanwhile:
        """While the first publishes, the second tries."""

        def publish(self, records: Any) -> None:
            seen.append(in_postgres.another().look_again(lambda _: None, lambda _: None))
            in_postgres.sent.publish(records)

        def close(self) -> None: ...

    in_postgres.boxes.sweeping(in_postgres.sink, Meanwhile()).step()
    assert seen == [None]
    assert len(in_postgres.sent.records) == 1


def test_a_step_is_bounded_and_takes_all_that_one_transaction_has_done(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
):
    """The record speaks of all between two instants, so an instant is never divided."""
    monkeypatch.setattr(looks, "LOOKED_MAX", 3)
    for first in (10, 20, 30):
        shop.erase(*(shop.boxes.erasure(customer_id=f"C-{first + number}") for number in (0, 1)))
    shop.pass_time(HOUR)
    assert [look.looked for _ in range(3) for look in shop.step()] == [4, 2]


def test_what_an_open_transaction_may_still_commit_is_not_spoken_of(in_postgres: Shop):
    """It bears the instant at which it began, and a look speaks of all that was done between two instants."""
    with closing(psycopg2.connect(in_postgres.target.dsn, application_name="olvido")) as member:
        member.cursor().execute("SELECT now()")
        in_postgres.erase(in_postgres.boxes.erasure(customer_id="C-1"))
        assert list(in_postgres.sweeping().looks_since(ASKED_AT)) == []
        member.rollback()  # the server answers after the transaction is gone from its list
        assert [look.looked for look in in_postgres.sweeping().looks_since(ASKED_AT)] == [1]


def test_two_sinks_in_one_database_look_at_their_own(shop: Shop):
    shop.erase(shop.boxes.erasure(customer_id="C-1"))
    shop.target.run(f"UPDATE {shop.target.kept_erasures} SET sink = 'another'")
    shop.pass_time(HOUR)
    assert shop.step() == []


def test_by_hand_all_that_is_kept_is_looked_at_and_nothing_is_noted(shop: Shop):
    began = datetime.now(UTC) - HOUR
    first, second = shop.boxes.erasure(customer_id="C-1"), shop.boxes.erasure(customer_id="C-2")
    shop.erase(first)
    shop.erase(second)
    shop.target.add("customers", a_customer(2))
    found = list(shop.sweeping().looks_since(began))
    assert results(found) == {(second.task.source_id, 0): "found_again"}
    assert [(look.after_s, look.looked) for look in found] == [(0, 2)]
    assert shop.kept() == [(0, 0), (0, 0)]
    assert list(shop.sweeping().looks_since(datetime.now(UTC) + HOUR)) == []


def test_a_setting_with_fewer_looks_lets_go_of_what_had_as_many(shop: Shop):
    shop.erase(shop.boxes.erasure(customer_id="C-1"))
    shop.pass_time(HOUR)
    shop.step()
    shop.sink = shop.another(look_again=["1h"])
    assert shop.step() == []
    assert shop.kept() == []


def test_without_a_look_nothing_is_kept(shop: Shop):
    shop.sink = shop.another(look_again=[])
    shop.erase(shop.boxes.erasure(customer_id="C-1"))
    assert shop.kept() == []
    assert shop.step() == []


@pytest.mark.parametrize(
    "given", ["1h", ["1x"], ["0h"], ["1d", "1h"], ["1h", "1h"], ["91d"], [60], ["1h"] * 9]
)
def test_a_setting_that_says_no_looks_is_refused(shop: Shop, given: Any):
    with pytest.raises(ConfigError, match=r"sinks\.crm\.look_again"):
        shop.another(look_again=given)
