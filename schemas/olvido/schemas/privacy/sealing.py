"""The producer's side of sealed boxes: a session to each region, in use for ten minutes or 100,000 events."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from olvido.core.errors import ConfigError
from olvido.core.events import SealedBox
from olvido.core.subject import Identity
from olvido.schemas.privacy.box import new_session_key, seal
from olvido.schemas.privacy.region_keys import current_public_keys

SESSION_EVENTS_MAX = 100_000  # far below the 2^32 random nonces that AES-GCM allows a key (SP 800-38D §8.3)
SESSION_AGE_S_MAX = 600.0


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
        self._public_keys = current_public_keys(public_dir)
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
        return seal(
            identities,
            session.cipher,
            region=region,
            key_id=session.key_id,
            wrapped_key=session.wrapped_key,
            source_id=source_id,
            subject_id=subject_id,
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
        self._public_keys = current_public_keys(self._public_dir)
        if region not in self._public_keys:
            known = ", ".join(sorted(self._public_keys)) or "none"
            raise ConfigError(f"keys.public_dir: no public key for region {region!r} (there are: {known})")
        key_id, public_key = self._public_keys[region]
        wrapped_key, cipher = new_session_key(key_id, public_key)
        return _Session(key_id, wrapped_key, cipher, time.monotonic())
