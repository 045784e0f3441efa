"""The recipe for a target that has tables: recall, record, find, mark, change, read back, remember.

One call is one transaction of the target. The statements it asks for grow with the tables of
the data map, never with tasks or rows. What a target's SQL looks like is behind
:class:`olvido.sinks.tables.dialect.Dialect`, what each action does is in ``rights/``.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from olvido.core.receipts import Receipt
from olvido.core.rights.names import Action
from olvido.core.tasks import IdempotencyKey
from olvido.sinks.contract import OpenedTask, SinkSettings
from olvido.sinks.rights.in_tables import IN_TABLES
from olvido.sinks.rights.marks import mark
from olvido.sinks.rights.orphans import recall_keys
from olvido.sinks.rights.target import Target
from olvido.sinks.rights.task_progress import TaskProgress
from olvido.sinks.tables.data_map import DataMap
from olvido.sinks.tables.engine import TableRows
from olvido.sinks.tables.journal import Answer
from olvido.sinks.tables.limits import ErasureLimits
from olvido.sinks.tables.ownership import Judgement

_SHARED = "several people share the identity, and the request does not say which of them asks"


def carry_out(
    rows: TableRows,
    data_map: DataMap,
    settings: SinkSettings,
    batch: Sequence[OpenedTask],
    limits: ErasureLimits,
) -> list[Receipt]:
    """Do what a batch asks for inside one transaction, and answer each task in its order.

    A task that was done before gets the answer of the first time.

    Raises:
        Refused: a task is malformed, ``STILL_THERE`` after reading back, or ``ABOVE_LIMIT``: roll back.
        RefusedTogether: ``ABOVE_LIMIT``, for what the batch takes of a table: roll back.
    """
    keys = [one.task.key for one in batch]
    assert len(set(keys)) == len(keys), "the runner brings no task twice in one batch"
    answers = dict(rows.remembered(keys))
    new = [one for one in batch if one.task.key not in answers] if answers else batch
    if new:
        given = _answers(Target(rows, data_map, settings.purposes), new, limits)
        rows.remember(given)
        answers.update(given)
    return [answers[one.task.key].receipt(one.task) for one in batch]


def _answers(
    target: Target, new: Sequence[OpenedTask], limits: ErasureLimits
) -> Mapping[IdempotencyKey, Answer]:
    """The answers to tasks that were never done before."""
    tasks = [TaskProgress.of(n, one) for n, one in enumerate(new)]
    if unfinished := target.rows.journal.unfinished:
        for task in tasks:
            # What was done of it in chunks is counted with the rest.
            task.counts.update(unfinished.get(task.task.key, {}))
        recall_keys(target.rows, [task.task for task in tasks if task.task.key in unfinished])
    groups: dict[Action, list[TaskProgress]] = defaultdict(list)
    for task in tasks:
        groups[task.task.action].append(task)
    asked = [(in_tables, groups[action]) for action, in_tables in IN_TABLES.items() if action in groups]
    for in_tables, group in asked:
        in_tables.begin(group, target)
    if any(task.searches for task in tasks):
        judgement = target.find(tasks)
        limits.check_people(tasks, judgement)
        _keep_what_is_shared(tasks, judgement)
        found = target.owned(tasks, judgement)
        mark(tasks, found, target)
        for in_tables, group in asked:
            if unanswered := [task for task in group if task.outcome is None]:
                in_tables.apply(unanswered, found, target)
        limits.check_batch(tasks, target.rows)
    return {task.task.key: task.answer(target.rows.at) for task in tasks}


def _keep_what_is_shared(tasks: Sequence[TaskProgress], judgement: Judgement) -> None:
    """An identity of several people, and nothing that says which of them asks: touch nobody, and say so."""
    for n in judgement.shared:
        if not tasks[n].only_protects:
            tasks[n].marks = ()
            tasks[n].nothing_done(_SHARED)
