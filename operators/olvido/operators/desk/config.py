"""Every setting that is in force, and where it comes from. Secrets are masked."""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from olvido.core.redaction import redacted
from olvido.operators.settings import deployment, deployment_file, is_supervised, stack_env, user_file
from olvido.schemas.settings.deployment import read_toml, variable_of
from olvido.schemas.settings.lines import line_of

MASK = "***"
_SECRET = re.compile(r"(password|passphrase|secret|token|credential|\.pem|api[-_.]?key)s?$", re.IGNORECASE)

Key = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One setting that is in force."""

    key: str
    value: Any  # masked where it is a secret
    origin: str  # file and line, variable, or ``default``


def settings() -> tuple[Setting, ...]:
    """Each setting.

    Raises:
        ConfigError: olvido.toml is missing or wrong.
    """
    of_the_stack = stack_env()
    declared = deployment()
    files = [deployment_file()] + ([user_file()] if user_file().exists() and not is_supervised() else [])
    read = [(path, *read_toml(path)) for path in files]

    def origin(key: Key) -> str:
        variable = variable_of(key)
        if variable is not None:
            value, file = of_the_stack.get(variable, (None, None))
            from_stack = file is not None and value == os.environ[variable]
            return f"{_shown(file)} ({variable})" if file and from_stack else f"environment ({variable})"
        for path, text, content in read:
            if _holds(content, key):
                return f"{_shown(path)}:{line_of(text, key)}"
        return "default"

    return tuple(
        Setting(key=".".join(key), value=masked(key, value), origin=origin(key))
        for key, value in leaves(declared.model_dump(mode="json"))
    )


def leaves(values: Mapping[str, Any], above: Key = ()) -> Iterator[tuple[Key, Any]]:
    """Each value that is no table, by the way that leads to it. A table that is empty counts as one."""
    for name, value in values.items():
        key = (*above, str(name))
        if isinstance(value, Mapping) and value:
            yield from leaves(value, key)
        else:
            yield key, value or None if isinstance(value, Mapping) else value


def masked(key: Key, value: Any) -> Any:  # noqa: ANN401 - any setting
    """A value without what must not be read: a secret by its key's name, a password inside of an address."""
    if value is None or key[-1] in {"env", "file"}:  # where a secret is, which is none itself
        return value
    if _SECRET.search(key[-1]):
        return MASK
    return redacted(value) if isinstance(value, str) else value


def _holds(content: Mapping[str, Any], key: Key) -> bool:
    here: Any = content
    for name in key:
        if not isinstance(here, Mapping) or name not in here:
            return False
        here = here[name]
    return True


def _shown(path: Path) -> str:
    """A path as a person would type it."""
    for base, name in ((Path.cwd(), ""), (Path.home(), "~/")):
        if path.is_relative_to(base):
            return f"{name}{path.relative_to(base)}"
    return str(path)
