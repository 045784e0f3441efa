"""The outbox: an event is written in the caller's own database transaction; a relay brings it to Kafka.

So "the account is closed" and "forget this person" are one commit: both are there, or neither.
Broker and registry may be down then: the ids of the schemas are asked for when the outbox is made.
"""

import json
from collections.abc import Collection
from functools import partial
from typing import Any, Protocol, Self, Unpack
from uuid import UUID

from olvido.producers.arguments import (
    ConsentArguments,
    ErasureArguments,
    RequestArguments,
    VerificationArguments,
)
from olvido.producers.build import Builder
from olvido.producers.emitter import Emitter, Outgoing, Writer
from olvido.producers.sql import STATEMENTS
from olvido.schemas.registry import Registry
from olvido.schemas.settings.deployment import Connections


class Cursor(Protocol):
    """A cursor of any DB-API driver that takes ``%s``: psycopg2, psycopg, pg8000, Django's."""

    def execute(self, operation: Any, parameters: Any = ..., /) -> Any:  # noqa: ANN401 - drivers differ
        """Run one statement."""
        ...


class Outbox:
    """Writes events with the caller's cursor, and neither commits nor rolls back. Threads may share one.

    ::

        with connection, connection.cursor() as cursor:
            cursor.execute("update accounts set closed = true where id = %s", (account,))
            outbox.request_erasure(cursor, identities={"email": email})

    Each method takes what the method of the same name of :class:`~olvido.producers.Producer` takes, and
    returns the id of the event. It raises ``InvalidInput``, or what the driver raises.
    """

    def __init__(self, writer: Writer) -> None:
        """Prefer :meth:`from_env`. This one takes the parts."""
        self._writer = writer

    @classmethod
    def from_env(cls, *, purposes: Collection[str] | None = None) -> Self:
        """With the registry and keys that the environment names; the broker is not needed.

        Raises:
            ConfigError: a setting or a key is missing or wrong, or a schema is not registered.
            Unavailable: the registry does not answer.
        """
        return cls.of(Connections.from_env(), purposes=purposes)

    @classmethod
    def of(cls, connections: Connections, *, purposes: Collection[str] | None = None) -> Self:
        """The same, with connections that were read already."""
        builder = Builder.of(connections, purposes=purposes)
        return cls(Writer(builder, Registry(connections.registry), source=connections.source))

    @staticmethod
    def create_table(cursor: Cursor) -> None:
        """Make the table ``olvido_outbox``, in the caller's transaction. A repeat changes nothing."""
        cursor.execute(STATEMENTS["create_table"])

    def request_erasure(self, cursor: Cursor, **arguments: Unpack[ErasureArguments]) -> UUID:
        """Ask that a person be forgotten, if and when the caller's transaction commits."""
        return self._into(cursor).request_erasure(**arguments)

    def request(self, cursor: Cursor, **arguments: Unpack[RequestArguments]) -> UUID:
        """Ask for one right of a person, if and when the caller's transaction commits."""
        return self._into(cursor).request(**arguments)

    def grant_consent(self, cursor: Cursor, **arguments: Unpack[ConsentArguments]) -> UUID:
        """Say that a person agreed to a purpose, if and when the caller's transaction commits."""
        return self._into(cursor).grant_consent(**arguments)

    def withdraw_consent(self, cursor: Cursor, **arguments: Unpack[ConsentArguments]) -> UUID:
        """Say that a person agrees no longer, if and when the caller's transaction commits."""
        return self._into(cursor).withdraw_consent(**arguments)

    def verify(
        self, cursor: Cursor, request_id: UUID | str, **arguments: Unpack[VerificationArguments]
    ) -> UUID:
        """Say that a request came from its person, if and when the caller's transaction commits."""
        return self._into(cursor).verify(request_id, **arguments)

    def _into(self, cursor: Cursor) -> Emitter[UUID]:
        return Emitter(self._writer, partial(_insert, cursor))

    def __repr__(self) -> str:
        return f"Outbox({self._writer.build!r})"


def _insert(cursor: Cursor, outgoing: Outgoing) -> UUID:
    record, accepted = outgoing.record, outgoing.accepted
    headers = json.dumps([[name, value.decode()] for name, value in record.headers])
    # The row lives and dies with the caller's transaction: a crash before its commit emits nothing.
    cursor.execute(
        STATEMENTS["insert"],
        (str(accepted.id), record.topic, record.key.decode(), record.value, headers),
    )
    return accepted.id
