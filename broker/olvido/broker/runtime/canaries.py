"""Canaries: a record for each partition, written every ten seconds, which every group reads beside its work.

So a reader that is alive and does not read is found within a minute or so, also while nobody asks for
anything.
"""

from collections.abc import Callable
from datetime import datetime

from uuid_utils.compat import uuid7

from olvido.broker.contract import Publisher, Record
from olvido.broker.partitioning import partition_of
from olvido.schemas.codec import Codec
from olvido.schemas.envelope import headers_of

CANARIES_EVERY_S = 10.0


def keys_for(partitions: int) -> tuple[bytes, ...]:
    """For each partition the first number that lands on it: so they are keyed as every record is."""
    found: dict[int, bytes] = {}
    number = 0
    while len(found) < partitions:
        key = str(number).encode()
        found.setdefault(partition_of(key, partitions), key)
        number += 1
    return tuple(key for _, key in sorted(found.items()))


class Canaries:
    """Writes them."""

    def __init__(
        self,
        codec: Codec[datetime],
        publisher: Publisher,
        *,
        partitions: int,
        source: str,
        clock: Callable[[], datetime],
    ) -> None:
        """
        Args:
            codec: of their topic.
            publisher: carries them.
            partitions: how many their topic has.
            source: the CloudEvents source.
            clock: what they say they were sent at.
        """
        self._keys = keys_for(partitions)
        self._codec = codec
        self._publisher = publisher
        self._source = source
        self._clock = clock

    def write(self) -> None:
        """Write one for each partition.

        Raises:
            Unavailable: the broker does not take them. Nothing is owed: the next ones come in ten seconds.
        """
        now = self._clock()
        value = self._codec.encode(now)
        headers = headers_of(uuid7(), "olvido.canary.v1", source=self._source, at=now)
        self._publisher.publish([Record(self._codec.topic.name, key, value, headers) for key in self._keys])
