"""What commands print: data on stdout, a table for people or a form for machines; messages on stderr."""

import csv
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from io import StringIO
from typing import Annotated, Any, TypeVar

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text
from typer import Context, Option

from olvido.core.errors import ConfigError
from olvido.operators.desk.data import plain, record_of
from olvido.operators.desk.text import printable, text_of


class _Console(Console):
    """Prints no sign that could move the cursor or turn a line around, wherever it came from.

    Where a reader has gone, as in `| head`, the caller hears of it: that is no failure.
    """

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else printable(text), style, control)


console = _Console(highlight=False)
messages = _Console(stderr=True, highlight=False)

WIDTH_MAX = 10_000  # columns: where nothing has to be wrapped
GAP = 2  # between two columns: the padding of one, and the line that is not drawn
# How a line of a cell begins that a spreadsheet would carry out, blanks before it or not.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20")  # and the wide ones
_NUMBER = re.compile(r"-|-?[\d,]+(\.\d+)?")


class Output(StrEnum):
    """The forms of a command's data."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    YAML = "yaml"
    CSV = "csv"


Chosen = TypeVar("Chosen", bound=StrEnum)


def chosen(context: Context, given: Chosen) -> Chosen:
    """The form that -o gives; else the one of the configuration, if there is one."""
    source = context.get_parameter_source("output")
    if context.resilient_parsing or (source is not None and source.name != "DEFAULT"):
        return given
    from olvido.operators.settings import deployment

    try:
        return type(given)(deployment().cli.output)
    except ConfigError:  # the command itself will say so, if it needs the configuration
        return given


Form = Annotated[
    Output,
    Option("--output", "-o", help="How data is printed: for people, or for machines.", callback=chosen),
]


def show(rows: Sequence[Any], columns: Sequence[str], *, output: Output, empty: str) -> None:
    """Print records: the named columns as a table, or everything in a form for machines.

    A table that has no room for its words is shown as a line for each field instead.

    Args:
        rows: a mapping or a frozen value for each record.
        columns: what a table shows, in order.
        output: which form.
        empty: what to say, on stderr, when there are none.
    """
    rows = [record_of(row) for row in rows]
    if print_data(rows, output=output):
        return
    if not rows:
        if empty:
            messages.print(empty, markup=False)
        return
    paper = _paper()
    if _fits(rows, columns, paper.width):
        paper.print(table_of(rows, columns))
        return
    for number, row in enumerate(rows):
        if number:
            console.print()
        _print_fields({column: row.get(column) for column in columns})


def show_one(row: Any, *, output: Output) -> None:  # noqa: ANN401 - a mapping or a frozen value
    """Print one record, a line for each field."""
    if not print_data(row, output=output):
        _print_fields(record_of(row))


def print_data(value: Any, *, output: Output) -> bool:  # noqa: ANN401 - any data
    """Print a value in a form for machines, on stdout.

    Returns:
        Whether it was printed; False where people want a table, which is the caller's to draw.
    """
    match output:
        case Output.TABLE:
            return False
        case Output.JSON:
            print_json(value)
        case Output.JSONL:
            sys.stdout.write(jsonl_of(value if isinstance(value, list) else [value]))
        case Output.YAML:
            sys.stdout.write(yaml_of(value))
        case Output.CSV:
            sys.stdout.write(
                _csv([record_of(row) for row in (value if isinstance(value, list) else [value])])
            )
    return True


def jsonl_of(rows: Sequence[Any]) -> str:
    """Records as JSON lines."""
    return "".join(_json(row) + "\n" for row in rows)


def print_json(value: object) -> None:
    """Print a value as JSON on stdout."""
    sys.stdout.write(_json(value, indent=2) + "\n")


def _json(value: object, *, indent: int | None = None) -> str:
    """A value as JSON, with JSON's own escapes for what is no sign: the same value to every reader."""
    text = json.dumps(value, default=plain, ensure_ascii=False, indent=indent)
    return "".join(one if one.isprintable() or one == "\n" else json.dumps(one)[1:-1] for one in text)


def table_of(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], *, room: int | None = None) -> Table:
    """Records as a table; numbers stand to the right.

    Args:
        rows: one mapping for each record.
        columns: what is shown, in order.
        room: how wide it may be; as wide as what it is printed on, if not given. Where lines must be
            broken, no word is, if all words have room.
    """
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    for column, width in zip(columns, _widths(rows, columns, room or _paper().width), strict=True):
        numbers = bool(rows) and all(_is_number(row.get(column)) for row in rows)
        table.add_column(_title(column), overflow="fold", justify="right" if numbers else "left", width=width)
    for row in rows:
        table.add_row(*(Text(_shown(row.get(column))) for column in columns))
    return table


def _widths(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], room: int) -> list[int]:
    """Each column as wide as its words, and of what is left as much as it can use, the shortest first."""
    sizes = [_size(rows, column) for column in columns]
    widths = [least for least, _ in sizes]
    left = room - sum(widths) - GAP * (len(columns) - 1)
    waiting = sorted(range(len(columns)), key=lambda number: sizes[number][1] - sizes[number][0])
    for done, number in enumerate(waiting):
        more = min(sizes[number][1] - widths[number], max(0, left) // (len(waiting) - done))
        widths[number] += more
        left -= more
    return widths


def _fits(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], room: int) -> bool:
    return sum(_size(rows, column)[0] for column in columns) + GAP * (len(columns) - 1) <= room


def _size(rows: Sequence[Mapping[str, Any]], column: str) -> tuple[int, int]:
    """How wide a column is at least, with every word whole, and at most, with every cell on one line."""
    cells = [_title(column), *(_shown(row.get(column)) for row in rows)]
    words = [word for cell in cells for word in cell.split()]
    lines = [line for cell in cells for line in cell.splitlines()]
    return max(map(cell_len, words)), max(map(cell_len, lines))


def _title(column: str) -> str:
    return column.replace("_", " ").strip()


def without_colour() -> None:
    """Print without colours from now on, in our own words and in those of what we start."""
    os.environ["NO_COLOR"] = "1"
    console.no_color = messages.no_color = True


def paper_width() -> int:
    """How many columns a table has room for."""
    return _paper().width


def _paper() -> Console:
    """Where tables go: the terminal, or paper that is wide enough.

    So what is piped into `grep` keeps each record on its line, unless COLUMNS is set.
    """
    if console.is_terminal or "COLUMNS" in os.environ:
        return console
    return _Console(highlight=False, width=WIDTH_MAX)


def _print_fields(row: Mapping[str, Any]) -> None:
    room = max(len(name.rstrip("_")) for name in row)
    for name, value in row.items():
        text = Text(f"{name.rstrip('_').ljust(room)}  {_shown(value)}")
        console.print(text, soft_wrap=True)


def _shown(value: object) -> str:
    """A value as it stands in a table: its width is known before it is printed."""
    return printable(text_of(value))


def _is_number(value: object) -> bool:
    return value is None or bool(_NUMBER.fullmatch(text_of(value)))


def yaml_of(value: object) -> str:
    """A value as YAML, its keys in their own order."""
    from ruamel.yaml import YAML  # only who asks for it waits for it

    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    # Or all that is not ASCII is escaped: every reader finds the same value.
    yaml.allow_unicode = _json(value) == json.dumps(value, default=plain, ensure_ascii=False)
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]  # it says None, and means bool
    text = StringIO()
    yaml.dump(json.loads(json.dumps(value, default=plain)), text)
    return text.getvalue()


def _csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """Every field of every record, quoted as RFC 4180 says."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow([_cell(name) for name in names])
    writer.writerows([_cell(row.get(name)) for name in names] for row in rows)
    return text.getvalue()


def _cell(value: object) -> object:
    """A cell; a line that a spreadsheet would carry out as a formula gets a leading apostrophe."""
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case int() | float():
            return value
        case dict() | list() | tuple():
            return json.dumps(value, default=plain, ensure_ascii=False)
        case str():
            return "".join(map(_inert, value.splitlines(keepends=True)))
        case _:
            return _cell(plain(value))


def _inert(line: str) -> str:
    # What is neither a blank nor a sign, such as a zero-width space, is skipped as blanks are.
    first = next((sign for sign in line if sign.isprintable() and not sign.isspace()), "")
    carried_out = line.startswith(FORMULA) or first in FORMULA
    return printable(f"'{line}" if carried_out else line, keep="\r\n\t")
