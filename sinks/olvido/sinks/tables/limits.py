"""How much erasures may take from the tables of a target. Above that two people decide.

What one erasure takes is judged by itself. A share of a table is judged of a batch: one person may well have
most of a table's rows, so the person who has most of them is left out of the share.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Annotated

from pydantic import Field

from olvido.core.causes import Cause
from olvido.core.errors import Refused
from olvido.sinks.contract import RefusedTogether
from olvido.sinks.rights.task_progress import TaskProgress
from olvido.sinks.section import SectionPart
from olvido.sinks.tables.data_map import ErasureMethod, UnreadTables
from olvido.sinks.tables.engine import TableRows
from olvido.sinks.tables.ownership import Judgement

PEOPLE_MAX = 25
SHARE_MAX = 0.5
SHARE_ROWS_MIN = 10_000  # of a smaller table a share says nothing
ROWS_MAX_MOST = 1_000_000  # so many keys are read before the first chunk of a heavy person
READ_ROWS_MIN = 100  # before the first chunk, where rows have no limit: a few, for the people among them

_GONE = (ErasureMethod.DELETE.done, "cascaded")
_TAKEN = (*_GONE, ErasureMethod.ANONYMISE.done)


@dataclass(frozen=True, slots=True, kw_only=True)
class ErasureLimits:
    """What erasures may take from the tables of a sink. What two people released is not limited."""

    rows_max: int | None = None
    people_max: int = PEOPLE_MAX
    share_max: float = SHARE_MAX
    share_rows_min: int = SHARE_ROWS_MIN

    @property
    def rows_read(self) -> int:
        """How many rows of a table are read to see whether an erasure is above a limit."""
        return max(self.rows_max or 0, self.people_max, READ_ROWS_MIN) + 1

    def check_people(self, tasks: Iterable[TaskProgress], judgement: Judgement) -> None:
        """Refuse an erasure that reaches too many people, before it changes anything.

        Args:
            tasks: of any kind; those that are no erasure, or released, have no limit.
            judgement: whose rows they find. Of people who share an identity nobody is touched.

        Raises:
            Refused: ``ABOVE_LIMIT``.
        """
        for task in tasks:
            reached = judgement.people.get(task.n, 0)
            if reached > self.people_max and task.limited and task.n not in judgement.shared:
                raise _above("people_max", f"it reaches {reached} people; one erasure may {self.people_max}")

    def check_rows(self, rows: int) -> None:
        """Refuse an erasure that takes, or would take, more rows than one may.

        Raises:
            Refused: ``ABOVE_LIMIT``.
        """
        if self.rows_max is not None and rows > self.rows_max:
            raise _above("rows_max", f"more than {self.rows_max} rows, which is what one erasure may take")

    def check_batch(self, tasks: Sequence[TaskProgress], rows: TableRows) -> None:
        """Refuse erasures that have taken too much. They are in an open transaction: roll back.

        Args:
            tasks: of any kind, with what this transaction and chunks before it did for each.
            rows: the transaction, in which the rows are gone already.

        Raises:
            Refused: ``ABOVE_LIMIT``: one of them took too many rows.
            RefusedTogether: ``ABOVE_LIMIT``: they took too much of a table together.
        """
        limited = [task for task in tasks if task.limited]
        for task in limited:
            self.check_rows(taken(task.counts))
        for name in _much(limited, more_than=self.share_max * self.share_rows_min):
            self._check_share(name, limited, rows)

    def _check_share(self, name: str, tasks: Sequence[TaskProgress], rows: TableRows) -> None:
        by_person: Counter[str] = Counter()
        gone = 0
        for task in tasks:
            by_person[task.task.subject_id] += _of(task.counts, name, _TAKEN)
            gone += _of(task.counts, name, _GONE)
        most = max(by_person.values())
        others = by_person.total() - most
        # As many rows had to be there before. A table of a thousand million is not counted to its end.
        wanted = ceil(max(others / self.share_max, self.share_rows_min)) + most
        before = gone + rows.counted(name, at_most=max(wanted - gone, 0))
        if self.share_rows_min <= before - most < others / self.share_max:
            raise RefusedTogether(
                Cause.ABOVE_LIMIT,
                keys=frozenset(task.task.key for task in tasks if _of(task.counts, name, _TAKEN)),
                field=name,
                reason=(
                    f"together {by_person.total()} of {before} rows; erasures of one batch may take "
                    f"{self.share_max:.0%} of a table"
                ),
            )


def taken(counts: Mapping[str, int]) -> int:
    """How many rows an erasure took, by what its receipt counts: those that are retained are not taken."""
    return sum(n for what, n in counts.items() if not what.endswith(f".{ErasureMethod.RETAIN.done}"))


def _of(counts: Mapping[str, int], name: str, deeds: Iterable[str]) -> int:
    return sum(counts.get(f"{name}.{done}", 0) for done in deeds)


def _much(tasks: Sequence[TaskProgress], *, more_than: float) -> Iterator[str]:
    """The tables of which erasures took so many rows that it may be too much of them."""
    touched: dict[str, int] = defaultdict(int)
    for task in tasks:
        for what, count in task.counts.items():
            name, _, done = what.rpartition(".")
            if done in _TAKEN:
                touched[name] += count
    return (name for name, count in touched.items() if count > more_than)


def _above(field: str, reason: str) -> Refused:
    return Refused(Cause.ABOVE_LIMIT, field=field, reason=reason)


LIMITS = ErasureLimits()


class TableSection(SectionPart):
    """The part of a section that every kind with tables has: its data map, and the limits of erasures."""

    tables: UnreadTables = None

    rows_max: Annotated[int, Field(ge=1, le=ROWS_MAX_MOST)] | None = None
    people_max: Annotated[int, Field(ge=1, le=ROWS_MAX_MOST)] = PEOPLE_MAX
    share_max: Annotated[float, Field(gt=0, le=1)] = SHARE_MAX

    @property
    def limits(self) -> ErasureLimits:
        """The same, as a sink wants it."""
        return ErasureLimits(rows_max=self.rows_max, people_max=self.people_max, share_max=self.share_max)
