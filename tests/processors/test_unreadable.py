"""One stored event that nobody can read ends no handler and no timer, and holds up nobody."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from itertools import count
from pathlib import Path

import psycopg2
import pytest
from key_files import UNSIGNED
from processors.town import MINUTE, Town, an_act
from simulation.registry_twin import RegistryTwin
from values import CATALOGUE, NOW, a_change, a_verification, an_erasure, an_id, received

from olvido.broker.contract import Received
from olvido.core.acts import Verb
from olvido.core.causes import Cause
from olvido.core.lifecycle import RequestState
from olvido.core.outcomes import Outcome
from olvido.operators.desk.backfill import Backfill
from olvido.processors import requests, stored
from olvido.processors.handlers.verifications import VerificationsHandler
from olvido.processors.publication import Publication
from olvido.schemas.codec import consents_codec, dead_letters_codec, receipts_codec, requests_codec
from olvido.schemas.registry import Registry
from olvido.schemas.topics import REQUESTS, topics_of

BROKEN, GOOD = an_erasure(1), an_erasure(2)
BROKEN_CHANGE, GOOD_CHANGE = a_change(11, person=3), a_change(12, person=4)
WAITING = [replace(an_erasure(number), verification_required=True) for number in (21, 22)]

ADS = replace(CATALOGUE.sinks[1], name="ads")
WITH_ADS = replace(CATALOGUE, sinks=(*CATALOGUE.sinks, ADS))

Damage = Callable[[Registry, bytes], bytes]


def cut(_registry: Registry, event: bytes) -> bytes:
    """The last byte is gone."""
    return event[:-1]


def of_a_rebuilt_registry(_registry: Registry, event: bytes) -> bytes:
    """Kept by an earlier version, under an id that the registry does not give any more."""
    return b"\0" + (4711).to_bytes(4, "big") + event[10:]


def of_a_newer_version(_registry: Registry, event: bytes) -> bytes:
    """Under the fingerprint of a schema that does not ship with this version."""
    return event[:2] + b"8 bytes." + event[10:]


def of_another_topic(registry: Registry, _event: bytes) -> bytes:
    """A whole record, of a receipt: an id that was used twice."""
    codec = receipts_codec(registry)
    return b"\0" + codec._id.to_bytes(4, "big") + b"anything"


EVERY_DAMAGE = pytest.mark.parametrize(
    "damage", [cut, of_a_rebuilt_registry, of_a_newer_version, of_another_topic]
)


@pytest.fixture
def town(ledger_dsn: str) -> Town:
    return Town(RegistryTwin(topics_of(WITH_ADS)), ledger_dsn)


def spoil(town: Town, damage: Damage, *ids) -> None:
    """Damage the stored events of some sources."""
    with psycopg2.connect(town.dsn) as connection, connection.cursor() as cursor:
        for source_id in ids:
            cursor.execute("select event from events where source_id = %s", (str(source_id),))
            [(event,)] = cursor.fetchall()
            broken = damage(town.registry, bytes(event))
            cursor.execute("update events set event = %s where source_id = %s", (broken, str(source_id)))
    connection.close()


def forget(town: Town, source_id) -> None:
    """Delete a stored event."""
    with psycopg2.connect(town.dsn) as connection, connection.cursor() as cursor:
        cursor.execute("delete from events where source_id = %s", (str(source_id),))
    connection.close()


def a_handler(town: Town) -> VerificationsHandler:
    return VerificationsHandler(
        town.registry,
        town.ledger,
        town.emission(),
        CATALOGUE,
        UNSIGNED,
        clock=town.clock,
        due_after=MINUTE,
    )


def verified(handler: VerificationsHandler) -> list[Received]:
    """The verifications of the requests that wait, as one batch."""
    return [
        received(
            number, topic=handler.codec.topic.name, key=request.subject_id.encode(),
            value=handler.codec.encode(a_verification(request, 900 + number)),
        )
        for number, request in enumerate(WAITING)
    ]  # fmt: skip


def letters(town: Town):
    codec = dead_letters_codec(town.registry)
    return [codec.decode(one.value) for one in town.sent.records if one.topic == codec.topic.name]


def receipts(town: Town):
    codec = receipts_codec(town.registry)
    return [codec.decode(one.value) for one in town.sent.records if one.topic == codec.topic.name]


def state(town: Town, request) -> RequestState:
    known, _, _ = town.ledger.requests.known([request.request_id])
    return known[request.request_id].state


@EVERY_DAMAGE
def test_the_reconciler_answers_its_tasks_as_failed_and_sends_everybody_elses(town: Town, damage: Damage):
    town.ask(BROKEN, GOOD, BROKEN_CHANGE, GOOD_CHANGE)
    spoil(town, damage, BROKEN.request_id, BROKEN_CHANGE.event_id)
    before = len(town.sent.records)
    town.now += 2 * MINUTE
    # One at a time: the damaged ones are first in the queue.
    town.reconciler().run_once(limit=1)
    resent = {task.source_id for task in town.tasks(before)}
    assert resent == {GOOD.request_id, GOOD_CHANGE.event_id}
    answered = receipts(town)
    assert {one.request_id or one.event_id for one in answered} == {
        BROKEN.request_id, BROKEN_CHANGE.event_id,
    }  # fmt: skip
    assert {one.outcome for one in answered} == {Outcome.FAILED}
    assert all(one.detail.startswith("unreadable: ") for one in answered)
    town.record(answered)
    assert state(town, BROKEN) is RequestState.UNFULFILLED
    assert state(town, GOOD) is RequestState.IN_PROGRESS
    town.now += timedelta(days=2)
    again = len(receipts(town))
    town.reconciler().run_once()
    assert len(receipts(town)) == again  # it is answered once


@EVERY_DAMAGE
def test_a_restore_goes_on_past_it(town: Town, damage: Damage):
    town.answer(town.ask(BROKEN, GOOD))
    spoil(town, damage, BROKEN.request_id)
    town.declare("crm", since=NOW - MINUTE)
    before = len(town.sent.records)
    town.reconciler().run_once()
    assert [(task.source_id, task.sink) for task in town.tasks(before)] == [(GOOD.request_id, "crm")]
    assert [(one.request_id, one.outcome) for one in receipts(town)] == [(BROKEN.request_id, Outcome.FAILED)]


@EVERY_DAMAGE
def test_a_backfill_goes_on_past_it(town: Town, damage: Damage):
    town.answer(town.ask(BROKEN, GOOD))
    spoil(town, damage, BROKEN.request_id)
    operation = town.backfills.join(
        an_act(Verb.BACKFILL, town.now), operation_id=an_id(700), name="b1", sink="ads",
        purposes=["marketing"],
    )  # fmt: skip
    list(Backfill(town.registry, town.backfills, WITH_ADS, operation, clock=town.clock).run())
    town.catalogue = WITH_ADS
    before = len(town.sent.records)
    town.reconciler().run_once()
    assert [(task.source_id, task.sink) for task in town.tasks(before)] == [(GOOD.request_id, "ads")]
    assert [(one.request_id, one.outcome) for one in receipts(town)] == [(BROKEN.request_id, Outcome.FAILED)]


@EVERY_DAMAGE
def test_a_verification_of_it_is_kept_and_the_others_of_its_batch_are_handled(town: Town, damage: Damage):
    town.ask(*WAITING)
    broken, good = WAITING
    spoil(town, damage, broken.request_id)
    handler = a_handler(town)
    handler(verified(handler))
    assert {task.source_id for task in town.tasks()} == {good.request_id}
    assert state(town, broken) is RequestState.IDENTITY_PENDING
    [letter] = letters(town)
    assert (letter.topic, letter.source_id) == (REQUESTS.name, broken.request_id)
    # It can be read again: the next look starts it, for the verification was kept.
    spoil(town, lambda registry, _: requests_codec(registry).encode(broken), broken.request_id)
    assert handler.release_crossed() == 1
    assert {task.source_id for task in town.tasks()} == {broken.request_id, good.request_id}


def test_a_verification_of_a_request_whose_event_is_gone_is_kept_as_well(town: Town):
    town.ask(*WAITING)
    broken, good = WAITING
    forget(town, broken.request_id)
    handler = a_handler(town)
    handler(verified(handler))
    assert {task.source_id for task in town.tasks()} == {good.request_id}
    assert [letter.cause for letter in letters(town)] == [Cause.NULL_VALUE]


@EVERY_DAMAGE
def test_it_does_not_stand_before_the_requests_that_crossed_their_verification(town: Town, damage: Damage):
    handler = a_handler(town)
    handler(verified(handler))
    crossing(town)
    first, second = sorted(WAITING, key=lambda request: request.request_id)
    spoil(town, damage, first.request_id)
    assert handler.release_crossed(limit=1) == 1
    assert {task.source_id for task in town.tasks()} == {second.request_id}
    assert handler.release_crossed(limit=1) == 0
    assert len(letters(town)) == 1  # a look every few seconds says it once


def crossing(town: Town) -> None:
    """Save the requests as a process does that has not seen the verifications yet."""
    codec = requests_codec(town.registry)
    read = [
        requests.Read(
            request,
            received(
                number, topic=REQUESTS.name, key=request.subject_id.encode(), value=codec.encode(request)
            ),
        )
        for number, request in enumerate(WAITING)
    ]
    output = requests.step(
        read, requests.KnownRequests(requests={}, verifications={}), CATALOGUE, UNSIGNED, NOW
    )
    town.ledger.requests.save(output.rows, (), topic=REQUESTS.name, now=NOW, due_after=MINUTE)


@EVERY_DAMAGE
def test_whatever_reads_no_stored_event_is_not_concerned(town: Town, damage: Damage):
    """The handlers of requests, consents and receipts, and what a dead process left unpublished."""
    tasks = town.ask(BROKEN, GOOD, BROKEN_CHANGE)
    spoil(town, damage, BROKEN.request_id, BROKEN_CHANGE.event_id)
    town.offsets = count()
    town.ask(BROKEN, GOOD, BROKEN_CHANGE)  # from the same places: what a crash before the commit brings
    town.answer(tasks)
    assert state(town, BROKEN) is RequestState.FULFILLED
    Publication(town.ledger, town.emission()).run_once()
    assert letters(town) == []


def test_the_stored_events_of_the_tests_are_those_of_their_topics(town: Town):
    """Or the damage would prove nothing."""
    town.ask(GOOD, GOOD_CHANGE)
    spoil(town, lambda _, event: event, GOOD.request_id)
    events = town.ledger.requests.events([GOOD.request_id])
    kept = requests_codec(town.registry).decode_stored(events[GOOD.request_id])
    assert kept == replace(GOOD, appended_at=NOW)
    assert consents_codec(town.registry).encode(GOOD_CHANGE)


def test_no_other_module_of_the_room_decodes_what_is_stored():
    """A decode that lets its refusal out ends the process each time it comes to that row."""
    room = Path(stored.__file__).parent
    decoding = {
        path.name for path in room.rglob("*.py") if re.search(r"\.decode(_stored)?\(", path.read_text())
    }
    assert decoding == {"stored.py", "fingerprints.py"}
