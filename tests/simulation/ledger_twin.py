"""PostgreSQL's part of the ledger in memory: the named queries, one method each, over plain rows.

The real :class:`olvido.ledger.store.Ledger` runs on it. Each transaction is one step of the world:
nobody moves within it. So the twin is serialisable where PostgreSQL is read committed; what may
happen between two transactions may happen here, what may happen within one is for the tests on
the real database. A COMMIT may fail, and then it took place or it did not.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any
from uuid import UUID

from simulation.process import Process

from olvido.core.errors import Unavailable
from olvido.ledger.store import Ledger

Row = dict[str, Any]


class Tables:
    """What is stored: it outlives every process."""

    def __init__(self, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.clock = clock  # the database's own
        self.requests: dict[UUID, Row] = {}
        self.consent_changes: dict[UUID, Row] = {}
        self.events: dict[UUID, Row] = {}
        self.tasks: dict[tuple[UUID, str, int], Row] = {}
        self.verifications: dict[tuple[UUID, str], Row] = {}
        self.awaiting: dict[UUID, Row] = {}
        self.consents: dict[tuple[str, str], Row] = {}
        self.dead_letters: dict[UUID, Row] = {}
        self.progress: dict[tuple[str, int], Row] = {}
        self.publications: dict[int, Row] = {}
        self.publications_begun = 0
        self.operations: dict[UUID, Row] = {}
        self.acts: dict[UUID, Row] = {}
        self.plan_tasks: dict[UUID, dict[tuple[UUID, str, int], None]] = defaultdict(dict)  # an index


class TransactionTwin:
    """One transaction; what it wrote can be taken back."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._undo: list[Callable[[], object]] = []
        self.wrote: str = ""

    def run(self, query: str, **values: Any) -> int:
        """Run a named query for its effect; returns how many rows it touched."""
        return len(self.rows(query, **values))

    def rows(self, query: str, **values: Any) -> list[tuple[Any, ...]]:
        """Run a named query for its rows."""
        return list(getattr(self, f"_{query}")(**values))

    def records(self, query: str, **values: Any) -> list[Mapping[str, Any]]:
        """Run a named query for its rows, each by column name."""
        return list(getattr(self, f"_{query}")(**values))

    def roll_back(self) -> None:
        """Take everything back."""
        for undo in reversed(self._undo):
            undo()

    # --- rows --------------------------------------------------------------------------------

    def _put(self, table: dict[Any, Row], key: Any, row: Row, query: str) -> None:
        if key in table:
            before = table[key]
            self._undo.append(lambda: table.__setitem__(key, before))
        else:
            self._undo.append(lambda: table.__delitem__(key))
        table[key] = row
        self.wrote = self.wrote or query

    def _delete(self, table: dict[Any, Row], key: Any, query: str) -> None:
        row = table.pop(key)
        self._undo.append(lambda: table.__setitem__(key, row))
        self.wrote = self.wrote or query

    def _insert(self, table: dict[Any, Row], key: Any, row: Row, query: str) -> bool:
        """``on conflict do nothing``; whether the row is new."""
        if key in table:
            return False
        self._put(table, key, row, query)
        return True

    # --- requests ----------------------------------------------------------------------------

    def _requests_known(self, ids: Sequence[UUID]) -> Iterator[tuple[Any, ...]]:
        for request_id in dict.fromkeys(ids):
            row = self._tables.requests.get(request_id)
            if row is not None:
                yield (
                    request_id, row["digest"], row["source_partition"], row["source_offset"],
                    row["subject_id"], row["state"], self._said(request_id),
                )  # fmt: skip

    def _said(self, source_id: UUID) -> dict[str, list[str | None]]:
        """What each sink has said, the oldest generation first."""
        said: dict[str, list[str | None]] = defaultdict(list)
        for key in sorted(self._tables.plan_tasks.get(source_id, ()), key=lambda key: (key[1], key[2])):
            said[key[1]].append(self._tables.tasks[key]["outcome"])
        return said

    def _verifications_known(self, ids: Sequence[UUID]) -> Iterator[tuple[Any, ...]]:
        for (request_id, _), row in self._tables.verifications.items():
            if request_id in ids:
                yield (
                    request_id, row["event_id"], row["subject_id"], row["method"], row["verified_at"],
                    row["source_partition"], row["source_offset"],
                )  # fmt: skip

    def _insert_requests(self, **columns: Sequence[Any]) -> Iterator[tuple[UUID]]:
        for row in _unnested(columns):
            request_id = row.pop("request_id")
            new = {
                "right_": row["right"], "subject_id": row["subject_id"], "requested_at": row["requested_at"],
                "received_at": row["received_at"], "state": row["state"], "tasks": row["task"], "answered": 0,
                "finished_at": row["finished_at"], "digest": row["digest"],
                "source_partition": row["partition"], "source_offset": row["offset"],
            }  # fmt: skip
            if self._insert(self._tables.requests, request_id, new, "insert_requests"):
                yield (request_id,)

    def _insert_events(
        self, topic: str, source_ids: Sequence[UUID], events: Sequence[bytes]
    ) -> Iterator[tuple[UUID]]:
        for source_id, event in zip(source_ids, events, strict=True):
            if self._insert(
                self._tables.events, source_id, {"topic": topic, "event": event}, "insert_events"
            ):
                yield (source_id,)

    def _insert_tasks(
        self, now: datetime, due_at: datetime, **columns: Sequence[Any]
    ) -> Iterator[tuple[UUID]]:
        for row in _unnested(columns):
            key = (row["source_id"], row["sink"], row["generation"])
            if self._add_task(key, row["task_id"], row["action"], now, due_at, attempts=1):
                yield (row["source_id"],)

    def _add_task(
        self, key: tuple[UUID, str, int], task_id: UUID, action: str, now: datetime, due_at: datetime,
        *, attempts: int, operation_id: UUID | None = None,
    ) -> bool:  # fmt: skip
        new = {
            "task_id": task_id, "action": action, "sent_at": now, "due_at": due_at, "attempts": attempts,
            "parked": None, "outcome": None, "counts": None, "detail": None, "applied_at": None,
            "verified_at": None, "operation_id": operation_id,
        }  # fmt: skip
        if not self._insert(self._tables.tasks, key, new, "insert_tasks"):
            return False
        index = self._tables.plan_tasks[key[0]]
        index[key] = None
        self._undo.append(lambda: index.pop(key))
        return True

    def _insert_awaiting(self, ids: Sequence[UUID]) -> Iterator[tuple[UUID]]:
        for request_id in ids:
            if self._insert(self._tables.awaiting, request_id, {}, "insert_awaiting"):
                yield (request_id,)

    def _delete_awaiting(self, ids: Sequence[UUID]) -> Iterator[tuple[UUID]]:
        for request_id in ids:
            if request_id in self._tables.awaiting:
                self._delete(self._tables.awaiting, request_id, "delete_awaiting")
                yield (request_id,)

    def _requests_with_events(self, ids: Sequence[UUID]) -> Iterator[tuple[UUID, bytes]]:
        for source_id in dict.fromkeys(ids):
            if source_id in self._tables.events:
                yield source_id, self._tables.events[source_id]["event"]

    def _insert_verifications(self, **columns: Sequence[Any]) -> Iterator[tuple[UUID]]:
        for row in _unnested(columns):
            new = {
                "event_id": row["event_id"], "subject_id": row["subject_id"], "method": row["method"],
                "verified_at": row["verified_at"], "source_partition": row["partition"],
                "source_offset": row["offset"],
            }  # fmt: skip
            key = (row["request_id"], row["subject_id"])
            if self._insert(self._tables.verifications, key, new, "insert_verifications"):
                yield (row["request_id"],)

    def _awaiting_verified(self, after: UUID, limit: int) -> Iterator[tuple[Any, ...]]:
        waiting = sorted(one for one in self._tables.awaiting if one > after)
        keys = [(one, self._tables.requests[one]["subject_id"]) for one in waiting]
        for key in [key for key in keys if key in self._tables.verifications][:limit]:
            row = self._tables.verifications[key]
            yield (
                key[0], row["event_id"], key[1], row["method"], row["verified_at"], row["source_partition"],
                row["source_offset"],
            )  # fmt: skip

    # --- consents ----------------------------------------------------------------------------

    def _consent_changes_known(self, ids: Sequence[UUID]) -> Iterator[tuple[Any, ...]]:
        for event_id in dict.fromkeys(ids):
            row = self._tables.consent_changes.get(event_id)
            if row is not None:
                yield event_id, row["digest"], row["source_partition"], row["source_offset"]

    def _consents_known(self, handles: Sequence[str], purposes: Sequence[str]) -> Iterator[tuple[Any, ...]]:
        for key in zip(handles, purposes, strict=True):
            row = self._tables.consents.get(key)
            if row is not None:
                yield (*key, row["decision"], row["occurred_at"], row["event_id"], row["policy_version"])

    def _insert_consent_changes(self, **columns: Sequence[Any]) -> Iterator[tuple[UUID]]:
        for row in _unnested(columns):
            event_id = row.pop("event_id")
            row["source_partition"], row["source_offset"] = row.pop("partition"), row.pop("offset")
            if self._insert(self._tables.consent_changes, event_id, row, "insert_consent_changes"):
                yield (event_id,)

    def _upsert_consents(self, **columns: Sequence[Any]) -> Iterator[tuple[str, str]]:
        for row in _unnested(columns):
            key = (row.pop("handle"), row.pop("purpose"))
            known = self._tables.consents.get(key)
            if known is None or _word(row) > _word(known):
                self._put(self._tables.consents, key, row, "upsert_consents")
                yield key

    # --- receipts ----------------------------------------------------------------------------

    def _lock_requests(self, ids: Sequence[UUID]) -> Iterator[tuple[Any, ...]]:
        for request_id in ids:
            row = self._tables.requests.get(request_id)
            if row is not None:
                yield self._head(request_id, row)

    def _head(self, request_id: UUID, row: Row) -> tuple[Any, ...]:
        names = ("right_", "subject_id", "requested_at", "state", "tasks", "answered")
        return (request_id, *(row[name] for name in names))

    def _tasks_known(self, **columns: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
        for row in _unnested(columns):
            task = self._tables.tasks.get((row["source_id"], row["sink"], row["generation"]))
            if task is not None and task["task_id"] == row["task_id"]:
                yield row["source_id"], row["sink"], row["generation"], row["task_id"]

    def _settle_tasks(self, ask_again_after: Any, **columns: Sequence[Any]) -> Iterator[tuple[UUID]]:
        for row in _unnested(columns):
            key = (row["source_id"], row["sink"], row["generation"])
            task = self._tables.tasks.get(key)
            if task is None or task["task_id"] != row["task_id"]:
                continue
            if task["outcome"] is not None and _answer(task) <= _answer(row):
                continue
            due_at = task["due_at"]
            if row["outcome"] == "deferred":
                due_at = row["applied_at"] + ask_again_after
            new = {name: row[name] for name in ("outcome", "counts", "detail", "applied_at", "verified_at")}
            self._put(
                self._tables.tasks, key, {**task, **new, "parked": None, "due_at": due_at}, "settle_tasks"
            )
            yield key[0], key[1], task["action"], row["outcome"], row["applied_at"]

    def _outcomes_of(self, ids: Sequence[UUID]) -> Iterator[tuple[UUID, str, str | None]]:
        for source_id in ids:
            for sink, outcomes in self._said(source_id).items():
                for outcome in outcomes:
                    yield source_id, sink, outcome

    def _write_request_states(self, now: datetime, **columns: Sequence[Any]) -> Iterator[tuple[UUID]]:
        for row in _unnested(columns):
            request = self._tables.requests.get(row["id"])
            if request is not None and request["state"] == row["before"]:
                new = {"state": row["state"], "tasks": row["task"], "answered": row["answer"]}
                if self._move(row["id"], new, row["final"], now, "write_request_states"):
                    yield (row["id"],)

    def _move(self, request_id: UUID, new: Row, final: bool, now: datetime, query: str) -> bool:
        request = self._tables.requests[request_id]
        if request == {**request, **new}:
            return False
        finished_at = (request["finished_at"] or now) if final else None
        self._put(self._tables.requests, request_id, {**request, **new, "finished_at": finished_at}, query)
        return True

    def _upsert_dead_letters(self, **columns: Sequence[Any]) -> Iterator[tuple[UUID]]:
        for row in _unnested(columns):
            letter_id = row.pop("id")
            known = self._tables.dead_letters.get(letter_id)
            if known is None or row["attempts"] > known["attempts"]:
                self._put(self._tables.dead_letters, letter_id, row, "upsert_dead_letters")
                yield (letter_id,)

    def _park_tasks(self, **columns: Sequence[Any]) -> Iterator[tuple[UUID]]:
        for row in _unnested(columns):
            for key in list(self._tables.plan_tasks.get(row["source_id"], ())):
                task = self._tables.tasks[key]
                same = (task["task_id"], key[2]) == (row["task_id"], row["generation"])
                if same and task["outcome"] is None:
                    self._put(self._tables.tasks, key, {**task, "parked": row["cause"]}, "park_tasks")
                    yield (row["source_id"],)

    # --- publications ------------------------------------------------------------------------

    def _begin_publication(
        self, request_ids: Sequence[UUID], handles: Sequence[str], purposes: Sequence[str]
    ) -> Iterator[tuple[int]]:
        self._tables.publications_begun += 1
        new = {
            "begun_at": self._tables.clock(), "request_ids": list(request_ids), "handles": list(handles),
            "purposes": list(purposes),
        }  # fmt: skip
        self._put(self._tables.publications, self._tables.publications_begun, new, "begin_publication")
        yield (self._tables.publications_begun,)

    def _requests_as_published(
        self, ids: Sequence[UUID], states: Sequence[str], tasks: Sequence[int]
    ) -> Iterator[tuple[UUID]]:
        for request_id, *told in zip(ids, states, tasks, strict=True):
            row = self._tables.requests.get(request_id)
            if row is not None and [row["state"], row["tasks"], row["answered"]] == [*told, 0]:
                yield (request_id,)

    def _requests_snapshot(self, ids: Sequence[UUID]) -> Iterator[tuple[Any, ...]]:
        for request_id in dict.fromkeys(ids):
            row = self._tables.requests.get(request_id)
            if row is not None:
                yield (*self._head(request_id, row), self._said(request_id))

    def _unended_publications(self, older_than: timedelta, limit: int) -> Iterator[tuple[Any, ...]]:
        old = [
            publication_id for publication_id, row in sorted(self._tables.publications.items())
            if row["begun_at"] <= self._tables.clock() - older_than
        ]  # fmt: skip
        for publication_id in old[:limit]:
            row = self._tables.publications[publication_id]
            yield publication_id, row["request_ids"], row["handles"], row["purposes"]

    def _end_publications(self, ids: Sequence[int]) -> Iterator[tuple[int]]:
        for publication_id in ids:
            if publication_id in self._tables.publications:
                self._delete(self._tables.publications, publication_id, "end_publications")
                yield (publication_id,)

    # --- tries, progress ---------------------------------------------------------------------

    def _add_progress(self, **columns: Sequence[Any]) -> Iterator[tuple[str, int]]:
        for row in _unnested(columns):
            key = (row["topic"], row["partition"])
            known = self._tables.progress.get(key, {"handled": frozenset(), "reread": 0})
            handled = known["handled"] | frozenset(range(row["low"], row["high"]))
            self._put(self._tables.progress, key, {**known, "handled": handled}, "add_progress")
            yield key

    def _holes(self, **columns: Sequence[Any]) -> Iterator[tuple[str, int, int, int]]:
        for row in sorted(_unnested(columns), key=lambda row: (row["topic"], row["partition"], row["low"])):
            known = self._tables.progress.get((row["topic"], row["partition"]))
            handled = frozenset() if known is None else known["handled"]
            low = None
            for offset in range(row["low"], row["high"] + 1):
                missing = offset < row["high"] and offset not in handled
                if missing and low is None:
                    low = offset
                elif not missing and low is not None:
                    yield row["topic"], row["partition"], low, offset
                    low = None

    def _count_reread(self, topic: str, partition: int, count: int) -> Iterator[tuple[str, int]]:
        key = (topic, partition)
        known = self._tables.progress.get(key)
        if known is not None:
            self._put(
                self._tables.progress, key, {**known, "reread": known["reread"] + count}, "count_reread"
            )
            yield key

    def _owed(self, now: datetime, limit: int) -> list[Row]:
        due = sorted(
            (task["due_at"], key)
            for key, task in self._tables.tasks.items()
            if task["outcome"] in {None, "deferred"} and task["parked"] is None
            and task["attempts"] != 0 and task["due_at"] <= now
        )  # fmt: skip
        return [self._owed_row(key) for _, key in due[:limit]]

    def _unsent(self, operation_id: UUID, limit: int) -> list[Row]:
        found = [
            key for key, task in self._tables.tasks.items()
            if task["operation_id"] == operation_id and task["attempts"] == 0
            and task["outcome"] is None and task["parked"] is None
        ]  # fmt: skip
        return [self._owed_row(key) for key in found[:limit]]

    def _owed_row(self, key: tuple[UUID, str, int]) -> Row:
        task, event = self._tables.tasks[key], self._tables.events.get(key[0])
        source = self._tables.requests.get(key[0]) or self._tables.consent_changes[key[0]]
        return {
            "source_id": key[0], "sink": key[1], "generation": key[2], "task_id": task["task_id"],
            "action": task["action"], "attempts": task["attempts"], "operation_id": task["operation_id"],
            "event": event and event["event"], "subject_id": source["subject_id"],
        }  # fmt: skip

    def _postpone(self, now: datetime, **columns: Sequence[Any]) -> Iterator[tuple[UUID]]:
        for row in _unnested(columns):
            key = (row["source_id"], row["sink"], row["generation"])
            task = self._tables.tasks.get(key)
            if task is not None:
                sent_at = now if row["attempts"] > task["attempts"] else task["sent_at"]
                new = {"sent_at": sent_at, "attempts": row["attempts"], "due_at": row["due_at"]}
                self._put(self._tables.tasks, key, {**task, **new}, "postpone")
                yield (row["source_id"],)

    # --- restores ----------------------------------------------------------------------------

    def _patiently(self) -> list[tuple[str]]:
        return [("15min",)]

    def _keep_events(self) -> list[tuple[str]]:
        return [("",)]

    def _one_restore_at_a_time(self, sink: str) -> list[tuple[str]]:
        return [("",)]

    def _insert_act(self, act_id: UUID, **act: Any) -> Iterator[tuple[UUID]]:
        if self._insert(self._tables.acts, act_id, act, "insert_act"):
            yield (act_id,)

    def _open_operation(
        self, operation_id: UUID, name: str, kind: str, sink: str, plan: str, position: str, now: datetime
    ) -> Iterator[tuple[str]]:
        taken_at = json.loads(plan).get("backup_taken_at")
        for known in self._tables.operations.values():
            same = (known["kind"], known["sink"], known["plan"].get("backup_taken_at")) == (
                kind,
                sink,
                taken_at,
            )
            if same and known["finished_at"] is None:
                return
        new = {
            "name": name, "kind": kind, "sink": sink, "plan": json.loads(plan), "state": "running",
            "position": json.loads(position), "created_at": now, "finished_at": None,
        }  # fmt: skip
        self._put(self._tables.operations, operation_id, new, "open_operation")
        yield (name,)

    def _find_open(self, kind: str, sink: str, backup_taken_at: str) -> Iterator[tuple[Any, ...]]:
        for operation_id, one in self._tables.operations.items():
            taken_at = one["plan"].get("backup_taken_at", "")
            if one["finished_at"] is None and (one["kind"], one["sink"], taken_at) == (
                kind, sink, backup_taken_at,
            ):  # fmt: skip
                yield operation_id, one["name"], kind, sink, one["created_at"]

    def _set_position(self, operation_id: UUID, position: str) -> Iterator[tuple[UUID]]:
        known = self._tables.operations[operation_id]
        self._put(
            self._tables.operations, operation_id, {**known, "position": json.loads(position)}, "set_position"
        )
        yield (operation_id,)

    def _issue_again(
        self, sink: str, actions: Sequence[str], since: datetime, now: datetime, operation_id: UUID | None,
        dry_run: bool, reopened: str,
    ) -> Iterator[tuple[str, int, int]]:  # fmt: skip
        counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        for key, task in list(self._tables.tasks.items()):
            if key[1] != sink or task["action"] not in actions:
                continue
            if any(other[1] == sink and other[2] > key[2] for other in self._tables.plan_tasks[key[0]]):
                continue
            answered = task["outcome"] not in {None, "deferred"}
            if not (task["applied_at"] >= since if answered else task["attempts"] > 0):
                continue
            counts[task["action"]][0 if answered else 1] += 1
            if not dry_run:
                self._add_task(
                    (key[0], sink, key[2] + 1), task["task_id"], task["action"], now, now, attempts=0,
                    operation_id=operation_id,
                )  # fmt: skip
                if (request := self._tables.requests.get(key[0])) is not None:
                    new = {"state": reopened, "answered": request["answered"] - answered}
                    self._move(key[0], new, False, now, "issue_again")
        for action, (answered_count, unanswered_count) in sorted(counts.items()):
            yield action, answered_count, unanswered_count

    def _open_operations(self) -> Iterator[tuple[Any, ...]]:
        ordered = sorted(
            self._tables.operations.items(), key=lambda one: (one[1]["created_at"], one[1]["name"])
        )
        for operation_id, one in ordered:
            if one["finished_at"] is None:
                yield operation_id, one["name"], one["kind"], one["sink"], one["created_at"]

    def _finish_operations(self, now: datetime) -> Iterator[tuple[str]]:
        for operation_id, one in list(self._tables.operations.items()):
            if one["finished_at"] is not None or not one["position"].get("planned"):
                continue
            if any(
                task["operation_id"] == operation_id and task["outcome"] in {None, "deferred", "failed"}
                for task in self._tables.tasks.values()
            ):
                continue
            self._put(
                self._tables.operations, operation_id, {**one, "state": "done", "finished_at": now},
                "finish_operations",
            )  # fmt: skip
            yield (one["name"],)

    # --- for operators -----------------------------------------------------------------------

    def _show_tasks(self, id: UUID) -> Iterator[Row]:
        for key in sorted(self._tables.plan_tasks.get(id, ()), key=lambda key: key[1:]):
            task = self._tables.tasks[key]
            yield {"sink": key[1], "generation": key[2], **task}

    def _show_request(self, id: UUID) -> Iterator[Row]:
        if id in self._tables.requests:
            yield {"request_id": id, **self._tables.requests[id]}


class DatabaseTwin:
    """The database as one process sees it. Stands in for ``olvido.ledger.connection.Database``."""

    def __init__(self, tables: Tables, process: Process | None = None) -> None:
        self._tables = tables
        self._process = process

    @contextmanager
    def transaction(self) -> Iterator[TransactionTwin]:
        """Open a transaction; it is committed at the end, or rolled back by any exception."""
        process = self._process
        if process is not None:
            process.must_live()
            process.scheduler.pause()
            process.must_live()
            if process.faults.strikes("ledger_away"):
                raise Unavailable("the ledger database does not answer")
        transaction = TransactionTwin(self._tables)
        try:
            yield transaction
            unknown = process is not None and transaction.wrote and self._commit(process, transaction)
        except BaseException:
            transaction.roll_back()
            raise
        if process is not None and transaction.wrote:
            process.did(f"commit {transaction.wrote}")
        if unknown:
            raise Unavailable("the ledger database does not answer: the connection was lost in COMMIT")

    def _commit(self, process: Process, transaction: TransactionTwin) -> bool:
        """Whether the COMMIT is answered by silence although it took place."""
        process.faults.point(f"{process.kind}: before commit {transaction.wrote}")
        if not process.faults.strikes("commit_unknown"):
            return False
        if process.faults.rng.random() < 0.5:
            process.faults.count("commit_unknown: it did not take place")
            raise Unavailable("the ledger database does not answer: the connection was lost in COMMIT")
        process.faults.count("commit_unknown: it took place")
        return True

    def close(self) -> None:
        """Nothing is held."""


def ledger_on(database: DatabaseTwin) -> Ledger:
    """The real ledger, over this database."""
    return Ledger(database)  # type: ignore[arg-type]  # the twin has the face of the real one


_PLURAL = frozenset({"attempts", "counts"})  # of one row, too


def _unnested(columns: Mapping[str, Sequence[Any]]) -> list[Row]:
    """Columns as rows: the column ``sinks`` gives each row its ``sink``."""
    names = [name if name in _PLURAL else name.removesuffix("s") for name in columns]
    return [dict(zip(names, map(_stored, row), strict=True)) for row in zip(*columns.values(), strict=True)]


def _stored(value: Any) -> Any:
    return value.value if isinstance(value, Enum) else value  # as a column of text holds it


def _word(row: Row) -> tuple[datetime, int, str]:
    return (row["occurred_at"], row["rank"], str(row["event_id"]))


def _answer(row: Row) -> tuple[bool, datetime, str, str]:
    return (row["outcome"] == "deferred", row["applied_at"], row["outcome"], row["detail"])
