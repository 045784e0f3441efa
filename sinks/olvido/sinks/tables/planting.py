"""Rows of a canary person in a target's tables: put in, and looked for by nothing but equality.

No statement here is one of those that erase, and none changes a row that is there.
"""

# ruff: noqa: S608 - names are quoted, and values are parameters

from collections.abc import Mapping, Sequence

from olvido.core.canary_people import PlantedRow, Value
from olvido.core.subject import Identity, IdentityKind
from olvido.sinks.section import fault
from olvido.sinks.tables.data_map import IdentityColumn
from olvido.sinks.tables.engine import TableRows, stored
from olvido.sinks.tables.shape import Column


def plant(rows: TableRows, planted: Sequence[PlantedRow]) -> None:
    """Put the rows in, and find them again, or put in nothing.

    Raises:
        ConfigError: a table or column is not there, or a row is not found again.
    """
    dialect = rows.statements.dialect
    for row in planted:
        columns, values = _columns(rows, row), _values(rows, row)
        names = ", ".join(dialect.quoted(name) for name in columns)
        places = ", ".join(dialect.value(column) for column in columns.values())
        table = dialect.quoted(*row.table.split("."))
        rows.session.changed(f"INSERT INTO {table} ({names}) VALUES ({places})", list(values.values()))
    # A value that is cut, changed by a trigger or thrown away is never found, and would be planted for ever.
    for row in planted:
        if row.named and not _found(rows, row):
            raise _fault(rows, row, "the row that was put in is not found again by its address")


def standing(rows: TableRows, planted: Sequence[PlantedRow]) -> int:
    """How many of the rows are there, by the columns that hold the address.

    Raises:
        ConfigError: a table or column is not there.
    """
    return sum(_found(rows, row) for row in planted if row.named)


def _found(rows: TableRows, row: PlantedRow) -> int:
    dialect = rows.statements.dialect
    columns, values = _columns(rows, row), _values(rows, row)
    # The column's own comparison is served by its index; that of the texts is exact.
    conditions = [
        f"{dialect.quoted(name)} = {dialect.value(columns[name])} "
        f"AND {dialect.text(dialect.quoted(name), columns[name])} = {dialect.place()}"
        for name in row.named
    ]
    given = [value for name in row.named for value in (values[name], str(values[name]))]
    table = dialect.quoted(*row.table.split("."))
    [(count,)] = rows.session.run(f"SELECT count(*) FROM {table} WHERE {' AND '.join(conditions)}", given)
    return int(count)


def _columns(rows: TableRows, row: PlantedRow) -> Mapping[str, Column]:
    table = rows.statements.shape.tables.get(row.table)
    if table is None:
        raise _fault(rows, row, "is no table of the data map")
    if missing := sorted(row.columns.keys() - table.columns.keys())[:1]:
        raise _fault(rows, row, f"the target's table has no column {missing[0]!r}")
    return {name: table.columns[name] for name in row.columns}


def _values(rows: TableRows, row: PlantedRow) -> Mapping[str, Value]:
    """The values as the columns hold them: an address may be stored as a digest."""
    held = rows.statements.data_map.tables[row.table].identities.get(IdentityKind.EMAIL, ())
    formed = {one.column: one for one in held if one.form != "plain"}
    return {
        name: _stored(str(value), formed[name]) if name in formed else value
        for name, value in row.columns.items()
    }


def _stored(address: str, column: IdentityColumn) -> str:
    identity = Identity(kind=IdentityKind.EMAIL, value=address, normalised=address)
    return stored(identity, column)[0][0]


def _fault(rows: TableRows, row: PlantedRow, what: str) -> Exception:
    return fault(f"sinks.{rows.statements.data_map.sink}.canary.{row.table}", what)
