"""What is DuckDB's own: one file, one writer, and bytes that a DELETE leaves behind."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from sinks.shop import TABLES, a_consent, a_customer, an_erasure, settings
from sinks.targets import DuckDBTarget

from olvido.core.causes import Cause
from olvido.core.errors import ConfigError, Refused, Unavailable
from olvido.core.events import Decision
from olvido.core.outcomes import Outcome
from olvido.sinks.contract import OpenedTask
from olvido.sinks.kinds import duckdb as duckdb_sink
from olvido.sinks.kinds.duckdb import COMPACTING, DuckDBSink

MARKER = "canary-7f3a9c21d4e8"


@pytest.fixture
def shop(duckdb_target: DuckDBTarget) -> DuckDBTarget:
    """The shop, with one customer whose marker can be seen in the file's bytes."""
    duckdb_target.run("PRAGMA force_compression = 'uncompressed'")
    duckdb_target.add("customers", *(a_customer(n) for n in range(50)))
    duckdb_target.add("customers", a_customer(99, email=f"{MARKER}@example.com"))
    duckdb_target.run(
        "CREATE SEQUENCE numbers START 7; CREATE VIEW vip AS SELECT * FROM customers WHERE id < 9"
    )
    duckdb_target.run("CREATE INDEX by_email ON customers (email)")
    return duckdb_target


@pytest.fixture
def sink(shop: DuckDBTarget) -> Iterator[DuckDBSink]:
    """A sink of the shop."""
    sink = shop.sink()
    yield sink
    sink.close()


def seen(shop: DuckDBTarget) -> bool:
    """Whether the marker is anywhere in the file or beside it."""
    return any(MARKER.encode() in path.read_bytes() for path in shop.path.parent.iterdir() if path.is_file())


def test_a_deleted_persons_bytes_are_gone_once_the_sink_was_idle(
    shop: DuckDBTarget, sink: DuckDBSink
) -> None:
    """Design §7: a DELETE is not an erasure."""
    assert seen(shop)
    [receipt] = sink.apply([an_erasure(email=f"{MARKER}@example.com")])
    assert receipt.outcome is Outcome.ERASED
    assert seen(shop)
    sink.idle()
    assert not seen(shop)


def test_a_new_file_has_all_that_the_old_one_had_and_the_journal(
    shop: DuckDBTarget, sink: DuckDBSink
) -> None:
    task = an_erasure(email=f"{MARKER}@example.com")
    [first] = sink.apply([task])
    before = shop.rows("customers")
    shop.path.chmod(0o640)
    sink.idle()
    assert shop.rows("customers") == before
    assert shop.run("SELECT count(*) FROM vip") == [(9,)]
    assert shop.run("SELECT index_name FROM duckdb_indexes() WHERE index_name = 'by_email'") == [
        ("by_email",)
    ]
    assert shop.run("SELECT nextval('numbers')") == [(7,)]
    with pytest.raises(duckdb.ConstraintException):
        shop.run("INSERT INTO customers (id) VALUES (1)")
    assert shop.path.stat().st_mode & 0o777 == 0o640
    assert [path.name for path in shop.path.parent.iterdir()] == [shop.path.name]
    assert sink.apply([task]) == [first]


def test_an_idle_sink_that_deleted_nothing_leaves_the_file_alone(
    shop: DuckDBTarget, sink: DuckDBSink
) -> None:
    sink.apply([an_erasure(email="nobody@example.com")])
    inode = shop.path.stat().st_ino
    sink.idle()
    assert shop.path.stat().st_ino == inode


def test_that_the_file_must_be_written_anew_is_remembered_over_a_restart(
    shop: DuckDBTarget, sink: DuckDBSink
) -> None:
    sink.apply([an_erasure(email=f"{MARKER}@example.com")])
    sink.close()
    restarted = shop.sink()
    restarted.idle()
    assert not seen(shop)
    inode = shop.path.stat().st_ino
    restarted.idle()
    assert shop.path.stat().st_ino == inode


@pytest.mark.parametrize("place", ["_keep_access", "_sync", "replace"])
def test_a_crash_while_the_file_is_written_anew_leaves_a_good_one(
    shop: DuckDBTarget, sink: DuckDBSink, place: str
) -> None:
    sink.apply([an_erasure(email=f"{MARKER}@example.com")])
    before = shop.rows("customers")
    child = subprocess.run(
        [sys.executable, Path(__file__).parent / "killed_while_compacting.py", place],
        env={**shop.environment, "PATH": "", "PYTHONPATH": str(Path(__file__).parent.parent)},
        capture_output=True, check=False, timeout=60,
    )  # fmt: skip
    assert child.returncode == -signal.SIGKILL, child.stderr.decode()
    assert shop.rows("customers") == before
    again = shop.sink()
    again.idle()
    assert shop.rows("customers") == before
    assert not seen(shop)
    assert not shop.path.with_name(shop.path.name + COMPACTING).exists()


def test_a_symbolic_link_stays_and_its_file_loses_the_bytes(
    shop: DuckDBTarget, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The new file replaced the link: the bytes stayed, and later erasures went into a copy nobody uses."""
    link = tmp_path / "links" / "analytics.duckdb"
    link.parent.mkdir()
    link.symlink_to(shop.path)
    monkeypatch.setenv("OLVIDO_TEST_CRM", str(link))
    sink = shop.sink()
    sink.apply([an_erasure(email=f"{MARKER}@example.com")])
    sink.idle()
    assert link.is_symlink()
    assert not seen(shop)
    sink.apply([an_erasure(customer_id="C-7")])
    sink.close()
    assert shop.run("SELECT count(*) FROM customers WHERE id IN (7, 99)") == [(0,)]


def test_a_file_with_a_second_name_is_refused_and_never_compacted(
    shop: DuckDBTarget, sink: DuckDBSink
) -> None:
    sink.apply([an_erasure(email=f"{MARKER}@example.com")])
    shop.path.with_suffix(".second").hardlink_to(shop.path)
    with pytest.raises(Unavailable, match="second name"):
        sink.idle()
    with pytest.raises(ConfigError, match=r"sinks\.crm\.file: has a second name"):
        shop.sink()


def test_nobody_else_can_read_the_new_file_while_it_is_written(
    shop: DuckDBTarget, sink: DuckDBSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.path.chmod(0o600)
    sink.apply([an_erasure(email=f"{MARKER}@example.com")])
    seen_modes: list[int] = []

    def look(old: Path, new: Path) -> None:
        beside = [path for path in shop.path.parent.iterdir() if path != shop.path]
        seen_modes.extend(path.stat().st_mode & 0o077 for path in beside)
        keep_access(old, new)

    keep_access = duckdb_sink._keep_access
    monkeypatch.setattr(duckdb_sink, "_keep_access", look)
    umask = os.umask(0o022)
    try:
        sink.idle()
    finally:
        os.umask(umask)
    assert seen_modes
    assert set(seen_modes) == {0}
    assert shop.path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "task",
    [an_erasure(customer_id="C-1"), a_consent(Decision.WITHDRAWN, customer_id="C-1")],
    ids=["erasure", "withdrawal"],
)
def test_a_key_that_lost_its_uniqueness_after_the_start_takes_no_stranger_along(
    shop: DuckDBTarget, task: OpenedTask
) -> None:
    shop.run("DROP VIEW vip; CREATE TABLE fresh AS SELECT * FROM customers")
    shop.run("DROP TABLE customers; ALTER TABLE fresh RENAME TO customers")
    sink = shop.sink()
    shop.add("customers", a_customer(1, customer_no="C-1000", email=None, phone=None))
    before = shop.rows("customers")
    with pytest.raises(Refused) as caught:
        sink.apply([task])
    assert caught.value.field == "customers.id"
    assert shop.rows("customers") == before
    sink.close()


def test_a_ping_reads_no_row_and_a_check_counts_the_keys(shop: DuckDBTarget) -> None:
    """Every key of every table was counted twice a minute while nothing happened."""
    shop.run("DROP VIEW vip; CREATE TABLE fresh AS SELECT * FROM customers")
    shop.run("DROP TABLE customers; ALTER TABLE fresh RENAME TO customers")
    sink = shop.sink()
    shop.add("customers", a_customer(1))
    sink.ping()
    with pytest.raises(ConfigError, match="not unique"):
        sink.check()
    shop.run("ALTER TABLE customers RENAME phone TO mobile")
    with pytest.raises(ConfigError, match="'phone'"):
        sink.ping()
    sink.close()


def test_others_may_read_between_batches(shop: DuckDBTarget, sink: DuckDBSink) -> None:
    sink.apply([an_erasure(customer_id="C-1")])
    code = (
        f"import duckdb; print(duckdb.connect({str(shop.path)!r}, read_only=True).sql('FROM vip').fetchall())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, timeout=60)
    assert b"C-2" in done.stdout
    sink.apply([an_erasure(customer_id="C-2")])


def test_a_file_that_another_process_has_open_is_waited_for(shop: DuckDBTarget, sink: DuckDBSink) -> None:
    task = an_erasure(customer_id="C-1")
    code = f"import duckdb; c = duckdb.connect({str(shop.path)!r}); print('open', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"open\n"
        with pytest.raises(Unavailable, match="another process has it open"):
            sink.apply([task])
        with pytest.raises(Unavailable):
            sink.compact()
        other.kill()
    assert sink.apply([task])[0].outcome is Outcome.ERASED


def test_a_file_that_is_absent_is_not_made(shop: DuckDBTarget, sink: DuckDBSink) -> None:
    shop.path.rename(shop.path.with_suffix(".away"))
    with pytest.raises(Unavailable, match="there is no file"):
        sink.apply([an_erasure(customer_id="C-1")])
    assert not shop.path.exists()


def test_a_file_that_is_no_database_is_waited_for(shop: DuckDBTarget, sink: DuckDBSink) -> None:
    shop.path.write_bytes(b"x" * 10_000)
    with pytest.raises(Unavailable):
        sink.apply([an_erasure(customer_id="C-1")])


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ("DROP TABLE contacts", "no such table"),
        ("DROP INDEX by_email; ALTER TABLE customers RENAME phone TO mobile", "'phone'"),
        ("DROP TABLE contacts; CREATE TABLE contacts (id double, customer_id bigint)", "DOUBLE"),
        ("DROP TABLE enquiries; CREATE TABLE enquiries AS SELECT 1::bigint AS id, 2::bigint AS customer_id,"
         " 'a' AS from_email, 'b' AS body, now() AS received_at FROM range(2)", "not unique"),
        ("DROP TABLE tickets; CREATE TABLE tickets (id bigint, customer_id bigint NOT NULL, author_name text,"
         " body text)", "refuses null"),
        ("CREATE TABLE loans (customer_id bigint REFERENCES customers (id))", "FOREIGN KEY"),
    ],
)  # fmt: skip
def test_a_file_that_does_not_fit_is_refused(shop: DuckDBTarget, change: str, what: str) -> None:
    shop.run("DROP VIEW vip")
    shop.run(change)
    with pytest.raises(ConfigError, match=what) as caught:
        shop.sink()
    assert "sinks.crm.tables." in str(caught.value)


def test_an_error_of_the_targets_gives_no_identity_away(shop: DuckDBTarget) -> None:
    shop.run("CREATE TABLE strict (id bigint, email text CHECK (email IS NOT NULL), n int CHECK (n > 0))")
    shop.run(f"INSERT INTO strict VALUES (1, '{MARKER}', 1)")
    strict = {
        "key": "id",
        "identities": {"email": "email"},
        "erase": "anonymise",
        "null": ["email"],
        "set": {"n": -1},
    }
    section = {
        "file": {"env": "OLVIDO_TEST_CRM"},
        "tables": {"strict": strict, "customers": TABLES["customers"]},
    }
    sink = DuckDBSink.from_section(settings(section))
    sink.check()
    with pytest.raises(Refused) as caught:
        sink.apply([an_erasure(email=MARKER)])
    assert caught.value.cause is Cause.REFUSED_BY_TARGET
    assert MARKER not in f"{caught.value!r}"
    assert caught.value.__suppress_context__
