"""What people and their systems do in one world: decided before anything moves, from the seed alone.

Each item says what it is in plain words, for the checker, which knows nothing of the core.
"""

import hashlib
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from schemas.codecs import forged
from simulation.boxes import NARROW, PROVER, REVOKED, UNDECLARED, SealerTwin, Vault
from simulation.scheduler import BEGIN
from simulation.targets import SYSTEMS, Row, System, Target

from olvido.broker.contract import Record
from olvido.core.catalogue import Catalogue, SinkEntry
from olvido.core.causes import Cause
from olvido.core.events import ConsentChange, Decision, PrivacyRequest, Verification, Verified
from olvido.core.ids import receipt_id, task_id
from olvido.core.outcomes import Outcome
from olvido.core.plan import plan_tasks
from olvido.core.receipts import Receipt, receipt_for
from olvido.core.rights.erase import Erase
from olvido.core.rights.known import RIGHTS, of_right
from olvido.core.rights.names import Action, Right
from olvido.core.subject import Handle, Identity, IdentityKind
from olvido.core.tasks import RequestId, Task
from olvido.schemas.codec import (
    Codec,
    consents_codec,
    receipts_codec,
    requests_codec,
    tasks_codec,
    verifications_codec,
)
from olvido.schemas.registry import Registry
from olvido.schemas.sealed_records import session_in

REGIONS = ("cn", "sg")
PURPOSES = ("analytics", "marketing")
EPOCHS = ("2026-02", "2026-03")
# How far ahead an upstream clock is of which nothing is refused: less than five minutes, since a repeat of a
# record may come as much as four minutes before it.
AHEAD_S_MAX = 50
PLANTED = b"planted"  # is in every identity, and may be nowhere but in a target
# After so long a sink looks again: while faults strike, or as in a deployment.
LOOKS_AGAIN = (
    (timedelta(seconds=10), timedelta(seconds=60)),
    (timedelta(hours=1), timedelta(days=1)),
)
KINDS = (IdentityKind.CUSTOMER_ID, IdentityKind.EMAIL, IdentityKind.PHONE, IdentityKind.COOKIE_ID)

CATALOGUE = Catalogue(
    regions=frozenset(REGIONS),
    purposes=frozenset(PURPOSES),
    sinks=tuple(
        SinkEntry(
            name=system.name,
            region=system.region,
            identities=frozenset(IdentityKind(kind) for kind in system.identities),
            purposes=system.purposes,
        )
        for system in SYSTEMS
    ),
    verification_required=frozenset({Right.ACCESS}),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One record that somebody writes, and when."""

    number: int
    what: str  # request, consent, verification, poison, forged
    at_s: float
    record: Record
    told: dict[str, Any]  # in plain words


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody made up."""

    identities: tuple[Identity, ...]
    handles: tuple[Handle, ...]

    @property
    def subject_id(self) -> str:
        """The handle of the first identity."""
        return self.handles[0].value


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """Everything that is written into a world, and what its systems hold at first."""

    items: tuple[Item, ...]
    targets: dict[str, Target]


def workload(
    rng: random.Random, registry: Registry, vault: Vault, *, refuses: bool, limits: bool
) -> Workload:
    """The workload of a seed."""
    return _Author(rng, registry, vault).write(refuses=refuses, limits=limits)


def second_receipt(
    codec: Codec[Receipt], source_id: UUID, sink: str, generation: int, task: Mapping[str, Any], *,
    sealer: SealerTwin, number: int, at: datetime, subject_id: str, early: bool,
) -> Item:  # fmt: skip
    """A receipt of a task that its sink has answered, by its key; ``early`` of work before its time."""
    of_consent = task["action"] == Action.CONSENT.value
    receipt = Receipt(
        receipt_id=receipt_id(task["task_id"], generation), task_id=task["task_id"], generation=generation,
        sink=sink, action=Action(task["action"]), request_id=None if of_consent else source_id,
        event_id=source_id if of_consent else None, subject_id=subject_id, outcome=Outcome.SUPERSEDED,
        counts={}, detail="", applied_at=BEGIN.replace(year=2001) if early else task["applied_at"],
        verified_at=None,
    )  # fmt: skip
    return Item(
        number=number, what="poison", at_s=(at - BEGIN).total_seconds(),
        record=Record(codec.topic.name, subject_id.encode(), codec.encode(sealer.sealed(receipt)), ()),
        told={"cause": "BEFORE_REQUEST" if early else "CONFLICT"},
    )  # fmt: skip


class _Author:
    def __init__(self, rng: random.Random, registry: Registry, vault: Vault) -> None:
        self._rng = rng
        self._vault = vault
        self._requests = requests_codec(registry)
        self._consents = consents_codec(registry)
        self._verifications = verifications_codec(registry)
        self._receipts = receipts_codec(registry)
        self._tasks = {system.name: tasks_codec(registry, system.name) for system in SYSTEMS}
        self._sealers: dict[str, SealerTwin] = {}
        self._items: list[Item] = []
        self._people: list[Person] = []
        self._horizon_s = rng.choice((30.0, 90.0, 240.0))

    def write(self, *, refuses: bool, limits: bool) -> Workload:
        rng = self._rng
        self._people = [self._person(number) for number in range(rng.randint(4, 10))]
        asked = [self._request() for _ in range(rng.randint(8, 24))]
        changes = [self._change() for _ in range(rng.randint(8, 24))]
        for _ in range(rng.randint(1, 6)):
            self._duplicate(asked, changes)
        for request in asked:
            if request.verification_required or request.right is Right.ACCESS:
                self._verify(request)
        for _ in range(rng.randint(1, 4)):
            self._forge(rng.choice(asked))
        for make in rng.sample(_POISONS, rng.randint(3, 9)):
            make(self, rng.choice(asked), rng.choice(changes))
        items = sorted(self._items, key=lambda item: (item.at_s, item.number))
        return Workload(items=tuple(items), targets=self._targets(refuses=refuses, limits=limits))

    # --- people ------------------------------------------------------------------------------

    def _person(self, number: int) -> Person:
        rng = self._rng
        kinds = [kind for kind in KINDS if rng.random() < 0.6] or [IdentityKind.EMAIL]
        values = {kind: f"{PLANTED.decode()}-{kind.value}-{number}@example.org" for kind in kinds}
        identities = tuple(Identity(kind=k, value=v, normalised=v) for k, v in values.items())
        handles = tuple(
            Handle(kind=k, value="h1_" + hashlib.sha256(f"{v}".encode()).hexdigest()[:43])
            for k, v in values.items()
        )
        return Person(identities=identities, handles=handles)

    def _targets(self, *, refuses: bool, limits: bool) -> dict[str, Target]:
        rng, number = self._rng, 0
        look_again = rng.choice(LOOKS_AGAIN)
        targets = {}
        for system in SYSTEMS:
            rows: list[Row] = []
            for person in self._people:
                known = {
                    one.kind.value: one.normalised
                    for one in person.identities
                    if one.kind.value in system.identities
                }
                if not known:
                    continue
                old = rng.random() < 0.7
                new_life = rng.random() < 0.3
                for created_at in [
                    *([BEGIN - timedelta(days=30)] * old),
                    *([BEGIN + timedelta(days=30)] * new_life),
                ]:
                    number += 1
                    rows.append(Row(number, dict(known), created_at, order=rng.random() < 0.3))
                if rng.random() < 0.1:  # somebody else's row names one of the identities
                    number += 1
                    one = rng.choice(sorted(known))
                    rows.append(Row(number, {one: known[one]}, BEGIN - timedelta(days=20), others=True))
            refused = [p.subject_id for p in self._people if refuses and rng.random() < 0.15]
            why = (Cause.REFUSED_BY_TARGET, Cause.TOO_SLOW, Cause.TOO_SLOW)
            above = frozenset(p.subject_id for p in self._people if limits and rng.random() < 0.3)
            targets[system.name] = Target(
                system, rows, {subject: rng.choice(why) for subject in refused}, above, look_again
            )
        return targets

    # --- what is asked -----------------------------------------------------------------------

    def _id(self) -> UUID:
        return UUID(int=self._rng.getrandbits(128), version=4)

    def _regions(self) -> tuple[str, ...]:
        return self._rng.choice((("cn",), ("sg",), ("cn", "sg"), ("cn", "sg")))

    def _sealed(self, source: Any, person: Person, principal: str = "producer") -> Any:
        return self._sealer(principal).sealed_source(source, person.identities, EPOCHS)

    def _sealer(self, principal: str) -> SealerTwin:
        if principal not in self._sealers:
            self._sealers[principal] = SealerTwin(self._vault, self._rng, principal, clock=lambda: BEGIN)
        return self._sealers[principal]

    def _request(self) -> PrivacyRequest:
        rng = self._rng
        person, request_id, regions = rng.choice(self._people), self._id(), self._regions()
        right = rng.choice(
            (Right.ERASE, Right.ERASE, Right.ERASE, Right.ACCESS, Right.PORTABILITY, Right.RECTIFY,
             Right.RESTRICT, Right.OBJECT, Right.LIFT_RESTRICTION, Right.WITHDRAW_OBJECTION)
        )  # fmt: skip
        at_s = rng.random() * self._horizon_s
        requested_at = BEGIN + timedelta(seconds=round(at_s) - rng.choice((0, 1, 600, -AHEAD_S_MAX)))
        verified = Verified(method="login", verified_at=requested_at) if rng.random() < 0.2 else None
        request = PrivacyRequest(
            request_id=request_id,
            right=right,
            subject_id=person.subject_id,
            handles=person.handles,
            regions=regions,
            boxes=(),
            purposes=tuple(rng.sample(PURPOSES, rng.randint(0, 2))) if RIGHTS[right].takes_purposes else (),
            requested_at=requested_at,
            verification_required=rng.random() < 0.3,
            verified=verified,
        )
        request = self._sealed(request, person, rng.choice(("producer", PROVER)))
        self._emit_request(request, at_s)
        return request

    def _change(self) -> ConsentChange:
        rng = self._rng
        person, event_id, regions = rng.choice(self._people), self._id(), self._regions()
        at_s = rng.random() * self._horizon_s
        change = ConsentChange(
            event_id=event_id,
            purpose=rng.choice(PURPOSES),
            decision=rng.choice((Decision.GRANTED, Decision.WITHDRAWN)),
            subject_id=person.subject_id,
            handles=person.handles,
            regions=regions,
            boxes=(),
            occurred_at=self._decided_at(at_s),
            policy_version="2026-01",
        )
        change = self._sealed(change, person)
        self._emit_change(change, at_s)
        return change

    def _decided_at(self, at_s: float) -> datetime:
        """Few instants, so that two at one instant are common, and late ones too; or by a clock ahead."""
        if self._rng.random() < 0.3:
            return BEGIN + timedelta(seconds=round(at_s) + self._rng.choice((10, 30, AHEAD_S_MAX)))
        return BEGIN - timedelta(seconds=self._rng.choice((0, 10, 20, 3600)))

    def _verify(self, request: PrivacyRequest) -> None:
        rng = self._rng
        verification = Verification(
            event_id=self._id(),
            request_id=request.request_id,
            subject_id=request.subject_id,
            verified=Verified(method="email_link", verified_at=BEGIN),
        )
        if rng.random() < 0.75:
            self._emit_verification(verification, rng.random() * self._horizon_s)
        if rng.random() < 0.15:
            other = rng.choice(self._people).subject_id
            self._emit_verification(
                replace(verification, event_id=self._id(), subject_id=other), rng.random() * self._horizon_s
            )

    def _duplicate(self, asked: Sequence[PrivacyRequest], changes: Sequence[ConsentChange]) -> None:
        """The same again, later and sealed anew; or its id for something else."""
        rng, at_s = self._rng, self._rng.random() * self._horizon_s * 1.3
        other = rng.choice(self._people)
        if rng.random() < 0.2:
            self._use_for_both(rng.choice(asked), rng.choice(changes), at_s)
            return
        reuse = rng.random() < 0.4
        if rng.random() < 0.5:
            request = rng.choice(asked)
            if reuse:
                request = replace(
                    request, subject_id=other.subject_id, handles=other.handles, right=Right.ERASE,
                    purposes=(),
                )  # fmt: skip
                request = self._sealed(request, other, principal_of(request))
            else:
                person = next(one for one in self._people if one.subject_id == request.subject_id)
                request = replace(request, requested_at=request.requested_at + timedelta(seconds=1))
                request = self._sealed(request, person, principal_of(request))
            self._emit_request(request, at_s)
        else:
            change = rng.choice(changes)
            if reuse:
                change = replace(change, subject_id=other.subject_id, handles=other.handles)
                change = self._sealed(change, other)
            self._emit_change(change, at_s)

    def _use_for_both(self, request: PrivacyRequest, change: ConsentChange, at_s: float) -> None:
        """The id of a request for a consent change, or the other way round."""
        person = self._people[0]
        who: dict[str, Any] = {"subject_id": person.subject_id, "handles": person.handles}
        if self._rng.random() < 0.5:
            change = replace(change, event_id=request.request_id, **who)
            self._emit_change(self._sealed(change, person), at_s)
        else:
            request = replace(request, request_id=change.event_id, **who)
            self._emit_request(self._sealed(request, person, principal_of(request)), at_s)

    # --- records -----------------------------------------------------------------------------

    def _emit_request(self, request: PrivacyRequest, at_s: float, cause: str = "") -> None:
        told = {
            "id": str(request.request_id),
            "right": request.right.value,
            "subject": request.subject_id,
            "handles": tuple(handle.value for handle in request.handles),
            "kinds": tuple(handle.kind.value for handle in request.handles),
            "regions": tuple(sorted(request.regions)),
            "purposes": tuple(sorted(request.purposes)),
            # Its own word counts only if who asks may verify.
            "waits": (request.verification_required or request.right is Right.ACCESS)
            and not (request.verified is not None and principal_of(request) == PROVER),
            "demands": request.verification_required,
            "cause": cause,
        }
        self._add("request", at_s, request.subject_id, self._requests.encode(request), told)

    def _emit_change(self, change: ConsentChange, at_s: float, cause: str = "") -> None:
        told = {
            "id": str(change.event_id),
            "purpose": change.purpose,
            "decision": change.decision.value,
            "subject": change.subject_id,
            "handles": tuple(handle.value for handle in change.handles),
            "kinds": tuple(handle.kind.value for handle in change.handles),
            "regions": tuple(sorted(change.regions)),
            "occurred_at": change.occurred_at.isoformat(),
            "cause": cause,
        }
        self._add("consent", at_s, change.subject_id, self._consents.encode(change), told)

    def _emit_verification(self, one: Verification, at_s: float, cause: str = "") -> None:
        one = self._sealer("verifier").sealed(one)
        told = {"id": str(one.request_id), "subject": one.subject_id, "cause": cause}
        self._add("verification", at_s, one.subject_id, self._verifications.encode(one), told)

    def _add(
        self, what: str, at_s: float, key: str, value: bytes | None, told: dict[str, Any], *,
        topic: str = "", headers: Any = (),
    ) -> None:  # fmt: skip
        topic = (
            topic
            or {"request": self._requests, "consent": self._consents}.get(
                what, self._verifications
            ).topic.name
        )
        record = Record(topic, key.encode(), value, headers)
        self._items.append(
            Item(number=len(self._items), what=what, at_s=round(at_s, 3), record=record, told=told)
        )

    def _poison(
        self,
        cause: str,
        key: str,
        value: bytes | None,
        *,
        topic: str = "",
        headers: Any = (),
    ) -> None:
        topic = topic or self._requests.topic.name
        at_s = self._rng.random() * self._horizon_s
        self._add("poison", at_s, key, value, {"cause": cause}, topic=topic, headers=headers)

    # --- what is wrong -----------------------------------------------------------------------

    def _forge(self, request: PrivacyRequest) -> None:
        """A receipt for a task that is not so: another id, a later generation, no such request."""
        rng = self._rng
        system = rng.choice(SYSTEMS)
        source_id = request.request_id
        of = task_id(source_id, system.name, request.right.value)
        generation, cause = 0, "UNKNOWN_TASK"
        match rng.randrange(4):
            case 0:
                of = self._id()
            case 1:
                generation = 7
            case 2:
                source_id = self._id()
            case _:
                of = task_id(source_id, "another", request.right.value)
        receipt = Receipt(
            receipt_id=receipt_id(of, generation), task_id=of, generation=generation, sink=system.name,
            action=of_right(request.right).action, request_id=source_id, event_id=None,
            subject_id=request.subject_id, outcome=Outcome.ERASED, counts={"forged": 1}, detail="",
            applied_at=BEGIN, verified_at=None,
        )  # fmt: skip
        receipt = self._sealer(f"sink-{system.name}").sealed(receipt)
        self._poison(
            cause, receipt.subject_id, self._receipts.encode(receipt), topic=self._receipts.topic.name
        )

    def _bad_count(self, request: PrivacyRequest, change: ConsentChange) -> None:
        """A receipt of a real task whose counts cannot be; before the task is known it is of none."""
        system = _concerned(change)
        if system is None:
            return
        of = task_id(change.event_id, system.name, "CONSENT")
        receipt = Receipt(
            receipt_id=receipt_id(of, 0), task_id=of, generation=0, sink=system.name,
            action=Action.CONSENT, request_id=None, event_id=change.event_id, subject_id=change.subject_id,
            outcome=Outcome.CONSENT_APPLIED, counts={"rows": -1}, detail="", applied_at=BEGIN,
            verified_at=None,
        )  # fmt: skip
        self._add(
            "poison", self._horizon_s * 1.2, receipt.subject_id,
            self._receipts.encode(self._sealer(f"sink-{system.name}").sealed(receipt)),
            {"cause": "BAD_COUNT UNKNOWN_TASK"}, topic=self._receipts.topic.name,
        )  # fmt: skip

    def _bytes(self, cause: str, change: Any) -> Any:
        return lambda request, _: self._poison(
            cause, request.subject_id, change(self._requests.encode(request))
        )

    def _task(
        self, request: PrivacyRequest, cause: str, *, raw: Mapping[str, Any] | None = None, **changes: Any
    ) -> None:
        """A record on the topic of a sink's tasks that is none of its tasks."""
        system = self._rng.choice([one for one in SYSTEMS if one.region in request.regions])
        box = next(box for box in request.boxes if box.region == system.region)
        task = Task(
            task_id=self._id(), generation=0, sink=system.name, source=RequestId(request.request_id),
            what=Erase(asked_at=BEGIN), subject_id=request.subject_id, handles=request.handles, box=box,
            seal=request.seal,
        )  # fmt: skip
        task = replace(task, **changes)
        self._add_task(task, cause, raw, sink=system.name)

    def _add_task(
        self, task: Task, cause: str, raw: Mapping[str, Any] | None = None, *, sink: str = ""
    ) -> None:
        """A record on the topic of a sink's tasks."""
        codec = self._tasks[sink or task.sink]
        self._poison(
            cause, task.subject_id, forged("task", codec.encode(task), **(raw or {})), topic=codec.topic.name
        )


def principal_of(request: PrivacyRequest) -> str:
    """Who asks."""
    assert request.seal is not None
    return session_in(request.seal.header).principal


def _concerned(change: ConsentChange) -> System | None:
    kinds = {handle.kind.value for handle in change.handles}
    for system in SYSTEMS:
        if (
            system.region in change.regions
            and change.purpose in system.purposes
            and not kinds.isdisjoint(system.identities)
        ):
            return system
    return None


def _moved_box(author: _Author, request: PrivacyRequest, _: ConsentChange) -> None:
    other = author._people[-1]
    author._task(request, "CANNOT_OPEN", subject_id=other.subject_id + "x", handles=other.handles)


def _others_handles(author: _Author, request: PrivacyRequest, _: ConsentChange) -> None:
    """A real task, with the handles of somebody else as well: the box is not of them."""
    system = _asked_of(request)
    if system is None:
        return
    [stranger, *_] = [one for one in author._people if one.subject_id != request.subject_id]
    task = _task_of(request, system)
    handles = (*request.handles, *stranger.handles)
    author._add_task(replace(task, handles=handles, generation=9), "CANNOT_OPEN")


def _unsigned(author: _Author, request: PrivacyRequest, _: ConsentChange) -> None:
    bare = replace(request, request_id=author._id(), right=Right.ERASE, purposes=(), seal=None)
    author._poison("UNSIGNED", bare.subject_id, author._requests.encode(bare))


def _unsigned_task(author: _Author, request: PrivacyRequest, _: ConsentChange) -> None:
    system = _asked_of(request)
    if system is not None:
        author._add_task(replace(_task_of(request, system), generation=8, seal=None), "UNSIGNED")


def _unsigned_receipt(author: _Author, request: PrivacyRequest, _: ConsentChange) -> None:
    """Of a real task, by somebody who writes to the topic of receipts."""
    system = _asked_of(request)
    if system is None:
        return
    receipt = receipt_for(_task_of(request, system), Outcome.ERASED, applied_at=BEGIN, detail="forged")
    author._poison(
        "UNSIGNED", receipt.subject_id, author._receipts.encode(receipt), topic=author._receipts.topic.name
    )


def _out_of_scope(author: _Author, request: PrivacyRequest, _: ConsentChange) -> None:
    """By a principal that may ask for access, and for nothing else."""
    wide = _erasure_by(author, request, NARROW)
    author._poison("NOT_IN_SCOPE", wide.subject_id, author._requests.encode(wide))


def _undeclared(author: _Author, request: PrivacyRequest, _: ConsentChange) -> None:
    stranger = _erasure_by(author, request, UNDECLARED)
    author._poison("UNKNOWN_PRINCIPAL", stranger.subject_id, author._requests.encode(stranger))


def _revoked(author: _Author, request: PrivacyRequest, _: ConsentChange) -> None:
    stolen = _erasure_by(author, request, REVOKED)
    author._poison("REVOKED_KEY", stolen.subject_id, author._requests.encode(stolen))


def _badly_signed(author: _Author, request: PrivacyRequest, _: ConsentChange) -> None:
    """A session that its principal did not sign."""
    erasure = _erasure_by(author, request, "producer")
    assert erasure.seal is not None
    signature = bytes([erasure.seal.signature[0] ^ 1]) + erasure.seal.signature[1:]
    erasure = replace(erasure, seal=replace(erasure.seal, signature=signature))
    author._poison("BAD_SIGNATURE", erasure.subject_id, author._requests.encode(erasure))


def _erasure_by(author: _Author, request: PrivacyRequest, principal: str) -> PrivacyRequest:
    """An erasure of whoever another request is about, sealed by a principal."""
    person = next(one for one in author._people if one.subject_id == request.subject_id)
    erasure = replace(request, request_id=author._id(), right=Right.ERASE, purposes=())
    sealed: PrivacyRequest = author._sealed(erasure, person, principal)
    return sealed


def _made_of_a_change(author: _Author, _: PrivacyRequest, change: ConsentChange) -> None:
    """An erasure, made of what stands on the topic of consents by somebody without a key."""
    forged = PrivacyRequest(
        request_id=author._id(), right=Right.ERASE, subject_id=change.subject_id, handles=change.handles,
        regions=change.regions, boxes=change.boxes, purposes=(), requested_at=BEGIN,
        verification_required=False, verified=None, seal=change.seal,
    )  # fmt: skip
    author._poison("CANNOT_OPEN", forged.subject_id, author._requests.encode(forged))


def _asked_of(request: PrivacyRequest) -> System | None:
    """A system that a request has a task for."""
    kinds = {handle.kind.value for handle in request.handles}
    for system in SYSTEMS:
        if system.region in request.regions and not kinds.isdisjoint(system.identities):
            return system
    return None


def _task_of(request: PrivacyRequest, system: System) -> Task:
    return next(task for task in plan_tasks(request, CATALOGUE) if task.sink == system.name)


def _with(cause: str, change: Any) -> Any:
    """Poison made of a request's bytes."""

    def make(author: _Author, request: PrivacyRequest, _: ConsentChange) -> None:
        author._poison(cause, request.subject_id, change(author._requests.encode(request)))

    return make


def _of_request(cause: str, **changes: Any) -> Any:
    """A request that can be read and not be taken."""

    def make(author: _Author, request: PrivacyRequest, _: ConsentChange) -> None:
        spoilt = replace(request, request_id=author._id(), **changes)
        author._poison(cause, spoilt.subject_id, author._requests.encode(spoilt))

    return make


def _future(author: _Author, _: PrivacyRequest, change: ConsentChange) -> None:
    spoilt = replace(change, event_id=author._id(), occurred_at=BEGIN + timedelta(days=9))
    author._poison(
        "FUTURE", spoilt.subject_id, author._consents.encode(spoilt), topic=author._consents.topic.name
    )


def _bad_time(author: _Author, _: PrivacyRequest, change: ConsentChange) -> None:
    spoilt = replace(change, event_id=author._id(), occurred_at=BEGIN.replace(year=1980))
    author._poison(
        "BAD_TIME", spoilt.subject_id, author._consents.encode(spoilt), topic=author._consents.topic.name
    )


def _purpose(author: _Author, _: PrivacyRequest, change: ConsentChange) -> None:
    spoilt = replace(change, event_id=author._id(), purpose="astrology")
    author._poison(
        "UNKNOWN_PURPOSE", spoilt.subject_id, author._consents.encode(spoilt),
        topic=author._consents.topic.name,
    )  # fmt: skip


def _key(author: _Author, request: PrivacyRequest, _: ConsentChange) -> None:
    author._poison(
        "KEY_MISMATCH", "h1_nobody", author._requests.encode(replace(request, request_id=author._id()))
    )


def _version(author: _Author, request: PrivacyRequest, _: ConsentChange) -> None:
    author._poison(
        "UNSUPPORTED_VERSION", request.subject_id, author._requests.encode(request),
        headers=(("ce_specversion", b"0.3"),),
    )  # fmt: skip


def _wrong_sink(author: _Author, request: PrivacyRequest, _: ConsentChange) -> None:
    author._task(request, "WRONG_SINK", sink="another")


def _bad_uuid(author: _Author, request: PrivacyRequest, _: ConsentChange) -> None:
    author._task(request, "BAD_UUID", raw={"request_id": None})


def _id_at(value: bytes) -> int:
    """Where the id of a request is in its bytes: the first UUID; the byte before it says how long it is."""
    return re.search(UUID_FORM, value).start()  # type: ignore[union-attr]


def _turned(cause: str, offset: int, instead: bytes, taken: int = 0) -> Any:
    """Poison with other bytes at some place after the id of a request."""

    def change(value: bytes) -> bytes:
        at = _id_at(value) + offset
        return value[:at] + instead + value[at + (taken or len(instead)) :]

    return _with(cause, change)


UUID_FORM = rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_POISONS: tuple[Any, ...] = (
    _with("NULL_VALUE", lambda value: None),
    _with("EMPTY", lambda value: b""),
    _with("TOO_SHORT", lambda value: value[:3]),
    _with("TOO_LARGE", lambda value: value + b"\0" * 66_000),
    _with("BAD_MAGIC", lambda value: b"\1" + value[1:]),
    _with("UNKNOWN_SCHEMA", lambda value: value[:1] + (99).to_bytes(4, "big") + value[5:]),
    _with("UNKNOWN_SCHEMA", lambda value: value[:1] + (2).to_bytes(4, "big") + value[5:]),  # of another topic
    _with("TRUNCATED", lambda value: value[:60]),
    _with("TRAILING_BYTES", lambda value: value + b"\0"),
    _turned("BAD_UTF8", 36 + 5, b"\xff\xfe"),
    _turned("BAD_INDEX", 36, b"\x7e"),
    _turned("NON_CANONICAL", -1, b"\xc8\x00", taken=1),
    _of_request("UNKNOWN_RIGHT", right=Right.UNKNOWN),
    _of_request("BAD_HANDLE", handles=()),
    _of_request("UNKNOWN_REGION", regions=("mars",)),
    _of_request("NO_BOX", boxes=()),
    _future,
    _bad_time,
    _purpose,
    _key,
    _version,
    _wrong_sink,
    _bad_uuid,
    _moved_box,
    _others_handles,
    _unsigned,
    _unsigned_task,
    _unsigned_receipt,
    _out_of_scope,
    _undeclared,
    _revoked,
    _badly_signed,
    _made_of_a_change,
    _Author._bad_count,
)
