"""Laws of erasure over random data maps and contents, against an oracle that goes row by row."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import psycopg2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg2.extras import execute_values
from sinks.shop import ASKED_AT, an_erasure
from sinks.shop import settings as sink_settings
from sinks.targets import PostgresTarget

from olvido.core.outcomes import Outcome
from olvido.sinks.contract import OpenedTask
from olvido.sinks.kinds.postgres import PostgresSink

NAMES = ("t0", "t1", "t2", "t3")
SHARED = "places"
COLUMNS = ("id", "up", "customer_no", "email", "place", "made_at")
PEOPLE = (None, "A", "B")
ADDRESSES = (None, "a@x.org", "B@x.org", "us@x.org", "US@x.org")

Row = dict[str, Any]
Tables = dict[str, Row]


@dataclass(frozen=True)
class World:
    """A data map, what the tables hold, and what is asked."""

    tables: Tables
    rows: Mapping[str, list[Row]]
    places: int
    tasks: Sequence[Mapping[str, str]]


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Tables that hang on one another in any way; rows of two people and nobody; erasures of both."""
    tables: Tables = {}
    for place, name in enumerate(NAMES[: draw(st.integers(1, len(NAMES)))]):
        parent = draw(st.sampled_from([None, *NAMES[:place]]))
        tables[name] = _a_table(draw, tables, parent)
    if draw(st.booleans()):
        sharers = [{"table": name, "column": "place"} for name in tables]
        tables[SHARED] = {"key": "id", "erase": "delete", "shared_by": sharers}
    rows: dict[str, list[Row]] = {}
    for name in tables:
        if name == SHARED:
            continue
        parent = tables[name].get("parent", {}).get("table")
        ups = [None, *range(len(rows[parent]))] if parent else [None]
        rows[name] = [
            {
                "id": number,
                "up": draw(st.sampled_from(ups)),
                "customer_no": draw(st.sampled_from(PEOPLE)),
                "email": draw(st.sampled_from(ADDRESSES)),
                "place": draw(st.sampled_from([None, 0, 1])),
                "made_at": ASKED_AT + timedelta(days=draw(st.sampled_from([-1, 1]))),
            }
            for number in range(draw(st.integers(0, 5)))
        ]
    task = st.fixed_dictionaries(
        {},
        optional={
            "customer_id": st.sampled_from(["A", "B"]),
            "email": st.sampled_from(["a@x.org", "us@x.org"]),
        },
    ).filter(bool)
    return World(tables=tables, rows=rows, places=2, tasks=draw(st.lists(task, min_size=1, max_size=3)))


def _a_table(draw: st.DrawFn, tables: Tables, parent: str | None) -> Row:
    table: Row = {"key": "id", "erase": draw(st.sampled_from(["delete", "anonymise", "retain"]))}
    if parent:
        table["parent"] = {"table": parent, "column": "up"}
    if parent is None or draw(st.booleans()):
        table["identities"] = {"customer_id": "customer_no", "email": "email"}
        table |= {"person": "customer_no"} if draw(st.booleans()) else {}
        table |= {"created": "made_at"} if draw(st.booleans()) else {}
    if table["erase"] == "anonymise":
        table["null"] = ["customer_no", "email"]
    if table["erase"] == "retain":
        table["ground"] = "law"
    if parent and table["erase"] != "delete":
        table["unlink"] = tables[parent]["erase"] == "delete" or draw(st.booleans())
    return table


def _named(table: Row, row: Row, task: Mapping[str, str]) -> bool:
    """Whether a row names an identity of a task, is old enough, and is not somebody else's."""
    if "identities" not in table:
        return False
    if "created" in table and row["made_at"] > ASKED_AT:
        return False
    if (
        "person" in table
        and row["customer_no"]
        and task.get("customer_id", row["customer_no"]) != row["customer_no"]
    ):
        return False
    return bool(
        (row["customer_no"] and row["customer_no"] == task.get("customer_id"))
        or (row["email"] and row["email"].lower() == task.get("email"))
    )


def _left(world: World, task: Mapping[str, str], after: Mapping[str, list[tuple[Any, ...]]]) -> bool:
    """Whether a row that is old enough still names an identity of a task, whoever's row it is."""
    for name, rows in after.items():
        table = {key: value for key, value in world.tables[name].items() if key != "person"}
        if name != SHARED and any(_named(table, dict(zip(COLUMNS, row, strict=True)), task) for row in rows):
            return True
    return False


def _owned(world: World, task: Mapping[str, str]) -> set[tuple[str, int]]:
    """The rows that are a task's person's, by definition."""
    named = [
        (name, row)
        for name, rows in world.rows.items()
        for row in rows
        if _named(world.tables[name], row, task)
    ]
    people = {row["customer_no"] for name, row in named if "person" in world.tables[name]} - {None}
    if "customer_id" not in task and len(people) > 1:
        return set()
    owned = {(name, row["id"]) for name, row in named if row["up"] is None}
    for name, rows in world.rows.items():  # parents come first
        parent = world.tables[name].get("parent", {}).get("table")
        owned |= {(name, row["id"]) for row in rows if (parent, row["up"]) in owned}
    return owned


def expected(world: World) -> dict[str, list[tuple[Any, ...]]]:
    """What the tables must hold afterwards."""
    owned = set().union(*(_owned(world, task) for task in world.tasks))
    after: dict[str, list[tuple[Any, ...]]] = {}
    for name, rows in world.rows.items():
        table = world.tables[name]
        kept = []
        for row in rows:
            if (name, row["id"]) in owned:
                if table["erase"] == "delete":
                    continue
                nulls = [*table.get("null", []), *(["up"] if table.get("unlink") else [])]
                row = {**row, **dict.fromkeys(nulls)}  # noqa: PLW2901
            kept.append(tuple(row[column] for column in COLUMNS))
        after[name] = kept
    if SHARED in world.tables:
        left = {
            row["place"] for name, rows in world.rows.items() for row in rows if (name, row["id"]) in owned
        }
        pointed = {row[4] for rows in after.values() for row in rows}
        after[SHARED] = [(place,) for place in range(world.places) if place in pointed or place not in left]
    return after


def fill(dsn: str, world: World) -> None:
    """Make the tables anew."""
    with closing(psycopg2.connect(dsn)) as connection, connection, connection.cursor() as cur:
        cur.execute("DROP TABLE IF EXISTS t3, t2, t1, t0, places; DROP SCHEMA IF EXISTS olvido CASCADE")
        cur.execute("CREATE TABLE places (id int PRIMARY KEY)")
        execute_values(cur, "INSERT INTO places VALUES %s", [(n,) for n in range(world.places)])
        for name, table in world.tables.items():
            if name == SHARED:
                continue
            parent = table.get("parent", {}).get("table")
            cur.execute(
                f"CREATE TABLE {name} (id int PRIMARY KEY, up int {f'REFERENCES {parent}' if parent else ''},"
                " customer_no text, email text, place int REFERENCES places, made_at timestamptz)"
            )
            if world.rows[name]:
                values = [tuple(row[column] for column in COLUMNS) for row in world.rows[name]]
                execute_values(cur, f"INSERT INTO {name} VALUES %s", values)


def held(dsn: str, tables: Tables) -> dict[str, list[tuple[Any, ...]]]:
    """What the tables hold."""
    with closing(psycopg2.connect(dsn)) as connection, connection, connection.cursor() as cur:
        cur.execute("SET TIME ZONE 'UTC'")
        found = {}
        for name in tables:
            cur.execute(f"SELECT * FROM {name} ORDER BY id")
            found[name] = cur.fetchall()
        return found


@pytest.fixture(scope="module")
def dsn(postgres: str) -> Iterator[str]:
    """A database for all worlds, one after another."""
    with pytest.MonkeyPatch.context() as patch:
        target = PostgresTarget(postgres, patch)
        yield target.dsn
        target.drop()


def sink_of(world: World, dsn: str) -> PostgresSink:
    """A checked sink of a world."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OLVIDO_TEST_CRM", dsn)
        told = sink_settings({"dsn": {"env": "OLVIDO_TEST_CRM"}, "tables": world.tables})
        kinds = tuple(kind for kind in told.identities if kind.value != "phone")
        settings_ = type(told)(
            name=told.name, region=told.region, identities=kinds, purposes=told.purposes, own=told.own
        )
        sink = PostgresSink.from_section(settings_)
    sink.check()
    sink.install()
    return sink


@given(world=worlds(), together=st.booleans())
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_all_rows_of_the_person_are_dealt_with_and_all_others_are_as_they_were(
    dsn: str, world: World, together: bool
) -> None:
    """In one batch, or redelivered in a second one, which must then change nothing."""
    fill(dsn, world)
    batch: list[OpenedTask] = [an_erasure(**task) for task in world.tasks]
    with closing(sink_of(world, dsn)) as sink:
        receipts = sink.apply(batch)
        after = held(dsn, world.tables)
        assert after == expected(world)
        for task, receipt in zip(world.tasks, receipts, strict=True):
            left = _left(world, task, after)
            assert (receipt.verified_at is None) == left
            assert not left or receipt.outcome in {Outcome.AMBIGUOUS, Outcome.RETAINED}
        assert sink.apply(batch if together else batch[::-1]) == (receipts if together else receipts[::-1])
        assert held(dsn, world.tables) == expected(world)
        again = sink.apply([an_erasure(**task) for task in world.tasks])
    assert all(r.counts == {} for r in again if r.outcome is Outcome.NOT_FOUND)
    total = sum(sum(receipt.counts.values()) for receipt in receipts)
    assert total == _touched(world)


def _touched(world: World) -> int:
    """Each row is counted once, whoever else asks for it in the batch."""
    owned = set().union(*(_owned(world, task) for task in world.tasks))
    gone = len(expected(world).get(SHARED, [])) if SHARED in world.tables else world.places
    return len(owned) + world.places - gone
