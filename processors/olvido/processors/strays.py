"""Records on another partition than their key's: some producer hashes keys in another way than all others."""

import logging
from collections.abc import Callable, Sequence

from olvido.broker.contract import Handler, Received
from olvido.broker.partitioning import partition_of

logger = logging.getLogger("olvido.processors")


class LogsStrays:
    """A handler that says which records are not where they belong, and then handles all of them."""

    def __init__(self, handler: Handler, partitions_of: Callable[[str], int]) -> None:
        """
        Args:
            handler: what is done with a batch.
            partitions_of: how many partitions a topic has.
        """
        self._handler = handler
        self._partitions_of = partitions_of

    def __call__(self, batch: Sequence[Received]) -> None:
        strays = [one for one in batch if one.key and one.partition != self._belongs(one.topic, one.key)]
        if strays:
            logger.error(
                "PARTITIONER: %d of %d records of %s are not on their key's partition; the order of a "
                "subject's events is lost: have that producer use murmur2_random",
                len(strays), len(batch), strays[0].topic,
            )  # fmt: skip
        self._handler(batch)

    def _belongs(self, topic: str, key: bytes) -> int:
        return partition_of(key, self._partitions_of(topic))
