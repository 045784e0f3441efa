"""What could not be handled is looked at, sent again or given up, beside the real processes."""

import base64
import json
import os
import re
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from time import monotonic
from uuid import UUID, uuid4

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient
from shell import olvido, told

from olvido.broker.contract import Record
from olvido.broker.groups import end_offsets
from olvido.broker.kafka import KafkaPublisher
from olvido.core.brake import HeldDecision
from olvido.core.causes import Cause
from olvido.core.dead_letters import REDRIVE_HEADER, DeadLetter
from olvido.core.outcomes import Outcome
from olvido.core.receipts import Receipt
from olvido.core.rights.names import Action
from olvido.ledger.acts import Acts
from olvido.ledger.connection import Database
from olvido.ledger.letters import LetterSelection
from olvido.operators.desk import acts
from olvido.operators.desk.brake import WhichHeld, decide
from olvido.operators.settings import deployment, signing_file
from olvido.producers import Producer
from olvido.schemas.codec import receipts_codec
from olvido.schemas.privacy.sealing import Sealer
from olvido.schemas.topics import RECEIPTS, REQUESTS

pytestmark = [
    pytest.mark.journey, pytest.mark.timeout(300), pytest.mark.xdist_group("journeys: mend"),
]  # fmt: skip

CANARY = "canary.of.the.dead@example.es"
WHY = ("--reason", "OPS-17")
REFUSING = """
create or replace function refuse() returns trigger language plpgsql as
    $$ begin raise exception using errcode = '23514', message = 'not this one'; end $$;
create trigger refuse before delete on customers for each row when (old.email like 'stubborn-%%')
    execute function refuse();
"""


def letter_of(chain, cause: Cause, topic: str, *, after: set[UUID] = frozenset()) -> DeadLetter:
    """The newest letter of a cause and topic that was not there before."""
    found: list[DeadLetter] = []

    def there() -> bool:
        kept = chain.letters.newest(LetterSelection(cause=cause, topic=topic), state=None, limit=1000)
        found[:] = [one.letter for one in kept if one.letter.dead_letter_id not in after]
        return bool(found)

    chain.until(there, what=f"a letter of {cause.value}", within_s=60)
    return found[0]


def ids_of(chain) -> set[UUID]:
    return {kept.letter.dead_letter_id for kept in chain.letters.newest(state=None, limit=10_000)}


def attempts(chain, letter: DeadLetter) -> int:
    kept = chain.letters.one(letter.dead_letter_id)
    return kept.letter.attempts


def state(chain, letter: DeadLetter) -> str:
    return chain.letters.one(letter.dead_letter_id).state.value


def outcome(chain, source_id: UUID, sink: str = "crm"):
    return next(
        (row["outcome"] for row in chain.ledger.figures.tasks(source_id) if row["sink"] == sink), None
    )


def newest_act(chain):
    return Acts(Database(chain.deployment.ledger_dsn, application="tests")).newest(limit=1)[0]


@contextmanager
def refusing(chain) -> Iterator[None]:
    """The CRM refuses to delete some people for good."""
    chain.sql("crm", REFUSING)
    try:
        yield
    finally:
        chain.sql("crm", "drop trigger refuse on customers")


def refused_erasure(chain) -> tuple[UUID, DeadLetter]:
    """An erasure whose task the CRM has refused, and its letter."""
    before = ids_of(chain)
    [email] = chain.people(f"stubborn-{uuid4().hex[:8]}", 1)
    with refusing(chain), chain.producer() as producer:
        accepted = producer.request_erasure(identities={"email": email}, regions=["cn"])
        letter = letter_of(chain, Cause.REFUSED_BY_TARGET, "olvido.tasks.crm.v1", after=before)
        chain.until(lambda: bool(parked(chain, accepted.id)), what="parking", within_s=30)
    return accepted.id, letter


def parked(chain, source_id: UUID) -> list[str]:
    return [row["parked"] for row in chain.ledger.figures.tasks(source_id) if row["parked"]]


def publish(chain, *records: Record) -> None:
    with KafkaPublisher(chain.deployment.kafka, client_id="tests") as publisher:
        publisher.publish(records)


def test_a_record_that_is_still_poison_comes_back_as_the_same_letter_until_the_limit(chain):
    """B57; then the cause is mended, and it goes through."""
    before = ids_of(chain)
    wider = chain.deployment.model_copy(update={"purposes": (*chain.deployment.purposes, "newsletter")})
    with Producer.of(wider) as producer:
        change = producer.withdraw_consent(
            identities={"email": "reader@example.es"}, purpose="newsletter", occurred_at=datetime.now(UTC)
        )
    letter = letter_of(chain, Cause.UNKNOWN_PURPOSE, "olvido.consents.v1", after=before)
    named = str(letter.dead_letter_id)
    for tries in range(2, 6):
        [row] = told("dead-letters", "redrive", named, *WHY)
        assert row["result"] == "sent"
        chain.until(lambda tries=tries: attempts(chain, letter) == tries, what="coming back", within_s=30)
        assert state(chain, letter) == "open"
    ends = end_offsets(chain.deployment.kafka, ["olvido.consents.v1"])
    done = olvido(
        "dead-letters", "redrive", "--cause", "UNKNOWN_PURPOSE", "--confirm", "UNKNOWN_PURPOSE", *WHY
    )
    assert done.returncode == 5
    assert named in done.stderr
    assert "--past-limit" in done.stdout
    assert end_offsets(chain.deployment.kafka, ["olvido.consents.v1"]) == ends
    assert ids_of(chain) - before == {letter.dead_letter_id}

    toml = Path(os.environ["OLVIDO_CONFIG"])
    was = toml.read_text()
    toml.write_text(was.replace('purposes = ["marketing"]', 'purposes = ["marketing", "newsletter"]', 1))
    try:
        chain.stack.supervisor.restart("processors")
        told("dead-letters", "redrive", named, "--past-limit", *WHY)
        known = "select decision from consent_changes where event_id = %s"
        chain.until(
            lambda: chain.sql("ledger", known, (str(change.id),)) == [("WITHDRAWN",)],
            what="the consent change", within_s=60,
        )  # fmt: skip
    finally:
        toml.write_text(was)
        chain.stack.supervisor.restart("processors")
    assert (state(chain, letter), attempts(chain, letter)) == ("redriven", 5)


def above_the_limit(chain) -> tuple[UUID, DeadLetter]:
    """An erasure that would take more rows of the CRM than one may, and its letter."""
    before = ids_of(chain)
    [email] = chain.people(f"heavy-{uuid4().hex[:8]}", 1)
    chain.sql(
        "crm",
        "insert into tickets (customer_id, body) select id, 'b' from customers, generate_series(1, 30) "
        "where email = %s",
        (email,),
    )
    with chain.producer() as producer:
        accepted = producer.request_erasure(identities={"email": email}, regions=["cn"])
        letter = letter_of(chain, Cause.ABOVE_LIMIT, "olvido.tasks.crm.v1", after=before)
    chain.until(lambda: bool(parked(chain, accepted.id)), what="parking", within_s=30)
    return accepted.id, letter


def test_what_is_above_a_limit_of_a_sink_is_done_when_two_people_have_released_it(chain, monkeypatch):
    source_id, letter = above_the_limit(chain)
    [row] = [one for one in told("brake", "list", "--sink", "crm") if one["request_id"] == str(source_id)]
    assert (row["sink"], row["held_for"], letter.field) == ("crm", "rows_max", "rows_max")
    assert "until two people decide" in olvido("status").stderr
    assert olvido("dead-letters", "discard", str(letter.dead_letter_id), *WHY).returncode != 0
    for _ in range(2):
        assert told("brake", "release", str(source_id), *WHY)["carried_out"] == 0
    assert parked(chain, source_id) == ["ABOVE_LIMIT"]
    decide_as_another(monkeypatch, source_id, HeldDecision.RELEASE)
    chain.until(lambda: outcome(chain, source_id) == "erased", what="the erasure", within_s=60)
    assert state(chain, letter) == "redriven"


def test_what_is_above_a_limit_of_a_sink_is_answered_when_two_people_have_discarded_it(chain, monkeypatch):
    source_id, letter = above_the_limit(chain)
    assert told("brake", "discard", str(source_id), *WHY)["proposed"] == 1
    decide_as_another(monkeypatch, source_id, HeldDecision.DISCARD)
    chain.until(lambda: outcome(chain, source_id) == "failed", what="the answer", within_s=60)
    assert state(chain, letter) == "discarded"
    assert [one for one in told("brake", "list") if one["request_id"] == str(source_id)] == []


def decide_as_another(monkeypatch, source_id: UUID, decision: HeldDecision) -> None:
    monkeypatch.setattr(acts, "who", lambda: "bo@ops")
    which = WhichHeld(ids=(source_id,), sink="crm")
    assert decide(deployment(), which, decision, "OPS-17").carried_out == 1


def test_a_task_that_the_target_refused_is_done_when_the_target_is_mended(chain):
    source_id, letter = refused_erasure(chain)
    assert (letter.source_id, parked(chain, source_id)) == (source_id, ["REFUSED_BY_TARGET"])
    ends = end_offsets(chain.deployment.kafka, [letter.topic])
    looked = told("dead-letters", "redrive", "--topic", "tasks.crm", "--dry-run")
    assert {row["result"] for row in looked if row["cause"] == "REFUSED_BY_TARGET"} == {"sent"}
    assert end_offsets(chain.deployment.kafka, [letter.topic]) == ends
    assert state(chain, letter) == "open"

    told("dead-letters", "redrive", str(letter.dead_letter_id), *WHY)
    act = newest_act(chain)
    assert (act["verb"], act["reason"], act["details"]["ids"]) == (
        "redrive",
        "OPS-17",
        [str(letter.dead_letter_id)],
    )
    chain.until(lambda: outcome(chain, source_id) == "erased", what="the erasure", within_s=60)
    assert state(chain, letter) == "redriven"
    assert chain.ledger.figures.request(source_id)["state"] == "fulfilled"
    done = olvido("dead-letters", "redrive", str(letter.dead_letter_id), *WHY)
    assert (done.returncode, "redriven already" in done.stderr) == (4, True)


def test_killed_between_sending_and_marking_it_is_sent_again_and_nothing_is_done_twice(chain):
    source_id, letter = refused_erasure(chain)
    effects = chain.effects("crm")
    killed = """
import os, signal, sys
from olvido.ledger.letters import Letters
Letters.redriven = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
from olvido.operators.cli.app import main
main(sys.argv[1:])
"""
    command = ("dead-letters", "redrive", str(letter.dead_letter_id), *WHY)
    done = subprocess.run(
        [sys.executable, "-c", killed, *command], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    chain.until(lambda: outcome(chain, source_id) == "erased", what="the erasure", within_s=60)
    assert state(chain, letter) == "open"
    assert newest_act(chain)["verb"] == "redrive"
    told(*command)
    assert state(chain, letter) == "redriven"
    chain.until(lambda: not chain.before("crm"), what="the sink reading it again", within_s=30)
    assert chain.effects("crm") - effects == 3  # one customer, two tickets, once
    assert chain.sql("ledger", "select count(*) from tasks where source_id = %s", (str(source_id),)) == [(1,)]


def test_a_task_whose_record_is_gone_is_sent_anew_by_the_reconciler(chain):
    source_id, letter = refused_erasure(chain)
    admin = AdminClient({"bootstrap.servers": chain.deployment.kafka.bootstrap_servers})
    place = TopicPartition(letter.topic, letter.partition, letter.offset + 1)
    for gone in admin.delete_records([place]).values():
        gone.result(30)
    shown = told("dead-letters", "show", str(letter.dead_letter_id))
    assert "reconciler" in shown["next"]
    [row] = told("dead-letters", "redrive", str(letter.dead_letter_id), *WHY)
    assert row["result"] == "owed"
    chain.until(lambda: outcome(chain, source_id) == "erased", what="the erasure", within_s=60)


def test_what_is_gone_and_no_task_is_told_and_stays_open(chain):
    letter = DeadLetter(
        dead_letter_id=uuid4(), group="olvido.processors", topic=REQUESTS.name, partition=0, offset=10**9,
        cause=Cause.NO_BOX, field="boxes", reason="", sha256=sha256(b"x").digest(), size=1, attempts=1,
        failed_at=datetime.now(UTC), task_id=None, generation=0,
    )  # fmt: skip
    with chain.ledger.recording([]) as recording:
        recording.write_dead_letters([letter])
    done = olvido("dead-letters", "redrive", str(letter.dead_letter_id), *WHY)
    assert (done.returncode, str(letter.dead_letter_id) in done.stderr) == (5, True)
    assert state(chain, letter) == "open"
    told("dead-letters", "discard", str(letter.dead_letter_id), *WHY)


def test_discarding_the_letter_of_a_task_ends_its_request(chain):
    source_id, letter = refused_erasure(chain)
    counted = told("dead-letters", "discard", str(letter.dead_letter_id), *WHY)
    assert counted == {"discarded": 1, "tasks_failed": 1, "refused_again": 0}
    chain.until(lambda: outcome(chain, source_id) == "failed", what="the receipt", within_s=30)
    [task] = chain.ledger.figures.tasks(source_id)
    assert (task["detail"], task["parked"]) == ("dead letter discarded by an operator", None)
    assert chain.ledger.figures.request(source_id)["state"] == "unfulfilled"
    assert (state(chain, letter), newest_act(chain)["verb"]) == ("discarded", "discard")


def test_a_receipt_for_a_task_nobody_knows_comes_back_as_the_same_letter(chain, registry):
    before = ids_of(chain)
    subject = f"h1_{'r' * 43}"
    receipt = Receipt(
        receipt_id=uuid4(), task_id=uuid4(), generation=0, sink="crm", action=Action.ERASE,
        request_id=uuid4(), event_id=None, subject_id=subject, outcome=Outcome.ERASED, counts={}, detail="",
        applied_at=datetime.now(UTC), verified_at=None,
    )  # fmt: skip
    codec = receipts_codec(registry)
    signing = signing_file("sink-crm", chain.stack.directory)
    sealed = Sealer(chain.deployment.keys.public_dir, signing).sealed(receipt)
    publish(chain, Record(RECEIPTS.name, subject.encode(), codec.encode(sealed)))
    letter = letter_of(chain, Cause.UNKNOWN_TASK, RECEIPTS.name, after=before)
    told("dead-letters", "redrive", str(letter.dead_letter_id), *WHY)
    chain.until(lambda: attempts(chain, letter) == 2, what="coming back", within_s=30)
    assert ids_of(chain) - before == {letter.dead_letter_id}
    told("dead-letters", "discard", str(letter.dead_letter_id), *WHY)


def test_a_forged_origin_makes_a_letter_of_its_own(chain):
    before = ids_of(chain)
    publish(chain, Record(REQUESTS.name, b"k", b"\x07victim"))
    victim = letter_of(chain, Cause.BAD_MAGIC, REQUESTS.name, after=before)
    origin = f"{victim.topic}/{victim.partition}/{victim.offset}/4".encode()
    publish(chain, Record(REQUESTS.name, b"k", b"\x07forger", ((REDRIVE_HEADER, origin),)))
    forger = letter_of(chain, Cause.BAD_MAGIC, REQUESTS.name, after=before | {victim.dead_letter_id})
    assert forger.dead_letter_id != victim.dead_letter_id
    assert (attempts(chain, victim), state(chain, victim)) == (1, "open")


def test_a_rate_is_kept(chain):
    before = ids_of(chain)
    publish(chain, *(Record(REQUESTS.name, f"k{n}".encode(), b"\x07rate") for n in range(8)))
    chain.until(lambda: len(ids_of(chain) - before) == 8, what="the letters", within_s=30)
    named = [str(one) for one in ids_of(chain) - before]
    began = monotonic()
    rows = told("dead-letters", "redrive", *named, "--rate", "4/s", *WHY)
    assert [row["result"] for row in rows] == ["sent"] * 8
    assert monotonic() - began > 7 / 4


CANARIES = {
    "in ASCII": CANARY.encode(),
    "in UTF-16": CANARY.encode("utf-16-le"),
    "a Chinese name": "王小明".encode(),
    "three letters": b"\x01\x02Ana\x03",
    "a device id": b"6d920780-8246-4ba4-ae5b-76104861e7dc",
}


@pytest.mark.parametrize("case", CANARIES)
def test_a_person_in_clear_in_bytes_that_nobody_can_read_is_never_shown(chain, case):
    data = CANARIES[case]
    before = ids_of(chain)
    # An id in ce_id is what its writer says it is: the one thing by which the event is found upstream.
    headers = ((CANARY, data), ("ce_id", CANARY.encode()), ("ce_type", data))
    publish(chain, Record(REQUESTS.name, data, b"\x00\x00\x00\x00\x01" + data, headers))
    chain.until(lambda: bool(ids_of(chain) - before), what="the letter", within_s=30)
    [named] = ids_of(chain) - before
    for arguments in (
        ("dead-letters", "show", str(named)), ("dead-letters", "show", str(named), "-o", "json"),
        ("dead-letters", "list", "-o", "json"), ("topics", "tail", "requests", "-o", "jsonl"),
        ("topics", "tail", "requests"), ("dead-letters", "export"),
    ):  # fmt: skip
        done = olvido(*arguments)
        assert done.returncode == 0, done.stderr
        said = done.stdout + done.stderr
        for secret in (CANARY, "Ana", "王", "6d920780"):
            assert secret not in said
        digits = re.sub(r"[0-9a-f]{64}|\s", "", said)  # without the SHA-256, which has to differ from nothing
        for told_otherwise in (data[2:5].hex(), data[-6:].hex(), base64.b64encode(data).decode()[:12]):
            assert told_otherwise not in digits
    dumped = [line for line in olvido("dead-letters", "show", str(named)).stdout.splitlines() if "··" in line]
    assert dumped
    assert max(map(len, dumped)) <= 80


def test_a_letter_is_shown_with_its_record_and_what_to_do(chain):
    source_id, letter = refused_erasure(chain)
    shown = told("dead-letters", "show", str(letter.dead_letter_id))
    assert (shown["cause"], shown["state"], shown["attempts"]) == ("REFUSED_BY_TARGET", "open", 1)
    assert shown["meaning"] == Cause.REFUSED_BY_TARGET.meaning
    assert shown["value"]["request_id"] == str(source_id)
    assert set(shown["value"]["box"]) == {"region", "key_id", "bytes"}
    assert shown["value"]["subject_id"] == shown["key"]
    assert shown["headers"]["ce_type"] == "olvido.task.v1"
    assert "then redrive" in shown["next"]
    for row in told("dead-letters", "list", "--group-by", "cause"):
        assert row["letters"] >= 1
    causes = [row["cause"] for row in told("dead-letters", "list", "--group-by", "cause")]
    assert "REFUSED_BY_TARGET" in causes
    told("dead-letters", "discard", str(letter.dead_letter_id), *WHY)


def test_letters_are_exported_without_their_records_unless_a_reason_is_given(chain, tmp_path):
    _, letter = refused_erasure(chain)
    lines = olvido("dead-letters", "export", "--cause", "REFUSED_BY_TARGET").stdout.splitlines()
    row = next(r for r in map(json.loads, lines) if r["dead_letter_id"] == str(letter.dead_letter_id))
    assert row["sha256"] == letter.sha256.hex()
    assert "value" not in row
    assert olvido("dead-letters", "export", "--with-records").returncode == 2
    path = tmp_path / "letters.jsonl"
    done = olvido(
        "dead-letters", "export", "--cause", "REFUSED_BY_TARGET", "--with-records", "--to", str(path), *WHY
    )
    assert (done.returncode, done.stdout) == (0, "")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    row = next(r for r in rows if r["dead_letter_id"] == str(letter.dead_letter_id))
    assert sha256(base64.b64decode(row["value"])).digest() == letter.sha256
    assert newest_act(chain)["verb"] == "export"
    assert olvido("dead-letters", "export", "--to", str(path)).returncode == 2
    told("dead-letters", "discard", str(letter.dead_letter_id), *WHY)


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("redrive",), 2, "--all"),
        (("redrive", "--all", "--cause", "EMPTY", *WHY), 2, "--all"),
        (("redrive", "--all"), 2, "--reason"),
        (("redrive", "--all", "--reason", "asked by ana@example.es"), 2, "--reason"),
        (("redrive", "--all", "--no-input", *WHY), 4, "--confirm all"),
        (("redrive", "--all", "--confirm", "none", *WHY), 4, "nothing was done"),
        (("redrive", "--all", "--rate", "fast", *WHY), 2, "--rate"),
        (("redrive", "--all", "--rate", "0", *WHY), 2, "--rate"),
        (("redrive", "--all", "--rate", "99999/s", *WHY), 2, "--rate"),
        (("redrive", "--all", "--limit", "0", *WHY), 2, "--limit"),
        (("redrive", "--all", "--past-limit", *WHY), 2, "--past-limit"),
        (("redrive", "--cause", "NO_SUCH", *WHY), 2, "--cause"),
        (("redrive", "--topic", "tasks.crn", *WHY), 2, "did you mean 'tasks.crm'"),
        (("redrive", "{x}", *WHY), 2, "UUID"),
        (("redrive", str(uuid4()), *WHY), 3, "olvido dead-letters list"),
        (("discard", str(uuid4()), *WHY), 3, "olvido dead-letters list"),
        (("discard",), 2, "--cause"),
        (("discard", "--cause", "EMPTY"), 2, "--reason"),
        (("list", "--state", "lost"), 2, "--state"),
        (("export", "--with-records"), 2, "--reason"),
    ],
)
def test_what_cannot_be_done_is_refused_with_the_fix_and_nothing_is_sent(chain, arguments, code, says):
    one = DeadLetter(
        dead_letter_id=UUID(int=77), group="g", topic=REQUESTS.name, partition=0, offset=10**9,
        cause=Cause.BAD_COUNT, field="", reason="", sha256=b"", size=0, attempts=1,
        failed_at=datetime.now(UTC), task_id=None, generation=0,
    )  # fmt: skip
    with chain.ledger.recording([]) as recording:
        recording.write_dead_letters([one])
    ends, act = end_offsets(chain.deployment.kafka, [REQUESTS.name]), newest_act_id(chain)
    done = olvido("dead-letters", *arguments)
    assert (done.returncode, says in done.stderr) == (code, True), done.stderr
    assert "Traceback" not in done.stderr
    assert end_offsets(chain.deployment.kafka, [REQUESTS.name]) == ends
    assert newest_act_id(chain) == act


def newest_act_id(chain):
    acts = Acts(Database(chain.deployment.ledger_dsn, application="tests")).newest(limit=1)
    return acts[0]["act_id"] if acts else None
