"""The client of an upstream service: an event is accepted when the broker has it, and not before."""

from collections.abc import Callable, Collection, Sequence
from types import TracebackType
from typing import Self
from uuid import UUID

from olvido.broker.contract import Publisher, Record
from olvido.broker.kafka import KafkaPublisher
from olvido.core.errors import OlvidoError, Unavailable
from olvido.producers.build import Accepted, Builder
from olvido.producers.emitter import Emitter, Outgoing, Writer
from olvido.schemas.registry import Registry
from olvido.schemas.settings.deployment import Connections

CLIENT_ID = "olvido-producer"
BATCH_SIZE = 500  # sealed and sent together: enough that waiting for the broker costs little


class NotAccepted(Unavailable):
    """The broker did not confirm the event; it may or may not be there.

    Call again with ``request_id`` (or ``event_id``) set to :attr:`id`: then it is the same event.
    """

    def __init__(self, source_id: UUID, error: Unavailable) -> None:
        super().__init__(
            f"{error}; call again with request_id or event_id {source_id}", retry_after=error.retry_after
        )
        self.id = source_id


class Closed(OlvidoError):
    """The producer was closed: nothing was sent. Keep one for the life of the process."""


class Producer(Emitter[Accepted]):
    """Emits events, each confirmed by the broker before the call returns. Threads may share one.

    ::

        with Producer.from_env() as olvido:
            olvido.request_erasure(identities={"email": "ana@example.es", "customer_id": "C-1042"})

    Each method raises, beside ``InvalidInput``:

    ``NotAccepted``, an ``Unavailable``: the broker did not confirm it in time; call again with its ``id``.
    ``Closed``: after :meth:`close`.
    """

    def __init__(self, writer: Writer, publisher: Publisher) -> None:
        """Prefer :meth:`from_env`. This one takes the parts."""
        super().__init__(writer, self._accept)
        self._publisher = publisher
        self._closed = False

    @classmethod
    def from_env(cls, *, purposes: Collection[str] | None = None) -> Self:
        """With the broker, registry and keys that the environment names: see docs/producers.md.

        Args:
            purposes: the deployment's purposes, so that a misspelt one is refused here and at once; those of
                ``OLVIDO_PURPOSES``, if not given.

        Raises:
            ConfigError: a setting or a key is missing or wrong, or a schema is not registered.
            Unavailable: the registry does not answer.
        """
        return cls.of(Connections.from_env(), purposes=purposes)

    @classmethod
    def of(cls, connections: Connections, *, purposes: Collection[str] | None = None) -> Self:
        """The same, with connections that were read already."""
        builder = Builder.of(connections, purposes=purposes)
        writer = Writer(builder, Registry(connections.registry), source=connections.source)
        return cls(writer, KafkaPublisher(connections.kafka, client_id=CLIENT_ID))

    def batch(self) -> "Batch":
        """Collect many events and send them together: for bulk emitters.

        ::

            with olvido.batch() as batch:
                for row in rows:
                    batch.request_erasure(identities={"email": row.email}, request_id=row.id)
            batch.accepted  # one for each
        """
        return Batch(self._writer, self._send_all)

    def close(self) -> None:
        """Let go of the broker, for good. A repeat does nothing.

        Raises:
            NotDelivered: another thread was still sending, and the broker did not confirm it.
        """
        self._closed = True
        self._publisher.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Producer({self._publisher!r}, {self._writer.build!r})"

    def _send_all(self, records: Sequence[Record]) -> None:
        if self._closed:
            raise Closed("this producer was closed; keep one for the life of the process")
        self._publisher.publish(records)

    def _accept(self, outgoing: Outgoing) -> Accepted:
        try:
            self._send_all([outgoing.record])
        except Unavailable as error:
            raise NotAccepted(outgoing.accepted.id, error) from error
        # The broker has it. A crash before the caller learns of it is mended by the caller's
        # retry with the same id, which the processors know for a repeat.
        return outgoing.accepted


class Batch(Emitter[UUID]):
    """Collects events; each method returns the id it made. Not for several threads at once."""

    def __init__(self, writer: Writer, send: Callable[[Sequence[Record]], None]) -> None:
        """
        Args:
            writer: builds and encodes events.
            send: sends them all, and returns when the broker has them.
        """
        super().__init__(writer, self._collect)
        self._send_all = send
        self._waiting: list[Outgoing] = []
        self._accepted: list[Accepted] = []

    @property
    def accepted(self) -> tuple[Accepted, ...]:
        """What the broker has, in the order of the calls."""
        return tuple(self._accepted)

    def flush(self) -> None:
        """Send what was collected.

        Raises:
            Unavailable: the broker did not confirm all. Call again: the ids stay the same.
        """
        while self._waiting:
            part = self._waiting[:BATCH_SIZE]
            # A crash, or no answer, after this line: some may be there, and a repeat is known by its ids.
            self._send_all([outgoing.record for outgoing in part])
            self._accepted += [outgoing.accepted for outgoing in part]
            del self._waiting[:BATCH_SIZE]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Send the rest; after an error in the block, what was not sent yet is not sent."""
        if error is None:
            self.flush()

    def _collect(self, outgoing: Outgoing) -> UUID:
        if len(self._waiting) >= BATCH_SIZE:
            self.flush()  # before: if it raises, this event was not taken, and the caller may call again
        self._waiting.append(outgoing)
        return outgoing.accepted.id
