"""What Faust waits for, waited for in the same way and with fewer tasks."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from mode.services import Service

from olvido.processors.engine_faust.transport import Consumer, Eager, Transport


class Waiting(Eager):
    """A service with nothing else to it."""


class Refusal(Exception):
    """Raised by what is waited for."""


def run(act: Callable[[Service], Awaitable[Any]], kind: type[Service] = Waiting) -> Any:
    """Do something with a service, on a loop of its own."""

    async def main() -> Any:
        return await act(kind())

    return asyncio.run(main())


async def at_once() -> str:
    return "put"


async def never() -> None:
    await asyncio.get_running_loop().create_future()


def test_what_need_not_wait_is_done_at_once_and_without_a_task():
    async def act(service: Service) -> tuple[Any, set[Any]]:
        before = asyncio.all_tasks()
        waiting = service.wait_first(at_once(), never())
        with pytest.raises(StopIteration) as told:
            waiting.send(None)  # it did not give way to the loop
        return told.value.value, asyncio.all_tasks() - before

    done, tasks = run(act)
    assert done.results == ["put"]
    assert not done.stopped
    assert tasks == set()


@pytest.mark.parametrize("kind", [Waiting, Service])
def test_what_waits_goes_on_where_it_waits(kind: type[Service]):
    async def act(service: Service) -> Any:
        gates = [asyncio.Event(), asyncio.Event()]

        async def put() -> str:
            for gate in gates:
                await gate.wait()
                await asyncio.sleep(0)
            return "put"

        for number, gate in enumerate(gates):
            asyncio.get_running_loop().call_later(0.01 * (number + 1), gate.set)
        return await service.wait_first(put(), never())

    assert run(act, kind).results == ["put"]


@pytest.mark.parametrize("kind", [Waiting, Service])
def test_what_is_late_is_cancelled_and_may_tidy_up(kind: type[Service]):
    told: list[str] = []

    async def act(service: Service) -> Any:
        async def put() -> None:
            try:
                await never()
            except asyncio.CancelledError:
                await asyncio.sleep(0)  # to tidy up may take its time
                told.append("cancelled")
                raise

        suspended = asyncio.Event()
        asyncio.get_running_loop().call_later(0.01, suspended.set)
        results = await service.wait_first(put(), suspended.wait())
        await asyncio.sleep(0.01)
        return results

    assert run(act, kind).results == [True]
    assert told == ["cancelled"]


@pytest.mark.parametrize("kind", [Waiting, Service])
@pytest.mark.parametrize("waits", [False, True])
def test_what_is_raised_is_raised_to_whoever_waits(kind: type[Service], *, waits: bool):
    async def act(service: Service) -> None:
        async def put() -> None:
            if waits:
                await asyncio.sleep(0)
            raise Refusal

        await service.wait_first(put(), never())

    with pytest.raises(Refusal):
        run(act, kind)


def test_a_stop_ends_the_wait():
    async def act(service: Service) -> Any:
        asyncio.get_running_loop().call_later(0.01, service._stopped.set)
        return await service.wait_first(never(), never())

    assert run(act).stopped


def test_other_things_are_waited_for_as_faust_does():
    async def act(service: Service) -> Any:
        ready = asyncio.Event()
        ready.set()
        return await service.wait_first(ready)

    assert run(act).results == [True]


def test_the_consumer_of_the_transport_is_that_one():
    assert issubclass(Consumer, Eager)
    assert Transport.Consumer is Consumer
