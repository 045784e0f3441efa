"""The option `--rate`: how fast something may go."""

from olvido.core.errors import InvalidInput
from olvido.core.rates import rate_of


def rate_given(text: str, *, most: float | None = None) -> float:
    """How many a second ``--rate`` asks for.

    Raises:
        InvalidInput: the text is no rate, or more than ``most`` a second.
    """
    try:
        rate = rate_of(text)
    except ValueError as error:
        raise InvalidInput("--rate", str(error)) from None
    if most is not None and rate > most:
        raise InvalidInput("--rate", f"is at most {most}/s")
    return rate
