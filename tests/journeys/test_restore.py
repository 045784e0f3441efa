"""A backup of the CRM is put back: what was decided since holds again, and nothing else changes."""

import signal
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import psycopg2
import pytest
from psycopg2 import sql
from shell import olvido, told

from olvido.broker.groups import end_offsets
from olvido.ledger.connection import Database
from olvido.ledger.sink_operations import SinkOperations
from olvido.schemas.codec import request_status_codec

pytestmark = [
    pytest.mark.journey, pytest.mark.timeout(300), pytest.mark.xdist_group("journeys: late"),
]  # fmt: skip

PEOPLE = 1_600
ERASED = 500
WITHDRAWN = 20
NEWCOMERS = 100
SIGN_UP = "insert into customers (email, marketing_allowed, created_at) select unnest(%s), true, now()"
BACK = "select count(*) from customers where email = any(%s) and created_at < '2026-01-01'"
STAND = "select t::text from customers t where email = any(%s) order by id"


@pytest.fixture
def backup(chain) -> Iterator["Backup"]:
    made = Backup(chain)
    yield made
    made.drop()


class Backup:
    """A copy of the CRM, rows, journal and all: what a dump and its restore come to."""

    def __init__(self, chain) -> None:
        self.chain = chain

    def take(self) -> datetime:
        """Copy the CRM as it is now. The copy wants nobody in it, so its sink pauses."""
        self.chain.stack.supervisor.stop("sink-crm")
        self._run(sql.SQL("create database crm_backup template crm"))
        threading.Event().wait(1.1)  # what was done before lies outside the margin of a second
        taken_at = datetime.now(UTC)
        self.chain.stack.supervisor.start("sink-crm")
        return taken_at

    def put_back(self) -> None:
        """Lose the CRM, under its sink's hands, and make it what the copy is."""
        owner = psycopg2.extensions.parse_dsn(self.chain.stack.dsn("crm"))["user"]
        self._run(sql.SQL("drop database crm with (force)"))
        self._run(sql.SQL("create database crm template crm_backup owner {}").format(sql.Identifier(owner)))

    def drop(self) -> None:
        """Leave nothing behind."""
        self._run(sql.SQL("drop database if exists crm_backup with (force)"))

    def _run(self, statement: sql.Composable) -> None:
        connection = psycopg2.connect(self.chain.stack.admin_dsn())
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement)
        finally:
            connection.close()


def standing(chain) -> str:
    return {row["sink"]: row["standing"] for row in told("sinks", "list")}["crm"]


def test_a_restored_crm_forgets_the_500_again_and_nobody_else(chain, backup, registry):
    emails = chain.people("back", PEOPLE)
    erased, withdrawn, bystanders = (
        emails[:ERASED], emails[ERASED : ERASED + WITHDRAWN], emails[ERASED + WITHDRAWN :],
    )  # fmt: skip
    chain.sql("crm", "update customers set marketing_allowed = true where email like 'back-%%'")
    erase(chain, chain.people("before", 10))
    taken_at = backup.take()
    ids = erase(chain, erased)
    withdraw(chain, withdrawn)
    # Life goes on: some sign up, and one of the forgotten does, with the same address.
    newcomers = [*(f"new-{number}@example.es" for number in range(NEWCOMERS)), erased[0]]
    chain.sql("crm", SIGN_UP, (newcomers,))
    others, untouched = elsewhere(chain), chain.sql("crm", STAND, (bystanders,))

    backup.put_back()
    chain.sql("crm", SIGN_UP, (newcomers,))
    assert chain.sql("crm", BACK, (erased,)) == [(ERASED,)]
    name = declare(chain, taken_at, request_id=ids[-1])
    carried_out_with_kills(chain, name)

    # Exactly those 500 are gone again; who signed up since is there, also the one who came back.
    assert chain.sql("crm", BACK, (erased,)) == [(0,)]
    assert chain.sql("crm", "select count(*) from customers where email = any(%s)", (newcomers,)) == [
        (NEWCOMERS + 1,)
    ]
    assert chain.sql("crm", STAND, (bystanders,)) == untouched
    allowed = "select email, marketing_allowed from customers where email = any(%s)"
    assert dict(chain.sql("crm", allowed, (withdrawn,))) == {
        email: email == withdrawn[0] for email in withdrawn
    }
    doubled = "select what, id from effects group by what, id having count(*) > 1"
    assert chain.sql("crm", doubled) == []
    # No other sink was asked for anything, or changed a byte.
    assert elsewhere(chain) == others
    assert chain.sql("ledger", "select distinct sink from tasks where generation > 0") == [("crm",)]
    assert_recorded_as_done(chain, registry, name, ids)


def erase(chain, emails) -> list[str]:
    """All of them ask to be forgotten, and are; the ids of their requests."""
    with chain.producer() as producer, producer.batch() as batch:
        for email in emails:
            batch.request_erasure(identities={"email": email}, regions=["cn", "sg"])
    chain.answered(batch.accepted, within_s=90)
    return [str(one.id) for one in batch.accepted]


def withdraw(chain, emails) -> None:
    """All of them withdraw their consent, and the first gives it again: the order of decisions is kept."""
    now = datetime.now(UTC)
    with chain.producer() as producer, producer.batch() as batch:
        for email in emails:
            batch.withdraw_consent(identities={"email": email}, purpose="marketing", occurred_at=now)
        later = now + timedelta(seconds=1)
        batch.grant_consent(identities={"email": emails[0]}, purpose="marketing", occurred_at=later)
    chain.answered(batch.accepted, within_s=90)


def elsewhere(chain) -> tuple[object, object]:
    """What no restore of the CRM may change: another system's rows, and what its sink was asked for."""
    return (
        chain.sql("store_sg", "select accounts::text from accounts order by id"),
        end_offsets(chain.deployment.kafka, ["olvido.tasks.store-sg.v1"]),
    )


def declare(chain, taken_at: datetime, *, request_id: str) -> str:
    """Declare the restore, after a look at it that writes nothing; its name. It can be declared once.

    The sink is down from here on, and the processors are killed at once: nothing may have been sent yet.
    """
    arguments = (
        "restore", "declare", "--sink", "crm", "--backup-taken-at", taken_at.isoformat(), "--margin", "1s",
    )  # fmt: skip
    shown = told(*arguments, "--dry-run")
    assert shown["again"] == {"consent": WITHDRAWN + 1, "erase": ERASED}
    assert shown["tasks"] == ERASED + WITHDRAWN + 1
    assert olvido(*arguments, "--reason", "OPS-17", "--no-input").returncode == 4
    assert standing(chain) == "live"

    chain.stack.supervisor.stop("sink-crm")
    name = told(*arguments, "--reason", "OPS-17", "--confirm", "crm")["name"]
    chain.kill("processors", signal.SIGKILL)
    again = olvido(*arguments, "--reason", "OPS-17", "--confirm", "crm")
    assert (again.returncode, name in again.stderr) == (4, True)
    assert standing(chain) == "unsafe"
    assert told("requests", "show", request_id)["state"] == "in_progress"
    assert "unsafe" in olvido("requests", "show", request_id).stderr
    assert f"restore show {name}" in olvido("status").stderr
    return name


def carried_out_with_kills(chain, name: str) -> None:
    """Wait for the restore's end; the processors are killed while they send, the sink while it works."""

    def sent() -> int:
        return told("restore", "show", name)["left"] - unsent()

    def unsent() -> int:
        [(count,)] = chain.sql("ledger", "select count(*) from tasks where attempts = 0 and outcome is null")
        return count

    chain.until(lambda: sent() > 0, what="the first tasks sent", within_s=60)
    chain.kill("processors", signal.SIGKILL)
    chain.stack.supervisor.start("sink-crm")
    killing = threading.Event()

    def kill_the_sink() -> None:
        while not killing.wait(1.5):
            chain.kill("sink-crm", signal.SIGKILL)

    killer = threading.Thread(target=kill_the_sink)
    killer.start()
    killing.wait(4.0)
    killing.set()
    killer.join()
    operations = SinkOperations(Database(chain.deployment.ledger_dsn, application="tests"))
    chain.until(lambda: not operations.open(), what="the end of the restore", within_s=120)


def assert_recorded_as_done(chain, registry, name: str, ids: list[str]) -> None:
    """The restore, the requests and the act say what happened."""
    assert standing(chain) == "live"
    ended = told("restore", "show", name)
    assert (ended["state"], ended["answered"], ended["left"], ended["failed"]) == (
        "done", ERASED + WITHDRAWN + 1, 0, 0,
    )  # fmt: skip
    assert told("requests", "show", ids[-1])["state"] == "fulfilled"
    final = "select state, count(*) from requests where request_id = any(%s::uuid[]) group by state"
    assert chain.sql("ledger", final, (ids,)) == [("fulfilled", ERASED)]
    states = told_states(chain, registry, ids[-1])
    assert states[-1] == "fulfilled"
    assert "in_progress" in states[states.index("fulfilled") :]
    acts = "select verb, reason from acts where details ->> 'operation' = %s"
    assert chain.sql("ledger", acts, (name,)) == [("restore", "OPS-17")]


def told_states(chain, registry, request_id: str) -> list[str]:
    """What the topic of states said of a request, in order."""
    from olvido.broker.ranges import read_range

    codec = request_status_codec(registry)
    topic = codec.topic.name
    found = []
    for (_, partition), end in end_offsets(chain.deployment.kafka, [topic]).items():
        found += [
            codec.decode(record.value).state.value
            for record in read_range(chain.deployment.kafka, topic, partition, [(0, end)])
            if record.key == request_id.encode()
        ]
    return found


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("--sink crn --backup-taken-at 1h --reason x", "did you mean 'crm'?"),
        ("--sink crm --backup-taken-at 2126-01-01T00:00:00Z --reason x", "future"),
        ("--sink crm --backup-taken-at 2026-01-01T00:00:00 --reason x", "no time zone"),
        ("--sink crm --backup-taken-at yesterday --reason x", "instant such as"),
        ("--sink crm --backup-taken-at 1h --margin -5m --reason x", "length of time"),
        ("--sink crm --backup-taken-at 1h", "--reason"),
        ("--sink crm --backup-taken-at 1h --reason for-ana@example.es", "no person"),
        ("--backup-taken-at 1h --reason x", "--sink"),
    ],
)
def test_a_restore_that_makes_no_sense_is_refused_with_the_fix(chain, arguments, said):
    refused = olvido("restore", "declare", *arguments.split(), "--confirm", "crm")
    assert refused.returncode == 2, refused.stderr
    assert said in refused.stderr
    assert "ana@" not in refused.stderr
    assert chain.sql("ledger", "select reason from acts where reason = 'x' or reason like 'for%%'") == []


def test_an_operation_that_is_not_there_is_said(chain):
    assert olvido("restore", "show", "restore-crm-1").returncode == 3
    assert olvido("backfill", "close", "backfill-crm-1", "--reason", "x").returncode == 3
