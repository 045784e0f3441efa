"""Keys are made where there are none; those that are there stand, wherever their private halves are."""

from pathlib import Path

import pytest

from olvido.core.errors import ConfigError, InvalidInput
from olvido.operators.desk import keys
from olvido.operators.settings import private_keys, signing_file
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
    for name in (
        "OLVIDO_KEYS__HANDLE_FILE",
        "OLVIDO_KEYS__PUBLIC_DIR",
        "OLVIDO_KEYS__PRIVATE_DIR",
        "OLVIDO_KEYS__SIGNING_FILE",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OLVIDO_ENV_FILES", "none")
    (tmp_path / "olvido.toml").write_text(TOML)
    return Deployment.load(tmp_path / "olvido.toml")


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_repeat_changes_nothing(tmp_path: Path, deployment: Deployment) -> None:
    made = keys.create(deployment, tmp_path, epoch="2026-11")
    assert [key_id for key_id in made if key_id.endswith("2026-11")] == [
        "control-2026-11", "cn-2026-11", "sg-2026-11",
    ]  # fmt: skip
    assert {key_id.partition(".")[0] for key_id in made[3:]} == {"producer", "verifier", "desk", "sink-crm"}
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


def test_a_principal_whose_private_key_is_elsewhere_keeps_its_key(
    tmp_path: Path, deployment: Deployment
) -> None:
    keys.create(deployment, tmp_path)
    signing_file("producer", tmp_path).unlink()
    before = everything(tmp_path)
    assert keys.create(deployment, tmp_path) == ()
    assert everything(tmp_path) == before


def test_a_principal_is_given_a_new_key_and_the_old_one_is_revoked(
    tmp_path: Path, deployment: Deployment
) -> None:
    keys.create(deployment, tmp_path)
    [old] = [key for key in keys.principals(deployment, tmp_path) if key.principal == "producer"]
    assert (old.role, old.signs, old.revoked_at) == ("producer", True, None)
    new = keys.rotate(deployment, tmp_path, "producer")
    assert new.before == (old.key_id,)
    keys.revoke(deployment, tmp_path, "producer", old.key_id)
    shown = {key.key_id: key for key in keys.principals(deployment, tmp_path) if key.principal == "producer"}
    assert {key_id: (key.signs, key.revoked_at is None) for key_id, key in shown.items()} == {
        old.key_id: (False, False),
        new.key_id: (True, True),
    }
    before = everything(tmp_path)
    keys.revoke(deployment, tmp_path, "producer", old.key_id)  # the first revocation stands
    assert everything(tmp_path) == before


def test_what_is_no_key_and_no_principal_is_said(tmp_path: Path, deployment: Deployment) -> None:
    keys.create(deployment, tmp_path)
    with pytest.raises(InvalidInput, match=r"'producr' is not declared; did you mean 'producer'\?"):
        keys.rotate(deployment, tmp_path, "producr")
    with pytest.raises(InvalidInput, match="is no key of producer"):
        keys.revoke(deployment, tmp_path, "producer", "0" * 16)
