"""Every type that MariaDB may have in a key or an identity: the row that is found holds what was asked."""

import re
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sinks.databases import MySQLDatabase
from sinks.shop import an_erasure
from sinks.typed_people import IDS, TABLES, go_one_by_one

from olvido.core.errors import ConfigError
from olvido.sinks.contract import Sink
from olvido.sinks.kinds.mysql_catalogue import FAMILIES
from olvido.sinks.tables.shape import IDENTITIES

# Names that begin with one another, or that the usual collation takes for one another.
NAMES = ("C", "c", "CA", "CÁ", "CA-8", "CA-82", "8", "8x")
NUMBERS = ("1", "10", "100", "0", "101")
TYPES: Mapping[str, tuple[str, ...]] = {
    "char(6) COLLATE utf8mb4_bin": NAMES,
    "varchar(6) COLLATE utf8mb4_bin": NAMES,
    "varchar(60) CHARACTER SET latin1 COLLATE latin1_bin": NAMES,
    "tinytext": NAMES,
    "text": NAMES,
    "mediumtext": NAMES,
    "longtext": NAMES,
    "tinyint": NUMBERS,
    "smallint": NUMBERS,
    "mediumint": NUMBERS,
    "int": NUMBERS,
    "bigint": NUMBERS,
    "bigint unsigned": NUMBERS,
    "decimal(12,0)": NUMBERS,
    "uuid": IDS,
}
# Those that are keys alone: no identity is of such a type.
KEY_TYPES: Mapping[str, tuple[str, ...]] = {
    "date": ("2026-01-01", "2026-01-02", "0000-01-01"),
    "datetime(6)": ("2026-01-01 00:00:00.000001", "2026-01-01 00:00:00.000002"),
    "timestamp(6)": ("2026-01-01 00:00:00.000001", "2026-01-01 00:00:00.000002"),
    "decimal(20,10)": ("0.1", "0.1000000001"),
    "bigint unsigned": ("18446744073709551615", "18446744073709551614"),
    "binary(4)": ("\x00ab\x00", "\x00ab\x01"),
    "varbinary(4)": ("a", "a\x00", "A"),
    "enum('glad','so \"so\"','a, b')": ("glad", 'so "so"', "a, b"),
    "uuid": IDS,
}
REFUSED = ("float", "double", "bit(8)", "time", "year", "set('a','b')", "inet6", "blob")


@pytest.fixture
def database(reused_mariadb: str) -> MySQLDatabase:
    """An empty database."""
    return MySQLDatabase(reused_mariadb)


def filled(database: MySQLDatabase, *, name_type: str, key_type: str, people: Mapping[str, str]) -> Sink:
    """People by their keys, each with one note; a sink that knows them by their names."""
    database.run(f"""
        DROP TABLE IF EXISTS notes;
        DROP TABLE IF EXISTS people;
        CREATE TABLE people (ref {key_type} NOT NULL PRIMARY KEY, name {name_type} NOT NULL);
        CREATE TABLE notes (id int PRIMARY KEY AUTO_INCREMENT, person_ref {key_type} NOT NULL,
            FOREIGN KEY (person_ref) REFERENCES people (ref))
    """)
    for key, name in people.items():
        database.run(f"INSERT INTO people VALUES ({_literal(key)}, {_literal(name)})")
        database.run(f"INSERT INTO notes (person_ref) VALUES ({_literal(key)})")
    return database.sink(TABLES)


def _literal(value: str) -> str:
    """As bytes, in the column's own character set: a text with a semicolon would end a statement here."""
    return f"_utf8mb4 x'{value.encode().hex()}'"


def all_go(database: MySQLDatabase, sink: Sink, people: Sequence[str]) -> None:
    go_one_by_one(
        sink, people,
        names=lambda: {str(name) for (name,) in database.run("SELECT name FROM people")},
        notes=lambda: database.run("SELECT count(*) FROM notes")[0][0],
    )  # fmt: skip


def test_every_type_that_is_allowed_is_tried_here() -> None:
    bare = {re.sub(r"[ (].*", "", name) for name in TYPES}
    assert bare == {name for name, family in FAMILIES.items() if family in IDENTITIES}
    keys = bare | {re.sub(r"[ (].*", "", name) for name in KEY_TYPES}
    assert {*FAMILIES, "enum"} == keys


@pytest.mark.parametrize("name_type", TYPES)
def test_who_is_erased_is_who_was_asked_for_and_nobody_else(database: MySQLDatabase, name_type: str) -> None:
    people = {str(number): name for number, name in enumerate(TYPES[name_type])}
    with closing(filled(database, name_type=name_type, key_type="int", people=people)) as sink:
        all_go(database, sink, sorted(people.values(), key=len, reverse=True))


@pytest.mark.parametrize("key_type", KEY_TYPES)
def test_a_key_of_any_type_is_one_rows(database: MySQLDatabase, key_type: str) -> None:
    """People whose keys are hard to tell apart: one goes, with the row that hangs on it."""
    people = {key: f"C-{number}" for number, key in enumerate(KEY_TYPES[key_type])}
    with closing(filled(database, name_type="varchar(9)", key_type=key_type, people=people)) as sink:
        all_go(database, sink, [*people.values()])


@pytest.mark.parametrize("key_type", REFUSED)
def test_a_type_that_cannot_be_compared_for_certain_is_refused(
    database: MySQLDatabase, key_type: str
) -> None:
    database.run(f"""
        CREATE TABLE people (ref {key_type}, name varchar(9));
        CREATE TABLE notes (id int PRIMARY KEY, person_ref int)
    """)
    with pytest.raises(ConfigError, match="cannot be one"):
        database.sink(TABLES)


@pytest.fixture
def crowds(database: MySQLDatabase) -> MySQLDatabase:
    """A table for each type in which all of its names are, none of them keyed by another."""
    for number, (name_type, held) in enumerate(TYPES.items()):
        database.run(f"CREATE TABLE t{number} (id int PRIMARY KEY AUTO_INCREMENT, name {name_type} NOT NULL)")
        for name in held:
            database.run(f"INSERT INTO t{number} (name) VALUES ({_literal(name)})")
    return database


def test_a_value_that_nobody_has_erases_nobody(crowds: MySQLDatabase) -> None:
    """In all tables at once."""
    tables: dict[str, Any] = {
        f"t{number}": {"key": "id", "identities": {"customer_id": "name"}, "erase": "delete"}
        for number in range(len(TYPES))
    }

    def held() -> dict[str, set[str]]:
        return {name: {str(row[0]) for row in crowds.run(f"SELECT name FROM {name}")} for name in tables}

    with closing(crowds.sink(tables)) as sink:

        @given(asked=st.text(alphabet="C-8 cA0áx", min_size=1, max_size=6) | st.integers(-9, 9).map(str))
        @settings(max_examples=40, suppress_health_check=list(HealthCheck))
        def hold(asked: str) -> None:
            before = held()
            sink.apply([an_erasure(customer_id=asked)])
            whole = str(int(asked)) if re.fullmatch(r"-?[0-9]+", asked) else asked
            for name, left in held().items():
                assert before[name] - left <= {asked, whole}

        hold()
