"""Which records of a partition were handled, as ranges of offsets."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class OffsetRange:
    """Offsets ``low`` to ``high`` of one partition, ``high`` not included."""

    topic: str
    partition: int
    low: int
    high: int


def ranges_of(coordinates: Iterable[tuple[str, int, int]]) -> tuple[OffsetRange, ...]:
    """The fewest ranges that hold some (topic, partition, offset), in order."""
    ranges: list[OffsetRange] = []
    for topic, partition, offset in sorted(set(coordinates)):
        last = ranges[-1] if ranges else None
        if last is not None and (last.topic, last.partition, last.high) == (topic, partition, offset):
            ranges[-1] = OffsetRange(topic, partition, last.low, offset + 1)
        else:
            ranges.append(OffsetRange(topic, partition, offset, offset + 1))
    return tuple(ranges)
