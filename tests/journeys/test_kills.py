"""Processes are killed while work flows; nothing is lost and nothing is done twice."""

import signal
import threading
from functools import partial
from itertools import cycle

import psycopg2
import pytest

from olvido.broker.groups import reach
from olvido.broker.runtime.patience import patiently
from olvido.core.errors import Unavailable
from olvido.producers import Accepted

pytestmark = [
    pytest.mark.journey, pytest.mark.timeout(600), pytest.mark.xdist_group("journeys: kill"),
]  # fmt: skip

BYSTANDERS = 500
VICTIMS = ("processors", "sink-crm", "recorder", "kafka", "sink-store-sg")


@pytest.mark.parametrize(
    ("requests", "least"), [(3_000, 5), pytest.param(20_000, 10, marks=pytest.mark.proof)]
)
def test_processes_killed_while_requests_flow_lose_nothing_and_repeat_nothing(
    chain, requests: int, least: int
):
    """Processors, sinks, the recorder and the broker, by SIGKILL and SIGTERM in turn."""
    emails = chain.people("ana", requests)
    chain.people("bystander", BYSTANDERS)
    bystanders = "select t::text from customers t where email like 'bystander-%%' order by id"
    before, tickets = chain.sql("crm", bystanders), chain.sql("crm", "select count(*) from tickets")[0][0]
    effects = {database: chain.effects(database) for database in ("crm", "store_sg")}
    accepted: list[Accepted] = []
    emitted = threading.Event()
    kills: list[tuple[str, str]] = []

    def killing() -> None:
        victims = cycle(VICTIMS)
        signals = cycle([signal.SIGKILL, signal.SIGTERM])
        pause, taken = threading.Event(), 0
        while not (emitted.is_set() and len(kills) >= least and {name for name, _ in kills} >= set(VICTIMS)):
            pause.wait(2.0)
            victim, number = next(victims), next(signals)
            # One that comes up slowly is left alone until it has taken what waited for it: upstream goes on.
            if victim == "kafka":
                if not kafka_answers(chain) or not (emitted.is_set() or len(accepted) > taken):
                    continue
                taken = len(accepted)
            if chain.kill(victim, number):
                kills.append((victim, number.name))

    killer = threading.Thread(target=killing)
    killer.start()
    try:
        with chain.producer() as producer:
            for start in range(0, requests, 1000):
                accepted += _erase(producer, emails[start : start + 1000])
    finally:
        emitted.set()  # or it would go on killing under the tests that follow
        killer.join(120)
    chain.final(accepted, within_s=300)

    assert len(kills) >= least
    assert {victim for victim, _ in kills} == set(VICTIMS)
    # 0 lost: every request that the producer was told is accepted is final, and its rows are gone.
    ids = sorted({str(one.id) for one in accepted})
    final = "select count(*) from requests where request_id = any(%s::uuid[]) and state = 'fulfilled'"
    assert len(ids) == requests
    assert chain.sql("ledger", final, (ids,)) == [(requests,)]
    assert chain.sql("crm", "select count(*) from customers where email like 'ana-%%'") == [(0,)]
    assert chain.sql("crm", "select count(*) from tickets") == [(tickets - 2 * requests,)]
    assert chain.sql("store_sg", "select count(*) from accounts where email like 'ana-%%'") == [(0,)]
    # 0 applied twice: each row's effect stands once in what the systems' own triggers wrote,
    for database, rows in (("crm", requests * 3), ("store_sg", requests)):
        assert chain.effects(database) - effects[database] == rows, database
        doubled = "select what, id from effects group by what, id having count(*) > 1"
        assert chain.sql(database, doubled) == [], database
    # and what the receipts count is what was done.
    counted = chain.sql(
        "ledger",
        "select sink, sum(value::int) from tasks, jsonb_each_text(counts) where source_id = any(%s::uuid[]) "
        "group by sink order by sink",
        (ids,),
    )
    assert counted == [("crm", requests * 3), ("store-sg", requests)]
    # All receipts are in, one for each task, read back; and nobody else was touched.
    answered = (
        "select count(*), count(outcome), count(verified_at) from tasks where source_id = any(%s::uuid[])"
    )
    assert chain.sql("ledger", answered, (ids,)) == [(requests * 2, requests * 2, requests * 2)]
    assert chain.sql("crm", bystanders) == before


def test_offsets_committed_past_unprocessed_records_are_found_and_read_again(chain):
    """Design §3: offsets are audited, not trusted."""
    emails = chain.people("skipped", 300)
    known = chain.overview()
    chain.stack.supervisor.stop("processors")
    with chain.producer() as producer, producer.batch() as batch:
        for email in emails:
            batch.request_erasure(identities={"email": email}, regions=["cn", "sg"])
    chain.commit_by_hand("olvido.processors", ["olvido.requests.v1"])
    chain.stack.supervisor.start("processors")
    chain.final(batch.accepted, within_s=90)
    assert chain.overview()["reread"] - known["reread"] == len(emails)
    assert chain.sql("crm", "select count(*) from customers where email like 'skipped-%%'") == [(0,)]


@pytest.mark.parametrize("part", ["registry", "postgres", "kafka"])
def test_a_part_that_is_down_is_waited_for(chain, part):
    """Everything waits and goes on by itself when the part is back."""
    emails = chain.people(f"outage-{part}", 50)
    with chain.producer() as producer:
        if part != "kafka":  # the broker must take the events first
            accepted = _erase(producer, emails[:25])
            chain.stack.supervisor.stop(part)
            accepted += _erase(producer, emails[25:])
            threading.Event().wait(5)  # the outage itself
            chain.stack.supervisor.start(part)
        else:
            accepted = _erase(producer, emails[:25])
            chain.stack.supervisor.restart(part)
            accepted += _erase(producer, emails[25:])
    chain.final(accepted, within_s=120)
    chain.until(lambda: answers(chain), what=f"{part} answering again", within_s=60)
    gone = chain.sql("crm", "select count(*) from customers where email like %s", (f"outage-{part}-%",))
    assert gone == [(0,)]


def test_a_target_that_is_down_stops_its_own_sink_and_nobody_else(chain):
    emails = chain.people("target", 40)
    _connections(chain, allowed=False)
    try:
        # A registry whose database was killed before may have a dead connection left: callers call again.
        with patiently("upstream", chain.producer, threading.Event()) as producer:
            accepted = _erase(producer, emails)
        ids = [str(one.id) for one in accepted]
        answered = "select sink, count(outcome) from tasks where source_id = any(%s::uuid[]) group by sink"
        chain.until(
            lambda: dict(chain.sql("ledger", answered, (ids,))) == {"crm": 0, "store-sg": len(ids)},
            what="the other sink's work",
            within_s=60,
        )
        is_open = "select count(*) from requests where request_id = any(%s::uuid[]) and finished_at is null"
        assert chain.sql("ledger", is_open, (ids,)) == [(len(ids),)]
    finally:
        _connections(chain, allowed=True)
    chain.final(accepted, within_s=90)
    assert chain.sql("crm", "select count(*) from customers where email like 'target-%%'") == [(0,)]


def _connections(chain, *, allowed: bool) -> None:
    """Take the CRM's database away from everybody, or give it back, as its administrator."""
    connection = psycopg2.connect(chain.stack.admin_dsn())
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(f"alter database crm with allow_connections {'true' if allowed else 'false'}")
        if not allowed:
            cursor.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = 'crm'")
    connection.close()


def kafka_answers(chain) -> bool:
    try:
        reach(chain.deployment.kafka)
    except Unavailable:
        return False
    return True


def answers(chain) -> bool:
    """Whether every part is there for the next test."""
    if not kafka_answers(chain):
        return False
    try:
        # As a producer asks. For a schema by its id the registry answers from memory, while its connections
        # to a database that was killed are dead, and the next who asks gets an error.
        with chain.producer():
            return bool(chain.overview())
    except Unavailable:
        return False


def _erase(producer, emails) -> list[Accepted]:
    """As callers are told (docs/producers.md): they call again, and what may be there has the same ids.

    A broker that is killed on a slow machine may be away for longer than one call waits.
    """
    batch, never = producer.batch(), threading.Event()
    for email in emails:
        ask = partial(batch.request_erasure, identities={"email": email}, regions=["cn", "sg"])
        patiently("upstream", ask, never)
    patiently("upstream", batch.flush, never)
    return list(batch.accepted)
