"""Our own schemas, written out as Python functions: bytes to values and back, with nothing in between.

Each function is straight lines for one schema, made once from the text of its ``.avsc``, as a dataclass's
``__init__`` is made from its fields. A reader takes only the one encoding that the writer gives; of
anything else it says nothing but that, and :mod:`olvido.schemas.codec` has fastavro look what it is. So
what is refused, and why, does not hang on this file.

Never given a foreign schema: what it does not know, it raises.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID

from olvido.core.instants import EPOCH, microseconds
from olvido.schemas.shapes import ENUMS, RECORDS, Shape

_UINT_MAX = 2**32 - 1  # of 32 bits, before sign and number are taken apart
_UUID = re.compile(rb"\x48[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


class NotCanonical(Exception):
    """These are not the bytes that the writer gives for anything."""


class NewerSymbol(Exception):
    """An enum has a symbol that no value of this version has."""


def reader_of(
    schema: Mapping[str, Any], records: Mapping[str, Shape] = RECORDS
) -> Callable[[bytes, int], Any]:
    """A function that reads a value of this schema from some place of its bytes to their end.

    It raises ``NotCanonical``, ``IndexError`` or another ``ValueError`` or ``OverflowError`` where the bytes
    are not what :func:`writer_of` writes for the value it would give: see ``UNREADABLE``. It raises
    ``NewerSymbol``, and ``Refused`` where a record's fields do not fit together.
    """
    text = _Text("read(b, i)", schema, records)
    whole = text.read(schema)
    text.line("if i != len(b): raise NotCanonical")
    text.line(f"return {whole}")
    return text.made()


UNREADABLE = (NotCanonical, IndexError, ValueError, OverflowError)  # what a reader raises


def writer_of(schema: Mapping[str, Any], records: Mapping[str, Shape] = RECORDS) -> Callable[[Any], bytes]:
    """A function that writes a value of this schema."""
    text = _Text("write(value)", schema, records)
    text.line("o = bytearray()")
    text.write(schema, "value")
    text.line("return bytes(o)")
    return text.made()


def zigzag(number: int) -> bytes:
    """A number as Avro writes it."""
    if not -(2**63) <= number < 2**63:
        raise OverflowError("it does not fit into 64 bits")
    encoded, out = number * 2 if number >= 0 else -number * 2 - 1, bytearray()
    while encoded > 0x7F:
        out.append(encoded & 0x7F | 0x80)
        encoded >>= 7
    return bytes([*out, encoded])


def avro_bytes(data: bytes) -> bytes:
    """Bytes as Avro writes them."""
    return zigzag(len(data)) + data


def _longer(data: bytes, at: int, low: int) -> tuple[int, int]:
    """The rest of a number whose first byte says that it goes on, and where it ends."""
    number, shift = low & 0x7F, 7
    while shift < 64:
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            if not byte or number >= 2**64:
                break  # a shorter one says the same, or no 64 bits hold it
            return number, at
        shift += 7
    raise NotCanonical


# By its first byte, a length that has no other; -1 for one that goes on, and for one that is negative.
_LENGTHS = tuple(-1 if byte > 0x7F or byte & 1 else byte >> 1 for byte in range(256))


def _long_length(data: bytes, at: int) -> tuple[int, int]:
    """A length whose first byte, the one before, does not say all of it, and where it ends."""
    low, high = data[at - 1], data[at]
    if low > 0x7F and 0 < high < 0x80:  # of two bytes: sealed boxes, headers, signatures
        number, at = low & 0x7F | high << 7, at + 1
    elif low > 0x7F:
        number, at = _longer(data, at, low)
    else:
        number = low
    if number & 1:
        raise NotCanonical  # it is negative
    return number >> 1, at


@lru_cache(maxsize=256)
def _instant(instant: datetime) -> bytes:
    """An instant as Avro writes it. Kept, since all receipts of a batch hold the same one twice."""
    return zigzag(microseconds(instant))


_SMALL = tuple(zigzag(number) for number in range(64))  # most lengths and counts
_GIVEN = {
    "NotCanonical": NotCanonical, "NewerSymbol": NewerSymbol, "UUID": UUID, "EPOCH": EPOCH,
    "timedelta": timedelta, "small": _SMALL, "lengths": _LENGTHS, "long_length": _long_length,
    "longer": _longer, "instant": _instant, "zigzag": zigzag, "uuid_at": _UUID.match,
    "zero": "\0",  # PostgreSQL holds no text with one: the codec refuses it
}  # fmt: skip


class _Text:
    """One function while it is written: its lines, and the values they name."""

    def __init__(self, head: str, schema: Mapping[str, Any], records: Mapping[str, Shape]) -> None:
        self._records = records
        self._lines = [f"def {head}:"]
        self._name = head.partition("(")[0]
        self._depth = 1
        self._values: dict[str, Any] = dict(_GIVEN)
        self._named: dict[str, Mapping[str, Any]] = {}  # types that a schema names and uses again
        self._names = 0
        self._title = schema["name"]

    def made(self) -> Callable[..., Any]:
        """The function."""
        code = compile("\n".join(self._lines), f"<{self._name} {self._title}>", "exec")
        exec(code, self._values)  # noqa: S102 - of our own text alone: a schema's words go in by repr
        made: Callable[..., Any] = self._values[self._name]
        return made

    def line(self, text: str) -> None:
        """One line, as deep as we are."""
        self._lines.append("    " * self._depth + text)

    # --- reading: the bytes are b, and i is where we are ---------------------------------------------

    def read(self, schema: Any) -> str:  # noqa: ANN401 - JSON
        """Lines that read a value; gives the expression that it then is."""
        match self._kind(schema):
            case "union":
                return self._read_union(schema)
            case "record":
                found = self._of(schema)
                read = [(field["name"], self.read(field["type"])) for field in found["fields"]]
                make = self._new(self._records[found["name"]].make)
                return f"{make}(" + ", ".join(f"{name}={value}" for name, value in read) + ")"
            case "array":
                value = self._new()
                self.line(f"{value} = []")
                with self._read_block():
                    self.line(f"{value}.append({self.read(schema['items'])})")
                return f"tuple({value})"
            case "map":
                return self._read_map(schema)
            case kind:
                return self._read_plain(kind, schema)

    def _read_plain(self, kind: str, schema: Any) -> str:  # noqa: ANN401 - JSON
        value = self._new()
        match kind:
            case "boolean":
                self.line(f"{value} = (False, True)[b[i]]; i += 1")
            case "int" | "long":
                self._read_number(value)
                if kind == "int":
                    self.line(f"if {value} > {_UINT_MAX}: raise NotCanonical")
                self.line(f"{value} = {value} >> 1 ^ -({value} & 1)")
            case "timestamp-micros":
                self._read_number(value)
                self.line(f"{value} = EPOCH + timedelta(0, 0, {value} >> 1 ^ -({value} & 1))")
            case "enum":
                found = self._of(schema)
                members = [ENUMS[found["name"]].get(symbol) for symbol in found["symbols"]]
                self._read_length(value)
                self.line(f"{value} = {self._new(tuple(members))}[{value}]")
                if None in members:
                    self.line(f"if {value} is None: raise NewerSymbol")
            case "uuid":
                self.line(f"{value} = uuid_at(b, i); i += 37")
                self.line(f"if {value} is None: raise NotCanonical")
                self.line(f"{value} = UUID(int=int(b[i - 36:i].replace(b'-', b''), 16))")
            case "string" | "bytes":
                self._read_length(value)
                decoded = ".decode()" if kind == "string" else ""
                self.line(f"i += {value}; {value} = b[i - {value}:i]{decoded}")
                if kind == "string":
                    self.line(f"if zero in {value}: raise NotCanonical")
            case _:
                raise AssertionError(f"{self._title}: {kind} is in none of our schemas")
        return value

    def _read_union(self, schema: Sequence[Any]) -> str:
        value = self._new()
        self.line("i += 1")
        with self._block("if b[i - 1] == 2:"):
            self.line(f"{value} = {self.read(schema[1])}")
        self.line(f"elif b[i - 1] == 0: {value} = None")
        self.line("else: raise NotCanonical")
        return value

    def _read_map(self, schema: Mapping[str, Any]) -> str:
        value, count = self._new(), self._new()
        self.line(f"{value} = {{}}; {count} = 0")
        with self._read_block():
            key = self._read_plain("string", "string")
            self.line(f"{value}[{key}] = {self.read(schema['values'])}; {count} += 1")
        self.line(f"if len({value}) != {count}: raise NotCanonical")  # a key was there twice
        return value

    @contextmanager
    def _read_block(self) -> Iterator[None]:
        """Items one after the other, in the one block that a writer makes of them."""
        left = self._new()
        self._read_length(left)
        with self._block(f"if {left}:"):
            with self._block(f"for {left} in range({left}):"):
                yield
            self.line("i += 1")
            self.line("if b[i - 1]: raise NotCanonical")

    def _read_length(self, into: str) -> None:
        self.line(f"{into} = lengths[b[i]]; i += 1")
        self.line(f"if {into} < 0: {into}, i = long_length(b, i)")

    def _read_number(self, into: str) -> None:
        self.line(f"{into} = b[i]; i += 1")
        self.line(f"if {into} > 127: {into}, i = longer(b, i, {into})")

    # --- writing: onto o -----------------------------------------------------------------------------

    def write(self, schema: Any, value: str) -> None:  # noqa: ANN401 - JSON
        """Lines that write what an expression gives."""
        match self._kind(schema):
            case "union":
                held = self._held(value)
                self.line(f"if {held} is None: o.append(0)")
                with self._block("else:"):
                    self.line("o.append(2)")
                    self.write(schema[1], held)
            case "record":
                held, found = self._held(value), self._of(schema)
                views = self._records[found["name"]].views
                for name, of_type in ((field["name"], field["type"]) for field in found["fields"]):
                    view = f"{self._new(views[name])}({held})" if name in views else f"{held}.{name}"
                    self.write(of_type, view)
            case "array":
                with (
                    self._write_block(value) as items,
                    self._block(f"for {(item := self._new())} in {items}:"),
                ):
                    self.write(schema["items"], item)
            case "map":
                key, item = self._new(), self._new()
                with (
                    self._write_block(value) as items,
                    self._block(f"for {key}, {item} in {items}.items():"),
                ):
                    self._write_plain("string", "string", key)
                    self.write(schema["values"], item)
            case kind:
                self._write_plain(kind, schema, value)

    def _write_plain(self, kind: str, schema: Any, value: str) -> None:  # noqa: ANN401 - JSON
        match kind:
            case "boolean":
                self.line(f"o.append(1 if {value} else 0)")
            case "int" | "long":
                self._write_number(self._held(value))
            case "timestamp-micros":
                self.line(f"o += instant({value})")
            case "enum":
                found = self._of(schema)
                members = ENUMS[found["name"]]
                written = {
                    members[symbol]: zigzag(number)
                    for number, symbol in enumerate(found["symbols"])
                    if symbol in members
                }
                self.line(f"o += {self._new(written)}[{value}]")
            case "uuid":
                self.line(f"o += b'\\x48'; o += str({value}).encode()")
            case "string" | "bytes":
                held = self._held(f"{value}.encode()" if kind == "string" else value)
                self._write_number(f"len({held})")
                self.line(f"o += {held}")
            case _:
                raise AssertionError(f"{self._title}: {kind} is in none of our schemas")

    @contextmanager
    def _write_block(self, value: str) -> Iterator[str]:
        held = self._held(value)
        with self._block(f"if {held}:"):
            self._write_number(f"len({held})")
            yield held
        self.line("o.append(0)")

    def _write_number(self, value: str) -> None:
        number = self._held(value)
        self.line(f"o += small[{number}] if 0 <= {number} < 64 else zigzag({number})")

    # --- both ----------------------------------------------------------------------------------------

    def _kind(self, schema: Any) -> str:  # noqa: ANN401 - JSON
        if isinstance(schema, list):
            assert len(schema) == 2, f"{self._title}: a union is of null and one other"
            assert schema[0] == "null", f"{self._title}: a union begins with null"
            return "union"
        found = self._of(schema)
        return str(found.get("logicalType", found["type"]))

    def _of(self, schema: Any) -> Mapping[str, Any]:  # noqa: ANN401 - JSON
        """The type that is given, or that a name stands for."""
        if isinstance(schema, str):
            return self._named.get(schema, {"type": schema})
        if "name" in schema:
            self._named[schema["name"]] = schema
        found: Mapping[str, Any] = schema
        return found

    def _new(self, value: object = None) -> str:
        """A name that is not taken yet, of a value that the function is given."""
        self._names += 1
        name = f"v{self._names}"
        if value is not None:
            self._values[name] = value
        return name

    def _held(self, value: str) -> str:
        if value.isidentifier():
            return value
        name = self._new()
        self.line(f"{name} = {value}")
        return name

    @contextmanager
    def _block(self, head: str) -> Iterator[None]:
        self.line(head)
        self._depth += 1
        yield
        self._depth -= 1
