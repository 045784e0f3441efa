"""Batches are what lies on a channel's queue, as Faust itself would hand it over."""

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace

import faust
import pytest

from olvido.processors.engine_faust.stream import AsRead, Stream

TOPIC = "olvido.requests.v1"
NOW, BEFORE = 7, 6  # generations of the group: how often partitions have moved
WITHIN_S = 0.01


class Town:
    """A Faust app without a broker, one stream of it, and what its consumer was told."""

    def __init__(self) -> None:
        self.tracked: list[int] = []
        app = faust.App("tests", broker="kafka://127.0.0.1:1", store="memory://", Stream=Stream)
        app.flow_control.resume()
        app.consumer_generation_id = NOW
        app.consumer = SimpleNamespace(
            unacked=set(),
            _unacked_messages=set(),
            track_message=lambda message: self.tracked.append(message.offset),
        )
        topic = app.topic(TOPIC, key_type=bytes, value_type=bytes)
        self.app = app
        self.stream = app.stream(topic)
        self.queue = self.stream.channel.queue

    def put(self, *offsets: int, generation: int = NOW) -> None:
        for offset in offsets:
            message = SimpleNamespace(topic=TOPIC, offset=offset, generation_id=generation, tracked=False)
            self.queue.put_nowait(SimpleNamespace(message=message))


def read(act: Callable[[Town, Callable[[], Awaitable[list[int]]]], Awaitable[None]], most: int = 3) -> None:
    """Do something with a town and what gives its next batch, by offsets."""

    async def main() -> None:
        town = Town()
        batches = town.stream.batches(most, within_s=WITHIN_S)

        async def take() -> list[int]:
            events = await asyncio.wait_for(anext(batches), 10)
            return [event.message.offset for event in events]

        await act(town, take)
        await batches.aclose()

    asyncio.run(main())


def test_a_batch_is_what_lies_there_up_to_its_size_and_in_order() -> None:
    async def act(town: Town, take: Callable[[], Awaitable[list[int]]]) -> None:
        town.put(*range(7))
        assert [await take(), await take(), await take()] == [[0, 1, 2], [3, 4, 5], [6]]
        assert town.tracked == list(range(7))

    read(act)


def test_what_comes_while_a_batch_is_handled_is_the_next_one() -> None:
    async def act(town: Town, take: Callable[[], Awaitable[list[int]]]) -> None:
        town.put(0)
        assert await take() == [0]
        town.put(1, 2)
        await asyncio.sleep(0)
        town.put(3)
        assert await take() == [1, 2, 3]

    read(act)


def test_who_finds_few_waits_a_little_for_more() -> None:
    async def act(town: Town, take: Callable[[], Awaitable[list[int]]]) -> None:
        taking = asyncio.ensure_future(take())
        await asyncio.sleep(0)
        town.put(0)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        town.put(1)
        assert await taking == [0, 1]

    read(act)


def test_what_was_fetched_before_partitions_moved_is_not_handed_over() -> None:
    async def act(town: Town, take: Callable[[], Awaitable[list[int]]]) -> None:
        town.put(0, 1, 2, generation=BEFORE)
        town.put(3, generation=BEFORE)
        town.put(4)
        assert await take() == [4]
        assert town.tracked == [4]

    read(act)


def test_nothing_is_handed_over_while_partitions_move() -> None:
    async def act(town: Town, take: Callable[[], Awaitable[list[int]]]) -> None:
        town.put(0)
        town.app.flow_control.suspend()
        taking = asyncio.ensure_future(take())
        await asyncio.sleep(5 * WITHIN_S)
        assert not taking.done()
        town.app.flow_control.resume()
        town.put(1)
        assert await taking == [1]

    read(act)


def test_an_agent_that_is_stopped_comes_to_its_end() -> None:
    async def act(town: Town, take: Callable[[], Awaitable[list[int]]]) -> None:
        taking = asyncio.ensure_future(take())
        await asyncio.sleep(0)
        town.stream.channel._throw(StopAsyncIteration())
        with pytest.raises(StopAsyncIteration):  # of the generator, and not RuntimeError
            await taking

    read(act)


def test_an_error_that_is_thrown_into_the_channel_comes_out_of_it() -> None:
    async def act(town: Town, take: Callable[[], Awaitable[list[int]]]) -> None:
        await town.stream.channel.throw(LookupError("thrown"))
        with pytest.raises(LookupError, match="thrown"):
            await take()

    read(act)


@pytest.mark.parametrize("value", [b"\xff\xfe", b"", None])
def test_a_record_is_handed_on_as_it_was_read_whatever_is_in_it(value: bytes | None) -> None:
    """Faust would acknowledge what it cannot decode, and nobody would make a dead letter of it."""
    message = SimpleNamespace(key=b"\xff", value=value, headers=[("a", b"1"), ("a", b"2")])

    event = asyncio.run(AsRead().compile(faust.App("tests"))(message, propagate=True))

    assert event.message is message
