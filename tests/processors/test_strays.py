"""Records that are on another partition than their key's are said, and handled all the same."""

import logging

import pytest
from values import received

from olvido.broker.contract import Received
from olvido.broker.partitioning import partition_of
from olvido.processors.strays import LogsStrays

KEYS = [str(number).encode() for number in range(50)]


@pytest.mark.parametrize("partitions", [1, 6, 24, 1000])
def test_only_what_is_not_on_its_keys_partition_is_said(
    partitions: int, caplog: pytest.LogCaptureFixture
) -> None:
    handled: list[Received] = []
    handler = LogsStrays(handled.extend, lambda _topic: partitions)
    batch = [received(n, partition=partition_of(key, partitions), key=key) for n, key in enumerate(KEYS)]
    handler(batch)
    assert caplog.records == []
    stray = received(50, partition=partition_of(b"x", partitions) + 1, key=b"x")
    with caplog.at_level(logging.ERROR):
        handler([*batch, stray])
    [line] = caplog.records
    assert line.getMessage().startswith("PARTITIONER: 1 of 51 records of t are not")
    assert handled == [*batch, *batch, stray]


def test_each_topic_has_a_number_of_its_own(caplog: pytest.LogCaptureFixture) -> None:
    of = {"few": 2, "many": 24}
    batch = [
        received(n, topic=topic, partition=partition_of(key, of[topic]), key=key)
        for topic in of
        for n, key in enumerate(KEYS)
    ]
    LogsStrays(lambda _batch: None, of.__getitem__)(batch)
    assert caplog.records == []
