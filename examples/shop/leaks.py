"""Looks for people in bytes: each identity in all the spellings it could leak in, all in one pass.

A pattern is found by eight of its bytes, read as one number: the numbers at every place of the data are
compared with a set, in C, whatever the number of patterns; only what agrees is compared in full. So it
reads 13 MB a second for a quarter of a million patterns.
"""

import base64
import hashlib
import itertools
import json
import sys
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from shop.people import Person, spaced
from shop.plan import email_key

WORD_BYTES = 8  # patterns are no shorter; any shorter would be found by chance
CHUNK_BYTES = 16 * 1024 * 1024
_HASHES = ("md5", "sha1", "sha256")


@dataclass(frozen=True, slots=True, kw_only=True)
class Leak:
    """Somebody who is named where nobody may be. Whoever prints it names nobody."""

    where: str
    what: str  # such as "email of person 12 as base64"
    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """A search for people in places where nobody may be named."""

    place: str
    files: int
    size: int  # bytes
    leaks: tuple[Leak, ...] = ()
    unread: tuple[str, ...] = ()  # what could not be read, so that nothing can be said of it


class Scanner:
    """Finds any of many patterns in any amount of bytes."""

    def __init__(self, patterns: Mapping[bytes, str]) -> None:
        """
        Args:
            patterns: what to look for, and what it is; those shorter than eight bytes are not taken.
        """
        self._what = {pattern: what for pattern, what in patterns.items() if len(pattern) >= WORD_BYTES}
        self._by_word: dict[int, list[bytes]] = defaultdict(list)
        # Of three words of a pattern the rarest: a domain or a dialling code is in hundreds of them.
        words = {pattern: _words(pattern) for pattern in self._what}
        common = Counter(itertools.chain.from_iterable(words.values()))
        for pattern, three in words.items():
            self._by_word[min(three, key=common.__getitem__)].append(pattern)
        self._known = frozenset(self._by_word)
        self._overlap = max(map(len, self._what), default=0)

    def __len__(self) -> int:
        return len(self._what)

    def scan(self, data: bytes, *, where: str) -> list[Leak]:
        """Every pattern that is somewhere in the data, with its first place."""
        leaks: dict[str, Leak] = {}
        for start in range(0, max(len(data), 1), CHUNK_BYTES):
            chunk = data[start : start + CHUNK_BYTES + self._overlap]
            for pattern, offset in self.found(chunk):
                what = self._what[pattern]
                leaks.setdefault(what, Leak(where=where, what=what, offset=start + offset))
        return list(leaks.values())

    def found(self, chunk: bytes) -> Iterator[tuple[bytes, int]]:
        """Every pattern that is somewhere in the bytes, and its first place."""
        words: set[int] = set()
        for shift in range(WORD_BYTES):
            whole = (len(chunk) - shift) // WORD_BYTES * WORD_BYTES
            if whole > 0:
                words |= self._known.intersection(memoryview(chunk)[shift : shift + whole].cast("Q"))
        for word in words:
            for pattern in self._by_word[word]:
                offset = chunk.find(pattern)
                if offset >= 0:
                    yield pattern, offset


def scan(place: str, parts: Iterable[tuple[str, bytes]], scanner: Scanner) -> Scan:
    """Look for everybody in all parts of one place."""
    files = size = 0
    leaks: list[Leak] = []
    try:
        for where, data in parts:
            files += 1
            size += len(data)
            leaks += scanner.scan(data, where=where)
    except (ValueError, OSError) as error:
        return Scan(place=place, files=files, size=size, leaks=tuple(leaks), unread=(str(error),))
    return Scan(place=place, files=files, size=size, leaks=tuple(leaks))


def log_bytes(folders: Sequence[Path]) -> Iterator[tuple[str, bytes]]:
    """Every log file."""
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                yield path.name, path.read_bytes()


NOTHING: Mapping[int, Container[str]] = {}


def patterns_of(
    people: Iterable[Person], *, thorough: bool = True, but: Mapping[int, Container[str]] = NOTHING
) -> dict[bytes, str]:
    """Everything that would name these people, in all its spellings.

    Args:
        people: whom to look for.
        thorough: encoded and hashed as well; else as text only.
        but: by a person's number, the kinds of identity that are not to be looked for.
    """
    patterns: dict[bytes, str] = {}
    for person in people:
        for kind, value in person.named_by:
            if kind in but.get(person.number, ()):
                continue
            for text in _texts(kind, value):
                for how, pattern in spellings(text) if thorough else _as_text(text):
                    patterns.setdefault(pattern, f"{kind} of person {person.number} as {how}")
    return patterns


def _texts(kind: str, value: str) -> set[str]:
    """How a person would write it: as typed, in small letters, in capitals, with a plain domain."""
    texts = {value, value.lower(), value.upper(), unicodedata.normalize("NFD", value)}
    if kind == "email":
        texts |= {email_key(value), f"{value.rpartition('@')[0]}@{email_key(value).rpartition('@')[2]}"}
    if kind == "phone":
        texts |= {spaced(value), f" {value[1:]}"}  # a plus in a URL becomes a space
    return texts


def _as_text(text: str) -> Iterator[tuple[str, bytes]]:
    yield "UTF-8", text.encode()
    escaped = json.dumps(text)[1:-1]
    yield "JSON", escaped.encode()
    yield "JSON in JSON", escaped.replace("\\", "\\\\").encode()


def spellings(text: str) -> Iterator[tuple[str, bytes]]:
    """How a program would write a text: the name of the spelling, and its bytes."""
    yield from _as_text(text)
    raw = text.encode()
    yield "UTF-16", text.encode("utf-16-le")
    yield "a URL", quote(text, safe="").encode()
    yield "a URL", quote(text, safe="@").encode()
    yield from _encoded(raw, "")
    for name in _HASHES:
        # md5 and sha1 are what such leaks are made of; nobody relies on them here.
        digest = hashlib.new(name, raw, usedforsecurity=False).digest()
        yield f"{name}, raw", digest
        yield from _encoded(digest, f"{name}, ")


def _encoded(raw: bytes, prefix: str) -> Iterator[tuple[str, bytes]]:
    yield f"{prefix}hex", raw.hex().encode()
    yield f"{prefix}hex", raw.hex().upper().encode()
    for alphabet in (base64.b64encode, base64.urlsafe_b64encode):
        for before in range(3):
            # In the middle of longer text the first and last characters hold bits of the neighbours.
            text = alphabet(b"\0" * before + raw)
            begin = (before * 8 + 5) // 6
            end = (before + len(raw)) * 8 // 6
            yield f"{prefix}base64", text[begin:end]


def _words(pattern: bytes) -> tuple[int, int, int]:
    """The first, the middle and the last of a pattern's words; of a short one they overlap."""
    middle = (len(pattern) - WORD_BYTES) // 2
    return (
        int.from_bytes(pattern[:WORD_BYTES], sys.byteorder),
        int.from_bytes(pattern[middle : middle + WORD_BYTES], sys.byteorder),
        int.from_bytes(pattern[-WORD_BYTES:], sys.byteorder),
    )
