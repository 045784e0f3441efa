"""The least role for a sink's data map, as SQL that an administrator of the target reads and runs."""

from dataclasses import dataclass

from olvido.core.errors import InvalidInput
from olvido.operators.desk.faults import check_declared
from olvido.schemas.settings.deployment import Deployment
from olvido.sinks.discovery.grants import least_role
from olvido.sinks.discovery.mapped import mapped_tables
from olvido.sinks.plugins import settings_of
from olvido.sinks.tables.map_rules import read_data_map

NAME_BYTES_MAX = 63  # PostgreSQL cuts longer names: two could become one


@dataclass(frozen=True, slots=True, kw_only=True)
class Grants:
    """A role, and the statements that give it what its sink needs."""

    sink: str
    role: str
    sql: str


def grants(declared: Deployment, name: str, *, role: str | None = None) -> Grants:
    """Say which rights a sink needs. No system is asked.

    Args:
        declared: the deployment.
        name: of the sink.
        role: its name; ``olvido_`` and the sink's if not given.

    Raises:
        InvalidInput: there is no such sink, its target has no roles, or this is no name of one.
        ConfigError: its data map is wrong.
    """
    check_declared(name, declared.sinks)
    kind = declared.sinks[name].kind
    if kind != "postgres":
        raise InvalidInput("sink", f"is a sink of kind {kind!r}; roles are made for: postgres")
    role = role or f"olvido_{name.replace('-', '_')}"
    if not role.isprintable() or not 0 < len(role.encode()) <= NAME_BYTES_MAX or "$$" in role:
        raise InvalidInput("role", f"is no name of a role: 1 to {NAME_BYTES_MAX} bytes that can be printed")
    settings = settings_of(declared, name)
    tables = mapped_tables(read_data_map(settings, settings.own.get("tables")))
    planted = declared.sinks[name].canary or {}
    return Grants(sink=name, role=role, sql=least_role(role, tables, planted))
