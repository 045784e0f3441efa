"""The decisions that a target keeps, to apply them again to rows that come later: tasks with sealed boxes.

Of a grant nothing is kept: only what protects the person is applied again.
"""

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence, Set
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from olvido.core.events import Decision, SealedBox
from olvido.core.rights.known import ACTIONS
from olvido.core.rights.names import Action
from olvido.core.rights.what import Particulars
from olvido.core.subject import Handle, IdentityKind
from olvido.core.tasks import ConsentChangeId, RequestId, Task
from olvido.schemas.sealed_records import seal_bytes, seal_in
from olvido.sinks.tables.dialect import Session
from olvido.sinks.tables.journal import utc

GRAIN = 60  # by what part of its wait a look may be late, so that what comes due meanwhile shares it


class KeptDecision(NamedTuple):
    """A decision whose box is kept."""

    task: Task
    place: int  # of its next look among those of the setting


class KeptDecisions:
    """What a target keeps of the decisions of one sink, inside one open transaction."""

    def __init__(self, session: Session, sink: str) -> None:
        self._session = session
        self._sink = sink

    def keep(self, tasks: Sequence[Task], waits: Sequence[timedelta]) -> None:
        """Keep decisions until their first look. One that is kept already stays as it is."""
        if tasks and waits:
            self._session.named(
                "keep_decisions",
                {
                    "task_ids": [task.task_id for task in tasks],
                    "subject_ids": [task.subject_id for task in tasks],
                    "tasks": [_written(task) for task in tasks],
                },
                sink=self._sink,
                due_at=self._in(waits[0]),
            )

    def alone(self) -> bool:
        """Whether no other process looks for this sink now; none does until the transaction ends."""
        return self._session.named("look_alone", {}, sink=self._sink) == [(True,)]

    def due(self, limit: int) -> Sequence[KeptDecision]:
        """Those whose look is due, the longest overdue first."""
        rows = self._session.named("due_decisions", {}, sink=self._sink, before=self._session.at, limit=limit)
        return [KeptDecision(_read(text, self._sink), place) for text, place in rows]

    def looked(self, decisions: Sequence[KeptDecision], waits: Sequence[timedelta]) -> None:
        """Note that they had their look. After the last of the waits there is one each time it is over."""
        for place in sorted({one.place for one in decisions}):
            task_ids = [one.task.task_id for one in decisions if one.place == place]
            if place + 1 < len(waits):
                self.put_off(task_ids, self._in(waits[place + 1] - waits[place]), place=place + 1)
            else:
                self.put_off(task_ids, self._in(waits[-1]), place=len(waits) - 1)

    def put_off(self, task_ids: Sequence[UUID], due_at: datetime, *, place: int) -> None:
        """Look at them then, and not before."""
        self._session.named("put_off_decisions", {"task_ids": task_ids}, due_at=due_at, place=place)

    def drop(self, task_ids: Set[UUID]) -> None:
        """Keep them no longer."""
        if task_ids:
            self._session.named("drop_decisions", {"task_ids": sorted(task_ids)})

    def drop_of(self, handles: Set[str]) -> None:
        """Keep no longer the decisions of people who are erased: whose first handle is one of these."""
        if handles:
            self._session.named("drop_decisions_of", {"subject_ids": sorted(handles)}, sink=self._sink)

    def _in(self, wait: timedelta) -> datetime:
        return self._session.at + wait + wait / GRAIN


def _written(task: Task) -> str:
    asked, box = task.what.particulars, task.box
    return json.dumps(
        {
            "task_id": str(task.task_id),
            "generation": task.generation,
            "source_id": str(task.source_id),
            "action": task.action.value,
            "at": task.occurred_at.isoformat(),
            "appended_at": task.appended_at and task.appended_at.isoformat(),
            "purposes": list(asked.purposes),
            "decision": asked.decision and asked.decision.value,
            "policy_version": asked.policy_version,
            "subject_id": task.subject_id,
            "handles": [(one.kind.value, one.value) for one in task.handles],
            "region": box.region,
            "key_id": box.key_id,
            "box": [b64encode(part).decode() for part in (box.wrapped_key, box.nonce, box.ciphertext)],
            "seal": b64encode(seal_bytes(task)).decode(),
        }
    )


def _read(text: str, sink: str) -> Task:
    given: Mapping[str, Any] = json.loads(text)
    action, source_id = Action(given["action"]), UUID(given["source_id"])
    decision = given["decision"] and Decision(given["decision"])
    particulars = Particulars(tuple(given["purposes"]), decision, given["policy_version"])
    wrapped_key, nonce, ciphertext = map(b64decode, given["box"])
    appended_at = given.get("appended_at")  # what was kept before this was has none
    return Task(
        task_id=UUID(given["task_id"]),
        generation=given["generation"],
        sink=sink,
        source=ConsentChangeId(source_id) if action is Action.CONSENT else RequestId(source_id),
        what=ACTIONS[action].of_wire(utc(given["at"]), particulars),
        subject_id=given["subject_id"],
        handles=tuple(Handle(kind=IdentityKind(kind), value=value) for kind, value in given["handles"]),
        box=SealedBox(
            region=given["region"], key_id=given["key_id"], wrapped_key=wrapped_key, nonce=nonce,
            ciphertext=ciphertext,
        ),
        seal=seal_in(b64decode(given["seal"])),
        appended_at=utc(appended_at) if appended_at else None,
    )  # fmt: skip
