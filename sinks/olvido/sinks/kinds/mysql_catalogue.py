"""What a MariaDB target really has, read from its catalogue."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence

import pymysql
from pymysql.cursors import Cursor

from olvido.sinks.section import fault
from olvido.sinks.tables.data_map import DataMap, ErasureMethod
from olvido.sinks.tables.fit import check_fit
from olvido.sinks.tables.journal import queries
from olvido.sinks.tables.journal_steps import steps
from olvido.sinks.tables.shape import Column, ForeignKey, TableShape, TargetShape, TypeFamily

TEXT_MAX = 2000  # characters of a value that is asked for: MariaDB cuts a longer one silently
VERSION_TABLE = "olvido_journal_version"
BYTES = ("binary", "varbinary")
_SIZES = {"tinyint": 8, "smallint": 16, "mediumint": 24, "int": 32, "bigint": 64}
_TEXTS = frozenset({"char", "varchar", "tinytext", "text", "mediumtext", "longtext"})
FAMILIES: Mapping[str, TypeFamily] = {
    **dict.fromkeys(_TEXTS, TypeFamily.TEXT),
    **dict.fromkeys(_SIZES, TypeFamily.INTEGER),
    "decimal": TypeFamily.NUMERIC,
    "uuid": TypeFamily.UUID,
    "timestamp": TypeFamily.INSTANT,
    "datetime": TypeFamily.TIME,
    "date": TypeFamily.DATE,
    **dict.fromkeys(BYTES, TypeFamily.EXACT),
}
_CASCADE, _SET_NULL = 1, 2
_OWN_TABLE = re.compile(r"CREATE TABLE IF NOT EXISTS (\w+)")
_MAY_NOT = 1227  # https://mariadb.com/kb/en/mariadb-error-codes
# What acts on a change may stand in a trigger, and a role without the right TRIGGER does not see it: so rows
# are always read back.
_UNSEEN = ("a trigger that this role may not see",)


def own_tables() -> Mapping[str, str]:
    """The statements that make Olvido's own tables, by the table's name."""
    statements = (statement for step in steps("mysql") for statement in of_step(step))
    return {name: statement for statement in statements for name in _OWN_TABLE.findall(statement)}


def of_step(step: str) -> Sequence[str]:
    """The statements of a step of the journal, without what stands between them."""
    plain = re.sub("^ *--.*\n", "", step, flags=re.MULTILINE)
    return [statement.strip() for statement in plain.split(";") if statement.strip()]


def missing_tables(cur: Cursor) -> Sequence[str]:
    """The statements that make those of Olvido's own tables that are not there and that a task needs."""
    cur.execute(queries("mysql")["own_tables"], ())
    there = {VERSION_TABLE, *(name for (name,) in cur.fetchall())}
    return [statement for name, statement in own_tables().items() if name not in there]


def look(cur: Cursor, data_map: DataMap) -> TargetShape:
    """Read the catalogue of the target and check that the data map fits it.

    Raises:
        ConfigError: naming table and column, and the fix.
    """
    _check_tables(cur, data_map)
    columns = _columns(cur, data_map)
    unique, indexed = _indexes(cur, columns)
    pointing = _pointing(cur, data_map)
    shapes = {
        name: TableShape(
            columns=columns[name],
            unique=tuple(unique[name]),
            indexed=frozenset(indexed[name]),
            foreign_keys=tuple(pointing[name]),
            triggers=_UNSEEN,
        )
        for name in data_map.tables
    }
    notes = check_fit(data_map, TargetShape(tables=shapes))
    _check_self_references(data_map, TargetShape(tables=shapes))
    cur.execute(queries("mysql")["durable"], ())
    if cur.fetchall() != ((1,),):
        notes = (
            *notes,
            "innodb_flush_log_at_trx_commit is not 1: a crash may lose what a receipt says is done",
        )
    return TargetShape(tables=shapes, notes=notes)


def _check_tables(cur: Cursor, data_map: DataMap) -> None:
    place = f"sinks.{data_map.sink}.tables"
    cur.execute(queries("mysql")["tables"], ())
    found = {name: (kind, engine) for name, kind, engine in cur.fetchall()}
    for name in data_map.tables:
        if name not in found:
            raise fault(f"{place}.{name}", "there is no such table in the database that this role may see")
        kind, engine = found[name]
        if kind == "SYSTEM VERSIONED":
            raise fault(
                f"{place}.{name}",
                "keeps the history of its rows, and so what is deleted: ALTER TABLE … DROP SYSTEM VERSIONING",
            )
        if kind != "BASE TABLE":
            raise fault(f"{place}.{name}", "is no table in the target; name the table behind it")
        if engine != "InnoDB":
            raise fault(
                f"{place}.{name}",
                f"is kept by {engine}, which cannot take a change back: ALTER TABLE {name} ENGINE = InnoDB",
            )


def _check_self_references(data_map: DataMap, target: TargetShape) -> None:
    """InnoDB looks at foreign keys row by row: rows that point at each other are cut loose before they go."""
    for name, table in data_map.tables.items():
        if table.erase is not ErasureMethod.DELETE:
            continue
        for parent in table.parents:
            if parent.table != name or target.held_by_key(name, name, parent.columns) is None:
                continue
            filled = next((one for one in parent.columns if target.column(name, one).not_null), None)
            if filled is not None:
                raise fault(
                    f"sinks.{data_map.sink}.tables.{name}.parent",
                    f"rows of {name} point at each other by {filled!r}, which refuses null, and InnoDB "
                    "deletes none of them while another points at it; let it be null, or drop the constraint",
                )


def _columns(cur: Cursor, data_map: DataMap) -> Mapping[str, dict[str, Column]]:
    columns: dict[str, dict[str, Column]] = {name: {} for name in data_map.tables}
    cur.execute(queries("mysql")["columns"], ())
    for (
        name,
        column,
        kind,
        full,
        collation,
        charset,
        not_null,
        made_of,
        made,
        readable,
        may,
    ) in cur.fetchall():
        if name in columns and readable:
            columns[name][column] = Column(
                family=_family(kind, charset),
                plain=_plain(kind, full, charset, collation),
                full=full,
                limit=2 ** (_SIZES.get(kind, 0) - ("unsigned" not in full)) if kind in _SIZES else 0,
                collation=collation or "",
                not_null=bool(not_null),
                may_update=bool(may),
                made_of=(made_of or "") if made else None,
            )
    return columns


def _family(kind: str, charset: str | None) -> TypeFamily:
    if kind in _TEXTS and charset is None:
        return TypeFamily.OTHER
    return TypeFamily.EXACT if kind == "enum" else FAMILIES.get(kind, TypeFamily.OTHER)


def _plain(kind: str, full: str, charset: str | None, collation: str | None) -> str:
    """The type that JSON_TABLE gives values of keys and identities: one that the column's index serves."""
    if charset is not None:
        return f"VARCHAR({TEXT_MAX}) CHARACTER SET {charset} COLLATE {collation}"
    if kind in _SIZES:
        return "BIGINT UNSIGNED" if "unsigned" in full else "BIGINT"
    return "VARCHAR(36)" if kind == "uuid" else full


def _indexes(
    cur: Cursor, columns: Mapping[str, Mapping[str, Column]]
) -> tuple[Mapping[str, Sequence[frozenset[str]]], Mapping[str, set[str]]]:
    parts: dict[tuple[str, str, bool], list[str | None]] = defaultdict(list)
    cur.execute(queries("mysql")["indexes"], ())
    for name, index, is_unique, column in cur.fetchall():
        if name in columns:
            parts[name, index, bool(is_unique)].append(column)
    unique: dict[str, list[frozenset[str]]] = defaultdict(list)
    indexed: dict[str, set[str]] = defaultdict(set)
    for (name, _, is_unique), keys in parts.items():
        plain = [key for key in keys if key is not None]
        if is_unique and len(plain) == len(keys):
            unique[name].append(frozenset(plain))
        first = columns[name].get(keys[0] or "")
        if keys[0] is not None and first is not None:
            indexed[name].add(keys[0])
            if overlooks_case(first):
                indexed[name].add(f"lower({keys[0]})")
    return unique, indexed


def overlooks_case(column: Column) -> bool:
    """Whether the column's own collation takes letters of both cases for equal, and so its index does."""
    return column.collation.endswith("_ci")


def _pointing(cur: Cursor, data_map: DataMap) -> Mapping[str, Sequence[ForeignKey]]:
    """The foreign keys into each table. They act whether or not this role may see the table they act on."""
    try:
        cur.execute(queries("mysql")["references"], ())
    except pymysql.Error as error:
        if error.args[0] != _MAY_NOT:
            raise
        raise fault(
            f"sinks.{data_map.sink}",
            "this role may not see the foreign keys of tables it has no right on, and they act all the same; "
            "GRANT PROCESS ON *.* to it",
        ) from None
    parts: dict[tuple[str, str, str, str, str, int, str], list[tuple[str, str]]] = defaultdict(list)
    for schema, table, place, pointed, number, ours, theirs, kind, own in cur.fetchall():
        parts[schema, table, place, pointed, number, kind, own].append((ours, theirs))
    onward: dict[tuple[str, str], list[str]] = defaultdict(list)
    for (_, table, place, pointed, *_), pairs in parts.items():
        onward[place, pointed].append(f"{table}.{pairs[0][0]}")
    pointing: dict[str, list[ForeignKey]] = defaultdict(list)
    for (schema, table, place, pointed, _, kind, own), pairs in parts.items():
        if place != own:
            continue
        pointing[pointed].append(
            ForeignKey(
                pointing=table if schema == own and table in data_map.tables else None,
                shown=table if schema == own else f"{schema}.{table}",
                columns=tuple(ours for ours, _ in pairs),
                keys=tuple(theirs for _, theirs in pairs),
                action="CASCADE" if kind & _CASCADE else "SET NULL" if kind & _SET_NULL else "RESTRICT",
                onward=tuple(onward[schema, table]),
            )
        )
    return pointing


def quoted(name: str) -> str:
    """A name as an identifier. PyMySQL takes a % for the beginning of a parameter."""
    return "`" + name.replace("`", "``").replace("%", "%%") + "`"
