"""The key pairs of regions, in files: ``<region>-<epoch>.pem``, and ``.destroyed`` where one is gone.

The control plane has key pairs of the same kind, under the name ``control``, which no region has. Destroying
an epoch's private key forgets all that was sealed to it.
"""

import logging
import os
import re
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from olvido.core.errors import ConfigError
from olvido.schemas.private_files import read_private, write_new, write_public

logger = logging.getLogger("olvido.schemas")

_KEY_ID = re.compile(r"(?P<region>[a-z][a-z0-9]*(?:-[a-z0-9]+)*)-(?P<epoch>\d{4}-\d{2}(?:-\d{2})?)")


def create_region_key(region: str, epoch: str, *, public_dir: Path, private_dir: Path) -> str:
    """Make a region's key pair for one epoch. A pair that is there already is kept.

    Args:
        region: such as ``cn``.
        epoch: ``YYYY-MM`` or ``YYYY-MM-DD``.

    Returns:
        The key's id, such as ``cn-2026-11``.

    Raises:
        ConfigError: region and epoch make no id; or there is a public key of that id whose private half is
            elsewhere. A new pair under its id would seal what nobody can open.
    """
    key_id = f"{region}-{epoch}"
    if not is_of(key_id, region):
        raise ConfigError(f"region {region!r} and epoch {epoch!r} do not make a key id such as cn-2026-11")
    private_path, public_path = private_dir / f"{key_id}.pem", public_dir / f"{key_id}.pem"
    if public_path.exists() and not private_path.exists():
        raise ConfigError(
            f"keys.public_dir: {public_path} is there, and its private half is not in {private_dir}; "
            "a new pair would take its id: give another epoch, or do this where the private key is"
        )
    # A crash after the private key and before the public one is mended by the next call:
    # the public half is always derived from the private key on disk.
    private_key = X25519PrivateKey.generate()
    write_new(private_path, private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    stored = load_pem_private_key(private_path.read_bytes(), password=None)
    assert isinstance(stored, X25519PrivateKey)
    public_pem = stored.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    if public_path.exists() and public_path.read_bytes() != public_pem:
        raise ConfigError(
            f"keys.public_dir: {public_path} is not the public half of {private_path}; put that there"
        )
    write_public(public_path, public_pem)
    return key_id


def current_public_keys(public_dir: Path) -> dict[str, tuple[str, X25519PublicKey]]:
    """The newest epoch's key of each region: the greatest id, since epochs are dates.

    A file of another name is none of ours, and one that cannot be read may be half copied: neither stops
    whoever seals to the keys that are there.

    Raises:
        ConfigError: there is no key at all.
    """
    current: dict[str, tuple[str, X25519PublicKey]] = {}
    for path in sorted(public_dir.glob("*.pem")):
        match = _KEY_ID.fullmatch(path.stem)
        if match is None:
            continue
        try:
            key = load_pem_public_key(path.read_bytes())
        except (OSError, ValueError, UnsupportedAlgorithm):
            key = None
        if not isinstance(key, X25519PublicKey):
            logger.warning("keys.public_dir: %s is not an X25519 public key, and is passed over", path)
            continue
        current[match["region"]] = (path.stem, key)
    if not current:
        raise ConfigError(
            f"keys.public_dir: {public_dir} holds no public key; make one with: olvido keys create"
        )
    return current


def private_key(folder: Path, key_id: str) -> X25519PrivateKey | None:
    """A private key; None if there is no file of it.

    Raises:
        ConfigError: the file is of another kind of key.
    """
    path = folder / f"{key_id}.pem"
    if not path.exists():
        return None
    key = load_pem_private_key(read_private(path), password=None)
    if not isinstance(key, X25519PrivateKey):
        raise ConfigError(f"keys.private_dir: {path} is not an X25519 key")
    return key


def is_destroyed(folder: str, key_id: str) -> bool:
    """Whether a private key is known to be destroyed."""
    # Asked for each box, so that a key is forgotten at once. A Path for each took longer than looking.
    try:
        os.stat(f"{folder}/{key_id}.destroyed")  # noqa: PTH116
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def destroyed_keys(region: str, private_dir: Path) -> tuple[str, ...]:
    """The ids of a region's keys that are known here to be destroyed; where it has no keys none is known."""
    return tuple(sorted(path.stem for path in private_dir.glob("*.destroyed") if is_of(path.stem, region)))


def key_epochs(folder: Path, region: str) -> list[str]:
    """The epochs of a region's keys, public or private, that a folder holds; the oldest first."""
    return sorted(
        path.stem.removeprefix(f"{region}-") for path in folder.glob("*.pem") if is_of(path.stem, region)
    )


def is_of(key_id: str, region: str) -> bool:
    """Whether an id is that of a key of this region."""
    match = _KEY_ID.fullmatch(key_id)
    return match is not None and match["region"] == region
