"""Whether olvido.toml can be used, judged by the file alone: no system is asked."""

from olvido.core.errors import ConfigError
from olvido.operators.settings import deployment
from olvido.schemas.settings.deployment import Deployment
from olvido.sinks.plugins import load_sink


def checked() -> Deployment:
    """The deployment, when it and every sink's part of it are right.

    Raises:
        ConfigError: naming file, key and the fix, a line for each sink that is wrong.
    """
    declared = deployment()
    faults = []
    for name in declared.sinks:
        try:
            load_sink(declared, name).close()
        except ConfigError as error:  # the next sink is looked at all the same
            faults.append(str(error))
    if faults:
        raise ConfigError("\n".join(faults))
    return declared
