"""What is being published to the compacted topics: noted before, ended when nothing has changed since."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from olvido.core.offsets import OffsetRange
from olvido.core.status import RequestStatus, final, status_of
from olvido.ledger import consent_states, handled_offsets
from olvido.ledger.connection import Database, Transaction, columns
from olvido.ledger.rows import About, Snapshot, head_of, outcomes_in, readable


class Publications:
    """The publications that are on their way, and what they are of."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, about: About) -> int:
        """Note what a process is about to publish; returns the id for :meth:`end`."""
        with self._database.transaction() as transaction:
            return begin(transaction, about)

    def end(
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
                handled_offsets.add(transaction, handled)
                transaction.run("end_publications", ids=[publication_id])
        return changed

    def snapshot(self, about: About) -> Snapshot:
        """The present state of some requests and consents."""
        with self._database.transaction() as transaction:
            return _snapshot(transaction, about)

    def unended(self, *, older_than: timedelta, limit: int) -> tuple[list[int], About]:
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

    def end_all(self, publication_ids: Sequence[int]) -> None:
        """End publications that another process has made again."""
        with self._database.transaction() as transaction:
            transaction.run("end_publications", ids=list(publication_ids))


def begin(transaction: Transaction, about: About) -> int:
    """Begin a publication in the transaction that saves what it is of."""
    publication_id: int
    [(publication_id,)] = transaction.rows(
        "begin_publication", request_ids=list(about.request_ids), **consent_states.pairs(about.consents)
    )
    return publication_id


def _to_look_at(transaction: Transaction, published: Snapshot) -> About:
    """What of it has changed, or may have: a request whose state, tasks or outcomes are others by now."""
    last = [*{status.request_id.int: status for status in published.statuses}.values()]
    rows = () if not last else transaction.rows(
        "requests_to_compare",
        **columns(last, "state", id="request_id", task="tasks", answer="answered"),
    )  # fmt: skip
    changed = []
    standing = ((last[place - 1].request_id, last[place - 1], *row) for place, *row in rows)
    for status, present in readable(standing, lambda row: (row[1], (*row[2:4], final(outcomes_in(row[4]))))):
        if present != (status.state, status.tasks, status.outcomes):
            changed.append(status.request_id)
    return About(request_ids=changed, consents=published.about.consents)


def _snapshot(transaction: Transaction, about: About) -> Snapshot:
    rows = transaction.rows("requests_snapshot", ids=list(about.request_ids)) if about.request_ids else ()
    states = consent_states.latest(transaction, about.consents)
    return Snapshot(statuses=[*readable(rows, _status)], states=states)


def _status(row: Sequence[Any]) -> RequestStatus:
    *head, generations = row
    request = head_of(head)
    return status_of(request, request.state, outcomes_in(generations))
