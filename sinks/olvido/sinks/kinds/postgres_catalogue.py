"""What a PostgreSQL target really has, read from its catalogue."""

from collections.abc import Mapping

from psycopg2.extensions import cursor

from olvido.core.sql import array_of
from olvido.sinks.section import fault
from olvido.sinks.tables.data_map import DataMap, ErasureMethod
from olvido.sinks.tables.fit import check_fit
from olvido.sinks.tables.journal import queries
from olvido.sinks.tables.shape import Column, ForeignKey, TableShape, TargetShape, TypeFamily

FAMILIES: Mapping[str, TypeFamily] = {
    "text": TypeFamily.TEXT,
    "varchar": TypeFamily.TEXT,
    "name": TypeFamily.TEXT,
    "bpchar": TypeFamily.PADDED,
    "citext": TypeFamily.FOLDED,
    "int2": TypeFamily.INTEGER,
    "int4": TypeFamily.INTEGER,
    "int8": TypeFamily.INTEGER,
    "numeric": TypeFamily.NUMERIC,
    "uuid": TypeFamily.UUID,
    "timestamptz": TypeFamily.INSTANT,
    "timestamp": TypeFamily.TIME,
    "date": TypeFamily.DATE,
    **dict.fromkeys(("bool", "bytea", "inet", "macaddr", "char", "oid"), TypeFamily.EXACT),
}
TELLS_JSON = 160_000  # the first version of PostgreSQL that has IS JSON
_LIMITS = {"int2": 2**15, "int4": 2**31, "int8": 2**63}
_ACTIONS = {"a": "NO ACTION", "r": "RESTRICT", "c": "CASCADE", "n": "SET NULL", "d": "SET DEFAULT"}
# Where a row is, within one transaction: a table with partitions has several rows at one ctid.
_ADDRESS = {
    "tableoid": Column(family=TypeFamily.EXACT, plain="oid", full="oid", not_null=True),
    "ctid": Column(family=TypeFamily.EXACT, plain="tid", full="tid", not_null=True),
}


def quoted(name: str) -> str:
    """A name as an identifier; ``schema.table`` as two."""
    return ".".join('"' + part.replace('"', '""') + '"' for part in name.split("."))


def look(cur: cursor, data_map: DataMap) -> TargetShape:
    """Read the catalogue of the target and check that the data map fits it.

    Raises:
        ConfigError: naming table and column, and the fix.
    """
    names = {
        "names": array_of(list(data_map.tables)),
        "quoted": array_of([quoted(name) for name in data_map.tables]),
    }
    _check_tables(cur, names, data_map)
    catalogue = _read(cur, names, data_map)
    notes = check_fit(data_map, catalogue)
    if cur.connection.server_version < TELLS_JSON:
        _check_texts(data_map, catalogue)
    return TargetShape(tables=catalogue.tables, notes=notes)


def _check_texts(data_map: DataMap, catalogue: TargetShape) -> None:
    """A server that cannot say whether a text is JSON fails at one row that is none, for everybody."""
    for name, table in data_map.tables.items():
        for kind, columns in table.identities.items():
            for one in columns:
                if one.json_path and catalogue.column(name, one.column).family is TypeFamily.TEXT:
                    raise fault(
                        f"sinks.{data_map.sink}.tables.{name}.identities.{kind.value}.json",
                        f"column {one.column!r} is a text, and this server cannot say which rows are JSON: "
                        f"ALTER TABLE {name} ALTER {one.column} TYPE jsonb USING {one.column}::jsonb, or "
                        "take PostgreSQL 16 or newer",
                    )


def _check_tables(cur: cursor, names: Mapping[str, str], data_map: DataMap) -> None:
    place = f"sinks.{data_map.sink}.tables"
    cur.execute(queries("postgres")["tables"], names)
    found = {row[0]: row[1:] for row in cur}
    for name, table in data_map.tables.items():
        if name not in found:
            raise fault(
                f"{place}.{name}", "there is no such table in the target, or its schema is not visible"
            )
        kind, row_security, may_select, may_delete = found[name]
        if kind not in {"r", "p"}:
            raise fault(f"{place}.{name}", "is not a table in the target; name the table behind it")
        if row_security:
            raise fault(
                f"{place}.{name}", "row security hides rows from this role; let it bypass (BYPASSRLS)"
            )
        if not may_select or (table.erase is ErasureMethod.DELETE and not may_delete):
            raise fault(f"{place}.{name}", "this role may not do that; GRANT SELECT, UPDATE, DELETE on it")


def _read(cur: cursor, names: Mapping[str, str], data_map: DataMap) -> TargetShape:
    columns: dict[str, dict[str, Column]] = {name: dict(_ADDRESS) for name in data_map.tables}
    cur.execute(queries("postgres")["columns"], names)
    for name, column, base, kind, plain, full, collation, not_null, may_update, made_of in cur.fetchall():
        columns[name][column] = Column(
            family=TypeFamily.EXACT if kind == "e" else FAMILIES.get(base, TypeFamily.OTHER),
            plain=plain,
            full=full,
            limit=_LIMITS.get(base, 0),
            collation=collation,
            not_null=not_null,
            may_update=may_update,
            made_of=made_of,
        )
    indexed: dict[str, set[str]] = {name: set() for name in data_map.tables}
    unique: dict[str, list[frozenset[str]]] = {name: [] for name in data_map.tables}
    expressions: dict[str, list[str]] = {name: [] for name in data_map.tables}
    cur.execute(queries("postgres")["indexes"], names)
    for name, first, is_unique, plainly, keys, definition in cur.fetchall():
        indexed[name].add(first)
        if is_unique and plainly:
            unique[name].append(frozenset(keys))
        elif is_unique:
            expressions[name].append(definition.partition(" USING ")[2])
    triggers: dict[str, list[str]] = {name: [] for name in data_map.tables}
    cur.execute(queries("postgres")["triggers"], names)
    for name, trigger, on_delete, on_update in cur.fetchall():
        deletes = data_map.tables[name].erase is ErasureMethod.DELETE
        if on_delete if deletes else on_update:
            triggers[name].append(trigger)
    pointing: dict[str, list[ForeignKey]] = {name: [] for name in data_map.tables}
    cur.execute(queries("postgres")["references"], names)
    for pointed, name, shown, action, ours, theirs, onward in cur.fetchall():
        pointing[pointed].append(
            ForeignKey(
                pointing=name,
                shown=shown,
                columns=tuple(ours),
                keys=tuple(theirs),
                action=_ACTIONS[action],
                onward=tuple(onward),
            )
        )
    return TargetShape(
        tables={
            name: TableShape(
                columns=columns[name],
                unique=tuple(unique[name]),
                unique_expressions=tuple(expressions[name]),
                indexed=frozenset(indexed[name]),
                foreign_keys=tuple(pointing[name]),
                triggers=tuple(triggers[name]),
                address=tuple(_ADDRESS),
            )
            for name in data_map.tables
        }
    )
