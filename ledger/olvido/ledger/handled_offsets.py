"""Which records of a partition were handled, as ranges of offsets."""

from collections.abc import Iterable, Mapping, Sequence

from olvido.core.offsets import OffsetRange
from olvido.ledger.connection import Database, Transaction, columns


class HandledOffsets:
    """Which records were handled. A range that is added again changes nothing."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, handled: Sequence[OffsetRange]) -> None:
        """Note records as handled: what they ask for is saved and published."""
        with self._database.transaction() as transaction:
            add(transaction, handled)

    def fill(self, hole: OffsetRange, *, reread: int) -> None:
        """Note a hole as handled, and how many of its records the audit read again."""
        with self._database.transaction() as transaction:
            add(transaction, [hole])
            transaction.run("count_reread", topic=hole.topic, partition=hole.partition, count=reread)

    def forget_made_anew(self, topic_ids: Mapping[str, str]) -> list[str]:
        """Forget what was handled of topics that were made anew since; returns their names.

        A topic that is made anew begins at offset 0: its records would pass for those of before.

        Args:
            topic_ids: by topic, the id that its cluster gave it.
        """
        if not topic_ids:
            return []
        named = {"topics": [*topic_ids], "topic_ids": [*topic_ids.values()]}
        with self._database.transaction() as transaction:
            anew = [topic for (topic,) in transaction.rows("topics_made_anew", **named)]
            if anew:
                transaction.run("forget_progress", topics=anew)
            transaction.run("note_topics", **named)
        return anew

    def holes(self, asked: Sequence[OffsetRange]) -> list[OffsetRange]:
        """Which records of some ranges nobody has handled."""
        if not asked:
            return []
        with self._database.transaction() as transaction:
            return [OffsetRange(*row) for row in transaction.rows("holes", **arrays(asked))]


def add(transaction: Transaction, handled: Sequence[OffsetRange]) -> None:
    """Note records as handled in the transaction that handles them."""
    if handled:
        transaction.run("add_progress", **arrays(handled))


def arrays(ranges: Sequence[OffsetRange]) -> dict[str, list[object]]:
    """Ranges as the columns that queries take."""
    return columns(ranges, "topic", "partition", "low", "high")


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
