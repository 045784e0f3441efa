"""The ledger database, for a use case."""

from functools import lru_cache

from olvido.ledger import schema
from olvido.ledger.connection import Database
from olvido.schemas.settings.deployment import Deployment

APPLICATION = "olvido.desk"  # as PostgreSQL lists its sessions


def database(declared: Deployment) -> Database:
    """The ledger of a deployment: one for all use cases of a process, so that a command connects once.

    Raises:
        ConfigError: its address is not given.
    """
    return _at(declared.ledger_dsn)


def migrate(declared: Deployment) -> tuple[str, ...]:
    """Bring the ledger to the form that this version works with; a repeat changes nothing.

    Returns:
        The migrations that were applied.

    Raises:
        ConfigError: its address is not given.
        Unavailable: it does not answer.
    """
    return tuple(schema.migrate(declared.ledger_dsn))


@lru_cache(maxsize=1)  # a process speaks of one deployment
def _at(dsn: str) -> Database:
    return Database(dsn, application=APPLICATION)
