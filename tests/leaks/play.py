"""What people ask for, and all that goes wrong meanwhile."""

import json
import signal
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg2
from leaks.stage import TARGETS, Stage, fill
from sinks.shop import a_customer
from starlette.responses import Response

from olvido.broker.contract import Record
from olvido.broker.kafka import KafkaPublisher
from olvido.core.causes import Cause
from olvido.core.errors import Unavailable
from olvido.ledger.letters import KeptLetter, LetterSelection
from olvido.producers import Accepted, Producer
from olvido.producers.outbox import Outbox
from olvido.schemas.topics import REQUESTS
from shop.people import Person

REGIONS = ["cn", "sg"]
TRACE = "00-{:032x}-00f067aa0ba902b7-01"
STUBBORN = 20
WHY = ("--reason", "OPS-17")


def play(stage: Stage, people: Sequence[Person], poisoned: Sequence[Person], folder: Path) -> None:
    """Let everybody ask, with processes killed and parts down meanwhile; then look at it as operators do.

    Args:
        people: at least a hundred. Each goes through Olvido in one way or another.
        poisoned: somebody else. Others write them onto a topic, in clear, in what nobody can read.
        folder: where files may be left.
    """
    chain = stage.chain
    stubborn, rest = people[:STUBBORN], people[STUBBORN:]
    fill(
        stage,
        [(p.customer_id, p.email, p.phone, p.name, p.device_id, p.cookie_id) for p in people],
        [p.email for p in stubborn],
    )
    stage.marketing.customers += [
        a_customer(p.number, customer_no=p.customer_id, email=p.email, phone=p.phone) for p in people
    ]
    _echo(stage)
    with chain.producer() as producer:
        accepted = _ask(stage, producer, rest, folder)
        accepted += _refused_by_target(stage, producer, stubborn)
        _bad_arguments(stage, producer, rest[0])
    _poison(stage, poisoned)
    chain.until(
        lambda: not _owed(stage, accepted, parked=False), what="answers or dead letters", within_s=180
    )
    redriven = ("--cause", Cause.REFUSED_BY_TARGET.value, "--confirm", Cause.REFUSED_BY_TARGET.value)
    stage.command("dead-letters", "redrive", *redriven, *WHY)
    chain.until(lambda: not _owed(stage, accepted), what="every answer", within_s=120)
    _operate(stage, rest[0], folder)


def _ask(stage: Stage, producer: Producer, people: Sequence[Person], folder: Path) -> list[Accepted]:
    """Two thirds ask to be forgotten, the others something else; processes die in the middle of it."""
    chain = stage.chain
    now = datetime.now(UTC)
    erased, others = people[: len(people) * 2 // 3], people[len(people) * 2 // 3 :]
    accepted: list[Accepted] = []
    for number, person in enumerate(erased[:50]):  # one by one, each with a trace
        accepted.append(
            producer.request_erasure(
                identities=person.identities, regions=REGIONS, traceparent=TRACE.format(number + 1)
            )
        )
    with producer.batch() as batch:
        for person in erased[50:]:
            batch.request_erasure(identities=person.identities, regions=REGIONS)
        for number, person in enumerate(others):
            match number % 6:
                case 0:
                    batch.request(
                        right="OBJECT", identities=person.identities, regions=REGIONS, purposes=["marketing"]
                    )
                case 1:
                    batch.request(right="RESTRICT", identities=person.identities, regions=REGIONS)
                case 2:
                    batch.request(right="ACCESS", identities=person.identities, regions=REGIONS)
                case 3:
                    batch.grant_consent(
                        identities=person.identities,
                        purpose="marketing",
                        occurred_at=now - timedelta(hours=1),
                    )
                case 4:
                    batch.withdraw_consent(identities=person.identities, purpose="marketing", occurred_at=now)
                case 5:
                    batch.request_erasure(identities=person.identities, regions=REGIONS)
    accepted += batch.accepted
    chain.kill("processors", signal.SIGKILL)
    chain.kill("sink-crm", signal.SIGKILL)
    stage.targets.supervisor.restart("postgres")  # the sinks' statements end in the middle
    chain.kill("recorder", signal.SIGTERM)
    accepted += _verified(stage, erased[:20])
    _outbox(stage, erased[20:40], folder)
    chain.stack.supervisor.restart("postgres")
    return accepted


def _verified(stage: Stage, people: Sequence[Person]) -> list[Accepted]:
    """Some must prove who they are; of one, somebody else says so."""
    with stage.chain.producer() as producer, stage.chain.producer("verifier") as verifier:
        return [_proved(producer, verifier, person, people) for person in people]


def _proved(producer: Producer, verifier: Producer, person: Person, people: Sequence[Person]) -> Accepted:
    one = producer.request_erasure(
        identities=person.identities, regions=REGIONS, verification_required=True, request_id=uuid4()
    )
    proof = {"method": "email_link", "verified_at": datetime.now(UTC)}
    if person is people[-1]:
        verifier.verify(one.id, identities={"email": people[0].email}, **proof)
    verifier.verify(one.id, identities=person.identities, **proof)
    return one


def _outbox(stage: Stage, people: Sequence[Person], folder: Path) -> None:
    """An upstream service of its own database: only its outbox is looked at."""
    outbox = Outbox.of(stage.chain.deployment)
    with psycopg2.connect(stage.targets.environment[TARGETS[1]]) as upstream, upstream.cursor() as cursor:
        outbox.create_table(cursor)
        for person in people:
            outbox.request_erasure(cursor, identities=person.identities, regions=REGIONS)
        with (folder / "outbox").open("wb") as file:
            cursor.copy_expert("copy olvido_outbox to stdout", file)


def _refused_by_target(stage: Stage, producer: Producer, stubborn: Sequence[Person]) -> list[Accepted]:
    """The CRM's database refuses, and names them in message and detail; then some are given up."""
    chain = stage.chain
    accepted = [producer.request_erasure(identities=person.identities, regions=["cn"]) for person in stubborn]
    refused = LetterSelection(cause=Cause.REFUSED_BY_TARGET, topic="olvido.tasks.crm.v1")
    letters: list[KeptLetter] = []

    def all_refused() -> bool:
        with suppress(Unavailable):  # the ledger's server is still coming up
            letters[:] = chain.letters.newest(refused, limit=100)
        return len(letters) == len(stubborn)

    chain.until(all_refused, what="their dead letters", within_s=120)
    ids = [str(kept.letter.dead_letter_id) for kept in letters]
    stage.command("dead-letters", "show", ids[0])
    stage.command("dead-letters", "show", ids[0], "-o", "json")
    stage.command("dead-letters", "discard", ids[0], *WHY)
    person = stubborn[1]
    stage.command("dead-letters", "discard", ids[1], "--reason", f"for {person.email}")  # refused
    with psycopg2.connect(stage.targets.environment[TARGETS[0]]) as crm, crm.cursor() as cursor:
        cursor.execute("update customers set stubborn = false")
    stage.command("dead-letters", "redrive", *ids[1:], *WHY)
    return accepted


def _bad_arguments(stage: Stage, producer: Producer, person: Person) -> None:
    """Upstream's mistakes, whose errors stand in upstream's logs."""
    now = datetime.now(UTC)
    wrong: Sequence[tuple[Any, dict[str, Any]]] = [
        (producer.request_erasure, {"identities": {"email": f"{person.email} {person.phone}"}}),
        (producer.request_erasure, {"identities": {"phone": f"{person.phone}x{person.customer_id}"}}),
        (producer.request_erasure, {"identities": {person.email: person.email}}),
        (producer.request_erasure, {"identities": person.identities, "regions": [person.email]}),
        (producer.request_erasure, {"identities": person.identities, "request_id": person.customer_id}),
        (producer.request_erasure, {"identities": person.identities, "traceparent": person.email}),
        (producer.withdraw_consent,
         {"identities": person.identities, "purpose": person.email, "occurred_at": now}),
        (producer.verify,
         {"request_id": uuid4(), "identities": {"email": person.name}, "method": "x", "verified_at": now}),
    ]  # fmt: skip
    for call, arguments in wrong:
        stage.failing(lambda call=call, arguments=arguments: call(**arguments))
    erase = ("request", "erase", "--identities-from", "-")
    stage.command(*erase, given=json.dumps({"email": f"{person.email} "}) + person.phone)
    stage.command(*erase, given=json.dumps({"email": person.name, "phone": person.email}))
    stage.command(*erase, "--region", "mx", given=json.dumps(dict(person.identities)))


def _poison(stage: Stage, people: Sequence[Person]) -> None:
    """Somebody writes people in clear onto the topic of requests: as value, key and headers."""
    with KafkaPublisher(stage.chain.deployment.kafka, client_id="poison") as publisher:
        publisher.publish(
            [
                Record(
                    REQUESTS.name,
                    person.email.encode(),
                    (b"\x07", b"\0\0\0\0\1", b"\0\x7f\xff\xff\xff", b"")[number % 4]
                    + json.dumps({"name": person.name, **person.identities}).encode(),
                    ((person.phone, person.customer_id.encode()), ("ce_id", person.email.encode())),
                )
                for number, person in enumerate(people)
            ]
        )


def _echo(stage: Stage) -> None:
    """The marketing service fails now and then, and says to whom it happened."""
    answers = iter([500, 400, 200, 422, 503])

    def broken(path: str, body: Any) -> Response | None:
        status = next(answers, None) if body.get("tasks") else None
        return (
            None
            if status is None
            else Response(json.dumps(body), status_code=status, media_type="application/json")
        )

    stage.marketing.before = broken


def _owed(stage: Stage, accepted: Sequence[Accepted], *, parked: bool = True) -> bool:
    """Whether anybody still waits for an answer; without ``parked``, also for an operator."""
    ids = [str(one.id) for one in accepted]
    [(known, owed)] = stage.chain.sql(
        "ledger",
        "select count(distinct source_id), count(*) filter (where coalesce(outcome, 'deferred') = 'deferred' "
        "and (parked is null or %s)) from tasks where source_id = any(%s::uuid[])",
        (parked, ids),
    )
    return known < len(set(ids)) or owed > 0


def _operate(stage: Stage, person: Person, folder: Path) -> None:
    """Everything an operator can look at."""
    [(source,)] = stage.chain.sql("ledger", "select source_id from tasks where outcome is not null limit 1")
    for arguments in (
        ("status",), ("doctor",), ("audit",), ("requests", "list"), ("sinks", "list"), ("topics", "list"),
        ("dead-letters", "list"), ("dead-letters", "list", "--group-by", "cause"), ("dead-letters", "export"),
        ("requests", "show", str(source)), ("requests", "show", str(source), "--timeline"),
        ("topics", "tail", "requests", "--from", "1h"),
        ("topics", "tail", "tasks.crm", "--from", "1h", "-o", "jsonl"),
        ("topics", "tail", "dead-letters", "--from", "1h", "-o", "jsonl"),
        ("topics", "tail", "receipts", "--from", "1h"),
        ("replay", "plan", "--by-duration", "1h", "--name", "leaks"), ("replay", "show", "leaks"),
        ("replay", "run", "leaks", "--shadow"), ("config", "show", "--origin"),
        ("requests", "show", person.customer_id),
    ):  # fmt: skip
        stage.command(*arguments)
    for letter in stage.chain.letters.newest(state=None, limit=25):
        stage.command("dead-letters", "show", str(letter.letter.dead_letter_id), "-o", "json")
    stage.bundle(folder / "bundle.tar.gz")
    stage.look_at_pages()
