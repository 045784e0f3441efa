"""From what a caller gives to an event: each argument is used as promised or refused by its name."""

import inspect
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from key_files import KeyFiles
from producers.conftest import Keys

from olvido.broker.memory import MemoryBroker
from olvido.core.errors import InvalidInput
from olvido.core.events import ConsentChange, Decision, Verified, check_instant
from olvido.core.rights.known import RIGHTS
from olvido.core.rights.names import Right
from olvido.core.subject import check_handles
from olvido.producers import Producer
from olvido.producers.arguments import ConsentArguments, RequestArguments, VerificationArguments
from olvido.producers.build import Builder
from olvido.producers.emitter import Emitter
from olvido.schemas.codec import consents_codec, requests_codec, verifications_codec
from olvido.schemas.registry import Registry
from olvido.schemas.topics import CONSENTS, REQUESTS, VERIFICATIONS

ANA = {"email": "canary@example.es", "customer_id": "CANARY-1042"}
WHEN = datetime(2026, 3, 1, 9, 30, 0, 123456, tzinfo=timezone(timedelta(hours=8)))
AN_ID = UUID("01935d0e-5b6a-7c3d-8e4f-0123456789ab")


def test_a_request_holds_what_was_asked_and_nobody_in_clear(
    producer: Producer, memory: MemoryBroker, memory_registry: Registry, keys: Keys
) -> None:
    accepted = producer.request_erasure(identities=ANA, request_id=AN_ID, requested_at=WHEN)
    (record,) = memory.records(REQUESTS.name)
    request = requests_codec(memory_registry).decode(record.value)
    assert (request.request_id, request.right, request.requested_at) == (AN_ID, Right.ERASE, WHEN)
    assert (request.regions, request.purposes, request.verified) == (("cn", "sg"), (), None)
    assert [handle.kind.value for handle in request.handles] == ["customer_id", "email"]
    check_handles(request.handles, request.subject_id)
    assert (accepted.id, accepted.topic, accepted.subject_id) == (AN_ID, REQUESTS.name, request.subject_id)
    assert record.key == request.subject_id.encode()
    for box in request.boxes:
        opened = keys.opener(box.region).open(box, request)
        assert [identity.value for identity in opened] == ["CANARY-1042", "canary@example.es"]
    assert b"canary" not in repr(record).lower().encode()


def test_a_consent_change_holds_when_it_occurred(
    producer: Producer, memory: MemoryBroker, memory_registry: Registry
) -> None:
    about = {"identities": ANA, "purpose": "marketing", "occurred_at": WHEN}
    producer.withdraw_consent(**about, policy_version="2026-01", event_id=AN_ID)
    (record,) = memory.records(CONSENTS.name)
    change = consents_codec(memory_registry).decode(record.value)
    assert (change.event_id, change.purpose, change.decision) == (AN_ID, "marketing", Decision.WITHDRAWN)
    assert (change.occurred_at, change.policy_version) == (WHEN, "2026-01")


def test_granting_is_the_other_decision(
    producer: Producer, memory: MemoryBroker, memory_registry: Registry
) -> None:
    producer.grant_consent(identities=ANA, purpose="marketing", occurred_at=WHEN)
    (record,) = memory.records(CONSENTS.name)
    assert consents_codec(memory_registry).decode(record.value).decision is Decision.GRANTED


@pytest.mark.parametrize("how", ["identities", "subject_id"])
def test_a_verification_names_request_and_subject(
    producer: Producer, memory: MemoryBroker, memory_registry: Registry, how: str
) -> None:
    accepted = producer.request_erasure(identities=ANA)
    who: dict[str, Any] = {"identities": ANA} if how == "identities" else {"subject_id": accepted.subject_id}
    producer.verify(accepted.id, method="e-mail link", verified_at=WHEN, **who)
    (record,) = memory.records(VERIFICATIONS.name)
    told = verifications_codec(memory_registry).decode(record.value)
    assert (told.request_id, told.subject_id) == (accepted.id, accepted.subject_id)
    assert told.verified == Verified(method="e-mail link", verified_at=WHEN)
    assert record.key == accepted.subject_id.encode()


def test_an_event_travels_in_a_cloudevents_envelope(producer: Producer, memory: MemoryBroker) -> None:
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    producer.request_erasure(identities=ANA, request_id=AN_ID, requested_at=WHEN, traceparent=parent)
    (record,) = memory.records(REQUESTS.name)
    assert dict(record.headers) == {
        "ce_specversion": b"1.0",
        "ce_id": str(AN_ID).encode(),
        "ce_type": b"olvido.privacy_request.v1",
        "ce_source": b"shop",
        "content-type": b"application/avro",
        "ce_time": b"2026-03-01T01:30:00.123456+00:00",
        "traceparent": parent.encode(),
    }


def test_every_right_can_be_asked_for_by_value_or_name(
    producer: Producer, memory: MemoryBroker, memory_registry: Registry
) -> None:
    rights = list(RIGHTS)
    for right in rights:
        purposes = ["marketing"] if RIGHTS[right].takes_purposes else []
        producer.request(right=right, identities=ANA, purposes=purposes)
        producer.request(right=right.value, identities=ANA, purposes=purposes)
    codec = requests_codec(memory_registry)
    asked = [codec.decode(record.value).right for record in memory.records(REQUESTS.name)]
    assert asked == [right for right in rights for _ in "12"]


def test_an_objection_names_its_purposes(
    producer: Producer, memory: MemoryBroker, memory_registry: Registry
) -> None:
    producer.request(right="OBJECT", identities=ANA, purposes=["marketing", "analytics", "marketing"])
    (record,) = memory.records(REQUESTS.name)
    assert requests_codec(memory_registry).decode(record.value).purposes == ("marketing", "analytics")


def test_regions_can_be_chosen(producer: Producer, memory: MemoryBroker, memory_registry: Registry) -> None:
    producer.request_erasure(identities=ANA, regions=["sg"])
    (record,) = memory.records(REQUESTS.name)
    request = requests_codec(memory_registry).decode(record.value)
    assert (request.regions, [box.region for box in request.boxes]) == (("sg",), ["sg"])


def test_an_id_made_here_is_a_uuid_7_and_each_is_another(producer: Producer) -> None:
    ids = [producer.request_erasure(identities=ANA).id for _ in range(20)]
    assert {type(one) for one in ids} == {UUID}
    assert {one.version for one in ids} == {7}
    assert len(set(ids)) == 20


def test_an_id_may_be_given_as_text(producer: Producer) -> None:
    assert producer.request_erasure(identities=ANA, request_id=str(AN_ID)).id == AN_ID


def test_when_it_was_asked_is_now_unless_given(
    producer: Producer, memory: MemoryBroker, memory_registry: Registry
) -> None:
    before = datetime.now(UTC)
    producer.request_erasure(identities=ANA)
    (record,) = memory.records(REQUESTS.name)
    assert before <= requests_codec(memory_registry).decode(record.value).requested_at <= datetime.now(UTC)


NAIVE = datetime(2026, 3, 1)
SOON = datetime.now(UTC) + timedelta(hours=1)
ERASE: dict[str, Any] = {"identities": ANA}
CONSENT: dict[str, Any] = {"identities": ANA, "purpose": "marketing", "occurred_at": WHEN}
VERIFY: dict[str, Any] = {"request_id": AN_ID, "identities": ANA, "method": "call", "verified_at": WHEN}


@pytest.mark.parametrize(
    ("method", "arguments", "field"),
    [
        ("request_erasure", {"identities": {}}, "identities"),
        ("request_erasure", {"identities": "canary@example.es"}, "identities"),
        ("request_erasure", {"identities": {"canary@example.es": "email"}}, "identities"),
        ("request_erasure", {"identities": {"passport": "CANARY"}}, "identities"),
        ("request_erasure", {"identities": {"email": "canary"}}, "email"),
        ("request_erasure", {"identities": {"customer_id": 1042}}, "customer_id"),
        ("request_erasure", {"identities": {"customer_id": None}}, "customer_id"),
        ("request_erasure", {"identities": {"phone": "600 canary"}}, "phone"),
        ("request_erasure", ERASE | {"regions": []}, "regions"),
        ("request_erasure", ERASE | {"regions": "cn"}, "regions"),
        ("request_erasure", ERASE | {"jurisdiction": "Spain"}, "jurisdiction"),
        ("request_erasure", ERASE | {"jurisdiction": "es"}, "jurisdiction"),
        ("request_erasure", ERASE | {"jurisdiction": 34}, "jurisdiction"),
        ("request_erasure", ERASE | {"regions": ["canary"]}, "regions"),
        ("request_erasure", ERASE | {"request_id": "{" + str(AN_ID) + "}"}, "request_id"),
        ("request_erasure", ERASE | {"request_id": f"urn:uuid:{AN_ID}"}, "request_id"),
        ("request_erasure", ERASE | {"request_id": str(AN_ID).upper()}, "request_id"),
        ("request_erasure", ERASE | {"request_id": AN_ID.hex}, "request_id"),
        ("request_erasure", ERASE | {"request_id": "canary"}, "request_id"),
        ("request_erasure", ERASE | {"request_id": 7}, "request_id"),
        ("request_erasure", ERASE | {"requested_at": NAIVE}, "requested_at"),
        ("request_erasure", ERASE | {"requested_at": SOON}, "requested_at"),
        ("request_erasure", ERASE | {"requested_at": "2026-03-01"}, "requested_at"),
        ("request_erasure", ERASE | {"requested_at": datetime(1970, 1, 1, tzinfo=UTC)}, "requested_at"),
        ("request_erasure", ERASE | {"requested_at": datetime.min.replace(tzinfo=UTC)}, "requested_at"),
        ("request_erasure", ERASE | {"traceparent": "canary"}, "traceparent"),
        ("request_erasure", ERASE | {"verified": Verified(method="", verified_at=WHEN)}, "method"),
        ("request_erasure", ERASE | {"verified": Verified(method="m", verified_at=NAIVE)}, "verified_at"),
        ("request", ERASE | {"right": "FORGET"}, "right"),
        ("request", ERASE | {"right": "UNKNOWN"}, "right"),
        ("request", ERASE | {"right": "ERASE", "purposes": ["marketing"]}, "purposes"),
        ("request", ERASE | {"right": "OBJECT", "purposes": ["marketting"]}, "purposes"),
        ("request", ERASE | {"right": "OBJECT", "purposes": "marketing"}, "purposes"),
        ("request", ERASE | {"right": "OBJECT"}, "purposes"),
        ("request", ERASE | {"right": "OBJECT", "purposes": []}, "purposes"),
        ("grant_consent", CONSENT | {"occurred_at": None}, "occurred_at"),
        ("grant_consent", CONSENT | {"occurred_at": NAIVE}, "occurred_at"),
        ("withdraw_consent", CONSENT | {"occurred_at": SOON}, "occurred_at"),
        ("withdraw_consent", CONSENT | {"purpose": "marketting"}, "purpose"),
        ("withdraw_consent", CONSENT | {"purpose": "canary@example.es"}, "purpose"),
        ("withdraw_consent", CONSENT | {"purpose": ""}, "purpose"),
        ("withdraw_consent", CONSENT | {"policy_version": "canary@example.es"}, "policy_version"),
        ("withdraw_consent", CONSENT | {"event_id": f"urn:uuid:{AN_ID}"}, "event_id"),
        ("verify", VERIFY | {"request_id": None}, "request_id"),
        ("verify", VERIFY | {"request_id": "canary"}, "request_id"),
        ("verify", VERIFY | {"method": "canary@example.es"}, "method"),
        ("verify", VERIFY | {"method": "x" * 65}, "method"),
        ("verify", VERIFY | {"verified_at": None}, "verified_at"),
        ("verify", VERIFY | {"subject_id": "h1_" + "x" * 43}, "subject_id"),
        ("verify", VERIFY | {"identities": None}, "subject_id"),
        ("verify", VERIFY | {"identities": None, "subject_id": "canary@example.es"}, "subject_id"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name_not_shown_and_not_sent(
    producer: Producer, memory: MemoryBroker, method: str, arguments: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidInput) as told:
        getattr(producer, method)(**arguments)
    assert told.value.field == field
    assert "canary" not in str(told.value).lower()
    assert [memory.records(topic.name) for topic in (REQUESTS, CONSENTS, VERIFICATIONS)] == [(), (), ()]


def test_there_is_no_default_for_when_a_consent_changed(producer: Producer) -> None:
    with pytest.raises(TypeError, match="occurred_at"):
        producer.grant_consent(identities=ANA, purpose="marketing")  # type: ignore[call-arg]


def changed_at(builder: Builder, when: datetime) -> ConsentChange | InvalidInput:
    try:
        return builder.consent(
            Decision.GRANTED,
            ANA,
            purpose="marketing",
            occurred_at=when,
            policy_version="",
            regions=["cn"],
            event_id=None,
        )
    except InvalidInput as told:
        return told


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(when=st.datetimes(timezones=st.timezones() | st.none()))
def test_any_instant_is_kept_to_the_microsecond_or_refused(builder: Builder, when: datetime) -> None:
    change = changed_at(builder, when)
    if isinstance(change, InvalidInput):
        assert change.field == "occurred_at"
        return
    # By difference: in an hour that a clock shows twice, Python calls no two zones' instants equal (PEP 495).
    assert change.occurred_at - when == timedelta(0)
    assert change.occurred_at.utcoffset() == timedelta(0)
    check_instant(change.occurred_at, datetime.now(UTC), field="occurred_at")


def test_purposes_are_not_checked_unless_they_are_given(
    keys: Keys, memory_registry: Registry, memory: MemoryBroker
) -> None:
    """They are data of the deployment; the processors have the last word."""
    from olvido.producers.emitter import Writer
    from olvido.schemas.settings.deployment import Connections

    free = Builder.of(Connections(keys=keys.section))
    Producer(Writer(free, memory_registry, source="shop"), memory).grant_consent(
        identities=ANA, purpose="anything else", occurred_at=WHEN
    )
    assert len(memory.records(CONSENTS.name)) == 1


def test_what_does_not_fit_into_a_record_is_refused_before_it_is_sent(
    tmp_path_factory: pytest.TempPathFactory, keys: Keys, memory_registry: Registry, memory: MemoryBroker
) -> None:
    from olvido.producers.emitter import Writer
    from olvido.schemas.privacy.handle_key import HandleKey

    files = KeyFiles(tmp_path_factory.mktemp("many"), [f"r{number}" for number in range(60)])
    many = Builder(handle_key=HandleKey.load(keys.section.handle_file), sealer=files.sealer())
    producer = Producer(Writer(many, memory_registry, source="shop"), memory)
    with pytest.raises(InvalidInput, match="identities: sealed to this many regions exceed 65536 bytes"):
        producer.request_erasure(identities={"customer_id": "王" * 300, "device_id": "王" * 300})
    assert memory.records(REQUESTS.name) == ()


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        (Emitter.request, RequestArguments),
        (Emitter.grant_consent, ConsentArguments),
        (Emitter.verify, VerificationArguments),
    ],
)
def test_what_the_outbox_hands_on_is_all_that_the_method_takes(method, arguments):
    """Else an argument that is new could not be given to the outbox, or to the async producer."""
    handed_on = arguments.__required_keys__ | arguments.__optional_keys__
    taken = inspect.signature(method).parameters.values()
    assert handed_on == {each.name for each in taken if each.kind is each.KEYWORD_ONLY}
