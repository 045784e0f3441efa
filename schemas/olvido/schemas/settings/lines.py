"""Where a key stands in a TOML file: tomllib reads the values and does not say where they stood."""

import re
from collections.abc import Sequence
from itertools import takewhile

_TABLE = re.compile(r"^\s*\[\[?\s*(?P<name>[^\[\]#]+?)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"^\s*(?P<name>[\w\"'.\- ]+?)\s*=")
_WORD = re.compile(r"\"([^\"]*)\"|'([^']*)'|([\w-]+)")


def line_of(text: str, key: Sequence[str]) -> int | None:
    """The line, counted from one, of a key, or else of what is nearest to it; None if nothing is near.

    Near is what shares the first words of its way. It goes by how each line begins, which is right for
    what people write: a key inside of an inline table is found by the line of that table.
    """
    table: tuple[str, ...] = ()
    nearest, depth = None, 0
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _TABLE.match(line):
            table = found = _words(header["name"])
        elif assigned := _KEY.match(line):
            found = (*table, *_words(assigned["name"]))
        else:
            continue
        shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(key, found, strict=False)))
        if shared > depth:
            nearest, depth = number, shared
    return nearest


def with_lines(message: str, name: str, text: str) -> str:
    """A message about keys of a file, with the line of each key where it says no line yet.

    Args:
        message: each of its lines may begin with ``name: key: ``.
        name: the file's name.
        text: what stands in it.
    """

    def numbered(about: re.Match[str]) -> str:
        line = line_of(text, _words(about["key"]))
        return about[0] if line is None else f"{name}:{line}: {about['key']}: "

    return re.sub(rf"^{re.escape(name)}: (?P<key>[^:\s]+): ", numbered, message, flags=re.MULTILINE)


def _words(dotted: str) -> tuple[str, ...]:
    return tuple(double or single or bare for double, single, bare in _WORD.findall(dotted))
