"""What a target's catalogue has: tables, columns, keys, foreign keys and indexes, whatever database it is.

A value of the rows is never part of it.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol


class Family(StrEnum):
    """Types, as far as they decide what a column may hold of a person."""

    TEXT = "text"
    NUMBER = "number"
    BOOLEAN = "boolean"
    DATE = "date"
    INSTANT = "instant"
    UUID = "uuid"
    ADDRESS = "address"  # of a network
    DOCUMENT = "document"  # JSON, XML, an array: values inside of a value
    OTHER = "other"


SAMPLED = frozenset({Family.TEXT, Family.NUMBER, Family.UUID, Family.ADDRESS, Family.DOCUMENT})


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveColumn:
    """One column."""

    name: str
    type: str  # as the database names it
    family: Family
    not_null: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveReference:
    """One foreign key: which of our columns point at which of theirs, and what a deletion there does here."""

    columns: tuple[str, ...]
    table: str
    keys: tuple[str, ...]
    on_delete: str = "NO ACTION"


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveTable:
    """One table."""

    name: str  # as a data map names it: with its schema where it would not be found without
    columns: tuple[LiveColumn, ...]
    full_name: str = ""  # with its schema in any case, where the database has schemas
    key: tuple[str, ...] = ()  # the primary key
    unique: frozenset[tuple[str, ...]] = frozenset()  # further unique columns
    references: tuple[LiveReference, ...] = ()
    indexed: frozenset[str] = frozenset()  # the first column or expression of each index, see bare
    rows: int | None = None  # about how many, as the database believes
    readable: bool = True  # whether this role may read it

    @property
    def names(self) -> tuple[str, ...]:
        """What a data map may call it."""
        return (self.name, self.full_name) if self.full_name else (self.name,)

    @property
    def by_name(self) -> Mapping[str, LiveColumn]:
        """The columns by their names."""
        return {column.name: column for column in self.columns}

    def is_unique(self, column: str) -> bool:
        """Whether one column alone tells rows apart."""
        return (column,) in {self.key, *self.unique}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Some rows of one table, a list of texts for each column. It does not leave the process."""

    values: Mapping[str, Sequence[str]] = field(default_factory=dict)
    why_not: str = ""  # the table could not be read: why, without a value

    def __repr__(self) -> str:
        return f"Sample({len(self.values)} columns)"


class TargetReader(Protocol):
    """Reads one target and can do nothing else there: one for each database."""

    dialect: str

    def tables(self) -> Sequence[LiveTable]:
        """Every table that may hold rows of people; neither the database's own nor Olvido's.

        Raises:
            Unavailable: the target does not answer.
        """
        ...

    def sample(self, table: LiveTable, columns: Sequence[str], rows: int) -> Sample:
        """At most so many rows. Each value is cut after ``CUT_AT`` characters; empty ones are left out.

        Raises:
            Unavailable: the target does not answer.
        """
        ...

    def held(self, table: str, column: str, values: Sequence[str]) -> int:
        """How many of these different values, as texts, stand in a column; 0 where that cannot be asked.

        Raises:
            Unavailable: the target does not answer.
        """
        ...

    def close(self) -> None:
        """Let go of the target."""
        ...


CUT_AT = 400  # characters of a value: an e-mail address has at most 320


def bare(expression: str) -> str:
    """An indexed expression as it is compared: without casts, brackets, quotes."""
    return re.sub(r'::[a-z ]+|[()"]', "", expression)
