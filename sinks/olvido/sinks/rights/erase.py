"""Erasure: rows are deleted, anonymised or retained as the data map says, and searched for once more."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from olvido.core.causes import Cause
from olvido.core.errors import Refused
from olvido.core.outcomes import Outcome
from olvido.sinks.data_map import ErasureMethod, Table
from olvido.sinks.ownership import Judgement, Key, Row
from olvido.sinks.rights.progress import TaskProgress
from olvido.sinks.rights.target import KEPT, Found, Target

_OUTCOMES = (  # of a task that came to several, the first of these
    (ErasureMethod.RETAIN.done, Outcome.RETAINED),
    (ErasureMethod.ANONYMISE.done, Outcome.ANONYMISED),
    (ErasureMethod.DELETE.done, Outcome.ERASED),
)


class EraseInTables:
    """Keeps :class:`olvido.sinks.rights.contract.RightInTables`."""

    def begin(self, tasks: Sequence[TaskProgress], target: Target) -> None:
        """Nothing: every data map says of each table what an erasure does."""

    def apply(self, tasks: Sequence[TaskProgress], found: Found, target: Target) -> None:
        """Destroy the persons' rows, those first that point at others, and read back."""
        asking = {task.n: task for task in tasks}
        doomed = {name: _first_owners(rows, asking) for name, rows in found.owned.items()}
        erasure = _Erasure(asking, found, target, doomed)
        for name in target.data_map.erasing_order():
            if target.data_map.tables[name].shared_by:
                erasure.prune(name)
            else:
                erasure.erase(name)
        erasure.close(erasure.read_back())


@dataclass(frozen=True, slots=True)
class _Erasure:
    """The erasures of one batch."""

    asking: Mapping[int, TaskProgress]
    found: Found
    target: Target
    doomed: Mapping[str, Mapping[Key, int]]  # by table: which rows go, each for one task

    def erase(self, name: str) -> None:
        """Do to a table's rows what the data map says."""
        rows, table = self.target.rows, self.target.data_map.tables[name]
        done = f"{name}.{table.erase.done}"
        for column, owners in self._ways(name, table):
            values = list(owners)
            for value, count in rows.erase(name, column, values).items():
                self.asking[owners[value]].count(done, count)
            if table.erase is not ErasureMethod.RETAIN and rows.remaining(name, column, values):
                raise _still_there(name)
        if (
            (table.consent or table.objection)
            and self.doomed[name]
            and table.erase is not ErasureMethod.RETAIN
        ):
            rows.forget_row_marks(name, list(self.doomed[name]))

    def _ways(self, name: str, table: Table) -> Iterator[tuple[str, Mapping[Key, int]]]:
        """By which columns a table's rows are reached: their own keys, and their parents' keys."""
        if self.doomed[name]:
            yield table.key, self.doomed[name]
        if table.parent and self.doomed[table.parent.table] and not self.target.keys_needed(name):
            yield table.parent.column, self.doomed[table.parent.table]

    def prune(self, name: str) -> None:
        """Shared rows go with the last row that points at them."""
        data_map = self.target.data_map
        last_owner: dict[Key, int] = {}
        for sharer in data_map.tables[name].shared_by:
            place = data_map.sharers(sharer.table).index(sharer.column)
            for key, n in self.doomed[sharer.table].items():
                shared = self.found.owned[sharer.table][key].shares[place]
                if shared is not None:
                    last_owner[shared] = min(n, last_owner.get(shared, n))
        if last_owner:
            for key in self.target.rows.prune(name, list(last_owner)):
                self.asking[last_owner[key]].count(f"{name}.deleted")

    def read_back(self) -> Judgement | None:
        """Search again, in the same transaction: nothing that was to go may be found.

        Returns:
            What still names the tasks' identities: rows that are retained, or somebody else's. None if
            no row named them to begin with.
        """
        named = [task for n, task in self.asking.items() if n in self.found.judgement.named]
        if not named:
            return None  # the search that found nothing is the reading back
        again = self.target.find(named)
        for name, rows in again.roots.items():
            if rows and self.target.data_map.tables[name].erase is not ErasureMethod.RETAIN:
                raise _still_there(name)
        return again

    def close(self, again: Judgement | None) -> None:
        """Give each task its outcome, by what was counted and by what the second search found."""
        for n, task in self.asking.items():
            named = again is not None and n in again.named
            task.verified = not named
            if named and n in self.found.judgement.others:
                task.close(Outcome.AMBIGUOUS, KEPT)
            elif named:
                # Rows that are retained, though an earlier task of the batch may have counted them.
                task.close(Outcome.RETAINED)
            else:
                task.close(_outcome(task.counts))
            if task.outcome is Outcome.NOT_FOUND:
                task.details.append(self.target.searched(task))
            task.details += self._grounds(task, again)

    def _grounds(self, task: TaskProgress, again: Judgement | None) -> list[str]:
        """Why rows of the task's person stay: those it counted, and those an earlier task has counted."""
        roots = again.roots if again is not None else {}
        kept = {name for name, rows in roots.items() if any(task.n in row.owners for row in rows.values())}
        return [
            f"{name}: {table.ground}"
            for name, table in self.target.data_map.tables.items()
            if table.erase is ErasureMethod.RETAIN
            and (f"{name}.{ErasureMethod.RETAIN.done}" in task.counts or name in kept)
        ]


def _first_owners(rows: Mapping[Key, Row], asking: Mapping[int, TaskProgress]) -> Mapping[Key, int]:
    """Each row once, for the first task that asks for it: so it is destroyed and counted once."""
    first: dict[Key, int] = {}
    for key, row in rows.items():
        for n in row.owners:
            if n in asking:
                first[key] = n
                break
    return first


def _outcome(counts: Mapping[str, int]) -> Outcome:
    done = {name.rpartition(".")[2] for name, count in counts.items() if count}
    return next((outcome for way, outcome in _OUTCOMES if way in done), Outcome.NOT_FOUND)


def _still_there(name: str) -> Refused:
    return Refused(Cause.STILL_THERE, field=name, reason=f"read back after the work, {name} still held rows")
