"""What a data map leaves out of its target: personal columns, tables that hang on a person, names, indexes.

Pure. Every column that looks personal is mapped, or excused with a reason in ``sinks.<name>.excused``.
"""

import re
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from enum import StrEnum

from olvido.core.subject import IdentityKind
from olvido.sinks.discovery.evidence import SeenTable
from olvido.sinks.discovery.kinship import IDENTITIES
from olvido.sinks.discovery.links import Link
from olvido.sinks.discovery.live import Family, LiveColumn, LiveTable, bare
from olvido.sinks.discovery.mapped import MappedTable
from olvido.sinks.tables.data_map import ErasureMethod
from olvido.sinks.tables.fit import type_beside


class Omitted(StrEnum):
    """What kind of thing is left out."""

    TABLE_GONE = "table gone"
    COLUMN_GONE = "column gone"
    NOT_MAPPED = "not mapped"
    HANGS_ON_A_PERSON = "hangs on a person"
    STAYS = "stays in clear"
    NOT_SEARCHED = "not searched"
    NO_INDEX = "no index"
    SEVERAL_TYPES = "several types"
    EXCUSE_GONE = "excuse for nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Omission:
    """One thing that is left out, and what to do about it."""

    omitted: Omitted
    table: str
    column: str  # empty where it is the table
    text: str
    fix: str
    place: tuple[str, ...]  # the key of olvido.toml that it is nearest to, below the sink's section


def omissions(
    tables: Mapping[str, MappedTable],
    seen: Sequence[SeenTable],
    links: Sequence[Link],
    *,
    kinds: Sequence[IdentityKind],
    excused: Mapping[str, str],
    dialect: str,
) -> list[Omission]:
    """Hold a data map against its target.

    Args:
        tables: what the map says.
        seen: what the target has.
        links: which columns there point at which tables.
        kinds: the kinds of identity that the sink is given.
        excused: what may be passed over, a table or table.column, and why.
        dialect: of the target.
    """
    known = {name: one for one in seen for name in one.table.names}
    mapped = {known[name].table.name: table for name, table in tables.items() if name in known}
    found: list[Omission] = [*_gone(tables, known), *_excuses_gone(excused, known)]
    going = {cascade for table in mapped.values() for cascade in table.cascades}
    for one in seen:
        table = mapped.get(one.table.name)
        if table is None:
            if any(f"{name}.{column}" in going for name in one.table.names for column in one.table.by_name):
                continue
            hanging = list(_hanging(one, links, mapped))
            found += [*_not_mapped(one, without={link.column for link in hanging}), *hanging]
        else:
            found += [
                *_staying(one, table),
                *_not_searched(one, table, kinds),
                *_of_several_types(one, table),
                *_slow(one.table, table, dialect),
            ]
    return [one for one in found if not _is_excused(one, excused, known)]


def _is_excused(one: Omission, excused: Mapping[str, str], known: Mapping[str, SeenTable]) -> bool:
    if one.omitted in {Omitted.TABLE_GONE, Omitted.COLUMN_GONE, Omitted.EXCUSE_GONE}:
        return False  # the map, or the excuse, is wrong: there is nothing to pass over
    names = known[one.table].table.names if one.table in known else (one.table,)
    return any(key in excused for name in names for key in (name, f"{name}.{one.column}"))


# --- what the map says and the target has not ---------------------------------------------------


def _gone(tables: Mapping[str, MappedTable], known: Mapping[str, SeenTable]) -> Iterator[Omission]:
    for name, table in tables.items():
        if name not in known:
            yield Omission(
                omitted=Omitted.TABLE_GONE,
                table=name,
                column="",
                text=f"{name} is in the map and not in the target",
                fix="take it out of the map, or let this role see its schema",
                place=("tables", name),
            )
            continue
        has = known[name].table.by_name
        for column, key in table.named.items():
            if column not in has:
                yield Omission(
                    omitted=Omitted.COLUMN_GONE,
                    table=name,
                    column=column,
                    text=f"{name} has no column {column}, which {key} names",
                    fix="name the column that holds it now",
                    place=("tables", name, key.partition(".")[0]),
                )


def _excuses_gone(excused: Mapping[str, str], known: Mapping[str, SeenTable]) -> Iterator[Omission]:
    there = {*known, *(f"{name}.{column}" for name, one in known.items() for column in one.table.by_name)}
    for key in excused:
        if key not in there:
            yield Omission(
                omitted=Omitted.EXCUSE_GONE,
                table=key,
                column="",
                text=f"{key} is excused and is not in the target",
                fix="take it out of excused",
                place=("excused", key),
            )


# --- what the target has and the map does not say -------------------------------------------------


def _not_mapped(one: SeenTable, *, without: Set[str]) -> Iterator[Omission]:
    for column, evidence in one.evidence.items():
        if column in without:
            continue  # it says whose the row is, and is told as that
        yield Omission(
            omitted=Omitted.NOT_MAPPED,
            table=one.table.name,
            column=column,
            text=f"{one.table.name}.{column} is not in the map: {evidence.text}",
            fix="map it, or " + _excuse(one.table.name, column),
            place=("tables",),
        )


def _hanging(one: SeenTable, links: Sequence[Link], mapped: Mapping[str, MappedTable]) -> Iterator[Omission]:
    for link in links:
        # A foreign key acts on a deletion, whatever its column says of the person.
        if link.table == one.table.name and link.to in mapped and (link.written or not link.of_a_deed):
            yield Omission(
                omitted=Omitted.HANGS_ON_A_PERSON,
                table=link.table,
                column=link.column,
                text=f"{link.table} is not in the map; {link.column} points at {link.to} ({link.evidence})",
                fix=f'map it with parent = {{ table = "{link.to}", column = "{link.column}" }}, or '
                + _excuse(link.table, link.column),
                place=("tables", link.to),
            )


def _staying(one: SeenTable, table: MappedTable) -> Iterator[Omission]:
    """Of a row that an erasure empties, what looks personal and is not emptied."""
    if table.erase is not ErasureMethod.ANONYMISE:
        return
    for column, evidence in one.evidence.items():
        if column not in table.changed:
            yield Omission(
                omitted=Omitted.STAYS,
                table=table.name,
                column=column,
                text=f"{table.name}.{column} stays after an erasure: {evidence.text}",
                fix="add it to null or set, or " + _excuse(table.name, column),
                place=("tables", table.name, "erase"),
            )


def _not_searched(one: SeenTable, table: MappedTable, kinds: Sequence[IdentityKind]) -> Iterator[Omission]:
    """Columns whose values are identities by which nobody looks for rows."""
    by_personal = {IDENTITIES[kind]: kind for kind in kinds}
    for column, evidence in one.evidence.items():
        kind = by_personal.get(evidence.personal)
        if kind is not None and evidence.sure and column not in table.identities:
            yield Omission(
                omitted=Omitted.NOT_SEARCHED,
                table=table.name,
                column=column,
                text=f"{table.name}.{column} is not searched for a person's {kind.value}: {evidence.text}",
                fix=f'add {kind.value} = "{column}" to identities, or ' + _excuse(table.name, column),
                place=("tables", table.name, "identities"),
            )


def _of_several_types(one: SeenTable, table: MappedTable) -> Iterator[Omission]:
    """Where the map says that every row points at one table, and the rows say that some point elsewhere."""
    for column, to in table.everywhere.items():
        beside = type_beside(column, one.table.by_name)
        if beside is not None and beside in one.several:
            yield Omission(
                omitted=Omitted.SEVERAL_TYPES,
                table=table.name,
                column=column,
                text=f"{table.name}.{column} points at {to}, says the map, and {beside} has several values",
                fix=f'give where = {{ {beside} = "…" }}, what stands there for {to}, or '
                + _excuse(table.name, column),
                place=("tables", table.name),
            )


def _slow(live: LiveTable, table: MappedTable, dialect: str) -> Iterator[Omission]:
    if dialect not in _CREATE_INDEX:
        return
    columns = live.by_name
    for column in table.looked_up:
        if column not in columns:
            continue
        if dialect == "MariaDB" and column in table.folded and " COLLATE " in columns[column].type:
            continue  # it has no index on an expression, so none serves there
        folded = column in table.folded and _folds(columns[column], dialect)
        expression = f"lower({column})" if folded else column
        if bare(expression) not in live.indexed:
            yield Omission(
                omitted=Omitted.NO_INDEX,
                table=table.name,
                column=column,
                text=f"no index begins with {expression} on {table.name}; each batch reads the whole table",
                fix=_create_index(live, columns[column], dialect, folded=folded),
                place=("tables", table.name),
            )


def _create_index(live: LiveTable, column: LiveColumn, dialect: str, *, folded: bool) -> str:
    mark = "`" if dialect == "MariaDB" else '"'
    inner = _quoted(column.name, mark)
    if folded:
        inner = f"lower({inner})"
    elif dialect == "MariaDB" and re.match("(tiny|medium|long)?text", column.type):
        inner += f"({_PREFIX})"
    return _CREATE_INDEX[dialect].format(
        name=_quoted(f"{live.name}_{column.name}", mark),
        table=".".join(_quoted(part, mark) for part in live.name.split(".", 1)),
        expression=inner,
    )


_PREFIX = 100  # characters of a text that MariaDB keeps in an index
_CREATE_INDEX = {
    "PostgreSQL": "CREATE INDEX CONCURRENTLY ON {table} ({expression});",
    "SQLite": "CREATE INDEX {name} ON {table} ({expression});",
    "MariaDB": "CREATE INDEX {name} ON {table} ({expression});",
}


def _folds(column: LiveColumn, dialect: str) -> bool:
    """Whether the sink overlooks case in an e-mail column itself: citext does."""
    if dialect == "PostgreSQL":
        return re.match(r"text|character|bpchar|name", column.type) is not None
    return dialect == "SQLite" and column.family is Family.TEXT  # MariaDB's collation does


def _quoted(name: str, mark: str) -> str:
    plain = re.fullmatch(r"[a-z_][a-z0-9_]*", name)
    return name if plain else mark + name.replace(mark, mark * 2) + mark


def _excuse(table: str, column: str) -> str:
    return f'excuse it: "{table}.{column}" = "why"'
