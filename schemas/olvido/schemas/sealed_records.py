"""The bytes that a seal is over: a record as Avro writes it, from the end of its first field on.

That field is the seal itself, so what follows is sealed in whichever version of the schema it was written.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from olvido.core.causes import Cause
from olvido.core.errors import Refused
from olvido.core.events import ConsentChange, PrivacyRequest, Seal, Verification
from olvido.core.looks import LaterLook
from olvido.core.receipts import Receipt
from olvido.core.sessions import SignedSession
from olvido.core.tasks import Task
from olvido.schemas.shapes import RECORDS, Shape
from olvido.schemas.shipped import schema_text
from olvido.schemas.written import UNREADABLE, NewerSymbol, avro_bytes, reader_of, writer_of

Sealed = PrivacyRequest | ConsentChange | Verification | Receipt | LaterLook

KINDS: Mapping[type[Sealed], str] = {
    PrivacyRequest: "privacy_request",
    ConsentChange: "consent_change",
    Verification: "verification",
    Receipt: "receipt",
    LaterLook: "later_look",
}
_FRAME = 5  # of Confluent
BODY_AT = _FRAME + 1  # of a record without a seal: one byte says that there is none


def _seal_field() -> dict[str, Any]:
    schema = json.loads(schema_text("receipt"))
    assert schema["fields"][0]["name"] == "seal"
    return {**schema, "fields": schema["fields"][:1]}


_read_session = reader_of(json.loads(schema_text("session")))
session_bytes = writer_of(json.loads(schema_text("session")))  # what a session's principal signs
_write_seal = writer_of(_seal_field())
_read_seal = reader_of(_seal_field(), {**RECORDS, "Receipt": Shape(lambda *, seal: seal)})


@lru_cache(maxsize=1024)  # a session has many records
def session_in(header: bytes) -> SignedSession:
    """The session that a header is of.

    Raises:
        Refused: ``BAD_SIGNATURE``: these are not the bytes of one.
    """
    try:
        session: SignedSession = _read_session(header, 0)
    except (*UNREADABLE, NewerSymbol):
        raise Refused(
            Cause.BAD_SIGNATURE, field="seal.header", reason="it is not that of a session"
        ) from None
    return session


def seal_bytes(value: Sealed | Task) -> bytes:
    """The first field of whatever has a seal, or may have one."""
    return _write_seal(value) if value.seal is None else _first_field(value.seal)


def seal_in(data: bytes) -> Seal | None:
    """The seal that ``seal_bytes`` wrote."""
    seal: Seal | None = _read_seal(data, 0)
    return seal


def body_of(value: Sealed) -> bytes:
    """What the seal of a value will be over. It has none yet."""
    assert value.seal is None
    return _writer(KINDS[type(value)])(value)[1:]  # of the seal there is one byte, which says so


def with_seal(data: bytes, seal: Seal) -> bytes:
    """A record that has no seal, with one."""
    return b"".join((data[:_FRAME], _first_field(seal), data[BODY_AT:]))


def body_in(data: bytes, seal: Seal) -> bytes:
    """What the seal of a record is over, in its bytes as they were read.

    Raises:
        Refused: ``NON_CANONICAL``: another version of the schema has its seal elsewhere.
    """
    first = _first_field(seal)
    if data[_FRAME : _FRAME + len(first)] != first:
        raise Refused(Cause.NON_CANONICAL, field="seal", reason="the seal is not the first field")
    return data[_FRAME + len(first) :]


def _first_field(seal: Seal) -> bytes:
    return b"".join((_of_session(seal.header, seal.signature), avro_bytes(seal.nonce), avro_bytes(seal.tag)))


@lru_cache(maxsize=1024)  # a session has many records
def _of_session(header: bytes, signature: bytes) -> bytes:
    """What the seals of a session have in common: all but nonce and tag, which come last."""
    return _write_seal(_Holder(Seal(header=header, signature=signature, nonce=b"", tag=b"")))[:-2]


@cache
def _writer(kind: str) -> Callable[[Any], bytes]:
    return writer_of(json.loads(schema_text(kind)))


@dataclass(frozen=True, slots=True)
class _Holder:
    seal: Seal
