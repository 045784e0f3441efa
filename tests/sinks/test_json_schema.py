"""The schema that editors use takes what is read, and marks what is refused for its form."""

import tomllib
from typing import Any

import jsonschema
import pytest
from docs.generate import PROJECT
from docs.test_data_map_page import EXAMPLES, SHORT

from olvido.sinks.json_schema import deployment_schema, installed_sections

SCHEMA = deployment_schema(installed_sections())


def faults(deployment: dict[str, Any]) -> list[str]:
    validator = jsonschema.Draft202012Validator(SCHEMA)
    return [error.message for error in validator.iter_errors(deployment)]


def a_deployment(**sink: Any) -> dict[str, Any]:
    """One with a single sink, whose section is given over the short map of the page."""
    section = {name: value for name, value in {**SHORT, **sink}.items() if value is not None}
    return {"regions": ["cn"], "purposes": ["marketing"], "sinks": {"crm": section}}


def test_it_is_a_schema_and_knows_every_shipped_kind() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    declared = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
    assert set(installed_sections()) >= set(declared["project"]["entry-points"]["olvido.sinks"])


@pytest.mark.parametrize("name", ["olvido.toml", "tests/sinks/first_olvido.toml"])
def test_files_that_are_read_have_no_fault(name: str) -> None:
    assert faults(tomllib.loads((PROJECT / name).read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: "-".join(example["tables"]))
def test_what_the_page_about_the_data_map_shows_has_no_fault(example: dict[str, Any]) -> None:
    assert faults(a_deployment(tables={**SHORT["tables"], **example["tables"]})) == []


CUSTOMERS = SHORT["tables"]["customers"]
WRONG: dict[str, dict[str, Any]] = {
    "a key that no table has": {"tables": {"customers": {**CUSTOMERS, "keys": "id"}}},
    "a way to erase that there is not": {"tables": {"customers": {**CUSTOMERS, "erase": "shred"}}},
    "a kind of identity that there is not": {
        "tables": {"customers": {**CUSTOMERS, "identities": {"mail": "email"}}}},
    "a parent without its column": {
        "tables": {"notes": {"parent": {"table": "customers"}, "erase": "delete"}}},
    "a label that there is not": {"tables": {"customers": {**CUSTOMERS, "columns": {"phone": "user.phone"}}}},
    "a secret in clear": {"dsn": "postgresql://crm"},
    "no address": {"dsn": None},
    "a key of another kind of sink": {"url": {"env": "URL"}},
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_is_refused_for_its_form_is_marked(case: str) -> None:
    assert faults(a_deployment()) == []
    assert faults(a_deployment(**WRONG[case]))


def test_a_kind_that_is_not_shipped_may_have_keys_of_its_own() -> None:
    own = {"kind": "salesforce", "token": {"env": "TOKEN"}, "dsn": None, "tables": None}
    assert faults(a_deployment(**own)) == []
