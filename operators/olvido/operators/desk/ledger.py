"""The ledger database, for a use case."""

from functools import lru_cache

from olvido.ledger.connection import Database
from olvido.schemas.settings.deployment import Deployment

APPLICATION = "olvido.desk"  # as PostgreSQL lists its sessions


def database(declared: Deployment) -> Database:
    """The ledger of a deployment: one for all use cases of a process, so that a command connects once.

    Raises:
        ConfigError: its address is not given.
    """
    return _at(declared.ledger_dsn)


@lru_cache(maxsize=1)  # a process speaks of one deployment
def _at(dsn: str) -> Database:
    return Database(dsn, application=APPLICATION)
