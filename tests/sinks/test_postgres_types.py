"""Every type that may be a key or an identity: the row that is found holds the very value that was asked."""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import psycopg2
import pytest
from emptied import database
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sinks.shop import an_erasure
from sinks.shop import settings as sink_settings
from sinks.typed_people import IDS, TABLES, go_one_by_one

from olvido.core.errors import ConfigError
from olvido.sinks.contract import SinkSettings
from olvido.sinks.kinds.postgres import PostgresSink
from olvido.sinks.kinds.postgres_catalogue import FAMILIES
from olvido.sinks.tables.map_rules import read_data_map
from olvido.sinks.tables.shape import IDENTITIES

# Names that begin with one another: a type that cuts values would take one for the other.
NAMES = ("C", "c", "CA", "CA-", "CA-8", "CA-82", "CA-829")
NUMBERS = ("1", "10", "100", "-1", "1001")
TYPES: Mapping[str, tuple[str, ...]] = {
    "text": NAMES,
    "varchar": NAMES,
    "varchar(6)": NAMES,
    "bpchar": NAMES,
    "char(6)": NAMES,
    "char(12)": NAMES,
    "citext": tuple(name for name in NAMES if name != "c"),  # which is the same as C there
    "smallint": NUMBERS,
    "integer": NUMBERS,
    "bigint": NUMBERS,
    "uuid": IDS,
    "numeric(20)": NUMBERS,
    "name": NAMES,
    "customer_number": NAMES,
}
_BENEATH = {
    "char": "bpchar",
    "smallint": "int2",
    "integer": "int4",
    "bigint": "int8",
    "customer_number": "text",
}
# Those that are keys alone: no identity is of such a type.
KEY_TYPES: Mapping[str, tuple[str, ...]] = {
    "date": ("2026-01-01", "0044-03-15 BC", "infinity"),
    "timestamp": ("2026-01-01 00:00:00.000001", "2026-01-01 00:00:00.000002", "-infinity"),
    "timestamptz": ("2026-01-01 00:00:00.000001+08", "2026-01-01 00:00:00.000001-08", "infinity"),
    "boolean": ("true", "false"),
    "bytea": ("\\x00ff", "\\x00fe", "\\x"),
    "inet": ("203.0.113.7", "203.0.113.7/24", "2001:db8::7"),
    "macaddr": ("08:00:2b:01:02:03", "08:00:2b:01:02:04"),
    '"char"': ("C", "c"),
    "oid": ("1", "4294967295"),
    "mood": ("glad", "sad, very", 'so "so"'),
    "numeric": ("0.1", "0.10000000000000000001", "NaN"),
    "customer_number": NAMES,
}


@pytest.fixture(scope="module")
def dsn(postgres: str) -> Iterator[str]:
    """A database for all types, one after another."""
    with database(postgres, "types") as dsn:
        run(
            dsn,
            """
            CREATE EXTENSION citext;
            CREATE DOMAIN customer_number AS text CHECK (VALUE <> '-');
            CREATE TYPE mood AS ENUM ('glad', 'sad, very', 'so "so"');
        """,
        )
        yield dsn
        connected(dsn).close()


@cache
def connected(dsn: str) -> psycopg2.extensions.connection:
    """One connection for all statements: a new one for each takes many times what the statement does."""
    connection = psycopg2.connect(dsn)
    connection.autocommit = True
    return connection


def run(dsn: str, query: str, values: Any = None) -> list[tuple[Any, ...]]:
    """One statement, committed."""
    with connected(dsn).cursor() as cursor:
        cursor.execute(query, values)
        return cursor.fetchall() if cursor.description else []


def a_sink(dsn: str) -> PostgresSink:
    """A checked sink that knows people by their customer number."""
    told = sink_settings({})
    told = SinkSettings(
        name=told.name, region=told.region, identities=told.identities[:1], purposes=(), own={}
    )
    sink = PostgresSink(told, dsn, read_data_map(told, TABLES))
    sink.check()
    sink.install()
    return sink


def fill(dsn: str, *, name_type: str, key_type: str) -> None:
    """People of all names, keyed by all keys, each with one note."""
    names, keys = TYPES[name_type], TYPES[key_type]
    run(dsn, f"""
        DROP TABLE IF EXISTS notes, people;
        CREATE TABLE people (ref {key_type} PRIMARY KEY, name {name_type} NOT NULL);
        CREATE TABLE notes (id serial PRIMARY KEY, person_ref {key_type} NOT NULL REFERENCES people);
    """)  # fmt: skip
    for name, key in zip(names, keys, strict=False):
        run(dsn, "INSERT INTO people VALUES (%s, %s)", (key, name))
        run(dsn, "INSERT INTO notes (person_ref) VALUES (%s)", (key,))


def names(dsn: str) -> set[str]:
    return {name for (name,) in run(dsn, "SELECT trim(name::text) FROM people")}


def all_go(dsn: str, people: Sequence[str]) -> None:
    sink = a_sink(dsn)
    count = "SELECT count(*) FROM notes"
    go_one_by_one(sink, people, names=lambda: names(dsn), notes=lambda: run(dsn, count)[0][0])
    sink.close()


def test_every_type_that_is_allowed_is_tried_here() -> None:
    bare = [re.sub(r"\(.*", "", name) for name in TYPES]
    tried = {_BENEATH.get(name, name) for name in bare}
    assert tried == {name for name, family in FAMILIES.items() if family in IDENTITIES}
    keys = {_BENEATH.get(name, name).strip('"') for name in (*bare, *KEY_TYPES)}
    kept = {"bool": "boolean"}
    assert {kept.get(name, name) for name in FAMILIES} <= keys


@pytest.mark.parametrize("one_type", TYPES)
def test_who_is_erased_is_who_was_asked_for_and_nobody_else(dsn: str, one_type: str) -> None:
    """`char(n)` was cut to one letter: C was erased for CA-829."""
    fill(dsn, name_type=one_type, key_type=one_type)
    all_go(dsn, sorted(names(dsn), key=len, reverse=True))


@pytest.mark.parametrize("key_type", KEY_TYPES)
def test_a_key_of_any_type_is_one_rows(dsn: str, key_type: str) -> None:
    """Two people whose keys are hard to tell apart: one goes, with the row that hangs on it."""
    keys = KEY_TYPES[key_type]
    run(dsn, f"""
        DROP TABLE IF EXISTS notes, people;
        CREATE TABLE people (ref {key_type} PRIMARY KEY, name text);
        CREATE TABLE notes (id serial PRIMARY KEY, person_ref {key_type} NOT NULL REFERENCES people);
    """)  # fmt: skip
    for number, key in enumerate(keys):
        run(dsn, "INSERT INTO people VALUES (%s, %s)", (key, f"C-{number}"))
        run(dsn, "INSERT INTO notes (person_ref) VALUES (%s)", (key,))
    all_go(dsn, [f"C-{number}" for number in range(len(keys))])


@pytest.mark.parametrize("key_type", ["real", "jsonb", "text[]", "interval", "point"])
def test_a_type_that_cannot_be_compared_for_certain_is_refused(dsn: str, key_type: str) -> None:
    run(dsn, f"""
        DROP TABLE IF EXISTS notes, people;
        CREATE TABLE people (ref {key_type}, name text);
        CREATE TABLE notes (id serial PRIMARY KEY, person_ref int);
    """)  # fmt: skip
    with pytest.raises(ConfigError, match="cannot be one"):
        a_sink(dsn)


@example(name_type="bpchar", asked="C ")
@given(
    name_type=st.sampled_from([name for name in TYPES if name != "citext"]),
    asked=st.text(alphabet="C-8 cA0", min_size=1, max_size=8) | st.integers(-9, 9).map(str),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_value_that_nobody_has_erases_nobody(dsn: str, name_type: str, asked: str) -> None:
    fill(dsn, name_type=name_type, key_type="integer")
    before = names(dsn)
    sink = a_sink(dsn)
    sink.apply([an_erasure(customer_id=asked)])
    sink.close()
    gone = before - names(dsn)
    whole = str(int(asked)) if "int" in name_type and re.fullmatch(r"-?[0-9]+", asked) else asked
    if "char(" in name_type or name_type == "bpchar":
        # Blanks at the end are no part of a value of these types: what is asked is the value without them.
        whole = whole if name_type.startswith("varchar") else whole.rstrip(" ")
    assert gone <= {whole}


def test_what_a_collation_takes_for_equal_is_nobodys(dsn: str) -> None:
    """Two names that a case-blind collation calls one are perhaps two people: neither row is touched."""
    try:
        run(
            dsn,
            """
            CREATE COLLATION IF NOT EXISTS blind (
                provider = icu, locale = 'und-u-ks-level2', deterministic = false)
        """,
        )
    except psycopg2.errors.FeatureNotSupported:
        pytest.skip("this PostgreSQL was built without ICU, and so has no collation that is blind to case")
    run(dsn, """
        DROP TABLE IF EXISTS notes, people;
        CREATE TABLE people (ref int PRIMARY KEY, name text COLLATE blind NOT NULL);
        CREATE TABLE notes (id int PRIMARY KEY, person_ref int REFERENCES people);
        INSERT INTO people VALUES (1, 'ca-8');
    """)  # fmt: skip
    sink = a_sink(dsn)
    sink.apply([an_erasure(customer_id="CA-8")])
    sink.close()
    assert run(dsn, "SELECT count(*) FROM people") == [(1,)]
