"""The record of what operators did stays as it was written."""

from datetime import timedelta
from uuid import UUID

import psycopg2
import pytest
from values import NOW

from olvido.core.acts import Act, Verb
from olvido.ledger.acts import Acts
from olvido.ledger.connection import Database


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
