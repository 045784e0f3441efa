"""How fast everything moves: a rate is what was handled between two looks."""

from datetime import UTC, datetime, timedelta

from values import NOW

from olvido.broker.groups import GroupFigures
from olvido.operators.cli.top import sparkline
from olvido.operators.desk import top


def a_group(handled: int) -> GroupFigures:
    return GroupFigures(group="olvido.sink.crm", state="STABLE", members=1, behind=3, handled=handled)


def a_look(handled: int, instant_s: float) -> top.Look:
    return top.Look(at=NOW, instant_s=instant_s, readers=(top._pace(a_group(handled), instant_s, None),))


def test_a_rate_is_counted_from_the_look_before():
    before = a_look(100, instant_s=50.0)
    assert top._pace(a_group(300), 54.0, before).rate == 50.0
    assert before.readers[0].rate == 0.0  # at the first look nothing is known
    assert top._pace(a_group(20), 54.0, before).rate == 0.0  # its topics were made anew


def test_what_does_not_answer_is_a_problem_and_the_rest_is_there(
    deployment, ledger_dsn: str, ledger, monkeypatch
):
    kafka = deployment.kafka.model_copy(update={"bootstrap_servers": "127.0.0.1:1"})
    section = deployment.ledger.model_copy(update={"dsn": ledger_dsn})
    look = top.Looking(deployment.model_copy(update={"kafka": kafka, "ledger": section})).look()
    assert (look.readers, look.sinks, look.dead_letters) == ((), {}, ())
    [problem] = look.problems
    assert "127.0.0.1:1" in problem
    assert look.at - datetime.now(UTC) < timedelta(minutes=1)


def test_the_newest_values_are_bars_and_the_greatest_is_the_tallest():
    assert sparkline([0, 0], 3) == " ▁▁"
    assert sparkline([9, 1, 7], 2) == "▂█"
