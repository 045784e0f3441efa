"""Offsets are audited, not trusted: what lies below the committed offset and was not handled is read again.

Faust is known to commit over messages that were not processed (faust#606). A batch's offsets are
noted when it is saved and all that it asks for was published, so each such loss is a hole that one
query finds; it becomes a late delivery with an alarm. A topic that is made anew begins with offset 0 again:
it has another id, and what was handled of the one before says nothing about it.
"""

import logging
from collections.abc import Mapping, Sequence

from olvido.broker.contract import Handler, Lag
from olvido.broker.groups import lag, topic_ids
from olvido.broker.ranges import read_range
from olvido.broker.runtime.metrics import AUDIT_GAPS, AUDIT_REREAD
from olvido.core.offsets import OffsetRange
from olvido.ledger.store import Ledger
from olvido.schemas.settings.deployment import KafkaSection

logger = logging.getLogger("olvido.processors")

REREAD_MAX = 1000


class Audit:
    """Compares the committed offsets of one group with what the ledger says was handled."""

    def __init__(
        self,
        kafka: KafkaSection,
        ledger: Ledger,
        *,
        group: str,
        handlers: Mapping[str, Handler],
    ) -> None:
        self._kafka = kafka
        self._ledger = ledger
        self._group = group
        self._handlers = handlers

    def holes(self) -> Sequence[OffsetRange]:
        """The records that were committed over and never handled.

        Raises:
            Unavailable: the broker or the ledger does not answer.
        """
        return self._holes(lag(self._kafka, self._group, sorted(self._handlers)))

    def run_once(self) -> int:
        """Read each hole again, through the same handler; returns how many records that were.

        A repeat finds what is left: a handled record is no hole any more. A record that retention
        has deleted lies below the partition's first offset and is no hole either.

        Raises:
            Unavailable: the broker, the ledger or the registry does not answer.
        """
        count = 0
        for topic in self._ledger.progress.forget_made_anew(topic_ids(self._kafka, sorted(self._handlers))):
            logger.warning("AUDIT: %s was made anew: nothing of it counts as handled", topic)
        holes = self.holes()
        AUDIT_GAPS.set(sum(hole.high - hole.low for hole in holes))
        for hole in holes:
            batch = list(read_range(self._kafka, hole.topic, hole.partition, [(hole.low, hole.high)]))
            for start in range(0, len(batch), REREAD_MAX):
                self._handlers[hole.topic](batch[start : start + REREAD_MAX])
            # What the broker does not hold any more is no hole either, or it would be looked for for ever.
            self._ledger.progress.fill(hole, reread=len(batch))
            logger.error(
                "AUDIT: %s[%d] was committed over %d unhandled records at %d to %d; they were read again",
                hole.topic, hole.partition, len(batch), hole.low, hole.high - 1,
            )  # fmt: skip
            AUDIT_REREAD.inc(len(batch))
            count += len(batch)
        return count

    def _holes(self, lags: Sequence[Lag]) -> list[OffsetRange]:
        return self._ledger.progress.holes(
            [
                OffsetRange(one.topic, one.partition, one.start, one.committed)
                for one in lags
                if one.committed is not None and one.start < one.committed
            ]
        )
