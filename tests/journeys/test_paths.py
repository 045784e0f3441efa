"""What becomes of each kind of event, from the producer to the system and back."""

import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from shell import olvido

from olvido.broker.contract import Record
from olvido.broker.kafka import KafkaPublisher
from olvido.broker.ranges import read_range
from olvido.core.causes import Cause
from olvido.core.sessions import CONTROL
from olvido.ledger.letters import LetterSelection
from olvido.operators.settings import private_keys
from olvido.schemas.codec import requests_codec
from olvido.schemas.topics import REQUESTS

pytestmark = [
    pytest.mark.journey, pytest.mark.timeout(300), pytest.mark.xdist_group("journeys: mend"),
]  # fmt: skip

CN_SG = ["cn", "sg"]
CANARY = "canary.of.the.bad@example.es"


def state_of(chain, request_id: UUID) -> str | None:
    request = chain.ledger.figures.request(request_id)
    return None if request is None else request["state"]


def outcomes(chain, source_id: UUID) -> dict[str, str | None]:
    return {row["sink"]: row["outcome"] for row in chain.ledger.figures.tasks(source_id)}


def reused(chain) -> int:
    return len(chain.letters.newest(LetterSelection(cause=Cause.ID_REUSE), limit=1000))


def test_a_request_that_must_be_verified_waits_until_the_verification_arrives(chain):
    [email] = chain.people("waiting", 1)
    with chain.producer() as producer, chain.producer("verifier") as verifier:
        accepted = producer.request_erasure(
            identities={"email": email}, regions=CN_SG, verification_required=True
        )
        chain.until(lambda: state_of(chain, accepted.id) == "identity_pending", what="waiting", within_s=30)
        assert chain.sql("crm", "select count(*) from customers where email = %s", (email,)) == [(1,)]
        assert "waits for its verification" in olvido("requests", "show", str(accepted.id)).stderr
        verifier.verify(
            request_id=accepted.id,
            identities={"email": email},
            method="email_link",
            verified_at=datetime.now(UTC),
        )
        chain.until(lambda: state_of(chain, accepted.id) == "fulfilled", what="release", within_s=30)
    assert chain.sql("crm", "select count(*) from customers where email = %s", (email,)) == [(0,)]


def test_a_verification_by_somebody_else_releases_nothing(chain):
    """The shadow attack."""
    [email] = chain.people("shadowed", 1)
    with chain.producer() as producer, chain.producer("verifier") as verifier:
        accepted = producer.request_erasure(
            identities={"email": email}, regions=CN_SG, verification_required=True
        )
        chain.until(lambda: state_of(chain, accepted.id) is not None, what="the request", within_s=30)
        before = chain.overview()["dead_letters"]
        verifier.verify(
            request_id=accepted.id,
            identities={"email": "mallory@example.es"},
            method="email_link",
            verified_at=datetime.now(UTC),
        )
        chain.until(lambda: chain.overview()["dead_letters"] > before, what="the dead letter", within_s=30)
    assert state_of(chain, accepted.id) == "identity_pending"
    assert chain.sql("crm", "select count(*) from customers where email = %s", (email,)) == [(1,)]


def test_the_same_request_twice_is_one_request(chain):
    [email] = chain.people("twice", 1)
    request_id = uuid4()
    with chain.producer() as producer:
        for _ in range(2):
            producer.request_erasure(identities={"email": email}, regions=CN_SG, request_id=request_id)
    chain.until(lambda: state_of(chain, request_id) == "fulfilled", what="the request", within_s=30)
    assert outcomes(chain, request_id) == {"crm": "erased", "store-sg": "anonymised"}


def test_the_same_id_for_another_person_is_a_dead_letter_and_the_first_stands(chain):
    """B22"""
    first, second = chain.people("reused", 2)
    request_id = uuid4()
    before = reused(chain)
    with chain.producer() as producer:
        producer.request_erasure(identities={"email": first}, regions=CN_SG, request_id=request_id)
        chain.until(lambda: state_of(chain, request_id) == "fulfilled", what="the first", within_s=30)
        producer.request_erasure(identities={"email": second}, regions=CN_SG, request_id=request_id)
        chain.until(lambda: reused(chain) == before + 1, what="the letter", within_s=30)
    assert chain.sql("crm", "select email from customers where email like 'reused-%%'") == [(second,)]


def test_withdrawing_marketing_suppresses_and_keeps_the_account(chain):
    [email] = chain.people("withdrawing", 1)
    now = datetime.now(UTC)
    with chain.producer() as producer:
        # Told in the wrong order: the withdrawal is the later word.
        withdrawn = producer.withdraw_consent(
            identities={"email": email}, purpose="marketing", occurred_at=now
        )
        granted = producer.grant_consent(
            identities={"email": email}, purpose="marketing", occurred_at=now - timedelta(hours=1)
        )
    chain.until(
        lambda: (
            outcomes(chain, withdrawn.id) == {"crm": "suppressed"}
            and outcomes(chain, granted.id) == {"crm": "superseded"}
        ),
        what="both receipts",
        within_s=30,
    )
    told = chain.sql("crm", "select marketing_allowed from customers where email = %s", (email,))
    assert told == [(False,)]
    state = chain.sql("ledger", "select decision from consents where handle = %s", (withdrawn.subject_id,))
    assert state == [("WITHDRAWN",)]


def test_an_objection_that_is_taken_back_leaves_what_the_person_consented_to(chain):
    [email] = chain.people("objecting", 1)
    asked = {"identities": {"email": email}, "regions": ["cn"], "purposes": ["marketing"]}
    allowed = "select marketing_allowed from customers where email = %s"
    with chain.producer() as producer:
        granted = producer.grant_consent(
            identities={"email": email}, purpose="marketing", occurred_at=datetime.now(UTC)
        )
        chain.until(lambda: outcomes(chain, granted.id) == {"crm": "consent_applied"}, what="it", within_s=30)
        objection = producer.request(right="OBJECT", **asked)
        chain.until(lambda: state_of(chain, objection.id) == "fulfilled", what="the objection", within_s=30)
        assert chain.sql("crm", allowed, (email,)) == [(False,)]
        withdrawal = producer.request(right="WITHDRAW_OBJECTION", **asked)
        chain.until(lambda: state_of(chain, withdrawal.id) == "fulfilled", what="its end", within_s=30)
    assert outcomes(chain, withdrawal.id) == {"crm": "released"}
    assert chain.sql("crm", allowed, (email,)) == [(True,)]


def test_an_erasure_from_a_clock_ahead_has_the_brokers_time_for_its_fence(chain):
    """What Faust read is the time that the broker wrote, to the millisecond, and not the producer's."""
    [email] = chain.people("ahead", 1)
    with chain.producer() as producer:
        at = datetime.now(UTC) + timedelta(minutes=4)
        accepted = producer.request_erasure(identities={"email": email}, regions=CN_SG, requested_at=at)
    chain.until(lambda: state_of(chain, accepted.id) == "fulfilled", what="the request", within_s=30)
    [(appended_at, partition, offset)] = chain.sql(
        "ledger",
        "select appended_at, source_partition, source_offset from requests where request_id = %s",
        (str(accepted.id),),
    )
    [record] = read_range(chain.deployment.kafka, REQUESTS.name, partition, [(offset, offset + 1)])
    assert record.by_broker
    assert appended_at == record.appended_at < at
    assert "have their writers' times" not in chain.logs()


def test_a_person_nobody_knows_is_not_found_and_nothing_is_made_of_it(chain):
    with chain.producer() as producer:
        accepted = producer.request_erasure(identities={"email": "nadie@example.es"}, regions=CN_SG)
    chain.until(lambda: state_of(chain, accepted.id) == "not_applicable", what="the request", within_s=30)
    assert outcomes(chain, accepted.id) == {"crm": "not_found", "store-sg": "not_found"}


def test_a_right_that_a_sink_cannot_do_is_said_and_not_planned_away(chain):
    [email] = chain.people("curious", 1)
    with chain.producer() as producer:
        accepted = producer.request(right="ACCESS", identities={"email": email}, regions=["cn"])
    chain.until(lambda: state_of(chain, accepted.id) == "unfulfilled", what="the request", within_s=30)
    assert outcomes(chain, accepted.id) == {"crm": "unsupported"}


def test_bad_records_become_coded_dead_letters_and_the_next_record_is_handled(chain, registry):
    """B1-B21 on the real topic: no crash, no identity in what is told, nothing else is held up."""
    [email] = chain.people("after-the-bad", 1)
    codec = requests_codec(registry)
    with chain.producer() as producer:
        good = producer.request_erasure(identities={"email": email}, regions=CN_SG)
    chain.until(lambda: state_of(chain, good.id) == "fulfilled", what="the request", within_s=30)
    kept = codec.encode(codec.decode_stored(chain.ledger.requests.events([good.id])[good.id]))
    key = good.subject_id.encode()
    frame, at = kept[:5], kept.index(str(good.id).encode())
    bad = {
        Cause.NULL_VALUE: (key, None),
        Cause.EMPTY: (key, b""),
        Cause.TOO_SHORT: (key, b"\0\0\0"),
        Cause.BAD_MAGIC: (key, b"\x07" + kept[1:]),
        Cause.UNKNOWN_SCHEMA: (key, b"\0\x7f\xff\xff\xff" + kept[5:]),
        Cause.TRUNCATED: (key, kept[:-20]),
        Cause.TRAILING_BYTES: (key, kept + CANARY.encode()),
        Cause.TOO_LARGE: (key, frame + CANARY.encode() * 4000),
        Cause.KEY_MISMATCH: (CANARY.encode(), kept),
        Cause.BAD_UUID: (key, kept[:at] + b"{" + kept[at + 1 : at + 35] + b"}" + kept[at + 36 :]),
    }
    tasks_id = registry.id_of("olvido.tasks.crm.v1-value", "task")
    of_another_topic = (key, b"\0" + tasks_id.to_bytes(4, "big") + kept[5:])
    before = chain.overview()["dead_letters"]
    publisher = KafkaPublisher(chain.deployment.kafka, client_id="bad")
    publisher.publish([Record(codec.topic.name, k, value) for k, value in (*bad.values(), of_another_topic)])
    publisher.publish([Record(codec.topic.name, key, kept, (("ce_specversion", b"9.9"),))])
    publisher.close()
    [last] = chain.people("the-next", 1)
    with chain.producer() as producer:
        after = producer.request_erasure(identities={"email": last}, regions=CN_SG)
    chain.until(lambda: state_of(chain, after.id) == "fulfilled", what="the next record", within_s=60)
    chain.until(
        lambda: chain.overview()["dead_letters"] == before + len(bad) + 2, what="dead letters", within_s=30
    )
    letters = chain.letters.newest(limit=len(bad) + 2)
    causes = {kept.letter.cause.value for kept in letters}
    assert causes == {cause.value for cause in bad} | {"UNSUPPORTED_VERSION"}
    assert CANARY not in repr(letters)
    for path in chain.stack.folder.logs.glob("*.log"):
        assert CANARY.encode() not in path.read_bytes(), path.name
    assert chain.overview()["tasks_owed"] == 0


def test_a_box_for_another_region_or_request_is_a_dead_letter_at_the_sink(chain, registry):
    """B42: what cannot be opened is never retried for ever."""
    from dataclasses import replace

    from olvido.schemas.codec import tasks_codec

    [email] = chain.people("moved-box", 1)
    with chain.producer() as producer:
        accepted = producer.request_erasure(identities={"email": email}, regions=CN_SG)
    chain.until(lambda: state_of(chain, accepted.id) == "fulfilled", what="the request", within_s=30)
    from olvido.core.plan import plan_tasks
    from olvido.core.tasks import RequestId

    event = requests_codec(registry).decode_stored(chain.ledger.requests.events([accepted.id])[accepted.id])
    crm, store = plan_tasks(event, chain.deployment.catalogue)
    codec = tasks_codec(registry, "crm")
    wrong = [
        replace(crm, generation=7, box=store.box),
        replace(crm, generation=7, source=RequestId(uuid4())),
        replace(crm, generation=7, sink="store-sg"),
    ]
    before = chain.overview()["dead_letters"]
    publisher = KafkaPublisher(chain.deployment.kafka, client_id="bad")
    publisher.publish(
        [Record(codec.topic.name, task.subject_id.encode(), codec.encode(task)) for task in wrong]
    )
    publisher.close()
    chain.until(
        lambda: chain.overview()["dead_letters"] == before + len(wrong), what="dead letters", within_s=30
    )
    letters = chain.letters.newest(limit=3)
    assert sorted(kept.letter.cause.value for kept in letters) == ["CANNOT_OPEN", "CANNOT_OPEN", "WRONG_SINK"]


def test_no_process_but_a_regions_sinks_is_given_its_private_key(chain):
    folder = chain.stack.directory
    regions = {f"sink-{name}": sink.region for name, sink in chain.deployment.sinks.items()}
    regions |= dict.fromkeys(("processors", "recorder"), CONTROL)
    for name, process in chain.stack.supervisor.status().items():
        if process.pid is None:
            continue
        environment = Path(f"/proc/{process.pid}/environ").read_bytes().decode(errors="replace")
        for region in (CONTROL, *chain.deployment.regions):
            given = str(private_keys(region, folder)) in environment
            assert given == (regions.get(name) == region), (name, region)
        assert "OLVIDO_LEDGER__OWNER_DSN" not in environment, name
        if name.startswith("sink-"):
            assert "OLVIDO_LEDGER__DSN" not in environment, name
        elif name in {"processors", "recorder"}:
            assert "OLVIDO_CRM_DSN" not in environment, name


def test_a_lost_receipt_heals_by_itself(chain):
    """The reconciler: a task that the sink never saw is sent again."""
    [email] = chain.people("lost", 1)
    chain.stack.supervisor.stop("sink-crm")
    with chain.producer() as producer:
        accepted = producer.request_erasure(identities={"email": email}, regions=CN_SG)
    chain.until(lambda: outcomes(chain, accepted.id).get("store-sg") == "anonymised", what="one", within_s=30)
    # The task is taken off the sink's topic, as a committed offset that was wrong would.
    chain.commit_by_hand("olvido.sink.crm", ["olvido.tasks.crm.v1"])
    chain.stack.supervisor.start("sink-crm")
    chain.until(lambda: state_of(chain, accepted.id) == "fulfilled", what="healing", within_s=90)
    [task] = [row for row in chain.ledger.figures.tasks(accepted.id) if row["sink"] == "crm"]
    assert task["attempts"] >= 2


def test_stopping_the_processors_with_sigterm_ends_them_in_time(chain):
    before = chain.stack.supervisor.status()["processors"].pid
    assert chain.kill("processors", signal.SIGTERM)
    chain.until(
        lambda: chain.stack.supervisor.status()["processors"].pid not in {before, None},
        what="a new process",
        within_s=20,
    )
