"""What a real shell offers on TAB."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from shell import olvido

from olvido.operators.cli.completing import Shell, in_time

PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What people source in their profile."""
    path = tmp_path_factory.mktemp("completion") / "olvido.bash"
    path.write_text(olvido("completion", "bash").stdout)
    return path


@pytest.fixture
def bash(tmp_path: Path, script: Path):
    """Complete a line in bash, in a project of its own; what is offered, and what stood in the prompt."""
    (tmp_path / "olvido.toml").write_text((PROJECT / "olvido.toml").read_text())
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "olvido").symlink_to(Path(sys.executable).with_name("olvido"))

    def complete(line: str, **environment: str) -> tuple[list[str], str]:
        words = line.split(" ")
        asked = (
            f"source {script}; complete -p olvido >/dev/null || exit 9; "
            f"COMP_WORDS=({' '.join(repr(word) for word in words)}); COMP_CWORD={len(words) - 1}; "
            "_olvido_completion olvido; printf '%s\\n' \"${COMPREPLY[@]}\""
        )
        clean = {name: value for name, value in os.environ.items() if not name.startswith("OLVIDO_")}
        path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", "--norc", "-c", asked], capture_output=True, text=True, timeout=60, check=True,
            cwd=tmp_path, env={**clean, "PATH": path, "XDG_CONFIG_HOME": str(tmp_path), **environment},
        )  # fmt: skip
        return done.stdout.split(), done.stderr

    return complete


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("olvido reque", ["request", "requests"]),
        ("olvido requests ", ["list", "show", "withdraw", "extend"]),
        ("olvido requests list --sta", ["--state"]),
        ("olvido requests list --state ful", ["fulfilled"]),
        ("olvido requests list --sink store", ["store-cn", "store-sg"]),
        ("olvido requests list --right E", ["ERASE"]),
        ("olvido run sink ", ["crm", "marketing", "analytics", "store-cn", "store-sg"]),
        ("olvido consent withdraw --purpose t", ["testing"]),
        ("olvido request erase --region ", ["cn", "sg"]),
        ("olvido audit --verb re", ["replay", "restore", "redrive", "release", "reveal"]),
        ("olvido topics list -o js", ["json", "jsonl"]),
    ],
)
def test_bash_completes_commands_options_and_names(bash, line: str, offered: list[str]):
    assert bash(line) == (offered, "")


def test_nothing_is_offered_and_nothing_said_where_nothing_answers(bash, tmp_path: Path):
    nobody = "postgresql://olvido@127.0.0.1:1/ledger"
    assert bash("olvido requests show ", OLVIDO_LEDGER__DSN=nobody) == ([], "")
    (tmp_path / "olvido.toml").write_text("this is not TOML")
    assert bash("olvido run sink ") == ([], "")


def test_names_that_take_too_long_are_not_waited_for(monkeypatch: pytest.MonkeyPatch):
    """A silent database would hold the prompt for as long as a connection may take."""
    import threading

    never = threading.Event()
    monkeypatch.setattr("olvido.operators.cli.completing.PATIENCE_S", 0.05)
    assert in_time(lambda: [str(never.wait(60))]) == []
    never.set()


@pytest.mark.parametrize("shell", Shell)
def test_there_is_a_script_for_each_shell(shell: Shell):
    done = olvido("completion", shell.value)
    assert (done.returncode, done.stderr, "_OLVIDO_COMPLETE" in done.stdout) == (0, "", True)
    checks = {"bash": ["bash", "-n"], "zsh": ["zsh", "-n"], "fish": ["fish", "--no-execute"]}
    if shell.value in checks and shutil.which(shell.value):
        subprocess.run([*checks[shell.value], "/dev/stdin"], input=done.stdout, text=True, check=True)
