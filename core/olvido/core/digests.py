"""What makes two events with one id the same event: a digest of what they mean.

Sealed boxes differ at each sealing and a caller's retry may carry a later ``requested_at``, so
neither counts. Handles are pseudonyms: no identity goes in.

A digest is one byte that names its version, then SHA-256 over canonical JSON: sorted keys, no
blanks, UTF-8, so that a service in any language can compute it. Before versions there was
SHA-256 over Python's ``repr``, 32 bytes alone: a ledger still holds such digests.
"""

import hashlib
import json
from typing import assert_never

from olvido.core.events import ConsentChange, PrivacyRequest
from olvido.core.rights.consent import Consent
from olvido.core.rights.known import of_right

VERSION = b"\x01"
_UNVERSIONED_BYTES = 32
_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode

Event = PrivacyRequest | ConsentChange


def content_digest(event: Event) -> bytes:
    """The digest of an event, in the newest version: what is stored."""
    return VERSION + hashlib.sha256(_canonical(_content(event)).encode()).digest()


def same_content(event: Event, stored: bytes) -> bool:
    """Whether an event means what a stored digest was computed of, in whichever version that is."""
    if len(stored) == _UNVERSIONED_BYTES:
        return _unversioned(event) == stored
    return content_digest(event) == stored


def _content(event: Event) -> dict[str, object]:
    content: dict[str, object] = {
        "subject_id": event.subject_id,
        "handles": sorted(handle.value for handle in event.handles),
        "regions": sorted(event.regions),
    }
    match event:
        case PrivacyRequest(right=right):
            content |= {"right": right.value, "verification_required": event.verification_required}
            if event.jurisdiction:  # a request that names none has the digest that it had before it could
                content["jurisdiction"] = event.jurisdiction
            return content | of_right(right).digest_part(event)
        case ConsentChange():
            return content | Consent.digest_part(event)
        case _:
            assert_never(event)


def _unversioned(event: Event) -> bytes:
    handles = sorted(handle.value for handle in event.handles)
    match event:
        case PrivacyRequest():
            parts: list[object] = [
                event.right.value, event.subject_id, handles, sorted(event.regions),
                sorted(event.purposes), event.verification_required,
            ]  # fmt: skip
        case ConsentChange():
            parts = [
                event.purpose, event.decision.value, event.subject_id, handles, sorted(event.regions),
                event.occurred_at.isoformat(), event.policy_version,
            ]  # fmt: skip
    return hashlib.sha256(repr(parts).encode()).digest()
