"""Where a command finds its deployment: environment, what `olvido up` wrote, olvido.toml, the user's file."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from olvido.core.errors import OlvidoError

if TYPE_CHECKING:  # it takes a fifth of a second, which `olvido --help` need not wait for
    from olvido.schemas.settings.deployment import Deployment

STATE = ".olvido"
STACK_ENV = "stack.env"
SHOP_ENV = "shop.env"
CANARY_PEOPLE = "canary-people"  # the name of the process that plants and looks for them


def project() -> Path:
    """The folder that holds olvido.toml."""
    configured = os.environ.get("OLVIDO_CONFIG")
    return Path(configured).parent.resolve() if configured else Path.cwd()


def user_file() -> Path:
    """What a person has set for every deployment; it need not be there.

    https://specifications.freedesktop.org/basedir-spec
    """
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "olvido" / "config.toml"


def is_supervised() -> bool:
    """Whether the supervisor started us.

    Each of its processes is given its own addresses and must not find the others'.
    """
    return os.environ.get("OLVIDO_ENV_FILES") == "none"


def stack_env(directory: Path | None = None) -> dict[str, tuple[str, Path]]:
    """The addresses of the embedded parts, each with the file that says it; none when supervised."""
    found: dict[str, tuple[str, Path]] = {}
    if not is_supervised():
        for name in (SHOP_ENV, STACK_ENV):
            file = (directory or project()) / STATE / name
            found |= {variable: (value, file) for variable, value in read_env(file).items()}
    return found


def read_env(file: Path) -> dict[str, str]:
    """What a dotenv file of ours says, as it was written; nothing when there is none."""
    from dotenv import dotenv_values

    # Without `interpolate` a folder named `${HOME}` would become another one.
    values = dotenv_values(file, interpolate=False, encoding="utf-8")
    return {name: value for name, value in values.items() if value is not None}


def load_stack_env(directory: Path | None = None) -> None:
    """Take the addresses of the embedded parts into our environment; what is set there already wins."""
    for name, (value, _) in stack_env(directory).items():
        os.environ.setdefault(name, value)


def deployment_file() -> Path:
    """The file of the deployment that this command speaks of."""
    from olvido.schemas.settings.deployment import FILE_NAME

    return project() / Path(os.environ.get("OLVIDO_CONFIG", FILE_NAME)).name


def with_lines(error: OlvidoError) -> str:
    """What a fault says of keys of the deployment's file, with the lines that they stand in."""
    from olvido.schemas.settings import lines
    from olvido.schemas.settings.deployment import FILE_NAME

    try:
        text = deployment_file().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return str(error)
    return lines.with_lines(str(error), FILE_NAME, text)


def deployment() -> "Deployment":
    """The deployment that this command speaks of.

    Raises:
        ConfigError: naming file, key and the fix.
    """
    from olvido.schemas.settings.deployment import Deployment

    load_stack_env()
    return Deployment.load(deployment_file(), user=None if is_supervised() else user_file())


def process_of(group: str) -> str:
    """The name of the process that reads for a consumer group: `olvido.sink.crm` is `sink-crm`."""
    return group.removeprefix("olvido.").replace(".", "-", 1)


def private_keys(region: str, directory: Path | None = None) -> Path:
    """Where a region's private keys are, for the processes that the stack starts."""
    return (directory or project()) / STATE / "keys" / "private" / region


def own_signing_file(declared: "Deployment", principal: str) -> Path:
    """The key that a command signs with as a principal: the stack's, or else the one that it is given."""
    own = signing_file(principal)
    return own if own.exists() else declared.keys.signing_file


def signing_files(directory: Path) -> list[Path]:
    """The keys of all principals that are there for the processes of the stack."""
    return sorted((directory / STATE / "keys" / "signing").glob("*/signing.key"))


def signing_file(principal: str, directory: Path | None = None) -> Path:
    """The key that a principal signs with, for the processes that the stack starts."""
    return (directory or project()) / STATE / "keys" / "signing" / principal / "signing.key"
