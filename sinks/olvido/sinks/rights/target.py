"""One transaction of a target with its data map: finds the rows that name people, and whose they are."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from olvido.core.subject import IdentityKind
from olvido.sinks.data_map import DataMap
from olvido.sinks.ownership import Judgement, Key, Row, judge
from olvido.sinks.rights.progress import TaskProgress
from olvido.sinks.rows import Rows, Search

KEPT = "rows that name the person belong to somebody else, or may do so, and were kept as they are"

Owned = Mapping[str, Mapping[Key, Row]]  # by table, then by key


@dataclass(frozen=True, slots=True)
class Found:
    """The rows of a batch: which name its people, and which are theirs."""

    judgement: Judgement
    owned: Owned


@dataclass(frozen=True, slots=True)
class Target:
    """What a right works with."""

    rows: Rows
    data_map: DataMap
    purposes: tuple[str, ...]  # what the system uses data for

    def find(self, tasks: Iterable[TaskProgress]) -> Judgement:
        """Every row that names an identity of these tasks, and whose it is."""
        searches: dict[IdentityKind, list[Search]] = defaultdict(list)
        names: dict[IdentityKind, set[int]] = defaultdict(set)
        for task in tasks:
            if task.searches:
                fence = task.fence
                for kind, value in task.spellings:
                    names[kind].add(task.n)
                    searches[kind].append((task.n, value, fence))
        tables = self.data_map.found_by_identity
        found = {
            name: self.rows.match(name, {k: searches[k] for k in table.identities if searches[k]})
            for name, table in tables.items()
        }
        return judge(tables, found, names)

    def owned(self, tasks: Sequence[TaskProgress], judgement: Judgement) -> Owned:
        """All rows that are the tasks' persons': those found, and those that hang on them."""
        untouched = {n for n in judgement.shared if not tasks[n].only_protects}
        owned: dict[str, dict[Key, Row]] = {}
        for name, table in self.data_map.tables.items():
            mine = owned[name] = {}
            for key, row in judgement.roots.get(name, {}).items():
                owners = tuple(n for n in row.owners if n not in untouched) if untouched else row.owners
                if owners:
                    mine[key] = Row(owners, row.shares)
            if table.parent is None:
                continue
            parents = owned[table.parent.table]
            for parent, named in judgement.hanging.get(name, {}).items():
                owners = parents[parent].owners if parent in parents else ()
                judgement.others.update(n for n, _ in named if n not in owners)
            if parents and self.keys_needed(name):
                for key, parent, shares in self.rows.children(name, list(parents)):
                    mine[key] = Row(parents[parent].owners, shares)
        return owned

    def keys_needed(self, name: str) -> bool:
        """Whether rows of a table must be known one by one; else they are done by their parents' keys."""
        return self.data_map.has_dependants(name) or bool(self.data_map.tables[name].marked)

    def searched(self, task: TaskProgress) -> str:
        """By what a person was searched for, for a receipt that says that nobody was found."""
        kinds = [kind for kind in self.data_map.kinds if any(i.kind is kind for i in task.identities)]
        return (
            f"searched by {listed(kinds)}"
            if kinds
            else "none of its identities is of a kind that is held here"
        )


def listed(names: Iterable[str]) -> str:
    """Names in a receipt's detail."""
    return ", ".join(names) or "anything"
