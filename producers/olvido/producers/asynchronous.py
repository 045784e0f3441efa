"""The producer of an asyncio service: the same calls, awaited."""

import asyncio
from collections.abc import Collection
from types import TracebackType
from typing import Self, Unpack
from uuid import UUID

from olvido.producers.arguments import (
    ConsentArguments,
    ErasureArguments,
    RequestArguments,
    VerificationArguments,
)
from olvido.producers.build import Accepted
from olvido.producers.client import Producer


class AsyncProducer:
    """A :class:`Producer` whose calls run in the event loop's threads, so that the loop is never held.

    ::

        async with AsyncProducer.from_env() as olvido:
            await olvido.request_erasure(identities={"email": "ana@example.es"})

    Each method takes, returns and raises what the producer's does. A call that is cancelled goes on in its
    thread: the event may be accepted all the same. Give it an id of your own, to be able to call again.
    """

    def __init__(self, producer: Producer) -> None:
        """Prefer :meth:`from_env`. This one takes a producer, and closes it."""
        self._producer = producer

    @classmethod
    def from_env(cls, *, purposes: Collection[str] | None = None) -> Self:
        """As :meth:`Producer.from_env`. It waits for the registry: call it when the service starts."""
        return cls(Producer.from_env(purposes=purposes))

    async def request_erasure(self, **arguments: Unpack[ErasureArguments]) -> Accepted:
        """As :meth:`Producer.request_erasure`."""
        return await asyncio.to_thread(self._producer.request_erasure, **arguments)

    async def request(self, **arguments: Unpack[RequestArguments]) -> Accepted:
        """As :meth:`Producer.request`."""
        return await asyncio.to_thread(self._producer.request, **arguments)

    async def grant_consent(self, **arguments: Unpack[ConsentArguments]) -> Accepted:
        """As :meth:`Producer.grant_consent`."""
        return await asyncio.to_thread(self._producer.grant_consent, **arguments)

    async def withdraw_consent(self, **arguments: Unpack[ConsentArguments]) -> Accepted:
        """As :meth:`Producer.withdraw_consent`."""
        return await asyncio.to_thread(self._producer.withdraw_consent, **arguments)

    async def verify(self, request_id: UUID | str, **arguments: Unpack[VerificationArguments]) -> Accepted:
        """As :meth:`Producer.verify`."""
        return await asyncio.to_thread(self._producer.verify, request_id, **arguments)

    async def close(self) -> None:
        """As :meth:`Producer.close`."""
        await asyncio.to_thread(self._producer.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"AsyncProducer({self._producer!r})"
