"""The systems that hold people's data, and the sinks that speak to them, in memory.

A target keeps rows, a journal and the words about consent; what it did is noted in the history as
the truth about it, whatever the sink then says. The sink keeps the contract of
``olvido.sinks.contract``: an effect and the memory of it are one transaction of the target.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from simulation.process import Process

from olvido.core.causes import Cause
from olvido.core.consents import ConsentState
from olvido.core.errors import Refused, Unavailable
from olvido.core.events import Decision
from olvido.core.looks import VERIFIABLE, LaterLook, LookResult, NotVerified, look_of
from olvido.core.outcomes import Outcome
from olvido.core.receipts import Receipt, receipt_for
from olvido.core.rights.consent import Consent
from olvido.core.rights.erase import Erase
from olvido.core.rights.names import Action
from olvido.core.rights.object import Object
from olvido.core.standing import later
from olvido.core.subject import Identity
from olvido.core.tasks import IdempotencyKey, Task
from olvido.schemas.privacy.opening import Forgotten
from olvido.sinks.contract import OpenedTask, Swept


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """One system of the deployment: where it is, what it knows people by, and how it does what is asked."""

    name: str
    region: str
    identities: frozenset[str]
    purposes: frozenset[str]
    erases: str  # delete, anonymise
    ways: Mapping[str, str]  # by action: the outcome where it holds something of the person


SYSTEMS = (
    System(
        name="crm", region="cn", identities=frozenset({"customer_id", "email", "phone"}),
        purposes=frozenset({"marketing"}), erases="delete",
        ways={
            "RESTRICT": "restricted", "LIFT_RESTRICTION": "released", "ACCESS": "exported",
            "PORTABILITY": "exported",
        },
    ),
    System(
        name="marketing", region="sg", identities=frozenset({"email"}), purposes=frozenset({"marketing"}),
        erases="delete", ways={"RESTRICT": "blocked"},
    ),
    System(
        name="analytics", region="cn", identities=frozenset({"customer_id", "cookie_id"}),
        purposes=frozenset({"analytics"}), erases="delete", ways={"ACCESS": "exported"},
    ),
    System(
        name="store-cn", region="cn", identities=frozenset({"customer_id", "email"}), purposes=frozenset(),
        erases="anonymise", ways={"RECTIFY": "rectified", "ACCESS": "exported"},
    ),
    System(
        name="store-sg", region="sg", identities=frozenset({"customer_id", "phone"}),
        purposes=frozenset({"marketing", "analytics"}), erases="delete", ways={"RECTIFY": "rectified"},
    ),
)  # fmt: skip


@dataclass(slots=True)
class Row:
    """Something a system holds of one person."""

    number: int
    identities: dict[str, str]  # value by kind
    created_at: datetime
    order: bool = False  # must be kept by law
    others: bool = False  # somebody else's, though it names the person
    gone: bool = False
    original: dict[str, str] = field(default_factory=dict)  # as it stood in yesterday's file

    def __post_init__(self) -> None:
        self.original = dict(self.identities)

    def come_back(self) -> None:
        """Stand there again as before it was erased."""
        self.gone, self.identities = False, dict(self.original)


@dataclass(frozen=True, slots=True)
class Kept:
    """An erasure that is looked at again."""

    task: Task
    applied_at: datetime
    looks: int = 0  # that it has had


@dataclass
class Target:
    """One system. It outlives every process that speaks to it."""

    system: System
    rows: list[Row]
    refuses: Mapping[str, Cause] = field(
        default_factory=dict
    )  # subjects whose tasks it will not take, and why
    above: frozenset[str] = frozenset()  # subjects whose erasures are above a limit of the sink
    look_again: tuple[timedelta, ...] = ()  # when erasures are looked at again
    journal: dict[IdempotencyKey, Receipt] = field(default_factory=dict)
    kept: dict[UUID, Kept] = field(default_factory=dict)  # by task
    looking: Process | None = None  # who looks again now
    words: dict[tuple[str, str], ConsentState] = field(default_factory=dict)
    objections: set[tuple[str, str]] = field(default_factory=set)
    backup: Callable[[], datetime] | None = None

    def take_backup(self, now: datetime) -> None:
        """Keep what is held now."""
        rows = [(row, row.gone, dict(row.identities)) for row in self.rows]
        journal, words, objections = dict(self.journal), dict(self.words), set(self.objections)
        kept = dict(self.kept)

        def put_back() -> datetime:
            for row, gone, identities in rows:
                row.gone, row.identities = gone, dict(identities)
            self.journal, self.words, self.objections = dict(journal), dict(words), set(objections)
            self.kept = dict(kept)
            return now

        self.backup = put_back

    def go_back(self) -> datetime:
        """Hold again what the backup has; returns when it was taken."""
        assert self.backup is not None
        put_back, self.backup = self.backup, None
        return put_back()

    def matching(self, identities: Sequence[Identity]) -> list[Row]:
        """Every row that names one of the identities."""
        values = {(one.kind.value, one.normalised) for one in identities}
        return [row for row in self.rows if not row.gone and not values.isdisjoint(row.identities.items())]

    def due_at(self, kept: Kept) -> datetime:
        """When an erasure is looked at next."""
        return kept.applied_at + self.look_again[kept.looks]

    def standing(self, task: Task, identities: Sequence[Identity]) -> list[Row]:
        """The rows that an erasure would take now: none, once it is done."""
        keeps = self.system.erases == "anonymise"
        return [
            row
            for row in self.matching(identities)
            if row.created_at <= task.effective_at and not row.others and not (keeps and row.order)
        ]


@dataclass
class _Change:
    """What one task does to the target when its transaction is committed."""

    receipt: Receipt
    identities: tuple[Identity, ...]
    fence: datetime | None
    task: Task
    touched: list[Row] = field(default_factory=list)
    undo: list[Callable[[], object]] = field(default_factory=list)


class SinkTwin:
    """Speaks to one target for one process. Keeps :class:`olvido.sinks.contract.Sink`."""

    def __init__(self, process: Process, target: Target) -> None:
        self.process = process
        self.target = target

    def check(self) -> tuple[str, ...]:
        """The target fits."""
        return ()

    def install(self) -> None:
        """The journal is there."""

    def ping(self) -> None:
        """It is there."""

    def idle(self) -> None:
        """Nothing can wait."""

    def close(self) -> None:
        """Nothing is held."""

    def apply(self, batch: Sequence[OpenedTask]) -> Sequence[Receipt]:
        """Do all of the batch in one transaction of the target, or none of it."""
        process, faults = self.process, self.process.faults
        process.act("apply")
        if faults.strikes("sink_down") or faults.strikes("sink_before"):
            raise Unavailable(f"{self.target.system.name} does not answer")
        if faults.strikes("sink_throttled"):
            after = faults.rng.choice((-5.0, 2.0, 60.0, 1e9))
            raise Unavailable("asked too often", retry_after=timedelta(seconds=after))
        changes: dict[IdempotencyKey, _Change] = {}
        receipts: list[Receipt] = []
        try:
            for one in batch:
                key = one.task.key
                assert key not in changes, "the runner brings no task twice in one batch"
                known = self.recall(key)
                if known is None:
                    if self.is_above_a_limit(one):
                        faults.count("limit")
                        raise Refused(Cause.ABOVE_LIMIT, field="rows_max")
                    if one.task.subject_id in self.target.refuses:
                        faults.count("sink_refuses")
                        raise Refused(self.target.refuses[one.task.subject_id])
                    if faults.strikes("sink_deferred"):
                        known = receipt_for(one.task, Outcome.DEFERRED, applied_at=process.scheduler.now)
                        process.faults.count(f"outcome: {known.outcome.value}")
                    else:
                        changes[key] = self._change(one)
                        known = changes[key].receipt
                receipts.append(known)
            faults.point("sink: before commit of the target")
        except BaseException:
            for change in reversed(changes.values()):
                for undo in reversed(change.undo):
                    undo()
            raise
        for key, change in changes.items():
            self._commit(key, change)
        process.did("commit of the target")
        if changes and faults.strikes("sink_after"):
            raise Unavailable(f"{self.target.system.name} did not answer in time")
        return receipts

    def remembered(self, batch: Sequence[Task]) -> Sequence[Receipt | None]:
        """What was answered the first time."""
        self.process.act("ask the journal")
        if self.process.faults.strikes("sink_down"):
            raise Unavailable(f"{self.target.system.name} does not answer")
        return [self.recall(task.key) for task in batch]

    def look_again(
        self, opening: Callable[[Task], OpenedTask | None], publish: Callable[[LaterLook], None]
    ) -> Swept | None:
        """See :meth:`olvido.sinks.contract.LookingAgain.look_again`."""
        process, target, now = self.process, self.target, self.process.scheduler.now
        due = [one for one in target.kept.values() if target.due_at(one) <= now]
        batch = [one for one in due if one.looks == due[0].looks]
        if not batch:
            return Swept(look=None, overdue=timedelta(), more=False)
        if target.looking is not None and target.looking.alive:
            return None
        target.looking = process
        try:
            process.act("look again")
            if process.faults.strikes("sink_down"):
                raise Unavailable(f"{target.system.name} does not answer")
            look = self._look(batch, opening)
            publish(look)
            process.faults.point("sink: before commit of the look")
        finally:
            target.looking = None
        for one in batch:
            if target.kept.get(one.task.task_id) is one:
                del target.kept[one.task.task_id]
                if one.looks + 1 < len(target.look_again):
                    target.kept[one.task.task_id] = replace(one, looks=one.looks + 1)
        process.did("commit of the look")
        return Swept(look=look, overdue=timedelta(), more=len(batch) < len(due))

    def look_at(
        self,
        opening: Callable[[Task], OpenedTask | None],
        publish: Callable[[LaterLook], None],
        *,
        done_after: datetime,
    ) -> LaterLook | None:
        """Nobody asks for it here."""
        raise AssertionError("looks come by themselves")

    # --- what a planted bug replaces ---------------------------------------------------------

    def is_above_a_limit(self, one: OpenedTask) -> bool:
        """Whether two people must release it first."""
        return (
            isinstance(one.task.what, Erase) and one.task.subject_id in self.target.above and not one.released
        )

    def finds(self, standing: Sequence[Row]) -> bool:
        """Whether a later look finds what stands there."""
        return bool(standing)

    def recall(self, key: IdempotencyKey) -> Receipt | None:
        """The answer that was given before."""
        return self.target.journal.get(key)

    def reads_back(self) -> bool:
        """Whether it looks after erasing."""
        return True

    def sees_others(self) -> bool:
        """Whether it says so where somebody else's row names the person."""
        return True

    def fence(self, task: Task) -> datetime | None:
        """What is newer than this is not touched."""
        return task.effective_at

    def later(self, one: ConsentState, other: ConsentState) -> ConsentState:
        """The word that holds."""
        return later(one, other)

    # --- the work ----------------------------------------------------------------------------

    def _look(self, batch: Sequence[Kept], opening: Callable[[Task], OpenedTask | None]) -> LaterLook:
        """Search for people who were erased; what stands there is noted, whatever the look says."""
        process, target = self.process, self.target
        now, forgotten = process.scheduler.now, 0
        results: list[NotVerified] = []
        truth: list[tuple[str, int, tuple[int, ...] | None]] = []
        for one in batch:
            standing: list[Row] | None = None
            result = None
            try:
                opened = opening(one.task)
            except Forgotten:
                opened, forgotten = None, forgotten + 1
            if opened is None:
                result = LookResult.NOT_LOOKED
            else:
                standing = target.standing(one.task, opened.identities)
                result = LookResult.FOUND_AGAIN if self.finds(standing) else None
            if result is not None:
                process.faults.count(f"look: {result.value}")
                results.append(
                    NotVerified(request_id=one.task.source_id, generation=one.task.generation, result=result)
                )
            rows = None if standing is None else tuple(row.number for row in standing)
            truth.append((str(one.task.source_id), one.task.generation, rows))
        look = look_of(
            target.system.name, target.look_again[batch[0].looks], [one.applied_at for one in batch], now,
            looked=len(batch) - forgotten, forgotten=forgotten, not_verified=results,
        )  # fmt: skip
        process.history.note(
            process.scheduler.seconds, "looked", target.system.name, str(look.look_id), tuple(truth)
        )
        return look

    def _commit(self, key: IdempotencyKey, change: _Change) -> None:
        target, receipt = self.target, change.receipt
        target.journal[key] = receipt
        # Of a task that is asked for again the newest generation is looked at, whichever is done last.
        newest = all(task_id != key[0] or generation <= key[1] for task_id, generation in target.journal)
        if receipt.action is Action.ERASE and receipt.outcome in VERIFIABLE and target.look_again and newest:
            target.kept[key[0]] = Kept(change.task, receipt.applied_at)
        left = [
            row.number for row in target.matching(change.identities)
            if change.fence is None or row.created_at <= change.fence
        ]  # fmt: skip
        newer = [row.number for row in change.touched if change.fence and row.created_at > change.fence]
        self.process.faults.count(f"outcome: {receipt.outcome.value}")
        self.process.history.note(
            self.process.scheduler.seconds, "effect", target.system.name, str(key[0]), key[1],
            receipt.action.value, receipt.outcome.value, tuple(row.number for row in change.touched),
            tuple(left), tuple(newer),
        )  # fmt: skip

    def _change(self, one: OpenedTask) -> _Change:
        task, system = one.task, self.target.system
        now = self.process.scheduler.now
        rows = self.target.matching(one.identities)
        match task.what:
            case Erase():
                return self._erase(one, rows)
            case Consent() as consent:
                return self._hear(one, consent)
            case Object(purposes=purposes):
                return self._object(one, purposes)
        way = system.ways.get(task.action.value)
        if way is None:
            return _Change(receipt_for(task, Outcome.UNSUPPORTED, applied_at=now), one.identities, None, task)
        if all(row.others for row in rows):
            outcome = Outcome.AMBIGUOUS if rows else Outcome.NOT_FOUND
        else:
            outcome = Outcome(way)
        return _Change(receipt_for(task, outcome, applied_at=now), one.identities, None, task)

    def _erase(self, one: OpenedTask, rows: Sequence[Row]) -> _Change:
        task, now = one.task, self.process.scheduler.now
        fence = self.fence(task)
        named = [row for row in rows if fence is None or row.created_at <= fence]
        old = [row for row in named if not row.others]
        change = _Change(
            receipt_for(task, Outcome.NOT_FOUND, applied_at=now), one.identities, task.effective_at, task
        )
        lies = bool(old) and self.process.faults.strikes("sink_lies")
        for row in old:
            if lies:
                continue  # the target says that it is done
            before = (row.gone, dict(row.identities))
            change.undo.append(lambda row=row, before=before: _restore(row, before))
            change.touched.append(row)
            if self.target.system.erases == "delete":
                row.gone = True
            elif not row.order:
                row.identities = {}
        keeps = self.target.system.erases == "anonymise"
        left = [row for row in self.target.matching(one.identities) if row in old]
        if [row for row in left if not (keeps and row.order)] and self.reads_back():
            for undo in change.undo:
                undo()
            raise Refused(Cause.STILL_THERE)
        if old:
            kept = keeps and any(row.order for row in old)
            way = {"delete": Outcome.ERASED, "anonymise": Outcome.ANONYMISED}[self.target.system.erases]
            outcome = Outcome.RETAINED if kept else way
            change.receipt = receipt_for(
                task, outcome, applied_at=now, verified_at=now, counts={"rows.deleted": len(old)}
            )
        if len(old) < len(named) and self.sees_others():
            change.receipt = replace(change.receipt, outcome=Outcome.AMBIGUOUS, verified_at=None)
        return change

    def _object(self, one: OpenedTask, purposes: tuple[str, ...]) -> _Change:
        task, now = one.task, self.process.scheduler.now
        used = sorted(set(purposes or self.target.system.purposes) & self.target.system.purposes)
        if not used:
            return _Change(receipt_for(task, Outcome.NOT_FOUND, applied_at=now), one.identities, None, task)
        change = _Change(receipt_for(task, Outcome.SUPPRESSED, applied_at=now), one.identities, None, task)
        for pair in [(handle.value, purpose) for handle in task.handles for purpose in used]:
            if pair not in self.target.objections:
                self.target.objections.add(pair)
                change.undo.append(lambda pair=pair: self.target.objections.discard(pair))
        return change

    def _hear(self, one: OpenedTask, consent: Consent) -> _Change:
        task, now = one.task, self.process.scheduler.now
        change = _Change(receipt_for(task, Outcome.SUPERSEDED, applied_at=now), one.identities, None, task)
        holds = False
        for handle in task.handles:
            pair = (handle.value, consent.purpose)
            word = ConsentState(
                handle=handle.value, purpose=consent.purpose, decision=consent.decision,
                occurred_at=task.effective_at, event_id=task.source_id,
                policy_version=consent.policy_version,
            )  # fmt: skip
            known = self.target.words.get(pair)
            standing = word if known is None else self.later(known, word)
            self.target.words[pair] = standing
            change.undo.append(lambda pair=pair, known=known: _put_back(self.target.words, pair, known))
            holds = holds or standing.event_id == word.event_id
        if holds:
            granted = consent.decision is Decision.GRANTED
            outcome = Outcome.CONSENT_APPLIED if granted else Outcome.SUPPRESSED
            change.receipt = receipt_for(task, outcome, applied_at=now)
        return change


def _restore(row: Row, before: tuple[bool, dict[str, str]]) -> None:
    row.gone, row.identities = before


def _put_back(words: dict[Any, ConsentState], pair: tuple[str, str], known: ConsentState | None) -> None:
    if known is None:
        words.pop(pair, None)
    else:
        words[pair] = known
