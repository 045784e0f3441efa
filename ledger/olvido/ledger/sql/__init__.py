"""All queries of the ledger, each by its name.

A query names groups of outcomes and states as ``${not_final}``: the lists stand in ``core`` alone.
They are written into the text, and not given as parameters, because partial indexes are proved by it.
What several queries share is a file under ``parts`` and named in the same way: how a state is written.
"""

from collections.abc import Iterable, Iterator
from enum import StrEnum
from importlib.resources import files
from importlib.resources.abc import Traversable
from string import Template

from olvido.core.lifecycle import NOT_ASKED
from olvido.core.looks import VERIFIABLE
from olvido.core.outcomes import LEFT_OVER, NO_EFFECT, NOT_FINAL
from olvido.core.sql import statements


def _written(values: Iterable[StrEnum]) -> str:
    return "(" + ", ".join(f"'{value.value}'" for value in sorted(values)) + ")"


GROUPS = {
    "not_final": _written(NOT_FINAL),
    "left_over": _written(LEFT_OVER),
    "no_effect": _written(NO_EFFECT),
    "open": _written(NOT_FINAL | LEFT_OVER),
    "not_asked": _written(NOT_ASKED),
    "verifiable": _written(VERIFIABLE),
}


def load() -> dict[str, str]:
    """Read the ``.sql`` files beside this one as one: a name stands once in all of them."""
    folder = files("olvido.ledger.sql")
    parts = {name.removesuffix(".sql"): text for name, text in _texts(folder.joinpath("parts"))}
    text = "\n".join(text for _, text in _texts(folder))
    return statements(Template(text).substitute(GROUPS | parts))


def _texts(folder: Traversable) -> Iterator[tuple[str, str]]:
    for file in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if file.name.endswith(".sql"):
            yield file.name, file.read_text(encoding="utf-8")


QUERIES = load()
