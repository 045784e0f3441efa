"""The ledger as its callers see it: load what is known of a batch, save what a step decided.

Each ``save_…`` is one transaction that also notes the offsets of the batch it comes from.
It may be called again with the same values, also when nobody knows whether the first call
was committed: every insert does nothing the second time, every update is a maximum.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from olvido.core.consents import ConsentState
from olvido.core.dead_letters import DeadLetter
from olvido.core.errors import OlvidoError
from olvido.core.events import Decision, Right, Verified
from olvido.core.receipts import Outcome, Receipt, outcome_of
from olvido.core.requests import RequestState
from olvido.core.status import RequestStatus
from olvido.core.tasks import DELAY_MAX, Action
from olvido.ledger.connection import Database, Row, Transaction, Value
from olvido.ledger.letters import keep
from olvido.ledger.progress import OffsetRange
from olvido.ledger.rows import (
    About,
    ConsentKey,
    ConsentRow,
    Known,
    KnownRequest,
    KnownVerification,
    Outcomes,
    Owed,
    Place,
    RequestHead,
    RequestRow,
    Settled,
    Snapshot,
    StartedRow,
    StateRow,
    TaskRow,
    Try,
    VerificationKey,
    VerificationRow,
)

TaskKey = tuple[UUID, str, int, UUID]  # source_id, sink, generation, task_id
NOTHING = About()


class Overtaken(OlvidoError):
    """Another process saved one of these ids in the meantime: nothing was saved; load and step again."""


class Ledger:
    """The store. May be shared between threads."""

    def __init__(self, dsn: str, *, application: str = "olvido") -> None:
        self._database = Database(dsn, application=application)

    def close(self) -> None:
        """Let go of this thread's connection."""
        self._database.close()

    # --- requests -----------------------------------------------------------------------------

    def known_requests(
        self, ids: Sequence[UUID]
    ) -> tuple[dict[UUID, KnownRequest], dict[VerificationKey, KnownVerification]]:
        """What is known of some request ids, and their standing verifications."""
        with self._database.transaction() as transaction:
            rows = transaction.rows("requests_known", ids=list(ids))
            verifications = _verifications(transaction, ids)
        requests = {
            request_id: KnownRequest(
                digest=bytes(digest),
                place=Place(partition, offset),
                subject_id=subject_id,
                state=RequestState(state),
                said={sink: list(map(_outcome, outcomes)) for sink, outcomes in said.items()},
            )
            for request_id, digest, partition, offset, subject_id, state, said in rows
        }
        return requests, verifications

    def save_requests(
        self,
        requests: Sequence[RequestRow],
        tasks: Sequence[TaskRow],
        *,
        topic: str,
        now: datetime,
        due_after: timedelta,
        publication: About = NOTHING,
    ) -> int | None:
        """Save new requests with their tasks, and begin their publication; returns its id.

        Raises:
            Overtaken: one of the ids is there by now.
        """
        with self._database.transaction() as transaction:
            if requests:
                inserted = transaction.rows(
                    "insert_requests",
                    request_ids=[row.request_id for row in requests],
                    rights=[row.right for row in requests],
                    subject_ids=[row.subject_id for row in requests],
                    requested_ats=[row.requested_at for row in requests],
                    received_ats=[now] * len(requests),
                    states=[row.state for row in requests],
                    tasks=[row.tasks for row in requests],
                    finished_ats=[now if row.finished else None for row in requests],
                    digests=[row.digest for row in requests],
                    partitions=[row.place.partition for row in requests],
                    offsets=[row.place.offset for row in requests],
                )
                if len(inserted) != len(requests):
                    raise Overtaken("a request id was saved by another process")
                _insert_events(transaction, topic, [(row.request_id, row.event) for row in requests])
                awaiting = [row.request_id for row in requests if row.awaiting]
                if awaiting:
                    transaction.run("insert_awaiting", ids=awaiting)
                _insert_tasks(transaction, tasks, now, due_after)
            return _begin_publication(transaction, publication) if publication else None

    def requests_with_events(self, ids: Sequence[UUID]) -> dict[UUID, bytes]:
        """Some requests as they were read."""
        with self._database.transaction() as transaction:
            rows = transaction.rows("requests_with_events", ids=list(ids))
        return {request_id: bytes(event) for request_id, event in rows}

    def save_verifications(
        self,
        verifications: Sequence[VerificationRow],
        started: Sequence[StartedRow],
        tasks: Sequence[TaskRow],
        *,
        now: datetime,
        due_after: timedelta,
    ) -> None:
        """Save verifications, and the tasks of the requests that waited for them.

        The requests are awaiting all the same until :meth:`end_awaiting` says that their start was published.
        """
        with self._database.transaction() as transaction:
            if verifications:
                transaction.run(
                    "insert_verifications",
                    request_ids=[row.request_id for row in verifications],
                    event_ids=[row.event_id for row in verifications],
                    subject_ids=[row.subject_id for row in verifications],
                    methods=[row.verified.method for row in verifications],
                    verified_ats=[row.verified.verified_at for row in verifications],
                    partitions=[row.place.partition for row in verifications],
                    offsets=[row.place.offset for row in verifications],
                )
            if started:
                transaction.run(
                    "start_requests",
                    ids=[row.request_id for row in started],
                    states=[row.state for row in started],
                    tasks=[row.tasks for row in started],
                    finished_ats=[now if row.finished else None for row in started],
                )
                _insert_tasks(transaction, tasks, now, due_after)

    def end_awaiting(self, request_ids: Sequence[UUID]) -> None:
        """Requests whose start was published."""
        if request_ids:
            with self._database.transaction() as transaction:
                transaction.run("delete_awaiting", ids=list(request_ids))

    def awaiting_verified(self, *, limit: int) -> list[VerificationRow]:
        """Verifications whose requests still wait, because both came in the same moment."""
        with self._database.transaction() as transaction:
            return [
                VerificationRow(
                    event_id=event_id,
                    request_id=request_id,
                    subject_id=subject_id,
                    verified=Verified(method=method, verified_at=verified_at),
                    place=Place(partition, offset),
                )
                for event_id, request_id, subject_id, method, verified_at, partition, offset in (
                    transaction.rows("awaiting_verified", limit=limit)
                )
            ]

    # --- consents -----------------------------------------------------------------------------

    def known_consents(
        self, ids: Sequence[UUID], keys: Sequence[ConsentKey]
    ) -> tuple[dict[UUID, Known], dict[tuple[str, str], ConsentState]]:
        """What is known of some event ids, and the latest words about some (handle, purpose)."""
        with self._database.transaction() as transaction:
            changes = _known(transaction.rows("consent_changes_known", ids=list(ids)))
            rows = transaction.rows("consents_known", **_pairs(keys))
        return changes, {(state.handle, state.purpose): state for state in map(_consent_state, rows)}

    def save_consents(
        self,
        changes: Sequence[ConsentRow],
        states: Sequence[ConsentState],
        tasks: Sequence[TaskRow],
        *,
        topic: str,
        now: datetime,
        due_after: timedelta,
        publication: About = NOTHING,
    ) -> int | None:
        """Save new consent changes with the states they give and their tasks; begin a publication, as above.

        Raises:
            Overtaken: one of the ids is there by now.
        """
        with self._database.transaction() as transaction:
            if changes:
                inserted = transaction.rows(
                    "insert_consent_changes",
                    event_ids=[row.event_id for row in changes],
                    purposes=[row.purpose for row in changes],
                    decisions=[row.decision for row in changes],
                    subject_ids=[row.subject_id for row in changes],
                    occurred_ats=[row.occurred_at for row in changes],
                    received_ats=[now] * len(changes),
                    digests=[row.digest for row in changes],
                    partitions=[row.place.partition for row in changes],
                    offsets=[row.place.offset for row in changes],
                )
                if len(inserted) != len(changes):
                    raise Overtaken("an event id was saved by another process")
                _insert_events(transaction, topic, [(row.event_id, row.event) for row in changes])
                _upsert_consents(transaction, states)
                _insert_tasks(transaction, tasks, now, due_after)
            return _begin_publication(transaction, publication) if publication else None

    # --- receipts -----------------------------------------------------------------------------

    @contextmanager
    def recording(self, request_ids: Iterable[UUID]) -> Iterator["Recording"]:
        """A transaction in which receipts become outcomes and outcomes become states.

        The requests are taken hold of first, so that two recorders that settle tasks of one
        request take turns and the second sees what the first has written.
        """
        with self._database.transaction() as transaction:
            yield Recording(
                transaction, _heads(transaction.rows("lock_requests", ids=sorted(set(request_ids))))
            )

    # --- publications -------------------------------------------------------------------------

    def begin_publication(self, about: About) -> int:
        """Note what a process is about to publish; returns the id for :meth:`end_publication`."""
        with self._database.transaction() as transaction:
            return _begin_publication(transaction, about)

    def end_publication(
        self, publication_id: int, published: Snapshot, *, handled: Sequence[OffsetRange] = ()
    ) -> Snapshot:
        """What has changed since it was published. If that is nothing, the publication ends.

        Args:
            publication_id: what was begun.
            published: what was published last, once for each request and consent.
            handled: the records that asked for it, noted as handled if it ends.
        """
        with self._database.transaction() as transaction:
            changed = _snapshot(transaction, _to_look_at(transaction, published)).changed_since(published)
            if not changed:
                _add_progress(transaction, handled)
                transaction.run("end_publications", ids=[publication_id])
        return changed

    def snapshot(self, about: About) -> Snapshot:
        """The present state of some requests and consents."""
        with self._database.transaction() as transaction:
            return _snapshot(transaction, about)

    def unended_publications(self, *, older_than: timedelta, limit: int) -> tuple[list[int], About]:
        """Publications that began so long ago that their process is taken for dead; and of what."""
        with self._database.transaction() as transaction:
            rows = transaction.rows("unended_publications", older_than=older_than, limit=limit)
        return [publication_id for publication_id, *_ in rows], About(
            request_ids=tuple(dict.fromkeys(one for _, request_ids, *_ in rows for one in request_ids)),
            consents=tuple(
                dict.fromkeys(
                    pair for _, _, handles, purposes in rows for pair in zip(handles, purposes, strict=True)
                )
            ),
        )

    def end_publications(self, publication_ids: Sequence[int]) -> None:
        """End publications that another process has made again."""
        with self._database.transaction() as transaction:
            transaction.run("end_publications", ids=list(publication_ids))

    # --- tries, progress ----------------------------------------------------------------------

    @contextmanager
    def owed(self, *, now: datetime, limit: int) -> Iterator["Postponing"]:
        """Tasks that are due for another try, held until the block ends; others' are passed over."""
        with self._database.transaction() as transaction:
            yield Postponing(transaction, transaction.records("owed", now=now, limit=limit))

    @contextmanager
    def unsent(self, operation_id: UUID, *, limit: int) -> Iterator["Postponing"]:
        """Tasks of an operation that were never sent, held until the block ends; others' are passed over."""
        with self._database.transaction() as transaction:
            yield Postponing(
                transaction, transaction.records("unsent", operation_id=operation_id, limit=limit)
            )

    def add_progress(self, handled: Sequence[OffsetRange]) -> None:
        """Note records as handled: what they ask for is saved and published. A repeat changes nothing."""
        with self._database.transaction() as transaction:
            _add_progress(transaction, handled)

    def fill(self, hole: OffsetRange, *, reread: int) -> None:
        """Note a hole as handled, and how many of its records the audit read again."""
        with self._database.transaction() as transaction:
            _add_progress(transaction, [hole])
            transaction.run("count_reread", topic=hole.topic, partition=hole.partition, count=reread)

    def holes(self, asked: Sequence[OffsetRange]) -> list[OffsetRange]:
        """Which records of some ranges nobody has handled."""
        if not asked:
            return []
        with self._database.transaction() as transaction:
            return [OffsetRange(*row) for row in transaction.rows("holes", **_range_arrays(asked))]

    # --- for operators ------------------------------------------------------------------------

    def list_requests(
        self, *, state: str | None = None, right: str | None = None, limit: int = 50
    ) -> list[Mapping[str, Any]]:
        """Requests, newest first."""
        return self._look("list_requests", state=state, right=right, limit=limit)

    def show_request(self, request_id: UUID) -> Mapping[str, Any] | None:
        """One request, or None."""
        return next(iter(self._look("show_request", id=request_id)), None)

    def show_tasks(self, source_id: UUID) -> list[Mapping[str, Any]]:
        """The tasks of one request or consent change, with their receipts."""
        return self._look("show_tasks", id=source_id)

    def overview(self) -> Mapping[str, Any]:
        """What is open, owed, late and dead."""
        return self._look("overview")[0]

    def clock(self) -> datetime:
        """The database's clock."""
        with self._database.transaction() as transaction:
            now: datetime = transaction.rows("clock")[0][0]
        return now

    def by_sink(self) -> list[Mapping[str, Any]]:
        """For each sink: tasks, answered, parked, sent again."""
        return self._look("by_sink")

    def _look(self, query: str, **values: Value) -> list[Mapping[str, Any]]:
        with self._database.transaction() as transaction:
            return transaction.records(query, **values)


class Recording:
    """Receipts being written, within one transaction."""

    def __init__(self, transaction: Transaction, heads: Mapping[UUID, RequestHead]) -> None:
        self._transaction = transaction
        self.heads = heads

    def known_tasks(self, receipts: Sequence[Receipt]) -> set[TaskKey]:
        """Which of the tasks that are answered there are."""
        rows = self._transaction.rows(
            "tasks_known",
            source_ids=[_source_id(receipt) for receipt in receipts],
            sinks=[receipt.sink for receipt in receipts],
            generations=[receipt.generation for receipt in receipts],
            task_ids=[receipt.task_id for receipt in receipts],
        )
        return {(source_id, sink, generation, task_id) for source_id, sink, generation, task_id in rows}

    def settle(self, receipts: Sequence[Receipt]) -> list[Settled]:
        """Write receipts into their tasks, one for each (task_id, generation); returns those written."""
        rows = self._transaction.rows(
            "settle_tasks",
            source_ids=[_source_id(receipt) for receipt in receipts],
            sinks=[receipt.sink for receipt in receipts],
            generations=[receipt.generation for receipt in receipts],
            task_ids=[receipt.task_id for receipt in receipts],
            outcomes=[receipt.outcome.value for receipt in receipts],
            counts=[json.dumps(dict(receipt.counts)) for receipt in receipts],
            details=[receipt.detail for receipt in receipts],
            applied_ats=[receipt.applied_at for receipt in receipts],
            verified_ats=[receipt.verified_at for receipt in receipts],
            ask_again_after=DELAY_MAX,
        )
        return [
            Settled(
                source_id=source_id,
                sink=sink,
                action=Action(action),
                outcome=Outcome(outcome),
                applied_at=applied_at,
            )
            for source_id, sink, action, outcome, applied_at in rows
        ]

    def outcomes(self) -> dict[UUID, Outcomes]:
        """What the sinks of the requests in hand have said so far; None for those that have not."""
        return _outcomes(self._transaction, list(self.heads))

    def write_states(self, states: Sequence[StateRow], *, now: datetime) -> None:
        """Write the states that the receipts give."""
        if states:
            self._transaction.run(
                "update_request_states",
                ids=[row.request_id for row in states],
                states=[row.state for row in states],
                answered=[row.answered for row in states],
                finals=[row.final for row in states],
                now=now,
            )

    def write_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        """Keep dead letters; the tasks among them are parked."""
        keep(self._transaction, letters)

    def add_progress(self, handled: Sequence[OffsetRange]) -> None:
        """Note which records were handled."""
        _add_progress(self._transaction, handled)


class Postponing:
    """Tasks in hand that are being sent."""

    def __init__(self, transaction: Transaction, rows: Iterable[Mapping[str, Any]]) -> None:
        self._transaction = transaction
        self.owed = [
            Owed(**{**row, "action": Action(row["action"]), "event": row["event"] and bytes(row["event"])})
            for row in rows
        ]

    def until(self, tries: Sequence[Try], *, now: datetime) -> None:
        """Note for each task in hand how often it has been sent, and when it is due again."""
        self._transaction.run(
            "postpone",
            source_ids=[task.source_id for task in self.owed],
            sinks=[task.sink for task in self.owed],
            generations=[task.generation for task in self.owed],
            attempts=[one.attempts for one in tries],
            due_ats=[one.due_at for one in tries],
            now=now,
        )


def _pairs(keys: Sequence[ConsentKey]) -> dict[str, list[str]]:
    return {"handles": [handle for handle, _ in keys], "purposes": [purpose for _, purpose in keys]}


def _consent_state(row: Row) -> ConsentState:
    handle, purpose, decision, occurred_at, event_id, policy_version = row
    return ConsentState(
        handle=handle,
        purpose=purpose,
        decision=Decision(decision),
        occurred_at=occurred_at,
        event_id=event_id,
        policy_version=policy_version,
    )


def _begin_publication(transaction: Transaction, about: About) -> int:
    publication_id: int
    [(publication_id,)] = transaction.rows(
        "begin_publication", request_ids=list(about.request_ids), **_pairs(about.consents)
    )
    return publication_id


def _to_look_at(transaction: Transaction, published: Snapshot) -> About:
    """What of it may have changed. Whether a request that no sink had answered has, its own row shows."""
    about = published.about
    last = {status.request_id: status for status in published.statuses}
    unanswered = [status for status in last.values() if not status.outcomes]
    if not unanswered:
        return about
    rows = transaction.rows(
        "requests_as_published",
        ids=[status.request_id for status in unanswered],
        states=[status.state.value for status in unanswered],
        tasks=[status.tasks for status in unanswered],
    )
    unchanged = {request_id for (request_id,) in rows}
    return About(
        request_ids=tuple(one for one in about.request_ids if one not in unchanged), consents=about.consents
    )


def _snapshot(transaction: Transaction, about: About) -> Snapshot:
    statuses = [
        RequestStatus(
            request_id=request_id,
            right=Right(right),
            subject_id=subject_id,
            state=RequestState(state),
            tasks=len(outcomes),
            outcomes={
                sink: outcome for sink, outcome in _by_sink(outcomes).items() if outcome and outcome.final
            },
            requested_at=requested_at,
        )
        for request_id, right, subject_id, requested_at, state, outcomes in (
            transaction.rows("requests_snapshot", ids=list(about.request_ids)) if about.request_ids else ()
        )
    ]
    rows = transaction.rows("consents_known", **_pairs(about.consents)) if about.consents else ()
    return Snapshot(statuses=statuses, states=[_consent_state(row) for row in rows])


def _by_sink(outcomes: Mapping[str, Sequence[str | None]]) -> Outcomes:
    return {sink: outcome_of(list(map(_outcome, said))) for sink, said in outcomes.items()}


def _heads(rows: Iterable[Row]) -> dict[UUID, RequestHead]:
    return {
        request_id: RequestHead(
            request_id=request_id, right=right, subject_id=subject_id, requested_at=requested_at
        )
        for request_id, right, subject_id, requested_at in rows
    }


def _outcomes(transaction: Transaction, ids: Sequence[UUID]) -> dict[UUID, Outcomes]:
    said: dict[UUID, dict[str, list[Outcome | None]]] = defaultdict(lambda: defaultdict(list))
    for source_id, sink, outcome in transaction.rows("outcomes_of", ids=list(ids)):
        said[source_id][sink].append(_outcome(outcome))
    return {
        source_id: {sink: outcome_of(generations) for sink, generations in by_sink.items()}
        for source_id, by_sink in said.items()
    }


def _outcome(said: str | None) -> Outcome | None:
    return None if said is None else Outcome(said)


def _source_id(receipt: Receipt) -> UUID:
    return receipt.request_id or receipt.event_id or receipt.task_id  # the last finds no task


def _known(rows: Sequence[tuple[Any, ...]]) -> dict[UUID, Known]:
    return {
        source_id: Known(digest=bytes(digest), place=Place(partition, offset))
        for source_id, digest, partition, offset in rows
    }


def _verifications(transaction: Transaction, ids: Sequence[UUID]) -> dict[VerificationKey, KnownVerification]:
    return {
        (request_id, subject_id): KnownVerification(
            event_id=event_id,
            subject_id=subject_id,
            verified=Verified(method=method, verified_at=verified_at),
            place=Place(partition, offset),
        )
        for request_id, event_id, subject_id, method, verified_at, partition, offset in transaction.rows(
            "verifications_known", ids=list(ids)
        )
    }


def _insert_events(transaction: Transaction, topic: str, events: Sequence[tuple[UUID, bytes]]) -> None:
    transaction.run(
        "insert_events",
        topic=topic,
        source_ids=[source_id for source_id, _ in events],
        events=[event for _, event in events],
    )


def _insert_tasks(
    transaction: Transaction, tasks: Sequence[TaskRow], now: datetime, due_after: timedelta
) -> None:
    if tasks:
        transaction.run(
            "insert_tasks",
            source_ids=[task.source_id for task in tasks],
            sinks=[task.sink for task in tasks],
            generations=[task.generation for task in tasks],
            task_ids=[task.task_id for task in tasks],
            actions=[task.action.value for task in tasks],
            now=now,
            due_at=now + due_after,
        )


def _upsert_consents(transaction: Transaction, states: Sequence[ConsentState]) -> None:
    ordered = sorted(states, key=lambda state: (state.handle, state.purpose))  # one order: no deadlock
    transaction.run(
        "upsert_consents",
        handles=[state.handle for state in ordered],
        purposes=[state.purpose for state in ordered],
        decisions=[state.decision.value for state in ordered],
        ranks=[int(state.decision is Decision.WITHDRAWN) for state in ordered],
        occurred_ats=[state.occurred_at for state in ordered],
        event_ids=[state.event_id for state in ordered],
        policy_versions=[state.policy_version for state in ordered],
    )


def _add_progress(transaction: Transaction, handled: Sequence[OffsetRange]) -> None:
    if handled:
        transaction.run("add_progress", **_range_arrays(handled))


def _range_arrays(ranges: Sequence[OffsetRange]) -> dict[str, list[Any]]:
    return {
        "topics": [piece.topic for piece in ranges],
        "partitions": [piece.partition for piece in ranges],
        "lows": [piece.low for piece in ranges],
        "highs": [piece.high for piece in ranges],
    }
