"""How long a sink waits for the locks of others, and how long one of its transactions may hold its own."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import Field

from olvido.core.causes import Cause
from olvido.core.errors import Refused
from olvido.sinks.tables.limits import TableSection

LOCK_TIMEOUT_S = 10.0
TRANSACTION_TIMEOUT_S = 180.0  # three attempts of a batch are less than Kafka waits for the next poll
LockTimeout = Annotated[float, Field(ge=0.1, le=300)]
TransactionTimeout = Annotated[float, Field(ge=1, le=TRANSACTION_TIMEOUT_S)]


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeLimits:
    """The two limits of a sink."""

    lock_timeout_s: float = LOCK_TIMEOUT_S
    transaction_timeout_s: float = TRANSACTION_TIMEOUT_S

    @property
    def statement_timeout_s(self) -> float:
        """How long one statement may take, COMMIT among them: a third of the transaction's time.

        None but COMMIT begins after the first third, so the last one ends within the second, and COMMIT,
        which looks at what is deferred, within the last: no lock is held for longer.
        """
        return self.transaction_timeout_s / 3

    def deadline(self, clock: Callable[[], float] = time.monotonic) -> "Deadline":
        """The end of a transaction that begins now."""
        return Deadline(self, clock, clock() + self.statement_timeout_s)


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


class TimedSection(TableSection):
    """The part of a section that limits waiting: of a database that others use at the same time."""

    lock_timeout_s: LockTimeout = LOCK_TIMEOUT_S
    transaction_timeout_s: TransactionTimeout = TRANSACTION_TIMEOUT_S

    @property
    def time_limits(self) -> TimeLimits:
        """The same, as a sink wants it."""
        return TimeLimits(
            lock_timeout_s=self.lock_timeout_s, transaction_timeout_s=self.transaction_timeout_s
        )
