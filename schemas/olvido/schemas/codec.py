"""Bytes to values and back: Confluent framing around Avro, read strictly.

Strictly: only schema ids that the registry holds under the topic's own subject, at most
64 KiB, all bytes read, and encoding what was read gives the same bytes again. So no
negative index, overlong number, int beyond 32 bits or trailing byte passes, and no foreign
schema is ever decoded (fastavro dies of some).

What our own schema wrote is read by a function made for it, which takes just those bytes; fastavro reads
what that function does not take, to say what is wrong with it, and what another version wrote.
"""

import io
import json
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import cache
from typing import Any, Generic, TypeVar, assert_never
from uuid import UUID

from fastavro import schemaless_reader, schemaless_writer
from fastavro.types import Schema
from fastavro.validation import validate

from olvido.core.causes import Cause
from olvido.core.consents import ConsentState
from olvido.core.dead_letters import DeadLetter
from olvido.core.errors import Refused
from olvido.core.events import (
    ConsentChange,
    Decision,
    PrivacyRequest,
    Right,
    SealedBox,
    Verification,
    Verified,
)
from olvido.core.lifecycle import RequestState
from olvido.core.receipts import Outcome, Receipt
from olvido.core.status import RequestStatus
from olvido.core.subject import Handle, IdentityKind
from olvido.core.tasks import (
    Access,
    Action,
    Consent,
    ConsentChangeId,
    Erase,
    Object,
    Portability,
    Rectify,
    RequestId,
    Restrict,
    Task,
    Unknown,
    What,
)
from olvido.schemas.registry import Registry, schema_of, schema_text
from olvido.schemas.topics import (
    CANARIES,
    CONSENT_STATE,
    CONSENTS,
    DEAD_LETTERS,
    RECEIPTS,
    REQUEST_STATUS,
    REQUESTS,
    VERIFICATIONS,
    Topic,
    tasks_topic,
)
from olvido.schemas.written import UNREADABLE, reader_of, writer_of, zigzag

VALUE_BYTES_MAX = 64 * 1024  # a quarter of it is already thirty identities in eight regions
UNKNOWN_ID_TTL_S = 30.0  # how long an id that the registry did not know is not asked for again

Raw = dict[str, Any]
T = TypeVar("T")


class Codec(Generic[T]):
    """Encodes and decodes the values of one topic."""

    def __init__(
        self,
        registry: Registry,
        topic: Topic,
        to_raw: Callable[[T], Raw],
        from_raw: Callable[[Raw], T],
    ) -> None:
        """
        Raises:
            ConfigError: our schema is not registered under the topic's subject.
            Unavailable: the registry does not answer.
        """
        self.topic = topic
        self._registry = registry
        self._schema = schema_of(topic.schema)
        self._read_own, self._write_own = _made_for(topic.schema)
        self._to_raw = to_raw
        self._from_raw = from_raw
        self._id = registry.id_of(topic.subject, topic.schema)
        self._frame = b"\0" + self._id.to_bytes(4, "big")
        self._writers: dict[int, Schema] = {**registry.versions(topic.subject), self._id: self._schema}
        self._unknown: dict[int, tuple[float, Cause]] = {}

    def encode(self, value: T) -> bytes:
        """A value, in Confluent framing."""
        return self._frame + self._write_own(self._to_raw(value))

    def decode(self, data: bytes | None) -> T:
        """Read a value strictly.

        Raises:
            Refused: one of the causes about the wire.
            Unavailable: the schema id is new here and the registry does not answer.
        """
        schema_id = _framed_id(data)
        assert data is not None
        try:
            raw = self._read_body(data, schema_id)
        except RecursionError:
            # A schema that names itself may nest as deep as its bytes say.
            raise Refused(Cause.NON_CANONICAL, reason="nested too deeply to be read") from None
        try:
            return self._from_raw(raw)
        except KeyError:
            # An enum symbol of a newer version, which Avro turned into the default UNKNOWN.
            raise Refused(
                Cause.BAD_INDEX, reason="an enum holds a symbol this version does not know"
            ) from None

    def _read_body(self, data: bytes, schema_id: int) -> Raw:
        if schema_id == self._id:
            try:
                return self._read_own(data, 5)
            except UNREADABLE:
                pass  # fastavro says what is wrong
        writer = self._writer(schema_id)
        body = data[5:]
        raw = _read(body, writer)
        return raw if schema_id == self._id else _resolve(body, writer, self._schema)

    def _writer(self, schema_id: int) -> Schema:
        if schema_id not in self._writers:
            asked_at, cause = self._unknown.get(schema_id, (0.0, Cause.UNKNOWN_SCHEMA))
            if asked_at and time.monotonic() - asked_at < UNKNOWN_ID_TTL_S:
                raise Refused(cause, field="schema id")
            self._writers.update(self._registry.versions(self.topic.subject))
            self._writers[self._id] = self._schema
        if schema_id not in self._writers:
            cause = Cause.SCHEMA_NOT_ALLOWED if self._registry.knows(schema_id) else Cause.UNKNOWN_SCHEMA
            self._unknown[schema_id] = (time.monotonic(), cause)
            raise Refused(cause, field="schema id")
        return self._writers[schema_id]


@cache
def _made_for(schema: str) -> tuple[Callable[[bytes, int], Raw], Callable[[Raw], bytes]]:
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


def _read(body: bytes, writer: Schema) -> Raw:
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
    assert isinstance(raw, dict)
    return raw


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


def _resolve(body: bytes, writer: Schema, reader: Schema) -> Raw:
    raw = schemaless_reader(io.BytesIO(body), writer, reader)
    assert isinstance(raw, dict)
    return raw


class TaskCodec(Codec[Task]):
    """Encodes the tasks of one event together: what they share is encoded once.

    An Avro record is its fields one after the other, so a task is put together out of three
    pieces: what is its own, its region's box, and what all tasks of the event have in common.
    """

    def __init__(self, registry: Registry, sink: str) -> None:
        super().__init__(registry, tasks_topic(sink), _task_to_raw, _task)
        self._sink = avro_text(sink)

    def encode_shared(self, task: Task, pieces: "TaskPieces") -> bytes:
        """The same bytes as ``encode`` gives, with the pieces that ``pieces`` remembers."""
        return b"".join(
            (
                self._frame,
                b"\x48",  # a string of 36 bytes: the task_id
                str(task.task_id).encode(),
                zigzag(task.generation),
                self._sink,
                _ACTION_BYTES[task.action],
                pieces.box(task),
                pieces.rest(task),
            )
        )


class TaskPieces:
    """The encoded pieces of the event whose tasks are at hand; those of the one before are forgotten."""

    def __init__(self) -> None:
        self._source: UUID | None = None
        self._boxes: dict[str, bytes] = {}
        self._rest = b""

    def box(self, task: Task) -> bytes:
        """The sealed box of the task's region."""
        self._turn_to(task)
        if task.box.region not in self._boxes:
            self._boxes[task.box.region] = _write_box({"box": _box_to_raw(task.box)})
        return self._boxes[task.box.region]

    def rest(self, task: Task) -> bytes:
        """What all tasks of the event have in common."""
        self._turn_to(task)
        if not self._rest:
            self._rest = _write_rest(_rest_to_raw(task))
        return self._rest

    def _turn_to(self, task: Task) -> None:
        if task.source_id is not self._source:
            self._source, self._boxes, self._rest = task.source_id, {}, b""


def avro_text(text: str) -> bytes:
    """A string as Avro writes it: found in the bytes of a record, it is that whole string."""
    encoded = text.encode()
    return zigzag(len(encoded)) + encoded


def _writer_of_fields(names: Sequence[str]) -> Callable[[Raw], bytes]:
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
)
_write_box = _writer_of_fields(["box"])
_write_rest = _writer_of_fields(_REST)
_ACTION_SYMBOLS = next(
    field["type"]["symbols"]
    for field in json.loads(schema_text("task"))["fields"]
    if field["name"] == "action"
)
_ACTION_BYTES = {action: zigzag(_ACTION_SYMBOLS.index(action.value)) for action in Action}


# --- values to what fastavro reads and writes -------------------------------------------------

_KIND_TO_RAW = {kind: kind.name for kind in IdentityKind}
_KIND_FROM_RAW = {kind.name: kind for kind in IdentityKind}
_RIGHTS = {right.value: right for right in Right}
_ACTIONS = {action.value: action for action in Action}
_DECISIONS = {decision.value: decision for decision in Decision}
_OUTCOMES = {outcome.value: outcome for outcome in Outcome}
_STATES = {state.value: state for state in RequestState}
_CAUSES = {cause.value: cause for cause in Cause}


def _handles_to_raw(handles: tuple[Handle, ...]) -> list[Raw]:
    return [{"kind": _KIND_TO_RAW[handle.kind], "value": handle.value} for handle in handles]


def _handles(raw: list[Raw]) -> tuple[Handle, ...]:
    return tuple(Handle(kind=_KIND_FROM_RAW[item["kind"]], value=item["value"]) for item in raw)


def _box_to_raw(box: SealedBox) -> Raw:
    return {
        "region": box.region,
        "key_id": box.key_id,
        "wrapped_key": box.wrapped_key,
        "nonce": box.nonce,
        "ciphertext": box.ciphertext,
    }


def _verified_to_raw(verified: Verified) -> Raw:
    return {"method": verified.method, "verified_at": verified.verified_at}


def _request_to_raw(request: PrivacyRequest) -> Raw:
    return {
        "request_id": request.request_id,
        "right": request.right.value,
        "subject_id": request.subject_id,
        "handles": _handles_to_raw(request.handles),
        "regions": request.regions,
        "boxes": [_box_to_raw(box) for box in request.boxes],
        "purposes": request.purposes,
        "requested_at": request.requested_at,
        "verification_required": request.verification_required,
        "verified": None if request.verified is None else _verified_to_raw(request.verified),
    }


def _request(raw: Raw) -> PrivacyRequest:
    return PrivacyRequest(
        request_id=raw["request_id"],
        right=_RIGHTS[raw["right"]],
        subject_id=raw["subject_id"],
        handles=_handles(raw["handles"]),
        regions=tuple(raw["regions"]),
        boxes=tuple(SealedBox(**box) for box in raw["boxes"]),
        purposes=tuple(raw["purposes"]),
        requested_at=raw["requested_at"],
        verification_required=raw["verification_required"],
        verified=None if raw["verified"] is None else Verified(**raw["verified"]),
    )


def _consent_to_raw(change: ConsentChange) -> Raw:
    return {
        "event_id": change.event_id,
        "purpose": change.purpose,
        "decision": change.decision.value,
        "subject_id": change.subject_id,
        "handles": _handles_to_raw(change.handles),
        "regions": change.regions,
        "boxes": [_box_to_raw(box) for box in change.boxes],
        "occurred_at": change.occurred_at,
        "policy_version": change.policy_version,
    }


def _consent(raw: Raw) -> ConsentChange:
    return ConsentChange(
        event_id=raw["event_id"],
        purpose=raw["purpose"],
        decision=_DECISIONS[raw["decision"]],
        subject_id=raw["subject_id"],
        handles=_handles(raw["handles"]),
        regions=tuple(raw["regions"]),
        boxes=tuple(SealedBox(**box) for box in raw["boxes"]),
        occurred_at=raw["occurred_at"],
        policy_version=raw["policy_version"],
    )


def _verification_to_raw(verification: Verification) -> Raw:
    return {
        "event_id": verification.event_id,
        "request_id": verification.request_id,
        "subject_id": verification.subject_id,
        "verified": _verified_to_raw(verification.verified),
    }


def _verification(raw: Raw) -> Verification:
    return Verification(
        event_id=raw["event_id"],
        request_id=raw["request_id"],
        subject_id=raw["subject_id"],
        verified=Verified(**raw["verified"]),
    )


def _task_to_raw(task: Task) -> Raw:
    return {
        "task_id": task.task_id,
        "generation": task.generation,
        "sink": task.sink,
        "action": task.action.value,
        "box": _box_to_raw(task.box),
        **_rest_to_raw(task),
    }


def _rest_to_raw(task: Task) -> Raw:
    purposes: tuple[str, ...] = ()
    decision, policy_version = None, ""
    match task.what:
        case Object(purposes=purposes):
            pass
        case Consent(purpose=purpose, decision=said, policy_version=policy_version):
            purposes, decision = (purpose,), said.value
        case Unknown(purposes=purposes, decision=maybe, policy_version=policy_version):
            decision = maybe and maybe.value
    return {
        "request_id": task.request_id,
        "event_id": task.event_id,
        "subject_id": task.subject_id,
        "handles": _handles_to_raw(task.handles),
        "occurred_at": task.occurred_at,
        "purposes": purposes,
        "decision": decision,
        "policy_version": policy_version,
    }


def _task(raw: Raw) -> Task:
    what = _what(_ACTIONS[raw["action"]], raw)
    return Task(
        task_id=raw["task_id"],
        generation=raw["generation"],
        sink=raw["sink"],
        source=_source(what, raw["request_id"], raw["event_id"]),
        what=what,
        subject_id=raw["subject_id"],
        handles=_handles(raw["handles"]),
        box=SealedBox(**raw["box"]),
    )


def _source(what: What, request_id: UUID | None, event_id: UUID | None) -> RequestId | ConsentChangeId:
    if (request_id is None) == (event_id is None):
        raise Refused(Cause.BAD_UUID, field="request_id", reason="a task has one of request_id and event_id")
    if request_id is not None and not isinstance(what, Consent):
        return RequestId(request_id)
    if event_id is not None and isinstance(what, Consent | Unknown):
        return ConsentChangeId(event_id)
    raise Refused(
        Cause.NON_CANONICAL,
        field="action",
        reason="a consent task comes from a consent change, no other does",
    )


def _what(action: Action, raw: Raw) -> What:  # noqa: PLR0911 - one for each right
    """What is asked, and nothing that its right does not have: encoding it again must give the same bytes."""
    at, purposes = raw["occurred_at"], tuple(raw["purposes"])
    if action is Action.UNKNOWN:
        return Unknown(
            asked_at=at,
            purposes=purposes,
            decision=raw["decision"] and _DECISIONS[raw["decision"]],
            policy_version=raw["policy_version"],
        )
    if action is Action.CONSENT:
        if len(purposes) != 1 or raw["decision"] is None:
            raise Refused(Cause.NON_CANONICAL, field="decision", reason="a consent is about one purpose")
        decision = _DECISIONS[raw["decision"]]
        return Consent(
            purpose=purposes[0], decision=decision, occurred_at=at, policy_version=raw["policy_version"]
        )
    if raw["decision"] is not None or raw["policy_version"]:
        raise Refused(Cause.NON_CANONICAL, field="decision", reason="only a consent has one")
    if purposes and action is not Action.OBJECT:
        raise Refused(Cause.NON_CANONICAL, field="purposes", reason="only an objection has some")
    match action:
        case Action.ERASE:
            return Erase(fence=at)
        case Action.ACCESS:
            return Access(asked_at=at)
        case Action.PORTABILITY:
            return Portability(asked_at=at)
        case Action.RECTIFY:
            return Rectify(asked_at=at)
        case Action.RESTRICT:
            return Restrict(asked_at=at)
        case Action.OBJECT:
            return Object(purposes=purposes, asked_at=at)
        case _:
            assert_never(action)


def _receipt_to_raw(receipt: Receipt) -> Raw:
    return {
        "receipt_id": receipt.receipt_id,
        "task_id": receipt.task_id,
        "generation": receipt.generation,
        "sink": receipt.sink,
        "action": receipt.action.value,
        "request_id": receipt.request_id,
        "event_id": receipt.event_id,
        "subject_id": receipt.subject_id,
        "outcome": receipt.outcome.value,
        "counts": receipt.counts,
        "detail": receipt.detail,
        "applied_at": receipt.applied_at,
        "verified_at": receipt.verified_at,
    }


def _receipt(raw: Raw) -> Receipt:
    return Receipt(**{**raw, "action": _ACTIONS[raw["action"]], "outcome": _OUTCOMES[raw["outcome"]]})


def _status_to_raw(status: RequestStatus) -> Raw:
    return {
        "request_id": status.request_id,
        "right": status.right.value,
        "subject_id": status.subject_id,
        "state": status.state.value,
        "tasks": status.tasks,
        "answered": status.answered,
        "outcomes": {sink: outcome.value for sink, outcome in status.outcomes.items()},
        "requested_at": status.requested_at,
    }


def _status(raw: Raw) -> RequestStatus:
    if raw["answered"] != len(raw["outcomes"]):
        raise Refused(Cause.NON_CANONICAL, field="answered", reason="it is not the number of outcomes")
    return RequestStatus(
        request_id=raw["request_id"],
        right=_RIGHTS[raw["right"]],
        subject_id=raw["subject_id"],
        requested_at=raw["requested_at"],
        state=_STATES[raw["state"]],
        tasks=raw["tasks"],
        outcomes={sink: _OUTCOMES[outcome] for sink, outcome in raw["outcomes"].items()},
    )


def _consent_state_to_raw(state: ConsentState) -> Raw:
    return {
        "handle": state.handle,
        "purpose": state.purpose,
        "decision": state.decision.value,
        "occurred_at": state.occurred_at,
        "event_id": state.event_id,
        "policy_version": state.policy_version,
    }


def _consent_state(raw: Raw) -> ConsentState:
    return ConsentState(**{**raw, "decision": _DECISIONS[raw["decision"]]})


def _dead_letter_to_raw(letter: DeadLetter) -> Raw:
    return {
        "dead_letter_id": letter.dead_letter_id,
        "group": letter.group,
        "topic": letter.topic,
        "partition": letter.partition,
        "offset": letter.offset,
        "cause": letter.cause.value,
        "field": letter.field,
        "reason": letter.reason,
        "sha256": letter.sha256,
        "size": letter.size,
        "attempts": letter.attempts,
        "failed_at": letter.failed_at,
        "task_id": letter.task_id,
        "generation": letter.generation,
        "source_id": letter.source_id,
    }


def _dead_letter(raw: Raw) -> DeadLetter:
    return DeadLetter(**{**raw, "cause": _CAUSES[raw["cause"]]})


# --- one codec for each topic -----------------------------------------------------------------


def requests_codec(registry: Registry) -> Codec[PrivacyRequest]:
    """Of ``olvido.requests.v1``."""
    return Codec(registry, REQUESTS, _request_to_raw, _request)


def consents_codec(registry: Registry) -> Codec[ConsentChange]:
    """Of ``olvido.consents.v1``."""
    return Codec(registry, CONSENTS, _consent_to_raw, _consent)


def verifications_codec(registry: Registry) -> Codec[Verification]:
    """Of ``olvido.verifications.v1``."""
    return Codec(registry, VERIFICATIONS, _verification_to_raw, _verification)


def tasks_codec(registry: Registry, sink: str) -> TaskCodec:
    """Of one sink's ``olvido.tasks.<sink>.v1``."""
    return TaskCodec(registry, sink)


def receipts_codec(registry: Registry) -> Codec[Receipt]:
    """Of ``olvido.receipts.v1``."""
    return Codec(registry, RECEIPTS, _receipt_to_raw, _receipt)


def request_status_codec(registry: Registry) -> Codec[RequestStatus]:
    """Of ``olvido.request-status.v1``."""
    return Codec(registry, REQUEST_STATUS, _status_to_raw, _status)


def consent_state_codec(registry: Registry) -> Codec[ConsentState]:
    """Of ``olvido.consent-state.v1``."""
    return Codec(registry, CONSENT_STATE, _consent_state_to_raw, _consent_state)


def dead_letters_codec(registry: Registry) -> Codec[DeadLetter]:
    """Of ``olvido.dead-letters.v1``."""
    return Codec(registry, DEAD_LETTERS, _dead_letter_to_raw, _dead_letter)


def canaries_codec(registry: Registry) -> Codec[datetime]:
    """Of ``olvido.canaries.v1``: when each was written."""
    return Codec(registry, CANARIES, lambda sent_at: {"sent_at": sent_at}, lambda raw: raw["sent_at"])
