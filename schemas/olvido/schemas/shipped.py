"""The schemas that ship with Olvido: the one that is written to each topic, and the earlier ones it may hold.

Nothing is decoded with any other schema. A login that may register schemas could give a record one that
nests without end, or an array of a billion items of no bytes, and each process that reads it would die of it.
"""

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Self

import fastavro
from fastavro.schema import fingerprint, to_parsing_canonical_form
from fastavro.types import Schema as AvroSchema

FINGERPRINT_BYTES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One version of a schema."""

    text: str  # to the byte as it is registered: a registry finds it by its text
    schema: AvroSchema
    fingerprint: bytes  # CRC-64-AVRO over the parsing canonical form, as in Avro's single-object encoding

    @classmethod
    def of(cls, text: str) -> Self:
        """Of its text."""
        canonical = to_parsing_canonical_form(json.loads(text))
        return cls(
            text=text,
            schema=fastavro.parse_schema(json.loads(text)),
            fingerprint=bytes.fromhex(fingerprint(canonical, "CRC-64-AVRO")),
        )


@cache
def schema_text(name: str) -> str:
    """The text of the schema that is written today, by the stem of its .avsc file."""
    return (_avsc() / f"{name}.avsc").read_text(encoding="utf-8")


@cache
def schema_of(name: str) -> AvroSchema:
    """The schema that is written today, parsed."""
    return versions_of(name)[0].schema


@cache
def versions_of(name: str) -> tuple[Version, ...]:
    """All versions of a schema that ship, the one that is written today first, then the latest of the others.

    A schema that is changed leaves its text as ``avsc/earlier/NAME.N.avsc``, N counted from one.
    """
    numbers = {
        int(file.name.split(".")[1]): file
        for file in (_avsc() / "earlier").iterdir()
        if file.name.split(".")[0] == name
    }
    earlier = [numbers[number].read_text(encoding="utf-8") for number in sorted(numbers, reverse=True)]
    return tuple(Version.of(text) for text in (schema_text(name), *earlier))


def _avsc() -> Traversable:
    return files("olvido.schemas") / "avsc"
