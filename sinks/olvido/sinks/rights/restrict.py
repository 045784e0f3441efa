"""Restriction: columns that the data map names say that a row is not to be used."""

from collections.abc import Sequence

from olvido.core.outcomes import Outcome
from olvido.sinks.rights.progress import TaskProgress
from olvido.sinks.rights.target import KEPT, Found, Target


class RestrictInTables:
    """Keeps :class:`olvido.sinks.rights.contract.RightInTables`."""

    def begin(self, tasks: Sequence[TaskProgress], target: Target) -> None:
        """A map without ``restrict`` restricts nobody."""
        if not target.data_map.restricts:
            for task in tasks:
                task.close(Outcome.UNSUPPORTED, "not covered: no table has restrict")

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
    asking = {task.n: task for task in tasks}
    for name, table in target.data_map.tables.items():
        if not table.restrict:
            continue
        rows = {key: [n for n in row.owners if n in asking] for key, row in found.owned[name].items()}
        keys = [key for key, owners in rows.items() if owners]
        changed = target.rows.set_columns(name, table.restrict, keys, anew=anew) if keys else {}
        for place, key in enumerate(keys):
            for n in rows[key] if not anew or place in changed else ():
                asking[n].count(f"{name}.restricted")
