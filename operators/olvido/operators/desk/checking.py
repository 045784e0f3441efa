"""Whether olvido.toml can be used, told from the file alone: no system is asked."""

from olvido.operators.settings import deployment
from olvido.schemas.settings.deployment import Deployment
from olvido.sinks.plugins import load_sink


def checked() -> Deployment:
    """The deployment, when it and every sink's part of it are right.

    Raises:
        ConfigError: naming file, key and the fix.
    """
    declared = deployment()
    for name in declared.sinks:
        load_sink(declared, name).close()
    return declared
