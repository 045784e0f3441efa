"""Sealed boxes without the cost of sealing: a box holds a number, and the vault what it stands for.

It keeps what sealing promises: a box opens for its region and for just what is asked, and never again once
the key of its epoch is destroyed. No bytes of an identity are in a box. Signatures and tags are real, by keys
and nonces of the world's own: so a seed has one history.
"""

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from uuid import UUID

import key_files
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from simulation.process import Process

from olvido.core import asked
from olvido.core.catalogue import Catalogue
from olvido.core.causes import Cause
from olvido.core.errors import Refused
from olvido.core.events import Seal, SealedBox
from olvido.core.principals import Principal, PrincipalKey
from olvido.core.sessions import CONTROL, SESSION_MAX, VERSION, Recipient, SignedSession
from olvido.core.source import Source, id_of
from olvido.core.subject import Identity
from olvido.core.tasks import Task
from olvido.schemas.privacy.opening import Forgotten
from olvido.schemas.privacy.principal_keys import Signer
from olvido.schemas.privacy.sealing import record_binding
from olvido.schemas.sealed_records import BODY_AT, KINDS, body_of, session_bytes, with_seal

Content = tuple[str, str, UUID, str, tuple[Identity, ...]]  # region, key_id, source, subject, identities
PROVER = "prover"  # a producer that may verify
NARROW = "narrow"  # a producer that may ask for nothing but access
REVOKED = "revoked"  # a producer whose key was revoked before the world began
UNDECLARED = "undeclared"  # one that signs well, and that no deployment names


def principals_of(catalogue: Catalogue) -> dict[str, Principal]:
    """Those of the world."""
    principals = key_files.principals_of(catalogue)
    producer = principals["producer"]
    return principals | {
        PROVER: replace(producer, name=PROVER, may_verify=True),
        NARROW: replace(producer, name=NARROW, rights=frozenset({"ACCESS"})),
        REVOKED: replace(producer, name=REVOKED),
    }


class Signers:
    """The key of each principal, made of its name. Has the face of ``KeyRing``."""

    def __init__(self) -> None:
        self._signers: dict[str, Signer] = {}

    def signer(self, principal: str) -> Signer:
        if principal not in self._signers:
            key = Ed25519PrivateKey.from_private_bytes(sha256(principal.encode()).digest())
            self._signers[principal] = Signer(principal, key)
        return self._signers[principal]

    def key(self, principal: str, key_id: str) -> PrincipalKey | None:
        signer = self.signer(principal)
        if signer.key_id != key_id:
            return None
        revoked_at = datetime.min.replace(tzinfo=UTC) if principal == REVOKED else None
        return PrincipalKey(key_id=key_id, public_key=signer.public_key, revoked_at=revoked_at)


SIGNERS: Any = Signers()


@dataclass
class Vault:
    """Everything that was ever sealed, and the session keys of the control plane."""

    _contents: dict[bytes, tuple[Content, bytes]] = field(default_factory=dict)
    ciphers: dict[bytes, AESGCM] = field(default_factory=dict)
    destroyed: set[str] = field(default_factory=set)

    def keep(self, box: SealedBox, source: Source, identities: Sequence[Identity], binding: bytes) -> None:
        """Remember what a box stands for."""
        content = (box.region, box.key_id, id_of(source), source.subject_id, tuple(identities))
        self._contents[box.ciphertext] = content, binding

    def contents(self) -> Iterable[Content]:
        """Everything that was ever sealed."""
        return [content for content, _ in self._contents.values()]

    def content(self, box: SealedBox) -> tuple[Content, bytes] | None:
        """What is in a box, and what it is bound to, whoever asks."""
        return self._contents.get(box.ciphertext)

    def cipher(self, sealed_to: Recipient) -> AESGCM:
        """As the control plane has it from ``Opener``."""
        if sealed_to.wrapped_key not in self.ciphers:
            raise Refused(Cause.CANNOT_OPEN, field="seal.header")
        return self.ciphers[sealed_to.wrapped_key]


class SealerTwin:
    """Seals as one principal. Has the face of ``olvido.schemas.privacy.sealing.Sealer``."""

    def __init__(
        self, vault: Vault, rng: random.Random, principal: str, *, clock: Callable[[], datetime]
    ) -> None:
        self._vault = vault
        self._rng = rng
        self._signer: Signer = SIGNERS.signer(principal)
        self._clock = clock
        self._sessions: dict[tuple[tuple[str, str], ...], tuple[bytes, bytes, AESGCM]] = {}

    def sealed_source(self, source: Any, identities: Sequence[Identity], epochs: Sequence[str]) -> Any:
        """A request or a consent change with its boxes, each of a region's to an epoch of its own."""
        key_ids = {region: f"{region}-{self._rng.choice(epochs)}" for region in sorted(set(source.regions))}
        header, *_ = self._session(key_ids)
        digest = asked.asked_digests(source, header=header)
        boxes = []
        for region in source.regions:
            box = SealedBox(
                region=region, key_id=key_ids[region], wrapped_key=b"", nonce=b"n" * 12,
                ciphertext=self._rng.randbytes(16),
            )  # fmt: skip
            self._vault.keep(box, source, identities, digest(region))
            boxes.append(box)
        return self._tagged(replace(source, boxes=tuple(boxes), seal=None), key_ids)

    def sealed(self, value: Any) -> Any:
        """A verification or a receipt."""
        return self._tagged(replace(value, seal=None), {})

    def sealed_record(self, kind: str, data: bytes) -> bytes:
        """The record of a receipt."""
        header, signature, cipher = self._session({})
        nonce = self._rng.randbytes(12)
        tag = cipher.encrypt(nonce, b"", record_binding(kind, header, data[BODY_AT:]))
        return with_seal(data, Seal(header=header, signature=signature, nonce=nonce, tag=tag))

    def _tagged(self, value: Any, key_ids: dict[str, str]) -> Any:
        header, signature, cipher = self._session(key_ids)
        nonce = self._rng.randbytes(12)
        tag = cipher.encrypt(nonce, b"", record_binding(KINDS[type(value)], header, body_of(value)))
        return replace(value, seal=Seal(header=header, signature=signature, nonce=nonce, tag=tag))

    def _session(self, key_ids: dict[str, str]) -> tuple[bytes, bytes, AESGCM]:
        recipients = tuple(sorted({**key_ids, CONTROL: f"{CONTROL}-2026-02"}.items()))
        if recipients not in self._sessions:
            began, cipher = self._clock(), AESGCM(self._rng.randbytes(32))
            wrapped = {region: self._rng.randbytes(16) for region, _ in recipients}
            self._vault.ciphers[wrapped[CONTROL]] = cipher
            header = session_bytes(
                SignedSession(
                    version=VERSION, principal=self._signer.principal, key_id=self._signer.key_id,
                    not_before=began, not_after=began + SESSION_MAX,
                    recipients=tuple(
                        Recipient(region=region, key_id=key_id, wrapped_key=wrapped[region])
                        for region, key_id in recipients
                    ),
                )
            )  # fmt: skip
            self._sessions[recipients] = header, self._signer.sign(header), cipher
        return self._sessions[recipients]


class OpenerTwin:
    """Opens one region's boxes for one process. Has the face of ``olvido.schemas.privacy.opening.Opener``."""

    def __init__(self, process: Process, vault: Vault, region: str) -> None:
        self._process = process
        self._vault = vault
        self.region = region

    def open(self, box: SealedBox, task: Task) -> tuple[Identity, ...]:
        if box.region != self.region or not box.key_id.startswith(f"{self.region}-"):
            raise Refused(Cause.CANNOT_OPEN, field="box.region")
        if box.key_id in self._vault.destroyed:
            raise Forgotten(f"key {box.key_id} is destroyed")
        found = self._vault.content(box)
        if found is None or task.seal is None:
            raise Refused(Cause.CANNOT_OPEN, field="box.ciphertext")
        content, binding = found
        digest = asked.asked_digests(task, header=task.seal.header)(self.region)
        if content[:2] != (self.region, box.key_id) or binding != digest:
            raise Refused(Cause.CANNOT_OPEN, field="box.ciphertext")
        self._process.history.note(
            self._process.scheduler.seconds, "opened", self._process.name, content[0], str(task.source_id)
        )
        return content[4]
