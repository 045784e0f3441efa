"""Where a key stands in a TOML file: tomllib reads the values and does not say where they stood."""

import re
from collections.abc import Sequence

_TABLE = re.compile(r"^\s*\[\[?\s*(?P<name>[^\[\]#]+?)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"^\s*(?P<name>[\w\"'.\- ]+?)\s*=")
_WORD = re.compile(r"\"([^\"]*)\"|'([^']*)'|([\w-]+)")


def line_of(text: str, key: Sequence[str]) -> int | None:
    """The line, counted from one, of a key, of the first thing in it, or of the nearest table above it.

    None if none of them is there.

    It goes by the first words of each line, which is right for what people write: a key inside of an inline
    table is found by the line of that table.
    """
    wanted = tuple(key)
    table: tuple[str, ...] = ()
    nearest, depth = None, 0
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _TABLE.match(line):
            table = found = _words(header["name"])
        elif assigned := _KEY.match(line):
            found = (*table, *_words(assigned["name"]))
        else:
            continue
        if wanted[: len(found)] == found and len(found) > depth:
            nearest, depth = number, len(found)
        elif found[: len(wanted)] == wanted and depth < len(wanted):
            nearest, depth = number, len(wanted)
    return nearest


def _words(dotted: str) -> tuple[str, ...]:
    return tuple(double or single or bare for double, single, bare in _WORD.findall(dotted))
