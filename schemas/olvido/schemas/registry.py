"""The schema registry, over Confluent's client: which schema ids stand under a topic's subject."""

import json
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import cache
from importlib.resources import files
from typing import Any

import fastavro
from confluent_kafka.schema_registry import (
    ConfigCompatibilityLevel,
    Schema,
    SchemaRegistryClient,
    ServerConfig,
)
from confluent_kafka.schema_registry.error import SchemaRegistryError
from fastavro.types import Schema as AvroSchema
from httpx2 import HTTPError

from olvido.core.errors import ConfigError, Unavailable

COMPATIBILITY = (
    ConfigCompatibilityLevel.FULL_TRANSITIVE
)  # any old event can be replayed, any old consumer survives

_REFUSED = range(400, 500)  # statuses by which the registry says that the question is wrong


@cache
def schema_text(name: str) -> str:
    """The text of one of our schemas, by the stem of its .avsc file."""
    return (files("olvido.schemas") / "avsc" / f"{name}.avsc").read_text(encoding="utf-8")


@cache
def schema_of(name: str) -> AvroSchema:
    """One of our schemas, parsed."""
    return fastavro.parse_schema(json.loads(schema_text(name)))


class Registry:
    """Asks one registry, and turns its answers into values and our faults."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._client = SchemaRegistryClient({"url": url, "timeout": 5, "max.retries": 1})

    def id_of(self, subject: str, schema: str) -> int:
        """The id of our schema under a subject.

        Raises:
            ConfigError: it is not registered there.
            Unavailable: the registry does not answer.
        """
        try:
            with self._asking(refusals={404}):
                found = self._client.lookup_schema(subject, Schema(schema_text(schema), "AVRO"))
        except SchemaRegistryError:
            raise ConfigError(
                f"schema {schema} is not registered under {subject}; run: olvido topics apply"
            ) from None
        assert found.schema_id is not None
        return found.schema_id

    def versions(self, subject: str) -> dict[int, AvroSchema]:
        """All schemas under a subject, by id; none where the subject does not exist.

        Raises:
            Unavailable: the registry does not answer.
        """
        try:
            with self._asking(refusals={404}):
                numbers = self._client.get_versions(subject)
                found = [self._client.get_version(subject, number) for number in numbers]
        except SchemaRegistryError:
            return {}
        return {
            version.schema_id: _parse(version.schema) for version in found if version.schema_id is not None
        }

    def knows(self, schema_id: int) -> bool:
        """Whether any subject has a schema of this id.

        Raises:
            Unavailable: the registry does not answer.
        """
        try:
            with self._asking(refusals=_REFUSED):
                self._client.get_schema(schema_id)
        except SchemaRegistryError:
            return False
        return True

    def reach(self) -> None:
        """Ask whether it answers: from the registry itself, and never from what was learnt before.

        Raises:
            Unavailable: it does not.
        """
        with self._asking():
            self._client.get_schema_types()

    def problem_with(self, subject: str, schema: str) -> str | None:
        """What the registry has against our schema as the subject's next version; None if nothing.

        Raises:
            Unavailable: the registry does not answer.
        """
        if not self.versions(subject):
            return None
        try:
            with self._asking(refusals=_REFUSED):
                compatible = self._client.test_compatibility(subject, Schema(schema_text(schema), "AVRO"))
        except SchemaRegistryError as error:
            return error.error_message
        return None if compatible else f"{schema}.avsc is not {COMPATIBILITY.value} with a registered version"

    def register(self, subject: str, schema: str) -> int:
        """Make our schema the subject's newest version, under FULL_TRANSITIVE. A repeat changes nothing.

        Raises:
            ConfigError: the registry refuses it as incompatible.
            Unavailable: the registry does not answer.
        """
        return self.register_text(subject, schema_text(schema))

    def register_text(self, subject: str, text: str) -> int:
        """The same for a schema given as text."""
        try:
            with self._asking(refusals={409, 422}):
                # The rule first: a crash between the two leaves a subject that is too strict, never too lax.
                self._client.set_config(subject, ServerConfig(compatibility=COMPATIBILITY))
                return self._client.register_schema(subject, Schema(text, "AVRO"))
        except SchemaRegistryError as error:
            raise ConfigError(
                f"the registry refuses the schema under {subject} as not {COMPATIBILITY.value}: "
                f"{error.error_message}"
            ) from None

    @contextmanager
    def _asking(self, *, refusals: Collection[int] = ()) -> Iterator[None]:
        """Turn silence into ``Unavailable``; an answer of one of these statuses is left to the caller."""
        try:
            yield
        except (SchemaRegistryError, HTTPError, OSError) as error:
            if isinstance(error, SchemaRegistryError) and error.http_status_code in refusals:
                raise
            raise Unavailable(
                f"schema registry at {self.url} does not answer: {type(error).__name__}"
            ) from error


def _parse(schema: Schema) -> AvroSchema:
    assert schema.schema_str is not None
    parsed: Any = json.loads(schema.schema_str)
    return fastavro.parse_schema(parsed)
