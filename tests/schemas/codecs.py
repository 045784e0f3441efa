"""A registry in memory, and the codec and the values of each topic."""

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from io import BytesIO
from typing import Any

from fastavro import schemaless_reader, schemaless_writer

from olvido.core.rights.consent import Consent
from olvido.core.status import RequestStatus
from olvido.core.subject import IdentityKind
from olvido.core.tasks import Task
from olvido.schemas import codec
from olvido.schemas.codec import Codec
from olvido.schemas.registry import Registry
from olvido.schemas.shipped import schema_of
from schemas import strategies as any_

MakeCodec = Callable[[Registry], Codec[Any]]

CODECS: dict[str, tuple[MakeCodec, Any]] = {
    "requests": (codec.requests_codec, any_.requests),
    "consents": (codec.consents_codec, any_.consents),
    "verifications": (codec.verifications_codec, any_.verifications),
    "tasks": (lambda registry: codec.tasks_codec(registry, "crm"), any_.tasks()),
    "receipts": (codec.receipts_codec, any_.receipts),
    "looks": (codec.looks_codec, any_.looks),
    "request-status": (codec.request_status_codec, any_.statuses),
    "consent-state": (codec.consent_state_codec, any_.consent_states),
    "dead-letters": (codec.dead_letters_codec, any_.dead_letters),
}


def raw_of(value: object) -> Any:
    """A value as fastavro writes it, found without what the product has for it."""
    match value:
        case IdentityKind():
            return value.name
        case Enum():
            return value.value
        case tuple():
            return [raw_of(part) for part in value]
        case Mapping():
            return {key: raw_of(part) for key, part in value.items()}
        case Task(what=what):
            flat = {
                name: raw_of(getattr(value, name))
                for name in ("seal", "task_id", "generation", "sink", "box")
            }
            flat |= {name: raw_of(getattr(value, name)) for name in ("action", "request_id", "event_id")}
            flat |= {name: raw_of(getattr(value, name)) for name in ("subject_id", "handles", "occurred_at")}
            purposes = [what.purpose] if isinstance(what, Consent) else getattr(what, "purposes", ())
            decision = raw_of(getattr(what, "decision", None))
            version = getattr(what, "policy_version", "")
            flat |= {"purposes": list(purposes), "decision": decision, "policy_version": version}
            return flat | {"appended_at": value.appended_at, "release": raw_of(value.release)}
        case RequestStatus(outcomes=outcomes):
            return {**_fields(value), "answered": len(outcomes)}
        case _ if is_dataclass(value):
            return _fields(value)
        case _:
            return value


def _fields(value: Any) -> dict[str, Any]:
    """Of an event not when the broker took it: its record cannot say that."""
    on_the_wire = (one.name for one in fields(value) if one.name != "appended_at")
    return {name: raw_of(getattr(value, name)) for name in on_the_wire}


def forged(schema: str, data: bytes, **changes: object) -> bytes:
    """A record with fields that no value of ours has, written by fastavro."""
    raw = schemaless_reader(BytesIO(data[5:]), schema_of(schema), None)
    written = BytesIO()
    schemaless_writer(written, schema_of(schema), {**raw, **changes})
    return data[:5] + written.getvalue()


class MemoryRegistry(Registry):
    """A registry in memory, which keeps no rules of compatibility."""

    def __init__(self, name: str) -> None:
        self.url = f"memory://{name}"
        self._subjects: dict[str, list[int]] = {}
        self._ids: dict[str, int] = {}  # by the text of each schema
        self._next_id = 1
        self.asked = 0

    def find(self, subject: str, text: str) -> int | None:
        self.asked += 1
        known = self._ids.get(text)
        return known if known in self._subjects.get(subject, []) else None

    def register_text(self, subject: str, text: str) -> int:
        if text not in self._ids:
            self._ids[text] = self._next_id
            self._next_id += 1
        given = self._ids[text]
        ids = self._subjects.setdefault(subject, [])
        if given not in ids:
            ids.append(given)
        return given

    def make_anew(self, *, first_id: int) -> None:
        """Forget all schemas, and give other ids from now on."""
        self._subjects, self._ids, self._next_id = {}, {}, first_id
