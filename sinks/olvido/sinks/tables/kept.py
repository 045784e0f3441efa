"""The erasures that a target keeps until their last look: tasks with their sealed boxes, nobody in clear.

One row holds all that one transaction has erased, since all of it is due at once: a row with its indexes for
each erasure cost a fifth of a batch. The keys of deleted rows, which few maps need, are kept by task.
"""

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence, Set
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID, uuid4

from olvido.core.events import SealedBox
from olvido.core.rights.erase import Erase
from olvido.core.subject import Handle, IdentityKind
from olvido.core.tasks import IdempotencyKey, RequestId, Task
from olvido.schemas.sealed_records import seal_bytes, seal_in
from olvido.sinks.tables.dialect import Session
from olvido.sinks.tables.journal import keys_of, utc
from olvido.sinks.tables.ownership import Key

DeletedKeys = Mapping[str, Sequence[Key]]  # by table: of deleted rows on which others may still hang


class KeptBatch(NamedTuple):
    """The erasures of one transaction that are kept."""

    batch_id: UUID
    applied_at: datetime
    erasures: int  # how many it has, those among them of which there is a newer generation
    tasks: Sequence[Task]  # the others
    gone: Mapping[IdempotencyKey, DeletedKeys]


class KeptErasures:
    """What a target keeps of one sink's erasures, inside one open transaction."""

    def __init__(self, session: Session, sink: str) -> None:
        self._session = session
        self._sink = sink

    def keep(self, tasks: Sequence[Task], gone: Mapping[IdempotencyKey, DeletedKeys]) -> None:
        """Keep erasures done in this transaction, and by task the keys of what was deleted."""
        if not tasks:
            return
        self._session.named(
            "keep_batch", {}, batch_id=str(uuid4()), sink=self._sink, applied_at=self._session.at,
            erasures=len(tasks), tasks=written(tasks),
        )  # fmt: skip
        self.keep_gone({task.key: gone[task.key] for task in tasks if gone.get(task.key)})

    def keep_gone(self, gone: Mapping[IdempotencyKey, DeletedKeys]) -> None:
        """Keep by task the keys of what was dealt with, in place of those that its chunks have kept."""
        if gone:
            self._session.named(
                "keep_gone", keys_of(list(gone)) | {"gone": [json.dumps(keys) for keys in gone.values()]}
            )

    def gone(self, task_ids: Sequence[UUID]) -> Mapping[UUID, DeletedKeys]:
        """Of tasks with generations or chunks that are kept: the keys of what those dealt with, by table."""
        found = self._gone(task_ids)
        return {task_id: found[task_id, number] for task_id, number in sorted(found)}  # the newest comes last

    def alone(self) -> bool:
        """Whether no other process looks for this sink now; none does until the transaction ends."""
        return self._session.named("look_alone", {}, sink=self._sink) == [(True,)]

    def drop_beyond(self, waits: Sequence[timedelta], limit: int) -> None:
        """The setting may have fewer looks than it had: what has had as many is kept no longer."""
        rows = self._session.named("beyond", {}, sink=self._sink, places=len(waits), limit=limit)
        self._drop([batch_id for batch_id, *_ in _first(rows, limit)])

    def oldest_due(self, waits: Sequence[timedelta]) -> Mapping[int, datetime]:
        """By the place of each wait that is over for some erasure, when the first of those was done."""
        columns: dict[str, Sequence[object]] = {
            "places": [*range(len(waits))],
            "before": [self._session.at - wait for wait in waits],
        }
        rows = self._session.named("oldest_due", columns, sink=self._sink) if waits else []
        return {place: utc(applied_at) for place, applied_at in rows}

    def due(self, place: int, waits: Sequence[timedelta], limit: int) -> Sequence[KeptBatch]:
        """Those whose look of that place is due, the oldest first, until there are so many erasures.

        Of one instant all or none.
        """
        before = self._session.at - waits[place]
        rows = self._session.named("due_looks", {}, sink=self._sink, place=place, before=before, limit=limit)
        return self._read(_first(rows, limit))

    def done_after(self, instant: datetime, limit: int) -> Sequence[KeptBatch]:
        """Those that were done after an instant, whatever looks they had; of one instant all or none."""
        rows = self._session.named("done_after", {}, sink=self._sink, instant=instant, limit=limit)
        return self._read(_first(rows, limit))

    def looked(self, batches: Sequence[KeptBatch], place: int, *, last: bool) -> None:
        """Note that they had the look of that place; after the last they are kept no longer."""
        batch_ids = [str(one.batch_id) for one in batches]
        if last:
            self._drop(batch_ids)
        else:
            self._session.named("looked", {"batch_ids": batch_ids}, place=place)

    def leave_out(self, batches: Sequence[KeptBatch], forgotten: Set[IdempotencyKey]) -> None:
        """Keep these erasures no longer, and the others of their batches on."""
        for one in batches:
            left = [task for task in one.tasks if task.key not in forgotten]
            if not left:
                self._drop([str(one.batch_id)])
            elif len(left) < len(one.tasks):
                self._drop_gone([task.key for task in one.tasks if task.key in forgotten])
                given = {"batch_id": str(one.batch_id), "erasures": len(left), "tasks": written(left)}
                self._session.named("keep_fewer", {}, **given)

    def _drop(self, batch_ids: Sequence[str]) -> None:
        if not batch_ids:
            return
        for _, tasks in self._session.named("read_batches", {"batch_ids": batch_ids}):
            self._drop_gone([task.key for task in read(tasks, self._sink)])
        self._session.named("drop_batches", {"batch_ids": batch_ids})

    def _drop_gone(self, keys: Sequence[IdempotencyKey]) -> None:
        self._session.named("drop_gone", keys_of(keys))

    def _gone(self, task_ids: Sequence[UUID]) -> Mapping[IdempotencyKey, DeletedKeys]:
        rows = self._session.named("gone_of", {"task_ids": task_ids})
        return {
            (UUID(task_id), number): {
                name: [tuple(key) for key in keys] for name, keys in json.loads(gone).items()
            }
            for task_id, number, gone in rows
        }

    def _read(self, rows: Sequence[tuple[Any, ...]]) -> Sequence[KeptBatch]:
        """What these batches hold. Whether a task has a newer generation stands in the journal."""
        if not rows:
            return []
        held = {
            batch_id: read(tasks, self._sink)
            for batch_id, tasks in self._session.named(
                "read_batches", {"batch_ids": [one for one, *_ in rows]}
            )
        }
        keys = [task.key for tasks in held.values() for task in tasks]
        newer = {
            (UUID(task_id), number) for task_id, number in self._session.named("superseded", keys_of(keys))
        }
        gone = self._gone([task_id for task_id, _ in keys])
        return [
            KeptBatch(
                UUID(batch_id),
                utc(applied_at),
                erasures,
                [t for t in held[batch_id] if t.key not in newer],
                gone,
            )
            for batch_id, erasures, applied_at in rows
        ]


def _first(rows: Sequence[tuple[Any, ...]], limit: int) -> Sequence[tuple[Any, ...]]:
    """The first batches that have as many erasures together, and what is of the last one's instant."""
    taken: list[tuple[Any, ...]] = []
    count = 0
    for row in rows:
        _, erasures, applied_at = row
        if count >= limit and applied_at != taken[-1][2]:
            break
        taken.append(row)
        count += erasures
    return taken


def written(tasks: Sequence[Task]) -> str:
    """Tasks as one text: JSON, column by column."""
    boxes = [task.box for task in tasks]
    columns: Mapping[str, Sequence[object]] = {
        "task_ids": [str(task.task_id) for task in tasks],
        "generations": [task.generation for task in tasks],
        "request_ids": [str(task.source_id) for task in tasks],
        "subject_ids": [task.subject_id for task in tasks],
        "handles": [[(one.kind, one.value) for one in task.handles] for task in tasks],
        "asked_at": [task.occurred_at.isoformat() for task in tasks],
        "appended_at": [task.appended_at and task.appended_at.isoformat() for task in tasks],
        "regions": [box.region for box in boxes],
        "key_ids": [box.key_id for box in boxes],
        "wrapped_keys": [b64encode(box.wrapped_key).decode() for box in boxes],
        "nonces": [b64encode(box.nonce).decode() for box in boxes],
        "ciphertexts": [b64encode(box.ciphertext).decode() for box in boxes],
        "seals": [b64encode(seal_bytes(task)).decode() for task in tasks],
    }
    return json.dumps(columns, separators=(",", ":"))


def read(text: str, sink: str) -> Sequence[Task]:
    """The tasks that were written."""
    columns = json.loads(text)
    # What was kept before this was has none.
    appended_at = columns.get("appended_at") or [None] * len(columns["task_ids"])
    found = []
    for n, task_id in enumerate(columns["task_ids"]):
        task = Task(
            task_id=UUID(task_id),
            generation=columns["generations"][n],
            sink=sink,
            source=RequestId(UUID(columns["request_ids"][n])),
            what=Erase(utc(columns["asked_at"][n])),
            subject_id=columns["subject_ids"][n],
            handles=tuple(
                Handle(kind=IdentityKind(kind), value=value) for kind, value in columns["handles"][n]
            ),
            box=SealedBox(
                region=columns["regions"][n],
                key_id=columns["key_ids"][n],
                wrapped_key=b64decode(columns["wrapped_keys"][n]),
                nonce=b64decode(columns["nonces"][n]),
                ciphertext=b64decode(columns["ciphertexts"][n]),
            ),
            seal=seal_in(b64decode(columns["seals"][n])),
            appended_at=utc(at) if (at := appended_at[n]) else None,
        )
        found.append(task)
    return found
