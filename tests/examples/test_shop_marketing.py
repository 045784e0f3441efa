"""The marketing service as a process of its own, over a real socket: what comes twice is done once."""

import json
import random
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

SERVICE = Path(__file__).parents[2] / "examples" / "shop" / "marketing.py"
EMAIL = "MARÍA.Pérez@Peña.example"
NORMALISED = "maría.pérez@xn--pea-8ma.example"


class Service:
    """The service, started and spoken to."""

    def __init__(self, file: Path) -> None:
        self._file = file
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, SERVICE, "--port", str(self._port), "--file", str(self._file)]
        )
        give_up_at = time.monotonic() + 20
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self._port}/health", timeout=1)
                return
            except OSError:
                assert time.monotonic() < give_up_at, "the service did not answer within 20 s"
                time.sleep(0.05)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(10)

    def post(self, path: str, body: Any) -> Any:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self._port}{path}",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def sign_up(self, email: str = EMAIL) -> None:
        self.post("/contacts", {"email": email, "name": "María", "list": "newsletter"})

    def contacts(self, email: str = EMAIL) -> list[Any]:
        return self.post("/contacts/search", {"email": email})["contacts"]

    def task(self, key: str, action: str = "ERASE", **more: Any) -> dict[str, Any]:
        return {
            "idempotency_key": key,
            "action": action,
            "occurred_at": datetime.now(UTC).isoformat(),
            "purposes": [],
            "decision": None,
            "event_id": None,
            "identities": [{"kind": "email", "value": EMAIL, "normalised": NORMALISED}],
            "handles": [{"kind": "email", "value": "h1_abc"}],
            **more,
        }

    def tasks(self, *tasks: dict[str, Any]) -> list[Any]:
        return self.post("/olvido/v1/tasks", {"tasks": list(tasks)})["receipts"]

    def consent(self, decision: str, at: datetime, event: str) -> str:
        task = self.task(
            f"{event}.0", "CONSENT", decision=decision, occurred_at=at.isoformat(), event_id=event,
            purposes=["marketing"],
        )  # fmt: skip
        return self.tasks(task)[0]["outcome"]


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    service = Service(tmp_path / "marketing.sqlite")
    yield service
    service.kill()


def test_a_task_that_comes_twice_is_answered_twice_and_done_once(service: Service) -> None:
    service.sign_up()
    task = service.task("a.0")
    (first,) = service.tasks(task)
    service.sign_up()
    again = service.tasks(task, task)
    assert first["outcome"] == "erased"
    assert first["counts"] == {"contacts.deleted": 1}
    assert again == [first, first]
    assert len(service.contacts()) == 1


def test_an_answer_is_remembered_over_a_kill(service: Service) -> None:
    service.sign_up()
    task = service.task("a.0")
    first = service.tasks(task)
    service.kill()
    service.start()
    assert service.tasks(task) == first


def test_who_signed_up_after_asking_is_not_touched(service: Service) -> None:
    service.sign_up()
    task = service.task("a.0")
    service.sign_up("maría.pérez@peña.example")
    assert service.tasks(task)[0]["counts"] == {"contacts.deleted": 1}
    assert len(service.contacts()) == 1


def test_somebody_unknown_is_not_found(service: Service) -> None:
    assert service.tasks(service.task("a.0"))[0]["outcome"] == "not_found"


def test_the_last_word_stands_in_whatever_order_words_come(service: Service) -> None:
    service.sign_up()
    now = datetime.now(UTC)
    assert service.consent("WITHDRAWN", now, "00000002") == "consent_applied"
    assert service.consent("GRANTED", now - timedelta(hours=1), "00000003") == "superseded"
    assert service.consent("GRANTED", now, "00000009") == "superseded"  # a withdrawal wins a tie
    assert [contact["allowed"] for contact in service.contacts()] == [0]
    assert service.consent("GRANTED", now + timedelta(seconds=1), "00000004") == "consent_applied"
    assert [contact["allowed"] for contact in service.contacts()] == [1]


def test_reading_back_finds_who_is_there_and_nobody_else(service: Service) -> None:
    service.sign_up()
    lookup = service.task("a.0")
    looked_up = {"idempotency_key": "a.0", "found": True}
    assert service.post("/olvido/v1/lookups", {"lookups": [lookup]}) == {"lookups": [looked_up]}
    service.tasks(lookup)
    looked_up["found"] = False
    assert service.post("/olvido/v1/lookups", {"lookups": [lookup]}) == {"lookups": [looked_up]}


def test_what_is_erased_is_in_no_byte_of_the_file(service: Service, tmp_path: Path) -> None:
    service.sign_up()
    service.tasks(service.task("a.0"))
    content = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert EMAIL.encode() not in content
    assert NORMALISED.encode() not in content


def test_no_byte_is_left_where_the_file_was_rearranged(tmp_path: Path) -> None:
    """SQLite overwrites what it deletes, but not every copy that it leaves when it rearranges pages.

    These addresses, erased in this order, leave one of them in the file unless it is written anew.
    """
    file = tmp_path / "marketing.sqlite"
    chance = random.Random(11)
    emails = [
        f"{chance.randbytes(chance.randrange(2, 20)).hex()}.{number}@correo.example"
        for number in range(3_000)
    ]
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("pragma secure_delete = on")
        connection.executescript((SERVICE.parent / "marketing.sql").read_text(encoding="utf-8"))
        connection.executemany(
            "insert into contacts (email, email_key, name, list, created_at) "
            "values (?1, ?1, 'x', 'x', '2025')",
            [(email,) for email in emails],
        )
    service = Service(file)
    leaving = chance.sample(emails, 2_000)
    tasks = [
        service.task(f"{n}.0", identities=[{"kind": "email", "value": email, "normalised": email}])
        for n, email in enumerate(leaving)
    ]
    for start in range(0, len(tasks), 500):
        service.tasks(*tasks[start : start + 500])
    service.kill()
    content = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert [email for email in leaving if email.encode() in content] == []


@pytest.mark.parametrize(
    ("body", "status"), [({"tasks": [{}] * 501}, 413), ({"tasks": [{}]}, 400), ([], 400)]
)
def test_what_is_not_understood_is_refused_whole(service: Service, body: Any, status: int) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        service.post("/olvido/v1/tasks", body)
    assert refused.value.code == status
