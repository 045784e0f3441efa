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
from itertools import groupby
from typing import Any
from uuid import UUID

from simulation.process import Process

from olvido.core.consents import Decision, order_key
from olvido.core.errors import Unavailable
from olvido.core.outcomes import LEFT_OVER, NOT_FINAL
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
        self.held: dict[UUID, Row] = {}
        self.held_tasks: dict[tuple[UUID, str, int], Row] = {}
        self.held_tasks: dict[tuple[UUID, str, int], Row] = {}
        self.held_once: dict[UUID, Row] = {}  # for the checker: what was held at some time
        self.erasures_started: dict[tuple[datetime, str], Row] = {}
        self.dead_letters: dict[UUID, Row] = {}
        self.looks: dict[UUID, Row] = {}
        self.not_verified: dict[tuple[UUID, str, int, UUID], Row] = {}
        self.progress: dict[tuple[str, int], Row] = {}
        self.publications: dict[int, Row] = {}
        self.publications_begun = 0
        self.operations: dict[UUID, Row] = {}
        self.acts: dict[UUID, Row] = {}
        self.plan_tasks: dict[UUID, dict[tuple[UUID, str, int], None]] = defaultdict(dict)  # an index

    def subject_of(self, source_id: UUID) -> str:
        """Whose request or consent change an id is."""
        subject: str = (self.requests.get(source_id) or self.consent_changes[source_id])["subject_id"]
        return subject


class TransactionTwin:
    """One transaction; what it wrote can be taken back."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._undo: list[Callable[[], object]] = []
        self._query = ""
        self.wrote: str = ""  # the first query that changed something

    def run(self, query: str, **values: Any) -> int:
        """Run a named query for its effect; returns how many rows it touched."""
        return len(self.rows(query, **values))

    def rows(self, query: str, **values: Any) -> list[tuple[Any, ...]]:
        """Run a named query for its rows."""
        self._query = query
        return list(getattr(self, f"_{query}")(**values))

    def records(self, query: str, **values: Any) -> list[Any]:
        """Run a named query for its rows, each by column name."""
        return self.rows(query, **values)

    def roll_back(self) -> None:
        """Take everything back."""
        for undo in reversed(self._undo):
            undo()

    # --- rows --------------------------------------------------------------------------------

    def _put(self, table: dict[Any, Row], key: Any, row: Row) -> None:
        if key in table:
            before = table[key]
            self._undo.append(lambda: table.__setitem__(key, before))
        else:
            self._undo.append(lambda: table.__delitem__(key))
        table[key] = row
        self.wrote = self.wrote or self._query

    def _change(self, table: dict[Any, Row], key: Any, **new: Any) -> None:
        self._put(table, key, {**table[key], **new})

    def _delete_those(self, table: dict[Any, Row], keys: Sequence[Any]) -> Iterator[tuple[Any]]:
        for key, row in list(_found(table, keys)):
            del table[key]
            self._undo.append(lambda key=key, row=row: table.__setitem__(key, row))
            self.wrote = self.wrote or self._query
            yield (key,)

    def _insert(self, table: dict[Any, Row], key: Any, row: Row) -> bool:
        """``on conflict do nothing``; whether the row is new."""
        if key in table:
            return False
        self._put(table, key, row)
        return True

    def _task(self, row: Row) -> Row | None:
        """The task that a row names, also by its task_id."""
        task = self._tables.tasks.get(_task_key(row))
        return task if task is not None and task["task_id"] == row["task_id"] else None

    # --- requests ----------------------------------------------------------------------------

    def _requests_known(self, ids: Sequence[UUID]) -> Iterator[tuple[Any, ...]]:
        names = ("digest", "source_partition", "source_offset", "subject_id", "state")
        for request_id, row in _found(self._tables.requests, ids):
            yield (request_id, *_values(row, *names), self._generations(request_id), row["appended_at"])

    def _generations(self, source_id: UUID) -> str:
        """What each sink has answered, the oldest generation first."""
        generations: dict[str, list[str | None]] = defaultdict(list)
        for key in sorted(self._tables.plan_tasks.get(source_id, ()), key=lambda key: (key[1], key[2])):
            generations[key[1]].append(self._tables.tasks[key]["outcome"])
        return json.dumps(generations)

    def _verifications_known(self, ids: Sequence[UUID]) -> Iterator[tuple[Any, ...]]:
        for (request_id, _), row in self._tables.verifications.items():
            if request_id in ids:
                yield (request_id, *_values(row, *_VERIFICATION))

    def _consent_change_ids(self, ids: Sequence[UUID]) -> Iterator[tuple[UUID]]:
        return ((one,) for one, _ in _found(self._tables.consent_changes, ids))

    def _request_ids(self, ids: Sequence[UUID]) -> Iterator[tuple[UUID]]:
        return ((one,) for one, _ in _found(self._tables.requests, ids))

    def _insert_requests(self, **columns: Sequence[Any]) -> Iterator[tuple[UUID]]:
        for row in map(_with_source, _unnested(columns)):
            request_id = row.pop("request_id")
            new = {"right_": row.pop("right"), "tasks": row.pop("task"), "answered": 0, **row}
            if self._insert(self._tables.requests, request_id, new):
                yield (request_id,)

    def _insert_events(self, topic: str, **columns: Sequence[Any]) -> Iterator[tuple[UUID]]:
        for row in _unnested(columns):
            if self._insert(self._tables.events, row["source_id"], {"topic": topic, "event": row["event"]}):
                yield (row["source_id"],)

    def _insert_tasks(self, now: datetime, due_at: datetime, **columns: Any) -> Iterator[tuple[UUID]]:
        for row in _unnested(columns):
            if self._add_task(_task_key(row), row["task_id"], row["action"], now, due_at, attempts=1):
                yield (row["source_id"],)

    def _add_task(
        self, key: tuple[UUID, str, int], task_id: UUID, action: str, now: datetime, due_at: datetime,
        *, attempts: int, operation_id: UUID | None = None,
    ) -> bool:  # fmt: skip
        new = {
            "task_id": task_id, "action": action, "sent_at": now, "due_at": due_at, "attempts": attempts,
            "parked": None, "outcome": None, "counts": None, "detail": None, "applied_at": None,
            "verified_at": None, "answered_at": None, "operation_id": operation_id,
            "noted_at": self._tables.clock(),  # for the checker: by no process's clock
        }  # fmt: skip
        if not self._insert(self._tables.tasks, key, new):
            return False
        index = self._tables.plan_tasks[key[0]]
        index[key] = None
        self._undo.append(lambda: index.pop(key))
        return True

    def _insert_awaiting(self, ids: Sequence[UUID]) -> Iterator[tuple[UUID]]:
        for request_id in ids:
            if self._insert(self._tables.awaiting, request_id, {}):
                yield (request_id,)

    def _write_due(self, **columns: Sequence[Any]) -> Iterator[tuple[UUID]]:
        for row in _unnested(columns):
            request_id = row.pop("id")
            if self._tables.requests[request_id]["finished_at"] is None:
                self._change(self._tables.requests, request_id, **row)
        return iter(())

    def _delete_awaiting(self, ids: Sequence[UUID]) -> Iterator[tuple[UUID]]:
        return self._delete_those(self._tables.awaiting, ids)

    def _requests_with_events(self, ids: Sequence[UUID]) -> Iterator[tuple[UUID, bytes]]:
        for source_id, row in _found(self._tables.events, ids):
            yield source_id, row["event"]

    def _insert_verifications(self, **columns: Sequence[Any]) -> Iterator[tuple[UUID]]:
        for row in map(_with_source, _unnested(columns)):
            request_id = row.pop("request_id")
            if self._insert(self._tables.verifications, (request_id, row["subject_id"]), row):
                yield (request_id,)

    def _awaiting_verified(self, after: UUID, limit: int) -> Iterator[tuple[Any, ...]]:
        waiting = sorted(one for one in self._tables.awaiting if one > after)
        keys = [(one, self._tables.requests[one]["subject_id"]) for one in waiting]
        for key, row in list(_found(self._tables.verifications, keys))[:limit]:
            yield (key[0], *_values(row, *_VERIFICATION))

    # --- what is held ------------------------------------------------------------------------

    def _brake_turn(self) -> list[tuple[str]]:
        return [("",)]

    def _hour_ago(self) -> datetime:
        return _minute(self._tables.clock()) - timedelta(minutes=60)

    def _erasures_counted(self) -> Iterator[tuple[str, int]]:
        counted: dict[str, int] = defaultdict(int)
        for (minute, asked_by), row in self._tables.erasures_started.items():
            if minute >= self._hour_ago():
                counted[asked_by] += row["erasures"]
        yield from counted.items()

    def _count_erasures(self, asked_bys: Sequence[str]) -> Iterator[tuple[str]]:
        table, minute = self._tables.erasures_started, _minute(self._tables.clock())
        list(self._delete_those(table, [key for key in table if key[0] < self._hour_ago()]))
        for asked_by in asked_bys:
            before = table.get((minute, asked_by), {"erasures": 0})["erasures"]
            self._put(table, (minute, asked_by), {"erasures": before + 1})
            yield (asked_by,)

    def _insert_held(self, now: datetime, **columns: Sequence[Any]) -> Iterator[tuple[UUID]]:
        for row in _unnested(columns):
            request_id = row.pop("request_id")
            new = {**row, "held_at": now, "proposal": None, "proposed_by": None, "proposed_at": None}
            if self._insert(self._tables.held, request_id, new):
                self._insert(self._tables.held_once, request_id, {})
                yield (request_id,)

    def _held_due(self, now: datetime, after: UUID, limit: int) -> Iterator[tuple[Any, ...]]:
        due = sorted(
            one for one, row in self._tables.held.items()
            if one > after and row["start_at"] is not None and row["start_at"] <= now
        )  # fmt: skip
        for one in due[:limit]:
            event = self._tables.events.get(one)
            asked_by = self._tables.requests[one]["asked_by"]
            yield one, self._tables.held[one]["held_for"], asked_by, event and event["event"]

    def _end_held(self, ids: Sequence[UUID], now: datetime) -> Iterator[tuple[UUID]]:
        due = {one for one, *_ in self._held_due(now, UUID(int=0), len(self._tables.held))}
        return self._delete_those(self._tables.held, [one for one in ids if one in due])

    def _hold_back(self, **columns: Sequence[Any]) -> Iterator[tuple[UUID]]:
        for row in _unnested(columns):
            for one, held in list(_found(self._tables.held, [row["request_id"]])):
                if held["start_at"] is not None:
                    self._change(self._tables.held, one, held_for=row["held_for"], start_at=None)
                    yield (one,)

    def _choose_held(
        self, decision: str, who: str, ids: Sequence[UUID] | None, asked_by: str | None
    ) -> Iterator[tuple[UUID, bool]]:
        for one, row in sorted(self._tables.held.items()):
            wanted = (ids is None or one in ids) and (
                asked_by is None or self._tables.requests[one]["asked_by"] == asked_by
            )
            if row["start_at"] is None and wanted:
                yield one, row["proposal"] == decision and row["proposed_by"] != who

    def _propose_held(
        self, ids: Sequence[UUID], decision: str, who: str, now: datetime
    ) -> Iterator[tuple[UUID]]:
        for one, _ in list(_found(self._tables.held, ids)):
            self._change(self._tables.held, one, proposal=decision, proposed_by=who, proposed_at=now)
            yield (one,)

    def _release_held(self, ids: Sequence[UUID], released: str, now: datetime) -> Iterator[tuple[UUID]]:
        for one, _ in list(_found(self._tables.held, ids)):
            self._change(self._tables.held, one, held_for=released, start_at=now)
            yield (one,)

    def _hold_tasks(self, **columns: Sequence[Any]) -> Iterator[tuple[UUID]]:
        for row in _unnested(columns):
            for key in list(self._tables.plan_tasks.get(row["source_id"], ())):
                task = self._tables.tasks[key]
                same = (task["task_id"], key[2]) == (row["task_id"], row["generation"])
                if same and task["outcome"] is None:
                    new = {"task_id": row["task_id"], "proposal": None, "proposed_by": None, "release": {}}
                    self._put(self._tables.held_tasks, key, new)
                    yield (row["source_id"],)

    def _choose_held_tasks(
        self, decision: str, who: str, ids: Sequence[UUID] | None, asked_by: str | None, sink: str | None
    ) -> Iterator[Row]:
        assert asked_by is sink is None, "people choose by ids here"
        for key, row in sorted(self._tables.held_tasks.items()):
            task = self._tables.tasks[key]
            waits = _values(task, "parked", "outcome") == ("ABOVE_LIMIT", None)
            if waits and (ids is None or key[0] in ids):
                second = row["proposal"] == decision and row["proposed_by"] != who
                named = dict(zip(("source_id", "sink", "generation"), key, strict=True))
                yield {**named, "task_id": row["task_id"], "second": second}

    def _propose_held_tasks(
        self, decision: str, who: str, now: datetime, **columns: Sequence[Any]
    ) -> Iterator[tuple[UUID]]:
        for row in _unnested(columns):
            self._change(self._tables.held_tasks, _task_key(row), proposal=decision, proposed_by=who)
            yield (row["source_id"],)

    def _release_held_tasks(self, now: datetime, **columns: Sequence[Any]) -> Iterator[tuple[UUID]]:
        for row in _unnested(columns):
            key = _task_key(row)
            release = {name: row[name] for name in ("principal", "key_id", "signature")}
            self._change(self._tables.held_tasks, key, release=release)
            self._change(self._tables.tasks, key, parked=None, due_at=now)
            yield (row["source_id"],)

    def _delete_held(self, ids: Sequence[UUID]) -> Iterator[tuple[UUID]]:
        return self._delete_those(self._tables.held, ids)

    # --- consents ----------------------------------------------------------------------------

    def _consent_changes_known(self, ids: Sequence[UUID]) -> Iterator[tuple[Any, ...]]:
        for event_id, row in _found(self._tables.consent_changes, ids):
            yield (event_id, *_values(row, "digest", "source_partition", "source_offset", "appended_at"))

    def _consents_known(self, handles: Sequence[str], purposes: Sequence[str]) -> Iterator[tuple[Any, ...]]:
        for key, row in _found(self._tables.consents, list(zip(handles, purposes, strict=True))):
            yield (*key, *_values(row, "decision", "occurred_at", "event_id", "policy_version"))

    def _insert_consent_changes(self, **columns: Sequence[Any]) -> Iterator[tuple[UUID]]:
        for row in map(_with_source, _unnested(columns)):
            event_id = row.pop("event_id")
            if self._insert(self._tables.consent_changes, event_id, row):
                yield (event_id,)

    def _upsert_consents(self, **columns: Sequence[Any]) -> Iterator[tuple[str, str]]:
        for row in _unnested(columns):
            key = (row.pop("handle"), row.pop("purpose"))
            known = self._tables.consents.get(key)
            if known is None or _order_of(row) > _order_of(known):
                self._put(self._tables.consents, key, row)
                yield key

    # --- receipts ----------------------------------------------------------------------------

    def _lock_requests(self, ids: Sequence[UUID]) -> Iterator[tuple[Any, ...]]:
        for request_id, row in _found(self._tables.requests, ids):
            yield (request_id, *_values(row, *_HEAD))

    def _tasks_known(self, **columns: Sequence[Any]) -> Iterator[tuple[int]]:
        for place, row in enumerate(_unnested(columns), 1):
            if self._task(row) is not None:
                yield (place,)

    def _tasks_answered(self, **columns: Sequence[Any]) -> Iterator[tuple[int, bool]]:
        for place, row in enumerate(_unnested(columns), 1):
            task = self._task(row)
            if task is not None:
                final = not _is_open(task) and row["outcome"] not in NOT_FINAL
                yield place, final and _answer(task) != _answer(row)

    def _settle_tasks(
        self, ask_again_after: Any, now: datetime, **columns: Sequence[Any]
    ) -> Iterator[tuple[int]]:
        for place, row in enumerate(_unnested(columns), 1):
            task = self._task(row)
            if task is None or not _comes_over(row, task):
                continue
            due_at = row["applied_at"] + ask_again_after if row["outcome"] in NOT_FINAL else task["due_at"]
            new = {name: row[name] for name in ("outcome", "counts", "detail", "applied_at", "verified_at")}
            new["answered_at"] = now
            self._change(self._tables.tasks, _task_key(row), **new, parked=None, due_at=due_at)
            yield (place,)

    def _outcomes_of(self, ids: Sequence[UUID]) -> Iterator[tuple[int, str]]:
        for place, source_id in enumerate(ids, 1):
            if self._tables.plan_tasks.get(source_id):
                yield place, self._generations(source_id)

    def _write_request_states(self, now: datetime, **columns: Sequence[Any]) -> Iterator[tuple[UUID]]:
        for row in _unnested(columns):
            request = self._tables.requests.get(row["id"])
            if request is not None and request["state"] == row["before"]:
                new = {"state": row["state"], "tasks": row["task"], "answered": row["answer"]}
                if self._move(row["id"], new, row["final"], now):
                    yield (row["id"],)

    def _move(self, request_id: UUID, new: Row, final: bool, now: datetime) -> bool:
        request = self._tables.requests[request_id]
        if request == {**request, **new}:
            return False
        finished_at = (request["finished_at"] or now) if final else None
        self._change(self._tables.requests, request_id, **new, finished_at=finished_at)
        return True

    def _upsert_dead_letters(self, **columns: Sequence[Any]) -> Iterator[tuple[UUID]]:
        for row in _unnested(columns):
            letter_id = row.pop("id")
            known = self._tables.dead_letters.get(letter_id)
            if known is None or row["attempts"] > known["attempts"]:
                self._put(self._tables.dead_letters, letter_id, row)
                yield (letter_id,)

    def _park_tasks(self, **columns: Sequence[Any]) -> Iterator[tuple[UUID]]:
        for row in _unnested(columns):
            for key in list(self._tables.plan_tasks.get(row["source_id"], ())):
                task = self._tables.tasks[key]
                same = (task["task_id"], key[2]) == (row["task_id"], row["generation"])
                if same and task["outcome"] is None:
                    self._change(self._tables.tasks, key, parked=row["cause"])
                    yield (row["source_id"],)

    # --- later looks -------------------------------------------------------------------------

    def _insert_looks(self, **columns: Sequence[Any]) -> Iterator[tuple[UUID]]:
        for row in _unnested(columns):
            if self._insert(self._tables.looks, row["look_id"], row):
                yield (row["look_id"],)

    def _insert_not_verified(self, **columns: Sequence[Any]) -> Iterator[tuple[UUID]]:
        for row in _unnested(columns):
            key = (row["request_id"], row["sink"], row["generation"], row["look_id"])
            if self._insert(self._tables.not_verified, key, {"result": row["result"]}):
                yield (row["request_id"],)

    def _issue_found_again(self, now: datetime, **columns: Sequence[Any]) -> Iterator[tuple[UUID]]:
        for row in _unnested(columns):
            source_id, sink, generation = row["request_id"], row["sink"], row["generation"]
            task = self._task({**row, "source_id": source_id})
            following = (source_id, sink, generation + 1)
            if task is not None and following not in self._tables.tasks:
                self._add_task(following, task["task_id"], task["action"], now, now, attempts=1)
                yield (source_id,)

    # --- publications ------------------------------------------------------------------------

    def _begin_publication(self, **about: Sequence[Any]) -> Iterator[tuple[int]]:
        self._tables.publications_begun += 1
        new = {"begun_at": self._tables.clock(), **{name: list(values) for name, values in about.items()}}
        self._put(self._tables.publications, self._tables.publications_begun, new)
        yield (self._tables.publications_begun,)

    def _requests_to_compare(self, **columns: Sequence[Any]) -> Iterator[tuple[int, str, int, str]]:
        for place, row in enumerate(_unnested(columns), 1):
            request = self._tables.requests.get(row["id"])
            if request is None:
                continue
            now = _values(request, "state", "tasks", "answered")
            if request["answered"] or now != (row["state"], row["task"], row["answer"]):
                generations = self._generations(row["id"]) if request["answered"] else "{}"
                yield place, request["state"], request["tasks"], generations

    def _requests_snapshot(self, ids: Sequence[UUID]) -> Iterator[tuple[Any, ...]]:
        for head in self._lock_requests(ids):
            yield (*head, self._generations(head[0]))

    def _unended_publications(self, older_than: timedelta, limit: int) -> Iterator[tuple[Any, ...]]:
        before = self._tables.clock() - older_than
        old = [key for key, row in sorted(self._tables.publications.items()) if row["begun_at"] <= before]
        for key, row in _found(self._tables.publications, old[:limit]):
            yield (key, *_values(row, "request_ids", "handles", "purposes"))

    def _end_publications(self, ids: Sequence[int]) -> Iterator[tuple[int]]:
        return self._delete_those(self._tables.publications, ids)

    # --- tries, progress ---------------------------------------------------------------------

    def _add_progress(self, **columns: Sequence[Any]) -> Iterator[tuple[str, int]]:
        for row in _unnested(columns):
            key = (row["topic"], row["partition"])
            known = self._tables.progress.get(key, {"handled": frozenset(), "reread": 0})
            handled = known["handled"] | frozenset(range(row["low"], row["high"]))
            self._put(self._tables.progress, key, {**known, "handled": handled})
            yield key

    def _holes(self, **columns: Sequence[Any]) -> Iterator[tuple[str, int, int, int]]:
        for row in sorted(_unnested(columns), key=lambda row: (row["topic"], row["partition"], row["low"])):
            known = self._tables.progress.get((row["topic"], row["partition"]), {"handled": frozenset()})
            missing = sorted(frozenset(range(row["low"], row["high"])) - known["handled"])
            # Offsets that follow each other keep their distance to their place in the list.
            for _, run in groupby(enumerate(missing), key=lambda one: one[1] - one[0]):
                offsets = [offset for _, offset in run]
                yield row["topic"], row["partition"], offsets[0], offsets[-1] + 1

    def _count_reread(self, topic: str, partition: int, count: int) -> Iterator[tuple[str, int]]:
        for key, known in _found(self._tables.progress, [(topic, partition)]):
            self._change(self._tables.progress, key, reread=known["reread"] + count)
            yield key

    def _owed(self, now: datetime, limit: int) -> list[Row]:
        due = sorted(
            (task["due_at"], key)
            for key, task in self._tables.tasks.items()
            if _is_open(task) and task["parked"] is None and task["attempts"] != 0 and task["due_at"] <= now
        )
        return [self._owed_row(key) for _, key in due[:limit]]

    def _unsent(self, operation_id: UUID, limit: int) -> list[Row]:
        wanted = (operation_id, 0, None, None)
        names = ("operation_id", "attempts", "outcome", "parked")
        found = [key for key, task in self._tables.tasks.items() if _values(task, *names) == wanted]
        return [self._owed_row(key) for key in found[:limit]]

    def _owed_row(self, key: tuple[UUID, str, int]) -> Row:
        task, event = self._tables.tasks[key], self._tables.events.get(key[0])
        source = self._tables.requests.get(key[0]) or self._tables.consent_changes[key[0]]
        of_the_task = {name: task[name] for name in ("task_id", "action", "attempts", "operation_id")}
        return {
            "source_id": key[0], "sink": key[1], "generation": key[2], **of_the_task,
            "event": event and event["event"], "subject_id": source["subject_id"],
            **self._tables.held_tasks.get(key, {}).get("release", {}),
        }  # fmt: skip

    def _postpone(self, now: datetime, **columns: Sequence[Any]) -> Iterator[tuple[UUID]]:
        for row in _unnested(columns):
            for key, task in _found(self._tables.tasks, [_task_key(row)]):
                sent_at = now if row["attempts"] > task["attempts"] else task["sent_at"]
                new = {"sent_at": sent_at, "attempts": row["attempts"], "due_at": row["due_at"]}
                self._change(self._tables.tasks, key, **new)
                yield (row["source_id"],)

    # --- restores ----------------------------------------------------------------------------

    def _patiently(self) -> list[tuple[str]]:
        return [("15min",)]

    def _keep_events(self) -> list[tuple[str]]:
        return [("",)]

    def _one_restore_at_a_time(self, sink: str) -> list[tuple[str]]:
        return [("",)]

    def _insert_act(self, act_id: UUID, **act: Any) -> Iterator[tuple[UUID]]:
        if self._insert(self._tables.acts, act_id, act):
            yield (act_id,)

    def _open_operation(
        self, operation_id: UUID, name: str, kind: str, sink: str, plan: str, position: str, now: datetime
    ) -> Iterator[tuple[str]]:
        planned = json.loads(plan)
        if not any(self._find_open(kind, sink, planned.get("backup_taken_at", ""))):
            new = {
                "name": name, "kind": kind, "sink": sink, "plan": planned, "state": "running",
                "position": json.loads(position), "created_at": now, "finished_at": None,
            }  # fmt: skip
            self._put(self._tables.operations, operation_id, new)
            yield (name,)

    def _find_open(self, kind: str, sink: str, backup_taken_at: str) -> Iterator[tuple[Any, ...]]:
        for operation_id, one in self._tables.operations.items():
            taken_at = one["plan"].get("backup_taken_at", "")
            same = (one["kind"], one["sink"], taken_at) == (kind, sink, backup_taken_at)
            if same and one["finished_at"] is None:
                yield operation_id, one["name"], kind, sink, one["created_at"]

    def _set_position(self, operation_id: UUID, position: str) -> Iterator[tuple[UUID]]:
        self._change(self._tables.operations, operation_id, position=json.loads(position))
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
            answered = not _is_open(task)
            at = max(task["answered_at"], task["applied_at"]) if answered else None
            if not (at >= since if at else task["attempts"] > 0):
                continue
            counts[task["action"]][0 if answered else 1] += 1
            if not dry_run:
                again = (key[0], sink, key[2] + 1)
                self._add_task(again, task["task_id"], task["action"], now, now, attempts=0,
                               operation_id=operation_id)  # fmt: skip
                for request_id, request in _found(self._tables.requests, [key[0]]):
                    new = {"state": reopened, "answered": request["answered"] - answered}
                    self._move(request_id, new, False, now)
        for action, (answered_count, unanswered_count) in sorted(counts.items()):
            yield action, answered_count, unanswered_count

    def _open_operations(self) -> Iterator[tuple[Any, ...]]:
        names = ("name", "kind", "sink", "created_at")
        ordered = sorted(
            self._tables.operations.items(), key=lambda one: _values(one[1], "created_at", "name")
        )
        for operation_id, one in ordered:
            if one["finished_at"] is None:
                yield (operation_id, *_values(one, *names))

    def _finish_operations(self, now: datetime) -> Iterator[tuple[str]]:
        unfinished = {
            task["operation_id"] for task in self._tables.tasks.values()
            if _is_open(task) or task["outcome"] in LEFT_OVER
        }  # fmt: skip
        for operation_id, one in list(self._tables.operations.items()):
            if (
                one["finished_at"] is None
                and one["position"].get("planned")
                and operation_id not in unfinished
            ):
                self._change(self._tables.operations, operation_id, state="done", finished_at=now)
                yield (one["name"],)

    # --- for operators -----------------------------------------------------------------------

    def _show_tasks(self, id: UUID) -> Iterator[Row]:
        for key in sorted(self._tables.plan_tasks.get(id, ()), key=lambda key: key[1:]):
            yield {"sink": key[1], "generation": key[2], **self._tables.tasks[key]}

    def _show_request(self, id: UUID) -> Iterator[Row]:
        for request_id, row in _found(self._tables.requests, [id]):
            yield {"request_id": request_id, **row}


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
_VERIFICATION = ("event_id", "subject_id", "method", "verified_at", "source_partition", "source_offset")
_HEAD = ("right_", "subject_id", "requested_at", "state", "tasks", "answered")


def _unnested(columns: Mapping[str, Sequence[Any]]) -> list[Row]:
    """Columns as rows: the column ``sinks`` gives each row its ``sink``."""
    names = [name if name in _PLURAL else name.removesuffix("s") for name in columns]
    return [dict(zip(names, map(_stored, row), strict=True)) for row in zip(*columns.values(), strict=True)]


def _stored(value: Any) -> Any:
    return value.value if isinstance(value, Enum) else value  # as a column of text holds it


def _found(table: Mapping[Any, Row], keys: Sequence[Any]) -> Iterator[tuple[Any, Row]]:
    """The rows that there are, each once."""
    return ((key, table[key]) for key in dict.fromkeys(keys) if key in table)


def _values(row: Row, *names: str) -> tuple[Any, ...]:
    return tuple(row[name] for name in names)


def _minute(instant: datetime) -> datetime:
    return instant.replace(second=0, microsecond=0)


def _with_source(row: Row) -> Row:
    """A row with the place where it was read, as its table names that."""
    return {"source_partition": row.pop("partition"), "source_offset": row.pop("offset"), **row}


def _task_key(row: Row) -> tuple[UUID, str, int]:
    return row["source_id"], row["sink"], row["generation"]


def _is_open(task: Row) -> bool:
    return task["outcome"] is None or task["outcome"] in NOT_FINAL


def _order_of(row: Row) -> tuple[datetime, int, str]:
    return order_key(row["occurred_at"], Decision(row["decision"]), row["event_id"])


def _comes_over(answer: Row, task: Row) -> bool:
    return task["outcome"] is None or (_is_open(task) and answer["outcome"] not in NOT_FINAL)


def _answer(row: Row) -> tuple[Any, ...]:
    counts = json.loads(row["counts"])
    return (*_values(row, "outcome", "detail", "applied_at", "verified_at"), counts)
