"""What is MariaDB's own: its collations, its engines, and what it does behind a role's back."""

import threading
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from typing import Any

import pytest
from sinks.mariadb_server import connected
from sinks.mysql_target import MySQLTarget
from sinks.shop import a_customer, an_erasure
from sinks.shop import settings as sink_settings

from olvido.core.errors import ConfigError, Refused, Unavailable
from olvido.core.outcomes import Outcome
from olvido.core.receipts import Receipt
from olvido.core.subject import IdentityKind
from olvido.sinks.contract import SinkSettings
from olvido.sinks.kinds.mysql import MySQLSink
from olvido.sinks.tables.journal import queries

PEOPLE = {"people": {"key": "id", "identities": {"customer_id": "ref"}, "erase": "delete"}}
LETTERS = {"key": "id", "parent": {"table": "people", "column": "person"}, "erase": "delete"}
TABLE = "CREATE TABLE people (id bigint PRIMARY KEY AUTO_INCREMENT, ref varchar(50), KEY (ref))"
Patch = pytest.MonkeyPatch


class Database:
    """A database of a test's own."""

    def __init__(self, url: str, patch: Patch) -> None:
        self.url = url
        self._patch = patch

    def run(self, statement: str, values: Any = None) -> list[tuple[Any, ...]]:
        """One statement, committed."""
        with closing(connected(self.url)) as connection, connection.cursor() as cursor:
            cursor.execute(statement, values)
            return list(cursor.fetchall())

    def sink(self, tables: Mapping[str, Any] = PEOPLE, *, url: str = "") -> MySQLSink:
        """A checked sink that knows people by their customer number."""
        self._patch.setenv("OLVIDO_TEST_URL", url or self.url)
        told = sink_settings({"url": {"env": "OLVIDO_TEST_URL"}, "tables": tables})
        kinds = (IdentityKind.CUSTOMER_ID,)
        sink = MySQLSink.from_section(
            SinkSettings(name=told.name, region=told.region, identities=kinds, purposes=(), own=told.own)
        )
        sink.check()
        sink.install()
        return sink

    def erase(self, asked: str) -> tuple[Receipt, list[Any]]:
        """Erase somebody; the receipt, and who is left."""
        with closing(self.sink()) as sink:
            [receipt] = sink.apply([an_erasure(customer_id=asked)])
        return receipt, [row[0] for row in self.run("SELECT ref FROM people ORDER BY id")]


@pytest.fixture
def database(mariadb_url: str, monkeypatch: Patch) -> Database:
    return Database(mariadb_url, monkeypatch)


def filled(database: Database, kind: str, refs: Sequence[object]) -> Database:
    """People with these references, in a column of a kind."""
    database.run(f"CREATE TABLE people (id bigint PRIMARY KEY AUTO_INCREMENT, ref {kind}, KEY (ref))")
    for ref in refs:
        database.run("INSERT INTO people (ref) VALUES (%s)", (ref,))
    return database


@pytest.mark.parametrize(
    "kind",
    [
        "varchar(50)",
        "varchar(50) COLLATE utf8mb4_unicode_ci",
        "varchar(50) COLLATE utf8mb4_bin",
        "varchar(50) CHARACTER SET latin1",
        "varchar(50) CHARACTER SET utf8mb3",
    ],
)
def test_who_is_erased_is_who_was_asked_for_whatever_the_collation_takes_for_equal(
    database: Database, kind: str
) -> None:
    refs = ["jose", "José", "JOSE", "jose ", " jose", "josé", "joseph", "0jose"]
    receipt, left = filled(database, kind, refs).erase("jose")
    assert (receipt.outcome, left) == (Outcome.ERASED, refs[1:])


def test_a_text_that_is_asked_for_is_no_number(database: Database) -> None:
    """`ref = 0` finds every row that begins with no digit."""
    refs = ["0", "C-1", "maria", "0.0", "00"]
    receipt, left = filled(database, "varchar(50)", refs).erase("0")
    assert (receipt.outcome, left) == (Outcome.ERASED, refs[1:])


@pytest.mark.parametrize("kind", ["int", "bigint unsigned", "decimal(12,0)"])
@pytest.mark.parametrize("asked", ["7x", "7.0", "seven", "99999999999999999999", "7e0"])
def test_a_column_of_numbers_is_asked_for_whole_numbers_alone(
    database: Database, kind: str, asked: str
) -> None:
    receipt, left = filled(database, kind, [7, 0]).erase(asked)
    assert (receipt.outcome, left) == (Outcome.NOT_FOUND, [7, 0])
    assert database.erase("7")[1] == [0]


def test_a_value_longer_than_any_column_finds_nobody(database: Database) -> None:
    """JSON_TABLE cuts a text to the length of its column, without a word."""
    long = "C" * 2000
    receipt, left = filled(database, "varchar(2000)", [long]).erase(long + "C")
    assert (receipt.outcome, len(left)) == (Outcome.AMBIGUOUS, 1)


ACTIONS = ["RESTRICT", "NO ACTION", "CASCADE", "SET NULL"]


@pytest.mark.parametrize("action", ACTIONS)
def test_a_foreign_key_that_the_map_does_not_reach_is_refused_whatever_it_does(
    database: Database, action: str
) -> None:
    database.run(TABLE)
    database.run(
        "CREATE TABLE letters (id int PRIMARY KEY, person bigint,"
        f" FOREIGN KEY (person) REFERENCES people (id) ON DELETE {action})"
    )
    with pytest.raises(ConfigError, match=r"letters \(person\) refers to people"):
        database.sink()


@pytest.mark.parametrize("action", ACTIONS)
def test_a_foreign_key_that_the_map_reaches_may_do_what_it_likes(database: Database, action: str) -> None:
    database.run(TABLE)
    database.run(
        "CREATE TABLE letters (id int PRIMARY KEY, person bigint,"
        f" FOREIGN KEY (person) REFERENCES people (id) ON DELETE {action})"
    )
    database.run("INSERT INTO people VALUES (1, 'other'), (2, 'asked')")
    database.run("INSERT INTO letters VALUES (1, 1), (2, 2), (3, 2), (4, NULL)")
    with closing(database.sink({**PEOPLE, "letters": LETTERS})) as sink:
        [receipt] = sink.apply([an_erasure(customer_id="asked")])
    assert receipt.counts == {"people.deleted": 1, "letters.deleted": 2}
    assert database.run("SELECT id FROM letters ORDER BY 1") == [(1,), (4,)]


def test_a_role_that_may_not_see_all_foreign_keys_is_refused(database: Database, mariadb: str) -> None:
    """A cascade acts on tables that the role does not see, also of other databases."""
    database.run(TABLE)
    name = database.url.rpartition("/")[2]
    database.run("CREATE USER least@'%%' IDENTIFIED BY 'for-tests'", ())
    try:
        database.run(f"GRANT ALL ON {name}.* TO least@'%%'", ())
        url = f"mysql://least:for-tests@{database.url.rpartition('@')[2]}"
        with pytest.raises(ConfigError, match="GRANT PROCESS"):
            database.sink(url=url)
        database.run("GRANT PROCESS ON *.* TO least@'%%'", ())
        database.sink(url=url).close()
    finally:
        database.run("DROP USER least@'%%'", ())


@pytest.mark.parametrize(
    ("how", "why"),
    [("ENGINE = MyISAM", "cannot take a change back"), ("WITH SYSTEM VERSIONING", "keeps the history")],
)
def test_a_table_from_which_nothing_is_taken_back_or_nothing_goes_is_refused(
    database: Database, how: str, why: str
) -> None:
    database.run(f"{TABLE} {how}")
    with pytest.raises(ConfigError, match=why):
        database.sink()


def test_a_trigger_that_refuses_a_row_stops_that_task_and_no_other(database: Database) -> None:
    filled(database, "varchar(50)", ["kept", "asked"])
    database.run(
        "CREATE TRIGGER keep BEFORE DELETE ON people FOR EACH ROW"
        " IF old.ref = 'kept' THEN SIGNAL SQLSTATE '45000' SET message_text = 'kept'; END IF"
    )
    with closing(database.sink()) as sink:
        with pytest.raises(Refused) as caught:
            sink.apply([an_erasure(customer_id="kept")])
        assert sink.apply([an_erasure(customer_id="asked")])[0].outcome is Outcome.ERASED
    assert "kept" not in str(caught.value)
    assert database.run("SELECT ref FROM people") == [("kept",)]


@pytest.mark.parametrize("detects", [True, False])
def test_the_last_two_people_at_an_address_erased_at_once_take_it_with_them(
    mysql_target: MySQLTarget, monkeypatch: Patch, detects: bool
) -> None:
    """Each would see the other's row in its snapshot, and leave the address behind."""
    if not detects:  # as on a server that cannot tell a row that changed since it was read
        said = {**queries("mysql"), "can_detect_changes": "SELECT 1 WHERE FALSE"}
        monkeypatch.setattr("olvido.sinks.kinds.mysql.queries", lambda _: said)
    for round_ in range(10):
        one, other = 2 * round_ + 1, 2 * round_ + 2
        mysql_target.add("addresses", {"id": round_ + 1, "street": "Calle"})
        mysql_target.add("customers", *(a_customer(n, address_id=round_ + 1) for n in (one, other)))
        sinks = [mysql_target.sink() for _ in range(2)]
        together = threading.Barrier(2)
        outcomes: list[Outcome] = []

        def erase(number: int, sink: MySQLSink, at: threading.Barrier, into: list[Outcome]) -> None:
            task = an_erasure(customer_id=f"C-{number}")
            at.wait()
            while True:
                with suppress(Unavailable):  # three times in each other's way: the batch comes again
                    into += [receipt.outcome for receipt in sink.apply([task])]
                    return

        threads = [
            threading.Thread(target=erase, args=(number, sink, together, outcomes))
            for number, sink in zip((one, other), sinks, strict=True)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for sink in sinks:
            sink.close()
        assert outcomes == [Outcome.ERASED, Outcome.ERASED]
        assert mysql_target.rows("addresses") == []
