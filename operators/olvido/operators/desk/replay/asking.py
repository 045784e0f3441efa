"""What a person may ask a replay for: topics, partitions, offsets, times, a file of ranges, and filters."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from uuid import UUID

from olvido.core.errors import InvalidInput, did_you_mean
from olvido.core.lifecycle import RequestState
from olvido.core.offsets import OffsetRange
from olvido.core.outcomes import Outcome
from olvido.core.replay import ReplaySelection
from olvido.core.rights.known import RIGHTS
from olvido.schemas.settings.deployment import Deployment
from olvido.schemas.topics import CONSENTS, REQUESTS

TOPICS: Mapping[str, str] = {"requests": REQUESTS.name, "consents": CONSENTS.name}
COLUMNS = ("topic", "partition", "from_offset", "to_offset")
NO_OUTCOME = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayQuery:
    """What is asked for, read and not yet compared with what there is."""

    topics: tuple[str, ...]
    selection: ReplaySelection
    partitions: tuple[int, ...] = ()  # all of them, if none is named
    from_offset: int | None = None
    to_offset: int | None = None
    ranges: tuple[OffsetRange, ...] = ()  # of a file; then nothing else says where

    def __post_init__(self) -> None:
        selection = self.selection
        by_time = selection.since or selection.until
        if by_time and (self.from_offset is not None or self.to_offset is not None):
            raise InvalidInput("since", "a span of time cannot be joined with offsets: give one of the two")
        if selection.purposes and (selection.rights or selection.states):
            raise InvalidInput(
                "purpose",
                "is of consent changes, a right and a state are of requests: plan them one after the other",
            )


def topic_of(text: str) -> str:
    """The full name of a topic that can be replayed; ``requests`` and ``consents`` for short.

    Raises:
        InvalidInput: there is no such topic, or none that can be replayed.
    """
    name = TOPICS.get(text, text)
    if name not in TOPICS.values():
        hint = did_you_mean(text, [*TOPICS, *TOPICS.values()])
        raise InvalidInput("topic", f"{text!r} cannot be replayed{hint}")
    return name


def selection_of(
    deployment: Deployment,
    *,
    sinks: Sequence[str] = (),
    rights: Sequence[str] = (),
    purposes: Sequence[str] = (),
    states: Sequence[str] = (),
    outcomes: Sequence[str] = (),
    ids: Sequence[UUID] = (),
    subject: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> ReplaySelection:
    """The filters, each value one that there is.

    Raises:
        InvalidInput: naming the filter, and the nearest value that there is.
    """
    if subject is not None and not subject.startswith("h"):
        raise InvalidInput("subject", "is a pseudonym such as h1_…, never an identity")
    return ReplaySelection(
        since=since,
        until=until,
        sinks=_known("sink", sinks, list(deployment.sinks)),
        rights=_known("right", [right.upper() for right in rights], [right.value for right in RIGHTS]),
        purposes=_known("purpose", purposes, deployment.purposes),
        states=_known("state", states, [state.value for state in RequestState]),
        outcomes=_known("outcome", outcomes, [NO_OUTCOME, *(outcome.value for outcome in Outcome)]),
        ids=tuple(ids),
        subject=subject,
    )


def read_ranges(path: Path) -> tuple[OffsetRange, ...]:
    """Ranges out of a CSV file with the columns ``topic,partition,from_offset,to_offset`` and any others.

    A plan's partitions, written as CSV, are such a file.

    Raises:
        InvalidInput: the file cannot be read, or a line of it; with the line's number.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            missing = [column for column in COLUMNS if column not in (reader.fieldnames or ())]
            if missing:
                raise InvalidInput(
                    "ranges", f"line 1: has no column {missing[0]}; it must name {','.join(COLUMNS)}"
                )
            ranges = tuple(_range(row, reader.line_num) for row in reader)
    except OSError as error:
        raise InvalidInput("ranges", f"cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error):
        raise InvalidInput("ranges", "is not CSV in UTF-8") from None
    if not ranges:
        raise InvalidInput("ranges", f"holds no range; after the line {','.join(COLUMNS)} one a line")
    return tuple(_merged(sorted(ranges)))


def _merged(ranges: Sequence[OffsetRange]) -> list[OffsetRange]:
    """Ranges that overlap or touch as one: no record is selected twice."""
    merged: list[OffsetRange] = []
    for one in ranges:
        last = merged[-1] if merged else None
        if last and (last.topic, last.partition) == (one.topic, one.partition) and one.low <= last.high:
            merged[-1] = replace(last, high=max(last.high, one.high))
        else:
            merged.append(one)
    return merged


def _range(row: Mapping[str, str | None], line: int) -> OffsetRange:
    try:
        partition, low, high = (int(row[column] or "") for column in COLUMNS[1:])
        topic = topic_of(row["topic"] or "")
    except InvalidInput as error:
        raise InvalidInput("ranges", f"line {line}: topic: {error.reason}") from None
    except ValueError:
        raise InvalidInput(
            "ranges", f"line {line}: partition, from_offset and to_offset are whole numbers"
        ) from None
    if partition < 0 or low < 0 or low >= high:
        raise InvalidInput("ranges", f"line {line}: from_offset is not below to_offset, from 0 up")
    return OffsetRange(topic, partition, low, high)


def _known(field: str, given: Sequence[str], there_are: Sequence[str]) -> tuple[str, ...]:
    for value in given:
        if value not in there_are:
            raise InvalidInput(field, f"there is no {value!r}{did_you_mean(value, there_are)}")
    return tuple(dict.fromkeys(given))
