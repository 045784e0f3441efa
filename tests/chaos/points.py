"""Named points between acts of I/O, at which a process can be told to kill itself.

Nothing of it is in the product: the rig starts the real program through ``victim.py``, which puts these
around its collaborators. An order is a file; who carries it out renames it first, so that it is done once.
"""

import os
import signal
from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import Any

ORDERS, NAME = "CHAOS_ORDERS", "CHAOS_NAME"

POINTS: Mapping[str, str] = {
    "read": "a batch is read, nothing of it is done",
    "begun": "the first statement of a transaction of the ledger is done",
    "effected": "all of it is done in a transaction that is not committed",
    "committed": "the transaction is committed, nothing is produced",
    "produced": "records are with the client library, the broker has not confirmed them",
    "delivered": "every record is confirmed, nothing is acknowledged",
    "acked": "all is acknowledged, the offset is not committed",
    "offset": "the offset is committed",
    "assigned": "in the callback that brings partitions",
    "revoked": "in the callback that takes partitions",
}


def order_path(orders: Path, name: str) -> Path:
    """Where the order for one process stands."""
    return orders / f"{name}.order"


class Obedient:
    """What a process knows of its order."""

    def __init__(self, orders: Path, name: str) -> None:
        self._path = order_path(orders, name)
        self._done = orders / f"{name}.done"
        self._order = ""
        self._passed = 0

    def passing(self, point: str) -> None:
        """Die here, if this is the point that was ordered, and the n-th passing of it."""
        try:
            order = self._path.read_text(encoding="ascii")
        except FileNotFoundError:
            return
        _, wanted, number = order.split()
        if wanted != point:
            return
        if order != self._order:
            self._order, self._passed = order, 0
        self._passed += 1
        if self._passed >= int(number):
            self._path.rename(self._done)
            os.kill(os.getpid(), signal.SIGKILL)


def put_points() -> None:
    """Put the points around the collaborators of this process. Called before the program starts."""
    passing = Obedient(Path(os.environ[ORDERS]), os.environ[NAME]).passing
    _in_the_broker(passing)
    _in_the_ledger(passing)
    _in_the_sinks(passing)
    _in_faust(passing)


Passing = Callable[[str], None]


def _before(owner: Any, name: str, point: str, passing: Passing) -> None:
    original = getattr(owner, name)

    @wraps(original)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        passing(point)
        return original(*args, **kwargs)

    setattr(owner, name, wrapped)


def _after(owner: Any, name: str, point: str, passing: Passing) -> None:
    original = getattr(owner, name)

    @wraps(original)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        passing(point)
        return result

    setattr(owner, name, wrapped)


def _in_the_broker(passing: Passing) -> None:
    from olvido.broker import kafka, loop

    class Producer(kafka.Producer):
        def produce(self, *args: Any, **kwargs: Any) -> None:
            super().produce(*args, **kwargs)
            passing("produced")

    class Consumer(kafka.Consumer):
        def commit(self, *args: Any, **kwargs: Any) -> Any:
            passing("acked")
            result = super().commit(*args, **kwargs)
            passing("offset")
            return result

    kafka.Producer, kafka.Consumer = Producer, Consumer  # type: ignore[misc]
    _before(kafka.KafkaPublisher, "publish", "committed", passing)
    _after(kafka.KafkaPublisher, "publish", "delivered", passing)
    _before(loop.Loop, "_on_assign", "assigned", passing)
    _before(loop.Loop, "_on_revoke", "revoked", passing)
    _before(loop.Loop, "_on_lost", "revoked", passing)


def _in_the_ledger(passing: Passing) -> None:
    from contextlib import contextmanager

    from olvido.ledger.connection import Database, Transaction

    original = Database.transaction

    @contextmanager
    def transaction(self: Database) -> Any:
        with original(self) as opened:
            yield opened
            passing("effected")

    Database.transaction = transaction  # type: ignore[method-assign]
    _after(Transaction, "run", "begun", passing)
    _after(Transaction, "rows", "begun", passing)


def _in_the_sinks(passing: Passing) -> None:
    from olvido.sinks.runner import SinkRunner
    from olvido.sinks.tables import sink as tables

    _before(SinkRunner, "__call__", "read", passing)
    _after(tables, "carry_out", "effected", passing)


def _in_faust(passing: Passing) -> None:
    from faust.transport.drivers import aiokafka

    from olvido.processors.handlers.batches import ConsentsHandler, RequestsHandler
    from olvido.processors.handlers.receipts import ReceiptsHandler

    for handler in (RequestsHandler, ConsentsHandler, ReceiptsHandler):
        _before(handler, "__call__", "read", passing)
    thread = aiokafka.AIOKafkaConsumerThread
    commit = thread._commit

    async def committing(self: Any, offsets: Any) -> bool:
        passing("acked")
        done = await commit(self, offsets)
        passing("offset")
        return done

    thread._commit = committing
    _before(aiokafka.ConsumerRebalanceListener, "on_partitions_assigned", "assigned", passing)
    _before(aiokafka.ConsumerRebalanceListener, "on_partitions_revoked", "revoked", passing)
