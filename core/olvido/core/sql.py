"""SQL as files and as values: named statements, and PostgreSQL's notation of an array."""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

_NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)


def statements(text: str) -> dict[str, str]:
    """The statements of a file, each after a line ``-- name: …`` and a sentence about it.

    Raises:
        ValueError: a name stands twice.
    """
    _, *parts = _NAME.split(text)
    names = parts[::2]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"more than one statement is named {', '.join(sorted(twice))}")
    return dict(zip(names, map(str.strip, parts[1::2]), strict=True))


def array_of(values: Sequence[object]) -> str:
    """Values as one array in PostgreSQL's own notation; the query casts it to the array's type.

    One parameter instead of one for each element: psycopg2 writes it several times as fast.
    https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO
    """
    types = {*map(type, values)}
    write = _OF_ONE_TYPE.get(next(iter(types))) if len(types) == 1 else None
    if write is not None:
        return write(values)
    if types and all(issubclass(one, str) for one in types):
        return _texts(values)  # type: ignore[arg-type]  # as the line above has found
    return "{" + ",".join(map(_element, values)) + "}"


def _texts(values: Sequence[str]) -> str:
    joined = "\0".join(values)
    if joined.count("\0") >= len(values):  # a text has a zero, which no database of ours holds
        return "{" + ",".join(map(_element, values)) + "}"
    # All are escaped at once, and nothing is where nothing needs it.
    escaped = joined.replace("\\", "\\\\").replace('"', '\\"').replace("\0", '","')
    return '{"' + escaped + '"}'


# A column has values of one type, and there are thousands of them: each type is written without a look at
# each value.
_OF_ONE_TYPE: Mapping[type, Callable[[Sequence[Any]], str]] = {
    str: _texts,
    int: lambda values: "{" + ",".join(map(str, values)) + "}",
    bool: lambda values: "{" + ",".join(map(str, values)) + "}",  # PostgreSQL reads True
    bytes: lambda values: '{"\\\\x' + '","\\\\x'.join([value.hex() for value in values]) + '"}',
    UUID: lambda values: "{" + ",".join([f"{value.int:032x}" for value in values]) + "}",
    datetime: lambda values: '{"' + '","'.join(map(datetime.isoformat, values)) + '"}',
}


def _element(value: object) -> str:
    match value:
        case None:
            return "NULL"
        case int():  # a bool too: PostgreSQL reads True
            return str(value)
        case bytes() | memoryview():
            return '"\\\\x' + bytes(value).hex() + '"'
        case UUID():
            return value.hex
        case datetime():
            return f'"{value.isoformat()}"'
        case _:
            text = str(value)
            if '"' in text or "\\" in text:
                text = text.replace("\\", "\\\\").replace('"', '\\"')
            return f'"{text}"'
