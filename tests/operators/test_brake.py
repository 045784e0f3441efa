"""`olvido brake` and `olvido requests withdraw`, in a shell, on a real ledger."""

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from conftest import PROJECT
from key_files import UNSIGNED
from values import CATALOGUE, NOW, an_erasure, an_id, read

from olvido.core.acts import Verb
from olvido.core.brake import HeldFor
from olvido.core.errors import InvalidInput
from olvido.ledger.acts import Acts
from olvido.operators.cli import app
from olvido.operators.desk import acts
from olvido.operators.desk.brake import WhichHeld
from olvido.processors import requests

Shell = Callable[..., tuple[int, str]]


@pytest.fixture
def shell(ledger, ledger_dsn: str, monkeypatch, capsys) -> Shell:
    monkeypatch.setenv("OLVIDO_CONFIG", str(PROJECT / "olvido.toml"))
    monkeypatch.setenv("OLVIDO_LEDGER__DSN", ledger_dsn)
    monkeypatch.setenv("COLUMNS", "160")

    def run(*words: object, who: str = "ana@ops") -> tuple[int, str]:
        monkeypatch.setattr(acts, "who", lambda: who)
        with pytest.raises(SystemExit) as end:
            app.main([str(word) for word in words])
        printed = capsys.readouterr()
        return int(end.value.code or 0), printed.out + printed.err

    return run


@pytest.fixture
def held(ledger) -> None:
    """Two erasures are above a limit, and one is on its way."""
    above = {an_id(number): HeldFor.ERASURES_PER_HOUR for number in (1, 2)}
    output = requests.step(
        [read(an_erasure(number), number) for number in (1, 2, 3)],
        requests.KnownRequests(requests={}, verifications={}), CATALOGUE, UNSIGNED, NOW, braked=above,
    )  # fmt: skip
    ledger.requests.save(
        output.rows, output.new_tasks, topic="olvido.requests.v1", now=NOW, due_after=timedelta(hours=1),
        held=output.held,
    )  # fmt: skip


def test_two_people_release_and_the_second_is_waited_for(shell: Shell, held: None, ledger) -> None:
    code, text = shell("brake", "list", "-o", "csv")
    assert (code, text.count("erasures_per_hour")) == (0, 2), text
    code, text = shell("brake", "release", "--all", "--reason", "OPS-17")
    assert code == 0
    assert "2 erasures wait for a second person: somebody other than ana@ops" in text
    code, text = shell("brake", "release", an_id(1), "--reason", "OPS-17", who="bo@ops")
    assert (code, re.findall(r"carried[_ ]out\W+(\d+)", text)) == (0, ["1"])
    assert [act["who"] for act in Acts(ledger.database).newest(verb=Verb.RELEASE)] == ["bo@ops", "ana@ops"]
    _, text = shell("brake", "list", "-o", "csv")
    assert (text.count("released"), text.count("release,ana@ops")) == (1, 2)


def test_a_request_is_withdrawn_until_a_sink_was_asked(shell: Shell, held: None) -> None:
    code, text = shell("requests", "withdraw", an_id(1), "--reason", "T-1")
    assert (code, "is withdrawn; no sink was asked" in text) == (0, True)
    code, text = shell("requests", "withdraw", an_id(3), "--reason", "T-1")
    assert code == 4
    assert "too late" in text
    assert "crm (no receipt yet), marketing (no receipt yet)" in text
    assert shell("requests", "withdraw", an_id(9), "--reason", "T-1")[0] == 3
    _, text = shell("requests", "show", an_id(2))
    assert "it is held, and no sink is asked yet" in text


@pytest.mark.parametrize("which", [{}, {"every": True, "asked_by": "//shop"}])
def test_it_is_said_which(which: dict) -> None:
    with pytest.raises(InvalidInput, match="say which"):
        WhichHeld(**which).check()
