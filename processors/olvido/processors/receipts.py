"""Receipts: they become outcomes, and the outcomes of a request become its state. Dead letters are kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from olvido.broker.reading import Read, dead_letter_of
from olvido.core.causes import Cause
from olvido.core.dead_letters import DeadLetter
from olvido.core.errors import Refused
from olvido.core.lifecycle import event_of, step
from olvido.core.receipts import Receipt, stands
from olvido.core.status import RequestStatus, status_of
from olvido.ledger.rows import Outcomes, RequestHead, StateRow, TaskKey

GROUP = "olvido.recorder"


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """The receipts of a batch that answer a task, one for each, and those that answer none."""

    receipts: tuple[Receipt, ...]
    dead_letters: tuple[DeadLetter, ...]


def accept(batch: Sequence[Read[Receipt]], tasks: set[TaskKey], now: datetime) -> Accepted:
    """Keep, of the receipts of a batch, the one that stands for each task there is."""
    standing: dict[TaskKey, Receipt] = {}
    letters: list[DeadLetter] = []
    for read in batch:
        receipt = read.value
        key = task_key(receipt)
        try:
            if key not in tasks:
                raise Refused(Cause.UNKNOWN_TASK, field="task_id")
            if any(count < 0 for count in receipt.counts.values()):
                raise Refused(Cause.BAD_COUNT, field="counts")
        except Refused as refused:
            letters.append(dead_letter_of(read.received, refused, group=GROUP, now=now))
            continue
        standing[key] = stands(standing[key], receipt) if key in standing else receipt
    return Accepted(receipts=tuple(standing.values()), dead_letters=tuple(letters))


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


def task_key(receipt: Receipt) -> TaskKey:
    """What a receipt says it answers."""
    source_id = receipt.request_id or receipt.event_id or receipt.task_id
    return (source_id, receipt.sink, receipt.generation, receipt.task_id)
