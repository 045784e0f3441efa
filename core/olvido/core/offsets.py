"""Where records are in Kafka, in Kafka's own words."""

from dataclasses import dataclass

Partition = tuple[str, int]  # a topic and the number of one of its partitions


@dataclass(frozen=True, slots=True)
class Offset:
    """An offset in a partition."""

    topic: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True, order=True)
class OffsetRange:
    """Offsets ``low`` to ``high`` of one partition, ``high`` not included."""

    topic: str
    partition: int
    low: int
    high: int
