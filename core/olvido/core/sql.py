"""SQL as files and as values: named statements, and PostgreSQL's notation of an array."""

import re
from collections.abc import Sequence
from datetime import datetime
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
    if values and all(type(value) is str for value in values):
        joined = '","'.join(values)  # type: ignore[arg-type]  # as the line above has found
        # Most texts need no escape; then joining them is all the work there is.
        if "\\" not in joined and joined.count('"') == 2 * (len(values) - 1):
            return '{"' + joined + '"}'
    return "{" + ",".join(map(_element, values)) + "}"


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
