"""Handles all that the recorder reads: receipts and dead letters, then what sinks found by looking again."""

from collections.abc import Sequence

from olvido.broker.contract import Received
from olvido.ledger.store import Ledger
from olvido.processors.emission import Emission
from olvido.processors.handlers.batches import Clock
from olvido.processors.handlers.looks import LooksHandler
from olvido.processors.handlers.receipts import ReceiptsHandler
from olvido.schemas.privacy.seals import ControlSeals
from olvido.schemas.registry import Registry


class RecordedHandler:
    """Of the topics of the recorder. Keeps :class:`olvido.broker.contract.Handler`."""

    def __init__(
        self, registry: Registry, ledger: Ledger, emission: Emission, seals: ControlSeals, *, clock: Clock
    ) -> None:
        self._looks = LooksHandler(registry, ledger, emission, seals, clock=clock)
        self._receipts = ReceiptsHandler(registry, ledger, emission, seals, clock=clock)

    def __call__(self, batch: Sequence[Received]) -> None:
        looks = [record for record in batch if record.topic == self._looks.codec.topic.name]
        # Killed between the two: both come again, and the first changes nothing the second time.
        if len(looks) < len(batch):
            self._receipts([record for record in batch if record.topic != self._looks.codec.topic.name])
        if looks:
            self._looks(looks)
