"""The headers of a record: CloudEvents in binary mode, and W3C trace context. Never an identity.

https://github.com/cloudevents/spec (Kafka protocol binding, §3.2)
"""

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from uuid import UUID

from olvido.core.causes import Cause
from olvido.core.errors import Refused

Headers = tuple[tuple[str, bytes], ...]

SPEC_VERSION = b"1.0"
_VERSION = ("ce_specversion", SPEC_VERSION)
HEADERS_MAX = 32
HEADER_BYTES_MAX = 4096  # of all together


def headers_of(
    event_id: UUID, event_type: str, *, source: str, at: datetime | None = None, traceparent: str = ""
) -> Headers:
    """The headers of one record.

    Args:
        event_id: the id of the event that the record holds.
        event_type: such as ``olvido.privacy_request.v1``.
        source: who emits it, a URI reference.
        at: when it happened.
        traceparent: the W3C trace context to hand on, if there is one.
    """
    headers: Headers = (_VERSION, ("ce_id", str(event_id).encode()), *_kind_of(event_type, source))
    if at is not None:
        headers = (*headers, ("ce_time", at.isoformat().encode()))
    if traceparent:
        headers = (*headers, ("traceparent", traceparent.encode()))
    return headers


@lru_cache(maxsize=64)  # a process writes a handful of kinds, from one source
def _kind_of(event_type: str, source: str) -> Headers:
    return (
        ("ce_type", event_type.encode()),
        ("ce_source", source.encode()),
        ("content-type", b"application/avro"),
    )


def check_headers(headers: Sequence[tuple[str, bytes | None]]) -> None:
    """Check that a record's headers are few, small and of the version we read. None at all is fine.

    Raises:
        Refused: ``TOO_LARGE`` or ``UNSUPPORTED_VERSION``.
    """
    if not headers:
        return
    size, versions = 0, True
    for name, value in headers:
        size += len(name) + len(value or b"")
        if name == "ce_specversion" and value != SPEC_VERSION:
            versions = False
    if len(headers) > HEADERS_MAX or size > HEADER_BYTES_MAX:
        raise Refused(Cause.TOO_LARGE, field="headers")
    if not versions:
        raise Refused(Cause.UNSUPPORTED_VERSION, field="ce_specversion")
