"""What is issued for a source: the tasks of the first time, or why nobody can issue them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from values import CATALOGUE, a_change, an_erasure, an_id

from olvido.core.catalogue import Catalogue
from olvido.core.outcomes import Outcome
from olvido.core.plan import plan_tasks
from olvido.ledger.replays import ReplaySource
from olvido.operators.desk.replay.issuing import Issuer
from olvido.operators.desk.replay.planning import destroyed_here
from olvido.schemas.codec import consents_codec, requests_codec
from olvido.schemas.privacy.region_keys import create_region_key

REQUESTS, CONSENTS = "olvido.requests.v1", "olvido.consents.v1"


@pytest.fixture
def issuer(kafka_section, registry):
    """Makes issuers."""

    def make(
        catalogue: Catalogue = CATALOGUE, destroyed: Mapping[str, Sequence[str]] | None = None
    ) -> Issuer:
        return Issuer(kafka_section, registry, catalogue, destroyed=destroyed or {})

    return make


@pytest.fixture
def source(registry):
    """Makes sources of the n-th request."""
    codec = requests_codec(registry)

    def make(n: int = 1, **changed: object) -> ReplaySource:
        return replace(
            ReplaySource(
                source_id=an_id(n), topic=REQUESTS, partition=0, offset=n, on_topic=False,
                event=codec.encode(an_erasure(n)),
                tasks={"crm": (0, Outcome.ERASED), "marketing": (0, None)},
            ),
            **changed,
        )  # fmt: skip

    return make


def test_the_same_tasks_with_the_same_ids_and_each_with_its_own_generation(issuer, source):
    tasks, forgotten = issuer().issue(
        [source(1, tasks={"crm": (2, None), "marketing": (0, None)}), source(2)]
    )
    planned = {task.sink: task for task in plan_tasks(an_erasure(1), CATALOGUE)}
    assert [(task.source_id, task.sink, task.generation) for task in tasks] == [
        (an_id(1), "crm", 2), (an_id(1), "marketing", 0), (an_id(2), "crm", 0), (an_id(2), "marketing", 0),
    ]  # fmt: skip
    assert tasks[0] == replace(planned["crm"], generation=2)
    assert forgotten == []


def test_a_consent_change_is_issued_like_a_request(issuer, source, registry):
    change = a_change(7)
    told = source(7, topic=CONSENTS, event=consents_codec(registry).encode(change), tasks={"crm": (0, None)})
    tasks, _ = issuer().issue([told])
    assert tasks == [task for task in plan_tasks(change, CATALOGUE) if task.sink == "crm"]


def reasons(told: tuple) -> dict[str, str]:
    tasks, forgotten = told
    assert not {one.sink for one in forgotten} & {task.sink for task in tasks}
    return {one.sink: one.why for one in forgotten}


def test_without_the_event_everything_of_it_is_forgotten(issuer, source):
    why = "neither the ledger nor the topic holds the event any more"
    assert reasons(issuer().issue([source(event=None)])) == {"crm": why, "marketing": why}


def test_a_destroyed_key_forgets_the_tasks_of_its_region_alone(issuer, source):
    told = issuer(destroyed={"crm": ["cn-2026-11"]}).issue([source()])
    assert reasons(told) == {"crm": "key cn-2026-11 is destroyed"}
    assert [task.sink for task in told[0]] == ["marketing"]


@pytest.mark.parametrize("event", [b"\0\0\0\0\x01garbage", b"x", b"\0\xff\xff\xff\xff"])
def test_bytes_that_are_no_event_are_forgotten_and_no_crash(issuer, source, event):
    assert set(reasons(issuer().issue([source(event=event)]))) == {"crm", "marketing"}


def test_another_event_in_its_place_is_not_taken_for_it(issuer, source, registry):
    other = requests_codec(registry).encode(an_erasure(2))
    assert set(reasons(issuer().issue([source(event=other)])).values()) == {
        "the topic holds another event in its place"
    }


def test_a_sink_that_is_given_no_such_task_any_more_is_told(issuer, source):
    without = replace(CATALOGUE, sinks=CATALOGUE.sinks[1:])
    assert reasons(issuer(without).issue([source()])) == {
        "crm": "olvido.toml gives this sink no such task any more"
    }


def test_which_keys_are_destroyed_is_told_by_what_stands_in_their_place(deployment, tmp_path: Path):
    for epoch in ("2026-10", "2026-11"):
        create_region_key("cn", epoch, public_dir=tmp_path / "public", private_dir=tmp_path / "cn")
    assert destroyed_here(deployment, {"cn": tmp_path / "cn", "sg": tmp_path / "none"}) == {}
    (tmp_path / "cn" / "cn-2026-10.pem").rename(tmp_path / "cn" / "cn-2026-10.destroyed")
    found = destroyed_here(deployment, {"cn": tmp_path / "cn", "sg": tmp_path / "none"})
    assert found == {
        name: ("cn-2026-10",) for name, section in deployment.sinks.items() if section.region == "cn"
    }
