"""A rehearsal says what would come of a task, and changes nothing in the target."""

from collections.abc import Callable

import pytest
from sinks.mysql_target import MySQLTarget
from sinks.shop import TABLES, a_customer, an_erasure, settings
from sinks.targets import PostgresTarget, Target

from olvido.core.outcomes import Outcome
from olvido.core.tasks import Task
from olvido.sinks.contract import OpenedTask, Rehearsing, Sink
from olvido.sinks.kinds.mysql import MySQLSink
from olvido.sinks.kinds.postgres import PostgresSink

ANA = an_erasure(customer_id="C-1", email="person1@example.com")
EVA = an_erasure(customer_id="C-2", email="person2@example.com")


def opening(*opened: OpenedTask) -> Callable[[Task], OpenedTask | None]:
    """Opens these."""
    return lambda task: next((one for one in opened if one.task is task), None)


def everything(target: PostgresTarget) -> list[object]:
    """What stands in the shop and in Olvido's own tables."""
    own = ("olvido.applied", "olvido.consent_state", "olvido.objections", "olvido.row_marks")
    there = [name for name in own if target.run("select to_regclass(%s) is not null", (name,)) == [(True,)]]
    return [
        there,
        target.rows("customers"),
        *(target.run(f"select * from {name} order by 1, 2") for name in there),
    ]


def test_what_was_done_is_remembered_without_a_box_and_what_is_new_is_tried(
    postgres_target: PostgresTarget,
) -> None:
    postgres_target.add("customers", a_customer(1), a_customer(2))
    sink = postgres_target.sink()
    sink.apply([ANA])
    before = everything(postgres_target)
    known, new = sink.rehearse([ANA.task, EVA.task], opening(EVA))
    assert (known.task, known.remembered) == (ANA.task, True)
    assert (new.task, new.remembered) == (EVA.task, False)
    assert new.receipt is not None
    assert (new.receipt.outcome, new.receipt.counts) == (Outcome.ERASED, {"customers.deleted": 1})
    assert everything(postgres_target) == before
    [receipt] = sink.apply([EVA])
    assert receipt.outcome is Outcome.ERASED
    sink.close()


def test_a_box_that_does_not_open_here_leaves_only_the_outcome_untold(
    postgres_target: PostgresTarget,
) -> None:
    sink = postgres_target.sink()
    [found] = sink.rehearse([EVA.task], opening())
    assert (found.remembered, found.receipt) == (False, None)
    sink.close()


def test_a_target_without_a_journal_is_not_given_one(postgres_target: PostgresTarget) -> None:
    postgres_target.add("customers", a_customer(2))
    unchecked = PostgresSink.from_section(settings({"dsn": {"env": "OLVIDO_TEST_CRM"}, "tables": TABLES}))
    before = everything(postgres_target)
    [found] = unchecked.rehearse([EVA.task], opening(EVA))
    assert found.receipt is not None
    assert found.receipt.outcome is Outcome.ERASED
    assert everything(postgres_target) == before
    assert before[0] == []
    [receipt] = unchecked.apply([EVA])
    assert receipt.outcome is Outcome.ERASED
    unchecked.close()


def test_a_mariadb_target_without_a_journal_is_not_given_one(mysql_target: MySQLTarget) -> None:
    """There a statement that makes a table commits by itself: one plan made eight tables in the target."""
    mysql_target.add("customers", a_customer(2))
    names = "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE() ORDER BY 1"
    before = (mysql_target.run(names), mysql_target.rows("customers"))
    unchecked = MySQLSink.from_section(settings({"url": {"env": "OLVIDO_TEST_CRM"}, "tables": TABLES}))
    [found] = unchecked.rehearse([EVA.task], opening(EVA))
    assert found.receipt is not None
    assert (found.receipt.outcome, found.receipt.counts) == (Outcome.ERASED, {"customers.deleted": 1})
    assert (mysql_target.run(names), mysql_target.rows("customers")) == before
    [receipt] = unchecked.apply([EVA])
    assert receipt.outcome is Outcome.ERASED
    unchecked.close()


@pytest.mark.parametrize("kind", ["duckdb", "http"])
def test_a_target_that_cannot_take_back_says_why(request: pytest.FixtureRequest, kind: str) -> None:
    target: Target = request.getfixturevalue(f"{kind}_target")
    sink: Sink = target.sink()
    assert not isinstance(sink, Rehearsing)
    assert sink.not_rehearsed  # type: ignore[attr-defined]
    sink.close()
