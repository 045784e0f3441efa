"""Times as operators write them: an instant, or how long ago."""

import re
from datetime import UTC, datetime, timedelta

from olvido.core.errors import InvalidInput

_SPANS = re.compile(r"(?:(?P<days>\d+)d)?(?:(?P<hours>\d+)h)?(?:(?P<minutes>\d+)m)?(?:(?P<seconds>\d+)s)?")
# ISO 8601 as kafka-consumer-groups takes it. Months and years are no lengths.
_ISO = re.compile(
    r"P(?:(?P<weeks>\d+)W)?(?:(?P<days>\d+)D)?"
    r"(?:T(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+)S)?)?"
)


def span_of(text: str, *, field: str) -> timedelta:
    """How long ``90s``, ``30m``, ``1h``, ``2d``, ``1d12h`` or ``PT1H`` is.

    Raises:
        InvalidInput: the text is no length of time, or none at all.
    """
    match = _SPANS.fullmatch(text) or _ISO.fullmatch(text)
    parts = {name: int(value) for name, value in (match.groupdict() if match else {}).items() if value}
    try:
        span = timedelta(**parts)
    except OverflowError:
        span = timedelta()
    if not span:
        raise InvalidInput(field, "is a length of time such as 90s, 30m, 1h, 2d or PT1H")
    return span


def instant_of(text: str, *, field: str, now: datetime) -> datetime:
    """The instant that ``2026-11-23T12:00:00Z`` or ``2026-11-23`` names, or that was ``2h`` ago; ``now`` too.

    Raises:
        InvalidInput: the text is neither, or an instant without a time zone.
    """
    if text == "now":
        return now
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        try:
            return now - span_of(text, field=field)
        except (InvalidInput, OverflowError):
            raise InvalidInput(
                field, "is an instant such as 2026-11-23T12:00:00Z, or how long ago, such as 2h or 3d"
            ) from None
    if re.fullmatch(r"\d{4}-?\d{2}-?\d{2}", text):  # a day begins at midnight, UTC
        return instant.replace(tzinfo=UTC)
    if instant.tzinfo is None:
        raise InvalidInput(field, f"has no time zone: write {text}Z for UTC")
    return instant.astimezone(UTC)
