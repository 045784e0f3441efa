"""The number of partitions is a setting: the whole chain with many of one topic and one of another.

``make proof`` has one of each as well.
"""

import json
from collections.abc import Iterator

import pytest
from conftest import Parts
from journeys.conftest import TOML, Chain, operated, running
from shell import olvido, told

from olvido.broker.groups import end_offsets
from olvido.schemas.topics import CANARIES, CONSENTS, DEAD_LETTERS, RECEIPTS, REQUESTS, tasks_topic

pytestmark = [
    pytest.mark.journey, pytest.mark.timeout(300), pytest.mark.xdist_group("journeys: partitions"),
]  # fmt: skip

CRM, STORE = tasks_topic("crm").name, tasks_topic("store-sg").name
MIXED = f"""[kafka]
partitions = 24
[kafka.topic_partitions]
"{STORE}" = 5
"{CRM}" = 1
"{CONSENTS.name}" = 1
"{RECEIPTS.name}" = 1
"{DEAD_LETTERS.name}" = 1
"""
ONE = "[kafka]\npartitions = 1\n"


@pytest.fixture(
    scope="module",
    params=[pytest.param(MIXED, id="mixed"), pytest.param(ONE, id="one", marks=pytest.mark.proof)],
)
def chain(request: pytest.FixtureRequest, parts: Parts) -> Iterator[Chain]:
    """A chain of its own for each choice."""
    with running(TOML + request.param, shared=parts) as chain, operated(chain.stack):
        yield chain


def test_every_request_is_fulfilled_and_a_range_is_replayed(chain: Chain) -> None:
    kafka = chain.deployment.kafka
    topics = (REQUESTS.name, CONSENTS.name, RECEIPTS.name, CRM, STORE)
    there = end_offsets(kafka, (*topics, CANARIES.name))
    for topic in topics:
        assert sorted(number for name, number in there if name == topic) == list(
            range(kafka.partitions_of(topic))
        )
    # Only this topic may grow, and the test below has it grow: the two come in any order.
    assert {number for name, number in there if name == CANARIES.name} >= set(
        range(kafka.partitions_of(CANARIES.name))
    )
    with chain.producer() as producer, producer.batch() as batch:
        for email in chain.people("parted", 30):
            batch.request_erasure(identities={"email": email}, regions=["cn", "sg"])
    chain.final(batch.accepted, within_s=60)
    assert chain.sql("crm", "select count(*) from customers where email like 'parted-%%'") == [(0,)]

    # Somewhere a partition holds two requests: one of them is asked for again, by its offset.
    ends = end_offsets(kafka, [REQUESTS.name])
    (_, partition), end = max(ends.items(), key=lambda item: item[1])
    assert end >= 2
    effects = chain.effects("crm")
    plan = told(
        "replay", "plan", "--topic", "requests", "--partition", str(partition),
        "--from-offset", str(end - 2), "--to-offset", str(end - 1), "--name", "one-offset",
        "--rate", "1000/s",
    )  # fmt: skip
    assert sum(place["records"] for place in plan["places"]) == 1
    assert (
        olvido("replay", "run", "one-offset", "--confirm", "one-offset", "--reason", "TEST-1").returncode == 0
    )
    chain.until(lambda: not chain.before("crm"), what="crm idle", within_s=30)
    assert chain.effects("crm") == effects
    assert "PARTITIONER" not in (chain.stack.folder.logs / "processors.log").read_text()


def test_another_number_than_a_topic_was_made_with_is_said_with_the_fix_and_changes_nothing(
    chain: Chain,
) -> None:
    before = end_offsets(chain.deployment.kafka, [REQUESTS.name]).keys()
    other = {"OLVIDO_KAFKA__PARTITIONS": "7"}
    applied = olvido("topics", "apply", **other)
    assert applied.returncode == 1
    examined = olvido("doctor", "-o", "json", **other)
    assert examined.returncode == 10
    [finding] = [one for one in json.loads(examined.stdout) if "partitions is" in one["text"]]
    assert f'"{REQUESTS.name}" = {len(before)} under [kafka.topic_partitions]' in finding["fix"]
    assert end_offsets(chain.deployment.kafka, [REQUESTS.name]).keys() == before
