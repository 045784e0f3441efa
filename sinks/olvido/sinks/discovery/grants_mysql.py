"""The least account of a sink: what its data map needs in MariaDB, and nothing else.

Pure: the map goes in, SQL comes out.
"""

from collections.abc import Iterable, Iterator, Mapping

from olvido.sinks.discovery.grants import rights
from olvido.sinks.discovery.mapped import MappedTable
from olvido.sinks.kinds.mysql_catalogue import own_tables


def least_account(
    account: str, tables: Mapping[str, MappedTable], planted: Mapping[str, Iterable[str]] | None = None
) -> str:
    """The statements that make an account, or bring one to what the map needs now. A repeat changes nothing.

    They are for the client's current database, so no address is needed for them.

    Args:
        account: its name.
        tables: what the map says.
        planted: by table, the columns that a canary person fills.
    """
    return "\n".join(_statements(account, tables, planted or {})) + "\n"


def _statements(
    account: str, tables: Mapping[str, MappedTable], planted: Mapping[str, Iterable[str]]
) -> Iterator[str]:
    name = "'" + account.replace("\\", "\\\\").replace("'", "''") + "'@'%'"
    # An account without a password lets everybody in, so it is locked until it has one.
    yield f"CREATE USER IF NOT EXISTS {name} ACCOUNT LOCK;"
    yield f"REVOKE ALL PRIVILEGES, GRANT OPTION FROM {name};"
    yield "-- Foreign keys act on tables that the account has no right on; with this it sees all of them."
    yield f"GRANT PROCESS ON *.* TO {name};"
    for mapped in tables.values():
        yield f"GRANT {', '.join(rights(mapped, quoted))} ON {quoted(mapped.name)} TO {name};"
    for table, columns in planted.items():
        yield f"GRANT INSERT ({', '.join(map(quoted, columns))}) ON {quoted(table)} TO {name};"
    yield "-- Olvido's own tables: the account makes them itself, at its first start and after an update."
    for own in own_tables():
        yield f"GRANT CREATE, ALTER, INDEX, SELECT, INSERT, UPDATE, DELETE ON {quoted(own)} TO {name};"


def quoted(name: str) -> str:
    """A name as an identifier, whatever it is."""
    return "`" + name.replace("`", "``") + "`"
