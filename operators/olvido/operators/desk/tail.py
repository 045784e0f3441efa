"""The records of a topic, masked; with a region's key and an act, in clear."""

import heapq
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from olvido.broker import groups, ranges
from olvido.broker.contract import Received
from olvido.core.acts import Act
from olvido.core.errors import ConfigError, InvalidInput, Refused, did_you_mean
from olvido.core.offsets import Partition
from olvido.ledger.acts import Acts
from olvido.operators.desk.faults import NoTopic
from olvido.operators.desk.ledger import database
from olvido.operators.desk.records import RecordReader, Seen, boxes_of, fields_of
from olvido.operators.desk.text import text_of
from olvido.operators.settings import private_keys
from olvido.schemas.privacy.opening import Forgotten, Opener
from olvido.schemas.settings.deployment import Deployment, KafkaSection
from olvido.schemas.topics import Topic


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """Where to begin or to end: an instant, or an end of the topic."""

    instant: datetime | None = None
    oldest: bool = False  # without an instant: the oldest that is kept, not the newest


OLDEST = End(oldest=True)
NEWEST = End()


@dataclass(frozen=True, slots=True, kw_only=True)
class TailQuery:
    """Which records are asked for."""

    topic: Topic
    start: End = OLDEST
    stop: End = NEWEST
    partitions: tuple[int, ...] = ()  # all of them, if none is named
    last: int | None = None  # only so many, the newest
    wanted: Mapping[str, Sequence[str]] = field(default_factory=dict)  # by field: how it is to be shown

    def __post_init__(self) -> None:
        since, until = self.start.instant, self.stop.instant
        if since is not None and until is not None and until < since:
            raise InvalidInput("to", "is before the instant to begin at")


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One record as it may be shown."""

    record: Mapping[str, Any]  # masked
    revealed: tuple[str, ...] | None = None  # who it is about, where that was asked for

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        if self.revealed is None:
            return dict(self.record)
        return {**self.record, "revealed": list(self.revealed)}


class Tail:
    """Reads a topic, and counts what it holds back."""

    def __init__(
        self, declared: Deployment, asked: TailQuery, opener: Opener | None = None, *, reveal_max: int = 0
    ) -> None:
        """
        Args:
            declared: the deployment.
            asked: which records.
            opener: opens the boxes of one region; without it nothing is revealed.
            reveal_max: how many records to reveal at most.

        Raises:
            ConfigError: there is no such topic.
            InvalidInput: it has no such partition.
        """
        self._kafka = declared.kafka
        self._reader = RecordReader(declared)
        self._asked = asked
        self._opener = opener
        self._left = reveal_max
        self._starts, self._ends = _range(declared.kafka, asked)
        self.held_back = 0  # records that were not revealed, since so many were

    def lines(self) -> Iterator[Line]:
        """What there is. A record that cannot be decoded is never left out."""
        yield from self._lines(_read(self._kafka, self._starts, self._ends, last=self._asked.last))

    def follow(self) -> Iterator[Line]:
        """What comes after that, without an end."""
        yield from self._lines(ranges.follow(self._kafka, self._ends))

    def _lines(self, records: Iterable[Received]) -> Iterator[Line]:
        for record in records:
            seen = self._reader.see(record)
            masked = self._reader.masked(seen)
            # Compared as it is shown: or a filter could ask, letter by letter, what is masked.
            if seen.refused is None and not _matches(masked["value"], self._asked.wanted):
                continue
            is_open = self._opener is not None and seen.refused is None
            yield Line(record=masked, revealed=tuple(self._open(seen)) if is_open else None)

    def _open(self, seen: Seen) -> list[str]:
        """The person that the record is about, or why that is not shown."""
        assert self._opener is not None
        if not self._left:
            self.held_back += 1
            return []
        self._left -= 1
        lines = []
        for box, asked in boxes_of(seen.value):
            if box.region != self._opener.region:
                continue
            try:
                identities = self._opener.open(box, asked)
                lines += [f"{identity.kind.value} {identity.value}" for identity in identities]
            except Forgotten:
                lines.append("forgotten: its key is destroyed")
            except Refused as refused:
                lines.append(f"does not open: {refused.reason}")
        return lines


def _range(kafka: KafkaSection, asked: TailQuery) -> tuple[dict[Partition, int], dict[Partition, int]]:
    """Where to begin and where to end in each partition."""
    name = asked.topic.name
    oldest, ends = groups.start_offsets(kafka, [name]), groups.end_offsets(kafka, [name])
    if not ends:
        raise NoTopic("topic", f"{name} is not at the broker")
    for number in asked.partitions:
        if (name, number) not in ends:
            raise InvalidInput("partition", f"{name} has 0 to {len(ends) - 1}")

    def offsets(end: End) -> dict[Partition, int]:
        if end.instant is not None:
            return groups.offsets_at(kafka, [name], end.instant)
        return oldest if end.oldest else ends

    starts, stops = offsets(asked.start), offsets(asked.stop)
    chosen = {place for place in ends if not asked.partitions or place[1] in asked.partitions}
    # What retention takes between two questions is simply not there any more.
    return (
        {place: min(starts[place], stops[place]) for place in chosen},
        {place: stops[place] for place in chosen},
    )


def _read(
    kafka: KafkaSection, starts: Mapping[Partition, int], ends: Mapping[Partition, int], *, last: int | None
) -> Iterable[Received]:
    """The records of a range, in the order in which the broker took them."""

    def of(place: Partition) -> Iterator[Received]:
        # The newest of all are among the newest of each partition.
        low = starts[place] if last is None else max(starts[place], ends[place] - last)
        return ranges.read_range(kafka, *place, [(low, ends[place])] if low < ends[place] else [])

    merged = heapq.merge(*map(of, sorted(starts)), key=lambda record: record.timestamp_ms)
    return merged if last is None else deque(merged, maxlen=last)


def filters_of(topic: Topic, filters: Sequence[str]) -> dict[str, list[str]]:
    """What is asked of which field.

    Raises:
        InvalidInput: not of the form, or the topic's records have no such field.
    """
    known = {field["name"] for field in fields_of(topic)}
    wanted: dict[str, list[str]] = {}
    for text in filters:
        field, equals, glob = text.partition("=")
        if not equals or not glob:
            raise InvalidInput("filters", "is FIELD=GLOB, such as action=ERASE or purpose=market*")
        if field.split(".")[0] not in known:
            raise InvalidInput("filters", f"{topic.name} has no such field{did_you_mean(field, known)}")
        wanted.setdefault(field, []).append(glob)
    return wanted


def _matches(value: Any, wanted: Mapping[str, Sequence[str]]) -> bool:  # noqa: ANN401
    """Whether every field that is asked for is, somewhere, as it is asked for."""
    return all(
        any(fnmatchcase(text_of(found), glob) for found in _at(value, field.split(".")))
        for field, globs in wanted.items()
        for glob in globs
    )


def _at(value: Any, path: Sequence[str]) -> Iterator[Any]:  # noqa: ANN401
    """What stands at a path; in lists, at the path in each."""
    if isinstance(value, list):
        for item in value:
            yield from _at(item, path)
    elif not path:
        yield value
    elif isinstance(value, Mapping) and path[0] in value:
        yield from _at(value[path[0]], path[1:])


def opener_of(declared: Deployment, topic: Topic, region: str) -> Opener:
    """What opens a region's boxes on this machine.

    Raises:
        InvalidInput: there is no such region, or no box on that topic.
        ConfigError: its private key is not here.
    """
    if not {"box", "boxes"} & {field["name"] for field in fields_of(topic)}:
        raise InvalidInput("reveal", f"{topic.name} holds no sealed boxes: there is nothing to reveal")
    if region not in declared.regions:
        raise InvalidInput("reveal", f"there is no region {region!r}{did_you_mean(region, declared.regions)}")
    folder: Path = declared.keys.private_dir or private_keys(region)
    if not folder.is_dir():
        raise ConfigError(
            f"keys.private_dir: this machine has no private key of region {region}; "
            "reveal where its sinks run, or give OLVIDO_KEYS__PRIVATE_DIR"
        )
    return Opener(region, folder)


def record_reveal(declared: Deployment, act: Act) -> None:
    """Record who reveals what, before anything is opened.

    Killed after it, an act stands there that showed nothing.

    Raises:
        Unavailable: the ledger does not answer; then nothing may be revealed either.
    """
    Acts(database(declared)).record(act)
