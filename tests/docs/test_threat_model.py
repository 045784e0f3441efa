"""The threat model names every place that somebody can hold, and tests that there are."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from olvido.schemas.access_rules import processes_of
from olvido.schemas.settings.deployment import Deployment
from olvido.schemas.topics import CANARIES, FIXED, tasks_topic

PROJECT = Path(__file__).parents[2]
PAGE = (PROJECT / "docs" / "threat-model.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)))


@cache
def names_in(file: str) -> set[str]:
    tree = ast.parse((PROJECT / file).read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize(("file", "test"), NAMED)
def test_each_test_that_it_names_is_there(file: str, test: str):
    assert test in names_in(file)


def test_it_names_every_topic_and_says_what_stops_its_writers():
    rows = [line for line in PAGE.splitlines() if re.match(r"\| `olvido\.[^`]+\.v1`", line)]
    topics = (*FIXED, CANARIES, tasks_topic("NAME"))
    assert {re.findall(r"`([^`]+)`", row)[0] for row in rows} == {topic.name for topic in topics}
    assert [row for row in rows if "::test_" not in row] == []


def test_every_row_names_a_test_or_says_that_nothing_stops_it():
    tables = PAGE.split("## Processes", maxsplit=1)[0]
    rows = [line for line in tables.splitlines() if line.startswith("| ") and " | test |" not in line]
    assert len(rows) > 25
    assert [row for row in rows if "::test_" not in row and "**nothing stops it**" not in row] == []


def test_it_names_every_process_that_has_a_user(deployment: Deployment):
    table = PAGE.split("## Processes", maxsplit=1)[1]
    for process in processes_of(deployment.catalogue):
        name = "sink-NAME" if process.startswith("sink-") else process
        assert f"`{name}`" in table or name in {"upstream", "verifiers", "setup"}, process
