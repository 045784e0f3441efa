"""Twenty-five bugs that people write, each as a collaborator that a world is given in place of the right one.

The product has no switch for any of them. A simulation that does not go red for each is worth nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from simulation import ledger_twin
from simulation.boxes import OpenerTwin, Signers
from simulation.carriers import PublisherTwin
from simulation.faust_twin import FaustWorker
from simulation.ledger_twin import TransactionTwin
from simulation.targets import Row, SinkTwin
from simulation.world import Makers

from olvido.broker.contract import Received, Record
from olvido.core import asked
from olvido.core.consents import ConsentState
from olvido.core.errors import Unavailable
from olvido.core.events import ConsentChange, SealedBox
from olvido.core.plan import plan_tasks
from olvido.core.principals import Principal, PrincipalKey
from olvido.core.receipts import Receipt
from olvido.core.subject import Identity
from olvido.core.tasks import IdempotencyKey, Task
from olvido.ledger.recording import Recording
from olvido.processors import requests as request_steps
from olvido.processors import sources
from olvido.processors.emission import Prepared
from olvido.processors.publication import Publication
from olvido.schemas.privacy.seals import ControlSeals, Seals
from olvido.schemas.topics import CONSENT_STATE, REQUEST_STATUS
from olvido.sinks.contract import OpenedTask


class _CommitsFirst(FaustWorker):
    def handle_and_ack(self, topic: str, batch: list[Received]) -> None:
        for record in batch:
            self.rule.ack((record.topic, record.partition), record.offset)
        self.carry_out(self.handlers[topic], batch)


class _NeverFlushes(PublisherTwin):
    def publish(self, records: Sequence[Record]) -> None:
        def later() -> None:
            self._process.scheduler.sleep(1.0)
            try:
                super(_NeverFlushes, self).publish(records)
            except Unavailable:
                return

        self._process.start(later)


class _Raises(FaustWorker):
    def handle_and_ack(self, topic: str, batch: list[Received]) -> None:
        try:
            self.handlers[topic](batch)
        except Unavailable:
            return  # the agent ends with it, and a new one goes on at the next record
        for record in batch:
            self.rule.ack((record.topic, record.partition), record.offset)


class _Forgetful(SinkTwin):
    def recall(self, key: IdempotencyKey) -> Receipt | None:
        return None


class _Believes(SinkTwin):
    def reads_back(self) -> bool:
        return False


class _OverlooksOthers(SinkTwin):
    def sees_others(self) -> bool:
        return False


class _LastComeWins(SinkTwin):
    def later(self, one: ConsentState, other: ConsentState) -> ConsentState:
        return other


class _Fenceless(SinkTwin):
    def fence(self, task: Task) -> datetime | None:
        return None


class _AllKeys(OpenerTwin):
    def open(self, box: SealedBox, asked: Task) -> tuple[Identity, ...]:
        return OpenerTwin(self._process, self._vault, box.region).open(box, asked)


class _Limitless(SinkTwin):
    def is_above_a_limit(self, one: OpenedTask) -> bool:
        return False


class _LooksAway(SinkTwin):
    def finds(self, standing: Sequence[Row]) -> bool:
        return False


def _one_is_enough(transaction: TransactionTwin, **which: Any) -> Any:
    return [{**row, "second": True} for row in _CHOOSES_TASKS(transaction, **which)]


def _never_revoked(signers: Signers, principal: str, key_id: str) -> PrincipalKey | None:
    key = _KEY_OF(signers, principal, key_id)
    return key and replace(key, revoked_at=None)


def _any_box(request: Any, *rest: Any, **more: Any) -> tuple[Task, ...]:
    return tuple(replace(task, box=request.boxes[0]) for task in plan_tasks(request, *rest, **more))


def _without_handles(source: Any) -> list[bytes]:
    """What a box is bound to, but for the handles and their number, which come last."""
    return [*_TEXTS(source)][: -1 - 2 * len(source.handles)]


def _takes_every_receipt(recording: Recording, receipts: Sequence[Receipt]) -> list[None]:
    return [None] * len(receipts)


def _settles_by_sink(transaction: TransactionTwin, **columns: Any) -> Any:
    keys = zip(columns["source_ids"], columns["sinks"], columns["generations"], strict=True)
    tasks = [transaction._tables.tasks.get(key) for key in keys]
    ids = [task["task_id"] if task else None for task in tasks]
    return _SETTLES(transaction, **{**columns, "task_ids": ids})


TOLD = {REQUEST_STATUS.name, CONSENT_STATE.name}


class _StandsStill(PublisherTwin):  # every second time, up to two minutes
    def publish(self, records: Sequence[Record]) -> None:
        faults = self._process.faults
        tells = any(record.topic in TOLD for record in records)
        if tells and not faults.off_for_good and faults.rng.random() < 0.5:
            self._process.scheduler.sleep(120 * faults.rng.random())
            self._process.must_live()
        super().publish(records)


def _tells_and_looks_away(publication: Publication, prepared: Prepared, *, handled: Any = ()) -> None:
    publication._emission.send(prepared)
    publication._ledger.progress.add(handled)
    if prepared.publication_id is not None:
        publication._ledger.publications.end_all([prepared.publication_id])


_CHOOSES_TASKS = TransactionTwin._choose_held_tasks
_KEY_OF = Signers.key
_SETTLES = TransactionTwin._settle_tasks
_TEXTS = asked._texts

# A process that stands still between reading and telling, as in a long pause. By itself it is no bug.
SLOW_TO_TELL = Makers(publisher=_StandsStill)

BUGS: Mapping[str, Makers] = {
    "commit first": Makers(worker=_CommitsFirst),
    "ack before flush": Makers(publisher=_NeverFlushes),
    "raise out of an agent": Makers(worker=_Raises),
    "a hole of one, and no audit": Makers(audits=False),
    "no dedupe": Makers(sink=_Forgetful),
    "erased without looking": Makers(sink=_Believes),
    "others' rows overlooked": Makers(sink=_OverlooksOthers),
    "old consent wins": Makers(sink=_LastComeWins),
    "wrong region's key": Makers(opener=_AllKeys, patches=((request_steps, "plan_tasks", _any_box),)),
    "receipt for another task": Makers(
        patches=(
            (Recording, "refusals", _takes_every_receipt),
            (TransactionTwin, "_settle_tasks", _settles_by_sink),
        )
    ),
    "second receipt wins": Makers(patches=((ledger_twin, "_comes_over", lambda answer, task: True),)),
    "brake counts nothing": Makers(
        patches=((TransactionTwin, "_count_erasures", lambda transaction, asked_bys: []),)
    ),
    "fence ignored": Makers(sink=_Fenceless),
    "unsigned accepted": Makers(patches=((Seals, "_unsigned", lambda self, now: None),)),
    "digest without handles": Makers(patches=((asked, "_texts", _without_handles),)),
    "scope ignored": Makers(patches=((Principal, "check_asks", lambda self, asked, regions: None),)),
    "a clock ahead is believed": Makers(
        patches=(
            (ConsentChange, "effective_at", property(lambda change: change.occurred_at)),
            (Task, "effective_at", property(lambda task: task.occurred_at)),
        )
    ),
    "revoked key accepted": Makers(patches=((Signers, "key", _never_revoked),)),
    "asker's own word accepted": Makers(patches=((ControlSeals, "may_verify", lambda self, request: True),)),
    "id reuse accepted": Makers(patches=((sources, "same_content", lambda value, digest: True),)),
    "limit of a sink ignored": Makers(sink=_Limitless),
    "one person releases": Makers(patches=((TransactionTwin, "_choose_held_tasks", _one_is_enough),)),
    "verified without looking": Makers(sink=_LooksAway),
    "found again and not asked again": Makers(
        patches=((TransactionTwin, "_issue_found_again", lambda transaction, now, **columns: []),)
    ),
    "told and not looked after": replace(
        SLOW_TO_TELL, patches=((Publication, "send", _tells_and_looks_away),)
    ),
}
