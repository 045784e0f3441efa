"""What the agents do with the batches that Faust gives them."""

import asyncio
import tempfile
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from types import SimpleNamespace
from typing import Any

from olvido.broker.contract import Received
from olvido.broker.runtime.movement import Activity
from olvido.processors.engine_faust.app import LOG_APPEND_TIME, build_app
from olvido.schemas.settings.deployment import KafkaSection

TOPIC = "olvido.requests.v1"
WAIT_S = 10


def test_a_start_leaves_no_folder_behind(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    app = build_app(
        KafkaSection(bootstrap_servers="127.0.0.1:1"), group="tests", handlers={},
        activity=Activity(),
    )  # fmt: skip
    asyncio.run(app.on_first_start())
    assert list(tmp_path.iterdir()) == []


class Town:
    """A stream of three batches, a handler that takes its time, and what happened in which order."""

    def __init__(self) -> None:
        self.happened: list[str] = []
        self.activity = Activity()
        self.may_end = threading.Semaphore(0)
        app = build_app(
            KafkaSection(bootstrap_servers="127.0.0.1:1"),
            group="tests",
            handlers={TOPIC: self.handle},
            activity=self.activity,
        )
        [self.read] = [agent.fun for name, agent in app.agents.items() if TOPIC in name]

    def handle(self, batch: Sequence[Received]) -> None:
        self.happened.append(f"begin {batch[0].offset}")
        assert self.may_end.acquire(timeout=WAIT_S)
        self.happened.append(f"end {batch[0].offset}")

    async def batches(self, most: int, *, within_s: float) -> AsyncIterator[list[Any]]:
        for offset in range(3):
            self.happened.append(f"take {offset}")
            yield [self._event(offset), self._event(offset + 100)]
        await asyncio.Event().wait()

    def _event(self, offset: int) -> Any:
        message = SimpleNamespace(
            topic=TOPIC, partition=0, offset=offset, key=b"k", value=b"v", headers=(), timestamp=1.001,
            timestamp_type=LOG_APPEND_TIME,
        )  # fmt: skip
        return SimpleNamespace(message=message, ack=lambda: self.happened.append(f"ack {offset}"))

    async def until(self, what: str) -> None:
        deadline = asyncio.get_running_loop().time() + WAIT_S
        while what not in self.happened:
            assert asyncio.get_running_loop().time() < deadline, (what, self.happened)
            await asyncio.sleep(0.001)


def reading(check: Callable[[Town, asyncio.Task[None]], Awaitable[None]]) -> list[str]:
    """Have an agent read while a check looks on; what happened."""

    async def main() -> list[str]:
        town = Town()

        async def agent() -> None:
            async for _ in town.read(town):
                pass

        task = asyncio.create_task(agent())
        await check(town, task)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return town.happened

    return asyncio.run(main())


def test_a_batch_is_acknowledged_when_it_was_handled_and_before_the_next_is_asked_for() -> None:
    async def check(town: Town, _task: asyncio.Task[None]) -> None:
        for _ in range(3):
            town.may_end.release()
        await town.until("ack 102")

    assert reading(check) == [
        "take 0", "begin 0", "end 0", "ack 0", "ack 100",
        "take 1", "begin 1", "end 1", "ack 1", "ack 101",
        "take 2", "begin 2", "end 2", "ack 2", "ack 102",
    ]  # fmt: skip


def test_what_was_in_hand_when_an_agent_was_stopped_is_not_acknowledged() -> None:
    """It comes again, to whoever reads the partition then."""

    async def check(town: Town, task: asyncio.Task[None]) -> None:
        await town.until("begin 0")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        for _ in range(3):
            town.may_end.release()
        await town.until("end 0")  # the thread goes on to its end
        await asyncio.sleep(0.05)

    assert [word for word in reading(check) if word.startswith("ack")] == []
