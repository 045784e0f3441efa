"""A sink's own part of olvido.toml, read strictly: what passes is a frozen model, or the key at fault."""

from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from olvido.core.errors import ConfigError
from olvido.schemas.settings.deployment import FILE_NAME
from olvido.schemas.settings.wording import wrong_with
from olvido.sinks.contract import SinkSettings

M = TypeVar("M", bound=BaseModel)


class SectionPart(BaseModel):
    """The base of everything a section holds: frozen, and no key that is not known."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


def fault(place: str, what: str) -> ConfigError:
    """The error about one key: file, key and the fix."""
    return ConfigError(f"{FILE_NAME}: {place}: {what}")


def read_section(model: type[M], settings: SinkSettings) -> M:
    """Read what is a sink's own, by the model of its kind.

    Raises:
        ConfigError: naming the key under ``sinks.<name>`` and the fix; it never holds a value.
    """
    return read_part(model, dict(settings.own), place=f"sinks.{settings.name}")


def read_part(model: type[M], content: object, *, place: str) -> M:
    """Read any part of a section by its model.

    Raises:
        ConfigError: naming the key under ``place`` and the fix; it never holds a value.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join([place, *(str(part) for part in first["loc"])])
        wrong = fault(where, wrong_with(first, model))
    # Out of the block: pydantic's error holds the values, and would be this one's context.
    raise wrong
