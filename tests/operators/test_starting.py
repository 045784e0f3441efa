"""`olvido up` and `olvido restart` over a real supervisor: what is checked first, what is said last."""

import io
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from olvido.core.errors import ConfigError, InvalidInput
from olvido.operators.local import programs, stack, starting
from olvido.operators.local.errors import StackError
from olvido.operators.local.program import Program
from olvido.operators.local.stack import Stack
from olvido.schemas.settings.deployment import Deployment

TOML = """
regions = ["eu"]
purposes = ["news"]
kafka.bootstrap_servers = "127.0.0.1:1"

[sinks.blog]
kind = "http"
region = "eu"
identities = ["email"]
url = { env = "BLOG_URL" }
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "olvido.toml").write_text(TOML, encoding="utf-8")
    monkeypatch.setenv("OLVIDO_CONFIG", str(tmp_path / "olvido.toml"))
    monkeypatch.setenv("BLOG_URL", "http://127.0.0.1:1")
    yield tmp_path
    stack.down(tmp_path, purge=True)


def up(project: Path, *started: Program) -> Stack:
    return stack.up(project, started, parts=frozenset(), environ={}, usual_ports=False)


def a_sleeper(name: str) -> Program:
    return Program(name=name, command=("/bin/sleep", "600"))


def pids(project: Path) -> dict[str, int | None]:
    return {part.name: part.pid for part in stack.status(project)}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ('region = "moon"', "moon"),
        ('kind = "carrier-pigeon"', "carrier-pigeon"),
        ('url = { env = "NO" }', "NO"),
    ],
)
def test_a_map_that_is_wrong_is_told_before_anything_is_started(project: Path, wrong: str, said: str) -> None:
    key = wrong.partition(" ")[0]
    lines = [wrong if line.startswith(f"{key} =") else line for line in TOML.splitlines()]
    (project / "olvido.toml").write_text("\n".join(lines), encoding="utf-8")
    command = (sys.executable, "-m", "olvido.operators.cli")
    done = [
        subprocess.run([*command, *words], cwd=project, capture_output=True, text=True, check=False)
        for words in (["up"], ["config", "check"])
    ]
    assert [one.returncode for one in done] == [2, 2]
    assert said in done[0].stderr
    assert done[0].stderr == done[1].stderr
    assert sorted(path.name for path in project.iterdir()) == ["olvido.toml"]


def test_the_look_at_the_map_leaves_the_environment_as_it_is(project: Path) -> None:
    before = dict(os.environ)
    starting._checked_map(project)
    assert dict(os.environ) == before


def test_an_address_of_an_earlier_up_is_not_taken_for_one_of_this_up(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its port may be somebody else's by now: then the part is given another one, and no process the old."""
    up(project)
    (project / ".olvido" / "stack.env").write_text("OLVIDO_LEDGER__DSN=postgresql://127.0.0.1:1/ledger\n")
    monkeypatch.setenv("OLVIDO_REGISTRY__URL", "http://127.0.0.1:1")  # so that it ends here
    before = dict(os.environ)
    with pytest.raises(ConfigError, match=r"OLVIDO_REGISTRY__URL is set, but"):
        starting.start(project, Console(file=io.StringIO()))
    assert dict(os.environ) == before


def test_the_map_of_the_example_is_right_before_anybody_knows_an_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As at the first `olvido up` in a clone."""
    clone = Path(__file__).parents[2]
    (tmp_path / "examples").symlink_to(clone / "examples")
    (tmp_path / "olvido.toml").write_text(
        (clone / "olvido.toml").read_text(encoding="utf-8"), encoding="utf-8"
    )
    for name in [name for name in os.environ if name.startswith("OLVIDO_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("OLVIDO_CONFIG", str(tmp_path / "olvido.toml"))
    starting._checked_map(tmp_path)


def test_the_map_of_the_page_about_your_own_systems_is_right(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "your-own-systems.md").read_text(encoding="utf-8")
    examples = re.findall(r"^```toml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    start, tables = [text for text in examples if "[sinks.blog" in text]  # the second is added to the first
    (project / "olvido.toml").write_text(f"{start}\n{tables}", encoding="utf-8")
    monkeypatch.setenv("BLOG_DSN", "postgresql://127.0.0.1/blog")
    starting._checked_map(project)


def test_with_another_olvido_toml_each_process_is_another_program(project: Path) -> None:
    """So that the supervisor starts it anew, and leaves it alone where the file says the same."""
    declared = Deployment.load(project / "olvido.toml")
    before = programs.programs_of(declared, project)
    assert programs.programs_of(declared, project) == before

    (project / "olvido.toml").write_text(TOML + "# changed", encoding="utf-8")

    after = programs.programs_of(declared, project)
    assert [one.name for one in after] == ["processors", "recorder", "sink-blog"]
    assert [one for one in after if one in before] == []


def test_who_plants_canary_people_is_given_the_ledger_and_the_targets_and_no_private_key(
    project: Path,
) -> None:
    canary = '[sinks.blog.canary]\nusers = { email = "{address}" }\n'
    (project / "olvido.toml").write_text(f"{TOML}\n{canary}", encoding="utf-8")
    *_, blog, planting = programs.programs_of(Deployment.load(project / "olvido.toml"), project)
    assert (planting.name, planting.command[-2:]) == ("canary-people", ("run", "canary-people"))
    assert planting.given is not None
    assert blog.given is not None
    assert planting.given == blog.given | {"OLVIDO_LEDGER__DSN"}
    assert "OLVIDO_KEYS__PRIVATE_DIR" in blog.environment
    assert "OLVIDO_KEYS__PRIVATE_DIR" not in planting.environment


def test_a_secret_is_given_to_the_processes_that_need_it_and_hidden_from_all_others(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = {
        "KAFKA_PASSWORD": "k",
        "REGISTRY_PASSWORD": "r",
        "LEDGER": "l",
        "BLOG_URL": "b",
        "SHOP_URL": "s",
    }
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)
    shop = (
        TOML[TOML.index("[sinks.blog]") :].replace("sinks.blog", "sinks.shop").replace("BLOG_URL", "SHOP_URL")
    )
    logins = (
        '[ledger]\ndsn = { env = "LEDGER" }\n[registry]\nusername = "u"\n'
        'password = { env = "REGISTRY_PASSWORD" }\n[kafka.options]\n"sasl.username" = "u"\n'
        '"sasl.password" = { env = "KAFKA_PASSWORD" }\n'
    )
    (project / "olvido.toml").write_text(f"{TOML}\n{shop}\n{logins}", encoding="utf-8")
    declared = Deployment.load(project / "olvido.toml")
    assert programs.secrets_of(declared) == set(secrets)
    given = {
        one.name: set(secrets) & one.environment.keys() for one in programs.programs_of(declared, project)
    }
    both = {"KAFKA_PASSWORD", "REGISTRY_PASSWORD"}
    assert given == {
        "processors": both | {"LEDGER"},
        "recorder": both | {"LEDGER"},
        "sink-blog": both | {"BLOG_URL"},
        "sink-shop": both | {"SHOP_URL"},
    }


def test_what_is_hidden_no_program_inherits(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_PASSWORD", "geheim")
    script = "import os, time; print(sorted(os.environ), flush=True); time.sleep(600)"
    prints = Program(name="prints", command=(sys.executable, "-c", script))
    hidden = frozenset({"KAFKA_PASSWORD"})
    started = stack.up(project, [prints], parts=frozenset(), environ={}, usual_ports=False, hidden=hidden)
    log = started.folder.log("prints")
    while not (log.exists() and log.read_text().endswith("\n")):
        time.sleep(0.05)
    assert "KAFKA_PASSWORD" not in log.read_text()
    assert "PATH" in log.read_text()


def test_one_process_is_started_anew_and_the_others_go_on(project: Path) -> None:
    up(project, a_sleeper("sink-blog"), a_sleeper("recorder"))
    before = pids(project)

    for name in ("sink-blog", "blog"):  # as its process is called, and as olvido.toml calls it
        assert stack.restart(project, name) == ["sink-blog"]
        after = pids(project)
        assert after["sink-blog"] not in (None, before["sink-blog"])
        assert after["recorder"] == before["recorder"]
        before = after


def test_all_processes_are_started_anew_and_no_part(project: Path) -> None:
    part = Program(name="kafka", kind="part", command=("/bin/sleep", "600"))
    up(project, a_sleeper("sink-blog"), a_sleeper("recorder"), part)
    before = pids(project)

    assert sorted(stack.restart(project)) == ["recorder", "sink-blog"]

    after = pids(project)
    assert {name for name in before if after[name] == before[name]} == {"kafka"}
    assert None not in after.values()


def test_a_name_that_no_process_has_is_refused_with_the_one_that_was_meant(project: Path) -> None:
    up(project, a_sleeper("sink-blog"))
    with pytest.raises(InvalidInput, match="sink-blog"):
        stack.restart(project, "sink-blgo")


def test_where_nothing_runs_nothing_is_started_anew(project: Path) -> None:
    with pytest.raises(StackError, match="olvido up"):
        stack.restart(project)
    assert not (project / ".olvido").exists()


def test_a_process_that_ends_again_and_again_is_named_with_its_last_error(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = "import sys, time; time.sleep(1.2); sys.exit('olvido: table posts has no column author')"
    started = up(
        project,
        Program(name="sink-blog", command=(sys.executable, "-c", ends)),
        a_sleeper("recorder"),
        a_sleeper("processors"),
    )
    # There is no broker here: it is told by the group alone who reads.
    monkeypatch.setattr(starting, "_has_members", lambda _, group: group != "olvido.sink.blog")
    monkeypatch.setattr(starting, "READERS_S_MAX", 200.0)  # it is not waited for
    console = Console(file=io.StringIO(), width=200)

    starting.wait_for_readers(console, started)

    assert isinstance(console.file, io.StringIO)
    said = console.file.getvalue()
    assert "sink-blog does not read yet: table posts has no column author" in said
    assert str(started.folder.log("sink-blog")) in said
    assert "recorder" not in said


@pytest.mark.parametrize(
    ("lines", "error"),
    [
        ([], ""),
        ([json.dumps({"level": "info", "message": "starts"})], ""),
        (
            [json.dumps({"level": "warning", "message": "the target does not answer"}), "noise", "3"],
            "the target does not answer",
        ),
        ([json.dumps({"level": "error", "message": "old"}), "olvido: the newest"], "the newest"),
        (["olvido: old", json.dumps({"level": "critical", "message": "the newest"}), '{"cut'], "the newest"),
    ],
)
def test_the_last_error_of_a_log_is_found(tmp_path: Path, lines: list[str], error: str) -> None:
    log = tmp_path / "a.log"
    log.write_text("\n".join(lines), encoding="utf-8")
    assert starting.last_error(log) == error


def test_a_process_that_has_no_log_has_no_error(tmp_path: Path) -> None:
    assert starting.last_error(tmp_path / "none.log") == ""
