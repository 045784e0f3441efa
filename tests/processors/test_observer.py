"""What is counted and what is told of the ledger, on a real one."""

from datetime import timedelta

import pytest
from processors.town import Town
from prometheus_client import REGISTRY as NOT_OURS
from values import NOW, an_erasure, an_id

from olvido.broker.runtime.metrics import FIGURES, REGISTRY
from olvido.core.causes import Cause
from olvido.core.dead_letters import DeadLetter
from olvido.core.outcomes import Outcome
from olvido.ledger.store import Ledger
from olvido.processors.observer import Observer
from olvido.schemas.registry import Registry
from olvido.schemas.settings.deployment import Deployment, KafkaSection, LedgerSection
from olvido.schemas.topics import readers_of


@pytest.fixture
def town(registry: Registry, ledger_dsn: str, ledger: Ledger) -> Town:
    return Town(registry, ledger_dsn)


@pytest.fixture
def observer(deployment: Deployment, kafka_section: KafkaSection, ledger_dsn: str, town: Town) -> Observer:
    where = {"kafka": kafka_section, "ledger": LedgerSection(dsn=ledger_dsn)}
    return Observer(deployment.model_copy(update=where), town.ledger.database)


def counted(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_a_receipt_is_counted_once_however_often_it_comes(town: Town) -> None:
    labels = {"sink": "crm", "outcome": "erased"}
    before = (
        counted("olvido_receipts_total", **labels),
        counted("olvido_time_to_erase_seconds_count", sink="crm"),
    )
    seconds = counted("olvido_time_to_erase_seconds_sum", sink="crm")
    tasks = [
        task for task in town.ask(an_erasure(requested_at=NOW - timedelta(seconds=90))) if task.sink == "crm"
    ]
    for _ in range(3):
        town.answer(tasks)
    assert counted("olvido_receipts_total", **labels) - before[0] == 1
    assert counted("olvido_time_to_erase_seconds_count", sink="crm") - before[1] == 1
    assert counted("olvido_time_to_erase_seconds_sum", sink="crm") - seconds == 90


def test_what_is_not_at_its_end_is_no_time_to_erase(town: Town) -> None:
    before = counted("olvido_time_to_erase_seconds_count", sink="crm")
    tasks = [task for task in town.ask(an_erasure(2)) if task.sink == "crm"]
    town.answer(tasks, Outcome.DEFERRED)
    assert counted("olvido_time_to_erase_seconds_count", sink="crm") == before


def test_the_ledger_tells_what_is_owed_parked_dead_and_unsafe(town: Town, observer: Observer) -> None:
    nothing = observer.ledger()
    assert nothing["olvido_tasks_owed"]["crm",] == 0
    assert nothing["olvido_oldest_unacknowledged_seconds"]["crm",] == 0
    assert nothing["olvido_dead_letters"] == {}
    crm, marketing = sorted(town.ask(an_erasure(3)), key=lambda task: task.sink)
    with town.ledger.recording([]) as recording:
        recording.write_dead_letters(
            [
                DeadLetter(
                    dead_letter_id=an_id(77), group="g", topic="t", partition=0, offset=1,
                    cause=Cause.ABOVE_LIMIT, field="rows_max", reason="r", sha256=b"s", size=1, attempts=1,
                    failed_at=NOW, task_id=marketing.task_id, generation=0, source_id=marketing.source_id,
                )
            ]
        )  # fmt: skip
    town.declare("crm", since=NOW - timedelta(days=1))
    told = observer.ledger()
    assert told["olvido_tasks_parked"]["marketing",] == 1
    assert told["olvido_tasks_owed"]["marketing",] == 0
    assert told["olvido_tasks_owed"]["crm",] >= 1
    assert told["olvido_oldest_unacknowledged_seconds"]["crm",] > 0
    above = told["olvido_tasks_above_limit"]
    assert (above["crm",], above["marketing",]) == (0, 1)
    assert told["olvido_dead_letters"] == {("ABOVE_LIMIT", "open"): 1}
    assert told["olvido_dead_letters_oldest_seconds"]["ABOVE_LIMIT",] >= 0
    unsafe = told["olvido_sink_unsafe"]
    assert (unsafe["crm",], unsafe["marketing",]) == (1, 0)
    assert crm.sink == "crm"


def test_the_broker_tells_how_far_each_group_is_and_canaries_are_no_lag(
    observer: Observer, deployment: Deployment
) -> None:
    told = observer.broker()
    groups = {labels[0] for labels in told["kafka_consumergroup_lag"]}
    assert groups == set(readers_of(deployment.sinks))
    topics = {labels[1] for labels in told["kafka_consumergroup_lag"]}
    assert not any("canaries" in topic for topic in topics)


def test_figures_are_replaced_all_at_once_and_are_in_no_other_registry() -> None:
    FIGURES.replace({"olvido_tasks_owed": {("crm",): 3.0, ("ads",): 1.0}})
    FIGURES.replace({"olvido_tasks_owed": {("crm",): 2.0}})
    assert counted("olvido_tasks_owed", sink="crm") == 2
    assert REGISTRY.get_sample_value("olvido_tasks_owed", {"sink": "ads"}) is None
    assert NOT_OURS.get_sample_value("olvido_tasks_owed", {"sink": "crm"}) is None
