"""Values as data for machines: records by name, and what JSON cannot write by itself."""

import os
from dataclasses import fields, is_dataclass
from datetime import UTC, date, datetime, timedelta
from enum import Enum
from typing import Any
from uuid import UUID


def record_of(value: Any) -> Any:  # noqa: ANN401 - any data
    """A frozen value as a record, a field by its name; anything else as it is."""
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: getattr(value, one.name) for one in fields(value)}
    return value


def plain(value: object) -> object:  # noqa: PLR0911 - one for each kind
    """What `json` cannot write by itself, in a form that it can."""
    match value:
        case datetime():
            return value.astimezone(UTC).isoformat()
        case date():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case Enum():
            return value.value
        case UUID() | os.PathLike():
            return str(value)
        case bytes() | memoryview():
            return bytes(value).hex()
        case _ if is_dataclass(value):
            return record_of(value)
        case _:
            raise TypeError(f"{type(value).__name__} has no form in JSON")
