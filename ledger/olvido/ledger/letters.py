"""Dead letters as the ledger keeps them: written by the recorder, worked through by operators.

What a person decides is conditional on the attempts they saw: a record that was refused again
in the meantime is a newer fact, and stays open.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from olvido.core.causes import Cause
from olvido.core.dead_letters import ATTEMPTS_MAX, DeadLetter, LetterState
from olvido.ledger.connection import Database, Transaction, columns
from olvido.ledger.rows import OwedTask, action_of


class Grouping(StrEnum):
    """What dead letters can be counted by."""

    CAUSE = "cause"
    TOPIC = "topic"
    GROUP = "group"


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterSelection:
    """Which dead letters are meant; what is not given does not narrow it."""

    ids: tuple[UUID, ...] | None = None
    cause: Cause | None = None
    topic: str | None = None

    def parameters(self) -> dict[str, Any]:
        """As the queries take it."""
        return {
            "ids": None if self.ids is None else list(self.ids),
            "cause": self.cause and self.cause.value,
            "topic": self.topic,
        }


EVERY = LetterSelection()
_TASK = ("source_id", "task_id", "generation")  # what names a letter's task
_AS_SEEN = {"id": "dead_letter_id", "attempt": "attempts"}  # a letter, as the person who decides has seen it


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptLetter:
    """A dead letter and what a person has decided about it."""

    letter: DeadLetter
    state: LetterState
    decided_at: datetime | None


def keep(transaction: Transaction, letters: Sequence[DeadLetter]) -> None:
    """Keep dead letters, each id at most once among them; the tasks among them are parked.

    One that is recorded again changes nothing: neither a task that was redriven since is parked anew,
    nor a letter that was discarded opened.
    """
    if not letters:
        return
    rows = transaction.rows(
        "upsert_dead_letters",
        **columns(
            letters, "group", "topic", "partition", "offset", "field", "reason", "sha256", "size",
            "failed_at", "task_id", "generation", "source_id",
            id="dead_letter_id", cause="cause.value", attempt="attempts",
        ),
    )  # fmt: skip
    new = {row[0] for row in rows}
    tasks = [letter for letter in letters if letter.dead_letter_id in new and letter.source_id is not None]
    if tasks:
        transaction.run("park_tasks", **columns(tasks, *_TASK, cause="cause.value"))
    if above := [letter for letter in tasks if letter.cause is Cause.ABOVE_LIMIT]:
        transaction.run("hold_tasks", **columns(above, *_TASK, "field", "reason", "failed_at"))


class Letters:
    """The dead letters, for those who look and those who act."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def newest(
        self, which: LetterSelection = EVERY, *, state: LetterState | None = LetterState.OPEN, limit: int = 50
    ) -> list[KeptLetter]:
        """Dead letters, newest first.

        Args:
            which: which of them.
            state: in which state; None for any.
            limit: how many at most.
        """
        with self._database.transaction() as transaction:
            rows = transaction.records("list_dead_letters", state=state, limit=limit, **which.parameters())
        return [_kept(row) for row in rows]

    def one(self, dead_letter_id: UUID) -> KeptLetter | None:
        """One dead letter in whatever state, or None."""
        return next(iter(self.newest(LetterSelection(ids=(dead_letter_id,)), state=None)), None)

    def counts(
        self,
        by: Grouping = Grouping.CAUSE,
        *,
        which: LetterSelection = EVERY,
        state: LetterState | None = None,
    ) -> list[Mapping[str, Any]]:
        """How many there are of each, most first.

        Returns:
            Rows of ``what`` (the cause, say), ``state``, ``letters``, ``attempts_max``,
            ``oldest_failed_at`` and ``newest_failed_at``.
        """
        values = which.parameters()
        with self._database.transaction() as transaction:
            return transaction.records(
                "count_letters", by=by, state=state, cause=values["cause"], topic=values["topic"]
            )

    def open(self, which: LetterSelection, *, limit: int) -> list[DeadLetter]:
        """The oldest open ones, in the order in which their records stand on their topics.

        Those that were refused too often to be sent again come after all others.
        """
        with self._database.transaction() as transaction:
            rows = transaction.records(
                "select_open_letters", limit=limit, attempts_max=ATTEMPTS_MAX, **which.parameters()
            )
        return [_kept(row).letter for row in rows]

    def redriven(self, letters: Sequence[DeadLetter], *, now: datetime, due_after: timedelta) -> int:
        """Note that letters were sent again; returns how many had not been refused again by then.

        Their tasks are not parked any more: should the record be lost, the reconciler sends the task.

        Args:
            letters: as they were when they were sent.
            now: when.
            due_after: how long their tasks may take before the reconciler looks at them.
        """
        with self._database.transaction() as transaction:
            rows = transaction.rows("redriven_letters", **columns(letters, **_AS_SEEN), now=now)
            tasks = [row[1:] for row in rows if row[1] is not None]
            if tasks:
                transaction.run(
                    "unpark_tasks",
                    source_ids=[source_id for source_id, _, _ in tasks],
                    task_ids=[task_id for _, task_id, _ in tasks],
                    generations=[generation for _, _, generation in tasks],
                    due_at=now + due_after,
                )
        return len(rows)

    def parked(self, letters: Sequence[DeadLetter]) -> list[OwedTask]:
        """The tasks that wait for a person because of these letters, without their events."""
        with self._database.transaction() as transaction:
            tasks = [letter for letter in letters if letter.source_id is not None]
            rows = transaction.records("parked_tasks", **columns(tasks, *_TASK))
        return [OwedTask(**{**row, "action": action_of(row["action"])}, event=None) for row in rows]

    def discarded(self, letters: Sequence[DeadLetter], *, now: datetime) -> int:
        """Note that a person gave letters up; returns how many had not been refused again by then."""
        with self._database.transaction() as transaction:
            rows = transaction.rows("discard_letters", **columns(letters, **_AS_SEEN), now=now)
        return len(rows)


def _kept(row: Mapping[str, Any]) -> KeptLetter:
    return KeptLetter(
        letter=DeadLetter(
            dead_letter_id=row["dead_letter_id"],
            group=row["group_"],
            topic=row["topic"],
            partition=row["partition_"],
            offset=row["offset_"],
            cause=Cause(row["cause"]),
            field=row["field"],
            reason=row["reason"],
            sha256=bytes(row["sha256"]),
            size=row["size"],
            attempts=row["attempts"],
            failed_at=row["failed_at"],
            task_id=row["task_id"],
            generation=row["generation"],
            source_id=row["source_id"],
        ),
        state=LetterState(row["state"]),
        decided_at=row["decided_at"],
    )
