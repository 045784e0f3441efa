"""What an operator sees of real processes: one screen, a live one, the story of a request, a bundle."""

import json
import os
import pty
import select
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from uuid import UUID

import pytest
from shell import olvido, told

pytestmark = [
    pytest.mark.journey, pytest.mark.timeout(300), pytest.mark.xdist_group("journeys: look"),
]  # fmt: skip


def fulfilled(chain, label: str) -> tuple[str, str]:
    """A person's erasure, carried out: the address and the request's id."""
    [email] = chain.people(label, 1)
    accepted = told("request", "erase", "--email", email, "--region", "cn", "--region", "sg")

    def done() -> bool:
        request = chain.ledger.figures.request(UUID(accepted["request_id"]))
        return request is not None and request["state"] == "fulfilled"

    chain.until(done, what="the request", within_s=60)
    return email, accepted["request_id"]


def test_status_is_one_screen_with_every_reader_on_it(chain):
    def well() -> bool:
        return olvido("status").returncode == 0

    # A process that another test has restarted may still be joining its group.
    chain.until(well, what="a status without a problem", within_s=40)
    lines = olvido("status").stdout.splitlines()
    assert (len(lines) <= 24, max(map(len, lines)) <= 80) == (True, True), "\n".join(lines)
    report = told("status")
    assert {row["reader"] for row in report["readers"]} == {
        "olvido.processors", "olvido.recorder", "olvido.sink.crm", "olvido.sink.store-sg",
    }  # fmt: skip
    standings = {row["sink"]: row["standing"] for row in report["sinks"]}
    assert (standings["crm"], standings["store-sg"]) == ("live", "live")
    assert olvido("status", "--watch", "--exit-when-healthy", "--timeout", "60s").returncode == 0


def test_a_requests_story_is_told_in_order_and_fits_the_screen(chain):
    email, request_id = fulfilled(chain, "story")
    moments = told("requests", "show", request_id, "--timeline")
    assert [moment["what"] for moment in moments][:2] == ["asked for: ERASE", "received here"]
    assert moments[-1]["what"] == "finished: fulfilled"
    assert {moment["sink"] for moment in moments if moment["sink"]} == {"crm", "store-sg"}
    drawn = olvido("requests", "show", request_id, "--timeline").stdout
    assert max(map(len, drawn.splitlines())) <= 80
    assert email not in drawn


def test_requests_are_found_by_what_became_of_them(chain):
    _, request_id = fulfilled(chain, "found")

    def found(*filters: str) -> bool:
        return request_id in [row["request_id"] for row in told("requests", "list", *filters)]

    assert found("--sink", "crm", "--outcome", "erased", "--since", "1h", "--right", "erase")
    assert not found("--sink", "crm", "--outcome", "none")
    assert not found("--overdue")
    assert not found("--since", "2099-01-01")


def test_top_says_a_line_for_each_look_where_nobody_looks(chain):
    done = olvido("top", "--every", "0.2", "--count", "3")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert len(lines) == 3
    assert all("sink.crm" in line and "behind" in line for line in lines)


def test_top_ends_on_q_and_leaves_the_terminal_as_it_was(chain):
    ours, theirs = pty.openpty()
    before = os.ttyname(theirs)
    with subprocess.Popen(
        [sys.executable, "-m", "olvido.operators.cli", "top"],
        stdin=theirs, stdout=theirs, stderr=theirs, env={**os.environ, "TERM": "xterm", "COLUMNS": "80"},
    ) as process:  # fmt: skip
        shown = b""
        deadline = time.monotonic() + 60
        while b"sink" not in shown and b"crm" not in shown and time.monotonic() < deadline:
            if select.select([ours], [], [], 0.2)[0]:
                shown += os.read(ours, 65_536)
        os.write(ours, b"q")
        while process.poll() is None and time.monotonic() < deadline:
            if select.select([ours], [], [], 0.2)[0]:
                shown += os.read(ours, 65_536)
    assert (process.returncode, os.ttyname(theirs)) == (0, before)
    while select.select([ours], [], [], 0.2)[0]:
        shown += os.read(ours, 65_536)
    assert b"\x1b[?1049h" in shown  # the other screen …
    assert b"\x1b[?1049l" in shown  # … and back
    os.close(ours)
    os.close(theirs)


def test_the_newest_requests_are_offered_on_tab(chain):
    _, request_id = fulfilled(chain, "tab")
    done = olvido(
        _OLVIDO_COMPLETE="complete_bash", COMP_WORDS="olvido requests show ", COMP_CWORD="3",
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert request_id in done.stdout.split()


def test_a_bundle_of_a_living_deployment_names_nobody(chain, tmp_path: Path):
    email, _ = fulfilled(chain, "bundled")
    to = tmp_path / "bundle.tar.gz"
    done = olvido("support-bundle", "--to", str(to))
    assert done.returncode == 0, done.stderr
    with tarfile.open(to) as bundle:
        texts = {m.name: bundle.extractfile(m).read().decode() for m in bundle.getmembers()}
    everything = "\n".join(texts.values())
    passwords = [dsn.split(":")[2].split("@")[0] for name, dsn in os.environ.items() if name.endswith("_DSN")]
    assert passwords
    assert [secret for secret in (email, *passwords) if secret in everything] == []
    assert json.loads(texts["olvido-support/manifest.json"])["missing"] == {}
    assert any(name.startswith("olvido-support/logs/") for name in texts)
