"""Ids: who makes the fact makes its id; what follows from it has a derived one.

The same input always gives the same id, so planning twice gives the same
tasks and a receipt delivered twice is one receipt (RFC 9562 §5.5, UUIDv5).
"""

import re
from collections.abc import Callable
from datetime import date, datetime
from hashlib import sha1
from uuid import UUID

from olvido.core.causes import Cause
from olvido.core.errors import Refused

NAMESPACE = UUID("6f6c7669-646f-5000-8000-000000000001")  # "olvido" in ASCII, then ours for ever
_NAMESPACE = NAMESPACE.bytes

_RESERVED = 0xF000_C000 << 48  # where a UUID says its version and variant, which is version 5 of RFC 9562
_VERSION_5 = 0x5000_8000 << 48
_CANONICAL = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def task_id(source_id: UUID, sink: str, action: str) -> UUID:
    """The id of what one sink must do for one request or consent change.

    Args:
        source_id: the request_id or event_id.
        sink: the sink's name.
        action: the action's wire name.
    """
    return task_ids(source_id, action)(sink)


def task_ids(source_id: UUID, action: str) -> Callable[[str], UUID]:
    """The same for all sinks of one request or consent change: what gives the id for each sink's name."""
    begun = sha1(_NAMESPACE + f"task/{source_id}/".encode(), usedforsecurity=False)
    ending = f"/{action}"

    def of_sink(sink: str) -> UUID:
        whole = begun.copy()
        whole.update((sink + ending).encode())
        return _version_5(whole.digest())

    return of_sink


def receipt_id(task: UUID, generation: int) -> UUID:
    """The id of the receipt for one (task_id, generation)."""
    return _derived(f"receipt/{task}/{generation}")


def dead_letter_id(group: str, topic: str, partition: int, offset: int, sha256: bytes) -> UUID:
    """The id of the dead letter one reader made of one record; reading it again gives the same id.

    Args:
        group: the reader's consumer group.
        topic, partition, offset: where the record stood first; redriving does not change them.
        sha256: of the value, so that who forges a record's origin meets only a letter of the same bytes.
    """
    return _derived(f"dead-letter/{group}/{topic}/{partition}/{offset}/{sha256.hex()}")


def look_id(
    sink: str, after_s: int, applied_from: datetime, applied_to: datetime, looked_at: datetime
) -> UUID:
    """The id of one look of a sink over what it erased between two instants."""
    return _derived(
        f"look/{sink}/{after_s}/{applied_from.isoformat()}/{applied_to.isoformat()}/{looked_at.isoformat()}"
    )


def canary_person_id(sink: str, day: date) -> UUID:
    """The id of the request by which the canary person of one sink and day is erased."""
    return _derived(f"canary-person/{sink}/{day.isoformat()}")


def _derived(name: str) -> UUID:
    """``uuid5`` under our namespace, in half its time: there is one for each task and for each receipt."""
    return _version_5(sha1(_NAMESPACE + name.encode(), usedforsecurity=False).digest())


def _version_5(digest: bytes) -> UUID:
    return UUID(int=int.from_bytes(digest[:16], "big") & ~_RESERVED | _VERSION_5)


def canonical_uuid(text: str, *, field: str) -> UUID:
    """Read a UUID in its one canonical spelling: 36 characters, lower case, dashes.

    Raises:
        Refused: ``BAD_UUID`` for anything else, among it ``{…}`` and ``urn:uuid:…``, which
            :class:`uuid.UUID` would take.
    """
    if not _CANONICAL.fullmatch(text):
        raise Refused(Cause.BAD_UUID, field=field)
    return UUID(text)
