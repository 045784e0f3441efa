"""What the recipe asks of a target that has tables: one open transaction of it, whatever SQL it speaks."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Protocol
from uuid import UUID

from olvido.core.consents import ConsentState
from olvido.core.subject import IdentityKind
from olvido.core.tasks import IdempotencyKey
from olvido.sinks.data_map import Scalar
from olvido.sinks.journal import Answer
from olvido.sinks.ownership import Key, Match

Search = tuple[int, str, datetime | None]  # the task's place, one spelling, and the fence if there is one
Child = tuple[Key, Key, tuple[Key | None, ...]]  # key, parent, and the shared rows it points at


class Mark(IntEnum):
    """What a row is marked with for a purpose: at one instant the greater stands."""

    GRANTED = 0
    WITHDRAWN = 1
    OBJECTED = 2  # stands above all, whenever it was


@dataclass(frozen=True, slots=True, kw_only=True)
class RowMark:
    """The decision about one purpose that one row follows.

    A row may be reached by several handles, so the latest decision is kept for the row as well:
    then all orders of the same changes leave the same columns.
    """

    n: int  # the task's place in the batch
    key: Key
    purpose: str
    mark: Mark
    occurred_at: datetime
    event_id: UUID

    @property
    def order(self) -> tuple[bool, datetime, int, str]:
        """Its place: the greatest is the one that the row follows."""
        return (self.mark is Mark.OBJECTED, self.occurred_at, self.mark, str(self.event_id))


class Rows(Protocol):
    """One open transaction of a target. Whoever opened it commits it, or rolls it back."""

    @property
    def at(self) -> datetime:
        """When the transaction began, by the target's clock if it has one."""
        ...

    def remembered(self, keys: Sequence[IdempotencyKey]) -> Mapping[IdempotencyKey, Answer]:
        """The answers given before."""
        ...

    def remember(self, answers: Mapping[IdempotencyKey, Answer]) -> None:
        """Keep new answers; the transaction fails if somebody else has done one of these tasks meanwhile."""
        ...

    def match(self, name: str, searches: Mapping[IdentityKind, Sequence[Search]]) -> Sequence[Match]:
        """Every row of a table that names one of the identities and is not newer than its fence."""
        ...

    def children(self, name: str, parents: Sequence[Key]) -> Sequence[Child]:
        """The rows of a table that hang on these parents."""
        ...

    def erase(self, name: str, column: str, values: Sequence[Key]) -> Mapping[Key, int]:
        """Do what the table says of an erasure to the rows whose column is one of values; rows by value."""
        ...

    def remaining(self, name: str, column: str, values: Sequence[Key]) -> int:
        """How many of those rows are still there, or are not as anonymising leaves them."""
        ...

    def prune(self, name: str, keys: Sequence[Key]) -> Sequence[Key]:
        """Delete the shared rows that no row points at any more; their keys."""
        ...

    def set_columns(self, name: str, values: Mapping[str, Scalar], keys: Sequence[Key]) -> None:
        """Set columns of the rows with these keys."""
        ...

    def save_states(self, states: Sequence[ConsentState]) -> Mapping[tuple[str, str], UUID]:
        """Keep the later decision of each (handle, purpose); the event that now stands for each of them."""
        ...

    def save_objections(self, objections: Sequence[tuple[str, str, datetime, UUID]]) -> None:
        """Keep (handle, purpose, time, request); the first stands."""
        ...

    def objected(self, pairs: Sequence[tuple[str, str]]) -> Set[tuple[str, str]]:
        """Those of the (handle, purpose) pairs that were objected to."""
        ...

    def save_row_marks(self, name: str, marks: Sequence[RowMark]) -> Set[tuple[Key, str]]:
        """Keep the mark that stands for each row and purpose; those for which it is the given one."""
        ...

    def forget_row_marks(self, name: str, keys: Sequence[Key]) -> None:
        """The rows are gone, and so are their marks."""
        ...
