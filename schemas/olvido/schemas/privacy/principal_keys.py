"""The keys that principals sign with, in files.

A principal has one private key, in a file of its own. Of each key that it ever had there is a public half in
the folder of public keys, ``<principal>.<key id>.pub``, and beside it ``.revoked`` with an instant, once
nobody may sign with it any more. A key's id follows from the key: nobody who copies files can mix them up.
"""

import base64
import hashlib
import logging
import re
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from olvido.core.errors import ConfigError
from olvido.core.principals import PrincipalKey
from olvido.core.tasks import Release
from olvido.schemas.private_files import read_key, write_private, write_public

logger = logging.getLogger("olvido.schemas")

NAME_FORM = r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*"
LOOK_AGAIN_S = 5.0  # how soon a key that was revoked while a process runs is known there
UNKNOWN_LOOK_AGAIN_S = 0.1
_FILE = re.compile(rf"(?P<name>{NAME_FORM})\.(?P<key_id>[0-9a-f]{{16}})")

KeyOf = tuple[str, str]  # principal and key id


class Signer:
    """A principal's private key."""

    def __init__(self, principal: str, key: Ed25519PrivateKey) -> None:
        self.principal = principal
        self._key = key
        self.public_key = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.key_id = key_id_of(self.public_key)

    @classmethod
    def load(cls, path: Path) -> "Signer":
        """Read the key file: one line, ``<principal> <base64url of 32 bytes>``.

        Raises:
            ConfigError: the file is missing, cannot be read or is not of that form.
        """
        content = read_key(path, setting="keys.signing_file")
        try:
            principal, encoded = content.decode("ascii").split()
            return cls(principal, Ed25519PrivateKey.from_private_bytes(base64.urlsafe_b64decode(encoded)))
        except ValueError:  # its text holds the secret
            raise ConfigError(
                f"keys.signing_file: {path} is not the key of a principal; restore it from its backup"
            ) from None

    def sign(self, header: bytes) -> bytes:
        """The signature of a session's header."""
        return self._key.sign(signed_bytes(header))

    def release(self, task_id: UUID, generation: int) -> Release:
        """Let a task pass the limits of its sink, as the desk does where two people decided so."""
        signature = self._key.sign(released_bytes(task_id, generation))
        return Release(principal=self.principal, key_id=self.key_id, signature=signature)


def signed_bytes(header: bytes) -> bytes:
    """What is signed: a header, and that it is one."""
    return b"olvido/2 session\0" + header


def released_bytes(task_id: UUID, generation: int) -> bytes:
    """What a release is over: one task, and that nothing limits it."""
    return b"olvido/2 release\0" + task_id.bytes + generation.to_bytes(4, "big", signed=True)


def key_id_of(public_key: bytes) -> str:
    """The id of a key."""
    return hashlib.sha256(public_key).hexdigest()[:16]


def create_signing_key(principal: str, *, private_path: Path, public_dir: Path) -> str:
    """Make a principal's key pair in place of the one that it has; what that one signed is good still.

    Returns:
        The key's id.
    """
    if not re.fullmatch(NAME_FORM, principal):
        raise ConfigError(
            f"{principal!r} cannot be the name of a principal: small letters, digits and single dashes"
        )
    key = Ed25519PrivateKey.generate()
    signer = Signer(principal, key)
    # The public half first: killed between the two, there is a key that nobody signs with. The other way
    # round its principal would be refused.
    write_public(
        public_dir / f"{principal}.{signer.key_id}.pub", base64.urlsafe_b64encode(signer.public_key) + b"\n"
    )
    private_path.parent.mkdir(parents=True, exist_ok=True)
    encoded = base64.urlsafe_b64encode(key.private_bytes_raw()).decode()
    write_private(private_path, f"{principal} {encoded}\n")
    return signer.key_id


def publish_signing_key(private_path: Path, public_dir: Path) -> None:
    """Write the public half of a key where it is missing: it may have been made on another machine.

    Raises:
        ConfigError: the private key cannot be read.
    """
    signer = Signer.load(private_path)
    public_path = public_dir / f"{signer.principal}.{signer.key_id}.pub"
    if not public_path.exists():
        write_public(public_path, base64.urlsafe_b64encode(signer.public_key) + b"\n")


def revoke_signing_key(principal: str, key_id: str, *, public_dir: Path, at: datetime) -> None:
    """Have nothing taken any more that comes from an instant on and is signed with a key."""
    revoked = public_dir / f"{principal}.{key_id}.revoked"
    if not revoked.exists():  # the first revocation stands
        write_public(revoked, at.astimezone(UTC).isoformat() + "\n")


def principal_keys(
    public_dir: Path, declared: Mapping[str, tuple[bytes, ...]]
) -> Mapping[KeyOf, PrincipalKey]:
    """All public keys of principals: those of the folder, and those that olvido.toml has.

    A file that cannot be read, as when it is half copied, is passed over: what was signed with that key is
    refused until it can be. A revocation that cannot be read is one since ever.
    """
    found = {
        (name, key_id_of(key)): PrincipalKey(key_id=key_id_of(key), public_key=key)
        for name, keys in declared.items()
        for key in keys
    }
    for path in sorted(public_dir.glob("*.pub")):
        match = _FILE.fullmatch(path.stem)
        if match is None:
            continue
        try:
            key = base64.urlsafe_b64decode(path.read_bytes())
        except (OSError, ValueError):
            key = b""
        if len(key) != 32 or key_id_of(key) != match["key_id"]:
            logger.warning("keys.public_dir: %s is not the public key of its name, and is passed over", path)
            continue
        found[match["name"], match["key_id"]] = PrincipalKey(key_id=match["key_id"], public_key=key)
    for path in public_dir.glob("*.revoked"):
        match = _FILE.fullmatch(path.stem)
        known = match and found.get((match["name"], match["key_id"]))
        if match and known:
            found[match["name"], match["key_id"]] = PrincipalKey(
                key_id=known.key_id, public_key=known.public_key, revoked_at=_instant(path)
            )
    return found


class KeyRing:
    """The public keys of principals, read again every few seconds. Threads may share it."""

    def __init__(self, public_dir: Path, declared: Mapping[str, tuple[bytes, ...]]) -> None:
        """
        Args:
            public_dir: the folder of public keys.
            declared: by principal, the keys that olvido.toml has.
        """
        self._public_dir = public_dir
        self._declared = declared
        self._lock = threading.Lock()
        self._look()

    def key(self, principal: str, key_id: str) -> PrincipalKey | None:
        """A key; None if there is none of that id."""
        with self._lock:
            found = self._keys.get((principal, key_id))
            looked_s_ago = time.monotonic() - self._looked_at
            # One that is not known may have come just now. Who writes records with names of his own must not
            # have us read a folder for each.
            if looked_s_ago > (LOOK_AGAIN_S if found else UNKNOWN_LOOK_AGAIN_S):
                self._look()
                found = self._keys.get((principal, key_id))
            return found

    def _look(self) -> None:
        self._keys = principal_keys(self._public_dir, self._declared)
        self._looked_at = time.monotonic()


def _instant(path: Path) -> datetime:
    try:
        return datetime.fromisoformat(path.read_text(encoding="ascii").strip()).astimezone(UTC)
    except (OSError, ValueError):
        return datetime.min.replace(tzinfo=UTC)
