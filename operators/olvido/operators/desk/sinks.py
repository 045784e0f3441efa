"""Each system that holds personal data: its standing, and what it owes."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from olvido.core.sinks import Standing
from olvido.ledger.figures import Figures
from olvido.ledger.sink_operations import OpenOperation, SinkOperations
from olvido.operators.desk.ledger import database
from olvido.schemas.settings.deployment import Deployment


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkLoad:
    """What one sink has been asked, and what it owes."""

    tasks: int = 0
    answered: int = 0
    parked: int = 0
    resent: int = 0
    owed: int = 0
    oldest_owed_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkRow:
    """One sink as things stand."""

    sink: str
    kind: str  # empty where it is not in olvido.toml any more
    region: str
    standing: Standing
    operation: OpenOperation | None  # the restore or backfill for which it is not live
    owed: SinkLoad
    looked_at: datetime | None  # when it last looked again for people it erased
    reapplied: int  # decisions that it applied again, to rows that came after them
    joins_late: bool  # it was never asked for anything, and others were

    @property
    def open(self) -> int:
        """How many of its tasks have no receipt."""
        return self.owed.tasks - self.owed.answered


def rows(declared: Deployment) -> list[SinkRow]:
    """Every sink of olvido.toml, then those that only the ledger still knows.

    Raises:
        Unavailable: the ledger does not answer.
    """
    owed = owed_by_sink(declared)
    standings = SinkOperations(database(declared)).standings()
    figures = Figures(database(declared))
    looked, reapplied = figures.newest_looks(), figures.reapplied_by_sink()
    found = []
    for name in [*declared.sinks, *sorted(owed.keys() - declared.sinks)]:
        section = declared.sinks.get(name)
        standing, operation = standings.get(name, (Standing.LIVE, None))
        asked = owed.get(name, SinkLoad())
        found.append(
            SinkRow(
                sink=name,
                kind=section.kind if section else "",
                region=section.region if section else "",
                standing=standing,
                operation=operation,
                owed=asked,
                looked_at=looked.get(name),
                reapplied=reapplied.get(name, 0),
                joins_late=operation is None and not asked.tasks and bool(owed),
            )
        )
    return found


def owed_by_sink(declared: Deployment) -> dict[str, SinkLoad]:
    """What each sink that the ledger knows has been asked, and what it owes."""
    figures = Figures(database(declared))
    late = {row["sink"]: row for row in figures.owed_by_sink()}
    found = {}
    for row in figures.by_sink():
        owing = late.get(row["sink"], {"owed": 0, "oldest_at": None})
        found[row["sink"]] = SinkLoad(
            tasks=row["tasks"],
            answered=row["answered"],
            parked=row["parked"],
            resent=row["resent"],
            owed=owing["owed"],
            oldest_owed_at=owing["oldest_at"],
        )
    return found


def not_live(declared: Deployment, sinks: Iterable[str]) -> list[tuple[Standing, OpenOperation]]:
    """The operation for which each of these sinks is not live: its earlier receipts do not hold there now."""
    standings = SinkOperations(database(declared)).standings()
    return [standings[sink] for sink in sorted(standings.keys() & set(sinks))]
