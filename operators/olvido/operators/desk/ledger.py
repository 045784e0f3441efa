"""The ledger database, for a use case."""

from functools import lru_cache

from olvido.core.errors import InvalidInput
from olvido.ledger import schema, writer
from olvido.ledger.connection import Database
from olvido.schemas.settings.deployment import Deployment

NAME_BYTES_MAX = 63  # PostgreSQL cuts longer names: two could become one
APPLICATION = "olvido.desk"  # as PostgreSQL lists its sessions


def database(declared: Deployment) -> Database:
    """The ledger of a deployment: one for all use cases of a process, so that a command connects once.

    Raises:
        ConfigError: its address is not given.
    """
    return _at(declared.ledger_dsn)


def migrate(declared: Deployment) -> tuple[str, ...]:
    """Bring the ledger to the form that this version works with; a repeat changes nothing.

    Where an owner of its tables is given, the login of processes is given what it may do, and no more.

    Returns:
        The migrations that were applied.

    Raises:
        ConfigError: its address is not given.
        Unavailable: it does not answer.
    """
    owner = declared.ledger_owner_dsn
    if owner is None:
        return tuple(schema.migrate(declared.ledger_dsn))
    applied = schema.migrate(owner)
    # Killed before this line, processes may not use a new table. The repeat applies nothing, and lets them.
    writer.admit(owner, declared.ledger_dsn)
    return tuple(applied)


def grants(role: str) -> str:
    """The SQL that makes a login which works with the ledger and owns nothing of it. No system is asked.

    Raises:
        InvalidInput: this is no name of a role.
    """
    if not role.isprintable() or not 0 < len(role.encode()) <= NAME_BYTES_MAX or "$$" in role:
        raise InvalidInput("role", f"is no name of a role: 1 to {NAME_BYTES_MAX} bytes that can be printed")
    return writer.grants(role)


@lru_cache(maxsize=1)  # a process speaks of one deployment
def _at(dsn: str) -> Database:
    return Database(dsn, application=APPLICATION)
