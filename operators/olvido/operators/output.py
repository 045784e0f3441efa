"""What commands print: data on stdout, as a table for people or as JSON; messages on stderr."""

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

console = Console(highlight=False)
messages = Console(stderr=True, highlight=False)


class Output(StrEnum):
    """The forms of a command's data."""

    TABLE = "table"
    JSON = "json"


def show(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], *, output: Output, empty: str) -> None:
    """Print records: the named columns as a table, or everything as JSON.

    Args:
        rows: one mapping for each record.
        columns: what a table shows, in order.
        output: which form.
        empty: what to say, on stderr, when there are none.
    """
    if output is Output.JSON:
        print_json(list(rows))
        return
    if not rows:
        messages.print(empty)
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column.replace("_", " ").strip(), overflow="fold")
    for row in rows:
        table.add_row(*(Text(text_of(row.get(column))) for column in columns))
    console.print(table)


def show_one(row: Mapping[str, Any], *, output: Output) -> None:
    """Print one record, a line for each field."""
    if output is Output.JSON:
        print_json(row)
        return
    width = max(len(name) for name in row)
    for name, value in row.items():
        console.print(Text(f"{name.rstrip('_').ljust(width)}  {text_of(value)}"))


def print_json(value: object) -> None:
    """Print a value as JSON on stdout."""
    sys.stdout.write(json.dumps(value, default=_json, ensure_ascii=False, indent=2) + "\n")


def text_of(value: object) -> str:
    """A value as a person reads it."""
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case datetime():
            return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
        case timedelta():
            return _span(value)
        case dict():
            return ", ".join(f"{key} {item}" for key, item in value.items()) or "-"
        case _:
            return str(value)


def _span(span: timedelta) -> str:
    seconds = int(span.total_seconds())
    if seconds < 120:
        return f"{seconds} s"
    if seconds < 7200:
        return f"{seconds // 60} min"
    return f"{seconds // 3600} h" if seconds < 172_800 else f"{seconds // 86_400} d"


def _json(value: object) -> object:
    match value:
        case datetime():
            return value.astimezone(UTC).isoformat()
        case timedelta():
            return value.total_seconds()
        case UUID() | StrEnum():
            return str(value)
        case bytes():
            return value.hex()
        case _:
            raise TypeError(f"{type(value).__name__} has no form in JSON")
