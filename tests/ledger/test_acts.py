"""The record of what operators did stays as it was written."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from importlib.resources import files
from uuid import UUID, uuid4

import psycopg2
import pytest
from processors.town import Town
from simulation.registry_twin import RegistryTwin
from values import CATALOGUE, NOW, a_change, an_erasure

from olvido.core.acts import Act, Verb
from olvido.ledger import schema, writer
from olvido.ledger.acts import Acts
from olvido.ledger.connection import Database
from olvido.ledger.retention import Retention
from olvido.schemas.topics import topics_of


def an_act(n: int, verb: Verb = Verb.REDRIVE) -> Act:
    return Act(
        act_id=UUID(int=n),
        at=NOW + timedelta(seconds=n),
        who="ana@ops",
        verb=verb,
        reason="ticket 17",
        details={"n": n},
    )


@pytest.fixture
def acts(ledger_dsn, ledger) -> Acts:
    return Acts(Database(ledger_dsn, application="test"))


def test_an_act_is_recorded_once_however_often_it_is_told(acts):
    acts.record(an_act(1))
    acts.record(an_act(1))
    acts.record(an_act(2, Verb.DISCARD))

    assert [row["details"] for row in acts.newest()] == [{"n": 2}, {"n": 1}]
    assert [row["verb"] for row in acts.newest(verb=Verb.DISCARD)] == ["discard"]
    assert acts.newest(since=NOW + timedelta(seconds=3)) == []


@pytest.mark.parametrize("statement", ["update acts set who = 'x'", "delete from acts", "truncate acts"])
def test_nobody_changes_or_removes_an_act(acts, ledger_dsn, statement):
    acts.record(an_act(1))
    with (
        psycopg2.connect(ledger_dsn) as connection,
        connection.cursor() as cursor,
        pytest.raises(psycopg2.errors.RaiseException, match="append-only"),
    ):
        cursor.execute(statement)


def as_owner(dsn: str, *statements: str) -> None:
    """As the owner of the tables can, who is stopped by no trigger."""
    with psycopg2.connect(dsn) as connection, connection.cursor() as cursor:
        for statement in ("alter table acts disable trigger all", *statements):
            cursor.execute(statement)
    connection.close()


@pytest.mark.parametrize(
    ("statement", "broken_at"),
    [
        pytest.param("update acts set who = 'bob@ops' where number = 2", 2, id="changed"),
        pytest.param("update acts set details = '{\"n\": 7}' where number = 1", 1, id="its details"),
        pytest.param("delete from acts where number = 2", 2, id="taken away"),
        pytest.param("delete from acts where number = 1", 1, id="the first taken away"),
        pytest.param(
            "delete from acts where number = 2; update acts set number = 2 where number = 3", 2, id="moved up"
        ),
    ],
)
def test_what_the_owner_changes_all_the_same_is_found(acts, ledger_dsn, statement, broken_at):
    for n in (1, 2, 3):
        acts.record(an_act(n))
    assert acts.chain().broken_at is None
    as_owner(ledger_dsn, statement)
    assert acts.chain().broken_at == broken_at


def test_acts_that_are_recorded_at_once_are_one_chain(acts, ledger_dsn):
    others = [Acts(Database(ledger_dsn, application=f"test {n}")) for n in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: others[n % 4].record(an_act(n)), range(1, 41)))
    assert (acts.chain().acts, acts.chain().broken_at) == (40, None)


def test_acts_of_before_the_chain_are_linked_by_the_migration(empty_dsn):
    [last] = [name for name in schema.names() if name.endswith("acts_chain.sql")]
    older = [name for name in schema.names() if name < last]
    with psycopg2.connect(empty_dsn) as connection, connection.cursor() as cursor:
        for name in older:
            cursor.execute((files("olvido.ledger") / "migrations" / name).read_text())
        for n in (2, 1):
            cursor.execute(
                "insert into acts values (%s, %s, 'ana@ops', 'reveal', 'T-1', '{}')",
                (str(UUID(int=n)), NOW + timedelta(seconds=n)),
            )
        cursor.execute((files("olvido.ledger") / "migrations" / last).read_text())
    connection.close()
    acts = Acts(Database(empty_dsn, application="test"))
    acts.record(an_act(3))
    assert (acts.chain().acts, acts.chain().broken_at) == (3, None)


@pytest.fixture
def writer_dsn(ledger_dsn, ledger) -> Iterator[str]:
    """The ledger, by the login that `olvido ledger grants` makes."""
    role, password = f"writer_{uuid4().hex[:12]}", uuid4().hex
    with closing(psycopg2.connect(ledger_dsn)) as owner, owner.cursor() as cursor:
        owner.autocommit = True
        for _ in range(2):  # a repeat changes nothing more
            cursor.execute(writer.grants(role))
        cursor.execute(f"alter role {role} password '{password}'")
        yield psycopg2.extensions.make_dsn(ledger_dsn, user=role, password=password)
        cursor.execute(f"drop owned by {role}; drop role {role}")


@pytest.mark.parametrize(
    "statement",
    [
        "update acts set who = 'x'",
        "delete from acts",
        "truncate acts",
        "alter table acts disable trigger all",
        "drop trigger acts_stay on acts",
        "create or replace function acts_stay() returns trigger language plpgsql as 'begin return null; end'",
        "set session_replication_role = replica",
        "delete from migrations",
        "drop table acts",
    ],
)
def test_the_login_of_processes_cannot_touch_what_acts_are_recorded(writer_dsn, statement):
    acts = Acts(Database(writer_dsn, application="test"))
    acts.record(an_act(1))
    with (
        closing(psycopg2.connect(writer_dsn)) as connection,
        connection.cursor() as cursor,
        pytest.raises(psycopg2.errors.InsufficientPrivilege),
    ):
        cursor.execute(statement)


def test_the_login_of_processes_is_enough_for_all_that_they_do(writer_dsn):
    schema.check(writer_dsn)
    town = Town(RegistryTwin(topics_of(CATALOGUE)), writer_dsn)
    tasks = town.ask(an_erasure(1), a_change(2))
    town.answer(tasks)
    town.look_again([task for task in tasks if task.sink == "crm" and task.request_id])
    town.declare("crm", since=NOW - timedelta(hours=1))
    town.now += timedelta(days=2)
    assert town.reconciler().run_once() > 0
    forget = Retention(
        town.ledger.database, keep_events=timedelta(days=1), keep_dead_letters=timedelta(days=1),
        clock=lambda: NOW + timedelta(days=900),
    )  # fmt: skip
    forget.run_once()
    assert Acts(town.ledger.database).chain().acts == 1
