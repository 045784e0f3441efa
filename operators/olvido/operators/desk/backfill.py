"""Gives a sink that joins late what was decided before it came, batch by batch."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from uuid_utils.compat import uuid7

from olvido.core.acts import Verb
from olvido.core.catalogue import Catalogue
from olvido.core.errors import Refused
from olvido.core.ids import task_id
from olvido.core.sinks import OperationKind
from olvido.ledger.backfills import BackfillPhase, BackfillPosition, Backfills, BackfillSource, NewTask
from olvido.ledger.sink_operations import OpenOperation
from olvido.operators.desk.acts import new_act
from olvido.operators.desk.ledger import database
from olvido.operators.desk.sink_operations import Operation, newest
from olvido.operators.desk.topics import check_sink
from olvido.processors.stored import StoredEvents
from olvido.schemas.registry import Registry
from olvido.schemas.settings.deployment import Deployment

SOURCES_MAX = 1000
TICKS_MAX = 3  # looks of the reconciler, the first of which shows whether it knows the sink
LOOK_AGAIN_AFTER_S = 0.2


class Backfill:
    """One backfill, being carried on."""

    def __init__(
        self, registry: Registry, backfills: Backfills, catalogue: Catalogue, operation: OpenOperation, *,
        clock: Callable[[], datetime],
    ) -> None:  # fmt: skip
        """
        Args:
            registry: holds the schemas of what the ledger keeps.
            backfills: the ledger's share of it.
            catalogue: of the deployment; it holds the sink.
            operation: which one.
            clock: says when it is.
        """
        self._events = StoredEvents(registry)
        self._backfills = backfills
        self._sink = next(sink for sink in catalogue.sinks if sink.name == operation.sink)
        self._catalogue = replace(catalogue, sinks=(self._sink,))
        self._clock = clock
        self.operation = operation

    def run(self, *, limit: int = SOURCES_MAX) -> Iterator[BackfillPosition]:
        """Go on from where it is to the end; says after each batch how far it is.

        Raises:
            Unavailable: the ledger or the registry does not answer. What was saved stays.
        """
        while True:
            # Killed before the end of this block: the batch leaves nothing, and comes again. Killed
            # after it: its tasks are owed, the reconciler sends them, and the next batch is the next.
            with self._backfills.batch(
                self.operation, purposes=sorted(self._sink.purposes), now=self._clock(), limit=limit
            ) as batch:
                position = batch.save(
                    [self._task(source) for source in batch.sources if self._concerned(source)]
                )
            yield position
            if position.phase is BackfillPhase.END:
                return

    def _task(self, source: BackfillSource) -> NewTask:
        return NewTask(
            source_id=source.source_id,
            task_id=task_id(source.source_id, self._sink.name, source.action.value),
            action=source.action,
        )

    def _concerned(self, source: BackfillSource) -> bool:
        planned = self._events.tasks(source.action, source.event, self._catalogue)
        # Whom an event is about that is gone or unreadable cannot be known any more. Its task is owed all
        # the same, and the reconciler answers it as failed: a gap is shown and counted.
        return isinstance(planned, Refused) or bool(planned)


@dataclass(frozen=True, slots=True, kw_only=True)
class Joining:
    """A backfill that was begun, or goes on."""

    operation: OpenOperation
    position: BackfillPosition  # its ``known_at`` is None while no processors know the sink


def done_before(declared: Deployment, sink: str) -> Operation | None:
    """The backfill that has brought this sink up to date already, if there is one."""
    before = next(iter(newest(declared, OperationKind.BACKFILL, sink=sink, limit=1)), None)
    return before if before is not None and before.state == "done" else None


def join(declared: Deployment, sink: str, reason: str, *, now: datetime) -> Joining:
    """Begin the backfill of a sink, or take up the one that is open. A repeat changes nothing.

    Waits until processors publish that they know the sink: what they plan without it would be missing there.

    Raises:
        InvalidInput: there is no such sink, its topic is not there, or the reason cannot be recorded.
    """
    act = new_act(Verb.BACKFILL, reason, sink=sink)
    check_sink(declared, sink)
    backfills = Backfills(database(declared))
    operation = backfills.join(
        act,
        operation_id=uuid7(),
        name=f"backfill-{sink}-{now:%Y%m%d-%H%M%S}",
        sink=sink,
        purposes=declared.sinks[sink].purposes,
    )
    deadline = time.monotonic() + TICKS_MAX * declared.reconciler.every_s
    while (position := backfills.position(operation)).known_at is None and time.monotonic() <= deadline:
        time.sleep(LOOK_AGAIN_AFTER_S)
    return Joining(operation=operation, position=position)


def carry_on(declared: Deployment, joining: Joining) -> Iterator[BackfillPosition]:
    """Look through all that was asked before the sink came; says after each batch how far it is.

    Raises:
        Unavailable: the ledger or the registry does not answer. What was saved stays, a repeat goes on.
    """
    work = Backfill(
        Registry(declared.registry), Backfills(database(declared)), declared.catalogue,
        joining.operation, clock=lambda: datetime.now(UTC),
    )  # fmt: skip
    yield from work.run()
