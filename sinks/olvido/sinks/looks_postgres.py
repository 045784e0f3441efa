"""What a PostgreSQL target keeps of a sink's erasures until their last look."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg2.extensions import cursor

from olvido.core.events import SealedBox
from olvido.core.rights.erase import Erase
from olvido.core.sql import array_of
from olvido.core.subject import Handle, IdentityKind
from olvido.core.tasks import IdempotencyKey, RequestId, Task
from olvido.sinks.looks import Kept
from olvido.sinks.tables.journal import queries


class KeptInPostgres:
    """One transaction, as :class:`olvido.sinks.looks.KeptErasures` wants it."""

    def __init__(self, cur: cursor, sink: str) -> None:
        self._cursor = cur
        self._sink = sink

    def keep(self, erasures: Sequence[Kept]) -> None:
        if not erasures:
            return
        tasks = [task for task, _ in erasures]
        keys = _keys([task.key for task in tasks])
        self._run(
            "keep_erasures",
            **keys,
            request_ids=[task.source_id for task in tasks],
            subject_ids=[task.subject_id for task in tasks],
            handles=[json.dumps([(one.kind.name, one.value) for one in task.handles]) for task in tasks],
            asked_at=[task.occurred_at for task in tasks],
            regions=[task.box.region for task in tasks],
            key_ids=[task.box.key_id for task in tasks],
            wrapped_keys=[task.box.wrapped_key for task in tasks],
            nonces=[task.box.nonce for task in tasks],
            ciphertexts=[task.box.ciphertext for task in tasks],
        )
        if any(task.generation for task in tasks):
            self._run("drop_earlier_generations", **keys)

    def alone(self) -> bool:
        self._run("alone")
        return bool(self._cursor.fetchone() == (True,))

    def oldest_due(self, waits: Sequence[timedelta]) -> Mapping[int, datetime]:
        self._run("drop_beyond", places=len(waits))
        self._run("oldest_due", waits=[wait.total_seconds() for wait in waits])
        return {place: applied_at.astimezone(UTC) for place, applied_at in self._cursor.fetchall()}

    def due(self, place: int, waits: Sequence[timedelta], limit: int) -> Sequence[Kept]:
        self._run("due", place=place, wait_s=waits[place].total_seconds(), limit=limit)
        return [self._kept(row) for row in self._cursor.fetchall()]

    def done_after(self, instant: datetime, limit: int) -> Sequence[Kept]:
        self._run("done_after", instant=instant, limit=limit)
        return [self._kept(row) for row in self._cursor.fetchall()]

    def looked(self, keys: Sequence[IdempotencyKey], place: int, *, last: bool) -> None:
        if last:
            self.drop(keys)
        else:
            self._run("looked", **_keys(keys), place=place)

    def drop(self, keys: Sequence[IdempotencyKey]) -> None:
        self._run("drop_erasures", **_keys(keys))

    def _kept(self, row: tuple[Any, ...]) -> Kept:
        task_id, generation, request_id, subject_id, handles, asked_at, region, key_id, *box, applied_at = row
        wrapped_key, nonce, ciphertext = map(bytes, box)
        task = Task(
            task_id=UUID(task_id),
            generation=generation,
            sink=self._sink,
            source=RequestId(UUID(request_id)),
            what=Erase(asked_at.astimezone(UTC)),
            subject_id=subject_id,
            handles=tuple(
                Handle(kind=IdentityKind[kind], value=value) for kind, value in json.loads(handles)
            ),
            box=SealedBox(
                region=region, key_id=key_id, wrapped_key=wrapped_key, nonce=nonce, ciphertext=ciphertext
            ),
        )
        return Kept(task, applied_at.astimezone(UTC))

    def _run(self, query: str, **values: float | datetime | Sequence[object]) -> None:
        given = {
            name: value if isinstance(value, int | float | datetime) else array_of(value)
            for name, value in values.items()
        }
        self._cursor.execute(queries("looks_postgres")[query], {"sink": self._sink, **given})


def _keys(keys: Sequence[IdempotencyKey]) -> dict[str, Sequence[object]]:
    return {"task_ids": [task_id for task_id, _ in keys], "generations": [number for _, number in keys]}
