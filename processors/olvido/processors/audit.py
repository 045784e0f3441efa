"""Offsets are audited, not trusted: what lies below the committed offset and was not handled is read again.

Faust is known to commit over messages that were not processed (faust#606). The transaction that
saves a batch also notes its offsets, so each such loss is a hole that one query finds; it
becomes a late delivery with an alarm.
"""

import logging
from collections.abc import Mapping, Sequence

from olvido.broker.admin import committed_ranges, read_range
from olvido.broker.contract import Handler
from olvido.ledger.progress import OffsetRange
from olvido.ledger.store import Ledger
from olvido.schemas.deployment import KafkaSection

logger = logging.getLogger("olvido.processors")

BATCH_MAX = 1000


class Audit:
    """Compares the committed offsets of one group with what the ledger says was handled."""

    def __init__(
        self, kafka: KafkaSection, ledger: Ledger, *, group: str, handlers: Mapping[str, Handler]
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
        committed = committed_ranges(self._kafka, group=self._group, topics=sorted(self._handlers))
        return self._ledger.holes(
            [
                OffsetRange(topic, partition, low, high)
                for topic, partition, low, high in committed
                if low < high
            ]
        )

    def run_once(self) -> int:
        """Read each hole again, through the same handler; returns how many records that were.

        A repeat finds what is left: a handled record is no hole any more. A record that retention
        has deleted lies below the partition's first offset and is no hole either.

        Raises:
            Unavailable: the broker, the ledger or the registry does not answer.
        """
        count = 0
        for hole in self.holes():
            batch = list(read_range(self._kafka, hole.topic, hole.partition, hole.low, hole.high))
            for start in range(0, len(batch), BATCH_MAX):
                self._handlers[hole.topic](batch[start : start + BATCH_MAX])
            self._ledger.count_reread(hole.topic, hole.partition, len(batch))
            logger.error(
                "AUDIT: %s[%d] was committed over %d unhandled records at %d to %d; they were read again",
                hole.topic, hole.partition, len(batch), hole.low, hole.high - 1,
            )  # fmt: skip
            count += len(batch)
        return count
