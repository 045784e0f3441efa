"""A sink's own part of olvido.toml, read strictly: what passes is a frozen model, or the key at fault."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from olvido.core.errors import ConfigError, did_you_mean
from olvido.schemas.settings.deployment import FILE_NAME, Secret
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
        wrong = fault(where, _fix(first, model))
    # Out of the block: pydantic's error holds the values, and would be this one's context.
    raise wrong


def _fix(error: Mapping[str, Any], model: type[BaseModel]) -> str:
    kind, message, place = error["type"], str(error["msg"]), error["loc"]
    if kind == "missing":
        return "is missing; give it"
    if kind == "model_type" and error.get("ctx", {}).get("class_name") == Secret.__name__:
        # A password would stand in the file, so the value itself is not taken.
        return f'is a secret: write {place[-1]} = {{ env = "NAME" }} or {{ file = "path" }}'
    if kind == "extra_forbidden":
        return f"there is no such key{did_you_mean(str(place[-1]), _keys_at(model, place[:-1]))}"
    return message.removeprefix("Value error, ")


def _keys_at(model: type[BaseModel], place: tuple[int | str, ...]) -> list[str]:
    """The keys a part may have, where the way to it leads through models only."""
    at: Any = model
    for part in place:
        field = next((f for n, f in _fields(at).items() if part in {n, f.alias}), None)
        at = field.annotation if field is not None else None
    return [field.alias or name for name, field in _fields(at).items()]


def _fields(model: object) -> dict[str, Any]:
    fields = getattr(model, "model_fields", {})
    return dict(fields) if isinstance(fields, dict) else {}
