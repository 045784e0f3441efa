"""Where a key stands in a TOML file."""

import pytest

from olvido.schemas.settings.lines import line_of, with_lines

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


def test_a_message_about_keys_says_in_which_lines_they_stand():
    """The line of what is nearest, where the key itself is missing; a message about no key stays as it is."""
    said = "olvido.toml: purposes: are missing\na line that begins otherwise: sinks.crm.kind: x"
    assert with_lines(said, "olvido.toml", TEXT) == said
    assert with_lines(
        "olvido.toml: sinks.crm.kind: no such kind\nolvido.toml: sinks.crm.url: is missing",
        "olvido.toml",
        TEXT,
    ) == ("olvido.toml:4: sinks.crm.kind: no such kind\nolvido.toml:3: sinks.crm.url: is missing")
