"""A record as a person may see it: decoded, and with everything masked that could name somebody.

What is shown as it stands is what this deployment declares (its regions, purposes, sinks, tables),
handles, instants, numbers and ids in the fields that hold ids. Any other text is masked, for a
producer with a mistake may have put an e-mail address anywhere.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from enum import Enum
from typing import Any
from uuid import UUID

from olvido.broker.contract import Received
from olvido.core.causes import Cause
from olvido.core.dead_letters import REDRIVE_HEADER, Redrive
from olvido.core.errors import InvalidInput, Refused, did_you_mean
from olvido.core.events import ConsentChange, PrivacyRequest, SealedBox
from olvido.core.subject import HANDLE_FORM, Handle
from olvido.core.tasks import Task
from olvido.schemas import codec
from olvido.schemas.registry import Registry
from olvido.schemas.settings.deployment import Deployment
from olvido.schemas.shapes import wire_fields
from olvido.schemas.shipped import schema_of
from olvido.schemas.topics import PROCESSORS_GROUP, RECORDER_GROUP, Topic, sink_group, topics_of

DUMP_BYTES_MAX = 512  # of a record that cannot be decoded
ROW = 16  # bytes of a line of such a dump

_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_ID_KEYS = {"request_id", "dead_letter_id"}  # the topics' keys that are ids
_HEADERS = {
    "ce_specversion": r"1\.0",
    "ce_id": _UUID,
    "ce_type": r"olvido\.[a-z_]{1,30}\.v\d{1,3}",
    "ce_time": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)",
    "content-type": r"application/avro",
    "traceparent": r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}",
}
_OUR_HEADER = re.compile(r"olvido_[a-z_]{1,30}")
_HANDLE_IN_BYTES = re.compile(rf"(?<![A-Za-z0-9_-]){HANDLE_FORM}(?![A-Za-z0-9_-])".encode())


class Legible:
    """What may be shown as it stands, and how the rest is masked."""

    def __init__(self, declared: Deployment) -> None:
        topics = topics_of(declared.catalogue)
        self._words = {
            *declared.regions,
            *declared.purposes,
            *declared.sinks,
            declared.source,
            *(topic.name for topic in topics),
            *(PROCESSORS_GROUP, RECORDER_GROUP, *map(sink_group, declared.sinks)),
            *(cause.meaning for cause in Cause),
            *(field["name"] for topic in topics for field in fields_of(topic)),
        }
        self._tables = {
            table
            for sink in declared.sinks.values()
            for table in (sink.own["tables"] if isinstance(sink.own.get("tables"), Mapping) else ())
        }
        regions = "|".join(map(re.escape, declared.regions))
        self._forms = re.compile(rf"{HANDLE_FORM}|(?:{regions})-\d{{4}}-\d\d(?:-\d\d)?")

    def text(self, text: str) -> str:
        """A text as it stands, or how long it is; one that is nearly a declared name is marked."""
        if not text or text in self._words or self._forms.fullmatch(text) or self._is_count(text):
            return text
        near = get_close_matches(text, self._words, n=1, cutoff=0.75)
        return f"[{len(text)} characters{f', nearly {near[0]}' if near else ''}]"

    def value(self, value: object) -> Any:  # noqa: ANN401 - whatever an event holds
        """A decoded value, masked all the way down; a sealed box shows whose it is and its size."""
        shown: Any
        match value:
            case SealedBox():
                shown = {
                    "region": self.text(value.region),
                    "key_id": self.text(value.key_id),
                    "bytes": len(value.ciphertext),
                }
            case Handle():
                shown = {"kind": value.kind.value, "value": self.text(value.value)}
            case Enum():
                shown = value.value
            case None | bool() | int() | datetime() | UUID():
                shown = value
            case str():
                shown = self.text(value)
            case bytes():
                shown = f"[{len(value)} bytes]"
            case Mapping():
                shown = {self.text(str(key)): self.value(item) for key, item in value.items()}
            case Sequence():
                shown = [self.value(item) for item in value]
            case _:
                assert is_dataclass(value)
                shown = {field.name: self.value(getattr(value, field.name)) for field in fields(value)}
        return shown

    def key(self, key: bytes | None, topic: Topic | None) -> str:
        """A record's key: a handle, an id where the topic is keyed by one, or its size."""
        if key is None:
            return "none"
        text = key.decode("utf-8", "replace")
        if topic is not None and topic.key in _ID_KEYS and re.fullmatch(_UUID, text):
            return text
        parts = [self.text(part) for part in text.split("/")]
        return "/".join(parts) if all(part and part[0] != "[" for part in parts) else f"[{len(key)} bytes]"

    def headers(self, headers: Iterable[tuple[str, bytes | None]]) -> dict[str, str]:
        """A record's headers: those of a known form as they stand, of the others the size."""
        shown: dict[str, str] = {}
        for number, (name, content) in enumerate(headers):
            text = (content or b"").decode("utf-8", "replace")
            known = (
                (name in _HEADERS and re.fullmatch(_HEADERS[name], text, re.ASCII))
                or (name == "ce_source" and text in self._words)
                or (
                    name == REDRIVE_HEADER
                    and (redrive := Redrive.parse(content))
                    and redrive.origin.topic in self._words
                )
            )
            named = name in _HEADERS or name == "ce_source" or _OUR_HEADER.fullmatch(name)
            shown[name if named else f"[header {number}]"] = (
                text if known else f"[{len(content or b'')} bytes]"
            )
        return shown

    def dump(self, data: bytes) -> list[str]:
        """Bytes in hexadecimal, sixteen a line; whatever could be text, in any alphabet, is left out.

        Not only runs of readable letters: a name may be three bytes long, or in UTF-16 stand between
        zeros. So of what is not a handle only bytes that no text is made of are shown.
        """
        shown = bytearray(int(byte < 0x20) for byte in data)
        for found in _HANDLE_IN_BYTES.finditer(data):
            shown[found.start() : found.end()] = b"\1" * (found.end() - found.start())
        if data[:3] == b"\0\0\0":  # framing: the schema's id is below 65,536
            shown[:5] = b"\1" * len(data[:5])
        lines = []
        for start in range(0, min(len(data), DUMP_BYTES_MAX), ROW):
            row = [(byte, shown[start + n]) for n, byte in enumerate(data[start : start + ROW])]
            digits = " ".join(f"{byte:02x}" if clear else "··" for byte, clear in row)
            letters = "".join(chr(byte) if clear and 0x20 <= byte < 0x7F else "·" for byte, clear in row)
            lines.append(f"{start:5d}  {digits:<{3 * ROW}} {letters}")
        if len(data) > DUMP_BYTES_MAX:
            lines.append(f"       and {len(data) - DUMP_BYTES_MAX} bytes more")
        return lines

    def _is_count(self, text: str) -> bool:
        """Whether it is a receipt's name for rows, such as ``customers.deleted``."""
        table, _, verb = text.rpartition(".")
        return table in self._tables and verb.isalpha()


@dataclass(frozen=True, slots=True)
class Seen:
    """A record that was looked at: its value, or why it cannot be decoded."""

    received: Received
    value: Any
    refused: Refused | None


class RecordReader:
    """Decodes the records of any topic of a deployment."""

    def __init__(self, declared: Deployment) -> None:
        self.legible = Legible(declared)
        self._topics = {topic.name: topic for topic in topics_of(declared.catalogue)}
        self._registry = Registry(declared.registry)
        self._codecs: dict[str, codec.Codec[Any]] = {}

    def see(self, received: Received) -> Seen:
        """Decode a record as its readers do.

        Raises:
            ConfigError: its schema is not registered.
            Unavailable: the registry does not answer.
        """
        topic = self._topics.get(received.topic)
        if topic is None:
            return Seen(received, None, Refused(Cause.UNKNOWN_SCHEMA, reason="olvido.toml has no such topic"))
        if topic.name not in self._codecs:
            self._codecs[topic.name] = _codec_of(topic, self._registry)
        try:
            return Seen(received, self._codecs[topic.name].decode(received.value), None)
        except Refused as refused:
            return Seen(received, None, refused)

    def masked(self, seen: Seen) -> dict[str, Any]:
        """A record that was looked at, in clear only where it can name nobody."""
        received = seen.received
        row: dict[str, Any] = {
            "topic": received.topic,
            "partition": received.partition,
            "offset": received.offset,
            "at": at_of(received),
            "key": self.legible.key(received.key, self._topics.get(received.topic)),
            "headers": self.legible.headers(received.headers),
            "bytes": len(received.value or b""),
        }
        if seen.refused is None:
            return {**row, "value": self._value(seen)}
        return {
            **row,
            "cause": seen.refused.cause.value,
            "field": seen.refused.field,
            "reason": seen.refused.reason,
            "hex": self.legible.dump(received.value or b""),
        }

    def _value(self, seen: Seen) -> dict[str, Any]:
        """A record's fields as it has them on the wire: by those names people filter, too."""
        topic = self._topics[seen.received.topic]
        schema: Any = schema_of(topic.schema)
        record = schema["name"].rpartition(".")[2]
        names = [field["name"] for field in fields_of(topic)]
        return {
            name: self.legible.value(item) for name, item in wire_fields(record, names, seen.value).items()
        }


def at_of(received: Received) -> datetime | None:
    """When the broker took a record."""
    return datetime.fromtimestamp(received.timestamp_ms / 1000, UTC) if received.timestamp_ms else None


def boxes_of(value: object) -> Iterator[tuple[SealedBox, PrivacyRequest | ConsentChange | Task]]:
    """The sealed boxes of an event or task, each with what it is bound to."""
    match value:
        case PrivacyRequest() | ConsentChange():
            yield from ((box, value) for box in value.boxes)
        case Task():
            yield value.box, value
        case _:
            return


def fields_of(topic: Topic) -> list[Mapping[str, Any]]:
    """The fields of a topic's records."""
    schema: Any = schema_of(topic.schema)
    return list(schema["fields"])


def topic_named(declared: Deployment, name: str) -> Topic:
    """A topic by its name or by what is short for it, such as ``requests`` or ``tasks.crm``.

    Raises:
        InvalidInput: there is none, with the nearest name.
    """
    short = {
        topic.name.removeprefix("olvido.").removesuffix(".v1"): topic
        for topic in topics_of(declared.catalogue)
    }
    found = short.get(name) or next((topic for topic in short.values() if topic.name == name), None)
    if found is None:
        raise InvalidInput("topic", f"there is no topic {name!r}{did_you_mean(name, short)}")
    return found


_CODECS: dict[str, Callable[[Registry], codec.Codec[Any]]] = {
    "privacy_request": codec.requests_codec,
    "consent_change": codec.consents_codec,
    "verification": codec.verifications_codec,
    "receipt": codec.receipts_codec,
    "later_look": codec.looks_codec,
    "request_status": codec.request_status_codec,
    "consent_state": codec.consent_state_codec,
    "dead_letter": codec.dead_letters_codec,
    "canary": codec.canaries_codec,
}


def _codec_of(topic: Topic, registry: Registry) -> codec.Codec[Any]:
    if topic.schema == "task":
        return codec.tasks_codec(registry, topic.name.removeprefix("olvido.tasks.").removesuffix(".v1"))
    return _CODECS[topic.schema](registry)
