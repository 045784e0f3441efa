"""The loop on a group whose partitions move while a batch waits: what no real broker does on demand."""

import random
from collections.abc import Sequence
from unittest.mock import patch

from simulation.carriers import ConsumerTwin, Group, Member
from simulation.faults import Faults
from simulation.history import History
from simulation.process import Process
from simulation.scheduler import Scheduler

from olvido.broker import commits as commits_module
from olvido.broker import loop as loop_module
from olvido.broker.contract import Received, Record
from olvido.broker.loop import Loop
from olvido.broker.memory import MemoryBroker
from olvido.core.errors import Unavailable


class _Never:
    def is_set(self) -> bool:
        return False


def test_a_partition_that_went_and_came_back_while_a_batch_waited_is_not_set_back():
    """Found by the simulation: the lag of a sink stayed, and who looks at it held back its tasks for ever."""
    scheduler = Scheduler(random.Random(1))
    process = Process("sink/1", "sink", scheduler, Faults(scheduler.rng, frozenset()), History())
    other = Member(Process("sink/2", "sink", scheduler, process.faults, process.history))
    broker = MemoryBroker({"tasks": 1})
    group = Group("group", ["tasks"], broker)
    broker.publish([Record("tasks", b"key", b"1"), Record("tasks", b"key", b"2")])
    committed: list[int] = []

    def handler(batch: Sequence[Received]) -> None:
        if batch[0].offset < 2:
            if not committed:
                committed.append(0)
                # While it waits, another member is given the partition, does the work, and gives it back.
                process.start(meanwhile)
            raise Unavailable("the target does not answer")
        committed.append(broker.committed("group", "tasks", 0))

    def meanwhile() -> None:
        scheduler.sleep(5.0)
        group.members.append(other)
        group.owner["tasks", 0].lost.append(("tasks", 0))
        group.owner["tasks", 0] = other
        group.commit(other, ("tasks", 0), 2)
        scheduler.sleep(20.0)
        group.leave(other)
        scheduler.sleep(60.0)
        broker.publish([Record("tasks", b"key", b"3")])

    def consumer(kafka, *, more, **_):
        return ConsumerTwin(process, group, more["on_commit"])

    with (
        patch.object(loop_module, "open_consumer", consumer),
        patch.object(loop_module, "time", scheduler),
        patch.object(commits_module, "time", scheduler),
        patch.object(loop_module, "delays", lambda: iter([60.0] * 10)),
    ):
        loop = Loop(None, group="group", topics=["tasks"], handler=handler)
        process.start(lambda: loop.run(_Never()))
        while len(committed) < 2:
            scheduler.turn()
        for _ in range(5):
            scheduler.turn()
        assert committed[1] == 2
        assert broker.committed("group", "tasks", 0) == 3
        assert loop.counters.dropped == 2
        process.alive = False
        scheduler.end()
