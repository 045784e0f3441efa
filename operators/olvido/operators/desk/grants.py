"""What a sink's account needs in its target, as statements that an administrator reads and runs."""

from dataclasses import dataclass

from olvido.core.errors import InvalidInput
from olvido.operators.desk.faults import check_declared
from olvido.schemas.settings.deployment import Deployment
from olvido.sinks.discovery.grants import least_role
from olvido.sinks.discovery.grants_file import file_modes
from olvido.sinks.discovery.grants_mysql import least_account
from olvido.sinks.discovery.mapped import mapped_tables
from olvido.sinks.plugins import settings_of
from olvido.sinks.tables.map_rules import read_data_map

NAME_BYTES_MAX = 63  # PostgreSQL cuts longer names: two could become one
_KINDS = ("duckdb", "mysql", "postgres", "sqlite")


@dataclass(frozen=True, slots=True, kw_only=True)
class Grants:
    """A role, and what gives it what its sink needs: SQL, or commands of the shell for a file."""

    sink: str
    role: str
    statements: str
    password: str  # how the role gets one; empty where there are none


def grants(declared: Deployment, name: str, *, role: str | None = None) -> Grants:
    """Say which rights a sink needs. No system is asked.

    Args:
        declared: the deployment.
        name: of the sink.
        role: its name; ``olvido_`` and the sink's if not given.

    Raises:
        InvalidInput: there is no such sink, its target knows no accounts, or this is no name of one.
        ConfigError: its data map is wrong.
    """
    check_declared(name, declared.sinks)
    kind = declared.sinks[name].kind
    if kind not in _KINDS:
        raise InvalidInput("sink", f"is a sink of kind {kind!r}; rights are known of: {', '.join(_KINDS)}")
    role = role or f"olvido_{name.replace('-', '_')}"
    if not role.isprintable() or not 0 < len(role.encode()) <= NAME_BYTES_MAX or "$$" in role:
        raise InvalidInput("role", f"is no name of a role: 1 to {NAME_BYTES_MAX} bytes that can be printed")
    settings = settings_of(declared, name)
    tables = mapped_tables(read_data_map(settings, settings.own.get("tables")))
    planted = declared.sinks[name].canary or {}
    match kind:
        case "postgres":
            statements, password = least_role(role, tables, planted), f"\\password {role}"
        case "mysql":
            statements = least_account(role, tables, planted)
            password = f"ALTER USER '{role}'@'%' IDENTIFIED BY '…' ACCOUNT UNLOCK"
        case _:
            statements, password = file_modes(name, kind, role), ""
    return Grants(sink=name, role=role, statements=statements, password=password)
