"""Every fault Olvido can name: one type per reaction of the caller.

What is expected (nothing found, a late receipt) is a value and not here; what
cannot happen is an assertion.
"""

import difflib
from collections.abc import Iterable
from datetime import timedelta

from olvido.core.causes import Cause


class OlvidoError(Exception):
    """The base of all of them: catch this to catch what Olvido raises on purpose."""


class ConfigError(OlvidoError):
    """A setting is missing or wrong. Nothing was started; mend the setting.

    The message names file, key and the fix, and never a secret's value.
    """


class Unavailable(OlvidoError):
    """A part does not answer now. Nothing is wrong with the record: wait and try again.

    Args:
        message: which part, what it answered, what to do.
        retry_after: how long the part asked us to wait, if it did.
    """

    def __init__(self, message: str, *, retry_after: timedelta | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Refused(OlvidoError):
    """This one record cannot be handled, now or later: it becomes a dead letter.

    Args:
        cause: the code, from the closed list.
        field: the field at fault (its name, never its value).
        reason: one sentence for a person; it holds no identity.
    """

    def __init__(self, cause: Cause, *, field: str = "", reason: str = "") -> None:
        super().__init__(f"{cause.value}: {field or 'record'}: {reason or cause.meaning}")
        self.cause = cause
        self.field = field
        self.reason = reason or cause.meaning


class NotDelivered(OlvidoError):
    """The broker did not confirm some records. They may or may not be there: send them again, same ids."""


class InvalidInput(OlvidoError, ValueError):
    """A caller's argument cannot be used. Nothing was sent.

    Args:
        field: the argument at fault.
        reason: what is expected; it does not hold the value.
    """

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


def did_you_mean(word: str, words: Iterable[str]) -> str:
    """A hint to append to an error: the nearest of the names that there are, or all of them."""
    known = sorted(words)
    close = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else f" (there are: {', '.join(known) or 'none'})"
