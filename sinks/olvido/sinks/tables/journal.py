"""The memory of a target: which tasks were done there, what was answered, and what people decided.

It stands in the target itself, in schema ``olvido``, so that an effect and the memory of it
are one transaction. It holds no identity and no pseudonym but handles: task ids, counts and outcomes.
What is known is read, the later decision is chosen here, and written. Two transactions that do so at once are
told apart by the target: the second one fails, and begins again.
"""

import json
from collections.abc import Mapping, Sequence, Set
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import NamedTuple, TypeVar
from uuid import UUID

from olvido.core.consents import ConsentState
from olvido.core.events import Decision
from olvido.core.objections import ObjectionState
from olvido.core.outcomes import Outcome
from olvido.core.receipts import Receipt, receipt_for
from olvido.core.sql import statements
from olvido.core.standing import PurposeState, later
from olvido.core.tasks import IdempotencyKey, Task
from olvido.sinks.tables.dialect import Session
from olvido.sinks.tables.ownership import Key

S = TypeVar("S", bound=PurposeState)
OBJECTED = 2  # the rank that stands above all others, whenever it was


def row_key(key: Key) -> str:
    """A key as one text."""
    return key[0] if len(key) == 1 else json.dumps(key, ensure_ascii=False)


class RowMarkRow(NamedTuple):
    """A mark of a row, as the journal keeps it."""

    row_key: str
    purpose: str
    rank: int
    occurred_at: datetime
    event_id: UUID
    only_new: bool  # if the row follows it already, it is not the given one

    @property
    def order(self) -> tuple[bool, datetime, int, str]:
        """Its place: the greatest stands."""
        return _order(self.rank, self.occurred_at, str(self.event_id))


class Answer(NamedTuple):
    """What a receipt says beyond its task: all that the journal keeps, for a task brings the rest along."""

    outcome: Outcome
    counts: Mapping[str, int]
    detail: str
    applied_at: datetime
    verified_at: datetime | None

    def receipt(self, task: Task) -> Receipt:
        """The receipt of the task this is the answer to."""
        return receipt_for(
            task,
            self.outcome,
            applied_at=self.applied_at,
            verified_at=self.verified_at,
            counts=self.counts,
            detail=self.detail,
        )


def recalled(answers: Mapping[IdempotencyKey, Answer], batch: Sequence[Task]) -> Sequence[Receipt | None]:
    """What was answered to each task, in their order."""
    found = (answers.get(task.key) for task in batch)
    return [
        None if answer is None else answer.receipt(task) for answer, task in zip(found, batch, strict=True)
    ]


@cache
def queries(dialect: str) -> Mapping[str, str]:
    """The fixed SQL of one dialect, by name, from ``sql/<dialect>.sql``."""
    return statements((files("olvido.sinks") / "sql" / f"{dialect}.sql").read_text(encoding="utf-8"))


class Journal:
    """The journal, inside one open transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session
        # What earlier chunks have done of tasks that are not answered yet, as far as it was read.
        self.unfinished: dict[IdempotencyKey, Mapping[str, int]] = {}

    def remembered(self, keys: Sequence[IdempotencyKey]) -> Mapping[IdempotencyKey, Answer]:
        """The answers given before."""
        found: dict[IdempotencyKey, Answer] = {}
        for task_id, generation, outcome, counts, detail, applied_at, verified_at in self._session.named(
            "remembered", keys_of(keys)
        ):
            key = (UUID(task_id), generation)
            if not outcome:
                self.unfinished[key] = json.loads(counts)
                continue
            found[key] = Answer(
                outcome=Outcome(outcome),
                counts=json.loads(counts),
                detail=detail,
                applied_at=utc(applied_at),
                verified_at=verified_at and utc(verified_at),
            )
        return found

    def known(self, keys: Sequence[IdempotencyKey]) -> Set[IdempotencyKey]:
        """Which of these tasks were done before; what was answered is not read."""
        return {
            (UUID(task_id), generation) for task_id, generation in self._session.named("known", keys_of(keys))
        }

    def remember(self, answers: Mapping[IdempotencyKey, Answer]) -> None:
        """Keep new answers; the transaction fails if somebody else has done one of these tasks meanwhile.

        All are of this transaction's instant, and so is the reading back.
        """
        if finished := [key for key in answers if key in self.unfinished]:
            self._session.named("forget_progress", keys_of(finished))
        alike: dict[_Alike, int] = {}
        numbers = [
            alike.setdefault(_Alike(outcome, tuple(counts.items()), detail, verified is not None), len(alike))
            for outcome, counts, detail, _, verified in answers.values()
        ]
        self._session.named(
            "remember",
            {**keys_of(list(answers)), "answers": numbers},
            at=self._session.at,
            distinct=json.dumps([one.as_json(number) for one, number in alike.items()]),
        )

    def save_progress(self, key: IdempotencyKey, counts: Mapping[str, int]) -> Mapping[str, int]:
        """Add what one chunk of a task has done to what earlier chunks have; the sum."""
        known = self.unfinished.get(key, {})
        total = {name: known.get(name, 0) + counts.get(name, 0) for name in {**known, **counts}}
        self._session.named("save_progress", {**keys_of([key]), "counts": [json.dumps(total)]})
        return total

    # --- what people decided -------------------------------------------------------------------

    def states(self, pairs: Sequence[tuple[str, str]]) -> Mapping[tuple[str, str], ConsentState]:
        """What stands for each (handle, purpose), as far as anything is known."""
        return {(row[0], row[1]): _state(row) for row in self._session.named("states", _pairs(pairs))}

    def save_states(self, states: Sequence[ConsentState]) -> Mapping[tuple[str, str], ConsentState]:
        """Keep the later decision of each (handle, purpose); what now stands for each of them."""
        known = self.states([(state.handle, state.purpose) for state in states])
        standing, new = _chosen(known, states)
        if new:
            self._session.named(
                "save_states",
                {
                    **_pairs([(state.handle, state.purpose) for state in new]),
                    "occurred_at": [state.occurred_at for state in new],
                    "decisions": [state.decision.value for state in new],
                    "event_ids": [str(state.event_id) for state in new],
                    "policy_versions": [state.policy_version for state in new],
                },
            )
        return standing

    def objections(self, pairs: Sequence[tuple[str, str]]) -> Mapping[tuple[str, str], ObjectionState]:
        """The latest objection to each (handle, purpose), or what takes it back, as far as one is known."""
        rows = self._session.named("objections", _pairs(pairs)) if pairs else ()
        return {(row[0], row[1]): _objection(row) for row in rows}

    def save_objections(self, states: Sequence[ObjectionState]) -> Mapping[tuple[str, str], ObjectionState]:
        """Keep the later state of each (handle, purpose); what now stands for each of them."""
        known = self.objections([(state.handle, state.purpose) for state in states])
        standing, new = _chosen(known, states)
        if new:
            self._session.named(
                "save_objections",
                {
                    **_pairs([(state.handle, state.purpose) for state in new]),
                    "occurred_at": [state.occurred_at for state in new],
                    "request_ids": [str(state.request_id) for state in new],
                    "released": [state.released for state in new],
                },
            )
        return standing

    def objections_of(self, requests: Sequence[UUID]) -> Sequence[ObjectionState]:
        """What stands of the objections that these requests made."""
        rows = self._session.named("objections_of", {"request_ids": [str(one) for one in requests]})
        return [_objection(row) for row in rows]

    def objected(self, pairs: Sequence[tuple[str, str]]) -> Set[tuple[str, str]]:
        """Those of the (handle, purpose) pairs to which an objection stands."""
        return {pair for pair, state in self.objections(pairs).items() if not state.released}

    # --- rows ------------------------------------------------------------------------------------

    def save_row_marks(self, name: str, marks: Sequence[RowMarkRow]) -> Set[tuple[str, str]]:
        """Keep the mark that stands for each (row, purpose); those for which it is the given one."""
        ordered = sorted(marks, key=lambda one: one[:2])  # or two batches could wait for each other
        places = {"row_keys": [one.row_key for one in ordered], "purposes": [one.purpose for one in ordered]}
        known = {
            (row_key, purpose): _order(rank, utc(occurred_at), str(event_id))
            for row_key, purpose, rank, occurred_at, event_id in self._session.named(
                "row_marks", places, table=name
            )
        }
        ours = []
        for one in ordered:
            order = known.get((one.row_key, one.purpose))
            if order is None or one.order > order or (one.order == order and not one.only_new):
                ours.append(one)
        if ours:
            self._session.named(
                "save_row_marks",
                {
                    "row_keys": [one.row_key for one in ours],
                    "purposes": [one.purpose for one in ours],
                    "ranks": [one.rank for one in ours],
                    "occurred_at": [one.occurred_at for one in ours],
                    "event_ids": [str(one.event_id) for one in ours],
                },
                table=name,
            )
        return {(one.row_key, one.purpose) for one in ours}

    def release_row_marks(
        self, name: str, releases: Mapping[tuple[str, str], datetime]
    ) -> Set[tuple[str, str]]:
        """Forget marks of objections that are older than these instants, by (row, purpose); which ones."""
        ordered = sorted(releases)  # or two batches could wait for each other
        places = {"row_keys": [key for key, _ in ordered], "purposes": [purpose for _, purpose in ordered]}
        older = [
            (key, purpose)
            for key, purpose, rank, occurred_at, _ in self._session.named("row_marks", places, table=name)
            if rank == OBJECTED and utc(occurred_at) < releases[key, purpose]
        ]
        if older:
            self._session.named(
                "release_row_marks",
                {"row_keys": [key for key, _ in older], "purposes": [purpose for _, purpose in older]},
                table=name,
            )
        return set(older)

    def forget_row_marks(self, name: str, row_keys: Sequence[str]) -> None:
        """The rows are gone, and so are their marks."""
        self._session.named("forget_row_marks", {"row_keys": row_keys}, table=name)

    def lock_shared_rows(self, name: str, keys: Sequence[Key]) -> None:
        """Write down that these shared rows are asked about, so that two transactions cannot both ask."""
        texts = sorted({row_key(key) for key in keys})
        self._session.named("lock_shared_rows", {"row_keys": texts}, table=name)

    def forget_shared_rows(self, name: str, row_keys: Sequence[str]) -> None:
        """The shared rows are gone."""
        self._session.named("forget_shared_rows", {"row_keys": row_keys}, table=name)


class _Alike(NamedTuple):
    """What the answers to several tasks of a batch have alike."""

    outcome: Outcome
    counts: tuple[tuple[str, int], ...]
    detail: str
    verified: bool

    def as_json(self, number: int) -> Mapping[str, object]:
        return {"answer": number, **self._asdict(), "counts": dict(self.counts)}


def keys_of(keys: Sequence[IdempotencyKey]) -> dict[str, Sequence[object]]:
    """Task keys as two columns."""
    return {"task_ids": [task_id for task_id, _ in keys], "generations": [number for _, number in keys]}


def _chosen(
    known: Mapping[tuple[str, str], S], states: Sequence[S]
) -> tuple[Mapping[tuple[str, str], S], Sequence[S]]:
    """What stands for each (handle, purpose) of these states, and which of that is not kept yet."""
    standing = {
        (state.handle, state.purpose): later(known.get((state.handle, state.purpose), state), state)
        for state in states
    }
    return standing, [state for pair, state in standing.items() if state != known.get(pair)]


def _pairs(pairs: Sequence[tuple[str, str]]) -> dict[str, Sequence[object]]:
    return {"handles": [handle for handle, _ in pairs], "purposes": [purpose for _, purpose in pairs]}


def _order(rank: int, occurred_at: datetime, event_id: str) -> tuple[bool, datetime, int, str]:
    return (rank == OBJECTED, occurred_at, rank, event_id)


def _state(row: tuple[str, str, datetime, str, object, str]) -> ConsentState:
    handle, purpose, occurred_at, decision, event_id, policy_version = row
    return ConsentState(
        handle=handle,
        purpose=purpose,
        occurred_at=utc(occurred_at),
        decision=Decision(decision),
        event_id=UUID(str(event_id)),
        policy_version=policy_version,
    )


def _objection(row: tuple[str, str, datetime, object, object]) -> ObjectionState:
    handle, purpose, occurred_at, request_id, released = row
    return ObjectionState(
        handle=handle,
        purpose=purpose,
        occurred_at=utc(occurred_at),
        request_id=UUID(str(request_id)),
        released=bool(released),
    )


def utc(instant: datetime | str) -> datetime:
    """An instant of the journal: with a zone, or without one, and then in UTC."""
    if isinstance(instant, str):
        instant = datetime.fromisoformat(instant)
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
