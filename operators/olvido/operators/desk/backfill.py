"""Gives a sink that joins late what was decided before it came, batch by batch."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime

from olvido.core.catalogue import Catalogue
from olvido.core.errors import Refused
from olvido.core.ids import task_id
from olvido.ledger.backfills import Backfills, NewTask, Phase, Position, Source
from olvido.ledger.sink_operations import OpenOperation
from olvido.processors.stored import StoredEvents
from olvido.schemas.registry import Registry

BATCH_MAX = 1000


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

    def run(self, *, limit: int = BATCH_MAX) -> Iterator[Position]:
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
            if position.phase is Phase.END:
                return

    def _task(self, source: Source) -> NewTask:
        return NewTask(
            source_id=source.source_id,
            task_id=task_id(source.source_id, self._sink.name, source.action.value),
            action=source.action,
        )

    def _concerned(self, source: Source) -> bool:
        planned = self._events.tasks(source.action, source.event, self._catalogue)
        # Whom an event is about that is gone or unreadable cannot be known any more. Its task is owed all
        # the same, and the reconciler answers it as failed: a gap is shown and counted.
        return isinstance(planned, Refused) or bool(planned)
