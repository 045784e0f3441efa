"""A person with more rows than one transaction may take is erased in chunks, and answered once."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from itertools import count
from pathlib import Path
from uuid import UUID

import pytest
from sinks.mysql_target import MySQLTarget
from sinks.shop import COLUMNS, TABLES, a_customer, an_erasure
from sinks.sqlite_target import SQLiteTarget
from sinks.targets import PostgresTarget, make_sink

from olvido.core.causes import Cause
from olvido.core.errors import Refused
from olvido.core.outcomes import Outcome
from olvido.sinks.contract import OpenedTask
from olvido.sinks.kinds.mysql import MySQLSink
from olvido.sinks.kinds.postgres import PostgresSink
from olvido.sinks.kinds.sqlite import SQLiteSink
from olvido.sinks.tables.limits import ErasureLimits
from olvido.sinks.tables.sink import CHUNK_ROWS_MIN
from olvido.sinks.tables.time_limits import TimeLimits

ROWS = 450  # of one table: five chunks of the smallest size
SECONDS = 200
# More rows deleted in one statement than a chunk has take too long: that they do is counted, not timed.
SLOW_IN_MARIADB = f"""
    CREATE TRIGGER slow AFTER DELETE ON contacts FOR EACH ROW BEGIN
        IF NOT (@at <=> NOW(6)) THEN SET @at = NOW(6), @deleted = 0; END IF;
        SET @deleted = @deleted + 1;
        IF @deleted > {CHUNK_ROWS_MIN} THEN SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = 1969; END IF;
    END
"""


@pytest.fixture
def heavy(postgres_target: PostgresTarget) -> PostgresTarget:
    """A shop in which C-1 has very many rows, and deleting more than a chunk at once takes too long."""
    target = postgres_target
    target.add("addresses", {"id": 1, "street": "Calle"}, {"id": 2, "street": "Otra"})
    target.add("customers", a_customer(1, address_id=1), a_customer(2, address_id=2))
    target.run(f"""
        INSERT INTO contacts SELECT n, 1, 'note' FROM generate_series(1, {ROWS}) AS n;
        INSERT INTO contacts SELECT n, 2, 'note' FROM generate_series(10001, 10003) AS n;
        INSERT INTO tickets SELECT n, 1, 'Ana', 'body' FROM generate_series(1, {ROWS}) AS n;
        INSERT INTO invoices SELECT n, 1, 7 FROM generate_series(1, 3) AS n;
        CREATE FUNCTION heavy() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
            IF (SELECT count(*) FROM changed) > {CHUNK_ROWS_MIN} THEN RAISE SQLSTATE '57014'; END IF;
            RETURN NULL; END$$;
        CREATE TRIGGER heavy AFTER DELETE ON contacts REFERENCING OLD TABLE AS changed
            FOR EACH STATEMENT EXECUTE FUNCTION heavy();
        CREATE TRIGGER heavy AFTER UPDATE ON tickets REFERENCING OLD TABLE AS changed
            FOR EACH STATEMENT EXECUTE FUNCTION heavy();
    """)
    return target


@pytest.fixture
def sink(heavy: PostgresTarget) -> Iterator[PostgresSink]:
    """A sink whose chunks are of the smallest size."""
    sink = heavy.sink()
    sink._chunk_rows = CHUNK_ROWS_MIN
    yield sink
    sink.close()


def all_is_done(target: PostgresTarget) -> None:
    assert [row[0] for row in target.rows("customers")] == [2]
    assert target.run("SELECT DISTINCT customer_id FROM contacts") == [(2,)]
    assert target.run("SELECT DISTINCT customer_id, author_name, body FROM tickets") == [(None, "", "")]
    assert target.run("SELECT count(*) FROM contacts, tickets WHERE contacts.id = 10001") == [(ROWS,)]
    assert [row[0] for row in target.rows("addresses")] == [2]
    assert target.run("SELECT count(*) FROM olvido.applied WHERE outcome = ''") == [(0,)]


def test_a_heavy_person_is_erased_in_chunks_and_answered_once(
    heavy: PostgresTarget, sink: PostgresSink
) -> None:
    task = an_erasure(customer_id="C-1")
    [receipt] = sink.apply([task])
    assert receipt.outcome is Outcome.RETAINED
    assert receipt.counts == {
        "contacts.deleted": ROWS, "tickets.anonymised": ROWS, "invoices.retained": 3,
        "customers.deleted": 1, "addresses.deleted": 1,
    }  # fmt: skip
    all_is_done(heavy)
    assert sink.apply([task]) == [receipt]


def test_the_keys_of_what_went_in_chunks_are_kept_with_the_others(heavy: PostgresTarget) -> None:
    """A call that is put in under one of those contacts later was found by no look."""
    heavy.run("CREATE TABLE calls (id bigint PRIMARY KEY, contact_id bigint)")
    calls = {"key": "id", "parent": {"table": "contacts", "column": "contact_id"}, "erase": "delete"}
    with closing(make_sink("postgres", {**TABLES, "calls": calls})) as sink:
        sink.check()
        sink.install()
        sink._chunk_rows = CHUNK_ROWS_MIN
        [receipt] = sink.apply([an_erasure(customer_id="C-1")])
    assert receipt.counts["contacts.deleted"] == ROWS
    [(gone,)] = heavy.run("SELECT gone FROM olvido.deleted_keys")
    assert {int(key) for [key] in gone["contacts"]} == {*range(1, ROWS + 1)}
    assert (len(gone["contacts"]), gone["customers"]) == (ROWS, [["1"]])


def test_the_others_of_a_batch_do_not_wait_for_a_heavy_person(
    heavy: PostgresTarget, sink: PostgresSink
) -> None:
    """The whole batch is refused as too slow; then each stands alone, and only one is done in chunks."""
    with pytest.raises(Refused) as caught:
        sink.apply([an_erasure(customer_id="C-1"), an_erasure(customer_id="C-2")])
    assert caught.value.cause is Cause.TOO_SLOW
    assert len(heavy.rows("customers")) == 2
    [receipt] = sink.apply([an_erasure(customer_id="C-2")])
    assert receipt.counts == {"contacts.deleted": 3, "customers.deleted": 1, "addresses.deleted": 1}


def test_a_heavy_person_above_the_limit_loses_no_chunk_until_the_task_is_released(
    heavy: PostgresTarget, sink: PostgresSink
) -> None:
    """The limit is judged before the first chunk; chunks of before count as well."""
    task = an_erasure(customer_id="C-1")
    sink._limits = ErasureLimits(rows_max=2 * ROWS)  # there is one row more: the customer
    for _ in range(2):
        with pytest.raises(Refused) as caught:
            sink.apply([task])
        assert (caught.value.cause, caught.value.field) == (Cause.ABOVE_LIMIT, "rows_max")
    assert heavy.run("SELECT count(*) FROM contacts WHERE customer_id = 1") == [(ROWS,)]
    assert heavy.run("SELECT count(*) FROM tickets WHERE body = 'body'") == [(ROWS,)]
    [receipt] = sink.apply([replace(task, released=True)])
    assert (receipt.counts["contacts.deleted"], receipt.counts["tickets.anonymised"]) == (ROWS, ROWS)
    all_is_done(heavy)


def test_what_chunks_have_taken_before_counts_for_the_limit(
    heavy: PostgresTarget, sink: PostgresSink
) -> None:
    task = an_erasure(customer_id="C-1")
    with sink._transaction() as rows:
        rows.journal.save_progress(task.task.key, {"contacts.deleted": 100})
    sink._limits = ErasureLimits(rows_max=2 * ROWS + 100)
    with pytest.raises(Refused) as caught:
        sink.apply([task])
    assert caught.value.cause is Cause.ABOVE_LIMIT
    sink._limits = ErasureLimits(
        rows_max=2 * ROWS + 102
    )  # with the customer, and an address nobody uses then
    [receipt] = sink.apply([task])
    assert receipt.counts["contacts.deleted"] == ROWS + 100


def test_who_is_stopped_after_some_chunks_is_not_told_that_no_row_was_changed(
    postgres_target: PostgresTarget,
) -> None:
    """Between two chunks somebody else gets the address by which the person is searched for."""
    target = postgres_target
    target.add("customers", a_customer(1, email="x@x.org"), a_customer(2, email="x@x.org"))
    task = an_erasure(email="x@x.org")
    sink = target.sink()
    with sink._transaction() as rows:
        rows.journal.save_progress(task.task.key, {"contacts.deleted": 100})
    [receipt] = sink.apply([task])
    sink.close()
    assert (receipt.outcome, receipt.counts) == (Outcome.AMBIGUOUS, {"contacts.deleted": 100})
    assert receipt.detail.startswith("rows went in chunks before, and no more: several people share")


@pytest.mark.parametrize("chunk", [1, 2, 5, 6, 9])
def test_killed_after_any_chunk_it_goes_on_from_there(
    heavy: PostgresTarget, sink: PostgresSink, chunk: int
) -> None:
    """Nothing is done twice, and the receipt counts what the killed process has done, too."""
    script = Path(__file__).with_name("killed_in_chunks.py")
    killed = subprocess.run(
        [sys.executable, script, str(chunk)],
        env={"PYTHONPATH": str(script.parent.parent), **heavy.environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    [(counts,)] = heavy.run("SELECT counts FROM olvido.applied WHERE outcome = ''")
    assert sum(counts.values()) >= CHUNK_ROWS_MIN
    left = heavy.run(
        "SELECT (SELECT count(*) FROM contacts), (SELECT count(*) FROM tickets WHERE body <> '')"
    )
    assert sum(left[0]) - 3 + sum(counts.values()) == 2 * ROWS
    [receipt] = sink.apply([an_erasure(customer_id="C-1", source_id=UUID(int=7))])
    assert receipt.counts["contacts.deleted"] == ROWS
    assert receipt.counts["tickets.anonymised"] == ROWS
    all_is_done(heavy)


@pytest.mark.proof
def test_a_million_rows_of_one_person_are_erased(postgres_target: PostgresTarget) -> None:
    """By the chunks that are the default, where no statement may take longer than two seconds."""
    postgres_target.add("customers", a_customer(1))
    postgres_target.run("""
        INSERT INTO contacts SELECT n, 1, repeat('note ', 20) FROM generate_series(1, 1000000) AS n;
        CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
            IF (SELECT count(*) FROM changed) > 20000 THEN PERFORM pg_sleep(60); END IF; RETURN NULL; END$$;
        CREATE TRIGGER slow AFTER DELETE ON contacts REFERENCING OLD TABLE AS changed
            FOR EACH STATEMENT EXECUTE FUNCTION slow();
    """)
    with closing(postgres_target.sink()) as sink:
        sink._time_limits = TimeLimits(transaction_timeout_s=6)
        [receipt] = sink.apply([an_erasure(customer_id="C-1")])
    assert receipt.outcome is Outcome.ERASED
    assert receipt.counts == {"contacts.deleted": 1_000_000, "customers.deleted": 1}
    assert postgres_target.run("SELECT count(*) FROM contacts") == [(0,)]


def test_what_is_too_slow_even_in_the_smallest_chunks_is_parked(
    heavy: PostgresTarget, sink: PostgresSink
) -> None:
    heavy.run("""
        CREATE FUNCTION never() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE SQLSTATE '57014'; END$$;
        CREATE TRIGGER never BEFORE DELETE ON contacts FOR EACH ROW EXECUTE FUNCTION never();
    """)
    with pytest.raises(Refused) as caught:
        sink.apply([an_erasure(customer_id="C-1")])
    assert caught.value.cause is Cause.TOO_SLOW
    assert sink.apply([an_erasure(customer_id="C-9")])[0].outcome is Outcome.NOT_FOUND


def filled(target: MySQLTarget | SQLiteTarget) -> None:
    target.add("addresses", {"id": 1, "street": "Calle"}, {"id": 2, "street": "Otra"})
    target.add("customers", a_customer(1, address_id=1), a_customer(2, address_id=2))
    rows = [(n, 1, "note") for n in range(ROWS)] + [(n, 2, "note") for n in range(10_001, 10_004)]
    target.add("contacts", *(dict(zip(COLUMNS["contacts"], row, strict=True)) for row in rows))


def die_after_two_chunks(sink: MySQLSink | SQLiteSink, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[bool] = []
    chunk = type(sink)._chunk

    def dying(one: OpenedTask, limit: int) -> bool:
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(chunk(sink, one, limit))
        return done[-1]

    monkeypatch.setattr(sink, "_chunk", dying)


def erased_in_chunks(
    target: MySQLTarget | SQLiteTarget, sink: MySQLSink | SQLiteSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever goes on after two chunks answers once, and counts them."""
    sink._chunk_rows = CHUNK_ROWS_MIN
    task = an_erasure(customer_id="C-1")
    with monkeypatch.context() as patch:
        die_after_two_chunks(sink, patch)
        with pytest.raises(KeyboardInterrupt):
            sink.apply([task])
    assert len(target.rows("contacts")) == ROWS + 3 - 2 * CHUNK_ROWS_MIN
    assert len(target.rows("customers")) == 2
    assert sink.rehearse([task.task], lambda _: None)[0].remembered is False
    [receipt] = sink.apply([task])
    assert receipt.outcome is Outcome.ERASED
    assert receipt.counts == {"contacts.deleted": ROWS, "customers.deleted": 1, "addresses.deleted": 1}
    assert {row[1] for row in target.rows("contacts")} == {2}
    assert sink.apply([task]) == [receipt]


def test_in_mariadb_a_heavy_person_is_erased_in_chunks(
    mysql_target: MySQLTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(mysql_target)
    mysql_target.run(SLOW_IN_MARIADB)
    with closing(mysql_target.sink()) as sink:
        erased_in_chunks(mysql_target, sink, monkeypatch)


def test_in_an_sqlite_file_a_heavy_person_is_erased_in_chunks(
    sqlite_target: SQLiteTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the clock goes on with the steps of SQLite's machine: a second or so for each deleted row."""
    filled(sqlite_target)
    sqlite_target.run(
        "CREATE TABLE steps AS SELECT n.value FROM json_each(?) AS n", ("[" + "0," * 44 + "0]",)
    )
    sqlite_target.run("""
        CREATE TRIGGER slow AFTER DELETE ON contacts BEGIN
            SELECT sum(a.value + b.value) FROM steps AS a, steps AS b; END
    """)
    with closing(sqlite_target.sink()) as sink:
        sink._file._time_limits = TimeLimits(transaction_timeout_s=SECONDS)
        sink._file._clock = count().__next__
        erased_in_chunks(sqlite_target, sink, monkeypatch)
