"""Receipts: they become outcomes, and the outcomes of a request become its state. Dead letters are kept."""

from collections.abc import Mapping, Sequence, Set
from datetime import datetime
from uuid import UUID

from olvido.broker.reading import Read, dead_letter_of
from olvido.core.causes import Cause
from olvido.core.dead_letters import DeadLetter
from olvido.core.errors import Refused
from olvido.core.lifecycle import event_of, step
from olvido.core.receipts import Receipt, stands
from olvido.core.status import RequestStatus, status_of
from olvido.ledger.recording import task_key
from olvido.ledger.rows import Outcomes, RequestHead, StateRow, TaskKey
from olvido.schemas.topics import RECORDER_GROUP


def standing(batch: Sequence[Read[Receipt]]) -> tuple[Receipt, ...]:
    """Of the receipts of a batch that can be written, the one that stands for each task."""
    by_task: dict[TaskKey, Receipt] = {}
    for read in batch:
        receipt, key = read.value, task_key(read.value)
        if counts_rows(receipt):
            by_task[key] = stands(by_task[key], receipt) if key in by_task else receipt
    return tuple(by_task.values())


def refused(batch: Sequence[Read[Receipt]], tasks: Set[TaskKey], now: datetime) -> tuple[DeadLetter, ...]:
    """The receipts of a batch that answer no task, or that cannot be written."""
    letters: list[DeadLetter] = []
    for read in batch:
        if task_key(read.value) not in tasks:
            cause = Refused(Cause.UNKNOWN_TASK, field="task_id")
        elif not counts_rows(read.value):
            cause = Refused(Cause.BAD_COUNT, field="counts")
        else:
            continue
        letters.append(dead_letter_of(read.received, cause, group=RECORDER_GROUP, now=now))
    return tuple(letters)


def counts_rows(receipt: Receipt) -> bool:
    """Whether its counts can be those of rows."""
    return min(receipt.counts.values(), default=0) >= 0


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
