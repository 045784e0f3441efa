"""The five systems are really filled, and reading them says what is in them."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
from emptied import database

from olvido.core.errors import ConfigError
from shop.people import Cast, Scale, make_cast
from shop.plan import Plan, plan_rows
from shop.systems import Systems, systems_at

SHOP = Path(__file__).parents[2] / "examples" / "shop"
SMALL = Scale(
    people=120, everywhere=10, only_in_one=2, nowhere=3, resigned=2, pairs=2, couples=1, consenting=5,
    repeated=3, heavy_rows=3_000,
)  # fmt: skip


@pytest.fixture(scope="module")
def databases(postgres_admin_dsn: str) -> Iterator[dict[str, str]]:
    """Two empty databases, thrown away afterwards."""
    with database(postgres_admin_dsn, "crm") as crm, database(postgres_admin_dsn, "store_sg") as store_sg:
        yield {"crm": crm, "store_sg": store_sg}


@pytest.fixture(scope="module")
def cast() -> Cast:
    return make_cast(scale=SMALL)


@pytest.fixture(scope="module")
def plan(cast: Cast) -> Plan:
    return plan_rows(cast)


@pytest.fixture
def systems(databases: dict[str, str], tmp_path: Path, plan: Plan) -> Systems:
    systems = systems_at(
        shop=SHOP,
        crm=databases["crm"],
        store_sg=databases["store_sg"],
        store_cn=tmp_path / "store.sqlite",
        marketing=tmp_path / "marketing.sqlite",
        analytics=tmp_path / "a.duckdb",
    )
    systems.plant(plan.tables)
    return systems


def test_every_planned_row_is_there_and_a_second_look_sees_the_same(systems: Systems, plan: Plan) -> None:
    seen = systems.snapshot()
    assert {s: {n: set(rows) for n, rows in tables.items()} for s, tables in seen.items()} == {
        s: {n: set(table.owners) for n, table in tables.items()} for s, tables in plan.tables.items()
    }
    assert systems.snapshot() == seen


def test_planting_again_begins_anew(systems: Systems, plan: Plan) -> None:
    seen = systems.snapshot()
    systems.plant(plan.tables)
    assert systems.snapshot() == seen


def test_one_changed_character_is_a_changed_row(systems: Systems) -> None:
    before = systems.snapshot()["crm"]["customers"]
    with closing(psycopg2.connect(systems.crm.dsn)) as connection, connection, connection.cursor() as cursor:
        cursor.execute("update customers set name = name || ' ' where id = 7")
    after = systems.snapshot()["crm"]["customers"]
    assert {key for key in before if before[key] != after[key]} == {"7"}


def test_a_person_is_found_where_they_are_and_nowhere_else(systems: Systems, cast: Cast) -> None:
    (somebody, *_) = cast.only_in["crm"]
    found = {system.name: sum(system.find([somebody]).values()) for system in systems.all}
    assert found.pop("crm") >= 1
    assert set(found.values()) == {0}
    assert all(not any(system.find(cast.nowhere).values()) for system in systems.all)


def test_a_dump_holds_what_was_written(systems: Systems, cast: Cast) -> None:
    email = cast.bystanders[0].email.encode()
    for system in (
        systems.crm,
        systems.marketing,
        systems.store_cn if "zh" in cast.bystanders[0].locale else systems.crm,
    ):
        assert email in b"".join(content for _, content in system.dump())
    device = cast.bystanders[0].device_id.encode()
    assert device in b"".join(content for _, content in systems.analytics.dump())


def test_without_the_examples_the_error_says_where_to_run_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="clone of the project"):
        systems_at(
            shop=tmp_path,
            crm="",
            store_cn=tmp_path / "s",
            store_sg="",
            marketing=tmp_path / "m",
            analytics=tmp_path / "a",
        )
