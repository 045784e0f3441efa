"""No handler and no timer is ended by one row that it cannot read: all that there are get one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import psycopg2
import pytest
from key_files import UNSIGNED
from processors.town import MINUTE, Town
from simulation.registry_twin import RegistryTwin
from values import CATALOGUE, NOW, a_change, a_receipt, a_verification, an_erasure, received

from olvido.broker.contract import Handler, Received
from olvido.broker.reading import dead_letter_of
from olvido.core.causes import Cause
from olvido.core.dead_letters import DeadLetter
from olvido.core.errors import Refused
from olvido.core.events import ConsentChange, PrivacyRequest
from olvido.core.lifecycle import RequestState
from olvido.core.looks import LaterLook, LookResult, NotVerified, look_of
from olvido.core.tasks import Task
from olvido.ledger.rows import About
from olvido.processors.handlers.recorded import RecordedHandler
from olvido.processors.observer import Observer
from olvido.processors.parts import utc_now, work_of
from olvido.processors.publication import GIVEN_UP_AFTER
from olvido.processors.recorder import RECORDED
from olvido.schemas import codec as codecs
from olvido.schemas.codec import Codec
from olvido.schemas.registry import Registry
from olvido.schemas.settings.deployment import Deployment, KafkaSection
from olvido.schemas.topics import (
    CONSENTS,
    DEAD_LETTERS,
    LOOKS,
    RECEIPTS,
    RECORDER_GROUP,
    REQUESTS,
    VERIFICATIONS,
    Topic,
    topics_of,
)

HOUR = timedelta(hours=1)

# What one row may hold that nobody can read: it is damaged, or a newer version wrote it. One statement each.
_EVENTS = "update events set event = {} where source_id = any(%s::uuid[])"
DAMAGES = {
    "an event that is cut": _EVENTS.format("substr(event, 1, 40)"),
    "an event of a lost registry": _EVENTS.format("'\\x0000126700'"),
    "an event that is empty": _EVENTS.format("''"),
    "no event": "delete from events where source_id = any(%s::uuid[])",
    "a state": "update requests set state = 'newer' where request_id = any(%s::uuid[])",
    "a right": "update requests set right_ = 'NEWER' where request_id = any(%s::uuid[])",
    "an action": "update tasks set action = 'NEWER' where source_id = any(%s::uuid[])",
    "an outcome": "update tasks set outcome = 'newer' where source_id = any(%s::uuid[])",
    "a cause": "update tasks set parked = 'NEWER' where source_id = any(%s::uuid[])",
    "a decision": "update consents set decision = 'NEWER' where event_id = any(%s::uuid[])",
    "a kind of operation": "update operations set kind = 'newer' where %s is not null",
}


@pytest.fixture
def town(ledger_dsn: str) -> Town:
    return Town(RegistryTwin(topics_of(CATALOGUE)), ledger_dsn)


@pytest.fixture
def work(town: Town, kafka_section: KafkaSection, registry: Registry, deployment: Deployment):
    """Every handler by its topic, and every timer: of the processors, the recorder and the figures."""
    declared = deployment.model_copy(update={"kafka": kafka_section})
    parts: Any = SimpleNamespace(
        deployment=declared, catalogue=CATALOGUE, registry=town.registry, ledger=town.ledger,
        publisher=town.sent, emission=town.emission(), first_after=MINUTE,
        seals=UNSIGNED, sealer=SimpleNamespace(sealed=lambda receipt: receipt),
    )  # fmt: skip
    handlers, timers = work_of(parts)
    recorder = RecordedHandler(town.registry, town.ledger, town.emission(), UNSIGNED, clock=utc_now)
    figures = Observer(declared, town.ledger.database)
    return (
        {**handlers, **dict.fromkeys([topic.name for topic in RECORDED], recorder)},
        {timer.name: timer.act for timer in timers} | {"figures": figures.ledger},
    )


def run(town: Town, statement: str, *values: object) -> int:
    with psycopg2.connect(town.dsn) as connection, connection.cursor() as cursor:
        cursor.execute(statement, values)
        changed = cursor.rowcount
    connection.close()
    return changed


@dataclass(frozen=True)
class Asked:
    """A request, a consent change and a request that waits for its verification, of people of their own."""

    number: int

    @property
    def request(self) -> PrivacyRequest:
        return an_erasure(100 + self.number, person=100 + self.number)

    @property
    def change(self) -> ConsentChange:
        return a_change(200 + self.number, person=200 + self.number)

    @property
    def waiting(self) -> PrivacyRequest:
        return replace(an_erasure(300 + self.number, person=300 + self.number), verification_required=True)

    @property
    def ids(self) -> list[str]:
        return [str(self.request.request_id), str(self.change.event_id), str(self.waiting.request_id)]


GOOD, *BROKEN = [Asked(number) for number in range(len(DAMAGES) + 1)]


def records(town: Town, tasks: Sequence[Task]) -> dict[str, list[Received]]:
    """Of each topic records about what cannot be read, and the last of them about what can."""
    registry, everybody = town.registry, [*BROKEN, GOOD]
    found_again = [
        NotVerified(request_id=one.request.request_id, generation=0, result=LookResult.FOUND_AGAIN)
        for one in BROKEN
    ]
    look = look_of("crm", HOUR, [NOW], NOW + HOUR, looked=20, forgotten=0, not_verified=found_again)
    of_crm = [task for task in tasks if task.sink == "crm" and task.source_id != GOOD.request.request_id]
    answers = [*map(a_receipt, tasks)]
    letters = [
        dead_letter_of(received(number), Refused(Cause.TOO_SLOW), group=RECORDER_GROUP, now=NOW,
                       task_id=task.task_id, source_id=task.source_id)
        for number, task in enumerate(of_crm)
    ]  # fmt: skip
    values: dict[Topic, tuple[Codec, list[Any]]] = {
        REQUESTS: (codecs.requests_codec(registry), [one.request for one in everybody]),
        CONSENTS: (codecs.consents_codec(registry), [one.change for one in everybody]),
        VERIFICATIONS: (
            codecs.verifications_codec(registry),
            [a_verification(one.waiting, 900 + one.number) for one in everybody],
        ),
        RECEIPTS: (codecs.receipts_codec(registry), answers),
        LOOKS: (codecs.looks_codec(registry), [look]),
        DEAD_LETTERS: (codecs.dead_letters_codec(registry), letters),
    }
    return {
        topic.name: [
            received(
                next(town.offsets), topic=topic.name, key=key_of(value).encode(), value=codec.encode(value)
            )
            for value in of_topic
        ]
        for topic, (codec, of_topic) in values.items()
    }


def key_of(value: Any) -> str:
    match value:
        case DeadLetter():
            return str(value.dead_letter_id)
        case LaterLook():
            return value.sink
        case _:
            return str(value.subject_id)


def state(town: Town, request) -> RequestState:
    known, _, _ = town.ledger.requests.known([request.request_id])
    return known[request.request_id].state


def test_one_row_that_cannot_be_read_ends_no_handler_and_no_timer(
    town: Town, work: tuple[dict[str, Handler], dict[str, Callable[[], object]]]
):
    handlers, timers = work
    asked = [event for one in (*BROKEN, GOOD) for event in (one.request, one.change, one.waiting)]
    tasks = town.ask(*asked)
    town.declare("crm", since=NOW - MINUTE)
    given = records(town, tasks)
    assert set(given) == set(handlers), "give the new handler a record about a row that cannot be read"
    about = About(request_ids=[one.request.request_id for one in (*BROKEN, GOOD)])
    town.ledger.publications.begin(about)
    run(town, "update publications set begun_at = now() - %s", 2 * GIVEN_UP_AFTER)
    run(town, "update tasks set due_at = now() - interval '1 day'")
    for one, (what, damage) in zip(BROKEN, DAMAGES.items(), strict=True):
        assert run(town, damage, one.ids) > 0, what
    for act in timers.values():
        act()
    for topic, handler in handlers.items():
        handler(given[topic])
    for act in timers.values():
        act()
    answered = "select from tasks where source_id = %s and generation = 0 and outcome = 'erased'"
    assert run(town, answered, str(GOOD.request.request_id)) == 2
    assert state(town, GOOD.waiting) is RequestState.IN_PROGRESS
