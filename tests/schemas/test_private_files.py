"""A private file is whole, its owner's alone, and never half there."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from key_files import KeyFiles

from olvido.core.errors import ConfigError
from olvido.schemas import private_files
from olvido.schemas.privacy.handle_key import HandleKey, create_handle_key
from olvido.schemas.privacy.principal_keys import Signer
from olvido.schemas.privacy.region_keys import private_key
from olvido.schemas.private_files import write_private


def test_what_is_written_is_read_by_its_owner_alone_and_replaces_what_was_there(tmp_path: Path):
    path = tmp_path / "secret"
    path.write_text("old")
    path.chmod(0o644)
    assert write_private(path, "nuevo, ñ")
    assert path.read_text(encoding="utf-8") == "nuevo, ñ"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_what_must_be_new_leaves_another_processs_file_alone(tmp_path: Path):
    path = tmp_path / "key"
    assert write_private(path, b"first", new=True)
    assert not write_private(path, b"second", new=True)
    assert path.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_that_fails_leaves_what_was_there_and_nothing_beside_it(tmp_path: Path, monkeypatch):
    path = tmp_path / "secret"
    path.write_text("old")

    def full(_descriptor: int) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(private_files.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_private(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(("mode", "warned"), [(0o600, 0), (0o400, 0), (0o640, 1), (0o604, 1)])
def test_a_secret_that_others_can_read_is_warned_of_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, mode: int, warned: int
):
    keys = KeyFiles(tmp_path)
    create_handle_key(tmp_path / "handle.key")
    reading: dict[Path, Callable[[Path], object]] = {
        tmp_path / "handle.key": HandleKey.load,
        keys.signing_file("sink-crm"): Signer.load,
        next(keys.private.glob("cn-*.pem")): lambda path: private_key(path.parent, path.stem),
    }
    for path, read in reading.items():
        path.chmod(mode)
        read(path)
        read(path)
        assert caplog.text.count(f"chmod 600 {path}") == warned, path


@pytest.mark.parametrize("load", [HandleKey.load, Signer.load])
def test_a_key_that_is_there_and_cannot_be_used_is_not_to_be_made_anew(tmp_path: Path, load) -> None:
    """With another handle key the same person gets another handle."""
    broken, folder = tmp_path / "broken.key", tmp_path / "folder"
    write_private(broken, "h1 geheim")
    folder.mkdir(mode=0o700)
    with pytest.raises(ConfigError, match=r"broken\.key is not .*; restore it from its backup$") as told:
        load(broken)
    assert "geheim" not in str(told.value)
    with pytest.raises(ConfigError, match=r"folder cannot be read: Is a directory$"):
        load(folder)
    with pytest.raises(ConfigError, match=r"none is not there; make one with: olvido keys create$"):
        load(tmp_path / "none")
