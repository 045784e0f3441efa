"""What the ledger keeps of events outlives the registry: no id of a registry is kept."""

from datetime import timedelta

import psycopg2
import pytest
from processors.town import MINUTE, Town
from simulation.registry_twin import RegistryTwin
from values import CATALOGUE, a_change, an_erasure

from olvido.processors.fingerprints import Fingerprints
from olvido.schemas.codec import APPENDED, APPENDED_BYTES, SINGLE_OBJECT, consents_codec, requests_codec
from olvido.schemas.topics import topics_of

REQUESTED, CHANGED, LOST = an_erasure(1), a_change(11, person=3), an_erasure(2)
TOPICS = list(topics_of(CATALOGUE))


@pytest.fixture
def town(ledger_dsn: str) -> Town:
    return Town(RegistryTwin(TOPICS), ledger_dsn)


def kept(town: Town) -> dict[str, bytes]:
    with psycopg2.connect(town.dsn) as connection, connection.cursor() as cursor:
        cursor.execute("select source_id::text, event from events")
        rows = cursor.fetchall()
    connection.close()
    return {source_id: bytes(event) for source_id, event in rows}


def keep_as_before(town: Town, registry: RegistryTwin) -> None:
    """As earlier versions kept them: as they stood on their topics."""
    framed = {
        str(REQUESTED.request_id): requests_codec(registry).encode(REQUESTED),
        str(CHANGED.event_id): consents_codec(registry).encode(CHANGED),
        str(LOST.request_id): b"\0" + (4711).to_bytes(4, "big") + b"of a registry that is gone",
    }
    with psycopg2.connect(town.dsn) as connection, connection.cursor() as cursor:
        for source_id, event in framed.items():
            cursor.execute("update events set event = %s where source_id = %s", (event, source_id))
    connection.close()


def test_tasks_are_sent_again_after_the_registry_was_made_anew(town: Town):
    town.ask(REQUESTED, CHANGED)
    town.registry = RegistryTwin(TOPICS, first_id=101)
    before = len(town.sent.records)
    town.now += timedelta(days=2)
    assert town.reconciler().run_once() == len(town.tasks(before)) > 0
    assert {task.source_id for task in town.tasks(before)} == {REQUESTED.request_id, CHANGED.event_id}


def test_what_was_kept_under_a_registrys_id_is_rewritten_as_long_as_that_registry_is_there(town: Town):
    town.ask(REQUESTED, CHANGED, LOST)
    now = kept(town)
    assert all(event.startswith(APPENDED) for event in now.values())
    # Earlier versions kept no time of the broker's.
    rewritten = {source_id: event[APPENDED_BYTES:] for source_id, event in now.items()}
    keep_as_before(town, town.registry)
    lost = kept(town)[str(LOST.request_id)]
    assert not any(event.startswith(SINGLE_OBJECT) for event in kept(town).values())
    fingerprints = Fingerprints(town.registry, town.ledger.events)
    # One at a time: the one that cannot be read stands before none of the others.
    assert fingerprints.run_once(limit=1) == 2
    assert kept(town) == {**rewritten, str(LOST.request_id): lost}
    assert fingerprints.run_once() == 0
    town.registry = RegistryTwin(TOPICS, first_id=101)
    before = len(town.sent.records)
    town.now += 2 * MINUTE
    town.reconciler().run_once()
    assert {task.source_id for task in town.tasks(before)} == {REQUESTED.request_id, CHANGED.event_id}
