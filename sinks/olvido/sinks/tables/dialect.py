"""What one database's SQL looks like, as far as the engine for tables must know.

A new kind of database with tables is one module that keeps :class:`Dialect`, and one file of fixed
statements for its journal, ``sql/<name>.sql``.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from olvido.sinks.tables.data_map import Created
from olvido.sinks.tables.shape import Column
from olvido.sinks.tables.sql_pieces import Sql

GIVEN = "w"  # the batch's own values, as rows: what statements join with
ROW = "t"  # the table at work


class Dialect(Protocol):
    """How one kind of database writes what the engine asks of it.

    Names come out of a data map and are quoted; values are parameters. ``place`` of a parameter is what the
    driver wants there (``%s``, ``?``).
    """

    name: str
    returning: bool  # whether DELETE and UPDATE can return what they changed, so that one statement does
    keys_by_row: bool  # whether foreign keys are looked at row by row, and not when a statement ends

    def quoted(self, *names: str) -> str:
        """A name as an identifier, or several with dots between."""
        ...

    def given(self, columns: Sequence[tuple[str, str]]) -> str:
        """The batch's values as an item of FROM, named :data:`GIVEN`: columns with their types.

        Its parameters are what :meth:`bind` makes of the same columns.
        """
        ...

    def bind(self, columns: Sequence[Sequence[object]]) -> list[object]:
        """The parameters of :meth:`given`: the values column by column, texts, numbers or None."""
        ...

    def text(self, expression: str, column: Column | None) -> str:
        """An expression as text that, sent back as the column's ``plain`` type, is the same value."""
        ...

    def as_key(self, text: str, key: Column) -> str:
        """The key that a text is written for, as :data:`WRITTEN` says; NULL if it is none."""
        ...

    def folded(self, expression: str) -> str:
        """A text without regard to case."""
        ...

    def exactly(self, held: str, asked: str, column: Column) -> str:
        """Equality that the column's own index serves, and that finds no more than it must."""
        ...

    def alike(self, held: str, asked: str, column: Column) -> str:
        """Equality without regard to case, that an index serves and that finds no more than it must."""
        ...

    def instant(self, expression: str, created: Created) -> str:
        """What a column of instants holds, or a fence for it, as something that compares as instants do."""
        ...

    def json_text(self, expression: str, column: Column, path: Sequence[str]) -> str:
        """The text at a path inside a JSON value; NULL if there is none, or if a text is no JSON."""
        ...

    def elements(self, expression: str, column: Column) -> str:
        """What an array or a JSON value holds, as one text in which an address begins and ends visibly."""
        ...

    def digits(self, text: str) -> str:
        """The digits from 0 to 9 of a text, without anything between them."""
        ...

    def within(self, text: str, part: str) -> str:
        """The condition that a text contains another one."""
        ...

    def value(self, column: Column) -> str:
        """A parameter of a column's type."""
        ...

    def differs(self, held: str, value: str, column: Column) -> str:
        """The condition that a column is not what it was set to, NULL being a value like any other."""
        ...

    def joined(self, parts: Sequence[str]) -> str:
        """Texts put together."""
        ...

    def place(self) -> str:
        """A parameter as it is."""
        ...

    def delete(self, table: str, given: Sql, condition: Sql) -> Sql:
        """DELETE FROM ``table`` AS :data:`ROW`, of the rows that meet a condition with the given values."""
        ...

    def update(self, table: str, assignments: Sql, given: Sql, condition: Sql) -> Sql:
        """UPDATE ``table`` AS :data:`ROW`, of the rows that meet a condition with the given values."""
        ...

    def without(self, expression: str, element: str, column: Column) -> str | None:
        """An array without an element; None if there are no arrays."""
        ...

    def contains(self, expression: str, element: str, column: Column) -> str | None:
        """The condition that an array has an element; None if there are no arrays."""
        ...


class Session(Protocol):
    """One open transaction of a target. Whoever opened it commits it, or rolls it back."""

    @property
    def at(self) -> datetime:
        """When the transaction began, by the target's clock if it has one."""
        ...

    def run(self, statement: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Run a statement; the rows it gives, if it gives any."""
        ...

    def changed(self, statement: str, parameters: Sequence[object]) -> int:
        """Run a statement that changes rows; how many it changed."""
        ...

    def named(
        self, query: str, columns: Mapping[str, Sequence[object]], **scalars: object
    ) -> list[tuple[Any, ...]]:
        """Run one of the fixed statements of the journal.

        Args:
            query: its name in ``sql/<dialect>.sql``.
            columns: values by name, all of one length: the rows that the statement works on.
            scalars: single values.
        """
        ...
