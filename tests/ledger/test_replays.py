"""What a plan selects, by the real database: counted and walked by the same rules. One runner at a time."""

from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid4

import psycopg2
import pytest
from key_files import UNSIGNED
from values import CATALOGUE, NOW, a_change, an_erasure, an_id, read, received

from olvido.broker.reading import Read
from olvido.core.acts import Act, Verb
from olvido.core.offsets import OffsetRange
from olvido.core.replay import (
    FIRST,
    MOVES,
    Counts,
    Plan,
    ReplayPosition,
    ReplaySelection,
    ReplayState,
    Window,
)
from olvido.core.rights.names import Right
from olvido.ledger.connection import Database
from olvido.ledger.replays import ForgottenTask, Replays, Taken, plan_document
from olvido.processors import consents, requests
from olvido.schemas.topics import PROCESSORS_GROUP

REQUESTS, CONSENTS = "olvido.requests.v1", "olvido.consents.v1"
MINUTE = timedelta(minutes=1)
ACT = Act(act_id=an_id(70), at=NOW, who="ana@ops", verb=Verb.REPLAY, reason="OPS-1", details={})


@pytest.fixture
def replays(ledger_dsn, ledger) -> Replays:
    """A ledger that knows ten requests, five on each of two partitions, and two consent changes."""
    batch = [
        Read(
            an_erasure(n, right=Right.RESTRICT if n == 10 else Right.ERASE),
            received(n // 2, partition=n % 2, value=b"event of key \x14cn-2026-11" if n == 4 else b"event"),
        )
        for n in range(1, 11)
    ]
    output = requests.step(
        batch, requests.KnownRequests(requests={}, verifications={}), CATALOGUE, UNSIGNED, NOW
    )
    tasks = output.new_tasks
    ledger.requests.save(output.rows, tasks, topic=REQUESTS, now=NOW, due_after=MINUTE)
    changes = [read(a_change(n), n) for n in (20, 21)]
    told = consents.step(changes, consents.KnownConsents(changes={}, states={}), CATALOGUE, UNSIGNED, NOW)
    tasks = told.new_tasks
    ledger.consents.save(told.rows, told.states, tasks, topic=CONSENTS, now=NOW, due_after=MINUTE)
    return Replays(Database(ledger_dsn, application="test"))


@pytest.fixture
def sql(ledger_dsn):
    """Changes the ledger by hand."""

    def run(statement: str, *values: object) -> list[tuple]:
        connection = psycopg2.connect(ledger_dsn)
        with connection, connection.cursor() as cursor:
            cursor.execute(statement, [str(v) if isinstance(v, UUID) else v for v in values])
            rows = cursor.fetchall() if cursor.description else []
        connection.close()
        return rows

    return run


def a_plan(
    *, low: int = 0, high: int = 100, kept: int = 0, partitions=(0, 1), issued=(), **selection
) -> Plan:
    return Plan(
        cluster_id="c", ledger_id="l", selection=ReplaySelection(**selection),
        issued=issued or tuple(sink.name for sink in CATALOGUE.sinks),
        places=(), sinks=(), waiting=0, rate=1.0,
        windows=tuple(
            Window(topic=topic, partition=partition, low=low, high=high, kept=kept)
            for topic in (REQUESTS, CONSENTS)
            for partition in partitions
        ),
    )  # fmt: skip


def walked(replays: Replays, plan: Plan, *, limit: int = 3) -> dict[UUID, set[str]]:
    found: dict[UUID, set[str]] = {}
    after = FIRST
    while batch := replays.next(plan_document(plan), after=after, limit=limit):
        assert [one.source_id for one in batch] == sorted(one.source_id for one in batch)
        assert not found.keys() & {one.source_id for one in batch}
        found |= {one.source_id: set(one.tasks) for one in batch}
        after = batch[-1].source_id
    return found


@pytest.mark.parametrize(
    ("narrow", "sources", "tasks"),
    [
        ({}, {*range(1, 11), 20, 21}, 24),
        ({"issued": ("crm",)}, {*range(1, 11), 20, 21}, 12),
        ({"rights": ("RESTRICT",)}, {10}, 2),
        ({"rights": ("ERASE", "RESTRICT")}, {*range(1, 11)}, 20),
        ({"purposes": ("marketing",)}, {20, 21}, 4),
        ({"states": ("fulfilled",)}, set(), 0),
        ({"states": ("in_progress",)}, {*range(1, 11)}, 20),
        ({"outcomes": ("none",)}, {*range(1, 11), 20, 21}, 24),
        ({"outcomes": ("erased",)}, {*range(1, 11), 20, 21}, 0),
        ({"ids": (an_id(3), an_id(21), an_id(99))}, {3, 21}, 4),
        ({"subject": an_erasure(5).subject_id}, {5}, 2),
        ({"partitions": (1,)}, {1, 3, 5, 7, 9}, 10),
        ({"low": 2, "high": 4}, {4, 5, 6, 7}, 8),
        ({"kept": 100, "since": NOW + MINUTE}, set(), 0),
        ({"kept": 100, "since": NOW, "until": NOW + MINUTE}, {*range(1, 11), 20, 21}, 24),
        ({"kept": 3, "until": NOW}, {6, 7, 8, 9, 10, 20, 21}, 14),
    ],
)
def test_what_is_counted_is_what_is_walked(replays, narrow, sources, tasks):
    plan = a_plan(**narrow)
    counted, found = replays.count(plan, destroyed=()), walked(replays, plan)
    assert set(found) == {an_id(n) for n in sources}
    assert sum(count for count, _ in counted.records.values()) == len(sources)
    assert sum(count for count, _ in counted.tasks.values()) == sum(map(len, found.values())) == tasks
    assert sum(new for _, new in counted.tasks.values()) == tasks


def test_of_each_sink_the_newest_generation_is_sent(replays, sql):
    sql(
        "insert into tasks (source_id, sink, generation, task_id, action, sent_at, due_at) "
        "select source_id, sink, 1, task_id, action, sent_at, due_at from tasks "
        "where source_id = %s and sink = 'crm'",
        an_id(3),
    )
    plan = a_plan(ids=(an_id(3),))
    [source] = replays.next(plan_document(plan), after=FIRST, limit=10)
    assert {sink: generation for sink, (generation, _) in source.tasks.items()} == {"crm": 1, "marketing": 0}
    assert sum(count for count, _ in replays.count(plan, destroyed=()).tasks.values()) == 2


def test_what_nobody_can_issue_is_counted_before_anything_is_sent(replays, sql):
    sql("delete from events where source_id = any(%s::uuid[])", [str(an_id(2)), str(an_id(9))])
    # 2 is at offset 1, which the topic holds no more; 9 is at offset 4, which it does.
    # 4 is sealed to a key that is destroyed where the crm stands.
    counted = replays.count(a_plan(kept=2), destroyed=[("crm", b"\x14cn-2026-11")])
    assert counted.forgotten == {
        (REQUESTS, 0, "crm"): (2, 2),
        (REQUESTS, 0, "marketing"): (1, 1),
    }


def test_records_that_are_in_no_row_are_found(replays, sql):
    sql(
        "delete from requests where request_id = any(%s::uuid[])",
        [str(an_id(4)), str(an_id(6)), str(an_id(9))],
    )
    asked = [OffsetRange(REQUESTS, 0, 1, 6), OffsetRange(REQUESTS, 1, 0, 5)]
    assert replays.unknown_records(asked, group=PROCESSORS_GROUP) == [
        OffsetRange(REQUESTS, 0, 2, 4),
        OffsetRange(REQUESTS, 1, 4, 5),
    ]
    assert replays.known_sources([an_id(4), an_id(5), an_id(20)]) == {an_id(5), an_id(20)}


def test_a_partition_ends_behind_what_was_handled_last(replays, ledger):
    ledger.progress.add([OffsetRange(REQUESTS, 0, 0, 3), OffsetRange(REQUESTS, 0, 7, 9)])
    assert replays.known_ends() == {(REQUESTS, 0): 9}


def saved(replays: Replays, name: str = "friday") -> UUID:
    operation_id = uuid4()
    assert replays.save(operation_id, name, a_plan(), now=NOW)
    return operation_id


def test_a_plan_is_found_as_it_was_saved_and_its_name_is_taken(replays):
    operation_id = saved(replays)
    [found] = replays.newest(name="friday")
    assert (found.operation_id, found.state, found.plan) == (operation_id, ReplayState.PLANNED, a_plan())
    assert found.position == ReplayPosition()
    assert not replays.save(uuid4(), "friday", a_plan(), now=NOW)
    assert replays.newest(name="monday") == []


def test_there_is_one_runner_and_without_it_the_replay_is_interrupted(replays, ledger_dsn, sql):
    operation_id = saved(replays)
    other = Replays(Database(ledger_dsn, application="other"))
    assert replays.begin(operation_id, ACT)
    assert replays.newest()[0].has_runner
    with pytest.raises(Taken):
        other.begin(operation_id, replace(ACT, act_id=an_id(71)))
    with pytest.raises(Taken):
        other.note(operation_id, ReplayPosition())
    assert sql("select act_id::text from acts") == [(str(ACT.act_id),)]
    replays.let_go()
    [found] = other.newest()
    assert (found.state, found.has_runner) == (ReplayState.INTERRUPTED, False)
    assert other.begin(operation_id, replace(ACT, act_id=an_id(71)))


def test_a_lost_connection_lets_another_run_it_and_the_first_is_told(replays, ledger_dsn, sql):
    """The lock is the session's: a note after it is gone must take it again, or stop."""
    operation_id = saved(replays)
    replays.begin(operation_id, ACT)
    sql("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'test'")
    other = Replays(Database(ledger_dsn, application="other"))
    assert other.begin(operation_id, replace(ACT, act_id=an_id(71)))
    with pytest.raises(Exception, match=r"another process|does not answer"):
        replays.note(operation_id, ReplayPosition())
    with pytest.raises(Taken):
        replays.note(operation_id, ReplayPosition())


def test_a_note_says_what_is_wanted_and_may_be_written_again(replays):
    operation_id = saved(replays)
    replays.begin(operation_id, ACT)
    position = ReplayPosition(after=an_id(3), counts=Counts().plus(records=2, sinks=["crm"], forgotten=1))
    lost = [ForgottenTask(source_id=an_id(3), sink="crm", why="key cn-2026-11 is destroyed")]
    assert replays.note(operation_id, position, forgotten=lost) is ReplayState.RUNNING
    assert replays.move(operation_id, ReplayState.PAUSED, now=NOW)
    assert replays.note(operation_id, position, forgotten=lost) is ReplayState.PAUSED
    assert replays.newest()[0].position == position
    assert [row["why"] for row in replays.forgotten(operation_id, limit=9)] == ["key cn-2026-11 is destroyed"]


@pytest.mark.parametrize("to", [state for state in ReplayState if state in MOVES])
@pytest.mark.parametrize("state", list(ReplayState))
def test_a_state_is_changed_only_along_its_ways_and_an_act_only_with_it(replays, sql, state, to):
    operation_id = saved(replays)
    sql("update operations set state = %s", state.value)
    moved = replays.move(operation_id, to, now=NOW, act=ACT)
    assert moved is (state in MOVES[to])
    assert sql("select state from operations") == [(to.value if moved else state.value,)]
    assert sql("select count(*) from acts") == [(int(moved),)]
