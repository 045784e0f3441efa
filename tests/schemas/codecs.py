"""A registry in memory, and the codec and the values of each topic."""

from collections.abc import Callable
from io import BytesIO
from typing import Any

from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from fastavro import schemaless_reader, schemaless_writer

from olvido.schemas import codec
from olvido.schemas.codec import Codec
from olvido.schemas.registry import Registry, schema_of
from schemas import strategies as any_

MakeCodec = Callable[[Registry], Codec[Any]]

CODECS: dict[str, tuple[MakeCodec, Any]] = {
    "requests": (codec.requests_codec, any_.requests),
    "consents": (codec.consents_codec, any_.consents),
    "verifications": (codec.verifications_codec, any_.verifications),
    "tasks": (lambda registry: codec.tasks_codec(registry, "crm"), any_.tasks()),
    "receipts": (codec.receipts_codec, any_.receipts),
    "request-status": (codec.request_status_codec, any_.statuses),
    "consent-state": (codec.consent_state_codec, any_.consent_states),
    "dead-letters": (codec.dead_letters_codec, any_.dead_letters),
}


def forged(schema: str, data: bytes, **changes: object) -> bytes:
    """A record with fields that no value of ours has, written by fastavro."""
    raw = schemaless_reader(BytesIO(data[5:]), schema_of(schema), None)
    written = BytesIO()
    schemaless_writer(written, schema_of(schema), {**raw, **changes})
    return data[:5] + written.getvalue()


class MemoryRegistry(Registry):
    """Confluent's registry in memory, which keeps no rules of compatibility."""

    def __init__(self, name: str) -> None:
        self.url = f"mock://{name}"
        self._client = SchemaRegistryClient.new_client({"url": self.url})

    def register_text(self, subject: str, text: str) -> int:
        return self._client.register_schema(subject, Schema(text, "AVRO"))
