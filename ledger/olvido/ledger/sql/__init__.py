"""All queries of the ledger, each by its name.

A query names groups of outcomes and states as ``${not_final}``: the lists stand in ``core`` alone.
They are written into the text, and not given as parameters, because partial indexes are proved by it.
"""

from collections.abc import Iterable
from enum import StrEnum
from importlib.resources import files
from string import Template

from olvido.core.lifecycle import NOT_ASKED
from olvido.core.outcomes import LEFT_OVER, NOT_FINAL
from olvido.core.sql import statements


def _written(values: Iterable[StrEnum]) -> str:
    return "(" + ", ".join(f"'{value.value}'" for value in sorted(values)) + ")"


GROUPS = {
    "not_final": _written(NOT_FINAL),
    "left_over": _written(LEFT_OVER),
    "open": _written(NOT_FINAL | LEFT_OVER),
    "not_asked": _written(NOT_ASKED),
}


def load() -> dict[str, str]:
    """Read the ``.sql`` files beside this one as one: a name stands once in all of them."""
    folder = sorted(files("olvido.ledger.sql").iterdir(), key=lambda entry: entry.name)
    text = "\n".join(file.read_text(encoding="utf-8") for file in folder if file.name.endswith(".sql"))
    return statements(Template(text).substitute(GROUPS))


QUERIES = load()
