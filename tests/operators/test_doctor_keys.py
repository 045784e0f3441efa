"""What doctor finds about keys and certificates, before anybody is harmed by it."""

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from authority import Authority
from conftest import PROJECT

from olvido.operators.desk import doctor, keys
from olvido.schemas.settings.deployment import Deployment, KafkaSection, RegistrySection


@pytest.fixture
def declared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    """A deployment with keys in a folder of its own."""
    for name in ("HANDLE_FILE", "PUBLIC_DIR", "SIGNING_FILE", "PRIVATE_DIR"):
        monkeypatch.delenv(f"OLVIDO_KEYS__{name}", raising=False)
    found = Deployment.load(PROJECT / "olvido.toml")
    keys.create(found, tmp_path)
    return found


def producer_keys(declared: Deployment, folder: Path) -> doctor.Finding:
    (finding,) = doctor._findings(lambda: doctor._check_producer_keys(declared, folder))
    return finding


def test_keys_are_made_so_that_doctor_is_content(declared: Deployment, tmp_path: Path):
    assert producer_keys(declared, tmp_path).good


@pytest.mark.parametrize(
    ("place", "mode", "text", "fix"),
    [
        (lambda keys: keys.handle_file, 0o640, "the handle key .* can be read by others", "chmod 600"),
        (lambda keys: keys.signing_file, 0o604, "the signing key .* can be read by others", "chmod 600"),
        (
            lambda _: ".olvido/keys/signing/sink-crm/signing.key",
            0o640,
            "the signing key .* by others",
            "chmod 600",
        ),
        (lambda keys: keys.public_dir, 0o777, "anybody here can change .*choose who opens", "chmod o-w"),
    ],
)
def test_keys_that_others_can_read_or_change_are_found(
    declared: Deployment, tmp_path: Path, place: Callable, mode: int, text: str, fix: str
):
    at = tmp_path / place(declared.keys)
    at.chmod(mode)
    finding = producer_keys(declared, tmp_path)
    assert (finding.good, finding.about) == (False, f"{fix} {at}")
    assert re.search(text, finding.text)


def test_a_public_key_that_anybody_can_change_is_found(declared: Deployment, tmp_path: Path):
    key = next((tmp_path / declared.keys.public_dir).glob("*.pem"))
    key.chmod(0o666)
    assert producer_keys(declared, tmp_path).about == f"chmod o-w {key}"


@pytest.mark.parametrize(("days", "good"), [(29, False), (31, True)])
@pytest.mark.parametrize("of", ["kafka", "registry"])
def test_a_certificate_that_ends_within_a_month_is_found(
    declared: Deployment, tmp_path: Path, days: int, good: bool, of: str
):
    authority = Authority(tmp_path, "authority", life=timedelta(days=400))
    shown, key = authority.issue("olvido", life=timedelta(days=days))
    options = {
        "security.protocol": "SSL", "ssl.ca.location": str(authority.file),
        "ssl.certificate.location": str(shown), "ssl.key.location": str(key),
    }  # fmt: skip
    section = RegistrySection(url="https://127.0.0.1", certificate_file=shown, key_file=key)
    changed = {"kafka": KafkaSection(options=options)} if of == "kafka" else {"registry": section}
    with_certificates = declared.model_copy(update=changed)
    assert doctor._has_certificates(with_certificates)
    (finding,) = doctor._findings(lambda: doctor._check_certificates(with_certificates))
    assert finding.good == good
    assert good or str(shown) in finding.text


def test_of_the_authorities_that_are_trusted_one_that_holds_is_enough(declared: Deployment, tmp_path: Path):
    old = Authority(tmp_path, "old", life=timedelta(days=1))
    new = Authority(tmp_path, "new", life=timedelta(days=400))
    both = tmp_path / "both.pem"
    both.write_bytes(old.file.read_bytes() + new.file.read_bytes())
    for file, good in ((both, True), (old.file, False)):
        options = {"security.protocol": "SSL", "ssl.ca.location": str(file)}
        changed = declared.model_copy(update={"kafka": KafkaSection(options=options)})
        (finding,) = doctor._findings(lambda changed=changed: doctor._check_certificates(changed))
        assert finding.good == good
