"""What a right is to a target that has tables: one class for each, one module for each class."""

from collections.abc import Sequence
from typing import Protocol

from olvido.sinks.rights.target import Found, Target
from olvido.sinks.rights.task_progress import TaskProgress


class RightInTables(Protocol):
    """Does what one action asks, for all tasks of a batch that ask it, inside the batch's transaction."""

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
