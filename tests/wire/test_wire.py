"""docs/wire.md is enough: a producer and a reader of another make and ours understand each other."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from conftest import PROJECT
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from key_files import principals_of
from schemas.codecs import MemoryRegistry
from values import CATALOGUE, an_erasure
from wire import independent

from olvido.broker.partitioning import partition_of
from olvido.core.asked import asked_digests
from olvido.core.errors import Refused
from olvido.core.events import ConsentChange, Decision, PrivacyRequest
from olvido.core.ids import receipt_id, task_id
from olvido.core.plan import plan_tasks
from olvido.core.rights.known import RIGHTS
from olvido.core.rights.names import Action, Right
from olvido.core.sessions import CONTROL
from olvido.core.subject import Handle, IdentityKind
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
from olvido.schemas.privacy.opening import Opener
from olvido.schemas.privacy.principal_keys import KeyRing, key_id_of, signed_bytes
from olvido.schemas.privacy.sealing import record_binding
from olvido.schemas.privacy.seals import ControlSeals
from olvido.schemas.sealed_records import body_in, session_in
from olvido.schemas.topics import CONSENTS, LOOKS, RECEIPTS, REQUESTS, VERIFICATIONS, tasks_topic

HERE = Path(__file__).parent
VECTORS: dict[str, Any] = json.loads((HERE / "vectors.json").read_text(encoding="utf-8"))
KEYS = {name: bytes.fromhex(text) for name, text in VECTORS["keys"].items()}
SIGNING_KEY = Ed25519PrivateKey.from_private_bytes(KEYS["signing"]).public_key().public_bytes_raw()
NOW = datetime(2026, 11, 23, 12, 1, tzinfo=UTC)
WRITTEN = [pytest.param(kind, id=kind) for kind in VECTORS["records"]]
# All sign with the one key of the vectors.
PRINCIPALS = {
    "privacy_request": "producer", "consent_change": "producer", "task": "producer",
    "verification": "verifier", "receipt": "sink-crm", "later_look": "sink-crm",
}  # fmt: skip


def registry() -> MemoryRegistry:
    made = MemoryRegistry("wire")
    for topic in (REQUESTS, CONSENTS, VERIFICATIONS, RECEIPTS, LOOKS, tasks_topic("crm")):
        made.register(topic.subject, topic.schema)
    return made


def codec_of(kind: str) -> Codec[Any]:
    of: dict[str, Callable[[MemoryRegistry], Codec[Any]]] = {
        "privacy_request": requests_codec, "consent_change": consents_codec,
        "verification": verifications_codec, "receipt": receipts_codec, "later_look": looks_codec,
    }  # fmt: skip
    return of[kind](registry()) if kind in of else tasks_codec(registry(), "crm")


def record(kind: str, body: bytes) -> bytes:
    """In the frame that this run's registry gives."""
    return codec_of(kind)._frame + body


class OurSide:
    """The product's control plane and sinks, with the keys of the vectors."""

    def __init__(self, folder: Path) -> None:
        from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

        for region in ("cn", "sg", CONTROL):
            key = X25519PrivateKey.from_private_bytes(KEYS[region])
            pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            (folder / f"{region}-2026-11.pem").write_bytes(pem)
        self.folder = folder
        self.seals = ControlSeals(
            principals_of(CATALOGUE), KeyRing(folder, dict.fromkeys(PRINCIPALS.values(), (SIGNING_KEY,))),
            Opener(CONTROL, folder), accept_unsigned_until=datetime.min.replace(tzinfo=UTC),
        )  # fmt: skip

    def check(self, kind: str, value: Any, data: bytes) -> None:
        match kind:
            case "task":
                self.seals.check_task(value, NOW)
            case "verification":
                self.seals.check_verification(value, data, NOW)
            case "receipt":
                self.seals.check_receipt(value, data, NOW)
            case "later_look":
                self.seals.check_look(value, data, NOW)
            case _:
                self.seals.check_source(value, data, NOW)

    def opened(self, asked: Any, box: Any) -> Any:
        return Opener(box.region, self.folder).open(box, asked)


@pytest.fixture
def ours(tmp_path: Path) -> OurSide:
    return OurSide(tmp_path)


# --- vectors ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("one", VECTORS["normalised"], ids=lambda one: one["kind"])
def test_the_normalised_form_and_the_handle_of_an_identity(one: dict[str, str]) -> None:
    identity = normalise(IdentityKind(one["kind"]), one["given"])
    assert identity.normalised == one["normalised"]
    assert HandleKey(1, KEYS["handle"]).handle(identity).value == one["handle"]
    assert independent.handle(KEYS["handle"], 1, one["kind"], one["normalised"]) == one["handle"]


@pytest.mark.parametrize("one", VECTORS["partitions"], ids=lambda one: one["key"][:12] or "empty")
def test_the_partition_of_a_key(one: dict[str, Any]) -> None:
    key = one["key"].encode()
    assert partition_of(key, one["partitions"]) == one["partition"]
    assert independent.partition(key, one["partitions"]) == one["partition"]


@pytest.mark.parametrize("kind", WRITTEN)
def test_the_product_computes_what_stands_in_the_vectors(kind: str, ours: OurSide) -> None:
    vector, codec = VECTORS["records"][kind], codec_of(kind)
    data = record(kind, bytes.fromhex(vector["record"]))
    event = codec.decode(data)
    assert codec.encode(event) == data
    assert event.seal.header.hex() == vector["header"]
    assert signed_bytes(event.seal.header).hex() == vector["signed"]
    session = session_in(event.seal.header)
    assert (session.principal, session.key_id) == (PRINCIPALS[kind], key_id_of(SIGNING_KEY))
    boxes = [event.box] if kind == "task" else getattr(event, "boxes", ())
    digests = {box.region: asked_digests(event, header=event.seal.header)(box.region).hex() for box in boxes}
    assert digests == vector["asked"]
    for box in boxes:
        assert [[one.kind.value, one.value, one.normalised] for one in ours.opened(event, box)] == (
            vector["identities"]
        )
    if kind != "task":
        binding = record_binding(kind, event.seal.header, body_in(data, event.seal))
        assert binding.hex() == vector["tag_data"]
    ours.check(kind, event, data)


@pytest.mark.parametrize("kind", WRITTEN)
def test_the_reader_of_another_make_computes_it_too(kind: str) -> None:
    vector = VECTORS["records"][kind]
    data = bytes(5) + bytes.fromhex(vector["record"])
    value = independent.value_of(kind, data[5:])
    if kind != "task":
        assert independent.checked(kind, data, signing_key=SIGNING_KEY, control_key=KEYS[CONTROL]) == value
    header = value["seal"]["header"]
    assert header.hex() == vector["header"]
    for box in [value["box"]] if kind == "task" else value.get("boxes", ()):
        assert independent.asked_digest(header, value, box["region"]).hex() == vector["asked"][box["region"]]
        identities = independent.opened(value, box, signing_key=SIGNING_KEY, region_key=KEYS[box["region"]])
        assert identities == vector["identities"]


# --- both ways --------------------------------------------------------------------------------------


def asked_by_another_make(kind: str) -> bytes:
    identities = [["email", "Zoë@bücher.example", "zoë@xn--bcher-kva.example"], ["customer_id", "C-1", "C-1"]]
    handles = [
        {"kind": one[0].upper(), "value": independent.handle(KEYS["handle"], 1, one[0], one[2])}
        for one in identities
    ]
    at = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
    value: dict[str, Any] = {
        "subject_id": handles[0]["value"], "handles": handles, "regions": ["sg", "cn"], "boxes": [],
    }  # fmt: skip
    if kind == "privacy_request":
        value |= {
            "request_id": "01935d0e-5b6a-7c3d-8e4f-0123456789ab", "right": "OBJECT",
            "purposes": ["marketing"], "requested_at": at, "verification_required": True, "verified": None,
            "jurisdiction": "US-CA",
        }  # fmt: skip
    else:
        value |= {
            "event_id": "01935d0e-5b6a-7c3d-8e4f-0123456789ac", "purpose": "marketing",
            "decision": "WITHDRAWN", "occurred_at": at, "policy_version": "7",
        }  # fmt: skip
    return sealed_by_another_make(kind, value, identities)


def sealed_by_another_make(kind: str, value: dict[str, Any], identities: list[list[str]]) -> bytes:
    at = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
    return independent.sealed(
        kind, value, identities, principal=PRINCIPALS[kind], signing_seed=KEYS["signing"],
        public_keys={
            region: (
                f"{region}-2026-11",
                X25519PrivateKey.from_private_bytes(KEYS[region]).public_key().public_bytes_raw(),
            )
            for region in ("cn", "sg", CONTROL)
        },
        began=at, ends=at + timedelta(minutes=15),
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["privacy_request", "consent_change"])
def test_what_a_producer_of_another_make_writes_is_taken_and_opens_at_our_sinks(
    kind: str, ours: OurSide
) -> None:
    taken_and_opened(kind, asked_by_another_make(kind), ours)


SUBJECT = independent.handle(KEYS["handle"], 1, "customer_id", "C-1042")
REQUEST_ID, AT = "01935d0e-5b6a-7c3d-8e4f-0123456789ab", datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
TASK_ID = str(task_id(UUID(REQUEST_ID), "crm", Action.ERASE))
# What verifiers and sinks of another make write: for no region, and without a box.
SAID: dict[str, dict[str, Any]] = {
    "verification": {
        "event_id": "01935d0e-5b6a-7c3d-8e4f-0123456789ba", "request_id": REQUEST_ID, "subject_id": SUBJECT,
        "verified": {"method": "email_link", "verified_at": AT},
    },
    "receipt": {
        "receipt_id": str(receipt_id(UUID(TASK_ID), 0)), "task_id": TASK_ID, "generation": 0, "sink": "crm",
        "action": "ERASE", "request_id": REQUEST_ID, "event_id": None, "subject_id": SUBJECT,
        "outcome": "erased", "counts": {"customers.deleted": 1, "orders.kept": 300}, "detail": "",
        "applied_at": AT, "verified_at": None,
    },
    "later_look": {
        "look_id": "01935d0e-5b6a-5c3d-8e4f-0123456789bb", "sink": "crm", "after_s": 3600, "applied_from": AT,
        "applied_to": AT, "looked_at": AT + timedelta(minutes=1), "looked": 2, "forgotten": 0,
        "not_verified": [{"request_id": REQUEST_ID, "generation": 0, "result": "found_again"}],
        "decisions": 0, "reapplied": 0,
    },
}  # fmt: skip


@pytest.mark.parametrize("kind", SAID)
def test_what_verifiers_and_sinks_of_another_make_write_is_taken(kind: str, ours: OurSide) -> None:
    data = record(kind, sealed_by_another_make(kind, SAID[kind], []))
    ours.check(kind, codec_of(kind).decode(data), data)


def taken_and_opened(kind: str, body: bytes, ours: OurSide) -> None:
    data = record(kind, body)
    event = codec_of(kind).decode(data)
    ours.seals.check_source(event, data, NOW)
    tasks = plan_tasks(event, CATALOGUE)
    assert {task.sink for task in tasks} == {"crm", "marketing"}
    for task in tasks:
        ours.seals.check_task(task, NOW)
        assert [one.normalised for one in ours.opened(task, task.box)] == ["zoë@xn--bcher-kva.example", "C-1"]


def test_a_byte_that_is_altered_on_the_way_is_noticed_by_both(ours: OurSide) -> None:
    good = asked_by_another_make("privacy_request")
    for at in range(0, len(good), 7):
        data = record("privacy_request", good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
        with pytest.raises(Refused):
            ours.seals.check_source(codec_of("privacy_request").decode(data), data, NOW)
        with pytest.raises(Exception):  # noqa: B017 - whatever fastavro or the cipher says
            independent.checked("privacy_request", data, signing_key=SIGNING_KEY, control_key=KEYS[CONTROL])


@pytest.mark.parametrize("right", RIGHTS)
def test_both_compute_one_digest_for_every_right(right: Right) -> None:
    purposes = ("marketing",) if right is Right.OBJECT else ()
    request = replace(an_erasure(right=right, kinds=tuple(IdentityKind)), purposes=purposes)
    for event in (request, *plan_tasks(request, CATALOGUE)):
        assert asked_digests(event, header=b"h")("cn") == independent.asked_digest(b"h", _plain(event), "cn")


@pytest.mark.parametrize("decision", Decision)
def test_both_compute_one_digest_for_every_decision(decision: Decision) -> None:
    handle = Handle(kind=IdentityKind.PHONE, value="h1_" + "p" * 43)
    change = ConsentChange(
        event_id=an_erasure().request_id, purpose="marketing", decision=decision, subject_id=handle.value,
        handles=(handle,), regions=("cn",), boxes=an_erasure(regions=("cn",)).boxes, occurred_at=NOW,
        policy_version="策-1",
    )  # fmt: skip
    assert asked_digests(change, header=b"h")("cn") == independent.asked_digest(b"h", _plain(change), "cn")


def _plain(asked: Any) -> dict[str, Any]:
    """A value as Avro has it."""
    plain: dict[str, Any] = {
        "subject_id": asked.subject_id,
        "handles": [{"kind": one.kind.name, "value": one.value} for one in asked.handles],
    }
    match asked:
        case PrivacyRequest():
            plain |= {"request_id": str(asked.request_id), "right": asked.right.value}
            plain |= {"requested_at": asked.requested_at, "purposes": list(asked.purposes)}
        case ConsentChange():
            plain |= {"event_id": str(asked.event_id), "purpose": asked.purpose}
            plain |= {"decision": asked.decision.value, "occurred_at": asked.occurred_at}
            plain |= {"policy_version": asked.policy_version}
        case _:
            plain |= {
                "request_id": asked.request_id,
                "event_id": asked.event_id,
                "action": asked.action.value,
            }
            plain |= {"occurred_at": asked.occurred_at, "purposes": list(asked.what.particulars.purposes)}
            plain |= {"decision": None, "policy_version": ""}
    return plain


# --- a program in Go --------------------------------------------------------------------------------


InGo = Callable[[Path], subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def in_go(tmp_path_factory: pytest.TempPathFactory) -> InGo:
    """Runs independent.go on a file of vectors; built once, from what Go brings and without a network."""
    go = shutil.which("go", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/go/bin"]))
    if go is None:
        pytest.skip("no Go here: the wire is read and written by Python alone (Go 1.26 or newer)")
    folder = tmp_path_factory.mktemp("go")
    environment = {
        "PATH": os.environ.get("PATH", ""), "HOME": str(Path.home()), "XDG_CONFIG_HOME": str(folder),
        "GOCACHE": str(Path.home() / ".cache" / "go-build"),
        "GOFLAGS": "-mod=mod", "GOPROXY": "off", "GOTOOLCHAIN": "local",
    }  # fmt: skip

    def run(*command: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(part) for part in command],
            cwd=folder, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip

    if run(go, "list", "crypto/hpke").returncode:
        pytest.skip("this Go has no HPKE: the wire is read and written by Python alone (Go 1.26 or newer)")
    program = folder / "independent"
    built = run(go, "build", "-o", program, HERE / "independent.go")
    assert built.returncode == 0, built.stderr
    return lambda vectors: run(program, vectors, PROJECT / "schemas" / "olvido" / "schemas" / "avsc")


def test_a_program_in_go_checks_every_vector_and_what_it_writes_is_taken(in_go: InGo, ours: OurSide) -> None:
    done = in_go(HERE / "vectors.json")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["checked"] == {name: len(VECTORS[name]) for name in ("normalised", "partitions", "records")}
    said = record("verification", bytes.fromhex(answer["written"].pop("verification")))
    ours.check("verification", codec_of("verification").decode(said), said)
    assert set(answer["written"]) == {"privacy_request", "consent_change"}
    for kind, text in answer["written"].items():
        taken_and_opened(kind, bytes.fromhex(text), ours)


def test_a_program_in_go_stops_at_any_vector_that_is_wrong(in_go: InGo, tmp_path: Path) -> None:
    altered = [*_each_altered({name: part for name, part in VECTORS.items() if name != "about"})]
    assert len(altered) > 60
    for at, (where, vectors) in enumerate(altered):
        file = tmp_path / f"{at}.json"
        file.write_text(json.dumps(vectors), encoding="utf-8")
        assert in_go(file).returncode == 1, where  # a panic of Go's is a 2


def _each_altered(part: Any, where: str = "") -> Iterator[tuple[str, Any]]:
    """The part once for each text and number in it, with the last character or the number changed."""
    match part:
        case dict() | list():
            for name in part if isinstance(part, dict) else range(len(part)):
                for inner, altered in _each_altered(part[name], f"{where}/{name}"):
                    copy = part.copy()
                    copy[name] = altered
                    yield inner, copy
        case str():
            yield where, part[:-1] + ("1" if part.endswith("0") else "0")
        case int() if not where.endswith("/partitions"):  # of another number the rest may be the same
            yield where, part + 1
