"""What an SQLite file really has, read from its catalogue. That a key is never null is looked up in the rows.

SQLite finds tables and columns in whatever case they are written, in ASCII. A data map names them as the file
does.
"""

import re
import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from olvido.sinks.section import fault
from olvido.sinks.tables.data_map import Clock, DataMap, ErasureMethod, Table
from olvido.sinks.tables.fit import check_fit
from olvido.sinks.tables.journal import queries
from olvido.sinks.tables.shape import Column, ForeignKey, TableShape, TargetShape, TypeFamily

NOCASE = "NOCASE"
_NUMBER_MAX = 2**63
_ROW_NUMBERS = (
    "rowid",
    "_rowid_",
    "oid",
)  # each is another name of a row's number, if no column is called so
# What SQLite makes of a value that a column is given or compared with, by the first part of its type's name
# that is here: https://www.sqlite.org/datatype3.html. Of no type, and BLOB, the text '7' is not the number 7.
_AFFINITIES: Mapping[str, TypeFamily] = {
    "INT": TypeFamily.INTEGER,
    "CHAR": TypeFamily.TEXT,
    "CLOB": TypeFamily.TEXT,
    "TEXT": TypeFamily.TEXT,
    "BLOB": TypeFamily.EXACT,
    "REAL": TypeFamily.OTHER,
    "FLOA": TypeFamily.OTHER,
    "DOUB": TypeFamily.OTHER,
}
# All others become numbers if they look like one; these are what people mean by the names.
_NAMED: Mapping[str, TypeFamily] = {
    "BOOL": TypeFamily.EXACT,
    "DATETIME": TypeFamily.INSTANT,
    "TIMESTAMP": TypeFamily.INSTANT,
    "DATE": TypeFamily.DATE,
    "NUM": TypeFamily.NUMERIC,
    "DEC": TypeFamily.NUMERIC,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FileShape:
    """A file, as far as the data map names it."""

    target: TargetShape
    # How SQLite itself addresses the rows of each table: the number of the row, or a primary key.
    rows: Mapping[str, tuple[str, ...]]


class _Index(NamedTuple):
    """One index of a table."""

    columns: tuple[str | None, ...]  # None for an expression
    collation: str  # of the first
    unique: bool
    partial: bool
    text: str  # its CREATE INDEX; empty for those that SQLite makes itself


def look(conn: sqlite3.Connection, data_map: DataMap) -> FileShape:
    """Read the catalogue of the file and check that the data map fits it.

    Raises:
        ConfigError: naming table and column, and the fix.
    """
    place = f"sinks.{data_map.sink}.tables"
    found = {name: (kind, bool(wr)) for name, kind, wr in conn.execute(queries("sqlite")["tables"])}
    for name in data_map.tables:
        _check_table(f"{place}.{name}", name, found)
    keys = {name: _primary(conn, name) for name, (kind, _) in found.items() if kind == "table"}
    pointing = _pointing(conn, keys, data_map)
    shapes, rows = {}, {}
    for name, table in data_map.tables.items():
        without_number = found[name][1]
        columns = _columns(conn, name, table, keys[name], without_number=without_number)
        number = None if without_number else next(one for one in _ROW_NUMBERS if one not in columns)
        rows[name] = (number,) if number else keys[name]
        shapes[name] = _shape(conn, name, table, columns, keys[name], number, pointing[name])
    target = TargetShape(tables=shapes)
    notes = check_fit(data_map, target)
    return FileShape(target=TargetShape(tables=shapes, notes=notes), rows=rows)


def _check_table(place: str, name: str, found: Mapping[str, tuple[str, bool]]) -> None:
    if name not in found:
        near = next((one for one in found if one.lower() == name.lower()), None)
        raise fault(
            place, f"there is no such table in the file{(near and f'; it is written {near!r}') or ''}"
        )
    if found[name][0] != "table":
        raise fault(place, f"is a {found[name][0]} in the file, and no table; name the table behind it")


def _primary(conn: sqlite3.Connection, name: str) -> tuple[str, ...]:
    rows = conn.execute(queries("sqlite")["primary"], {"table": name})
    return tuple(column for (column,) in rows)


def _columns(
    conn: sqlite3.Connection, name: str, table: Table, key: Sequence[str], *, without_number: bool
) -> dict[str, Column]:
    columns = {}
    [(text,)] = conn.execute(queries("sqlite")["text"], {"table": name})
    collations = {
        index.columns[0]: index.collation for index in _indexes(conn, name) if index.collation == NOCASE
    }
    for column, kind, not_null, hidden in conn.execute(queries("sqlite")["columns"], {"table": name}):
        # SQLite lets a primary key be null where nobody wrote NOT NULL, and often nobody did.
        filled = bool(not_null) or (column in key and (without_number or _never_null(conn, name, column)))
        columns[column] = Column(
            family=_family(kind, column, table),
            plain=kind,
            full=kind,
            limit=_NUMBER_MAX,
            collation=collations.get(column, ""),
            not_null=filled,
            made_of=_made_of(column, text) if hidden in {2, 3} else None,
        )
    return columns


def _family(kind: str, column: str, table: Table) -> TypeFamily:
    affinity = next((family for part, family in _AFFINITIES.items() if part in kind.upper()), None)
    if table.created is not None and column == table.created.column:
        return _clock(table.created.clock, affinity)
    if affinity is not None:
        return affinity
    named = next((family for part, family in _NAMED.items() if part in kind.upper()), TypeFamily.TEXT)
    return named if kind else TypeFamily.OTHER


def _clock(clock: Clock, affinity: TypeFamily | None) -> TypeFamily:
    """What the column of an instant holds: SQLite has no type of that name, so the map's own word holds."""
    if affinity in {TypeFamily.OTHER, TypeFamily.EXACT, TypeFamily.INTEGER}:
        return affinity or TypeFamily.OTHER
    by_clock = {Clock.TIMESTAMP: TypeFamily.INSTANT, Clock.DATE: TypeFamily.DATE}
    return by_clock.get(clock, TypeFamily.NUMERIC)


def _made_of(column: str, text: str) -> str:
    """The expression of a generated column, out of the CREATE TABLE; empty if it is not found there."""
    begin = re.search(
        rf"[\s(,\"`\[]{re.escape(column)}[\"`\]]?\s+\w*\s*(\([^)]*\))?[^,(]*\bAS\s*\(", text, re.IGNORECASE
    )
    depth, end = 1, begin.end() if begin else len(text)
    while end < len(text) and depth:
        depth += {"(": 1, ")": -1}.get(text[end], 0)
        end += 1
    return text[begin.end() : end - 1] if begin else ""


def _never_null(conn: sqlite3.Connection, name: str, column: str) -> bool:
    empty = f"SELECT EXISTS (SELECT 1 FROM {quoted(name)} WHERE {quoted(column)} IS NULL)"  # noqa: S608
    return bool(conn.execute(empty).fetchone() == (0,))


def _shape(  # noqa: PLR0917 - what one table's shape is made of
    conn: sqlite3.Connection,
    name: str,
    table: Table,
    columns: dict[str, Column],
    key: tuple[str, ...],
    number: str | None,
    pointing: Sequence[ForeignKey],
) -> TableShape:
    indexes = _indexes(conn, name)
    unique = [frozenset(filter(None, one.columns)) for one in indexes if one.unique and _plain(one)]
    indexed = {_first(one) for one in indexes} | set(key[:1])
    # An index without regard to case serves the comparison without regard to case.
    indexed |= {f"lower({one.columns[0]})" for one in indexes if one.collation == NOCASE}
    address: dict[str, Column] = {}
    if number is not None:
        address[number] = Column(
            family=TypeFamily.INTEGER, plain="INTEGER", full="INTEGER", limit=_NUMBER_MAX, not_null=True
        )
    return TableShape(
        columns={**address, **columns},
        unique=(*unique, *([frozenset(key)] if key else [])),
        unique_expressions=tuple(one.text for one in indexes if one.unique and not _plain(one)),
        indexed=frozenset(indexed),
        foreign_keys=tuple(pointing),
        triggers=tuple(_triggers(conn, name, table)),
        address=tuple(address),
    )


def _plain(index: _Index) -> bool:
    return not index.partial and None not in index.columns


def _first(index: _Index) -> str:
    """The column, or the expression, that an index begins with."""
    if index.columns[0] is not None:
        return index.columns[0]
    found = re.search(r"\bON\b[^(]*\(\s*(\w+\s*\([^()]*\))", index.text, re.IGNORECASE)
    return re.sub(r"\s", "", found[1]) if found else ""


def _indexes(conn: sqlite3.Connection, name: str) -> list[_Index]:
    parts: dict[str, list[tuple[str | None, str]]] = defaultdict(list)
    facts: dict[str, tuple[bool, bool, str]] = {}
    for index, unique, partial, column, collation, text in conn.execute(
        queries("sqlite")["indexes"], {"table": name}
    ):
        parts[index].append((column, collation.upper()))
        facts[index] = (bool(unique), bool(partial), text or "")
    return [
        _Index(tuple(column for column, _ in columns), columns[0][1], *facts[index])
        for index, columns in parts.items()
    ]


def _triggers(conn: sqlite3.Connection, name: str, table: Table) -> Iterator[str]:
    """The triggers that act when rows are changed as the map says."""
    ours = "DELETE" if table.erase is ErasureMethod.DELETE else "UPDATE"
    for trigger, text in conn.execute(queries("sqlite")["triggers"], {"table": name}):
        event = re.search(r"\b(DELETE|INSERT|UPDATE)\b", text.partition(trigger)[2], re.IGNORECASE)
        if event is None or event[1].upper() == ours:
            yield trigger


def _pointing(
    conn: sqlite3.Connection, keys: Mapping[str, tuple[str, ...]], data_map: DataMap
) -> Mapping[str, Sequence[ForeignKey]]:
    """The foreign keys of all tables of the file, by the table that they point at.

    An application that never switched foreign keys on has them all the same: this sink switches them on.
    """
    spelled = {name.lower(): name for name in keys}
    columns_of = {name: _spelled(conn, name) for name in keys}
    pointing: dict[str, list[ForeignKey]] = defaultdict(list)
    for name in keys:
        parts: dict[int, list[tuple[str, str, str | None, str]]] = defaultdict(list)
        for number, *part in conn.execute(queries("sqlite")["references"], {"table": name}):
            parts[number].append((part[0], part[1], part[2], part[3]))
        for columns in parts.values():
            pointed, _, first, action = columns[0]
            target = spelled.get(pointed.lower(), pointed)
            theirs = columns_of.get(target, {})
            named = tuple(theirs.get(one.lower(), one) for _, _, one, _ in columns if one is not None)
            pointing[target].append(
                ForeignKey(
                    pointing=name if name in data_map.tables else None,
                    shown=name,
                    columns=tuple(columns_of[name].get(ours.lower(), ours) for _, ours, _, _ in columns),
                    keys=keys.get(target, ()) if first is None else named,
                    action=action,
                )
            )
    onward = {name: tuple(f"{key.shown}.{key.columns[0]}" for key in each) for name, each in pointing.items()}
    return {
        name: [replace(key, onward=onward.get(key.shown, ())) for key in pointing.get(name, ())]
        for name in keys
    }


def _spelled(conn: sqlite3.Connection, name: str) -> Mapping[str, str]:
    rows = conn.execute(queries("sqlite")["columns"], {"table": name})
    return {row[0].lower(): row[0] for row in rows}


def quoted(name: str) -> str:
    """A name as an identifier. There are no schemas: a dot is a part of a name."""
    return '"' + name.replace('"', '""') + '"'
