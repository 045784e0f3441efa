"""Bytes to values and back: Confluent framing around Avro, read strictly.

Strictly: only ids of schemas that ship with this version, under the topic's own subject, at most
64 KiB, all bytes read, and encoding what was read gives the same bytes again. So no
negative index, overlong number, int beyond 32 bits or trailing byte passes, and no other schema,
by whichever login it was registered, is ever decoded (fastavro dies of some).

A function made for our own schema reads what that schema wrote, and takes just those bytes. fastavro reads
what that function does not take, to find out what is wrong with it, and what an earlier version wrote.
"""

import io
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Generic, TypeVar
from uuid import UUID

from fastavro import schemaless_reader, schemaless_writer
from fastavro.types import Schema
from fastavro.validation import validate

from olvido.core.causes import Cause
from olvido.core.consents import ConsentState
from olvido.core.dead_letters import DeadLetter
from olvido.core.errors import Refused
from olvido.core.events import ConsentChange, PrivacyRequest, Verification
from olvido.core.instants import EPOCH, microseconds
from olvido.core.looks import LaterLook
from olvido.core.receipts import Receipt
from olvido.core.rights.names import Action
from olvido.core.status import RequestStatus
from olvido.core.tasks import Task
from olvido.schemas.registry import Registry
from olvido.schemas.sealed_records import seal_bytes
from olvido.schemas.shipped import FINGERPRINT_BYTES, Version, schema_text, versions_of
from olvido.schemas.topics import (
    CANARIES,
    CONSENT_STATE,
    CONSENTS,
    DEAD_LETTERS,
    LOOKS,
    RECEIPTS,
    REQUEST_STATUS,
    REQUESTS,
    VERIFICATIONS,
    Topic,
    tasks_topic,
)
from olvido.schemas.written import UNREADABLE, NewerSymbol, avro_bytes, reader_of, writer_of, zigzag

VALUE_BYTES_MAX = 64 * 1024  # a quarter of it is already thirty identities in eight regions
SINGLE_OBJECT = b"\xc3\x01"  # how Avro's single-object encoding begins; the fingerprint and the body follow
APPENDED = b"\x02"  # how an event is kept with the broker's time: eight bytes of microseconds, then the event
APPENDED_BYTES = len(APPENDED) + 8
ASK_AGAIN_AFTER_S = 30.0  # so often at most an id that is new here leads to questions, however many there are

T = TypeVar("T")


class Codec(Generic[T]):
    """Encodes and decodes the values of one topic."""

    def __init__(self, registry: Registry, topic: Topic) -> None:
        """
        Raises:
            ConfigError: our schema is not registered under the topic's subject.
            Unavailable: the registry does not answer.
        """
        self.topic = topic
        self._registry = registry
        self._own, *_ = versions = versions_of(topic.schema)
        self._by_fingerprint = {version.fingerprint: version for version in versions}
        self._read_own, self._write_own = _made_for(topic.schema)
        self._id = registry.id_of(topic.subject, topic.schema)
        self._frame = b"\0" + self._id.to_bytes(4, "big")
        self._by_id: dict[int, Version] = {}  # asked for when an id comes that is not our own schema's
        self._asked_at: float | None = None

    def encode(self, value: T) -> bytes:
        """A value, in Confluent framing."""
        return self._frame + self._write_own(value)

    def decode(self, data: bytes | None) -> T:
        """Read a value strictly.

        Raises:
            Refused: one of the causes about the wire.
            Unavailable: the schema id is new here and the registry does not answer.
        """
        schema_id = _framed_id(data)
        assert data is not None
        return self._read(data, 5, self._version(schema_id))

    def stored(self, data: bytes, appended_at: datetime | None = None) -> bytes:
        """A record that was decoded, as it is kept: its schema's fingerprint in place of the registry's id.

        A registry that is made anew gives other ids, and all that was kept under the old ones would be lost.

        Args:
            data: the record.
            appended_at: when the broker took it, which is kept with it.
        """
        kept = SINGLE_OBJECT + self._version(_framed_id(data)).fingerprint + data[5:]
        return kept if appended_at is None else APPENDED + microseconds(appended_at).to_bytes(8, "big") + kept

    def decode_stored(self, kept: bytes) -> T:
        """Read strictly what ``stored`` gave; or a record as it was kept before, under the registry's id.

        An event has its ``appended_at``, if that was kept with it.

        Raises:
            Refused: one of the causes about the wire.
            Unavailable: it stands under an id that is new here, and the registry does not answer.
        """
        if kept.startswith(APPENDED):
            value: Any = self.decode_stored(kept[APPENDED_BYTES:])
            micros = int.from_bytes(kept[len(APPENDED) : APPENDED_BYTES], "big")
            stamped: T = replace(value, appended_at=EPOCH + timedelta(microseconds=micros))
            return stamped
        if not kept.startswith(SINGLE_OBJECT):
            return self.decode(kept)
        start = len(SINGLE_OBJECT) + FINGERPRINT_BYTES
        version = self._by_fingerprint.get(kept[len(SINGLE_OBJECT) : start])
        if version is None:
            raise Refused(Cause.UNKNOWN_SCHEMA, field="fingerprint")
        return self._read(kept, start, version)

    def _read(self, data: bytes, start: int, writer: Version) -> T:
        """The value whose bytes start there."""
        try:
            if writer is not self._own:
                data, start = self._as_own(data[start:], writer.schema), 0
            value: T = self._read_own(data, start)
            return value
        except UNREADABLE:
            _read(data[start:], self._own.schema)  # says what is wrong
            raise Refused(Cause.NON_CANONICAL) from None
        except NewerSymbol:
            _read(data[start:], self._own.schema)  # what is wrong with the bytes comes first
            raise Refused(
                Cause.BAD_INDEX, reason="an enum holds a symbol this version does not know"
            ) from None

    def _as_own(self, body: bytes, writer: Schema) -> bytes:
        """What an earlier version of our schema wrote, as ours would be written."""
        _read(body, writer)
        fields = schemaless_reader(io.BytesIO(body), writer, self._own.schema)
        assert isinstance(fields, dict)
        own = io.BytesIO()
        schemaless_writer(own, self._own.schema, fields)
        return own.getvalue()

    def _version(self, schema_id: int) -> Version:
        """The version of our schema that has this id."""
        if schema_id == self._id:
            return self._own
        if schema_id not in self._by_id and self._may_ask():
            # An earlier version wrote it, or the registry was made anew. One that does not answer is asked
            # again at the next record.
            self._by_id = self._find_ids()
            self._asked_at = time.monotonic()
        if schema_id not in self._by_id:
            raise Refused(Cause.UNKNOWN_SCHEMA, field="schema id")
        return self._by_id[schema_id]

    def _may_ask(self) -> bool:
        return self._asked_at is None or time.monotonic() - self._asked_at >= ASK_AGAIN_AFTER_S

    def _find_ids(self) -> dict[int, Version]:
        """The schemas that ship, by the ids that they have. No text of the registry's is ever read."""
        found = {
            self._registry.find(self.topic.subject, version.text): version
            for version in versions_of(self.topic.schema)
        }
        return {schema_id: version for schema_id, version in found.items() if schema_id is not None}


@cache
def _made_for(schema: str) -> tuple[Callable[[bytes, int], Any], Callable[[Any], bytes]]:
    own = json.loads(schema_text(schema))
    return reader_of(own), writer_of(own)


def _framed_id(data: bytes | None) -> int:
    if data is None:
        raise Refused(Cause.NULL_VALUE)
    if not data:
        raise Refused(Cause.EMPTY)
    if len(data) < 5:
        raise Refused(Cause.TOO_SHORT)
    if len(data) > VALUE_BYTES_MAX:
        raise Refused(Cause.TOO_LARGE, field="value")
    if data[0] != 0:
        raise Refused(Cause.BAD_MAGIC)
    schema_id = int.from_bytes(data[1:5], "big", signed=True)
    if schema_id <= 0:
        raise Refused(Cause.UNKNOWN_SCHEMA, field="schema id")
    return schema_id


def _read(body: bytes, writer: Schema) -> None:
    """Decode with the writer's schema, and refuse whatever it would not have written so."""
    stream = io.BytesIO(body)
    try:
        raw = schemaless_reader(stream, writer, None)
    except EOFError:
        raise Refused(Cause.TRUNCATED) from None
    except UnicodeDecodeError:
        raise Refused(Cause.BAD_UTF8) from None
    except IndexError:
        raise Refused(Cause.TRUNCATED if _ends_early(body, writer) else Cause.BAD_INDEX) from None
    except OverflowError:
        raise Refused(Cause.BAD_TIME) from None
    except MemoryError:
        raise Refused(Cause.TRUNCATED, reason="a length is larger than any memory") from None
    except (ValueError, TypeError, AttributeError) as error:
        cause = Cause.BAD_UUID if "UUID" in str(error) else Cause.NON_CANONICAL
        raise Refused(cause) from None
    if stream.tell() != len(body):
        raise Refused(Cause.TRAILING_BYTES)
    again = io.BytesIO()
    try:
        schemaless_writer(again, writer, raw)
    except (ValueError, TypeError, OverflowError):
        raise Refused(Cause.NON_CANONICAL) from None
    # fastavro reads and writes an int of any size; the ledger's are of 32 bits, as Avro's are.
    if again.getvalue() != body or not validate(raw, writer, raise_errors=False):
        raise Refused(Cause.NON_CANONICAL)
    if any("\0" in text for text in _texts(raw)):
        raise Refused(Cause.BAD_UTF8, reason="a string has a zero character, which PostgreSQL cannot hold")


def _texts(value: object) -> Iterator[str]:
    """All strings in what was read."""
    match value:
        case str():
            yield value
        case dict():
            for part in (*value, *value.values()):
                yield from _texts(part)
        case list():
            for part in value:
                yield from _texts(part)


def _ends_early(body: bytes, writer: Schema) -> bool:
    """Whether more bytes would help: fastavro says the same of a missing boolean and of a wrong index."""
    try:
        schemaless_reader(io.BytesIO(body + b"\0"), writer, None)
    except IndexError:
        return False
    except (EOFError, ValueError, TypeError, AttributeError, OverflowError):
        return True
    return True


class TaskCodec(Codec[Task]):
    """Encodes the tasks of one event together: what they share is encoded once.

    An Avro record is its fields one after the other, so a task is put together out of five
    pieces: the seal, what is its own, its region's box, what all tasks of the event have in common, and
    its release.
    """

    def __init__(self, registry: Registry, sink: str) -> None:
        super().__init__(registry, tasks_topic(sink))
        self._sink = avro_text(sink)

    def encode_shared(self, task: Task, pieces: "TaskPieces") -> bytes:
        """The same bytes as ``encode`` gives, with the pieces that ``pieces`` remembers."""
        pieces.turn_to(task)
        return b"".join(
            (
                self._frame,
                pieces.seal,
                b"\x48",  # a string of 36 bytes: the task_id
                str(task.task_id).encode(),
                zigzag(task.generation),
                self._sink,
                _ACTION_BYTES[task.action],
                pieces.box(task),
                pieces.rest,
                _write_release(task),
            )
        )


class TaskPieces:
    """The encoded pieces of the event whose tasks are at hand; those of the one before are forgotten."""

    def __init__(self) -> None:
        self.seal = b""  # of the event
        self.rest = b""  # what all tasks of the event have in common
        self._source: UUID | None = None
        self._boxes: dict[str, bytes] = {}

    def turn_to(self, task: Task) -> None:
        """Make the pieces of a task's event, unless it is the one at hand."""
        if task.source_id is not self._source:
            self._source, self._boxes = task.source_id, {}
            self.seal, self.rest = seal_bytes(task), _write_rest(task)

    def box(self, task: Task) -> bytes:
        """The sealed box of the task's region."""
        box = self._boxes.get(task.box.region)
        if box is None:
            box = self._boxes[task.box.region] = _write_box(task)
        return box


def avro_text(text: str) -> bytes:
    """A string as Avro writes it: found in the bytes of a record, it is that whole string."""
    return avro_bytes(text.encode())


def _writer_of_fields(names: Sequence[str]) -> Callable[[Task], bytes]:
    """Writes some fields of the task, in its order."""
    task = json.loads(schema_text("task"))
    kept = [field for field in task["fields"] if field["name"] in names]
    assert [field["name"] for field in kept] == list(names)
    return writer_of({**task, "fields": kept})


# The order of task.avsc; a test compares the two ways of encoding, so they cannot drift apart.
_REST = (
    "request_id",
    "event_id",
    "subject_id",
    "handles",
    "occurred_at",
    "purposes",
    "decision",
    "policy_version",
    "appended_at",
)
_write_box = _writer_of_fields(["box"])
_write_rest = _writer_of_fields(_REST)
_write_release = _writer_of_fields(["release"])
_ACTION_SYMBOLS = next(
    field["type"]["symbols"]
    for field in json.loads(schema_text("task"))["fields"]
    if field["name"] == "action"
)
_ACTION_BYTES = {action: zigzag(_ACTION_SYMBOLS.index(action.value)) for action in Action}


# --- one codec for each topic -----------------------------------------------------------------


def requests_codec(registry: Registry) -> Codec[PrivacyRequest]:
    """Of ``olvido.requests.v1``."""
    return Codec(registry, REQUESTS)


def consents_codec(registry: Registry) -> Codec[ConsentChange]:
    """Of ``olvido.consents.v1``."""
    return Codec(registry, CONSENTS)


def verifications_codec(registry: Registry) -> Codec[Verification]:
    """Of ``olvido.verifications.v1``."""
    return Codec(registry, VERIFICATIONS)


def tasks_codec(registry: Registry, sink: str) -> TaskCodec:
    """Of one sink's ``olvido.tasks.<sink>.v1``."""
    return TaskCodec(registry, sink)


def receipts_codec(registry: Registry) -> Codec[Receipt]:
    """Of ``olvido.receipts.v1``."""
    return Codec(registry, RECEIPTS)


def looks_codec(registry: Registry) -> Codec[LaterLook]:
    """Of ``olvido.looks.v1``."""
    return Codec(registry, LOOKS)


def request_status_codec(registry: Registry) -> Codec[RequestStatus]:
    """Of ``olvido.request-status.v1``."""
    return Codec(registry, REQUEST_STATUS)


def consent_state_codec(registry: Registry) -> Codec[ConsentState]:
    """Of ``olvido.consent-state.v1``."""
    return Codec(registry, CONSENT_STATE)


def dead_letters_codec(registry: Registry) -> Codec[DeadLetter]:
    """Of ``olvido.dead-letters.v1``."""
    return Codec(registry, DEAD_LETTERS)


def canaries_codec(registry: Registry) -> Codec[datetime]:
    """Of ``olvido.canaries.v1``: when each was written."""
    return Codec(registry, CANARIES)
