"""The ledger database, for a use case."""

from olvido.ledger.connection import Database
from olvido.schemas.settings.deployment import Deployment

APPLICATION = "olvido.desk"  # as PostgreSQL lists its sessions


def database(declared: Deployment) -> Database:
    """The ledger of a deployment.

    Raises:
        ConfigError: its address is not given.
    """
    return Database(declared.ledger_dsn, application=APPLICATION)
