"""The end of a restriction: the columns that it set say that the row may be used again."""

from collections.abc import Collection, Sequence

from olvido.core.objections import EVERY_USE
from olvido.core.outcomes import Outcome
from olvido.sinks.contract import Capability, Extent
from olvido.sinks.rights.objections import OTHERS, TakenBack, take_back
from olvido.sinks.rights.purposes import FULL
from olvido.sinks.rights.restrict import set_in_rows
from olvido.sinks.rights.target import KEPT, Found, Target
from olvido.sinks.rights.task_progress import TaskProgress
from olvido.sinks.tables.data_map import DataMap


class LiftRestrictionInTables:
    """Keeps :class:`olvido.sinks.rights.contract.RightInTables`."""

    def capability(self, data_map: DataMap, purposes: Collection[str]) -> Capability:
        """See :meth:`olvido.sinks.rights.contract.RightInTables.capability`."""
        if data_map.lifts_restrictions:
            return FULL
        return Capability(extent=Extent.NONE, why="no table has lift_restriction")

    def begin(self, tasks: Sequence[TaskProgress], target: Target) -> None:
        """Record which restrictions are lifted: those that this target has set, and no others."""
        if not target.data_map.lifts_restrictions:
            for task in tasks:
                task.close(Outcome.UNSUPPORTED, "not covered: no table has lift_restriction")
            return
        came = take_back([(task, (EVERY_USE,)) for task in tasks], target)
        for task in tasks:
            match came[task.n, EVERY_USE]:
                case TakenBack.OTHERS:
                    task.close(Outcome.AMBIGUOUS, f"the restriction stands: {OTHERS}")
                case TakenBack.LATER:
                    task.close(Outcome.SUPERSEDED, "a later restriction is known")
                case TakenBack.NONE_KNOWN:
                    task.close(Outcome.NOT_FOUND, "no restriction of the person is known here")
                case TakenBack.RELEASED:
                    pass  # its rows are searched for

    def apply(self, tasks: Sequence[TaskProgress], found: Found, target: Target) -> None:
        """Set the columns in the rows that are the persons' own alone."""
        lifted = {name: table.lift_restriction for name, table in target.data_map.tables.items()}
        set_in_rows(tasks, found, target, lifted, "released")
        for task in tasks:
            if not task.counts and task.n in found.judgement.others:
                task.close(Outcome.AMBIGUOUS, KEPT)
            else:
                task.close(Outcome.RELEASED, "" if task.counts else target.searched(task))
