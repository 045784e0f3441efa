"""Canary people on a real database, ledger and registry: one is forgotten, and a sink that lies turns red."""

import logging
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from conftest import PROJECT
from emptied import database
from key_files import ALWAYS, KeyFiles, principals_of
from processors.town import HOUR, Town
from sinks.shop import KINDS
from sinks.targets import PostgresTarget

from olvido.broker.groups import lag
from olvido.broker.runtime.metrics import REGISTRY
from olvido.core.errors import ConfigError, InvalidInput
from olvido.core.events import Verified
from olvido.core.outcomes import Outcome
from olvido.core.tasks import Task
from olvido.operators.desk.canary_people import (
    METHOD,
    CanaryPeople,
    PlantedSink,
    _opened,
    planted,
    run_canary_people,
)
from olvido.producers.build import Builder
from olvido.schemas.privacy.handle_key import HandleKey, create_handle_key
from olvido.schemas.settings.deployment import (
    Deployment,
    KeysSection,
    LedgerSection,
    RegistrySection,
    SinkSection,
)
from olvido.schemas.topics import REQUESTS
from olvido.sinks.contract import OpenedTask
from sinks import shop

TABLES = {"customers": {"id": "{day}", "email": "{address}"}}
DAY = timedelta(days=1)


class Deployed:
    """The ledger, a CRM in PostgreSQL with its sink, and the canary people of it."""

    def __init__(self, town: Town, target: PostgresTarget, folder: Path) -> None:
        self.town, self.target, self.sink = town, target, target.sink()
        # Noon of tomorrow: what is done now is past by then, and an hour more is the same day.
        town.now = (datetime.now(UTC) + DAY).replace(hour=12)
        files = KeyFiles(folder, ("cn",))
        self.opener, sealer = files.opener("cn"), files.sealer(now=datetime.now(UTC))
        town.seals = files.control_seals(principals_of(town.catalogue), until=ALWAYS)
        self.builder = Builder(handle_key=HandleKey(1, bytes(32)), sealer=sealer)
        self.asked: list[Task] = []
        self.people = self.another()

    def another(self) -> CanaryPeople:
        """The process, begun anew."""
        crm = PlantedSink(name="crm", region="cn", target=self.sink, tables=TABLES)
        return CanaryPeople([crm], self.town.ledger.figures, self.ask, clock=self.town.clock)

    def ask(self, person: Any, sink: PlantedSink, at: datetime) -> None:
        """As the producer does it; and the processors have planned it at once."""
        at = min(at, datetime.now(UTC))
        request = self.builder.request(
            "ERASE", {"email": person.address}, regions=[sink.region], purposes=(), requested_at=at,
            request_id=person.request_id, verification_required=False,
            verified=Verified(method=METHOD, verified_at=at),
        )  # fmt: skip
        self.asked += self.town.ask(request)

    def carry_out(self, *tasks: Task) -> None:
        """What an honest sink does with tasks."""
        opened = [
            OpenedTask(
                task=task,
                identities=self.opener.open(task.box, task),
            )
            for task in tasks
        ]
        self.town.record(self.sink.apply(opened))

    def steps(self, number: int) -> None:
        for _ in range(number):
            self.people.step()

    def rows(self) -> int:
        return self.target.run("SELECT count(*) FROM customers")[0][0]


@pytest.fixture
def deployed(
    registry: Any, ledger: Any, ledger_dsn: str, postgres_admin_dsn: str, monkeypatch: Any, tmp_path: Path
) -> Iterator[Deployed]:
    with database(postgres_admin_dsn, "shop") as dsn:
        yield Deployed(Town(registry, ledger_dsn), PostgresTarget(dsn, monkeypatch), tmp_path)


def value(name: str) -> float | None:
    return REGISTRY.get_sample_value(name, {"sink": "crm"})


def test_a_canary_person_is_planted_asked_for_once_erased_and_seen_to_be_gone(deployed: Deployed):
    deployed.steps(1)
    assert (deployed.rows(), len(deployed.asked)) == (1, 0)
    deployed.people = deployed.another()  # killed between the two
    deployed.steps(3)
    assert (deployed.rows(), [task.sink for task in deployed.asked]) == (1, ["crm"])
    assert value("olvido_canary_person_forgotten_age_seconds") == 8 * 86_400

    deployed.carry_out(*deployed.asked)
    deployed.town.now += HOUR
    deployed.steps(3)
    assert (deployed.rows(), len(deployed.asked)) == (0, 1)
    assert 0 < (value("olvido_time_to_forget_seconds") or 0) < 3600
    assert 12 * 3600 < (value("olvido_canary_person_forgotten_age_seconds") or 0) < 38 * 3600
    assert value("olvido_canary_people_standing") == 0
    assert deployed.people.why_not_ready() == ""


def test_a_sink_that_says_erased_while_the_row_stands_turns_red(
    deployed: Deployed, caplog: pytest.LogCaptureFixture
):
    deployed.steps(2)
    deployed.town.answer(deployed.asked, Outcome.ERASED)  # and does nothing
    with caplog.at_level(logging.WARNING):
        deployed.steps(2)
    assert value("olvido_canary_people_standing") == 1
    assert "sink crm has answered, and rows of its canary person stand" in deployed.people.why_not_ready()
    assert len(caplog.records) == 1  # told once, and without the address
    assert "@" not in caplog.text

    # It stays red, also for a process that begins anew the next day, and until the rows are gone.
    deployed.town.now += DAY
    deployed.people = deployed.another()
    deployed.steps(1)
    assert value("olvido_canary_people_standing") == 1
    deployed.target.run("DELETE FROM customers WHERE email LIKE 'canary+crm-%'")
    deployed.steps(1)
    assert value("olvido_canary_people_standing") == 0


def test_a_day_on_which_nobody_was_forgotten_is_seen(deployed: Deployed):
    """The request is never answered; or something else removes the rows before the sink can."""
    deployed.steps(2)
    deployed.carry_out(*deployed.asked)
    deployed.town.now += DAY
    deployed.steps(2)
    assert len(deployed.asked) == 2
    deployed.target.run("DELETE FROM customers")
    deployed.carry_out(deployed.asked[1])  # not_found
    deployed.town.now += 6 * HOUR
    deployed.steps(1)
    assert (value("olvido_canary_person_forgotten_age_seconds") or 0) > 26 * 3600
    assert value("olvido_canary_people_standing") == 0


def test_rows_of_people_are_not_touched(deployed: Deployed):
    deployed.target.run("INSERT INTO customers (id, email) VALUES (1, 'person1@example.com')")
    deployed.steps(2)
    deployed.carry_out(*deployed.asked)
    assert deployed.target.run("SELECT id, email FROM customers") == [(1, "person1@example.com")]


def test_a_target_that_refuses_the_row_is_told_and_asked_for_nobody(deployed: Deployed):
    deployed.target.run("ALTER TABLE customers ADD CHECK (email NOT LIKE '%invalid')")
    deployed.steps(2)
    assert (deployed.rows(), deployed.asked) == (0, [])
    assert "sink crm: nothing is known of its canary person" in deployed.people.why_not_ready()


def test_where_no_section_says_what_is_planted_nobody_is():
    ours = Deployment.load(PROJECT / "olvido.toml")
    with pytest.raises(ConfigError, match="no sink has a section canary"):
        planted(ours)
    with pytest.raises(ConfigError, match=r"sinks.crm.canary: is missing"):
        planted(ours, ["crm"])
    with pytest.raises(InvalidInput, match="'crmm'; did you mean 'crm'"):
        planted(ours, ["crmm"])


def test_a_sink_that_can_plant_nobody_says_so(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OLVIDO_MARKETING_URL", "http://127.0.0.1:9")
    ours = Deployment.load(PROJECT / "olvido.toml")
    section = ours.sinks["marketing"].model_copy(update={"canary": TABLES})
    ours = ours.model_copy(update={"sinks": {**ours.sinks, "marketing": section}})
    assert planted(ours) == ["marketing"]
    told = "sinks.marketing.canary: a sink of kind http can plant nobody"
    with pytest.raises(ConfigError, match=told), _opened(ours, "marketing"):
        pass


def test_the_process_plants_and_emits_the_request(
    deployed: Deployed, kafka_section: Any, parts: Any, ledger_dsn: str, tmp_path: Path
):
    ours = Deployment.load(PROJECT / "olvido.toml")
    crm = SinkSection.model_validate(
        {
            "kind": "postgres",
            "region": "cn",
            "identities": KINDS,
            "purposes": ("marketing",),
            "dsn": {"env": "OLVIDO_TEST_CRM"},
            "tables": shop.TABLES,
            "canary": TABLES,
        }
    )
    create_handle_key(tmp_path / "handle.key")
    files = KeyFiles(tmp_path, ("cn",))
    ours = ours.model_copy(
        update={
            "kafka": kafka_section,
            "registry": RegistrySection(url=parts.registry_url),
            "keys": KeysSection(
                handle_file=tmp_path / "handle.key",
                public_dir=files.public,
                signing_file=files.signing_file(),
            ),
            "ledger": LedgerSection(dsn=ledger_dsn),
            "sinks": {**ours.sinks, "crm": crm},
        }
    )

    def emitted() -> int:
        return sum(one.end for one in lag(kafka_section, "nobody", [REQUESTS.name]))

    before, stop = emitted(), threading.Event()
    process = threading.Thread(target=run_canary_people, args=(ours, stop), daemon=True)
    process.start()
    give_up_at = time.monotonic() + 120
    while emitted() == before:
        assert time.monotonic() < give_up_at, "no request was emitted"
        time.sleep(0.2)  # the broker tells nobody
    stop.set()
    process.join()
    assert deployed.rows() == 1
