"""What a sink for tables does whatever its database is: it looks again; some can rehearse.

A kind of database opens the transactions; what is done inside them is here, and in the recipe.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence, Set
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Annotated, ClassVar, TypeVar

from pydantic import Field

from olvido.core.canary_people import PlantedRow
from olvido.core.causes import Cause
from olvido.core.errors import Refused
from olvido.core.looks import LaterLook
from olvido.core.receipts import Receipt
from olvido.core.rights.names import Action
from olvido.core.tasks import IdempotencyKey, Task
from olvido.sinks.contract import (
    Capability,
    OpenedTask,
    Reapplied,
    Rehearsal,
    SinkSettings,
    StandingPeople,
    Swept,
)
from olvido.sinks.looks import LookTransaction, to_keep
from olvido.sinks.reapplying import (
    REAPPLIED_MAX,
    ReapplyTransaction,
    decisions_to_keep,
    erased_handles,
)
from olvido.sinks.rights.erase import before_chunks, erase_chunk
from olvido.sinks.rights.in_tables import IN_TABLES
from olvido.sinks.rights.target import Target
from olvido.sinks.section import read_section
from olvido.sinks.tables.data_map import DataMap
from olvido.sinks.tables.engine import TableRows
from olvido.sinks.tables.journal import recalled
from olvido.sinks.tables.kept import KeptErasures
from olvido.sinks.tables.kept_decisions import KeptDecisions
from olvido.sinks.tables.limits import LIMITS, ErasureLimits, TableSection, taken
from olvido.sinks.tables.map_rules import read_data_map
from olvido.sinks.tables.planting import plant, standing
from olvido.sinks.tables.recipe import carry_out
from olvido.sinks.tables.statements import Statements
from olvido.sinks.tables.time_limits import TIME_LIMITS, TimeLimits

log = logging.getLogger("olvido.sinks")

CHUNK_ROWS = 10_000  # of one table, in one transaction of a person who has very many
CHUNK_ROWS_MIN = 100
ChunkRows = Annotated[int, Field(ge=CHUNK_ROWS_MIN, le=1_000_000)]

T = TypeVar("T")
Opening = Callable[[Task], OpenedTask | None]
Publish = Callable[[LaterLook], None]


class TableSink(ABC):
    """A database with tables, a data map over them, and its later looks."""

    section: ClassVar[type[TableSection]]  # what its part of olvido.toml holds

    def __init__(
        self,
        settings: SinkSettings,
        data_map: DataMap,
        look_again: tuple[timedelta, ...],
        *,
        limits: ErasureLimits = LIMITS,
    ) -> None:
        self._settings = settings
        self._map = data_map
        self._look_again = look_again
        self._limits = limits
        self._statements: Statements | None = None  # None: the tables must be looked at first

    @classmethod
    def capabilities(cls, settings: SinkSettings) -> Mapping[Action, Capability]:
        """See :meth:`olvido.sinks.contract.Capable.capabilities`."""
        data_map = read_data_map(settings, read_section(cls.section, settings).tables)
        return {
            action: in_tables.capability(data_map, settings.purposes)
            for action, in_tables in IN_TABLES.items()
            if action is not Action.UNKNOWN
        }

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._settings.name})"

    @abstractmethod
    def _committed(self) -> AbstractContextManager[TableRows]:
        """A transaction that is committed at the end of the block, and rolled back if the block raises.

        Raises:
            Unavailable, Refused: what became of the database's own faults.
        """

    def look_again(self, opening: Opening, publish: Publish) -> Swept | None:
        """See :meth:`olvido.sinks.contract.LookingAgain.look_again`."""
        with self._committed() as rows:
            return self._looking(rows, opening, publish).step(self._look_again)

    def look_at(self, opening: Opening, publish: Publish, *, done_after: datetime) -> LaterLook | None:
        """See :meth:`olvido.sinks.contract.LookingAgain.look_at`."""
        with self._committed() as rows:
            return self._looking(rows, opening, publish).page(done_after)

    def reapply(self, opening: Opening, publish: Publish) -> Reapplied | None:
        """See :meth:`olvido.sinks.contract.Reapplying.reapply`.

        What the target refuses is divided, until the decision at fault stands alone and is put off: the
        others do not wait for it.
        """
        if not self._look_again:
            return Reapplied(looked=0, reapplied=0, more=False)
        limit = REAPPLIED_MAX
        while True:
            try:
                with self._committed() as rows:
                    return self._reapplying(rows, opening, publish).step(self._look_again, limit)
            except Refused as refused:
                if limit == 1:
                    with self._committed() as rows:
                        task = self._reapplying(rows, opening, publish).put_off()
                    if task is not None:
                        log.warning(
                            "sink %s: task %s cannot be applied again, and is tried again in a day: %s",
                            self._settings.name, task.task_id, refused,
                        )  # fmt: skip
                    return Reapplied(looked=0, reapplied=0, more=True)
                limit //= 2

    def known(self, keys: Collection[IdempotencyKey]) -> Set[IdempotencyKey]:
        """See :meth:`olvido.sinks.contract.Knowing.known`."""
        with self._committed() as rows:
            return rows.journal.known(list(keys))

    def plant(self, rows: Sequence[PlantedRow]) -> None:
        """See :meth:`olvido.sinks.contract.Planting.plant`."""
        with self._committed() as target:
            plant(target, rows)

    def standing(self, people: Sequence[Sequence[PlantedRow]]) -> StandingPeople:
        """See :meth:`olvido.sinks.contract.Planting.standing`."""
        with self._committed() as target:
            return StandingPeople(rows=tuple(standing(target, rows) for rows in people), at=target.at)

    def _looking(self, rows: TableRows, opening: Opening, publish: Publish) -> LookTransaction:
        kept = KeptErasures(rows.session, self._settings.name)
        return LookTransaction(self._target(rows), kept, self._settings.name, opening, publish)

    def _reapplying(self, rows: TableRows, opening: Opening, publish: Publish) -> ReapplyTransaction:
        kept = KeptDecisions(rows.session, self._settings.name)
        return ReapplyTransaction(self._target(rows), kept, self._settings.name, opening, publish)

    def _target(self, rows: TableRows) -> Target:
        return Target(rows, self._map, self._settings.purposes)

    def _keep(self, rows: TableRows, batch: Sequence[OpenedTask], receipts: Sequence[Receipt]) -> None:
        """Keep the boxes of what was erased in this transaction, for later looks."""
        if self._look_again:
            kept = KeptErasures(rows.session, self._settings.name)
            kept.keep(to_keep(batch, receipts, rows), rows.gone)
            decisions = KeptDecisions(rows.session, self._settings.name)
            decisions.keep(decisions_to_keep(batch, receipts, rows), self._look_again)
            decisions.drop_of(erased_handles(batch))


class RehearsingTableSink(TableSink):
    """One whose database can roll back while others work with it, and so can rehearse a task."""

    @abstractmethod
    def _rolled_back(self, act: Callable[[TableRows], T]) -> T:
        """Act in a transaction that is never committed.

        Raises:
            Unavailable, Refused: what became of the database's own faults.
        """

    def rehearse(self, batch: Sequence[Task], opening: Opening) -> Sequence[Rehearsal]:
        """See :meth:`olvido.sinks.contract.Rehearsing.rehearse`."""
        known = self._rolled_back(lambda rows: rows.journal.known([task.key for task in batch]))
        return [
            Rehearsal(task=task, remembered=True, receipt=None)
            if task.key in known
            else Rehearsal(task=task, remembered=False, receipt=self._try(opening(task)))
            for task in batch
        ]

    def remembered(self, batch: Sequence[Task]) -> Sequence[Receipt | None]:
        """See :meth:`olvido.sinks.contract.Remembering.remembered`."""
        return recalled(self._rolled_back(lambda rows: rows.remembered([task.key for task in batch])), batch)

    def _try(self, one: OpenedTask | None) -> Receipt | None:
        """What a task that is new would be answered. Alone, so that its locks are held for a moment only."""
        if one is None:
            return None
        try:
            [receipt] = self._rolled_back(
                lambda rows: carry_out(rows, self._map, self._settings, [one], self._limits)
            )
        except Refused:
            return None
        return receipt


class ChunkingTableSink(RehearsingTableSink):
    """One beside which others work, so that no transaction may last long: a heavy person goes in chunks."""

    def __init__(
        self,
        settings: SinkSettings,
        data_map: DataMap,
        look_again: tuple[timedelta, ...],
        chunk_rows: int = CHUNK_ROWS,
        *,
        limits: ErasureLimits = LIMITS,
        time_limits: TimeLimits = TIME_LIMITS,
    ) -> None:
        super().__init__(settings, data_map, look_again, limits=limits)
        self._chunk_rows = chunk_rows
        self._time_limits = time_limits

    @abstractmethod
    def _acting(self, act: Callable[[TableRows], T], limit: int | None = None) -> T:
        """Act in a transaction that is committed; again if somebody changed the same rows meanwhile.

        Args:
            act: what to do.
            limit: at most so many rows of a table are read.

        Raises:
            Unavailable, Refused: what became of the database's own faults.
        """

    def apply(self, batch: Sequence[OpenedTask]) -> Sequence[Receipt]:
        """See :meth:`olvido.sinks.contract.Sink.apply`."""
        try:
            return self._acting(lambda rows: self._carry_out(rows, batch))
        except Refused as refused:
            heavy = refused.cause is Cause.TOO_SLOW and len(batch) == 1
            if not heavy or batch[0].task.action is not Action.ERASE:
                raise
        return self._in_chunks(batch[0])

    def _carry_out(self, rows: TableRows, batch: Sequence[OpenedTask]) -> Sequence[Receipt]:
        receipts = carry_out(rows, self._map, self._settings, batch, self._limits)
        self._keep(rows, batch, receipts)
        return receipts

    def _in_chunks(self, one: OpenedTask) -> Sequence[Receipt]:
        """Erase a person who has too many rows for one transaction: each chunk is one, with its own counts.

        Killed between two chunks: the task comes again, and what the chunks have done is counted with the
        rest.
        """
        if not one.released:
            self._acting(lambda rows: self._judge(one, rows), self._limits.rows_read)
        limit = self._chunk_rows
        while True:
            try:
                if not self._chunk(one, limit):
                    break
            except Refused as refused:
                if refused.cause is not Cause.TOO_SLOW or limit == CHUNK_ROWS_MIN:
                    raise
                limit = max(limit // 10, CHUNK_ROWS_MIN)
        return self._acting(lambda rows: self._carry_out(rows, [one]))

    def _judge(self, one: OpenedTask, rows: TableRows) -> None:
        """Refuse a heavy person's erasure that is above a limit, before its first chunk."""
        if not rows.remembered([one.task.key]):
            task, judgement, going = before_chunks(one, self._target(rows))
            self._limits.check_people([task], judgement)
            done = rows.journal.unfinished.get(one.task.key, {})
            self._limits.check_rows(going + taken(done))

    def _chunk(self, one: OpenedTask, limit: int) -> bool:
        """Erase some of a person's rows; whether there were as many as one chunk takes."""

        def erase(rows: TableRows) -> bool:
            counts: Mapping[str, int] = {}
            if not rows.remembered([one.task.key]):
                counts = erase_chunk(one, self._target(rows))
            if counts:
                total = rows.journal.save_progress(one.task.key, counts)
                if self._look_again:
                    KeptErasures(rows.session, self._settings.name).keep_gone(rows.gone)
                if not one.released:
                    # Judged before the first chunk; rows that others put in since count as well.
                    self._limits.check_rows(taken(total))
            return bool(counts)

        return self._acting(erase, limit)
