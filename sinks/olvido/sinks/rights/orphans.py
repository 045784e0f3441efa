"""Rows that hang on a deleted row, by a column without a foreign key: no identity leads to them.

Put in after the erasure has looked, such a row is nobody's. So the keys of what was deleted are kept until
the last look, where no foreign key forbids such rows, and where the key is none of the person's identities.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from olvido.sinks.rights.target import Target
from olvido.sinks.tables.data_map import ErasureMethod
from olvido.sinks.tables.engine import BY_KEY, Reached
from olvido.sinks.tables.kept import DeletedKeys

KEYS_MAX = 1000  # of a person's deleted rows in one table; of more nothing later can be said for certain


class Way(NamedTuple):
    """Rows of a table that hang on rows that are gone."""

    table: str
    number: int | None  # by which of its parents; None: by their own keys
    owners: Sequence[int]  # whose the rows were that are gone
    reached: Sequence[Reached]


def may_be_left(target: Target, name: str) -> bool:
    """Whether rows may hang on deleted rows of a table, and by a key that may be kept."""
    table = target.data_map.tables[name]
    return (
        table.erase is ErasureMethod.DELETE
        and not {*table.key} & {*table.identity_columns}
        and any(parent == name for _, _, parent in _loose(target))
    )


def too_many(gone: DeletedKeys) -> bool:
    """Whether not all keys of what was deleted were kept."""
    return any(len(keys) >= KEYS_MAX for keys in gone.values())


def orphans(
    target: Target, gone: Mapping[int, DeletedKeys], fences: Mapping[int, datetime | None]
) -> Iterator[Way]:
    """The rows that hang on what is gone, as the ways by which they are reached; each has some.

    A row that hangs on a row that is there as well is that one's. So is a row whose parent is there again:
    somebody has its key by now.
    """
    missing: dict[str, list[tuple[int, Reached]]] = defaultdict(list)
    for n, tables in gone.items():
        for name, keys in tables.items():
            missing[name] += [(n, (key, fences[n])) for key in keys]
    for name, found in missing.items():
        there = target.rows.look_up(name, [(key, None) for _, (key, _) in found])
        missing[name] = [one for place, one in enumerate(found) if place not in there]
    for name, number, parent in _loose(target):
        if not missing.get(parent):
            continue
        owners, reached = [n for n, _ in missing[parent]], [one for _, one in missing[parent]]
        children = [
            child
            for child in target.rows.children(name, number, reached)
            if all(key is None for key in child.parents)
        ]
        if children and target.data_map.row_by_row(name):
            yield Way(name, BY_KEY, [owners[c.place] for c in children], [(c.key, None) for c in children])
        elif children:
            places = sorted({child.place for child in children})
            yield Way(name, number, [owners[place] for place in places], [reached[p] for p in places])


def _loose(target: Target) -> Iterator[tuple[str, int, str]]:
    """The tables that point at others without a foreign key, in erasing order: table, way, parent."""
    for name in target.data_map.erasing_order():
        table = target.data_map.tables[name]
        if table.erase is ErasureMethod.RETAIN:
            continue
        for number, parent in enumerate(table.parents):
            if not target.rows.statements.shape.held_by_key(parent.table, name, parent.columns):
                yield name, number, parent.table
