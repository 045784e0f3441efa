"""A region's side of sealed boxes: opens them by its private keys, and remembers the sessions it opened."""

import threading
from collections import OrderedDict
from pathlib import Path
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from olvido.core.causes import Cause
from olvido.core.errors import ConfigError, OlvidoError, Refused
from olvido.core.events import SealedBox
from olvido.core.subject import Identity
from olvido.schemas.privacy.box import opened, unwrapped
from olvido.schemas.privacy.region_keys import is_destroyed, is_of, private_key

OPENED_SESSIONS_MAX = 10_000  # 32 bytes each


class Forgotten(OlvidoError):
    """The box was sealed to an epoch whose private key is destroyed: nobody can read it again."""


class Opener:
    """Opens one region's boxes. Only the region's sinks have one. Safe to share between threads."""

    def __init__(self, region: str, private_dir: Path) -> None:
        self.region = region
        self._private_dir = private_dir
        self._private_folder = str(private_dir)
        self._private_keys: dict[str, X25519PrivateKey] = {}
        self._ciphers: OrderedDict[tuple[str, bytes], AESGCM] = OrderedDict()
        self._lock = threading.Lock()
        if not any(is_of(path.stem, region) for path in private_dir.glob("*.pem")):
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
        return opened(box, cipher, source_id=source_id, subject_id=subject_id)

    def _cipher(self, key_id: str, wrapped_key: bytes) -> AESGCM:
        session = (key_id, wrapped_key)
        with self._lock:
            cipher = self._ciphers.get(session)
            if cipher is not None:
                if is_destroyed(self._private_folder, key_id):
                    self._ciphers.clear()
                    raise Forgotten(f"key {key_id} is destroyed")
                self._ciphers.move_to_end(session)
                return cipher
            if not is_of(key_id, self.region):
                raise Refused(Cause.CANNOT_OPEN, field="box.region")
            cipher = unwrapped(key_id, wrapped_key, self._private_key(key_id))
            self._ciphers[session] = cipher
            if len(self._ciphers) > OPENED_SESSIONS_MAX:
                self._ciphers.popitem(last=False)
            return cipher

    def _private_key(self, key_id: str) -> X25519PrivateKey:
        if is_destroyed(self._private_folder, key_id):
            raise Forgotten(f"key {key_id} is destroyed")
        if key_id not in self._private_keys:
            key = private_key(self._private_dir, key_id)
            if key is None:
                raise Refused(Cause.CANNOT_OPEN, field="box.key_id", reason="this region holds no such key")
            self._private_keys[key_id] = key
        return self._private_keys[key_id]
