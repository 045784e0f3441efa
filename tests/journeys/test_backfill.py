"""A system is declared late: it gets what was decided before it came, and then counts as live."""

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from shell import olvido, told

from olvido.ledger.connection import Database
from olvido.ledger.sink_operations import SinkOperations
from olvido.operators.local.programs import programs_of
from olvido.schemas.settings.deployment import Deployment

pytestmark = [
    pytest.mark.journey, pytest.mark.timeout(300), pytest.mark.xdist_group("journeys: late"),
]  # fmt: skip

# By phone: what the other journeys ask, by e-mail, does not concern it.
ADS = """
[sinks.ads]
kind = "sqlite"
region = "cn"
file = { env = "OLVIDO_ADS_FILE" }
identities = ["phone"]
purposes = ["marketing"]

[sinks.ads.tables.audience]
key = "id"
created = "created_at"
identities = { phone = "phone" }
erase = "delete"
[sinks.ads.tables.audience.consent.marketing]
granted = { shown = true }
withdrawn = { shown = false }
"""
AUDIENCE = """
create table audience (id integer primary key, phone text not null, shown integer not null default true,
    created_at text not null default '2025-01-01');
create index audience_phone on audience (phone);
"""
BACKFILL = ("backfill", "--sink", "ads", "--reason", "OPS-18")
PEOPLE = 60
ERASED, OBJECTED, WITHDRAWN = 30, 5, 10


def declared(chain, *, but: set[str]) -> None:
    """Run everything as olvido.toml says it now: each process that read an earlier one starts anew."""
    supervisor = chain.stack.supervisor
    programs = programs_of(Deployment.load(chain.stack.directory / "olvido.toml"), chain.stack.directory)
    supervisor.apply(programs, environment=chain.stack.environment, only=True)
    for program in programs:
        if program.name not in but:
            supervisor.start(program.name)


@pytest.fixture
def audience(chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The new system's file; afterwards it is forgotten again."""
    file = tmp_path / "ads.sqlite"
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(AUDIENCE)
    monkeypatch.setenv("OLVIDO_ADS_FILE", str(file))
    toml = Path(chain.stack.directory / "olvido.toml")
    before = toml.read_text()
    yield file
    toml.write_text(before)
    declared(chain, but=set())


def test_a_sink_that_joins_late_is_live_when_it_has_done_what_was_asked_before_it_came(chain, audience):
    emails = chain.people("late", PEOPLE)
    phones = [f"+3461200{number:04d}" for number in range(PEOPLE)]
    with closing(sqlite3.connect(audience)) as connection, connection:
        connection.executemany("insert into audience (phone) values (?)", [(phone,) for phone in phones])
    both = [{"email": email, "phone": phone} for email, phone in zip(emails, phones, strict=True)]
    ids = asked_before(chain, both)
    assert_refused_until_its_topics_are_there(chain)

    # The processors were not started anew: what they plan now is planned without the new sink.
    early = olvido(*BACKFILL)
    assert (early.returncode, "Start all of them anew" in early.stderr) == (5, True), early.stderr
    with chain.producer() as producer:
        meanwhile = producer.request_erasure(identities=both[-1], regions=["cn", "sg"])
    chain.answered([meanwhile], within_s=60)
    assert tasks_of_ads(chain) == 0

    declared(chain, but={"sink-ads"})
    knows = "select count(*) from operations where sink = 'ads' and position ->> 'known_at' <> ''"
    chain.until(lambda: chain.sql("ledger", knows) == [(1,)], what="processors that know ads", within_s=90)
    name = begun_twice(chain)
    # Who adds a system makes the key by which its sink signs.
    assert "sink-ads" in olvido("keys", "create").stdout
    chain.stack.supervisor.start("sink-ads")
    operations = SinkOperations(Database(chain.deployment.ledger_dsn, application="tests"))
    chain.until(lambda: not operations.open(), what="the end of the backfill", within_s=60)
    gone = {*phones[:ERASED], phones[-1]}
    quiet = set(phones[ERASED : ERASED + OBJECTED + WITHDRAWN])
    with closing(sqlite3.connect(audience)) as connection:
        assert dict(connection.execute("select phone, shown from audience")) == {
            phone: phone not in quiet for phone in phones if phone not in gone
        }
    assert_recorded_as_done(chain, name, [*ids, str(meanwhile.id)])
    # What is asked from now on reaches it by itself.
    with chain.producer() as producer:
        accepted = producer.request_erasure(identities=both[-2], regions=["cn", "sg"])
    chain.answered([accepted], within_s=60)
    assert {task["sink"] for task in told("requests", "show", str(accepted.id))["tasks"]} == {
        "ads", "crm", "store-sg",
    }  # fmt: skip
    again = olvido(*BACKFILL)
    assert (again.returncode, "already" in again.stderr) == (0, True)


def asked_before(chain, people) -> list[str]:
    """What people decided before the sink was there; the ids of it."""
    now = datetime.now(UTC)
    with chain.producer() as producer, producer.batch() as batch:
        for one in people[:ERASED]:
            batch.request_erasure(identities=one, regions=["cn", "sg"])
        for one in people[ERASED : ERASED + OBJECTED]:
            batch.request(right="OBJECT", identities=one, regions=["cn", "sg"], purposes=["marketing"])
        for one in people[ERASED + OBJECTED : ERASED + OBJECTED + WITHDRAWN]:
            batch.grant_consent(identities=one, purpose="marketing", occurred_at=now - timedelta(seconds=9))
            batch.withdraw_consent(identities=one, purpose="marketing", occurred_at=now)
    chain.answered(batch.accepted, within_s=60)
    return [str(one.id) for one in batch.accepted]


def tasks_of_ads(chain) -> int:
    [(count,)] = chain.sql("ledger", "select count(*) from tasks where sink = 'ads'")
    return count


def assert_refused_until_its_topics_are_there(chain) -> None:
    """A sink that nobody declared, and one without a topic, are not filled; nothing is on record of it."""
    refused = olvido(*BACKFILL)
    assert (refused.returncode, "no sink 'ads'" in refused.stderr) == (2, True)
    toml = Path(chain.stack.directory / "olvido.toml")
    toml.write_text(toml.read_text() + ADS)
    refused = olvido(*BACKFILL)
    assert (refused.returncode, "olvido topics apply" in refused.stderr) == (2, True), refused.stderr
    assert olvido("topics", "apply").returncode == 0
    assert olvido("backfill", "--sink", "ads").returncode == 2
    assert chain.sql("ledger", "select count(*) from acts where verb = 'backfill'") == [(0,)]


def begun_twice(chain) -> str:
    """Begin the backfill, kill the command in the middle of it, and begin again; its one name."""
    killed = subprocess.Popen(
        [sys.executable, "-m", "olvido.operators.cli", *BACKFILL],
        env={**os.environ, "NO_COLOR": "1"}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    chain.until(lambda: tasks_of_ads(chain) > 0, what="the first batch of the backfill", within_s=60)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    done = olvido(*BACKFILL)
    assert done.returncode == 0, done.stderr
    [name] = [row["name"] for row in told("backfill", "list", "--sink", "ads")]
    assert {row["sink"]: row["standing"] for row in told("sinks", "list")}["ads"] == "joining"
    assert told("backfill", "show", name)["tasks"] == ERASED + OBJECTED + WITHDRAWN + 1
    return name


def assert_recorded_as_done(chain, name: str, ids: list[str]) -> None:
    """The backfill and what was asked are done; who agreed and took it back was asked for once."""
    shown = told("backfill", "show", name)
    assert (shown["state"], shown["answered"], shown["left"]) == (
        "done", ERASED + OBJECTED + WITHDRAWN + 1, 0,
    )  # fmt: skip
    counted = chain.sql("ledger", "select action, count(*) from tasks where sink = 'ads' group by 1")
    assert dict(counted) == {"CONSENT": WITHDRAWN, "ERASE": ERASED + 1, "OBJECT": OBJECTED}
    final = "select count(*) from requests where request_id = any(%s::uuid[]) and finished_at is null"
    assert chain.sql("ledger", final, (ids,)) == [(0,)]
