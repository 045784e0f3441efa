"""What makes identities unreadable to all but one region, and handles out of them.

A session key (AES-256-GCM) is sealed once to the region's public key by HPKE
(RFC 9180) and used for many events, so that opening costs one HPKE per session.
The additional data binds each box to its event, subject and region: a box that is
moved does not open. Destroying an epoch's private key forgets all that was sealed to it.
"""

import base64
import hashlib
import hmac
import json
import os
import re
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from olvido.core.causes import Cause
from olvido.core.errors import ConfigError, OlvidoError, Refused
from olvido.core.events import SealedBox
from olvido.core.subject import Handle, Identity, IdentityKind
from olvido.schemas.private_files import write_private

PAD_TO = 256  # sizes tell how many identities there are; steps of 256 bytes tell little
SESSION_EVENTS_MAX = 100_000  # far below the 2^32 random nonces that AES-GCM allows a key (SP 800-38D §8.3)
SESSION_AGE_S_MAX = 600.0
OPENED_SESSIONS_MAX = 10_000  # 32 bytes each

_SUITE = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
_KINDS = {kind.value: kind for kind in IdentityKind}
_KEY_ID = re.compile(r"(?P<region>[a-z][a-z0-9]*(?:-[a-z0-9]+)*)-(?P<epoch>\d{4}-\d{2}(?:-\d{2})?)")


class Forgotten(OlvidoError):
    """The box was sealed to an epoch whose private key is destroyed: nobody can read it again."""


class HandleKey:
    """The secret that turns identities into handles. Whoever lacks it cannot guess them."""

    def __init__(self, version: int, secret: bytes) -> None:
        self._prefix = f"h{version}_"
        self._secret = secret

    @classmethod
    def load(cls, path: Path) -> "HandleKey":
        """Read the key file: one line, ``h<version> <base64url of 32 bytes>``.

        Raises:
            ConfigError: the file is missing or not of that form.
        """
        try:
            version, encoded = path.read_text(encoding="ascii").split()
            secret = base64.urlsafe_b64decode(encoded)
            number = int(version.removeprefix("h"))
        except (OSError, ValueError):
            raise ConfigError(
                f"keys.handle_file: {path} is not a readable handle key; make one with: olvido keys create"
            ) from None
        if len(secret) != 32:
            raise ConfigError(f"keys.handle_file: {path} does not hold 32 bytes; restore it from its backup")
        return cls(number, secret)

    def handle(self, identity: Identity) -> Handle:
        """The handle of an identity: HMAC-SHA-256 over kind and normalised value."""
        message = f"{identity.kind.value}\0{identity.normalised}".encode()
        digest = hmac.digest(self._secret, message, "sha256")
        text = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        return Handle(kind=identity.kind, value=self._prefix + text)


@dataclass(slots=True)
class _Session:
    key_id: str
    wrapped_key: bytes
    cipher: AESGCM
    opened_at: float
    events: int = 0


class Sealer:
    """Seals identities to regions. Safe to share between threads."""

    def __init__(self, public_dir: Path) -> None:
        """
        Raises:
            ConfigError: the folder holds no public key.
        """
        self._public_dir = public_dir
        self._public_keys = _current_public_keys(public_dir)
        self._sessions: dict[str, _Session] = {}
        self._lock = threading.Lock()

    @property
    def regions(self) -> tuple[str, ...]:
        """The regions there is a public key for."""
        return tuple(sorted(self._public_keys))

    def seal(
        self, identities: Sequence[Identity], *, region: str, source_id: UUID, subject_id: str
    ) -> SealedBox:
        """Seal identities for one region, bound to one event and subject.

        Raises:
            ConfigError: there is no public key of that region.
        """
        session = self._session(region)
        nonce = os.urandom(12)
        aad = binding(source_id, subject_id, region)
        return SealedBox(
            region=region,
            key_id=session.key_id,
            wrapped_key=session.wrapped_key,
            nonce=nonce,
            ciphertext=session.cipher.encrypt(nonce, _pack(identities), aad),
        )

    def _session(self, region: str) -> _Session:
        with self._lock:
            session = self._sessions.get(region)
            if (
                session is None
                or session.events >= SESSION_EVENTS_MAX
                or time.monotonic() - session.opened_at > SESSION_AGE_S_MAX
            ):
                session = self._sessions[region] = self._new_session(region)
            session.events += 1
            return session

    def _new_session(self, region: str) -> _Session:
        # Looked for anew: a process that runs for months seals to a new epoch within ten minutes.
        self._public_keys = _current_public_keys(self._public_dir)
        if region not in self._public_keys:
            known = ", ".join(sorted(self._public_keys)) or "none"
            raise ConfigError(f"keys.public_dir: no public key for region {region!r} (there are: {known})")
        key_id, public_key = self._public_keys[region]
        key = AESGCM.generate_key(bit_length=256)
        wrapped = _SUITE.encrypt(key, public_key, info=_info(key_id))
        return _Session(key_id, wrapped, AESGCM(key), time.monotonic())


class Opener:
    """Opens one region's boxes. Only the region's sinks have one. Safe to share between threads."""

    def __init__(self, region: str, private_dir: Path) -> None:
        self.region = region
        self._private_dir = private_dir
        self._private_folder = str(private_dir)
        self._private_keys: dict[str, X25519PrivateKey] = {}
        self._ciphers: OrderedDict[tuple[str, bytes], AESGCM] = OrderedDict()
        self._lock = threading.Lock()
        if not any(_is_of(path.stem, region) for path in private_dir.glob("*.pem")):
            raise ConfigError(f"keys.private_dir: {private_dir} holds no private key of region {region!r}")

    def open(self, box: SealedBox, *, source_id: UUID, subject_id: str) -> tuple[Identity, ...]:
        """Open a box that was sealed for this region, this event and this subject.

        Raises:
            Forgotten: the epoch's key is destroyed.
            Refused: ``CANNOT_OPEN``: another region's box, a moved box, or one that was altered.
        """
        if box.region != self.region:
            raise Refused(Cause.CANNOT_OPEN, field="box.region")
        cipher = self._cipher(box.key_id, box.wrapped_key)
        try:
            packed = cipher.decrypt(box.nonce, box.ciphertext, binding(source_id, subject_id, self.region))
        except (InvalidTag, ValueError):
            raise Refused(Cause.CANNOT_OPEN, field="box.ciphertext") from None
        return _unpack(packed)

    def _cipher(self, key_id: str, wrapped_key: bytes) -> AESGCM:
        session = (key_id, wrapped_key)
        with self._lock:
            cipher = self._ciphers.get(session)
            if cipher is not None:
                if self._destroyed(key_id):
                    self._ciphers.clear()
                    raise Forgotten(f"key {key_id} is destroyed")
                self._ciphers.move_to_end(session)
                return cipher
            if not _is_of(key_id, self.region):
                raise Refused(Cause.CANNOT_OPEN, field="box.region")
            private_key = self._private_key(key_id)
            try:
                key = _SUITE.decrypt(wrapped_key, private_key, info=_info(key_id))
                cipher = AESGCM(key)
            except (InvalidTag, ValueError):
                raise Refused(Cause.CANNOT_OPEN, field="box.wrapped_key") from None
            self._ciphers[session] = cipher
            if len(self._ciphers) > OPENED_SESSIONS_MAX:
                self._ciphers.popitem(last=False)
            return cipher

    def _private_key(self, key_id: str) -> X25519PrivateKey:
        if self._destroyed(key_id):
            raise Forgotten(f"key {key_id} is destroyed")
        if key_id not in self._private_keys:
            path = self._private_dir / f"{key_id}.pem"
            if not path.exists():
                raise Refused(Cause.CANNOT_OPEN, field="box.key_id", reason="this region holds no such key")
            key = load_pem_private_key(path.read_bytes(), password=None)
            if not isinstance(key, X25519PrivateKey):
                raise ConfigError(f"keys.private_dir: {path} is not an X25519 key")
            self._private_keys[key_id] = key
        return self._private_keys[key_id]

    def _destroyed(self, key_id: str) -> bool:
        # Asked for each box, so that a key is forgotten at once. A Path for each took longer than looking.
        try:
            os.stat(f"{self._private_folder}/{key_id}.destroyed")  # noqa: PTH116
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True


def destroyed_keys(region: str, private_dir: Path) -> tuple[str, ...]:
    """The ids of a region's keys that are known here to be destroyed; where it has no keys none is known."""
    return tuple(sorted(path.stem for path in private_dir.glob("*.destroyed") if _is_of(path.stem, region)))


def binding(source_id: UUID, subject_id: str, region: str) -> bytes:
    """The additional data of a box: what it may not be separated from."""
    return f"olvido/1\0{source_id}\0{subject_id}\0{region}".encode()


def create_handle_key(path: Path, *, version: int = 1) -> None:
    """Make the deployment's handle key. One that is there already is kept: it cannot be made again."""
    encoded = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
    _write_new(path, f"h{version} {encoded}\n".encode())


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
    if not _is_of(key_id, region):
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
    _write_new(private_path, private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    stored = load_pem_private_key(private_path.read_bytes(), password=None)
    assert isinstance(stored, X25519PrivateKey)
    public_dir.mkdir(parents=True, exist_ok=True)
    public_pem = stored.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    if public_path.exists() and public_path.read_bytes() != public_pem:
        raise ConfigError(
            f"keys.public_dir: {public_path} is not the public half of {private_path}; put that there"
        )
    public_path.write_bytes(public_pem)
    return key_id


def _write_new(path: Path, content: bytes) -> None:
    """Write a secret once, whole or not at all, readable by its owner only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        write_private(path, content, new=True)  # if another process was first, theirs stands


def _current_public_keys(public_dir: Path) -> dict[str, tuple[str, X25519PublicKey]]:
    """The newest epoch's key of each region: the greatest id, since epochs are dates."""
    current: dict[str, tuple[str, X25519PublicKey]] = {}
    for path in sorted(public_dir.glob("*.pem")):
        match = _KEY_ID.fullmatch(path.stem)
        if match is None:
            raise ConfigError(f"keys.public_dir: {path} is not named region-YYYY-MM.pem")
        key = load_pem_public_key(path.read_bytes())
        if not isinstance(key, X25519PublicKey):
            raise ConfigError(f"keys.public_dir: {path} is not an X25519 public key")
        current[match["region"]] = (path.stem, key)
    if not current:
        raise ConfigError(
            f"keys.public_dir: {public_dir} holds no public key; make one with: olvido keys create"
        )
    return current


def key_epochs(folder: Path, region: str) -> list[str]:
    """The epochs of a region's keys, public or private, that a folder holds; the oldest first."""
    return sorted(
        path.stem.removeprefix(f"{region}-") for path in folder.glob("*.pem") if _is_of(path.stem, region)
    )


def _is_of(key_id: str, region: str) -> bool:
    match = _KEY_ID.fullmatch(key_id)
    return match is not None and match["region"] == region


def _info(key_id: str) -> bytes:
    return b"olvido/1 session key for " + hashlib.sha256(key_id.encode()).digest()


def _pack(identities: Sequence[Identity]) -> bytes:
    triples = [[identity.kind.value, identity.value, identity.normalised] for identity in identities]
    packed = json.dumps({"v": 1, "identities": triples}, ensure_ascii=False, separators=(",", ":")).encode()
    return packed.ljust(-(-len(packed) // PAD_TO) * PAD_TO)  # JSON ignores the spaces


def _unpack(packed: bytes) -> tuple[Identity, ...]:
    try:
        triples = json.loads(packed.decode())["identities"]
        return tuple(
            Identity(kind=_KINDS[kind], value=value, normalised=normalised)
            for kind, value, normalised in triples
        )
    except (ValueError, KeyError, TypeError):
        # Only a producer with the right keys gets here, with a form of a newer version.
        raise Refused(Cause.CANNOT_OPEN, field="box", reason="opened, but of a form not known here") from None
