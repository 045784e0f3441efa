"""Pieces of SQL, each with its own parameters, so that none can lose its place."""

from collections.abc import Iterable
from typing import NamedTuple

VALUES = object()  # stands among the parameters for those of the given values


class Sql(NamedTuple):
    """A piece of SQL and its parameters."""

    text: str
    parameters: tuple[object, ...] = ()


def together(*parts: Sql | str) -> Sql:
    """Pieces one after another."""
    pieces = [Sql(part) if isinstance(part, str) else part for part in parts]
    return Sql(
        "".join(piece.text for piece in pieces), tuple(one for piece in pieces for one in piece.parameters)
    )


def all_of(conditions: Iterable[Sql | str], between: str = " AND ") -> Sql:
    """Conditions with a word between them."""
    parts: list[Sql | str] = []
    for condition in conditions:
        parts += [between, condition] if parts else [condition]
    return together(*parts)
