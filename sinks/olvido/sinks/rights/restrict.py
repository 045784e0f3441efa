"""Restriction: columns that the data map names say that a row is not to be used."""

from collections.abc import Collection, Mapping, Sequence

from olvido.core.objections import EVERY_USE
from olvido.core.outcomes import Outcome
from olvido.core.standing import latest
from olvido.sinks.contract import Capability, Extent
from olvido.sinks.rights.objections import pairs_of, stated
from olvido.sinks.rights.purposes import FULL
from olvido.sinks.rights.target import KEPT, Found, Target
from olvido.sinks.rights.task_progress import TaskProgress
from olvido.sinks.tables.data_map import DataMap, Scalar


class RestrictInTables:
    """Keeps :class:`olvido.sinks.rights.contract.RightInTables`."""

    def capability(self, data_map: DataMap, purposes: Collection[str]) -> Capability:
        """See :meth:`olvido.sinks.rights.contract.RightInTables.capability`."""
        return FULL if data_map.restricts else Capability(extent=Extent.NONE, why="no table has restrict")

    def begin(self, tasks: Sequence[TaskProgress], target: Target) -> None:
        """Record the restrictions; the latest stands. A map without ``restrict`` restricts nobody.

        One of several handles stands as long as one of them has not lifted it.
        """
        if not target.data_map.restricts:
            for task in tasks:
                task.close(Outcome.UNSUPPORTED, "not covered: no table has restrict")
            return
        states = latest(state for task in tasks for state in stated(task, [EVERY_USE], released=False))
        standing = target.rows.journal.save_objections([*states.values()])
        for task in tasks:
            if all(standing[pair].released for pair in pairs_of(task, [EVERY_USE])):
                task.close(Outcome.SUPERSEDED, "it was lifted later")

    def apply(self, tasks: Sequence[TaskProgress], found: Found, target: Target) -> None:
        """Set the columns in every row of the persons."""
        _restrict(tasks, found, target)
        for task in tasks:
            if task.counts:
                task.close(Outcome.RESTRICTED)
            elif task.n in found.judgement.others:
                task.close(Outcome.AMBIGUOUS, KEPT)
            elif task.n in found.judgement.named:
                task.close(Outcome.UNSUPPORTED, "not covered: the tables of the rows found have no restrict")
            else:
                task.close(Outcome.NOT_FOUND, target.searched(task))


def restrict_anew(tasks: Sequence[TaskProgress], found: Found, target: Target) -> None:
    """Set the columns in rows that do not hold them, and count those alone."""
    _restrict(tasks, found, target, anew=True)


def _restrict(tasks: Sequence[TaskProgress], found: Found, target: Target, *, anew: bool = False) -> None:
    restricted = {name: table.restrict for name, table in target.data_map.tables.items()}
    set_in_rows(tasks, found, target, restricted, "restricted", anew=anew)


def set_in_rows(
    tasks: Sequence[TaskProgress],
    found: Found,
    target: Target,
    values: Mapping[str, Mapping[str, Scalar]],
    counted_as: str,
    *,
    anew: bool = False,
) -> None:
    """Set columns in the rows of the persons, by table, and count the rows for the tasks.

    Args:
        tasks: whose rows.
        found: the rows of the whole batch.
        target: the open transaction.
        values: the columns of each table; of one with none no row is changed.
        counted_as: what the receipt calls it.
        anew: only in rows that do not hold them, and those alone are counted.
    """
    asking = {task.n: task for task in tasks}
    for name, columns in values.items():
        if not columns:
            continue
        rows = {key: [n for n in row.owners if n in asking] for key, row in found.owned[name].items()}
        keys = [key for key, owners in rows.items() if owners]
        changed = target.rows.set_columns(name, columns, keys, anew=anew) if keys else {}
        for place, key in enumerate(keys):
            for n in rows[key] if not anew or place in changed else ():
                asking[n].count(f"{name}.{counted_as}")
