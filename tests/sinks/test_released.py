"""What is above a sink's limit waits at the brake, and is done once two people have released it."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import psycopg2
import pytest
from emptied import MigratedDatabase
from emptied import database as a_database
from key_files import KeyFiles, principals_of
from processors.town import Town, an_act
from schemas.codecs import MemoryRegistry
from sinks.shop import a_customer, a_handle, identities
from sinks.targets import Target
from values import CATALOGUE, an_erasure, an_id, received

from olvido.broker.contract import Record
from olvido.core.acts import Verb
from olvido.core.brake import HeldDecision
from olvido.core.events import PrivacyRequest
from olvido.core.tasks import Task
from olvido.ledger import schema
from olvido.ledger.brake import Brake
from olvido.ledger.connection import Database
from olvido.ledger.letters import Letters
from olvido.processors.handlers.recorded import RecordedHandler
from olvido.schemas.codec import dead_letters_codec, receipts_codec, tasks_codec
from olvido.schemas.privacy.principal_keys import Signer, revoke_signing_key
from olvido.schemas.topics import sink_group, tasks_topic, topics_of
from olvido.sinks.runner import SinkRunner
from olvido.sinks.tables.limits import ErasureLimits
from olvido.sinks.tables.sink import TableSink

ANA = identities(customer_id="C-1")


@dataclass
class Loop:
    """Processors, a sink and the recorder, with a real ledger, real keys and a real target."""

    town: Town
    keys: KeyFiles
    sink: TableSink
    dsn: str
    published: list[Record] = field(default_factory=list)

    def __post_init__(self) -> None:
        principals, registry = principals_of(CATALOGUE), self.town.registry
        for name in ("producer", "sink-crm", "desk"):
            self.keys.signing_file(name)
        self.town.seals = self.control = self.keys.control_seals(principals)
        self.tasks = tasks_codec(registry, "crm")
        self.runner = SinkRunner(
            self.sink,
            name="crm",
            opener=self.keys.opener("cn"),
            seals=self.keys.seals(principals),
            sealer=self.keys.sealer("sink-crm", now=self.town.now),
            tasks=self.tasks,
            receipts=receipts_codec(registry),
            dead_letters=dead_letters_codec(registry),
            publisher=self,
            group=sink_group("crm"),
            source="tests",
            clock=self.town.clock,
        )
        self.brake = Brake(Database(self.dsn, application="tests"))
        self.desk = Signer.load(self.keys.signing_file("desk"))

    def publish(self, records: list[Record]) -> None:
        self.published.extend(records)

    def ask(self) -> list[Task]:
        """Ask for Ana's erasure; the tasks of the crm."""
        handles = tuple(a_handle(one) for one in ANA)
        request = PrivacyRequest(
            request_id=an_id(1), right=an_erasure().right, subject_id=handles[0].value, handles=handles,
            regions=("cn",), boxes=(), purposes=(), requested_at=self.town.now,
            verification_required=False, verified=None,
        )  # fmt: skip
        return self.town.ask(self.keys.sealer(now=self.town.now).sealed_source(request, ANA))

    def carry_out(self, tasks: list[Task]) -> None:
        """Have the sink do its tasks, and what it answers recorded."""
        self.town.now = datetime.now(UTC)  # targets have a clock of their own
        offsets = self.town.offsets
        self.runner(
            [
                received(
                    next(offsets), topic=tasks_topic("crm").name, key=task.subject_id.encode(),
                    value=self.tasks.encode(task),
                )
                for task in tasks
            ]
        )  # fmt: skip
        answered, self.published = self.published, []
        handle = RecordedHandler(
            self.town.registry, self.town.ledger, self.town.emission(), self.control, clock=self.town.clock
        )
        handle([received(next(offsets), topic=one.topic, key=one.key, value=one.value) for one in answered])

    def sent_again(self) -> list[Task]:
        """What the reconciler sends."""
        before = len(self.town.sent.records)
        self.town.reconciler().run_once()
        return self.town.tasks(before)

    def decide(self, who: str, decision: HeldDecision = HeldDecision.RELEASE, **which: object) -> list[UUID]:
        """Have somebody decide; the dead letters that are to be answered."""
        act = replace(an_act(Verb.RELEASE, self.town.now), who=who)
        return list(self.brake.decide(act, decision, release=self.desk.release, **which).given_up)

    def held(self) -> list[tuple[str, str]]:
        return [(one["sink"], one["held_for"]) for one in self.brake.held(limit=10)]

    def state(self) -> str:
        return self.town.ledger.figures.request(an_id(1))["state"]


@pytest.fixture(scope="module")
def ledger_database(postgres: str) -> Iterator[MigratedDatabase]:
    """The ledger beside the targets: no broker is needed here."""
    with a_database(postgres, "ledger") as dsn:
        yield MigratedDatabase(dsn, schema.migrate)


@pytest.fixture(scope="module")
def registry() -> MemoryRegistry:
    """One in memory."""
    made = MemoryRegistry("released")
    for topic in topics_of(CATALOGUE):
        made.register(topic.subject, topic.schema)
    return made


@pytest.fixture
def loop(registry, ledger, ledger_dsn: str, tables_target: Target, tmp_path: Path) -> Loop:
    """In each kind of database a customer of whom more is there than one erasure may take."""
    tables_target.add("customers", a_customer(1))
    tables_target.add("contacts", {"id": 1, "customer_id": 1, "note": "n"})
    sink = tables_target.sink()
    sink._limits = ErasureLimits(rows_max=1)
    loop = Loop(Town(registry, ledger_dsn, now=datetime.now(UTC)), KeyFiles(tmp_path), sink, ledger_dsn)
    loop.carry_out(loop.ask())
    assert loop.held() == [("crm", "rows_max")]
    assert len(tables_target.rows("contacts")) == 1
    return loop


def test_two_people_release_it_and_the_sink_does_it(loop: Loop, tables_target: Target) -> None:
    for _ in range(2):
        loop.decide("ana@ops")
        assert loop.sent_again() == []
    loop.decide("bo@ops", ids=[an_id(1)])
    assert loop.held() == []
    [task] = loop.sent_again()
    assert task.release is not None
    loop.carry_out([task])
    assert loop.state() == "fulfilled"
    assert tables_target.rows("contacts") == []
    loop.sink.close()


@pytest.fixture
def one(registry, ledger, ledger_dsn: str, sqlite_target: Target, tmp_path: Path) -> Loop:
    """The same in one kind of database."""
    sqlite_target.add("customers", a_customer(1), a_customer(2))
    sqlite_target.add("contacts", {"id": 1, "customer_id": 1, "note": "n"})
    sink = sqlite_target.sink()
    sink._limits = ErasureLimits(rows_max=1)
    loop = Loop(Town(registry, ledger_dsn, now=datetime.now(UTC)), KeyFiles(tmp_path), sink, ledger_dsn)
    loop.carry_out(loop.ask())
    return loop


def test_what_two_people_discard_is_named_until_it_is_answered(one: Loop) -> None:
    """The second person may be cut short before the task is answered, and repeats it then."""
    assert one.decide("ana@ops", HeldDecision.DISCARD, sink="crm") == []
    letters = Letters(one.town.ledger.database)
    expected = [kept.letter.dead_letter_id for kept in letters.newest()]
    assert len(expected) == 1
    for _ in range(2):
        assert one.decide("bo@ops", HeldDecision.DISCARD, sink="crm") == expected
    assert one.sent_again() == []
    assert one.held() == [("crm", "rows_max")]


def test_a_release_counts_for_no_other_sink_asker_or_request(one: Loop) -> None:
    for who in ("ana@ops", "bo@ops"):
        for which in ({"sink": "marketing"}, {"asked_by": "other"}, {"ids": [an_id(2)]}):
            one.decide(who, **which)
    assert one.held() == [("crm", "rows_max")]


def test_a_release_that_the_desk_did_not_sign_or_that_is_of_another_task_lets_nothing_pass(
    one: Loop, sqlite_target: Target
) -> None:
    [task] = one.ask() or one.town.tasks()[:1]
    desk, producer = one.desk, Signer.load(one.keys.signing_file("producer"))
    good = desk.release(task.task_id, task.generation)
    forged = [
        producer.release(task.task_id, task.generation),
        replace(producer.release(task.task_id, task.generation), principal="desk"),
        desk.release(task.task_id, task.generation + 1),
        desk.release(an_id(9), task.generation),
        replace(good, signature=good.signature[:-1] + bytes([good.signature[-1] ^ 1])),
        replace(good, signature=b""),
        replace(good, principal="nobody"),
    ]
    for release in forged:
        one.carry_out([replace(task, release=release)])
    revoke_signing_key("desk", good.key_id, public_dir=one.keys.public, at=datetime.now(UTC))
    fresh = one.keys.seals(principals_of(CATALOGUE))
    assert not fresh.is_released(replace(task, release=good))
    assert len(sqlite_target.rows("contacts")) == 1


def test_what_is_refused_again_is_held_again_and_nobody_has_decided(one: Loop) -> None:
    one.decide("ana@ops")
    one.decide("bo@ops")
    [task] = one.sent_again()
    one.carry_out([replace(task, release=None)])  # such as an older copy of it
    assert one.held() == [("crm", "rows_max")]
    assert one.sent_again() == []
    with psycopg2.connect(one.dsn) as connection, connection.cursor() as cursor:
        cursor.execute("select proposal, signature from held_tasks")
        assert cursor.fetchall() == [(None, None)]
