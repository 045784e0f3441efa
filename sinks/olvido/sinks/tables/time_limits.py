"""How long a sink waits for the locks of others, and how long one of its transactions may hold its own."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import Field

from olvido.core.causes import Cause
from olvido.core.errors import Refused
from olvido.sinks.tables.limits import LimitedSection

LOCK_TIMEOUT_S = 10.0
TRANSACTION_TIMEOUT_S = 120.0
LockTimeout = Annotated[float, Field(ge=0.1, le=300)]
TransactionTimeout = Annotated[float, Field(ge=1, le=3600)]


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeLimits:
    """The two limits of a sink."""

    lock_timeout_s: float = LOCK_TIMEOUT_S
    transaction_timeout_s: float = TRANSACTION_TIMEOUT_S

    @property
    def statement_timeout_s(self) -> float:
        """How long one statement may take. None begins in the second half of the transaction's time.

        So the last one ends, and with it all locks, before the transaction has held any for too long.
        """
        return self.transaction_timeout_s / 2

    def deadline(self, clock: Callable[[], float] = time.monotonic) -> "Deadline":
        """The end of a transaction that begins now."""
        return Deadline(self, clock, clock() + self.transaction_timeout_s - self.statement_timeout_s)


@dataclass(frozen=True, slots=True)
class Deadline:
    """Until when the statements of one transaction may begin."""

    limits: TimeLimits
    clock: Callable[[], float] = field(repr=False)
    begin_until: float

    def check(self) -> None:
        """Before a statement.

        Raises:
            Refused: ``TOO_SLOW``: with it the transaction could hold its locks for too long.
        """
        if self.clock() > self.begin_until:
            held = f"{self.limits.transaction_timeout_s:g} s (transaction_timeout_s)"
            raise Refused(Cause.TOO_SLOW, reason=f"it would hold its locks for more than {held}")


TIME_LIMITS = TimeLimits()


class TimedSection(LimitedSection):
    """The part of a section that limits waiting: of a database that others use at the same time."""

    lock_timeout_s: LockTimeout = LOCK_TIMEOUT_S
    transaction_timeout_s: TransactionTimeout = TRANSACTION_TIMEOUT_S

    @property
    def time_limits(self) -> TimeLimits:
        """The same, as a sink wants it."""
        return TimeLimits(
            lock_timeout_s=self.lock_timeout_s, transaction_timeout_s=self.transaction_timeout_s
        )
