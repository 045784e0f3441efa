"""Why a use case ends early: what is named is not there, or a rule forbids it. Nothing was done."""

from collections.abc import Collection, Iterable

from olvido.core.errors import InvalidInput, OlvidoError, did_you_mean


class NotThere(OlvidoError):
    """What was named is not there.

    Args:
        kind: what it would be, such as ``request``.
        name: what it was called.
        known: the names there are, to find the nearest; none if they would be too many.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str] = ()) -> None:
        names = list(known)
        super().__init__(f"there is no {kind} {name}{did_you_mean(name, names) if names else ''}")
        self.kind = kind
        self.name = name


class NoTopic(InvalidInput):
    """What was named needs a topic that is not at the broker."""


class NotAllowed(OlvidoError):
    """A rule forbids it as things stand."""


def check_declared(sink: str, sinks: Collection[str]) -> None:
    """Check that olvido.toml has a sink.

    Raises:
        InvalidInput: it has not; the nearest name is in the reason.
    """
    if sink not in sinks:
        raise InvalidInput("sink", f"olvido.toml has no sink {sink!r}{did_you_mean(sink, sinks)}")


def check_known(field: str, value: str | None, there_are: Collection[str]) -> None:
    """Check that a value, where one is given, is one that there is.

    Raises:
        InvalidInput: it is not; the nearest is in the reason.
    """
    if value is not None and value not in there_are:
        raise InvalidInput(field, f"knows no {value!r}{did_you_mean(value, there_are)}")
