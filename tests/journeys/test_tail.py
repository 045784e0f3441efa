"""`olvido topics tail`: what stands on a topic, masked; in clear only with a key, a reason and a record."""

import json
import subprocess
import sys
from uuid import uuid4

import pytest
from shell import olvido, told

from olvido.broker.contract import Record
from olvido.broker.kafka import KafkaPublisher
from olvido.core.acts import Verb
from olvido.core.causes import Cause
from olvido.ledger.acts import Acts
from olvido.ledger.connection import Database
from olvido.ledger.letters import LetterSelection
from olvido.operators.settings import private_keys
from olvido.schemas.topics import REQUESTS

pytestmark = [
    pytest.mark.journey, pytest.mark.timeout(300), pytest.mark.xdist_group("journeys: look"),
]  # fmt: skip

WHY = ("--reason", "OPS-20")


@pytest.fixture(scope="module")
def person(chain):
    """An erasure that is done: the person's address, and the request's id."""
    [email] = chain.people(f"tailed-{uuid4().hex[:8]}", 1)
    with chain.producer() as producer:
        accepted = producer.request_erasure(identities={"email": email}, regions=["cn", "sg"])
    chain.until(
        lambda: (chain.ledger.figures.request(accepted.id) or {}).get("state") == "fulfilled",
        what="the request", within_s=60,
    )  # fmt: skip
    return email, accepted


def lines(*arguments: str) -> list[dict]:
    done = olvido("topics", "tail", *arguments, "-o", "jsonl")
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def decoded(*arguments: str) -> list[dict]:
    """The rows of records that can be decoded: other tests have left some that cannot."""
    return [row for row in lines(*arguments) if "value" in row]


def reveals(chain) -> list:
    return Acts(Database(chain.deployment.ledger_dsn, application="tests")).newest(verb=Verb.REVEAL)


def private(chain, region: str) -> dict[str, str]:
    """The environment of a machine that has a region's key."""
    return {"OLVIDO_KEYS__PRIVATE_DIR": str(private_keys(region, chain.stack.directory))}


@pytest.mark.parametrize("topic", ["requests", "tasks.crm", "olvido.receipts.v1", "request-status"])
def test_each_topic_is_shown_without_the_person(chain, person, topic):
    email, accepted = person
    rows = decoded(topic, "--from", "earliest")
    mine = [row for row in rows if row["value"].get("request_id") == str(accepted.id)]
    assert mine
    assert all(row["at"] for row in rows)
    table = olvido("topics", "tail", topic, "--from", "earliest")
    assert max(map(len, table.stdout.splitlines())) <= 80
    assert len(table.stdout.splitlines()) >= len(rows)
    for said in (json.dumps(rows), table.stdout, table.stderr):
        assert email not in said
        assert email.partition("@")[0] not in said


def test_records_come_in_the_order_in_which_the_broker_took_them(chain, person):
    at = [row["at"] for row in lines("requests", "--from", "1d")]
    assert at == sorted(at)
    assert [row["at"] for row in lines("requests", "--tail", "2")] == at[-2:]


def test_a_filter_looks_at_what_is_shown(chain, person):
    _, accepted = person
    assert [
        row["value"]["request_id"] for row in decoded("requests", "--filter", f"request_id={accepted.id}")
    ] == [str(accepted.id)]
    assert decoded("tasks.crm", "--filter", f"request_id={accepted.id}", "--filter", "box.region=cn")
    assert decoded("tasks.crm", "--filter", f"request_id={accepted.id}", "--filter", "box.region=sg") == []
    one = decoded("requests", "--filter", "right=ER*", "--partition", "0", "--from", "1d")
    assert {row["partition"] for row in one} <= {0}


def test_what_cannot_be_decoded_is_shown_and_not_hidden(chain, person):
    with KafkaPublisher(chain.deployment.kafka, client_id="tests") as publisher:
        publisher.publish([Record(REQUESTS.name, b"tail", b"\x07\x01\x02 spoilt@example.es")])
    spoilt = [row for row in lines("requests", "--from", "5m", "--filter", "right=ACCESS") if "cause" in row]
    assert any(row["cause"] == "BAD_MAGIC" and "07 01 02" in row["hex"][0] for row in spoilt)
    table = olvido("topics", "tail", "requests").stdout
    assert "BAD_MAGIC" in table
    assert "spoilt" not in table
    # An open letter is a finding of `status` and `doctor`, which other tests on this stack run.
    spoilt_letters = LetterSelection(cause=Cause.BAD_MAGIC, topic=REQUESTS.name)
    chain.until(lambda: bool(chain.letters.newest(spoilt_letters)), what="the letter", within_s=60)
    [kept] = chain.letters.newest(spoilt_letters)
    told("dead-letters", "discard", str(kept.letter.dead_letter_id), *WHY)


def test_a_range_in_time(chain, person):
    assert lines("requests", "--from", "latest") == []
    assert lines("requests", "--from", "2020-01-01T00:00:00Z", "--to", "2020-01-02T00:00:00Z") == []
    everything = lines("requests", "--from", "earliest")
    assert lines("requests", "--from", "2020-01-01") == everything


def test_a_box_is_opened_with_the_key_and_the_act_stands_before(chain, person):
    email, accepted = person
    only = ("--filter", f"request_id={accepted.id}", "--reveal")
    before = len(reveals(chain))
    done = olvido(
        "topics",
        "tail",
        "requests",
        *only,
        "cn",
        "--confirm",
        "cn",
        *WHY,
        "-o",
        "jsonl",
        **private(chain, "cn"),
    )
    assert done.returncode == 0, done.stderr
    [row] = [row for row in map(json.loads, done.stdout.splitlines()) if "revealed" in row]
    assert row["revealed"] == [f"email {email}"]
    [act] = reveals(chain)[: len(reveals(chain)) - before]
    assert act["details"] == {
        "topic": "olvido.requests.v1", "region": "cn", "since": "latest", "until": "now",
        "fields": ["request_id"], "at_most": 10,
    }  # fmt: skip
    assert email not in json.dumps(act, default=str)
    table = olvido("topics", "tail", "requests", *only, "cn", "--confirm", "cn", *WHY, **private(chain, "cn"))
    assert email in table.stdout


def test_without_the_regions_own_key_nothing_is_revealed(chain, person):
    email, accepted = person
    arguments = (
        "requests",
        "--filter",
        f"request_id={accepted.id}",
        "--reveal",
        "cn",
        "--confirm",
        "cn",
        *WHY,
    )
    before = len(reveals(chain))
    done = olvido("topics", "tail", *arguments, **private(chain, "sg"))
    assert (done.returncode, email in done.stdout) == (2, False)
    done = olvido("topics", "tail", *arguments, OLVIDO_KEYS__PRIVATE_DIR="/nowhere")
    assert (done.returncode, "keys.private_dir" in done.stderr) == (2, True)
    assert len(reveals(chain)) == before


def test_only_so_many_are_revealed(chain, person):
    arguments = ("tasks.crm", "--from", "1d", "--reveal", "cn", "--reveal-max", "1", "--confirm", "cn", *WHY)
    [email] = chain.people(f"second-{uuid4().hex[:8]}", 1)
    with chain.producer() as producer:
        accepted = producer.request_erasure(identities={"email": email}, regions=["cn"])
    chain.until(
        lambda: (chain.ledger.figures.request(accepted.id) or {}).get("state") == "fulfilled",
        what="the request", within_s=60,
    )  # fmt: skip
    done = olvido("topics", "tail", *arguments, "-o", "jsonl", **private(chain, "cn"))
    rows = map(json.loads, done.stdout.splitlines())
    revealed = [row["revealed"] for row in rows if "revealed" in row]
    assert [bool(one) for one in revealed] == [True] + [False] * (len(revealed) - 1)
    assert len(revealed) > 1
    assert "--reveal-max" in done.stderr


def test_following_shows_what_comes(chain, person):
    with subprocess.Popen(
        [sys.executable, "-m", "olvido.operators.cli", "topics", "tail", "requests",
         "--follow", "--from", "1d", "-o", "jsonl"],
        stdout=subprocess.PIPE, text=True,
    ) as following:  # fmt: skip
        assert following.stdout is not None
        try:
            first = json.loads(following.stdout.readline())
            assert first["topic"] == REQUESTS.name
            [email] = chain.people(f"followed-{uuid4().hex[:8]}", 1)
            with chain.producer() as producer:
                accepted = producer.request_erasure(identities={"email": email}, regions=["cn"])
            for line in following.stdout:  # until the time-out of the test
                if json.loads(line).get("value", {}).get("request_id") == str(accepted.id):
                    break
        finally:
            following.terminate()


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("request",), 2, "did you mean 'requests'"),
        (("tasks.crn",), 2, "did you mean 'tasks.crm'"),
        (("requests", "--from", "yesterday"), 2, "--from"),
        (("requests", "--from", "2026-01-01T00:00:00"), 2, "time zone"),
        (("requests", "--from", "2999-01-01"), 2, "future"),
        (("requests", "--from", "1h", "--to", "2h"), 2, "--to: is before the instant"),
        (("requests", "--partition", "6"), 2, "0 to 5"),
        (("requests", "--tail", "0"), 2, "--tail"),
        (("requests", "--filter", "right"), 2, "FIELD=GLOB"),
        (("requests", "--filter", "rigth=ERASE"), 2, "did you mean 'right'"),
        (("requests", "--follow", "-o", "json"), 2, "--follow"),
        (("requests", "--reveal", "mx", *WHY), 2, "region"),
        (("receipts", "--reveal", "cn", *WHY), 2, "no sealed boxes"),
        (("requests", "--reveal", "cn"), 2, "--reason"),
        (("requests", "--reveal", "cn", *WHY), 4, "--confirm cn"),
        (("requests", "--reveal", "cn", "--reveal-max", "1000", *WHY), 2, "--reveal-max"),
    ],
)
def test_what_cannot_be_shown_is_refused_with_the_fix(chain, arguments, code, says):
    before = len(reveals(chain))
    done = olvido("topics", "tail", *arguments, **private(chain, "cn"))
    assert (done.returncode, says in done.stderr) == (code, True), done.stderr
    assert (done.stdout, len(reveals(chain))) == ("", before)
