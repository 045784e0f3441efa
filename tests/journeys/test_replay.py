"""A replay on the real chain: killed, paused, in shadow; nothing is lost and nothing is repeated."""

import csv
import io
import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from shell import olvido, told

from olvido.broker.groups import end_offsets
from olvido.broker.ranges import read_range
from olvido.core.replay import ReplayState
from olvido.ledger.connection import Database
from olvido.ledger.replays import Replays
from olvido.operators.desk.replay.running import HEADER

pytestmark = [
    pytest.mark.journey, pytest.mark.timeout(300), pytest.mark.xdist_group("journeys: replay"),
]  # fmt: skip

PEOPLE = 300
KILLS = 4
POINTS = ("before publish", "within publish", "after publish", "after note", "before done")
KILLED = Path(__file__).parent / "killed_replay.py"
TOPICS = ("olvido.tasks.crm.v1", "olvido.tasks.store-sg.v1")
FAST = ("--rate", "100000/s")
SLOW = ("--rate", "10/s")  # a minute for all of it: however slow the machine, there is something left
REASON = ("--reason", "TEST-1")


@dataclass(frozen=True)
class Past:
    """What was asked and done before the replays."""

    since: str
    ids: frozenset[str]
    replays: Replays
    read: dict[tuple[str, int], int] = field(default_factory=dict)  # how far the topics were read
    found: Counter[tuple[str, str, str]] = field(default_factory=Counter)  # operation, source, task

    def plan(self, *arguments: str, name: str) -> dict:
        """Plan all of it."""
        return told("replay", "plan", "--from", self.since, "--name", name, *FAST, *arguments)

    def state(self, name: str) -> ReplayState:
        """Where a replay stands."""
        return self.replays.newest(name=name)[0].state


@pytest.fixture(scope="module")
def past(chain) -> Past:
    """So many people erased in both systems, and a withdrawal of another one."""
    since = datetime.now(UTC).isoformat()
    emails = chain.people("replayed", PEOPLE + 1)
    with chain.producer() as producer, producer.batch() as batch:
        for email in emails[:PEOPLE]:
            batch.request_erasure(identities={"email": email}, regions=["cn", "sg"])
        batch.withdraw_consent(
            identities={"email": emails[PEOPLE]}, purpose="marketing", occurred_at=datetime.now(UTC)
        )
    chain.answered(batch.accepted, within_s=120)
    chain.final(batch.accepted[:PEOPLE], within_s=60)
    return Past(
        since=since,
        ids=frozenset(str(one.id) for one in batch.accepted),
        replays=Replays(Database(chain.deployment.ledger_dsn, application="tests")),
    )


@pytest.fixture
def watched(chain, past):
    """The world before, to compare with: a replay changes nothing that was applied."""
    effects = {database: chain.effects(database) for database in ("crm", "store_sg")}
    before = states(chain)
    yield
    settled(chain)
    assert {database: chain.effects(database) for database in effects} == effects
    assert states(chain) == before


def states(chain) -> list[tuple]:
    return [
        chain.sql("ledger", "select md5(string_agg(t::text, '' order by request_id)) from requests t"),
        chain.sql(
            "ledger",
            "select md5(string_agg((source_id, sink, generation, outcome, applied_at)::text, '' "
            "order by source_id, sink, generation)) from tasks",
        ),
        chain.sql("crm", "select md5(string_agg(t::text, '' order by id)) from customers t"),
        chain.sql("crm", "select count(*) from olvido.applied"),
    ]


def settled(chain) -> None:
    """Wait until every sink has read its topic to the end."""
    for sink in chain.deployment.sinks:
        chain.until(lambda name=sink: not chain.before(name), what=f"{sink} idle", within_s=60)


def sent(chain, past: Past, name: str) -> Counter[tuple[str, str]]:
    """How often each task of each source was sent by a replay, by what the topics hold."""
    kafka = chain.deployment.kafka
    for (topic, partition), end in end_offsets(kafka, TOPICS).items():
        # What was read stays as it is: each record is read once, however often it is asked what was sent.
        start = past.read.get((topic, partition), 0)
        for record in read_range(kafka, topic, partition, [(start, end)] if start < end else []):
            headers = dict(record.headers)
            if mark := headers.get(HEADER):
                operation, _, source = mark.decode().rpartition("/")
                past.found[operation, source, headers["ce_id"].decode()] += 1
        past.read[topic, partition] = end
    of = str(past.replays.newest(name=name)[0].operation_id)
    return Counter(
        {(source, task): count for (operation, source, task), count in past.found.items() if operation == of}
    )


def assert_each_once(chain, past: Past, name: str) -> None:
    counted = sent(chain, past, name)
    assert set(counted.values()) == {1}
    assert len(counted) == 2 * PEOPLE + 1
    assert {source for source, _ in counted} == past.ids


def started(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "olvido.operators.cli", "replay", "run", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "NO_COLOR": "1", "COLUMNS": "80"},
    )  # fmt: skip


def until(true: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Wait for something while a process runs; its end ends the wait."""
    while not true() and process.poll() is None:
        threading.Event().wait(0.1)


def test_a_plan_counts_and_a_run_sends_each_task_once(chain, past, watched):
    planned = past.plan(name="whole")
    assert sum(place["records"] for place in planned["places"]) == PEOPLE + 1
    assert {key: sum(place[key] for place in planned["places"]) for key in ("tasks", "new", "applied")} == {
        "tasks": 2 * PEOPLE + 1, "new": 0, "applied": 2 * PEOPLE + 1,
    }  # fmt: skip
    assert {sink["sink"]: sink["tasks"] for sink in planned["sinks"]} == {
        "crm": PEOPLE + 1,
        "store-sg": PEOPLE,
    }
    assert past.state("whole") is ReplayState.PLANNED
    refused = olvido("replay", "run", "whole", *REASON)
    assert refused.returncode == 4, refused.stderr
    assert "--confirm whole" in refused.stderr
    assert sent(chain, past, "whole") == Counter()
    done = olvido("replay", "run", "whole", *REASON, "--confirm", "whole")
    assert done.returncode == 0, done.stderr
    assert_each_once(chain, past, "whole")
    again = olvido("replay", "run", "whole", *REASON, "--confirm", "whole")
    assert again.returncode == 4
    assert "olvido replay plan" in again.stderr
    acts = chain.sql(
        "ledger", "select verb, reason, details ->> 'plan' from acts where details ->> 'plan' = 'whole'"
    )
    assert acts == [("replay", "TEST-1", "whole")]
    shown = told("replay", "show", "whole")
    assert (shown["state"], shown["sent"], shown["forgotten"]) == ("done", 2 * PEOPLE + 1, 0)
    assert "whole" in [row["name"] for row in told("replay", "list")]


@pytest.mark.parametrize("point", POINTS)
def test_killed_at_a_point_it_loses_and_repeats_nothing(chain, past, watched, point):
    name = point.replace(" ", "-")
    past.plan(name=name)
    killed = subprocess.run(
        [sys.executable, str(KILLED), point, "1" if "done" in point else "2", "replay",
         "run", name, *REASON, "--confirm", name, *FAST],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    # It holds the plan until the database has noticed that its connection is gone.
    chain.until(lambda: past.state(name) is ReplayState.INTERRUPTED, what="interrupted", within_s=30)
    done = olvido("replay", "run", name, *REASON, "--confirm", name)
    assert done.returncode == 0, done.stderr
    assert_each_once(chain, past, name)
    assert told("replay", "show", name)["sent"] == 2 * PEOPLE + 1


def test_killed_at_any_time_again_and_again_it_loses_and_repeats_nothing(chain, past, watched):
    chance = random.Random(5)
    past.plan(name="killed-often")
    arguments = ("killed-often", *REASON, "--confirm", "killed-often", *SLOW)
    for _ in range(KILLS):
        # It holds the plan until the database has noticed that its connection is gone.
        chain.until(lambda: past.state("killed-often") is not ReplayState.RUNNING, what="let go", within_s=30)
        process = started(*arguments)
        before = sum(sent(chain, past, "killed-often").values())
        until(lambda most=before: sum(sent(chain, past, "killed-often").values()) > most, process)
        threading.Event().wait(chance.uniform(0, 0.5))
        process.kill()
        process.communicate()
    chain.until(lambda: past.state("killed-often") is not ReplayState.RUNNING, what="let go", within_s=30)
    done = olvido("replay", "run", *arguments[:-2], *FAST)
    assert done.returncode == 0, done.stderr
    assert_each_once(chain, past, "killed-often")


def test_paused_resumed_and_interrupted_it_goes_on_where_it_was(chain, past, watched):
    past.plan(name="slow")
    arguments = ("slow", *REASON, "--confirm", "slow", *SLOW)
    process = started(*arguments)
    until(lambda: bool(sent(chain, past, "slow")), process)
    second = olvido("replay", "run", *arguments)
    assert second.returncode == 4
    assert "runs already" in second.stderr
    assert olvido("replay", "pause", "slow").returncode == 0
    assert past.state("slow") is ReplayState.PAUSED
    assert process.stderr is not None
    for line in process.stderr:
        if "paused" in line:
            break
    count = sum(sent(chain, past, "slow").values())
    threading.Event().wait(1.5)  # at its rate it would have sent 15 more
    assert sum(sent(chain, past, "slow").values()) == count
    assert olvido("replay", "resume", "slow").returncode == 0
    until(lambda: sum(sent(chain, past, "slow").values()) > count, process)
    process.send_signal(signal.SIGINT)
    process.communicate()
    assert process.returncode == 130
    assert past.state("slow") is ReplayState.INTERRUPTED
    refused = olvido("replay", "resume", "slow")
    assert refused.returncode == 4
    assert "olvido replay run slow" in refused.stderr
    done = olvido("replay", "run", *arguments[:-2], *FAST)
    assert done.returncode == 0, done.stderr
    assert_each_once(chain, past, "slow")


def test_cancelled_it_ends_and_says_so(chain, past, watched):
    past.plan(name="cancelled")
    process = started("cancelled", *REASON, "--confirm", "cancelled", *SLOW)
    until(lambda: bool(sent(chain, past, "cancelled")), process)
    assert olvido("replay", "cancel", "cancelled", "--confirm", "cancelled").returncode == 2  # no reason
    ended = olvido("replay", "cancel", "cancelled", *REASON, "--confirm", "cancelled")
    assert ended.returncode == 0, ended.stderr
    process.communicate(timeout=30)
    assert process.returncode == 5
    assert told("replay", "show", "cancelled")["sent"] == sum(sent(chain, past, "cancelled").values()) > 0
    assert olvido("replay", "run", "cancelled", *REASON, "--confirm", "cancelled").returncode == 4


def test_in_shadow_nothing_is_new_and_nothing_is_changed(chain, past, watched):
    past.plan(name="shadow")
    ends = end_offsets(chain.deployment.kafka, TOPICS)
    operations = chain.sql("ledger", "select operations::text from operations order by name")
    shown = told("replay", "run", "shadow", "--shadow")
    assert (shown["new_effects"], shown["records"], shown["differences"]) == (0, PEOPLE + 1, [])
    assert {sink["sink"]: sink["remembered"] for sink in shown["sinks"]} == {
        "crm": PEOPLE + 1,
        "store-sg": PEOPLE,
    }
    assert end_offsets(chain.deployment.kafka, TOPICS) == ends
    assert chain.sql("ledger", "select operations::text from operations order by name") == operations


def test_in_shadow_a_target_that_forgot_is_found_and_nothing_is_changed(chain, past, watched):
    past.plan("--sink", "crm", name="shadow-crm")
    [source] = chain.sql(
        "ledger", "select request_id from requests where request_id::text = %s", (min(past.ids),)
    )
    task = chain.sql("ledger", "select task_id from tasks where source_id = %s and sink = 'crm'", source)[0]
    row = chain.sql("crm", "delete from olvido.applied where task_id = %s returning *", task)
    try:
        shown = olvido("replay", "run", "shadow-crm", "--shadow", "-o", "json")
        told_ = json.loads(shown.stdout)
        assert (shown.returncode, told_["new_effects"]) == (1, 1)
        [difference] = told_["differences"]
        assert (difference["source_id"], difference["sink"]) == (str(source[0]), "crm")
        # Its rows are gone, so what it would find is nothing: the effect is in the memory alone.
        assert (difference["would_be"], difference["ledger_says"]) == ("not_found", "done")
        assert chain.sql("crm", "select count(*) from olvido.applied where task_id = %s", task) == [(0,)]
    finally:
        holes = ", ".join(["%s"] * len(row[0]))
        values = [json.dumps(value) if isinstance(value, dict) else value for value in row[0]]
        chain.sql("crm", f"insert into olvido.applied values ({holes})", values)


def test_what_the_ledger_lost_is_read_from_the_topic_and_handled_anew(chain, past):
    lost = sorted(past.ids)[:3]
    values = (lost,)
    for table, column in (("tasks", "source_id"), ("events", "source_id"), ("requests", "request_id")):
        chain.sql("ledger", f"delete from {table} where {column} = any(%s::uuid[])", values)
    effects = chain.effects("crm")
    planned = past.plan("--topic", "requests", name="lost")
    assert sum(place["unread"] for place in planned["places"]) == 3
    shadow = json.loads(olvido("replay", "run", "lost", "--shadow", "-o", "json").stdout)
    assert (shadow["unread"], shadow["handled_for_the_first_time"], shadow["new_effects"]) == (3, 3, 3)
    done = olvido("replay", "run", "lost", *REASON, "--confirm", "lost")
    assert done.returncode == 0, done.stderr
    assert "3 records handled anew" in done.stderr
    final = "select count(*) from requests where request_id = any(%s::uuid[]) and state = 'fulfilled'"
    chain.until(lambda: chain.sql("ledger", final, values) == [(3,)], what="the three", within_s=60)
    assert chain.effects("crm") == effects


def test_an_event_that_the_ledger_has_no_more_is_read_from_the_topic(chain, past, watched):
    lose = "delete from events where source_id = any(%s::uuid[]) returning source_id, topic, event"
    lost = chain.sql("ledger", lose, (sorted(past.ids)[5:10],))
    try:
        planned = past.plan(name="no-events")
        assert sum(place["forgotten"] for place in planned["places"]) == 0
        done = olvido("replay", "run", "no-events", *REASON, "--confirm", "no-events")
        assert done.returncode == 0, done.stderr
        assert_each_once(chain, past, "no-events")
    finally:
        for row in lost:
            chain.sql("ledger", "insert into events (source_id, topic, event) values (%s, %s, %s)", row)
    assert len(lost) == 5


def test_the_csv_of_a_plan_is_read_back(chain, past, tmp_path):
    first = past.plan("--topic", "requests", name="csv-1")
    shown = olvido("replay", "show", "csv-1", "-o", "csv")
    rows = list(csv.DictReader(io.StringIO(shown.stdout)))
    file = tmp_path / "ranges.csv"
    file.write_text(shown.stdout)
    second = told("replay", "plan", "--from-file", str(file), "--name", "csv-2")
    assert second["places"] == first["places"]
    assert {row["topic"] for row in rows} == {"olvido.requests.v1"}


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("plan", "--from", "2999-01-01"), 2, "--from: is in the future"),
        (("plan", "--from", "1h", "--to", "2h"), 2, "swap them"),
        (("plan", "--from-offset", "9", "--to-offset", "3"), 2, "swap them"),
        (("plan", "--topic", "requests", "--to-offset", "999999999"), 2, "beyond the end"),
        (("plan", "--topic", "requests", "--from-offset", "999999999"), 2, "beyond the end"),
        (("plan", "--partition", "6"), 2, "has no partition 6; it has 0 to 5"),
        (("plan", "--topic", "request"), 2, "did you mean 'requests'"),
        (("plan", "--sink", "cmr"), 2, "did you mean 'crm'"),
        (("plan", "--right", "ERAZE"), 2, "did you mean 'ERASE'"),
        (("plan", "--outcome", "erasd"), 2, "did you mean 'erased'"),
        (("plan", "--state", "fulfiled"), 2, "did you mean 'fulfilled'"),
        (("plan", "--purpose", "marketin"), 2, "did you mean 'marketing'"),
        (("plan", "--purpose", "marketing", "--right", "ERASE"), 2, "one after the other"),
        (("plan", "--request", "nonsense"), 2, "UUID"),
        (("plan", "--subject", "ana@example.es"), 2, "never an identity"),
        (("plan", "--from", "1h", "--from-offset", "3"), 2, "cannot be joined"),
        (("plan", "--by-duration", "1h", "--from", "1h"), 2, "cannot be joined"),
        (("plan", "--from", "2026-11-01T10:00:00"), 2, "no time zone"),
        (("plan", "--rate", "0/s"), 2, "such as 50/s"),
        (("plan", "--name", "No Name"), 2, "small letters"),
        (("plan", "--name", "taken"), 2, "is taken"),
        (("plan", "--from", "1s", "--to", "now"), 3, "nothing is selected"),
        (("plan", "--request", "019ab1a9-0000-7000-8000-000000000000"), 3, "nothing is selected"),
        (("run", "nowhere", "--reason", "x"), 3, "olvido replay list"),
        (("run", "kept", "--confirm", "kept"), 2, "--reason"),
        (("run", "kept", "--reason", "x", "--confirm", "csv-2"), 4, "not confirmed"),
        (("pause", "kept"), 4, "only what runs"),
        (("show", "nowhere"), 3, "olvido replay list"),
    ],
)
def test_a_bad_order_is_refused_with_the_fix_and_nothing_is_sent(chain, past, arguments, code, says):
    if ("taken" in arguments) and not past.replays.newest(name="taken"):
        past.plan(name="taken")
    if "kept" in arguments and not past.replays.newest(name="kept"):
        past.plan(name="kept")
    ends, plans = end_offsets(chain.deployment.kafka, TOPICS), len(past.replays.newest())
    done = olvido("replay", *arguments)
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    assert says in " ".join(done.stderr.split())
    assert "ana@example.es" not in done.stderr
    assert "Traceback" not in done.stderr
    assert end_offsets(chain.deployment.kafka, TOPICS) == ends
    assert len(past.replays.newest()) == plans


@pytest.mark.parametrize("what", ["cluster_id", "ledger_id"])
def test_a_plan_of_another_cluster_or_ledger_is_refused(chain, past, what):
    name = what.replace("_", "-")
    past.plan(name=name)
    chain.sql(
        "ledger", f'update operations set plan = plan || \'{{"{what}": "other"}}\' where name = %s', (name,)
    )
    for arguments in (("--shadow",), (*REASON, "--confirm", name)):
        done = olvido("replay", "run", name, *arguments)
        assert done.returncode == 2
        assert "make a new plan" in " ".join(done.stderr.split())
    assert sent(chain, past, name) == Counter()


def test_a_table_of_a_plan_fits_eighty_columns(chain, past):
    past.plan(name="narrow")
    shown = olvido("replay", "show", "narrow")
    assert max(map(len, shown.stdout.splitlines())) <= 80
    assert "requests" in shown.stdout
    assert "store-sg" in shown.stdout
