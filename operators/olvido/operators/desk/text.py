"""Values as a person reads them, on a terminal or in a browser."""

from datetime import UTC, datetime, timedelta


def text_of(value: object) -> str:  # noqa: PLR0911 - one for each kind
    """A value as a person reads it."""
    match value:
        case None | "":
            return "-"
        case bool():
            return "yes" if value else "no"
        case datetime():
            return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
        case timedelta():
            return span(value)
        case dict():
            return ", ".join(f"{key} {text_of(item)}" for key, item in value.items()) or "-"
        case list() | tuple():
            return ", ".join(map(text_of, value)) or "-"
        case _:
            return str(value)


def printable(text: str, *, keep: str = "\n\t") -> str:
    """A text in which each sign that is none is shown as its escape.

    What others wrote might otherwise move the cursor, paint over what we print, or turn the direction of the
    line around: a target's detail, the reason of a dead letter, a name in somebody's schema.

    Args:
        text: anything.
        keep: what else stays as it is.
    """
    return "".join(sign if sign.isprintable() or sign in keep else ascii(sign)[1:-1] for sign in text)


def span(time: timedelta) -> str:
    """A span of time as a person says it."""
    exact = time.total_seconds()
    if 0 < exact < 0.9995:
        return f"{exact * 1000:.0f} ms"
    if exact < 10 and exact % 1:
        return f"{exact:.1f} s"
    seconds = int(exact)
    if seconds < 120:
        return f"{seconds} s"
    if seconds < 7200:
        return f"{seconds // 60} min"
    return f"{seconds // 3600} h" if seconds < 172_800 else f"{seconds // 86_400} d"


def counted(number: int, one: str, many: str | None = None) -> str:
    """A number and what it counts, such as ``1 dead letter`` or ``2 dead letters``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
