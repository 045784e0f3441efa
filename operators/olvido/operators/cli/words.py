"""What people type, as values: ids, rates. What is wrong with it is said by the name of the option."""

from uuid import UUID

from olvido.core import rates
from olvido.core.errors import InvalidInput, Refused
from olvido.core.ids import canonical_uuid


def uuid_of(text: str, field: str) -> UUID:
    """An id.

    Raises:
        InvalidInput: it is not a canonical UUID.
    """
    try:
        return canonical_uuid(text, field=field)
    except Refused as refused:
        raise InvalidInput(field, refused.reason) from None


def rate_of(text: str, field: str, *, most: float | None = None) -> float:
    """How many a second ``50/s`` or ``600/min`` is.

    Raises:
        InvalidInput: it is no rate, or above the most that there may be.
    """
    try:
        rate = rates.rate_of(text)
    except ValueError as error:
        raise InvalidInput(field, str(error)) from None
    if most is not None and rate > most:
        raise InvalidInput(field, f"is at most {most:g}/s")
    return rate
