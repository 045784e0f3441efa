"""Where a key stands in a TOML file."""

import pytest

from olvido.schemas.settings.lines import line_of

TEXT = """regions = ["cn"]  # [sinks.no]

[sinks.crm]
kind = "postgres"
  identities = { email = "email" }
[sinks.crm.tables."order items"]
key = "id"
"""


@pytest.mark.parametrize(
    ("key", "line"),
    [
        (("regions",), 1),
        (("sinks",), 3),
        (("sinks", "crm"), 3),
        (("sinks", "crm", "kind"), 4),
        (("sinks", "crm", "identities", "email"), 5),
        (("sinks", "crm", "tables", "order items", "key"), 7),
        (("sinks", "crm", "region"), 3),
        (("purposes",), None),
    ],
)
def test_a_key_is_found_or_what_is_nearest_to_it(key: tuple[str, ...], line: int | None):
    assert line_of(TEXT, key) == line
