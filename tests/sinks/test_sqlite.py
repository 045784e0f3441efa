"""What is SQLite's own: its comparisons, its one writer, and the bytes that a deletion leaves."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sinks.shop import a_customer, an_erasure
from sinks.shop import settings as sink_settings
from sinks.sqlite_target import SQLiteTarget

from olvido.core.causes import Cause
from olvido.core.errors import ConfigError, Refused, Unavailable
from olvido.core.outcomes import Outcome
from olvido.core.subject import IdentityKind
from olvido.sinks.contract import SinkSettings
from olvido.sinks.kinds.sqlite import SQLiteSink
from olvido.sinks.kinds.sqlite_file import instant
from olvido.sinks.tables.time_limits import TimeLimits

QUICK = TimeLimits(lock_timeout_s=0.05)  # to wait for the application
MARKER = "QUIMERA"
Patch = pytest.MonkeyPatch
TABLE = "CREATE TABLE people (id INTEGER PRIMARY KEY, ref TEXT)"
PEOPLE = {"people": {"key": "id", "identities": {"customer_id": "ref"}, "erase": "delete"}}


class File:
    """A file of a test's own."""

    def __init__(self, path: Path, *statements: str) -> None:
        self.path = path
        for statement in statements:
            self.run(statement)

    def run(self, statement: str, values: Any = ()) -> list[tuple[Any, ...]]:
        """One statement, committed. Foreign keys are off, as they are where nobody switched them on."""
        with closing(sqlite3.connect(self.path)) as connection, connection:
            return connection.execute(statement, values).fetchall()

    def sink(self, tables: Mapping[str, Any], monkeypatch: Patch) -> SQLiteSink:
        """A checked sink that knows people by their customer number."""
        monkeypatch.setenv("OLVIDO_TEST_FILE", str(self.path))
        # No later look: the tests' pseudonyms name the person, and would be found among the bytes.
        told = sink_settings({"file": {"env": "OLVIDO_TEST_FILE"}, "look_again": [], "tables": tables})
        kinds = (IdentityKind.CUSTOMER_ID,)
        sink = SQLiteSink.from_section(
            SinkSettings(name=told.name, region=told.region, identities=kinds, purposes=(), own=told.own)
        )
        sink.check()
        sink.install()
        return sink


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "people.sqlite"


def people_of(file: File, monkeypatch: Patch, asked: str) -> list[Any]:
    """Who is left after somebody was erased."""
    file.sink(PEOPLE, monkeypatch).apply([an_erasure(customer_id=asked)])
    return [row[0] for row in file.run("SELECT ref FROM people ORDER BY id")]


# --- comparisons ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind", ["TEXT", "VARCHAR(9) COLLATE NOCASE", "TEXT COLLATE RTRIM", "STRING", "UUID"]
)
def test_who_is_erased_is_who_was_asked_for_whatever_it_takes_for_equal(
    path: Path, monkeypatch: Patch, kind: str
) -> None:
    refs = ["ca-1", "CA-1", "ca-1 ", " ca-1", "cá-1", "ca-10"]
    file = File(
        path, f"CREATE TABLE people (id INTEGER PRIMARY KEY, ref {kind})", "CREATE INDEX r ON people (ref)"
    )
    for ref in refs:
        file.run("INSERT INTO people (ref) VALUES (?)", (ref,))
    assert people_of(file, monkeypatch, "ca-1") == refs[1:]


def test_a_text_column_does_not_take_numbers_for_one_another(path: Path, monkeypatch: Patch) -> None:
    file = File(path, TABLE)
    for ref in ("7", "07", "7.0", " 7", "7e0"):
        file.run("INSERT INTO people (ref) VALUES (?)", (ref,))
    assert people_of(file, monkeypatch, "7") == ["07", "7.0", " 7", "7e0"]


@pytest.mark.parametrize("asked", ["7.0", "7e0", " 7", "+7", "0x7", "7 ", "seven", "9223372036854775808"])
def test_a_column_of_numbers_is_asked_for_numbers_alone(path: Path, monkeypatch: Patch, asked: str) -> None:
    file = File(
        path, "CREATE TABLE people (id INTEGER PRIMARY KEY, ref INT)", "INSERT INTO people (ref) VALUES (7)"
    )
    assert people_of(file, monkeypatch, asked) == [7]
    assert people_of(file, monkeypatch, "7") == []


@pytest.mark.parametrize("kind", ["", "BLOB", "REAL", "DOUBLE"])
def test_a_column_in_which_a_text_is_not_the_number_it_looks_like_is_refused(
    path: Path, monkeypatch: Patch, kind: str
) -> None:
    file = File(path, f"CREATE TABLE people (id INTEGER PRIMARY KEY, ref {kind})")
    with pytest.raises(ConfigError, match="cannot be one"):
        file.sink(PEOPLE, monkeypatch)


def test_a_key_with_a_nul_is_refused_and_the_row_whose_key_ends_there_stays(
    path: Path, monkeypatch: Patch
) -> None:
    """SQLite's JSON cuts a text at a NUL, so the key of the one would be that of the other."""
    file = File(path, "CREATE TABLE people (id TEXT PRIMARY KEY NOT NULL, ref TEXT)")
    for key, ref in (("a", "stranger"), ("a\0b", "asked"), ("c", "other")):
        file.run("INSERT INTO people VALUES (?, ?)", (key, ref))
    sink = file.sink(PEOPLE, monkeypatch)
    with pytest.raises(Refused) as caught:
        sink.apply([an_erasure(customer_id="asked")])
    assert caught.value.cause is Cause.REFUSED_BY_TARGET
    [receipt] = sink.apply([an_erasure(customer_id="other")])
    assert receipt.outcome is Outcome.ERASED
    assert file.run("SELECT ref FROM people") == [("stranger",), ("asked",)]


def test_texts_that_are_not_utf_8_stop_nobody(path: Path, monkeypatch: Patch) -> None:
    file = File(path, TABLE)
    file.run("INSERT INTO people (ref) VALUES (CAST(x'ff43' AS TEXT)), ('C')")
    sink = file.sink(PEOPLE, monkeypatch)
    assert sink.apply([an_erasure(customer_id="C")])[0].outcome is Outcome.ERASED
    assert file.run("SELECT count(*) FROM people") == [(1,)]


@pytest.mark.parametrize(
    ("text", "zone", "expected"),
    [
        ("1970-01-01", "UTC", 0),
        ("1970-01-01 00:00:01.5", "UTC", 1_500_000),
        ("1970-01-01T00:00:00.000001Z", "UTC", 1),
        ("1970-01-01 01:00:00+01:00", "Asia/Shanghai", 0),
        ("1970-01-01 08:00:00", "Asia/Shanghai", 0),
        (" 19700101T000000 ", "UTC", 0),
    ],
)
def test_an_instant_is_read_in_the_forms_that_applications_write(text: str, zone: str, expected: int) -> None:
    assert instant(text, zone) == expected


@pytest.mark.parametrize("value", ["", "yesterday", 1780272000, 2461193.5, "2026-13-01"])
def test_a_row_whose_instant_cannot_be_read_is_refused_and_stays(
    path: Path, monkeypatch: Patch, value: Any
) -> None:
    """It cannot be shown to be older than the request. Whose row it is, the others need not wait for."""
    tables = {"people": {**PEOPLE["people"], "created": "made"}}
    file = File(path, "CREATE TABLE people (id INTEGER PRIMARY KEY, ref TEXT, made TIMESTAMP)")
    file.run("INSERT INTO people (ref, made) VALUES ('asked', ?), ('other', NULL)", (value,))
    sink = file.sink(tables, monkeypatch)
    with pytest.raises(Refused):
        sink.apply([an_erasure(customer_id="asked")])
    assert sink.apply([an_erasure(customer_id="other")])[0].outcome is Outcome.ERASED
    assert file.run("SELECT ref FROM people") == [("asked",)]


# --- rows, keys and foreign keys --------------------------------------------------------------------


@pytest.mark.parametrize(
    "people",
    [
        "CREATE TABLE people (a TEXT, b INT, ref TEXT, PRIMARY KEY (a, b)) WITHOUT ROWID",
        "CREATE TABLE people (a TEXT NOT NULL, b INT NOT NULL, ref TEXT, UNIQUE (a, b))",
        "CREATE TABLE people (a TEXT NOT NULL, b INT NOT NULL, ref TEXT, PRIMARY KEY (a, b)) STRICT",
        "CREATE TABLE people (a TEXT NOT NULL, b INT NOT NULL, rowid TEXT, ref TEXT, PRIMARY KEY (a, b))",
    ],
)
def test_keys_of_several_columns_and_rows_without_a_number(
    path: Path, monkeypatch: Patch, people: str
) -> None:
    file = File(path, people)
    for a, b, ref in (("x", 1, "asked"), ("x", 2, "other"), ("y", 1, "other")):
        file.run("INSERT INTO people (a, b, ref) VALUES (?, ?, ?)", (a, b, ref))
    tables = {"people": {**PEOPLE["people"], "key": ["a", "b"]}}
    file.sink(tables, monkeypatch).apply([an_erasure(customer_id="asked")])
    assert file.run("SELECT a, b FROM people ORDER BY a, b") == [("x", 2), ("y", 1)]


def test_a_table_without_a_key_is_done_by_the_numbers_of_its_rows(path: Path, monkeypatch: Patch) -> None:
    file = File(path, "CREATE TABLE people (ref TEXT)", "INSERT INTO people VALUES ('a'), ('a'), ('b')")
    tables = {"people": {"identities": {"customer_id": "ref"}, "erase": "delete"}}
    [receipt] = file.sink(tables, monkeypatch).apply([an_erasure(customer_id="a")])
    assert receipt.counts == {"people.deleted": 2}
    assert file.run("SELECT ref FROM people") == [("b",)]


def test_a_primary_key_that_is_null_in_some_row_is_refused(path: Path, monkeypatch: Patch) -> None:
    """SQLite allows it where nobody wrote NOT NULL, and such a row could be neither deleted nor read back."""
    file = File(
        path, "CREATE TABLE people (id BIGINT PRIMARY KEY, ref TEXT)", "INSERT INTO people VALUES (1, 'a')"
    )
    sink = file.sink(PEOPLE, monkeypatch)
    file.run("INSERT INTO people (ref) VALUES ('b')")
    with pytest.raises(ConfigError, match="may be null"):
        sink.check()


ACTIONS = ["NO ACTION", "RESTRICT", "CASCADE", "SET NULL", "SET DEFAULT"]
LETTERS = {"key": "id", "parent": {"table": "people", "column": "person"}, "erase": "delete"}


@pytest.mark.parametrize("action", ACTIONS)
def test_a_foreign_key_that_the_map_does_not_reach_is_refused_whatever_it_does(
    path: Path, monkeypatch: Patch, action: str
) -> None:
    file = File(path, "CREATE TABLE People (id INTEGER PRIMARY KEY, ref TEXT)",
        f"CREATE TABLE letters (id INTEGER, person INT REFERENCES pEoPlE ON DELETE {action})")  # fmt: skip
    with pytest.raises(ConfigError, match=r"letters \(person\) refers to People"):
        file.sink({"People": PEOPLE["people"]}, monkeypatch)


@pytest.mark.parametrize("deferred", ["", "DEFERRABLE INITIALLY DEFERRED"])
@pytest.mark.parametrize("action", ACTIONS)
def test_a_foreign_key_that_the_map_reaches_may_do_what_it_likes(
    path: Path, monkeypatch: Patch, action: str, deferred: str
) -> None:
    file = File(path, TABLE,
        "CREATE TABLE letters (id INTEGER PRIMARY KEY, person INT DEFAULT 1"
        f" REFERENCES people ON DELETE {action} {deferred})",
        "INSERT INTO people VALUES (1, 'other'), (2, 'asked')",
        "INSERT INTO letters VALUES (1, 1), (2, 2), (3, 2), (4, NULL)")  # fmt: skip
    [receipt] = file.sink({**PEOPLE, "letters": LETTERS}, monkeypatch).apply(
        [an_erasure(customer_id="asked")]
    )
    assert receipt.counts == {"people.deleted": 1, "letters.deleted": 2}
    assert file.run("SELECT id FROM people UNION ALL SELECT id FROM letters") == [(1,), (1,), (4,)]


def test_a_trigger_that_keeps_a_row_stops_that_task_and_no_other(path: Path, monkeypatch: Patch) -> None:
    file = File(path, TABLE,
        "INSERT INTO people VALUES (1, 'kept'), (2, 'asked')",
        "CREATE TRIGGER t BEFORE DELETE ON people WHEN old.id = 1 BEGIN SELECT RAISE(IGNORE); END",
    )  # fmt: skip
    sink = file.sink(PEOPLE, monkeypatch)
    with pytest.raises(Refused):
        sink.apply([an_erasure(customer_id="kept")])
    assert sink.apply([an_erasure(customer_id="asked")])[0].outcome is Outcome.ERASED
    assert file.run("SELECT ref FROM people") == [("kept",)]


# --- the file -----------------------------------------------------------------------------------------


def test_while_the_application_writes_the_sink_waits_and_has_done_nothing(
    sqlite_target: SQLiteTarget,
) -> None:
    sqlite_target.add("customers", a_customer(1))
    sink = sqlite_target.sink()
    sink._file._time_limits = QUICK
    task = an_erasure(customer_id="C-1")
    with closing(sqlite3.connect(sqlite_target.path, isolation_level=None)) as application:
        application.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable, match="SQLITE_BUSY"):
            sink.apply([task])
        application.execute("ROLLBACK")
    assert len(sqlite_target.rows("customers")) == 1
    assert sink.apply([task])[0].outcome is Outcome.ERASED


def test_a_file_that_is_not_there_is_waited_for_and_not_made(tmp_path: Path, monkeypatch: Patch) -> None:
    with pytest.raises(Unavailable, match="there is no file"):
        File(tmp_path / "nothing").sink(PEOPLE, monkeypatch)
    assert list(tmp_path.iterdir()) == []


def test_a_file_with_a_second_name_is_refused(path: Path, monkeypatch: Patch) -> None:
    """Under the second name SQLite would look for another log."""
    file = File(path, TABLE)
    os.link(path, path.with_name("second"))
    with pytest.raises(ConfigError, match="second name"):
        file.sink(PEOPLE, monkeypatch)


def of_the_marker(path: Path) -> int:
    """How often the marker stands in the file, its log and its journal."""
    texts = [file.read_bytes() for file in path.parent.iterdir() if file.name.startswith(path.name)]
    return sum(text.count(MARKER.encode()) for text in texts)


def crowd(path: Path, mode: str) -> File:
    """A file of which rows were moved from page to page: every tenth is of the marker's."""
    file = File(path, f"PRAGMA journal_mode = {mode}",
        "CREATE TABLE people (id INTEGER PRIMARY KEY, ref TEXT, note TEXT)",
        "CREATE INDEX r ON people (ref)", "CREATE INDEX n ON people (note)")  # fmt: skip
    rows = [
        (n * 7919 % 1000, MARKER if n % 10 == 0 else f"other{n}", note * (n % 50 + 1))
        for n in range(1000)
        for note in (MARKER if n % 10 == 0 else "nobodyx",)
    ]
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executemany("INSERT INTO people VALUES (?, ?, ?)", rows)
        connection.execute("UPDATE people SET note = note || note WHERE id % 7 = 0")
        connection.execute("DELETE FROM people WHERE id % 3 = 0 AND ref <> ?", (MARKER,))
    return file


@pytest.mark.parametrize("mode", ["WAL", "DELETE", "PERSIST", "TRUNCATE"])
def test_after_a_quiet_second_nothing_of_a_person_is_in_the_file(
    path: Path, monkeypatch: Patch, mode: str
) -> None:
    file = crowd(path, mode)
    sink = file.sink(PEOPLE, monkeypatch)
    assert of_the_marker(path) > 0
    assert sink.apply([an_erasure(customer_id=MARKER)])[0].outcome is Outcome.ERASED
    sink.idle()
    assert of_the_marker(path) == 0
    before = path.stat().st_mtime_ns
    sink.idle()  # nothing is due any more
    assert path.stat().st_mtime_ns == before


def test_killed_after_the_commit_the_next_process_writes_the_file_anew(
    path: Path, monkeypatch: Patch
) -> None:
    file = crowd(path, "WAL")
    file.sink(PEOPLE, monkeypatch)
    program = (
        "import os, signal\n"
        "from sinks.test_sqlite import MARKER, PEOPLE, File, Path, an_erasure, pytest\n"
        "from olvido.sinks.kinds.sqlite_file import SQLiteFile\n"
        "SQLiteFile.flush = lambda self, conn: os.kill(os.getpid(), signal.SIGKILL)\n"
        "sink = File(Path(os.environ['OLVIDO_TEST_FILE'])).sink(PEOPLE, pytest.MonkeyPatch())\n"
        "sink.apply([an_erasure(customer_id=MARKER)])\n"
    )
    child = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=False, timeout=120,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
    )  # fmt: skip
    assert child.returncode == -9, child.stderr.decode()
    assert of_the_marker(path) > 0
    other = file.sink(PEOPLE, monkeypatch)
    other.idle()
    assert of_the_marker(path) == 0
    assert file.run("SELECT count(*) FROM people WHERE ref = ?", (MARKER,)) == [(0,)]


def test_while_somebody_reads_the_file_is_written_anew_later(path: Path, monkeypatch: Patch) -> None:
    sink = crowd(path, "WAL").sink(PEOPLE, monkeypatch)
    sink._file._time_limits = QUICK
    with closing(sqlite3.connect(path, isolation_level=None)) as application:
        application.execute("BEGIN")
        application.execute("SELECT count(*) FROM people").fetchall()
        assert sink.apply([an_erasure(customer_id=MARKER)])[0].outcome is Outcome.ERASED
        with pytest.raises(Unavailable):
            sink.idle()
        application.execute("COMMIT")
    sink.idle()
    assert of_the_marker(path) == 0


def test_a_fault_names_no_value_of_a_row(path: Path, monkeypatch: Patch) -> None:
    file = File(path, TABLE, "INSERT INTO people VALUES (1, 'a')",
        f"CREATE TRIGGER no BEFORE DELETE ON people BEGIN SELECT RAISE(ABORT, '{MARKER}'); END")  # fmt: skip
    with pytest.raises(Refused) as caught:
        file.sink(PEOPLE, monkeypatch).apply([an_erasure(customer_id="a")])
    assert MARKER not in f"{caught.value!r} {caught.value}"
    assert caught.value.__cause__ is None
