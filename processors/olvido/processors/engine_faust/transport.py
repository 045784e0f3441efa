"""Faust's aiokafka transport, without what costs it most for each record that it reads.

Faust waits for whichever is first: a record put on its stream's buffer, a suspended flow, a stop or a
crash. That costs four tasks and an ``asyncio.wait`` a record, and was half of all that Faust does here
(py-spy, bench/README.md). Where there is room in the buffer, putting the record there waits for nothing.
So it is begun by hand, and only what does wait is waited for in Faust's own way.

For each record Faust also asks how far its partition goes, and how much its own producer has still to send,
through a setting that is looked up each time. Nobody reads the first, and we send nothing by Faust.
"""

import types
from collections.abc import Coroutine, Generator
from inspect import iscoroutine
from typing import Any

from faust.transport.drivers import aiokafka
from mode.services import Service, WaitResults


class Eager(Service):  # type: ignore[misc]  # Faust is untyped to us
    """A service of Faust's that begins to wait only for what is not there yet."""

    async def wait_first(self, *waited: Any, timeout: Any = None) -> WaitResults:  # noqa: ANN401
        """Wait for the first of some; if the first named is a coroutine that need not wait, at once.

        Nothing else changes: what is raised is raised here, and of what waits the first still wins.
        """
        first, *others = waited
        if not iscoroutine(first):
            return await super().wait_first(*waited, timeout=timeout)
        try:
            waits_for = first.send(None)
        except BaseException as ended:
            for other in filter(iscoroutine, others):
                other.close()  # never begun
            if isinstance(ended, StopIteration):
                return WaitResults([first], [ended.value], stopped=False)
            raise
        return await super().wait_first(_go_on(first, waits_for), *others, timeout=timeout)


async def _go_on(begun: Coroutine[Any, Any, Any], waits_for: Any) -> Any:  # noqa: ANN401
    """What is left of a coroutine that was begun and waits: for this, then for whatever it says."""
    return await _rest(begun, waits_for)


@types.coroutine
def _rest(begun: Coroutine[Any, Any, Any], waits_for: Any) -> Generator[Any, Any, Any]:  # noqa: ANN401
    while True:
        try:
            yield waits_for
        except BaseException as error:  # noqa: BLE001 - a cancellation is its own to answer
            try:
                waits_for = begun.throw(error)
            except StopIteration as done:
                return done.value
        else:
            return (yield from begun)


class Consumer(Eager, aiokafka.Consumer):  # type: ignore[misc]
    """Reads as Faust's does."""

    def highwater(self, tp: Any) -> int:  # noqa: ANN401
        """Where a partition ends: Faust asks for its monitor alone, and ours keeps nothing."""
        return 0


class IdleProducer(aiokafka.Producer):  # type: ignore[misc]
    """Faust's, through which nothing is sent: nobody waits until it has less to send."""

    def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401
        super().__init__(*args, **options)
        self.buffer.wait_until_ebb = _nothing_to_send


async def _nothing_to_send() -> None:
    """Wait for nothing."""


class Transport(aiokafka.Transport):  # type: ignore[misc]
    """Faust's, with those two."""

    Consumer = Consumer
    Producer = IdleProducer
