"""What those on call see of the running processes: metrics, health, logs."""

import json
import urllib.error
import urllib.request

import pytest
from journeys.test_kills import _connections, _erase

from olvido.broker.groups import lag
from olvido.schemas.topics import CANARIES

pytestmark = [
    pytest.mark.journey, pytest.mark.timeout(600), pytest.mark.xdist_group("journeys: look"),
]  # fmt: skip

GROUPS = ("olvido.processors", "olvido.recorder", "olvido.sink.crm", "olvido.sink.store-sg")


def served(chain, name: str, path: str) -> tuple[int, str]:
    """What a process says on one of its pages; 0 while it does not listen."""
    [address] = [part.address for part in chain.stack.status() if part.name == name]
    try:
        with urllib.request.urlopen(f"http://{address}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


def ours(chain) -> list[str]:
    return [part.name for part in chain.stack.status() if part.kind == "process"]


def value_of(chain, name: str, series: str) -> float:
    """One number of a process's metrics; 0 if it is not there yet."""
    lines = served(chain, name, "/metrics")[1].splitlines()
    return next((float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(series + " ")), 0.0)


def all_ready(chain) -> bool:
    return all(served(chain, name, "/readyz")[0] == 200 for name in ours(chain))


def test_every_process_is_alive_and_ready_and_tells_what_it_did(chain):
    chain.until(lambda: all_ready(chain), what="everybody ready", within_s=120)
    emails = chain.people("watched", 30)
    settled = 'olvido_receipts_total{outcome="erased",sink="crm"}'
    erased = 'olvido_time_to_erase_seconds_count{sink="crm"}'
    before = value_of(chain, "recorder", settled), value_of(chain, "recorder", erased)
    with chain.producer() as producer:
        accepted = _erase(producer, emails)
    chain.final(accepted, within_s=120)
    assert value_of(chain, "recorder", settled) - before[0] == 30
    assert value_of(chain, "recorder", erased) - before[1] == 30
    assert value_of(chain, "sink-crm", 'olvido_records_handled_total{topic="olvido.tasks.crm.v1"}') >= 30
    assert value_of(chain, "processors", 'olvido_records_handled_total{topic="olvido.requests.v1"}') >= 30
    chain.until(
        lambda: 'olvido_tasks_owed{sink="crm"} 0.0' in served(chain, "recorder", "/metrics")[1],
        what="the recorder's figures", within_s=60,
    )  # fmt: skip
    assert [name for name in ours(chain) if served(chain, name, "/healthz") != (200, "ok\n")] == []
    pages = "".join(served(chain, name, "/metrics")[1] for name in ours(chain))
    assert [email for email in emails if email in pages] == []
    assert "h1_" not in pages


def test_every_group_reads_the_canaries_while_nobody_asks_for_anything(chain):
    def committed(group: str) -> int:
        return sum(one.committed or 0 for one in lag(chain.deployment.kafka, group, [CANARIES.name]))

    before = {group: committed(group) for group in GROUPS}
    canaries = chain.deployment.kafka.partitions_of(CANARIES.name)
    chain.until(
        lambda: all(committed(group) >= before[group] + canaries for group in GROUPS),
        what="a canary for each partition of each group", within_s=120,
    )  # fmt: skip


def test_a_target_that_is_down_leaves_its_sink_alive_and_not_ready_and_says_why(chain):
    chain.until(lambda: all_ready(chain), what="everybody ready", within_s=120)
    _connections(chain, allowed=False)
    try:
        chain.until(
            lambda: served(chain, "sink-crm", "/readyz")[0] == 503, what="the sink not ready", within_s=120
        )
        why = served(chain, "sink-crm", "/readyz")[1]
        assert why.startswith("target: ")
        assert "password" not in why
        assert served(chain, "sink-crm", "/healthz") == (200, "ok\n")
        assert value_of(chain, "sink-crm", 'olvido_part_up{part="target"}') == 0
        assert served(chain, "sink-store-sg", "/readyz")[0] == 200
    finally:
        _connections(chain, allowed=True)
    chain.until(lambda: all_ready(chain), what="everybody ready again", within_s=120)


def test_every_line_that_a_process_logs_is_json(chain):
    for name in ours(chain):
        for line in chain.stack.folder.log(name).read_text().splitlines():
            said = json.loads(line)
            assert {"timestamp", "level", "logger", "message"} <= set(said), line
