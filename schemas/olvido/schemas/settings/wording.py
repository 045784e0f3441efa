"""What is wrong with a key of olvido.toml, in our words: pydantic's speak of inputs, models and instances."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from olvido.core.errors import did_you_mean

SECRET = "Secret"  # noqa: S105 - the class that holds where a secret is
Loc = tuple[int | str, ...]


def wrong_with(error: Mapping[str, Any], model: type[BaseModel]) -> str:
    """What one of pydantic's errors about a model says: what is expected at its key, never the value.

    Args:
        error: of ``ValidationError.errors()``, with its context.
        model: what was read.
    """
    kind, message, place = error["type"], str(error["msg"]), error["loc"]
    if kind == "missing":
        return "is missing; give it"
    if kind == "model_type" and error.get("ctx", {}).get("class_name") == SECRET:
        # A password would stand in the file, so the value itself is not taken.
        return f'is a secret: write {place[-1]} = {{ env = "NAME" }} or {{ file = "path" }}'
    if kind == "extra_forbidden":
        return f"there is no such key{did_you_mean(str(place[-1]), _keys_at(model, place[:-1]))}"
    message = message.removeprefix("Value error, ")
    expected = message.removeprefix("Input should be ")
    return message if expected == message else f"must be {expected}"


def _keys_at(model: type[BaseModel], place: Loc) -> list[str]:
    """The keys a part may have, where the way to it leads through models only."""
    at: Any = model
    for part in place:
        field = next((f for n, f in _fields(at).items() if part in {n, f.alias}), None)
        at = field.annotation if field is not None else None
    return [field.alias or name for name, field in _fields(at).items()]


def _fields(model: object) -> dict[str, Any]:
    fields = getattr(model, "model_fields", {})
    return dict(fields) if isinstance(fields, dict) else {}
