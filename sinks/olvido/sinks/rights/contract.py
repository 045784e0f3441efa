"""What a right is to a target that has tables: one class for each, one module for each class."""

from collections.abc import Collection, Sequence
from typing import Protocol

from olvido.sinks.contract import Capability
from olvido.sinks.rights.target import Found, Target
from olvido.sinks.rights.task_progress import TaskProgress
from olvido.sinks.tables.data_map import DataMap


class RightInTables(Protocol):
    """Does what one action asks, for all tasks of a batch that ask it, inside the batch's transaction."""

    def capability(self, data_map: DataMap, purposes: Collection[str]) -> Capability:
        """How far a data map lets it be done, where data is used for these purposes."""
        ...

    def begin(self, tasks: Sequence[TaskProgress], target: Target) -> None:
        """Do what needs no row of a person: answer what is not covered, record what was decided.

        A task that is left without an outcome has its rows searched for, and comes to :meth:`apply`; so
        do rows of a task that has marks, which are set between the two.
        """
        ...

    def apply(self, tasks: Sequence[TaskProgress], found: Found, target: Target) -> None:
        """Change the rows found, and give each task its outcome.

        Args:
            tasks: those that have no outcome yet; never none.
            found: the rows of the whole batch.
            target: the open transaction.

        Raises:
            Refused: ``STILL_THERE`` after reading back: the transaction must be rolled back.
        """
        ...
