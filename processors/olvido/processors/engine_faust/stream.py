"""Faust's stream, read a batch at a time.

``Stream.noack_take`` of Faust gives the event loop a turn for each record, and collects nothing while the
batch before is handled. Yet what Faust has fetched already lies on the channel's queue. So a batch is what
lies there, and while one is handled the next gathers by itself (py-spy and figures: bench/README.md).
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import faust


class Stream(faust.Stream):  # type: ignore[misc]  # Faust is untyped to us
    """A stream that hands over batches of events, for who acknowledges them by hand."""

    async def batches(self, most: int, *, within_s: float) -> AsyncIterator[list[Any]]:
        """Hand over what has come, each time it is asked: at least one event, and none acknowledged.

        Of events that were fetched before partitions moved none is handed over, as in Faust's own
        iteration: the process that reads those partitions now gets them again.

        Args:
            most: how many events a batch holds at most.
            within_s: how long is waited for more when there are fewer.
        """
        channel: Any = self.channel
        queue = channel.queue
        await self.maybe_start()
        try:
            while not self.should_stop:
                fetched = [await queue.get()]
                if queue.qsize() < most - 1:
                    await asyncio.sleep(within_s)
                while len(fetched) < most and not queue.empty():
                    fetched.append(queue.get_nowait())
                if events := [event for event in fetched if self._is_ours(event.message)]:
                    yield events
        except StopAsyncIteration:
            return  # Faust throws it into the channel of an agent that it stops
        finally:
            channel.on_stop_iteration()

    def _is_ours(self, message: Any) -> bool:  # noqa: ANN401
        """Whether its partition was not given away since it was fetched; it is waited for from now on."""
        app = self.app
        if not app.flow_control.is_active() or message.generation_id != app.consumer_generation_id:
            return False
        if not message.tracked:
            message.tracked = True
            app.consumer.track_message(message)
        return True


class AsRead(faust.Schema):  # type: ignore[misc]
    """Hands records on as they were read: an event has its message, and no key or value of Faust's making.

    Our own codecs read them. Faust would acknowledge what it cannot decode before any hook of ours.
    """

    def compile(self, app: Any, **_: Any) -> Callable[..., Awaitable[faust.Event]]:  # noqa: ANN401
        """What Faust calls for each record."""

        async def decode(message: Any, *, propagate: bool = False) -> faust.Event:  # noqa: ANN401
            return faust.Event(app, None, None, None, message)

        return decode


class NoMonitor(faust.Monitor):  # type: ignore[misc]
    """Faust's monitor without the figures of each record: ours are elsewhere, and nobody reads these."""

    def on_message_in(self, tp: Any, offset: int, message: Any) -> None:  # noqa: ANN401
        """Keep nothing."""

    def on_message_out(self, tp: Any, offset: int, message: Any) -> None:  # noqa: ANN401
        """Keep nothing."""

    def track_tp_end_offset(self, tp: Any, offset: int) -> None:  # noqa: ANN401
        """Keep nothing."""
