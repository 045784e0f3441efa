"""The writer's side of seals and boxes: sessions, each in use for ten minutes or 100,000 records.

A session is one for all regions of an event. Each of them, and the control plane, has a key of its own in it:
a region's key opens no other region's box, and what the control plane reads cannot be made by any of them.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from olvido.core.asked import asked_digests
from olvido.core.errors import ConfigError
from olvido.core.events import ConsentChange, PrivacyRequest, Seal, Verification
from olvido.core.looks import LaterLook
from olvido.core.receipts import Receipt
from olvido.core.sessions import CONTROL, SESSION_MAX, VERSION, Recipient, SignedSession
from olvido.core.subject import Identity
from olvido.schemas.privacy.box import new_session_key, seal
from olvido.schemas.privacy.principal_keys import Signer
from olvido.schemas.privacy.region_keys import current_public_keys
from olvido.schemas.sealed_records import BODY_AT, KINDS, body_of, session_bytes, with_seal

logger = logging.getLogger("olvido.schemas")

SESSION_EVENTS_MAX = 100_000  # far below the 2^32 random nonces that AES-GCM allows a key (SP 800-38D §8.3)
SESSION_AGE_S_MAX = 600.0

S = TypeVar("S", PrivacyRequest, ConsentChange)
V = TypeVar("V", PrivacyRequest, ConsentChange, Verification, Receipt, LaterLook)


@dataclass(slots=True)
class _Open:
    """A session while it is written in."""

    header: bytes
    signature: bytes
    key_ids: dict[str, str]
    ciphers: dict[str, AESGCM]
    opened_at: float
    events: int = 0

    def seal(self, kind: str, body: bytes) -> Seal:
        """A tag over all that a record says."""
        nonce = os.urandom(12)
        tag = self.ciphers[CONTROL].encrypt(nonce, b"", record_binding(kind, self.header, body))
        return Seal(header=self.header, signature=self.signature, nonce=nonce, tag=tag)

    def sealed(self, value: V) -> V:
        """The value with its seal."""
        return replace(value, seal=self.seal(KINDS[type(value)], body_of(value)))


def record_binding(kind: str, header: bytes, body: bytes) -> bytes:
    """The additional data of a seal's tag.

    Args:
        kind: the name of the record's schema, such as ``privacy_request``.
        header: of the session.
        body: the record after its seal.
    """
    return _binding_head(kind, header) + body


@lru_cache(maxsize=1024)  # a session has many records
def _binding_head(kind: str, header: bytes) -> bytes:
    return b"".join((b"olvido/2 ", kind.encode(), b"\0", sha256(header).digest()))


class Sealer:
    """Seals what one principal writes. Safe to share between threads."""

    def __init__(
        self,
        public_dir: Path,
        signing_file: Path,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """
        Args:
            public_dir: the folder of public keys.
            signing_file: the principal's private key.
            clock: says when a session begins.

        Raises:
            ConfigError: a key is missing or cannot be read.
        """
        self._public_dir = public_dir
        self._signing_file = signing_file
        self._public_keys = current_public_keys(public_dir)
        self._signer = Signer.load(signing_file)
        if CONTROL not in self._public_keys:
            raise ConfigError(
                f"keys.public_dir: {public_dir} holds no public key of the control plane; "
                "make one with: olvido keys create"
            )
        self._clock = clock
        self._sessions: dict[tuple[str, ...], _Open] = {}
        self._lock = threading.Lock()

    @property
    def regions(self) -> tuple[str, ...]:
        """The regions there is a public key for."""
        return tuple(sorted(self._public_keys.keys() - {CONTROL}))

    @property
    def principal(self) -> str:
        """The principal that writes."""
        return self._signer.principal

    def sealed_source(self, source: S, identities: Sequence[Identity]) -> S:
        """A request or a consent change with a box for each of its regions, and sealed.

        Args:
            source: all that is asked; it has neither boxes nor a seal yet.
            identities: of the person, in the order of the handles.

        Raises:
            ConfigError: there is no public key of a region.
        """
        session = self._session(source.regions)
        digest = asked_digests(source, header=session.header)
        boxes = tuple(
            seal(
                identities,
                session.ciphers[region],
                region=region,
                key_id=session.key_ids[region],
                binding=digest(region),
            )
            for region in source.regions
        )
        return session.sealed(replace(source, boxes=boxes))

    def sealed(self, value: V) -> V:
        """A verification, a receipt or a later look, sealed to the control plane alone."""
        return self._session(()).sealed(value)

    def sealed_record(self, kind: str, data: bytes) -> bytes:
        """The record of a receipt or a later look, sealed to the control plane alone: encoded once.

        Args:
            kind: the name of its schema.
            data: the record, without a seal.
        """
        session = self._session(())
        return with_seal(data, session.seal(kind, data[BODY_AT:]))

    def _session(self, regions: Sequence[str]) -> _Open:
        recipients = tuple(sorted({CONTROL, *regions}))
        with self._lock:
            session = self._sessions.get(recipients)
            if (
                session is None
                or session.events >= SESSION_EVENTS_MAX
                or time.monotonic() - session.opened_at > SESSION_AGE_S_MAX
            ):
                session = self._sessions[recipients] = self._new_session(recipients)
            session.events += 1
            return session

    def _new_session(self, recipients: Sequence[str]) -> _Open:
        self._look_again()
        keys = {region: self._public_key(region) for region in recipients}
        sealed = {region: (key_id, *new_session_key(key_id, key)) for region, (key_id, key) in keys.items()}
        began = self._clock()
        header = session_bytes(
            SignedSession(
                version=VERSION,
                principal=self._signer.principal,
                key_id=self._signer.key_id,
                not_before=began,
                not_after=began + SESSION_MAX,
                recipients=tuple(
                    Recipient(region=region, key_id=key_id, wrapped_key=wrapped)
                    for region, (key_id, wrapped, _) in sealed.items()
                ),
            )
        )
        return _Open(
            header=header,
            signature=self._signer.sign(header),
            key_ids={region: key_id for region, (key_id, _, _) in sealed.items()},
            ciphers={region: cipher for region, (_, _, cipher) in sealed.items()},
            opened_at=time.monotonic(),
        )

    def _look_again(self) -> None:
        """Read the keys anew: a process that runs for months seals to a new epoch within ten minutes.

        Keys that are not to be read just now stop nobody: those of before are as good as they were.
        """
        try:
            self._public_keys = {**self._public_keys, **current_public_keys(self._public_dir)}
            self._signer = Signer.load(self._signing_file)
        except ConfigError as error:
            logger.warning("goes on with the keys that were read before: %s", error)

    def _public_key(self, region: str) -> tuple[str, X25519PublicKey]:
        if region not in self._public_keys:
            known = ", ".join(self.regions) or "none"
            raise ConfigError(f"keys.public_dir: no public key for region {region!r} (there are: {known})")
        return self._public_keys[region]
