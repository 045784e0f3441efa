"""A sink that joins late; on a real ledger and registry, with the steps around it."""

from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from itertools import count
from uuid import UUID

import psycopg2
import pytest
from processors.town import MINUTE, Town, an_act
from values import CATALOGUE, NOW, a_change, an_erasure, an_id

from olvido.core.acts import Verb
from olvido.core.events import Decision
from olvido.core.outcomes import Outcome
from olvido.core.rights.names import Right
from olvido.core.sinks import OperationKind, Standing
from olvido.ledger.acts import Acts
from olvido.ledger.backfills import BackfillPhase
from olvido.ledger.connection import Database
from olvido.operators.desk.backfill import Backfill
from olvido.schemas.codec import receipts_codec
from olvido.schemas.topics import tasks_topic

ADS = replace(CATALOGUE.sinks[1], name="ads")
WITHOUT = replace(CATALOGUE, sinks=CATALOGUE.sinks[:2])
WITH = replace(CATALOGUE, sinks=(*CATALOGUE.sinks[:2], ADS))
HOUR = timedelta(hours=1)
OPERATIONS = map(UUID, (f"{n:032x}" for n in count(1)))


@pytest.fixture
def town(ads_registry, ledger, ledger_dsn) -> Town:
    return Town(ads_registry, ledger_dsn, catalogue=WITHOUT)


@pytest.fixture(scope="session")
def ads_registry(registry, kafka_section):
    """The registry, with the schema of the new sink's tasks too."""
    topic = tasks_topic("ads")
    registry.register(topic.subject, topic.schema)
    return registry


def begun(town: Town) -> Backfill:
    """A backfill that begins, or is carried on with."""
    operation = town.backfills.join(
        an_act(Verb.BACKFILL, town.now),
        operation_id=next(OPERATIONS),
        name="b1",
        sink="ads",
        purposes=["marketing"],
    )
    return Backfill(town.registry, town.backfills, WITH, operation, clock=town.clock)


class Killed(Exception):
    """The process is gone."""


def dies_at_its_end(batch):
    """A batch whose process is killed before it is committed."""

    @contextmanager
    def dying(*arguments, **named):
        with batch(*arguments, **named) as held:
            yield held
            raise Killed

    return dying


def tasks_of_ads(dsn: str) -> dict[UUID, tuple[str, int, int]]:
    with psycopg2.connect(dsn) as connection, connection.cursor() as cursor:
        cursor.execute("select source_id::text, action, generation, attempts from tasks where sink = 'ads'")
        return {UUID(source): tuple(rest) for source, *rest in cursor.fetchall()}


def test_a_sink_that_joins_late_gets_the_past_and_the_present_word_and_then_is_live(town, ledger_dsn):
    town.answer(
        town.ask(an_erasure(1), an_erasure(2, right=Right.RESTRICT), an_erasure(3, right=Right.OBJECT))
    )
    town.answer(town.ask(an_erasure(4, right=Right.ACCESS)), Outcome.EXPORTED)
    town.ask(an_erasure(5, verification_required=True))  # waits for its person
    town.ask(an_erasure(6, regions=["cn"]))  # lives elsewhere
    town.answer(
        town.ask(
            a_change(11, Decision.GRANTED, person=11, occurred_at=NOW - 3 * HOUR),
            a_change(12, person=11, occurred_at=NOW - 2 * HOUR),  # the standing word
            a_change(13, person=13, purpose="analytics"),  # not the sink's
        ),
        Outcome.CONSENT_APPLIED,
    )
    town.now += HOUR
    town.catalogue = WITH
    backfill = begun(town)
    assert town.operations.standings()["ads"][0] is Standing.JOINING
    town.reconciler().run_once()
    assert town.operations.standings()["ads"][0] is Standing.JOINING, "nothing is planned yet"
    *_, end = backfill.run(limit=2)
    assert (end.phase, end.planned, end.tasks, end.late) == (BackfillPhase.END, True, 4, 0)
    assert tasks_of_ads(ledger_dsn) == {
        an_id(1): ("ERASE", 0, 0),
        an_id(2): ("RESTRICT", 0, 0),
        an_id(3): ("OBJECT", 0, 0),
        an_id(12): ("CONSENT", 0, 0),
    }
    row = town.ledger.figures.request(an_id(1))
    assert (row["state"], row["answered"], row["tasks"]) == ("in_progress", 2, 3)

    before = len(town.sent.records)
    assert town.reconciler().run_once() == 4
    sent = town.tasks(before)
    assert {task.sink for task in sent} == {"ads"}
    town.answer(sent[:3])
    town.reconciler().run_once()
    assert town.operations.standings()["ads"][0] is Standing.JOINING
    town.answer(sent[3:])
    town.reconciler().run_once()
    assert town.operations.standings() == {}


def test_a_backfill_that_was_killed_goes_on_where_it_was(town, ledger_dsn):
    town.answer(town.ask(*(an_erasure(n) for n in range(1, 8))))
    town.now += HOUR
    town.catalogue = WITH
    running = begun(town).run(limit=2)
    assert next(running).tasks == 2
    # Killed within the second batch, after its tasks were written: it leaves nothing.
    backfill = begun(town)
    dying = backfill.run(limit=2)
    town.backfills.batch = dies_at_its_end(town.backfills.batch)
    with pytest.raises(Killed):
        next(dying)
    assert len(tasks_of_ads(ledger_dsn)) == 2
    del town.backfills.batch
    town.reconciler().run_once()
    *_, end = begun(town).run(limit=2)
    assert (end.tasks, end.planned, len(tasks_of_ads(ledger_dsn))) == (7, True, 7)
    assert {town.ledger.figures.request(an_id(n))["tasks"] for n in range(1, 8)} == {3}


def test_two_that_carry_on_with_one_backfill_share_it(town, ledger_dsn):
    town.answer(town.ask(*(an_erasure(n) for n in range(1, 10))))
    town.now += HOUR
    town.catalogue = WITH
    one = begun(town).run(limit=2)
    two = begun(town).run(limit=2)
    town.reconciler().run_once()
    next(one)
    next(two)
    *_, end = one
    assert (end.tasks, end.planned, len(tasks_of_ads(ledger_dsn))) == (9, True, 9)


def test_a_backfill_begins_once_and_everybody_who_carries_on_is_recorded(town, ledger_dsn):
    town.catalogue = WITH
    assert begun(town).operation == begun(town).operation
    acts = Acts(Database(ledger_dsn, application="tests")).newest()
    assert [act["details"] for act in acts] == [{"operation": "b1"}] * 2


def test_what_processors_plan_without_the_new_sink_is_found_and_said(town):
    """Nothing falls between the last look of the backfill and the first plan with the new sink."""
    town.ask(an_erasure(1))
    town.now += HOUR
    backfill = begun(town)
    town.reconciler().run_once()  # of a worker that was not started anew
    *_, end = backfill.run()
    assert not end.planned, "nobody has said yet that they know the sink"
    town.now += MINUTE
    town.ask(an_erasure(2), a_change(11))
    town.now += MINUTE
    town.reconciler(WITH).run_once()  # one is new,
    town.now += MINUTE
    town.ask(an_erasure(3))  # and one is still old
    *_, end = begun(town).run()
    assert (end.late, end.planned, end.tasks) == (1, False, 4)
    town.catalogue = WITH
    town.ask(an_erasure(4))
    *_, end = begun(town).run()
    assert (end.late, end.planned, end.tasks) == (0, True, 4)


def test_an_event_that_is_gone_is_forgotten_and_counted(town, ledger_dsn):
    town.answer(town.ask(an_erasure(1), an_erasure(2)))
    with psycopg2.connect(ledger_dsn) as connection, connection.cursor() as cursor:
        cursor.execute("delete from events where source_id = %s", (str(an_id(1)),))
    town.now += HOUR
    town.catalogue = WITH
    *_, end = begun(town).run()
    assert end.tasks == 2
    town.reconciler().run_once()
    codec = receipts_codec(town.registry)
    town.record([codec.decode(one.value) for one in town.sent.records if one.topic == codec.topic.name])
    [row] = town.operations.newest(OperationKind.BACKFILL)
    assert (row["forgotten"], row["waiting"]) == (1, 1)
