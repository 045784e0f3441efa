"""Replays as the ledger sees them: what one would come to, what comes next, how far it is.

A run notes how far it is after each batch, in one transaction. Whatever it is interrupted by, at
most one batch is published and not noted; the position says where to look for that one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter

from olvido.core.acts import Act
from olvido.core.errors import OlvidoError
from olvido.core.offsets import OffsetRange, Partition
from olvido.core.outcomes import Outcome
from olvido.core.replay import MOVES, Plan, ReplayPosition, ReplayState
from olvido.ledger.acts import record
from olvido.ledger.connection import Database, Transaction, columns
from olvido.ledger.retention import keep_events

_PLAN = TypeAdapter(Plan)
_POSITION = TypeAdapter(ReplayPosition)

OfSink = tuple[str, int, str]  # topic, partition, sink


class Taken(OlvidoError):
    """Another process runs this replay: nothing was done here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """A saved plan, and how far it is."""

    operation_id: UUID
    name: str
    state: ReplayState
    has_runner: bool
    plan: Plan
    position: ReplayPosition
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplaySource:
    """A request or consent change that a plan selects, with those of its tasks that the plan selects."""

    source_id: UUID
    topic: str
    partition: int
    offset: int
    on_topic: bool  # whether the topic may still hold it
    event: bytes | None  # None where the ledger has deleted it
    tasks: Mapping[str, tuple[int, Outcome | None]]  # by sink: generation and outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgottenTask:
    """A task that nobody can issue any more."""

    source_id: UUID
    sink: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """What a plan selects, before quotas and times are worked out."""

    records: Mapping[Partition, tuple[int, int]]  # how many, and the first offset
    tasks: Mapping[OfSink, tuple[int, int]]  # how many, and how many nobody has answered for good
    forgotten: Mapping[OfSink, tuple[int, int]]  # of these, the same


class Replays:
    """The replays there are. May be shared between threads."""

    def __init__(self, database: Database) -> None:
        self.database = database

    # --- planning -----------------------------------------------------------------------------

    def identity(self) -> str:
        """Which ledger this is; a copy of it elsewhere is another one."""
        with self.database.transaction() as transaction:
            identity: str = transaction.rows("ledger_identity")[0][0]
        return identity

    def known_ends(self) -> dict[Partition, int]:
        """The offset after the last record of each partition that was ever handled."""
        with self.database.transaction() as transaction:
            return {(topic, partition): end for topic, partition, end in transaction.rows("known_ends")}

    def count(self, plan: Plan, *, destroyed: Sequence[tuple[str, bytes]]) -> Counted:
        """Count what a plan selects: set-based, a year of it in seconds.

        Args:
            plan: its counts are not looked at.
            destroyed: pairs of a sink and a mark in the events whose boxes it cannot open any more.
        """
        document = plan_document(plan)
        with self.database.transaction() as transaction:
            transaction.run("plan_large")
            records = transaction.rows("count_sources", plan=document)
            tasks = transaction.rows("count_tasks", plan=document)
            forgotten = (
                transaction.rows(
                    "count_forgotten",
                    plan=document,
                    sinks=[sink for sink, _ in destroyed],
                    key_ids=[mark for _, mark in destroyed],
                )
                if destroyed or any(window.low < window.kept for window in plan.windows)
                else []
            )
        return Counted(
            records={(topic, partition): (count, first) for topic, partition, count, first in records},
            tasks=_by_sink(tasks),
            forgotten=_by_sink(forgotten),
        )

    def unknown_records(self, ranges: Sequence[OffsetRange], *, group: str) -> list[OffsetRange]:
        """Which offsets of some ranges are in no row: neither a source nor a dead letter of a group."""
        if not ranges:
            return []
        with self.database.transaction() as transaction:
            transaction.run("plan_large")
            rows = transaction.rows(
                "unknown_records", **columns(ranges, "topic", "partition", "low", "high"), group=group
            )
        return [OffsetRange(*row) for row in rows]

    def known_sources(self, ids: Sequence[UUID]) -> set[UUID]:
        """Which of some ids the ledger knows."""
        with self.database.transaction() as transaction:
            return {source_id for (source_id,) in transaction.rows("known_sources", ids=list(ids))}

    def save(self, operation_id: UUID, name: str, plan: Plan, *, now: datetime) -> bool:
        """Save a plan under a name; False if the name is taken."""
        with self.database.transaction() as transaction:
            keep_events(transaction)
            return bool(
                transaction.rows(
                    "save_replay", operation_id=operation_id, name=name, plan=plan_document(plan), now=now
                )
            )

    def newest(self, *, name: str | None = None, limit: int = 50) -> list[Replay]:
        """Replays, newest first."""
        with self.database.transaction() as transaction:
            return [_replay(row) for row in transaction.records("find_replays", name=name, limit=limit)]

    def forgotten(self, operation_id: UUID, *, limit: int) -> list[Mapping[str, Any]]:
        """What a run could not issue."""
        with self.database.transaction() as transaction:
            return transaction.records("list_forgotten", operation_id=operation_id, limit=limit)

    # --- a run --------------------------------------------------------------------------------

    def begin(self, operation_id: UUID, act: Act) -> bool:
        """Become the one runner of a replay, with the record of the act; False if it is at its end.

        Raises:
            Taken: it has a runner.
        """
        with self.database.transaction() as transaction:
            _hold(transaction, operation_id)
            if not _move(transaction, operation_id, ReplayState.RUNNING, now=act.at):
                return False
            record(transaction, act)
        return True

    def move(self, operation_id: UUID, to: ReplayState, *, now: datetime, act: Act | None = None) -> bool:
        """Change the state; False if there is no way there from where it stands."""
        with self.database.transaction() as transaction:
            moved = _move(transaction, operation_id, to, now=now)
            if moved and act is not None:
                record(transaction, act)
        return moved

    def state(self, operation_id: UUID) -> ReplayState:
        """What a run is meant to do now."""
        with self.database.transaction() as transaction:
            return ReplayState(transaction.rows("state_of_replay", operation_id=operation_id)[0][0])

    def next(self, document: str, *, after: UUID, limit: int) -> list[ReplaySource]:
        """The sources after an id that a plan selects; none at the end.

        Args:
            document: the plan, as :func:`plan_document` writes it.
            after: the id of the last source that was taken.
            limit: how many at most.
        """
        with self.database.transaction() as transaction:
            transaction.run("plan_walk")
            rows = transaction.rows("walk_sources", plan=document, after=after, limit=limit)
        return [
            ReplaySource(
                source_id=source_id,
                topic=topic,
                partition=partition,
                offset=offset,
                on_topic=on_topic,
                event=None if event is None else bytes(event),
                tasks={
                    sink: (generation, outcome and Outcome(outcome))
                    for sink, generation, outcome in zip(
                        sinks or (), generations or (), outcomes or (), strict=True
                    )
                },
            )
            for source_id, topic, partition, offset, on_topic, event, sinks, generations, outcomes in rows
        ]

    def note(
        self, operation_id: UUID, position: ReplayPosition, *, forgotten: Sequence[ForgottenTask] = ()
    ) -> ReplayState:
        """Write how far a run is, with what it could not issue; returns what it is meant to do now.

        May be called again with the same values.

        Raises:
            Taken: the connection was lost, and another process became the runner meanwhile.
        """
        with self.database.transaction() as transaction:
            _hold(transaction, operation_id)
            if forgotten:
                transaction.run(
                    "insert_forgotten",
                    operation_id=operation_id,
                    **columns(forgotten, "source_id", "sink", "why"),
                )
            written = _POSITION.dump_json(position).decode()
            rows = transaction.rows("note_replay", operation_id=operation_id, position=written)
        return ReplayState(rows[0][0])

    def let_go(self) -> None:
        """This process runs no replay any more."""
        with self.database.transaction() as transaction:
            transaction.rows("let_go_of_replay")


def plan_document(plan: Plan) -> str:
    """A plan as the ledger keeps it, and as its queries read it."""
    return _PLAN.dump_json(plan).decode()


def _hold(transaction: Transaction, operation_id: UUID) -> None:
    # A lock of the session: it ends with this process, however that ends. Taken again at each note,
    # for a connection that was lost has let it go.
    if not transaction.rows("hold_replay", operation_id=operation_id)[0][0]:
        raise Taken("another process runs this replay; nothing was done here")


def _move(transaction: Transaction, operation_id: UUID, to: ReplayState, *, now: datetime) -> bool:
    ways = [state.value for state in MOVES[to]]
    return bool(
        transaction.rows("move_replay", **{"from": ways}, to=to.value, operation_id=operation_id, now=now)
    )


def _by_sink(rows: Sequence[tuple[Any, ...]]) -> dict[OfSink, tuple[int, int]]:
    return {(topic, partition, sink): (count, new) for topic, partition, sink, count, new in rows}


def _replay(row: Mapping[str, Any]) -> Replay:
    return Replay(
        operation_id=row["operation_id"],
        name=row["name"],
        state=ReplayState(row["state"]),
        has_runner=row["held"],
        plan=_PLAN.validate_python(row["plan"]),
        position=_POSITION.validate_python(row["position"]),
        created_at=row["created_at"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
    )
