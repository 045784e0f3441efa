"""A region's side of sealed boxes: opens them by its private keys, and remembers the sessions it opened."""

import threading
from collections import OrderedDict
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from olvido.core.asked import asked_digests
from olvido.core.causes import Cause
from olvido.core.errors import ConfigError, InvalidInput, OlvidoError, Refused
from olvido.core.events import SealedBox
from olvido.core.sessions import Recipient
from olvido.core.source import Source, id_of
from olvido.core.subject import Handle, Identity
from olvido.core.tasks import Task
from olvido.schemas.privacy.box import first_binding, opened, unwrapped
from olvido.schemas.privacy.identities import normalise
from olvido.schemas.privacy.region_keys import is_destroyed, is_of, private_key
from olvido.schemas.sealed_records import session_in

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

    def open(self, box: SealedBox, asked: Source | Task) -> tuple[Identity, ...]:
        """Open a box that was sealed for this region and for just what is asked.

        Args:
            box: one of an event's boxes, or the task's.
            asked: that event or task.

        Raises:
            Forgotten: the epoch's key is destroyed.
            Refused: ``CANNOT_OPEN``: another region's box, a moved box, or one that was altered; or what is
            in it
                is not what the handles stand for.
        """
        if box.region != self.region:
            raise Refused(Cause.CANNOT_OPEN, field="box.region")
        if asked.seal is None:
            source_id = asked.source_id if isinstance(asked, Task) else id_of(asked)
            sealed_to = Recipient(region=box.region, key_id=box.key_id, wrapped_key=box.wrapped_key)
            binding = first_binding(source_id, asked.subject_id, box.region)
        else:
            header = asked.seal.header
            sealed_to = session_in(header).recipient(box.region)
            if (box.key_id, box.wrapped_key) != (sealed_to.key_id, b""):
                raise Refused(Cause.CANNOT_OPEN, field="box.key_id", reason="it is not that of the session")
            binding = asked_digests(asked, header=header)(box.region)
        identities = opened(box, self.cipher(sealed_to), binding=binding)
        _check_people(identities, asked.handles)
        return identities

    def cipher(self, sealed_to: Recipient) -> AESGCM:
        """The cipher of a session key.

        Raises:
            Forgotten: the epoch's key is destroyed.
            Refused: ``CANNOT_OPEN``: it was sealed to another key, or altered.
        """
        key_id, wrapped_key = sealed_to.key_id, sealed_to.wrapped_key
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


def _check_people(identities: tuple[Identity, ...], handles: tuple[Handle, ...]) -> None:
    """Check that a box holds just the identities that the handles stand for, each in its written form.

    Raises:
        Refused: ``CANNOT_OPEN``.
    """
    if not identities:
        raise Refused(Cause.CANNOT_OPEN, field="box", reason="opened, but without an identity")
    if [one.kind for one in identities] != [handle.kind for handle in handles]:
        raise Refused(
            Cause.CANNOT_OPEN, field="box", reason="opened, but not with the identities of the handles"
        )
    for identity in identities:
        try:
            again = normalise(identity.kind, identity.value)
        except InvalidInput:
            again = None
        if again is None or again.normalised != identity.normalised:
            raise Refused(
                Cause.CANNOT_OPEN,
                field="box",
                reason=f"opened, but with a {identity.kind.value} in another form",
            )
