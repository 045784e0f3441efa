"""The regimes: all that is shipped is loaded, and a file that breaks the model is refused by name."""

from pathlib import Path

import pytest

from olvido.core.errors import ConfigError
from olvido.core.law import regimes
from olvido.core.law.regimes import Certainty, RuleKind, Unit, load, parsed

RULE = """
title = "A law"

[[rules]]
kind = "answer"
length = 1
unit = "months"
text = "One month."
source = "art. 1"
reviewed_on = 2026-11-30
certainty = "sure"
"""


def test_every_file_is_loaded_and_answers_by_when_a_request_is_answered():
    loaded = load()
    assert loaded.keys() == {file.stem for file in Path(regimes.__file__).parent.glob("*.toml")}
    for regime in loaded.values():
        together = (*regime.rules, *(loaded[regime.builds_on].rules if regime.builds_on else ()))
        assert any(rule.kind is RuleKind.ANSWER and rule.length for rule in together), regime.code


def test_a_month_of_the_gdpr_is_a_month_and_sure():
    answer = next(rule for rule in load()["gdpr"].rules if rule.kind is RuleKind.ANSWER)
    assert (answer.length, answer.unit, answer.certainty) == (1, Unit.MONTHS, Certainty.SURE)


def test_no_rule_from_memory_or_without_a_passage_is_called_sure():
    rules = [rule for regime in load().values() for rule in regime.rules]
    weak = [rule for rule in rules if "memory" in rule.source or "no passage" in rule.source]
    assert weak
    assert {rule.certainty for rule in weak} == {Certainty.UNSURE}


@pytest.mark.parametrize(
    ("there", "instead", "fault"),
    [
        ('source = "art. 1"', "", "it lacks source"),
        ('source = "art. 1"', 'source = " "', "source is a text"),
        ('certainty = "sure"', 'certainty = "quite"', "'quite' is not a valid Certainty"),
        ("reviewed_on = 2026-11-30", 'reviewed_on = "lately"', "reviewed_on is a date"),
        ('unit = "months"', "", "length and unit stand together"),
        ("length = 1", "length = 0", "a whole number above 0"),
        ("length = 1", "length = true", "a whole number above 0"),
        ('kind = "answer"', 'kind = "refusal"', "a refusal has a ground"),
        ("length = 1", 'length = 1\nground = "none"', "a refusal has a ground"),
        ("length = 1", "length = 1\nfine = 3", "it has no fine"),
        ("length = 1", 'length = 1\nrights = ["FORGET"]', "'FORGET' is not a valid Right"),
    ],
)
def test_a_rule_that_breaks_the_model_is_refused(there: str, instead: str, fault: str):
    assert parsed("xx", RULE).rules
    assert there in RULE
    with pytest.raises(ConfigError, match=fault) as refused:
        parsed("xx", RULE.replace(there, instead))
    assert "xx.toml, rule 1" in str(refused.value)


@pytest.mark.parametrize("text", ["title = ", 'title = "A law"', RULE.replace("title", "name")])
def test_a_file_without_title_or_rules_is_refused(text: str):
    with pytest.raises(ConfigError, match=r"xx\.toml: "):
        parsed("xx", text)


def test_a_period_is_written_as_people_say_it():
    periods = {rule.period for regime in load().values() for rule in regime.rules}
    assert {"1 month", "2 months", "20 business days", None} <= periods
