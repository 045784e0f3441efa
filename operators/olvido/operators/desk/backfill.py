"""Gives a sink that joins late what was decided before it came, batch by batch."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime

from olvido.core.catalogue import Catalogue
from olvido.core.ids import task_id
from olvido.core.plan import plan_consent, plan_request
from olvido.core.tasks import Action
from olvido.ledger.backfills import Backfills, NewTask, Phase, Position, Source
from olvido.ledger.sink_operations import OpenOperation
from olvido.schemas.codec import consents_codec, requests_codec
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
        self._requests = requests_codec(registry)
        self._consents = consents_codec(registry)
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
        if source.event is None:
            # Whom it is about cannot be known any more. It is asked all the same, and answered as
            # forgotten: a gap is shown and counted.
            return True
        if source.action is Action.CONSENT:
            return bool(plan_consent(self._consents.decode(source.event), self._catalogue))
        return bool(plan_request(self._requests.decode(source.event), self._catalogue))
