"""Receipts: they become outcomes, and the outcomes of a request become its state. Dead letters are kept."""

from collections.abc import Mapping, Sequence, Set
from datetime import datetime
from uuid import UUID

from olvido.broker.reading import Read, dead_letter_of
from olvido.core.causes import Cause
from olvido.core.dead_letters import DeadLetter
from olvido.core.errors import Refused
from olvido.core.lifecycle import event_of, step
from olvido.core.receipts import Receipt, check_applied_at, stands
from olvido.core.status import RequestStatus, status_of
from olvido.ledger.recording import task_key
from olvido.ledger.rows import Outcomes, RequestHead, StateRow, TaskKey, unreadable_row
from olvido.schemas.privacy.seals import ControlSeals
from olvido.schemas.topics import RECORDER_GROUP, reads

_FIELDS = {Cause.UNKNOWN_TASK: "task_id", Cause.CONFLICT: "outcome"}


def possible(
    batch: Sequence[Read[Receipt]],
    heads: Mapping[UUID, RequestHead],
    now: datetime,
    *,
    unreadable: Set[UUID] = frozenset(),
) -> tuple[list[Read[Receipt]], list[DeadLetter]]:
    """The receipts of a batch that can be true, and dead letters for the others."""
    good: list[Read[Receipt]] = []
    letters: list[DeadLetter] = []
    for read in batch:
        receipt = read.value
        head = heads.get(receipt.request_id) if receipt.request_id else None
        try:
            if receipt.request_id in unreadable:
                raise unreadable_row("requests")
            if min(receipt.counts.values(), default=0) < 0:
                raise Refused(Cause.BAD_COUNT, field="counts")
            check_applied_at(receipt, head.requested_at if head else None, now)
            good.append(read)
        except Refused as refused:
            letters.append(dead_letter_of(read.received, refused, group=RECORDER_GROUP, now=now))
    return good, letters


def signed(
    batch: Sequence[Read[Receipt]], seals: ControlSeals, now: datetime
) -> tuple[list[Read[Receipt]], tuple[DeadLetter, ...]]:
    """The receipts whose principal may answer for their sink, and the dead letters of the others."""
    good, letters = list[Read[Receipt]](), list[DeadLetter]()
    for read in batch:
        try:
            seals.check_receipt(read.value, read.received.value or b"", now)
        except Refused as refused:
            letters.append(dead_letter_of(read.received, refused, group=RECORDER_GROUP, now=now))
        else:
            good.append(read)
    return good, tuple(letters)


def placed(batch: Sequence[Read[DeadLetter]], now: datetime) -> tuple[list[DeadLetter], list[DeadLetter]]:
    """The dead letters about a record that their reader reads, and those that the others become.

    Nobody seals a dead letter, and redriving one writes its record anew as an operator. So whoever may write
    them must not have one written to a topic of his choice.
    """
    good, letters = list[DeadLetter](), list[DeadLetter]()
    for read in batch:
        if reads(read.value.group, read.value.topic):
            good.append(read.value)
        else:
            refused = Refused(Cause.NOT_IN_SCOPE, field="topic", reason="its reader does not read that topic")
            letters.append(dead_letter_of(read.received, refused, group=RECORDER_GROUP, now=now))
    return good, letters


def standing(batch: Sequence[Read[Receipt]]) -> tuple[Receipt, ...]:
    """Of the receipts of a batch, in their order, the one that stands for each task."""
    by_task: dict[TaskKey, Receipt] = {}
    for read in batch:
        receipt, key = read.value, task_key(read.value)
        by_task[key] = stands(by_task[key], receipt) if key in by_task else receipt
    return tuple(by_task.values())


def left_over(batch: Sequence[Read[Receipt]], settled: Sequence[Receipt]) -> list[Read[Receipt]]:
    """The receipts of a batch that were not written."""
    written = {id(receipt) for receipt in settled}
    return [read for read in batch if id(read.value) not in written]


def refused(
    batch: Sequence[Read[Receipt]], causes: Sequence[Cause | None], now: datetime
) -> list[DeadLetter]:
    """Dead letters for those of some receipts that the ledger refuses: each has its cause, or None."""
    return [
        dead_letter_of(read.received, Refused(cause, field=_FIELDS[cause]), group=RECORDER_GROUP, now=now)
        for read, cause in zip(batch, causes, strict=True)
        if cause is not None
    ]


def fold(
    heads: Mapping[UUID, RequestHead], outcomes: Mapping[UUID, Outcomes]
) -> tuple[tuple[StateRow, ...], tuple[RequestStatus, ...]]:
    """The states that outcomes give requests: the same whatever order the receipts came in."""
    statuses: list[RequestStatus] = []
    rows: list[StateRow] = []
    for head in heads.values():
        if given := outcomes.get(head.request_id):
            state = step(head.state, event_of(head.right, given.values()))
            status = status_of(head, state, given)
            statuses.append(status)
            rows.append(
                StateRow(
                    request_id=head.request_id,
                    before=head.state,
                    state=state,
                    tasks=status.tasks,
                    answered=status.answered,
                )
            )
    return tuple(rows), tuple(statuses)
