"""An action that no module here does: answered ``unsupported``, so that the gap is shown."""

from collections.abc import Collection, Sequence

from olvido.core.outcomes import Outcome
from olvido.sinks.contract import Capability, Extent
from olvido.sinks.rights.target import Found, Target
from olvido.sinks.rights.task_progress import TaskProgress
from olvido.sinks.tables.data_map import DataMap


class NotCovered:
    """Keeps :class:`olvido.sinks.rights.contract.RightInTables`."""

    def capability(self, data_map: DataMap, purposes: Collection[str]) -> Capability:
        """See :meth:`olvido.sinks.rights.contract.RightInTables.capability`."""
        return Capability(extent=Extent.NONE, why="the data map has no way of it")

    def begin(self, tasks: Sequence[TaskProgress], target: Target) -> None:
        """Say so of each."""
        for task in tasks:
            way = task.task.action.value
            task.close(Outcome.UNSUPPORTED, f"not covered: the data map has no way of {way}")

    def apply(self, tasks: Sequence[TaskProgress], found: Found, target: Target) -> None:
        """Nothing: no task is left without an outcome."""
