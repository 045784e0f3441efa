"""The erasures that a target keeps until their last look: tasks with their sealed boxes, nobody in clear."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from olvido.core.events import SealedBox
from olvido.core.rights.erase import Erase
from olvido.core.subject import Handle, IdentityKind
from olvido.core.tasks import IdempotencyKey, RequestId, Task
from olvido.sinks.tables.dialect import Session
from olvido.sinks.tables.journal import utc
from olvido.sinks.tables.ownership import Key


class Kept(NamedTuple):
    """An erasure whose box is kept."""

    task: Task
    applied_at: datetime
    gone: Mapping[str, Sequence[Key]]  # by table: the keys of deleted rows on which others may still hang


class KeptErasures:
    """What a target keeps of one sink's erasures, inside one open transaction."""

    def __init__(self, session: Session, sink: str) -> None:
        self._session = session
        self._sink = sink

    def keep(self, erasures: Sequence[Kept]) -> None:
        """Keep erasures done in this transaction; their earlier generations are looked at no more."""
        if not erasures:
            return
        tasks = [one.task for one in erasures]
        keys = _keys([task.key for task in tasks])
        columns: dict[str, Sequence[object]] = {
            "request_ids": [task.source_id for task in tasks],
            "subject_ids": [task.subject_id for task in tasks],
            "handles": [json.dumps([(one.kind.name, one.value) for one in task.handles]) for task in tasks],
            "asked_at": [task.occurred_at for task in tasks],
            "regions": [task.box.region for task in tasks],
            "key_ids": [task.box.key_id for task in tasks],
            "wrapped_keys": [task.box.wrapped_key for task in tasks],
            "nonces": [task.box.nonce for task in tasks],
            "ciphertexts": [task.box.ciphertext for task in tasks],
            "gone": [json.dumps(one.gone) if one.gone else None for one in erasures],
            "applied_at": [one.applied_at for one in erasures],
        }
        self._session.named("keep_erasures", keys | columns, sink=self._sink)
        if any(task.generation for task in tasks):
            self._session.named("drop_earlier_generations", keys)

    def gone(self, task_ids: Sequence[UUID]) -> Mapping[UUID, Mapping[str, Sequence[Key]]]:
        """Of tasks with generations that are kept: the keys of the rows that those have deleted, by table."""
        rows = self._session.named("gone_of", {"task_ids": task_ids})
        return {UUID(task_id): _tables(gone) for task_id, gone in rows}

    def alone(self) -> bool:
        """Whether no other process looks for this sink now; none does until the transaction ends."""
        return self._session.named("look_alone", {}, sink=self._sink) == [(True,)]

    def oldest_due(self, waits: Sequence[timedelta]) -> Mapping[int, datetime]:
        """By the place of each wait that is over for some erasure, when the first of those was done."""
        self._session.named("drop_beyond", {}, sink=self._sink, places=len(waits))
        columns: dict[str, Sequence[object]] = {
            "places": [*range(len(waits))],
            "before": [self._session.at - wait for wait in waits],
        }
        rows = self._session.named("oldest_due", columns, sink=self._sink) if waits else []
        return {place: utc(applied_at) for place, applied_at in rows}

    def due(self, place: int, waits: Sequence[timedelta], limit: int) -> Sequence[Kept]:
        """Those whose look of that place is due, the oldest first; of one instant all or none."""
        before = self._session.at - waits[place]
        rows = self._session.named("due_looks", {}, sink=self._sink, place=place, before=before, limit=limit)
        return [self._kept(row) for row in rows]

    def done_after(self, instant: datetime, limit: int) -> Sequence[Kept]:
        """Those that were done after an instant, whatever looks they had; of one instant all or none."""
        rows = self._session.named("done_after", {}, sink=self._sink, instant=instant, limit=limit)
        return [self._kept(row) for row in rows]

    def looked(self, keys: Sequence[IdempotencyKey], place: int, *, last: bool) -> None:
        """Note that they had the look of that place; after the last they are kept no longer."""
        if last:
            self.drop(keys)
        else:
            self._session.named("looked", _keys(keys), place=place)

    def drop(self, keys: Sequence[IdempotencyKey]) -> None:
        """Keep them no longer."""
        if keys:
            self._session.named("drop_erasures", _keys(keys))

    def _kept(self, row: tuple[Any, ...]) -> Kept:
        *start, gone, applied_at = row
        task_id, generation, request_id, subject_id, handles, asked_at, region, key_id, *box = start
        wrapped_key, nonce, ciphertext = map(bytes, box)
        task = Task(
            task_id=UUID(task_id),
            generation=generation,
            sink=self._sink,
            source=RequestId(UUID(request_id)),
            what=Erase(utc(asked_at)),
            subject_id=subject_id,
            handles=tuple(
                Handle(kind=IdentityKind[kind], value=value) for kind, value in json.loads(handles)
            ),
            box=SealedBox(
                region=region, key_id=key_id, wrapped_key=wrapped_key, nonce=nonce, ciphertext=ciphertext
            ),
        )
        return Kept(task, utc(applied_at), _tables(gone))


def _tables(gone: str | None) -> Mapping[str, Sequence[Key]]:
    tables = json.loads(gone) if gone else {}
    return {name: [tuple(key) for key in keys] for name, keys in tables.items()}


def _keys(keys: Sequence[IdempotencyKey]) -> dict[str, Sequence[object]]:
    return {"task_ids": [task_id for task_id, _ in keys], "generations": [number for _, number in keys]}
