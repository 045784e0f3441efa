"""A sealed box: identities under a session key, which is itself sealed to a region's public key.

A session key (AES-256-GCM) is sealed once by HPKE (RFC 9180) and used for many events, so that opening
costs one HPKE a session. The additional data binds each box to all that is asked: a box that is moved to
another event, or whose event was altered, does not open.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from olvido.core.causes import Cause
from olvido.core.errors import Refused
from olvido.core.events import SealedBox
from olvido.core.subject import Identity, IdentityKind

PAD_TO = 256  # sizes show how many identities there are; steps of 256 bytes show little

_SUITE = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
_KINDS = {kind.value: kind for kind in IdentityKind}


def new_session_key(key_id: str, public_key: X25519PublicKey) -> tuple[bytes, AESGCM]:
    """A session key, sealed to a region's public key, and the cipher that it is for."""
    key = AESGCM.generate_key(bit_length=256)
    return _SUITE.encrypt(key, public_key, info=_info(key_id)), AESGCM(key)


def unwrapped(key_id: str, wrapped_key: bytes, private_key: X25519PrivateKey) -> AESGCM:
    """The cipher of a session key that was sealed to a region.

    Raises:
        Refused: ``CANNOT_OPEN``: it was sealed to another key, or altered.
    """
    try:
        return AESGCM(_SUITE.decrypt(wrapped_key, private_key, info=_info(key_id)))
    except (InvalidTag, ValueError):
        raise Refused(Cause.CANNOT_OPEN, field="box.wrapped_key") from None


def seal(
    identities: Sequence[Identity], cipher: AESGCM, *, region: str, key_id: str, binding: bytes
) -> SealedBox:
    """Identities in a box that is bound to what is asked of one region."""
    nonce = os.urandom(12)
    return SealedBox(
        region=region,
        key_id=key_id,
        wrapped_key=b"",
        nonce=nonce,
        ciphertext=cipher.encrypt(nonce, _pack(identities), binding),
    )


def opened(box: SealedBox, cipher: AESGCM, *, binding: bytes) -> tuple[Identity, ...]:
    """The identities in a box.

    Raises:
        Refused: ``CANNOT_OPEN``: the box was moved or altered, or is of a form not known here.
    """
    try:
        packed = cipher.decrypt(box.nonce, box.ciphertext, binding)
    except (InvalidTag, ValueError):
        raise Refused(Cause.CANNOT_OPEN, field="box.ciphertext") from None
    return _unpack(packed)


def first_binding(source_id: UUID, subject_id: str, region: str) -> bytes:
    """What a box was bound to before there were seals."""
    return f"olvido/1\0{source_id}\0{subject_id}\0{region}".encode()


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
