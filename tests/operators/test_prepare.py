"""Keys are made where there are none; those that are there stand, wherever their private halves are."""

from pathlib import Path

import pytest

from olvido.core.errors import ConfigError
from olvido.operators.desk import keys
from olvido.operators.settings import private_keys
from olvido.schemas.settings.deployment import Deployment

TOML = """
regions = ["cn", "sg"]
purposes = ["marketing"]
[sinks.crm]
kind = "http"
region = "cn"
url = { env = "TARGET_URL" }
identities = ["email"]
"""


@pytest.fixture
def deployment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    for name in ("OLVIDO_KEYS__HANDLE_FILE", "OLVIDO_KEYS__PUBLIC_DIR", "OLVIDO_KEYS__PRIVATE_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OLVIDO_ENV_FILES", "none")
    (tmp_path / "olvido.toml").write_text(TOML)
    return Deployment.load(tmp_path / "olvido.toml")


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_repeat_changes_nothing(tmp_path: Path, deployment: Deployment) -> None:
    assert len(keys.create(deployment, tmp_path, epoch="2026-11")) == 2
    before = everything(tmp_path)
    assert keys.create(deployment, tmp_path) == ()
    assert keys.create(deployment, tmp_path, epoch="2026-11") == ()
    assert everything(tmp_path) == before


def test_a_region_whose_private_keys_are_elsewhere_is_left_alone(
    tmp_path: Path, deployment: Deployment
) -> None:
    """An operator's machine in Singapore has China's public key, and never its private one."""
    keys.create(deployment, tmp_path, epoch="2026-11")
    (private_keys("cn", tmp_path) / "cn-2026-11.pem").unlink()
    before = everything(tmp_path)
    assert keys.create(deployment, tmp_path) == ()
    with pytest.raises(ConfigError, match="private half is not in"):
        keys.create(deployment, tmp_path, epoch="2026-11")
    assert everything(tmp_path) == before


def test_a_private_key_alone_gets_its_other_half(tmp_path: Path, deployment: Deployment) -> None:
    """Killed between the two, in another month."""
    keys.create(deployment, tmp_path, epoch="2026-01")
    before = everything(tmp_path)
    for path in tmp_path.rglob("public/cn-2026-01.pem"):
        path.unlink()
    keys.create(deployment, tmp_path)
    assert everything(tmp_path) == before
