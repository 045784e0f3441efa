"""How far a sink may be relied on: what its open restores and backfills say of it."""

from collections.abc import Iterable
from enum import StrEnum


class OperationKind(StrEnum):
    """Work that is asked of one sink as a whole."""

    RESTORE = "restore"  # a backup was put back: what was done since must be done again
    BACKFILL = "backfill"  # it joins late: what was asked before must be done


class Standing(StrEnum):
    """Whether a system holds what people decided."""

    LIVE = "live"
    JOINING = "joining"  # it does not know yet what was decided before it came
    UNSAFE = "unsafe"  # it holds again what was erased, or has lost decisions of people


def standing_of(open_operations: Iterable[OperationKind]) -> Standing:
    """The standing of a sink with these operations open. Of two the worse one counts."""
    kinds = set(open_operations)
    if OperationKind.RESTORE in kinds:
        return Standing.UNSAFE
    return Standing.JOINING if kinds else Standing.LIVE
