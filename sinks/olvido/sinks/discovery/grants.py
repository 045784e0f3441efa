"""The least role of a sink: what its data map needs in PostgreSQL, and nothing else.

Pure: the map goes in, SQL comes out.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping

from olvido.sinks.discovery.mapped import MappedTable
from olvido.sinks.tables.data_map import ErasureMethod

DEFAULT_SCHEMA = "public"  # where a table is that the map names without a schema

# Of a table, those that number its rows: whoever inserts must ask them.
_SEQUENCES = """\
DO $$ DECLARE numbers regclass; BEGIN
    FOR numbers IN SELECT d.objid::regclass FROM pg_depend AS d
        JOIN pg_class AS c ON c.oid = d.objid AND c.relkind = 'S'
        WHERE d.refobjid = {table}::regclass AND d.deptype IN ('a', 'i')
    LOOP EXECUTE format('GRANT USAGE ON SEQUENCE %s TO {role}', numbers); END LOOP;
END $$;"""


def least_role(
    role: str, tables: Mapping[str, MappedTable], planted: Mapping[str, Iterable[str]] | None = None
) -> str:
    """The statements that make a role, or bring one to what the map needs now. A repeat changes nothing.

    Args:
        role: its name.
        tables: what the map says.
        planted: by table, the columns that a canary person fills.
    """
    return "\n".join(_statements(role, tables, planted or {})) + "\n"


def _statements(
    role: str, tables: Mapping[str, MappedTable], planted: Mapping[str, Iterable[str]]
) -> Iterator[str]:
    name = quoted(role)
    schemas = sorted({_schema(table) for table in tables})
    yield "BEGIN;"
    yield (
        f"DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = {_literal(role)}) THEN\n"
        f"    CREATE ROLE {name} LOGIN;\n"
        "END IF; END $$;"
    )
    yield (
        "DO $$ BEGIN\n"
        f"    EXECUTE format('GRANT CONNECT ON DATABASE %I TO {_inside(name)}', current_database());\n"
        "END $$;"
    )
    for schema in schemas:
        yield f"REVOKE ALL ON ALL TABLES IN SCHEMA {quoted(schema)} FROM {name};"
        yield f"GRANT USAGE ON SCHEMA {quoted(schema)} TO {name};"
    for mapped in tables.values():
        yield f"GRANT {', '.join(rights(mapped, quoted))} ON {_path(mapped.name)} TO {name};"
    for table, columns in planted.items():
        yield f"GRANT INSERT ({', '.join(map(quoted, columns))}) ON {_path(table)} TO {name};"
        yield _SEQUENCES.format(table=_literal(_path(table)), role=_inside(name))
    yield "-- Olvido's own tables: the role makes them itself, at its first start and after an update."
    yield "DO $$ BEGIN IF to_regnamespace('olvido') IS NULL THEN CREATE SCHEMA olvido; END IF; END $$;"
    yield f"GRANT USAGE, CREATE ON SCHEMA olvido TO {name};"
    yield f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA olvido TO {name};"
    yield "COMMIT;"


def rights(table: MappedTable, quoted: Callable[[str], str]) -> Iterator[str]:
    """The rights that a table's part of the map needs, in the words of SQL."""
    yield "SELECT"
    columns = sorted(table.changed | table.marked)
    if columns:
        yield f"UPDATE ({', '.join(map(quoted, columns))})"
    if table.erase is ErasureMethod.DELETE:
        yield "DELETE"


def _schema(table: str) -> str:
    schema, dot, _ = table.partition(".")
    return schema if dot else DEFAULT_SCHEMA


def _path(table: str) -> str:
    return ".".join(map(quoted, _parts(table)))


def _parts(table: str) -> Iterable[str]:
    return table.split(".", 1) if "." in table else (DEFAULT_SCHEMA, table)


def quoted(name: str) -> str:
    """A name as an identifier, whatever it is."""
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _inside(identifier: str) -> str:
    """An identifier inside of a literal that is a format: quotes and percent signs are doubled."""
    return identifier.replace("'", "''").replace("%", "%%")
