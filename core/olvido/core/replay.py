"""A replay: what is selected, what that comes to, how far it is, and what may be done with it next.

The same tasks go out again with the same ids and the same generation, so a sink that did the work
answers from memory. Pure values and rules; who counts and who sends is elsewhere.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from olvido.core.errors import InvalidInput
from olvido.core.offsets import Offset

FIRST = UUID(int=0)  # before every id


class ReplayState(StrEnum):
    """Where a replay stands."""

    PLANNED = "planned"
    RUNNING = "running"
    PAUSED = "paused"  # its runner waits
    INTERRUPTED = "interrupted"  # it has no runner; a repeat of run goes on where it was
    DONE = "done"
    CANCELLED = "cancelled"


# From which states a replay may come to which.
MOVES: Mapping[ReplayState, frozenset[ReplayState]] = {
    ReplayState.RUNNING: frozenset(
        {ReplayState.PLANNED, ReplayState.RUNNING, ReplayState.PAUSED, ReplayState.INTERRUPTED}
    ),
    ReplayState.PAUSED: frozenset({ReplayState.RUNNING}),
    ReplayState.INTERRUPTED: frozenset({ReplayState.RUNNING, ReplayState.PAUSED}),
    ReplayState.DONE: frozenset({ReplayState.RUNNING}),
    ReplayState.CANCELLED: frozenset(
        {ReplayState.PLANNED, ReplayState.RUNNING, ReplayState.PAUSED, ReplayState.INTERRUPTED}
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplaySelection:
    """Which sources, and which of their tasks. What is empty does not narrow."""

    since: datetime | None = None
    until: datetime | None = None  # not included
    sinks: tuple[str, ...] = ()
    rights: tuple[str, ...] = ()
    purposes: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    outcomes: tuple[str, ...] = ()  # ``none`` is a task that has none yet
    ids: tuple[UUID, ...] = ()  # of requests or consent changes
    subject: str | None = None

    @property
    def needs_ledger(self) -> bool:
        """Whether only what the ledger knows can be selected: a record alone does not say these things."""
        return bool(
            self.sinks
            or self.rights
            or self.purposes
            or self.states
            or self.outcomes
            or self.ids
            or self.subject
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptRange:
    """What the broker holds of one partition."""

    topic: str
    partition: int
    start: int  # the oldest offset that is still kept
    end: int  # the offset that the next record will get


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Offsets ``low`` to before ``high`` of one partition."""

    topic: str
    partition: int
    low: int
    high: int
    kept: int  # below this offset the topic holds nothing any more, and times are the ledger's


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionCount:
    """What a plan selects of one partition."""

    topic: str
    partition: int
    from_offset: int
    to_offset: int  # not included
    records: int  # requests and consent changes that the ledger knows
    tasks: int  # that are sent again
    new: int  # of these: nobody has answered them for good
    applied: int  # of these: answered, so that the sink answers from its memory
    forgotten: int  # not sent: nobody can read them any more
    unread: int  # records that the ledger does not know: read from the topic, and handled as new ones


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkCount:
    """What a plan asks of one sink."""

    sink: str
    tasks: int
    new: int
    applied: int
    forgotten: int
    rate: float  # tasks a second: what its quota and the replay's own rate allow

    @property
    def seconds(self) -> float:
        """How long it takes at least."""
        return self.tasks / self.rate


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a replay will do. Made once; running it changes nothing in it."""

    cluster_id: str
    ledger_id: str
    selection: ReplaySelection
    issued: tuple[str, ...]  # the sinks whose tasks are sent
    windows: tuple[Window, ...]
    places: tuple[PartitionCount, ...]
    sinks: tuple[SinkCount, ...]
    waiting: int  # records that the processors have yet to read: theirs to do, and left to them
    rate: float  # tasks a second, all sinks together

    @property
    def tasks(self) -> int:
        """How many tasks are sent."""
        return sum(place.tasks for place in self.places)

    @property
    def records(self) -> int:
        """How many records are gone through."""
        return sum(place.records + place.unread for place in self.places)

    @property
    def unread(self) -> int:
        """How many records the ledger does not know."""
        return sum(place.unread for place in self.places)

    @property
    def seconds(self) -> float:
        """How long it takes at least: sinks share one walk, so the slowest sets the pace."""
        return max([self.tasks / self.rate, *(sink.seconds for sink in self.sinks)])


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What a run has done so far."""

    records: int = 0
    tasks: int = 0
    forgotten: int = 0
    unread: int = 0  # records that were read from the topic
    handled: int = 0  # of these: new, and handed to the processors' own handlers
    by_sink: Mapping[str, int] = field(default_factory=dict)

    def plus(
        self,
        *,
        records: int = 0,
        sinks: Iterable[str] = (),
        forgotten: int = 0,
        unread: int = 0,
        handled: int = 0,
    ) -> "Counts":
        """The counts with one more piece of work."""
        by_sink = dict(self.by_sink)
        for sink in sinks:
            by_sink[sink] = by_sink.get(sink, 0) + 1
        return replace(
            self,
            records=self.records + records,
            tasks=sum(by_sink.values()),
            forgotten=self.forgotten + forgotten,
            unread=self.unread + unread,
            handled=self.handled + handled,
            by_sink=by_sink,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayPosition:
    """How far a run is.

    All of the sources up to ``after`` are sent. What was sent of those behind it, by a run that
    was killed, lies at ``ends`` or beyond: there it is looked for, and not sent again.
    """

    after: UUID = FIRST
    known_done: bool = False  # every source that the ledger knows is behind it
    ends: tuple[Offset, ...] = ()
    read: tuple[Offset, ...] = ()  # of the records that the ledger does not know: the offset to go on at
    counts: Counts = field(default_factory=Counts)


def window(
    kept: KeptRange,
    *,
    known_end: int,
    low: int | None,
    high: int | None,
    at_since: int | None = None,
    at_until: int | None = None,
) -> Window:
    """The offsets of one partition that are asked for.

    Args:
        kept: what the broker holds of it.
        known_end: the offset after the last record that the ledger knows of it.
        low, high: the offsets to begin and to end at; None where none is given.
        at_since, at_until: the first offsets at or after the instants that are asked for.

    Raises:
        InvalidInput: the range is reversed, or lies beyond the end. Nothing was sent.
    """
    end = max(kept.end, known_end)
    place = f"{kept.topic}[{kept.partition}]"
    if low is not None and high is not None and low >= high:
        raise InvalidInput(
            "from_offset", f"is not below the offset to end at ({low} to {high} at {place}); swap them"
        )
    if low is not None and low > end:
        raise InvalidInput("from_offset", f"{low} is beyond the end of {place}, which is {end}")
    if high is not None and high > end:
        raise InvalidInput("to_offset", f"{high} is beyond the end of {place}, which is {end}")
    if low is None:
        # At the oldest that is kept or below it, older ones may be meant, which only the ledger knows.
        low = 0 if at_since is None or at_since <= kept.start else at_since
    if high is None:
        high = end if at_until is None else at_until
    return Window(topic=kept.topic, partition=kept.partition, low=low, high=max(low, high), kept=kept.start)


def check_times(since: datetime | None, until: datetime | None, *, now: datetime) -> None:
    """Check that a span of time can hold something.

    Raises:
        InvalidInput: it is reversed, or begins in the future.
    """
    if since is not None and since > now:
        raise InvalidInput("since", f"is in the future; it is {now:%Y-%m-%dT%H:%M:%SZ}")
    if since is not None and until is not None and since >= until:
        raise InvalidInput("since", "is not before the end of the span; swap them")
