"""The story: what people say, and what goes wrong meanwhile. One act, one function."""

import hashlib
import os
import random
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar
from uuid import UUID

from uuid_utils.compat import uuid7

from demo.evidence import Kill, NewRow, Outage, Said, Story
from demo.promises import FLAGS, KINDS
from demo.services import Website, sign_up_for_mail, wait_for_marketing
from demo.watch import Reading, Watch
from olvido.broker.contract import Record
from olvido.broker.kafka import KafkaPublisher
from olvido.operators.local.shop import MARKETING
from olvido.operators.local.supervisor import Supervisor
from olvido.schemas.settings.deployment import KafkaSection
from olvido.schemas.topics import REQUESTS
from shop.people import SYSTEMS, Cast, Person
from shop.plan import Plan
from shop.systems import Snapshot, Systems

PROCESSORS = "processors"
DOWN = "marketing"  # the sink whose target is down from the start
CLOSED = ("crm", "store-sg")  # the sinks that do not run yet while people sign up again
KILLED = "store-cn"  # the sink that is killed

CHUNK = 16  # requests said at about the same time
PAUSE_S = 0.1  # between two chunks: people ask one after another
# Of what is to be said. Most is said before the processors are killed: their partitions are nobody's for
# 15 s then, and half of the work is to be done before the marketing service comes up.
FIRST_PART = 0.7
KILL_SINK_AFTER = 0.15
KILL_PROCESSORS_AFTER = 0.8
LOOK_S_MAX = 0.5  # for work to kill a process at; the next chunk brings another chance
LOOK_S = 0.005
READY_S_MAX = 60.0
DONE_S_MAX = 150.0
# A magic byte, a schema id that nobody has, and then nothing that would make sense.
GARBAGE = b"\0\xff\xff\xff\xfe" + "¿qué es esto? 什么？".encode()

Tell = Callable[[str], None]
T = TypeVar("T")


@dataclass(slots=True)
class Stage:
    """What the acts need, and what they leave behind."""

    cast: Cast
    plan: Plan
    systems: Systems
    before: Mapping[str, Snapshot]
    website: Website
    supervisor: Supervisor
    watch: Watch
    kafka: KafkaSection
    marketing_port: int
    tell: Tell
    chance: random.Random
    asked: dict[UUID, Person] = field(default_factory=dict)
    repeated: set[UUID] = field(default_factory=set)
    consents: list[Said] = field(default_factory=list)
    new_rows: list[NewRow] = field(default_factory=list)
    kills: list[Kill] = field(default_factory=list)
    outage: Outage | None = None

    def story(self) -> Story:
        """What was said and done, as the promises are judged by it."""
        return Story(
            cast=self.cast,
            plan=self.plan,
            before=self.before,
            asked=dict(self.asked),
            repeated=frozenset(self.repeated),
            consents=tuple(self.consents),
            garbage_sha256=hashlib.sha256(GARBAGE).digest(),
            new_rows=tuple(self.new_rows),
            kills=tuple(self.kills),
            outage=self.outage,
        )


def tasks_expected(cast: Cast) -> int:
    """How many tasks the whole story makes."""
    erasures = sum(bool(KINDS[sink] & cast.asks_with(p).keys()) for p in cast.leaving for sink in SYSTEMS)
    consents = sum(len(FLAGS[purpose]) * _WORDS[purpose] for _ in cast.consenting for purpose in _WORDS)
    return erasures + consents


def play(stage: Stage) -> None:
    """Play all acts; what remains is to wait for the end, with finish().

    Raises:
        TooSlow: something did not happen in time; the message says what.
    """
    come_back_before_the_task_arrives(stage)
    change_their_minds(stage)
    send_garbage(stage)
    people = [person for person in stage.cast.leaving if person not in stage.cast.resigned]
    stage.chance.shuffle(people)
    first = int(len(people) * FIRST_PART)
    stage.tell(f"{len(people)} more ask to be forgotten; {DOWN} is down since the beginning")
    ask_and_be_interrupted(stage, people, 0, first)
    let_marketing_come_up(stage)
    ask_and_be_interrupted(stage, people, first, len(people))
    doubt_and_ask_again(stage)


def come_back_before_the_task_arrives(stage: Stage) -> None:
    """Some ask to be forgotten while two sinks do not run, and sign up again at once."""
    ask(stage, stage.cast.resigned)
    for person in stage.cast.resigned:
        sign_up_again(stage, person)
    stage.tell(
        f"{len(stage.cast.resigned)} people ask to be forgotten while {' and '.join(CLOSED)} do not run yet, "
        "and sign up again before the tasks arrive"
    )
    stage.watch.wait_until(
        lambda seen: seen.requests == len(stage.cast.resigned),
        what="requests are planned",
        within_s=READY_S_MAX,
    )
    for sink in CLOSED:
        stage.supervisor.start(f"sink-{sink}")


def change_their_minds(stage: Stage) -> None:
    """People grant and withdraw consents, and the changes arrive in another order than they were made."""
    stage.consents = consents_of(stage.cast, stage.chance)
    stage.chance.shuffle(stage.consents)
    for chunk in _chunks(stage.consents, CHUNK * 4):
        stage.website.say([_consent(said) for said in chunk])
    people = len(stage.cast.consenting)
    stage.tell(
        f"{people} people change their minds {len(stage.consents)} times; the changes arrive in any order"
    )


def send_garbage(stage: Stage) -> None:
    """An old program sends what nobody can read."""
    with KafkaPublisher(stage.kafka, client_id="old-program") as publisher:
        publisher.publish([Record(REQUESTS.name, b"nobody", GARBAGE)])
    stage.tell("An old program sends a record that nobody can read")


def ask_and_be_interrupted(stage: Stage, people: Sequence[Person], start: int, stop: int) -> None:
    """Some of these people ask; meanwhile a sink and the processors are killed."""
    for at in range(start, stop, CHUNK):
        ask(stage, people[at : min(at + CHUNK, stop)])
        share = (at + CHUNK) / len(people)
        if share >= KILL_PROCESSORS_AFTER:
            kill_once(stage, PROCESSORS, waiting=lambda seen: len(stage.asked) - seen.requests)
        elif share >= KILL_SINK_AFTER:
            kill_once(stage, f"sink-{KILLED}", waiting=lambda seen: seen.sink(KILLED).waiting)
        time.sleep(PAUSE_S)


def doubt_and_ask_again(stage: Stage) -> None:
    """The website is not sure that it was heard, and says some requests once more, under the same ids."""
    again = {
        request_id: person
        for request_id, person in stage.asked.items()
        if person.number in stage.cast.repeated
    }
    stage.website.say([_erasure(stage, request_id, person) for request_id, person in again.items()])
    stage.repeated |= again.keys()
    stage.tell(f"{len(again)} requests are sent a second time")


def let_marketing_come_up(stage: Stage) -> None:
    """Half-way, the target that was down comes up; who signed up again elsewhere does so there."""
    owed = (tasks_expected(stage.cast) * (len(SYSTEMS) - 1)) // len(SYSTEMS)
    seen = stage.watch.wait_until(
        lambda seen: _others_answered(seen) * 2 >= owed, what="half of the work is done", within_s=DONE_S_MAX
    )
    stage.outage = Outage(
        sink=DOWN,
        answered=seen.sink(DOWN).answered,
        answered_by_others=_others_answered(seen),
        owed_to_others=owed,
    )
    stage.supervisor.start(MARKETING)
    wait_for_marketing(stage.marketing_port)
    for person in stage.cast.resigned:
        key = sign_up_for_mail(stage.marketing_port, person)
        content = stage.systems.marketing.snapshot()["contacts"][key]
        stage.new_rows.append(
            NewRow(
                person=person, system=DOWN, table="contacts", key=key, content=content,
                written_at=datetime.now(UTC),
            )
        )  # fmt: skip
    stage.tell(f"{DOWN} comes up, after {_others_answered(seen):,} receipts of the others")


def finish(stage: Stage) -> Story:
    """Wait until every request is final and every consent change is answered.

    Raises:
        TooSlow: not all are, after a long time.
    """
    expected = tasks_expected(stage.cast)
    stage.watch.wait_until(
        lambda seen: (
            seen.finished == len(stage.asked) and seen.answered >= expected and seen.dead_letters > 0
        ),
        what="every request is final",
        within_s=DONE_S_MAX,
    )
    processes = stage.supervisor.status()
    stage.kills = [replace(kill, pid_after=processes[kill.program].pid) for kill in stage.kills]
    return stage.story()


def ask(stage: Stage, people: Sequence[Person]) -> None:
    """People ask to be forgotten, each under an id of their own."""
    ids = {uuid7(): person for person in people}
    stage.website.say([_erasure(stage, request_id, person) for request_id, person in ids.items()])
    stage.asked |= ids


def sign_up_again(stage: Stage, person: Person) -> None:
    """A new account at the CRM and a store: a new customer number, the same address and phone."""
    number = f"C-N{person.number:07d}"
    common = {"name": person.name, "email": person.email, "phone": person.phone}
    crm, store = stage.systems.crm, stage.systems.store_sg
    written = (
        (crm, "customers", crm.add("customers", common | {"customer_no": number, "locale": person.locale})),
        (store, "accounts", store.add("accounts", common | {"customer_id": number})),
    )
    stage.new_rows += [
        NewRow(
            person=person,
            system=system.name,
            table=table,
            key=key,
            content=system.row(table, key),
            written_at=datetime.now(UTC),
        )
        for system, table, key in written
    ]


def kill_once(stage: Stage, program: str, *, waiting: Callable[[Reading], int]) -> None:
    """SIGKILL a process as soon as it has work, if it was not killed before; if it has none, do nothing."""
    if any(kill.program == program for kill in stage.kills):
        return
    pid = stage.supervisor.status()[program].pid
    give_up_at = time.monotonic() + LOOK_S_MAX
    while (work := waiting(stage.watch.look())) <= 0 and time.monotonic() < give_up_at:
        time.sleep(LOOK_S)
    if work <= 0 or pid is None:
        return
    os.kill(pid, signal.SIGKILL)
    stage.kills.append(Kill(program=program, pid=pid, waiting=work))
    stage.tell(f"SIGKILL to {program} (pid {pid}), which had {work} to do")


_WORDS = {"marketing": 3, "analytics": 2}  # how often each person changes their mind about it


def consents_of(cast: Cast, chance: random.Random) -> list[Said]:
    """What people say of their consents, in the order in which they say it."""
    began_at = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=2)
    said = []
    for person in cast.consenting:
        for purpose, words in _WORDS.items():
            granted = chance.random() < 0.5
            for word in range(words):
                # Now and then two words in one instant: then the withdrawal stands.
                at_once = word == words - 1 and person.number % 4 == 0
                minutes = word - 1 if at_once else word
                granted = not granted
                said.append(
                    Said(
                        event_id=UUID(int=chance.getrandbits(128), version=4),
                        person=person,
                        purpose=purpose,
                        granted=granted,
                        occurred_at=began_at + timedelta(minutes=minutes, seconds=person.number % 60),
                    )
                )
    return said


def _erasure(stage: Stage, request_id: UUID, person: Person) -> Mapping[str, object]:
    return {"say": "erase", "request_id": str(request_id), "identities": dict(stage.cast.asks_with(person))}


def _consent(said: Said) -> Mapping[str, object]:
    kinds = (
        ("customer_id", "email") if said.purpose == "marketing" else ("customer_id", "device_id", "cookie_id")
    )
    return {
        "say": "grant" if said.granted else "withdraw",
        "event_id": str(said.event_id),
        "purpose": said.purpose,
        "occurred_at": said.occurred_at.isoformat(),
        "identities": {kind: said.person.identities[kind] for kind in kinds},
    }


def _others_answered(seen: Reading) -> int:
    return sum(sink.answered for name, sink in seen.sinks.items() if name != DOWN)


def _chunks(things: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(things), size):
        yield things[start : start + size]
