"""What is given to somebody else holds no person and no secret, and is there when nothing else answers."""

import json
import os
import tarfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from shell import olvido

from olvido.core.errors import InvalidInput
from olvido.operators.desk import bundle

CANARIES = (
    "ana.canary@example.es",
    "+34 600 123 456",
    "pw-c4n4ry",
    "tok-c4n4ry",
    "hidden-c4n4ry",
    "log-in-c4n4ry",
)
TOML = """
regions = ["cn"]
purposes = ["marketing"]
[kafka]
bootstrap_servers = "127.0.0.1:1"
[kafka.options]
"security.protocol" = "SASL_SSL"
"sasl.mechanisms" = "PLAIN"
"sasl.username" = "olvido"
"sasl.password" = { env = "KAFKA_LOGIN" }
[registry]
url = "http://127.0.0.1:1"
[sinks.crm]
kind = "http"
region = "cn"
url = { env = "CRM_URL" }
identities = ["email"]
token = "tok-c4n4ry"
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with persons and secrets wherever they may have got to."""
    (tmp_path / "olvido.toml").write_text(TOML)
    logs = tmp_path / ".olvido" / "logs"
    logs.mkdir(parents=True)
    (tmp_path / ".olvido" / "stack.env").write_text(
        "OLVIDO_LEDGER__DSN=postgresql://ledger:pw-c4n4ry@127.0.0.1:1/ledger\n"
        "OLVIDO_CRM_DSN=postgresql://crm:hidden-c4n4ry@127.0.0.1:1/crm\n"
    )
    (logs / "sink-crm.log").write_text(
        "x" * bundle.LOG_BYTES + "\n"
        "INFO could not reach ana.canary@example.es, called +34 600 123 456\n"
        "ERROR postgresql://crm:pw-c4n4ry@db/crm refused; Authorization: Bearer tok-c4n4ry\n"
        "DEBUG the server said: no role hidden-c4n4ry\nINFO a login as log-in-c4n4ry\nINFO the last line\n"
    )
    return tmp_path


def read(path: Path) -> dict[str, str]:
    with tarfile.open(path) as bundled:
        return {
            member.name.removeprefix("olvido-support/"): bundled.extractfile(member).read().decode()
            for member in bundled.getmembers()
        }


def test_a_bundle_is_made_when_every_part_is_down_and_names_nobody(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    to = tmp_path / "bundle.tar.gz"
    for name in [name for name in os.environ if name.startswith("OLVIDO_")]:
        monkeypatch.delenv(name)
    done = olvido(
        "support-bundle", "--to", str(to), OLVIDO_CONFIG=str(project / "olvido.toml"),
        XDG_CONFIG_HOME=str(tmp_path), CRM_URL="http://127.0.0.1:1",
        KAFKA_LOGIN="log-in-c4n4ry",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert to.stat().st_mode & 0o777 == 0o600
    files = read(to)
    everything = "\n".join(files.values()) + done.stdout + done.stderr
    assert [canary for canary in CANARIES if canary in everything] == []
    assert "INFO the last line" in files["logs/sink-crm.log"]
    assert len(files["logs/sink-crm.log"]) <= bundle.LOG_BYTES
    manifest = json.loads(files["manifest.json"])
    assert {*manifest["files"], "manifest.json"} == set(files)
    assert {"acts", "topics-diff"} <= set(manifest["missing"])
    assert any(finding["remedy"] for finding in json.loads(files["doctor.json"]))
    assert json.loads(files["status.json"])["problems"]
    assert {row["key"] for row in json.loads(files["config.json"])} >= {"ledger.dsn", "sinks.crm.token"}


def test_a_bundle_is_made_without_a_configuration(tmp_path: Path):
    files = bundle.collect(tmp_path, datetime(2026, 11, 23, tzinfo=UTC))
    assert "versions.json" in files


def test_nothing_is_written_over(tmp_path: Path):
    to = tmp_path / "bundle.tar.gz"
    bundle.write(to, {"a.json": b"{}"})
    with pytest.raises(InvalidInput, match="is there already"):
        bundle.write(to, {})
    assert read(to) == {"a.json": "{}"}
    assert [path.name for path in tmp_path.iterdir()] == ["bundle.tar.gz"]
    with pytest.raises(InvalidInput, match="cannot be written"):
        bundle.write(tmp_path / "nowhere" / "b.tar.gz", {})
