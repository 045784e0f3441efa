"""What a target really has: its tables, columns, keys and foreign keys, whatever its catalogue looks like.

A dialect reads it; :mod:`olvido.sinks.tables.fit` holds it against the data map.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class TypeFamily(StrEnum):
    """Types that compare by one rule. What is of no family can be neither key nor identity."""

    TEXT = "text"
    PADDED = "padded"  # char(n): blanks at the end do not count
    FOLDED = "folded"  # citext: the type itself overlooks case
    INTEGER = "integer"
    NUMERIC = "numeric"
    UUID = "uuid"
    INSTANT = "instant"  # with a zone
    TIME = "time"  # a date and a time of day, without a zone
    DATE = "date"
    EXACT = "exact"  # enum, boolean, bytes, network address: its text is the value
    OTHER = "other"  # json, arrays, floats, …


IDENTITIES = frozenset(
    {
        TypeFamily.TEXT,
        TypeFamily.PADDED,
        TypeFamily.FOLDED,
        TypeFamily.INTEGER,
        TypeFamily.NUMERIC,
        TypeFamily.UUID,
    }
)
TYPED = frozenset({TypeFamily.TEXT, TypeFamily.PADDED})  # a column of which holds what people typed
KEYS = frozenset(TypeFamily) - {TypeFamily.OTHER}
# Keys that a column of texts may point at, and how each is written there: '007' is no number.
WRITTEN: Mapping[TypeFamily, str] = {
    TypeFamily.INTEGER: "^(0|-?[1-9][0-9]{0,17})$",
    TypeFamily.UUID: "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$",
}
INSTANTS = frozenset({TypeFamily.INSTANT, TypeFamily.TIME, TypeFamily.DATE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column."""

    family: TypeFamily
    plain: str  # the type that keys and identities are sent as: of any length
    full: str  # the type as it was declared: what values are compared as
    limit: int = 0  # an INTEGER's values are from -limit to limit - 1; 0: of any size
    collation: str = ""
    not_null: bool = False
    may_update: bool = True
    made_of: str | None = None  # how the target makes its value, if nobody can set another


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignKey:
    """A foreign key into a table."""

    pointing: str | None  # the pointing table's name in the data map, if it is there
    shown: str  # its name in the target
    columns: tuple[str, ...]
    keys: tuple[str, ...]  # what they point at
    action: str  # ON DELETE: "NO ACTION", "CASCADE", "SET NULL", "SET DEFAULT"
    onward: tuple[str, ...] = ()  # what points at the pointing table in its turn, as "table.column"


@dataclass(frozen=True, slots=True, kw_only=True)
class TableShape:
    """One table."""

    columns: Mapping[str, Column]
    unique: tuple[frozenset[str], ...] = ()  # sets of columns that are together unique, without a condition
    unique_expressions: tuple[str, ...] = ()  # unique over more than columns: an expression, a condition
    indexed: frozenset[str] = frozenset()  # first column or expression of each index
    foreign_keys: tuple[ForeignKey, ...] = ()  # that point at it
    triggers: tuple[str, ...] = ()  # what acts, or may act, when its rows are changed
    address: tuple[str, ...] = ()  # columns that say where a row is, within one transaction; if there are any


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetShape:
    """All that the data map names."""

    tables: Mapping[str, TableShape]
    notes: tuple[str, ...] = field(default=(), compare=False)  # what fits, and somebody should know

    def column(self, table: str, column: str) -> Column:
        """One column that :mod:`olvido.sinks.tables.fit` has seen to be there."""
        return self.tables[table].columns[column]

    def key_of(self, name: str, key: tuple[str, ...]) -> tuple[str, ...]:
        """The columns by which a table's rows are addressed: its key, or where they are."""
        return key or self.tables[name].address

    def written_out(self, name: str, column: str, pointed: str, key: str) -> bool:
        """Whether a column holds as a text what is no text in the key that it points at: a number, a UUID."""
        ours, theirs = self.column(name, column), self.column(pointed, key)
        return ours.family is TypeFamily.TEXT and theirs.family in WRITTEN

    def held_by_key(self, pointed: str, pointing: str, columns: tuple[str, ...]) -> ForeignKey | None:
        """The foreign key by which columns point at a table, if there is one."""
        return next(
            (
                key
                for key in self.tables[pointed].foreign_keys
                if key.pointing == pointing and set(key.columns) == set(columns)
            ),
            None,
        )
