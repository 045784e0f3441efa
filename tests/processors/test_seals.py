"""Who may ask: nobody makes a record of what others wrote, nor says more than they may."""

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from key_files import ALWAYS, KeyFiles, narrowed, principals_of
from schemas.codecs import MemoryRegistry
from values import CATALOGUE, NOW, a_change, a_verification, an_erasure, an_id, received

from olvido.broker.reading import Read
from olvido.core.asked import asked_digests
from olvido.core.causes import Cause
from olvido.core.errors import Refused
from olvido.core.events import ConsentChange, Decision, PrivacyRequest, Seal, Verification, Verified
from olvido.core.looks import LaterLook
from olvido.core.outcomes import Outcome
from olvido.core.plan import plan_tasks
from olvido.core.receipts import Receipt, receipt_for
from olvido.core.rights.known import RIGHTS
from olvido.core.rights.names import Right
from olvido.core.subject import Handle, Identity, IdentityKind
from olvido.core.tasks import Task
from olvido.processors import requests
from olvido.processors.requests import NOT_SIGNED, asked_by
from olvido.schemas.codec import (
    Codec,
    consents_codec,
    looks_codec,
    receipts_codec,
    requests_codec,
    tasks_codec,
    verifications_codec,
)
from olvido.schemas.privacy.handle_key import HandleKey
from olvido.schemas.privacy.identities import normalise
from olvido.schemas.privacy.principal_keys import KeyRing, create_signing_key, revoke_signing_key
from olvido.schemas.privacy.seals import ControlSeals
from olvido.schemas.sealed_records import session_in
from olvido.schemas.topics import CONSENTS, LOOKS, RECEIPTS, REQUESTS, VERIFICATIONS, tasks_topic

KEY = HandleKey(1, bytes(32))
Event = PrivacyRequest | ConsentChange


def people(*values: str) -> tuple[Identity, ...]:
    return tuple(normalise(IdentityKind.EMAIL, value) for value in values)


def about(event: Event, identities: tuple[Identity, ...]) -> Event:
    handles = tuple(KEY.handle(identity) for identity in identities)
    return replace(event, handles=handles, subject_id=handles[0].value, boxes=())


ANA, BOB = people("ana@example.es"), people("bob@example.es")
ERASURE, WITHDRAWAL = about(an_erasure(1), ANA), about(a_change(2), ANA)


class Deployment:
    """Keys, principals and codecs of one deployment, and what its processors and sinks make of a record."""

    def __init__(self, folder: Path) -> None:
        self.keys = KeyFiles(folder)
        for name in ("producer", "other-producer", "verifier", "desk", "sink-crm", "sink-marketing"):
            self.keys.signing_file(name)
        self.principals = principals_of(CATALOGUE)
        self.principals["other-producer"] = replace(self.principals["producer"], name="other-producer")
        registry = MemoryRegistry("seals")
        for topic in (REQUESTS, CONSENTS, VERIFICATIONS, RECEIPTS, LOOKS, tasks_topic("crm")):
            registry.register(topic.subject, topic.schema)
        self.requests, self.consents = requests_codec(registry), consents_codec(registry)
        self.verifications, self.receipts = verifications_codec(registry), receipts_codec(registry)
        self.tasks, self.looks = tasks_codec(registry, "crm"), looks_codec(registry)
        self.opener = self.keys.opener("cn")
        self.anew()

    def anew(self) -> None:
        """Have processors and sinks read principals and keys again."""
        self.control = self.keys.control_seals(self.principals)
        self.seals = self.keys.seals(self.principals)

    def sealed(self, event: Event, identities: tuple[Identity, ...] = ANA, by: str = "producer") -> Event:
        return self.keys.sealer(by).sealed_source(event, identities)

    def codec(self, value: object) -> Codec[Any]:
        of = {
            PrivacyRequest: self.requests,
            ConsentChange: self.consents,
            Verification: self.verifications,
            Receipt: self.receipts,
            Task: self.tasks,
            LaterLook: self.looks,
        }
        return of[type(value)]

    def take(self, value: Event | Verification | Receipt | LaterLook, now: datetime = NOW) -> None:
        """Have it checked as processors and recorder do, from its bytes on."""
        codec = self.codec(value)
        data = codec.encode(value)
        read = codec.decode(data)
        match read:
            case PrivacyRequest() | ConsentChange():
                self.control.check_source(read, data, now)
            case Verification():
                self.control.check_verification(read, data, now)
            case Receipt():
                self.control.check_receipt(read, data, now)
            case LaterLook():
                self.control.check_look(read, data, now)

    def open(self, task: Task, now: datetime = NOW) -> tuple[Identity, ...]:
        """Have it checked and opened as its sink does."""
        read = self.tasks.decode(self.tasks.encode(task))
        self.seals.check_task(read, now)
        return self.opener.open(read.box, read)

    def cause(
        self, value: Event | Verification | Receipt | LaterLook | Task, now: datetime = NOW
    ) -> Cause | None:
        """Why it is refused; None if it has an effect."""
        try:
            if isinstance(value, Task):
                self.open(value, now)
            else:
                self.take(value, now)
        except Refused as refused:
            return refused.cause
        return None

    def planned(self, request: PrivacyRequest, **catalogue: object) -> requests.Planned:
        data = self.requests.encode(request)
        read = Read(request, received(7, value=data))
        nothing = requests.KnownRequests(requests={}, verifications={})
        return requests.step([read], nothing, replace(CATALOGUE, **catalogue), self.control, NOW)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """One that no test changes."""
    return Deployment(tmp_path_factory.mktemp("deployment"))


@pytest.fixture
def own(tmp_path: Path) -> Deployment:
    return Deployment(tmp_path)


def task_of(event: Event, sink: str = "crm") -> Task:
    return next(task for task in plan_tasks(event, CATALOGUE) if task.sink == sink)


# --- what is asked --------------------------------------------------------------------------------


def test_what_a_principal_asks_for_is_planned_and_opens(shared: Deployment) -> None:
    for event in (shared.sealed(ERASURE), shared.sealed(WITHDRAWAL)):
        assert shared.cause(event) is None
        assert shared.open(task_of(event)) == ANA


@pytest.mark.parametrize("right", RIGHTS)
@pytest.mark.parametrize("region", ["cn", "sg"])
def test_an_event_and_its_tasks_have_one_digest(right: Right, region: str) -> None:
    purposes = ("marketing",) if RIGHTS[right].takes_purposes else ()
    request = replace(an_erasure(right=right, kinds=tuple(IdentityKind)), purposes=purposes)
    for event in (request, a_change(decision=Decision.GRANTED), a_change(decision=Decision.WITHDRAWN)):
        digest = asked_digests(event, header=b"header")(region)
        tasks = [
            task for generation in (0, 3) for task in plan_tasks(event, CATALOGUE, generation=generation)
        ]
        assert tasks
        assert {asked_digests(task, header=b"header")(region) for task in tasks} == {digest}


def test_a_withdrawal_is_not_made_into_an_erasure(shared: Deployment) -> None:
    """By somebody who reads consents and writes requests, and has no key."""
    consent = shared.sealed(WITHDRAWAL)
    assert isinstance(consent, ConsentChange)
    forged = PrivacyRequest(
        request_id=consent.event_id, right=Right.ERASE, subject_id=consent.subject_id,
        handles=consent.handles, regions=consent.regions, boxes=consent.boxes, purposes=(),
        requested_at=consent.occurred_at, verification_required=False,
        verified=Verified(method="passport", verified_at=NOW), seal=consent.seal,
    )  # fmt: skip
    planned = shared.planned(forged, verification_required=frozenset({Right.ERASE}))
    assert ([letter.cause for letter in planned.dead_letters], planned.tasks) == ([Cause.CANNOT_OPEN], ())
    assert shared.cause(replace(forged, seal=None)) is Cause.UNSIGNED
    # And written to the sink's own topic: it opens for nobody.
    assert shared.cause(task_of(forged)) is Cause.CANNOT_OPEN
    assert shared.cause(replace(task_of(forged), seal=None)) is Cause.UNSIGNED


def test_the_box_of_one_person_is_not_sent_with_the_handles_of_another(own: Deployment) -> None:
    """Also not by a principal: the ledger would speak of Bob, and Ana would be erased."""
    forged = own.sealed(about(ERASURE, BOB), ANA)
    assert own.open(task_of(forged)) == ANA  # who makes handles has the key of them; a sink need not
    moved = replace(own.sealed(ERASURE), handles=forged.handles, subject_id=forged.subject_id)
    assert own.cause(moved) is Cause.CANNOT_OPEN
    assert own.cause(task_of(moved)) is Cause.CANNOT_OPEN


def test_one_event_with_one_handle_erases_one_person(shared: Deployment) -> None:
    many = people(*(f"p{number}@example.es" for number in range(500)))
    asked = shared.sealed(about(ERASURE, many[:1]), many)
    assert shared.cause(task_of(asked)) is Cause.CANNOT_OPEN


def test_whoever_opens_a_regions_boxes_makes_no_event(shared: Deployment) -> None:
    """A sink of China knows China's session key, and seals another box with it; the tag it cannot make."""
    event = shared.sealed(ERASURE)
    assert event.seal is not None
    key = shared.opener.cipher(session_in(event.seal.header).recipient("cn"))
    forged = replace(event, request_id=an_id(77))
    binding = asked_digests(forged, header=event.seal.header)("cn")
    nonce, packed = bytes(12), b'{"v":1,"identities":[["email","ana@example.es","ana@example.es"]]}'
    box = replace(event.boxes[0], nonce=nonce, ciphertext=key.encrypt(nonce, packed, binding))
    forged = replace(forged, boxes=(box, *event.boxes[1:]))
    assert shared.open(task_of(forged)) == ANA
    assert shared.cause(forged) is Cause.CANNOT_OPEN


# --- who asks -------------------------------------------------------------------------------------


def test_what_nobody_signed_is_taken_until_a_date_and_counted(own: Deployment) -> None:
    counted: list[int] = []
    data = own.requests.encode(replace(ERASURE, boxes=()))
    for until, taken in ((NOW + timedelta(seconds=1), 1), (NOW, 0)):
        seals = ControlSeals(
            own.principals, KeyRing(own.keys.public, {}), own.keys.opener("control"),
            accept_unsigned_until=until, on_unsigned=lambda: counted.append(1),
        )  # fmt: skip
        if taken:
            seals.check_source(replace(ERASURE, boxes=()), data, NOW)
        else:
            with pytest.raises(Refused, match="UNSIGNED"):
                seals.check_source(replace(ERASURE, boxes=()), data, NOW)
    assert counted == [1]


def test_a_seal_is_not_stripped_from_what_was_sealed(own: Deployment) -> None:
    """Where unsigned records are taken still: a box of a session opens for none of them."""
    own.seals = own.keys.seals(own.principals, until=ALWAYS)
    assert own.cause(replace(task_of(own.sealed(ERASURE)), seal=None)) is Cause.CANNOT_OPEN


def test_a_principal_that_is_not_declared_says_nothing(own: Deployment) -> None:
    event = own.sealed(ERASURE, by="somebody")
    assert own.cause(event) is own.cause(task_of(event)) is Cause.UNKNOWN_PRINCIPAL
    own.principals["somebody"] = replace(own.principals["producer"], name="somebody")
    own.anew()
    assert own.cause(event) is own.cause(task_of(event)) is None


def test_a_key_that_is_not_the_principals_signs_nothing(own: Deployment, tmp_path: Path) -> None:
    """Whoever seals to the public keys, which every producer has, and calls itself by another's name."""
    path = tmp_path / "stolen-name.key"
    create_signing_key("producer", private_path=path, public_dir=tmp_path / "its-own")
    own.keys.signing_file = lambda *_: path
    event = own.sealed(ERASURE)
    assert own.cause(event) is own.cause(task_of(event)) is Cause.UNKNOWN_PRINCIPAL


def test_another_signature_under_a_header_is_refused(shared: Deployment) -> None:
    event, other = shared.sealed(ERASURE), shared.sealed(ERASURE)
    assert event.seal is not None
    assert other.seal is not None
    forged = replace(event, seal=replace(event.seal, signature=other.seal.signature))
    assert shared.cause(forged) is shared.cause(task_of(forged)) is Cause.BAD_SIGNATURE


@pytest.mark.parametrize(
    ("scope", "event"),
    [
        ({"rights": frozenset({Right.ACCESS})}, ERASURE),
        ({"regions": frozenset({"cn"})}, ERASURE),
        ({"identities": frozenset({IdentityKind.COOKIE_ID})}, ERASURE),
        ({"purposes": frozenset({"analytics"})}, WITHDRAWAL),
        (
            {"purposes": frozenset({"analytics"})},
            replace(ERASURE, right=Right.OBJECT, purposes=("marketing",)),
        ),
        ({"purposes": frozenset({"analytics"})}, replace(ERASURE, purposes=("marketing",))),
    ],
)
def test_nobody_asks_past_their_scope(own: Deployment, scope: dict[str, Any], event: Event) -> None:
    asked = own.sealed(event)
    assert own.cause(asked) is None
    own.principals["producer"] = narrowed(own.principals["producer"], **scope)
    own.anew()
    assert own.cause(asked) is Cause.NOT_IN_SCOPE
    if not (isinstance(event, PrivacyRequest) and event.right is Right.ERASE and event.purposes):
        assert own.cause(task_of(asked)) is Cause.NOT_IN_SCOPE  # a task of an erasure has no purposes


@pytest.mark.parametrize("by", ["verifier", "desk", "sink-crm"])
def test_who_is_no_producer_asks_for_nothing(shared: Deployment, by: str) -> None:
    event = shared.sealed(ERASURE, by=by)
    assert shared.cause(event) is shared.cause(task_of(event)) is Cause.NOT_IN_SCOPE


def test_after_its_revocation_a_key_says_nothing_new_and_what_it_said_is_done(own: Deployment) -> None:
    before = own.sealed(ERASURE)
    key_id = session_in(before.seal.header).key_id
    revoke_signing_key("producer", key_id, public_dir=own.keys.public, at=NOW + timedelta(minutes=1))
    own.anew()
    later = own.keys.sealer(now=NOW + timedelta(minutes=2)).sealed_source(ERASURE, ANA)
    assert own.cause(before, NOW) is None
    # What comes after it may be made after it, whatever instant its session names.
    assert own.cause(before, NOW + timedelta(minutes=2)) is Cause.REVOKED_KEY
    assert own.cause(later, NOW + timedelta(minutes=2)) is Cause.REVOKED_KEY
    # A task comes long after its event.
    assert own.cause(task_of(before), NOW + timedelta(days=300)) is None
    assert own.cause(task_of(later), NOW + timedelta(minutes=2)) is Cause.REVOKED_KEY


def test_a_revocation_that_cannot_be_read_is_one_since_ever(own: Deployment) -> None:
    event = own.sealed(ERASURE)
    key_id = session_in(event.seal.header).key_id
    (own.keys.public / f"producer.{key_id}.revoked").write_text("")
    own.anew()
    assert own.cause(event) is own.cause(task_of(event)) is Cause.REVOKED_KEY


def test_a_new_key_signs_and_what_the_old_one_signed_stands(own: Deployment) -> None:
    before = own.sealed(ERASURE)
    path = own.keys.signing_file("producer")
    create_signing_key("producer", private_path=path, public_dir=own.keys.public)
    after = own.sealed(ERASURE)
    own.anew()
    assert session_in(before.seal.header).key_id != session_in(after.seal.header).key_id
    assert own.cause(before) is own.cause(after) is None


def test_nothing_is_asked_for_after_the_end_of_a_session(shared: Deployment) -> None:
    """A session's key that somebody finds later erases nothing newer than the session."""
    event = shared.sealed(replace(ERASURE, requested_at=NOW + timedelta(minutes=21)))
    now = NOW + timedelta(hours=1)
    assert shared.cause(event, now) is shared.cause(task_of(event), now) is Cause.OUTSIDE_SESSION


def test_a_session_of_tomorrow_is_refused(shared: Deployment) -> None:
    event = shared.keys.sealer(now=NOW + timedelta(days=1)).sealed_source(ERASURE, ANA)
    assert shared.cause(event) is Cause.OUTSIDE_SESSION
    assert shared.cause(task_of(event)) is None  # what the processors took; a sink's own clock may be slow


@pytest.mark.parametrize("later", [timedelta(seconds=1), timedelta(hours=1), timedelta(days=365)])
def test_an_event_that_was_long_on_its_way_is_taken(shared: Deployment, later: timedelta) -> None:
    """An outbox may stand still for days, and a dead letter be sent again after a year."""
    event = shared.sealed(ERASURE)
    assert shared.cause(event, NOW + later) is shared.cause(task_of(event), NOW + later) is None


# --- verification ---------------------------------------------------------------------------------

STRICT = frozenset({Right.ERASE})
CLAIMS = replace(ERASURE, verified=Verified(method="passport", verified_at=NOW))


def test_the_askers_own_word_is_no_verification(shared: Deployment) -> None:
    planned = shared.planned(shared.sealed(CLAIMS), verification_required=STRICT)
    assert ([row.state for row in planned.rows], planned.tasks) == (["identity_pending"], ())


def test_the_word_of_an_asker_that_may_verify_is_one(own: Deployment) -> None:
    own.principals["producer"] = narrowed(own.principals["producer"], may_verify=True)
    own.anew()
    planned = own.planned(own.sealed(CLAIMS), verification_required=STRICT)
    assert [row.state for row in planned.rows] == ["in_progress"]


@pytest.mark.parametrize(
    ("by", "cause"),
    [
        ("verifier", None),
        ("producer", Cause.NOT_IN_SCOPE),
        ("other-producer", Cause.NOT_IN_SCOPE),
        ("desk", Cause.NOT_IN_SCOPE),
        ("sink-crm", Cause.NOT_IN_SCOPE),
    ],
)
def test_a_verification_is_a_verifiers(shared: Deployment, by: str, cause: Cause | None) -> None:
    verification = shared.keys.sealer(by).sealed(a_verification(ERASURE))
    assert shared.cause(verification) is cause
    assert shared.cause(replace(verification, seal=None)) is Cause.UNSIGNED


# --- receipts -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("by", "outcome", "cause"),
    [
        ("sink-crm", Outcome.RETAINED, None),
        ("sink-marketing", Outcome.ERASED, Cause.NOT_IN_SCOPE),
        ("producer", Outcome.ERASED, Cause.NOT_IN_SCOPE),
        ("desk", Outcome.FAILED, None),
        ("desk", Outcome.UNSUPPORTED, None),
        ("desk", Outcome.ERASED, Cause.NOT_IN_SCOPE),
        ("desk", Outcome.NOT_FOUND, Cause.NOT_IN_SCOPE),
    ],
)
def test_a_receipt_is_its_sinks(shared: Deployment, by: str, outcome: Outcome, cause: Cause | None) -> None:
    receipt = receipt_for(task_of(ERASURE_PLANNED), outcome, applied_at=NOW)
    assert shared.cause(shared.keys.sealer(by).sealed(receipt)) is cause
    assert shared.cause(receipt) is Cause.UNSIGNED


ERASURE_PLANNED = replace(ERASURE, boxes=an_erasure().boxes)


# --- later looks -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("by", "cause"),
    [
        ("sink-crm", None),
        ("sink-marketing", Cause.NOT_IN_SCOPE),
        ("producer", Cause.NOT_IN_SCOPE),
        ("desk", Cause.NOT_IN_SCOPE),
    ],
)
def test_a_later_look_is_its_sinks(shared: Deployment, by: str, cause: Cause | None) -> None:
    look = LaterLook(
        look_id=an_id(1), sink="crm", after_s=3600, applied_from=NOW, applied_to=NOW, looked_at=NOW, looked=1,
        forgotten=0, not_verified=(),
    )  # fmt: skip
    assert shared.cause(shared.keys.sealer(by).sealed(look)) is cause
    assert shared.cause(look) is Cause.UNSIGNED


# --- whatever else ---------------------------------------------------------------------------------


def _seals(rng: random.Random, one: Seal, other: Seal) -> Iterator[Seal]:
    for name in ("header", "signature", "nonce", "tag"):
        yield replace(one, **{name: getattr(other, name)})
        turned = bytearray(getattr(one, name))
        turned[rng.randrange(len(turned))] ^= 1 << rng.randrange(8)
        yield replace(one, **{name: bytes(turned)})


def _mutations(rng: random.Random, one: Any, other: Any) -> list[Any]:
    """Each field of the other in place of one's own, and small changes."""
    found = [replace(one, **{name: getattr(other, name)}) for name in one.__dataclass_fields__]
    found += [replace(one, seal=seal) for seal in _seals(rng, one.seal, other.seal)]
    if isinstance(one, PrivacyRequest):
        found.append(replace(one, right=rng.choice([right for right in RIGHTS if right is not one.right])))
        found.append(replace(one, verification_required=not one.verification_required))
        found.append(
            replace(one, requested_at=one.requested_at + timedelta(microseconds=rng.choice((-1, 1))))
        )
        found.append(replace(one, regions=one.regions[:1], boxes=one.boxes[:1]))
        found.append(replace(one, boxes=one.boxes[::-1]))
    if isinstance(one, PrivacyRequest | ConsentChange | Task):
        stranger = Handle(kind=IdentityKind.PHONE, value="h1_" + "z" * 43)
        found.append(replace(one, handles=(*one.handles, stranger)))
        found.append(replace(one, handles=(replace(one.handles[0], kind=IdentityKind.PHONE),)))
    if isinstance(one, Receipt):
        found.append(replace(one, counts={**one.counts, "rows": rng.randrange(9)}))
        found.append(replace(one, applied_at=one.applied_at - timedelta(days=rng.randrange(1, 999))))
    return [each for each in found if each != one]


def _valid(shared: Deployment, number: int, kind: str) -> Any:
    by = ("producer", "other-producer")[number % 2]
    identities = people(f"p{number % 7}@example.es")
    request = about(an_erasure(number, right=(Right.ERASE, Right.RESTRICT)[number % 3 == 0]), identities)
    change = about(a_change(number, occurred_at=NOW - timedelta(seconds=number % 50)), identities)
    match kind:
        case "request":
            return shared.sealed(request, identities, by)
        case "consent":
            return shared.sealed(change, identities, by)
        case "task":
            return task_of(shared.sealed((request, change)[number % 2], identities, by))
        case _:
            task = task_of(replace(request, boxes=an_erasure().boxes))
            receipt = receipt_for(task, Outcome.RETAINED, applied_at=NOW, counts={"customers": number})
            return shared.keys.sealer("sink-crm").sealed(receipt)


@pytest.mark.parametrize("kind", ["request", "consent", "task", "receipt"])
@pytest.mark.parametrize("many", [250, pytest.param(2_500, marks=pytest.mark.proof)])
def test_no_mutation_of_what_is_valid_has_an_effect(shared: Deployment, kind: str, many: int) -> None:
    rng, tried, number = random.Random(many), 0, 0
    while tried < many:
        one, other = _valid(shared, number, kind), _valid(shared, number + rng.randrange(1, 50), kind)
        assert shared.cause(one) is shared.cause(other) is None
        number += 1
        for mutated in _mutations(rng, one, other):
            tried += 1
            if shared.cause(mutated, NOW + rng.choice(LATER)) is None:
                # Which generation it is the control plane decides: none has an effect that the first has not.
                # The tag of the seal is for the control plane, and a sink does not look at it.
                assert kind == "task"
                seal = replace(mutated.seal, nonce=one.seal.nonce, tag=one.seal.tag)
                assert replace(mutated, generation=one.generation, seal=seal) == one


MICROSECOND = timedelta(microseconds=1)
LATER = (timedelta(), timedelta(seconds=1), timedelta(hours=1), timedelta(days=365))


def test_erasures_are_counted_by_the_principal_that_signed_them(shared: Deployment) -> None:
    names = ("producer", "other-producer")
    mine, other = (shared.sealed(about(an_erasure(n), ANA), by=by) for n, by in enumerate(names))
    assert [asked_by(event) for event in (mine, other, an_erasure(3))] == [
        "producer", "other-producer", NOT_SIGNED,
    ]  # fmt: skip
