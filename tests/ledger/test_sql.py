"""The ledger's SQL is given the lists of the core, and repeats none."""

import re
from importlib.resources import files
from typing import Any
from uuid import UUID

import psycopg2
import pytest

from olvido.core.lifecycle import RequestState
from olvido.core.outcomes import LEFT_OVER, NOT_FINAL, Outcome
from olvido.ledger import schema
from olvido.ledger.sql import QUERIES

SQL = {
    file.name: file.read_text(encoding="utf-8")
    for file in files("olvido.ledger.sql").iterdir()
    if file.name.endswith(".sql")
}


@pytest.mark.parametrize("name", sorted(SQL))
def test_no_query_names_an_outcome_or_a_state(name: str):
    """It names the group: ``${not_final}``. So a new outcome is put into its groups in one place."""
    named = set(re.findall(r"'(\w+)'", SQL[name]))
    assert named & {*map(str, Outcome), *map(str, RequestState)} == set()


def test_partial_indexes_are_for_the_same_outcomes(empty_dsn: str):
    """They stand in migrations, which are applied once: a group that changes needs another migration."""
    schema.migrate(empty_dsn)
    with psycopg2.connect(empty_dsn) as connection, connection.cursor() as cursor:
        cursor.execute(
            "select c.relname, pg_get_expr(i.indpred, i.indrelid) from pg_index i "
            "join pg_class c on c.oid = i.indexrelid "
            "where i.indrelid = 'tasks'::regclass and i.indpred is not null"
        )
        found = {name: set(re.findall(r"'(\w+)'", where)) for name, where in cursor.fetchall()}
    assert {name: outcomes for name, outcomes in found.items() if outcomes} == {
        "tasks_owed": set(NOT_FINAL),
        "tasks_of_operations": set(NOT_FINAL | LEFT_OVER),
    }


@pytest.mark.parametrize(
    ("query", "values", "index"),
    [
        ("owed", {"now": "2026-01-01", "limit": 10}, "tasks_owed"),
        ("story_of_dead_letters", {"id": str(UUID(int=1))}, "dead_letters_of_a_source"),
    ],
)
def test_a_query_is_answered_by_its_index(empty_dsn: str, query: str, values: dict[str, Any], index: str):
    """The text of the query implies the condition of the index, which holds only such rows."""
    schema.migrate(empty_dsn)
    with psycopg2.connect(empty_dsn) as connection, connection.cursor() as cursor:
        cursor.execute("set enable_seqscan = off")
        cursor.execute(f"explain {QUERIES[query]}", values)
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert index in plan


def test_the_state_of_a_request_is_written_by_one_text():
    """Whoever moves it: what an event gives, and a restore that asks again."""
    written = [name for name, text in QUERIES.items() if re.search(r"update requests\b[^;]*\bstate = ", text)]
    move = files("olvido.ledger.sql").joinpath("parts", "move_requests.sql")
    text = move.read_text(encoding="utf-8")
    assert written == ["issue_again", "write_request_states"]
    assert [name for name in written if text not in QUERIES[name]] == []
    assert [name for name, text in SQL.items() if re.search(r"update requests\b[^;]*\bstate = ", text)] == []
