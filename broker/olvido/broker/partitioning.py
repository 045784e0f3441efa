"""On which partition a key is: the one rule that producers, processors and the in-memory broker share."""

import confluent_kafka


def partition_of(key: bytes, partitions: int) -> int:
    """The partition of a key, as Java, aiokafka and our publisher choose it (murmur2, sign bit off)."""
    return confluent_kafka.murmur2(key, partitions)
