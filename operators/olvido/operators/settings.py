"""Where a command finds its deployment: olvido.toml, the environment, and what `olvido up` wrote."""

import os
from pathlib import Path

from dotenv import dotenv_values

from olvido.schemas.deployment import FILE_NAME, Deployment

STATE = ".olvido"
STACK_ENV = "stack.env"
SHOP_ENV = "shop.env"


def project() -> Path:
    """The folder that holds olvido.toml."""
    configured = os.environ.get("OLVIDO_CONFIG")
    return Path(configured).parent.resolve() if configured else Path.cwd()


def load_stack_env(directory: Path | None = None) -> None:
    """Take the addresses of the embedded parts into our environment; what is set there already wins.

    Not in the processes that the supervisor starts: each of those is given its own addresses and
    must not find the others'.
    """
    if os.environ.get("OLVIDO_ENV_FILES") == "none":
        return
    for file in (STACK_ENV, SHOP_ENV):
        for name, value in dotenv_values((directory or project()) / STATE / file).items():
            if value is not None:
                os.environ.setdefault(name, value)


def deployment() -> Deployment:
    """The deployment that this command speaks of.

    Raises:
        ConfigError: naming file, key and the fix.
    """
    load_stack_env()
    return Deployment.load(project() / Path(os.environ.get("OLVIDO_CONFIG", FILE_NAME)).name)


def private_keys(region: str, directory: Path | None = None) -> Path:
    """Where a region's private keys are, for the processes that the stack starts."""
    return (directory or project()) / STATE / "keys" / "private" / region
