"""What the page about the data map shows can be written: every example on it is read and accepted."""

import re
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest

from docs import generate
from olvido.core.subject import IdentityKind
from olvido.sinks.contract import SinkSettings
from olvido.sinks.tables.data_map import (
    ConsentColumns,
    Created,
    IdentityColumn,
    Mention,
    ParentReference,
    Pointer,
    Reference,
    Table,
)
from olvido.sinks.tables.labels import LABELS, LabelledColumn
from olvido.sinks.tables.map_rules import read_data_map

PAGE = (generate.PROJECT / "docs/sinks/data-map.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```toml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
SHORT, *EXAMPLES = (tomllib.loads(block)["sinks"]["crm"] for block in BLOCKS)


def read(tables: dict[str, Any]) -> None:
    kinds = tuple(IdentityKind(kind) for kind in SHORT["identities"])
    told = SinkSettings(name="crm", region="cn", identities=kinds, purposes=tuple(SHORT["purposes"]), own={})
    read_data_map(told, tables)


def test_the_short_map_stands_alone() -> None:
    read(SHORT["tables"])


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: "-".join(example["tables"]))
def test_an_example_stands_beside_the_short_map(example: dict[str, Any]) -> None:
    assert not set(SHORT["tables"]) & set(example["tables"])
    read({**SHORT["tables"], **example["tables"]})


PARTS = (
    ConsentColumns,
    Created,
    IdentityColumn,
    LabelledColumn,
    Mention,
    ParentReference,
    Pointer,
    Reference,
    Table,
)


def test_every_key_is_on_the_page() -> None:
    keys = {field.alias or name for part in PARTS for name, field in part.model_fields.items()}
    shown = {key for example in (SHORT, *EXAMPLES) for key in keys_of(example["tables"])}
    assert keys <= shown


def keys_of(part: object) -> Iterator[str]:
    """All keys, however deep."""
    if isinstance(part, list):
        for one in part:
            yield from keys_of(one)
    elif isinstance(part, dict):
        yield from part
        for one in part.values():
            yield from keys_of(one)


def test_every_label_is_on_the_page() -> None:
    [listed] = re.findall(r"^```text\n(user\..*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert listed.split() == [*LABELS]
