"""Rows that hang on a row that an erasure dealt with: no identity leads to them.

Put in after the erasure has looked, such a row is nobody's: the row above it is deleted, or names nobody any
more. So the keys of those are kept until the last look, where a row may come to hang on them, and where the
key is none of the person's identities.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from olvido.core.tasks import Task
from olvido.sinks.rights.target import Target
from olvido.sinks.tables.data_map import ErasureMethod
from olvido.sinks.tables.engine import BY_KEY, Child, Reached, TableRows
from olvido.sinks.tables.kept import DeletedKeys, KeptErasures

KEYS_MAX = 100_000  # of a person's rows in one table; of more nothing later can be said for certain
KEYS_AT_ONCE = 10_000  # in one statement


class Way(NamedTuple):
    """Rows of a table that hang on rows that were dealt with."""

    table: str
    number: int | None  # by which of its parents; None: by their own keys
    owners: Sequence[int]  # whose the rows above were
    reached: Sequence[Reached]
    certain: bool  # that they are not of a new life
    children: Sequence[Child] = ()  # the rows, each with its owner, where they are reached by their own keys


class _Loose(NamedTuple):
    """How rows may come to hang on rows that an erasure has dealt with."""

    table: str
    number: int  # of the parent
    parent: str
    deleted: bool  # the rows above; else they are emptied


def may_be_left(target: Target, name: str) -> bool:
    """Whether rows may come to hang on a table's rows that were dealt with, and by a key that may be kept."""
    table = target.data_map.tables[name]
    return not {*table.key} & {*table.identity_columns} and any(one.parent == name for one in _loose(target))


def too_many(gone: DeletedKeys) -> bool:
    """Whether not all keys of what was dealt with were kept."""
    return any(len(keys) >= KEYS_MAX for keys in gone.values())


def recall_keys(rows: TableRows, tasks: Sequence[Task]) -> None:
    """Go on from the keys that earlier generations of these tasks have kept, or their chunks."""
    kept = KeptErasures(rows.session, tasks[0].sink).gone([task.task_id for task in tasks])
    for task in tasks:
        if tables := kept.get(task.task_id):
            rows.gone[task.key] = {name: list(keys) for name, keys in tables.items()}


def orphans(
    target: Target, gone: Mapping[int, DeletedKeys], fences: Mapping[int, datetime | None]
) -> Iterator[Way]:
    """The rows that hang on what was dealt with, as the ways by which they are reached; each has some.

    A row that hangs on another row as well is that one's. So is a row whose parent is there again, or is
    filled again: somebody has its key by now. Under a row that is emptied somebody may live on, so what bears
    no instant there may be of a new life.
    """
    dealt_with: dict[str, list[tuple[int, Reached]]] = defaultdict(list)
    for n, tables in gone.items():
        for name, keys in tables.items():
            if name in target.data_map.tables:  # the map may have changed since
                dealt_with[name] += [(n, (key, fences[n])) for key in keys]
    above = {name: _still_dealt_with(target, name, found) for name, found in dealt_with.items()}
    known = {(n, name, key) for name, found in above.items() for n, (key, _) in found}
    for way in _loose(target):
        if not above.get(way.parent):
            continue
        table = target.data_map.tables[way.table]
        owners, reached = [n for n, _ in above[way.parent]], [one for _, one in above[way.parent]]
        children = [
            child
            for child in _children_left(target, way, reached)
            if all(
                key is None or (owners[child.place], parent.table, key) in known
                for parent, key in zip(table.parents, child.parents, strict=True)
            )
        ]
        if not children:
            continue
        by_key = target.data_map.row_by_row(way.table) or (bool(table.key) and not way.deleted)
        certain = way.deleted or target.rows.statements.leaves_newer(way.table, way.number)
        if by_key:
            whose = [owners[child.place] for child in children]
            themselves = [(child.key, None) for child in children]
            yield Way(way.table, BY_KEY, whose, themselves, certain, children)
            continue
        # By the row above, those that were emptied before would be counted once more.
        certain = certain and (way.deleted or table.erase is ErasureMethod.DELETE)
        places = sorted({child.place for child in children})
        yield Way(
            way.table, way.number, [owners[place] for place in places], [reached[p] for p in places], certain
        )


def _still_dealt_with(
    target: Target, name: str, found: Sequence[tuple[int, Reached]]
) -> Sequence[tuple[int, Reached]]:
    """The rows that are not there again, or are as an erasure leaves them."""
    anonymised = target.data_map.tables[name].erase is ErasureMethod.ANONYMISE
    left: list[tuple[int, Reached]] = []
    for start in range(0, len(found), KEYS_AT_ONCE):
        part = found[start : start + KEYS_AT_ONCE]
        keys = [key for _, (key, _) in part]
        if anonymised:
            emptied = target.rows.emptied(name, keys)
            left += [one for place, one in enumerate(part) if place in emptied]
        else:
            there = target.rows.look_up(name, [(key, None) for key in keys])
            left += [one for place, one in enumerate(part) if place not in there]
    return left


def _children_left(target: Target, way: _Loose, reached: Sequence[Reached]) -> Iterator[Child]:
    """The rows that hang on these rows and are not as an erasure leaves them."""
    for start in range(0, len(reached), KEYS_AT_ONCE):
        part = reached[start : start + KEYS_AT_ONCE]
        for child in target.rows.children_left(way.table, way.number, part):
            yield child._replace(place=start + child.place)


def _loose(target: Target) -> Iterator[_Loose]:
    """How tables point at rows that are deleted, without a foreign key, or emptied; in erasing order."""
    tables = target.data_map.tables
    for name in target.data_map.erasing_order():
        if tables[name].erase is ErasureMethod.RETAIN:
            continue
        for number, parent in enumerate(tables[name].parents):
            method = tables[parent.table].erase
            deleted = method is ErasureMethod.DELETE
            held = target.rows.statements.held_to_deleted(name, parent)
            if method is not ErasureMethod.RETAIN and not held:
                yield _Loose(name, number, parent.table, deleted)
