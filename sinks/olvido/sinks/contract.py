"""What a sink is: the code that speaks to one system, and answers for it.

A third party adds a kind of sink by the entry-point group ``olvido.sinks``: the entry
point names a :class:`SinkFactory`, its name is the ``kind`` in olvido.toml.
"""

from collections.abc import Callable, Collection, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

from olvido.core.canary_people import PlantedRow
from olvido.core.causes import Cause
from olvido.core.errors import Refused
from olvido.core.looks import LaterLook
from olvido.core.receipts import Receipt
from olvido.core.rights.names import Action
from olvido.core.subject import Identity, IdentityKind
from olvido.core.tasks import IdempotencyKey, Task


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedTask:
    """A task with its box opened: the only place outside producers where identities are in clear.

    An :class:`Identity` masks its repr, so this value may stand in a traceback.
    """

    task: Task
    identities: tuple[Identity, ...]
    released: bool = False  # two people decided that what it takes is not limited


class RefusedTogether(Refused):
    """Some tasks of a batch are refused for what they come to together: each alone would be done.

    Args:
        keys: those tasks. The others of the batch may be brought again.
        cause, field, reason: see :class:`olvido.core.errors.Refused`.
    """

    def __init__(self, cause: Cause, *, keys: Set[IdempotencyKey], field: str = "", reason: str = "") -> None:
        super().__init__(cause, field=field, reason=reason)
        self.keys = keys


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkSettings:
    """What every sink is given, whatever its kind."""

    name: str
    region: str
    identities: tuple[IdentityKind, ...]
    purposes: tuple[str, ...]
    own: Mapping[str, Any]  # the rest of its section in olvido.toml, for its kind to check


class Sink(Protocol):
    """One system that holds personal data.

    The effect and the memory of it are one transaction of the target: a task that comes
    again is answered with the receipt of the first time and changes nothing.
    """

    def check(self) -> Sequence[str]:
        """Look whether the target is as the sink's section says. Changes nothing in it.

        Returns:
            What fits and will be slow, such as a missing index: a sentence for each.

        Raises:
            ConfigError: the data map does not fit the target (a table or column is absent); or the journal is
                newer than this program, or lacks what this sink may not make.
            Unavailable: the target does not answer.
        """
        ...

    def install(self) -> None:
        """Bring what belongs to Olvido in the target (its journal) to this version. A repeat changes nothing.

        Raises:
            ConfigError: the target does not allow it, or its journal is newer than this program.
            Unavailable: the target does not answer.
        """
        ...

    def ping(self) -> None:
        """Ask the target whether it is there, twice a minute while no task comes: so never read its rows.

        Raises:
            ConfigError: it is there, and as far as that is cheap to see, no longer as :meth:`check` wants it.
            Unavailable: the target does not answer.
        """
        ...

    def apply(self, batch: Sequence[OpenedTask]) -> Sequence[Receipt]:
        """Do what the tasks ask, and answer each: one receipt for each task, in their order.

        All of the batch is done, or none of it is. The same (task_id, generation) may come in a
        later batch, and gives the same receipt; no batch has it twice.

        Raises:
            Unavailable: the target does not answer now. Nothing was done, or what was done
                is remembered: bring the batch again.
            Refused: something in the batch cannot be done for good. The runner halves the
                batch until that task stands alone, and makes a dead letter of it.
            RefusedTogether: some of its tasks come to too much. Each of them becomes a dead letter.
        """
        ...

    def idle(self) -> None:
        """No task came for a second: do what may wait, such as giving freed space back.

        Raises:
            Unavailable: the target does not answer; it is asked again the next time.
        """
        ...

    def close(self) -> None:
        """Let go of the target. A repeat changes nothing."""
        ...


class Extent(StrEnum):
    """How far a sink can do what one right asks."""

    FULL = "full"
    PARTIAL = "partial"
    NONE = "none"
    UNKNOWN = "unknown"  # its kind does not say


@dataclass(frozen=True, slots=True, kw_only=True)
class Capability:
    """What a sink can do of one action, known before anybody asks."""

    extent: Extent
    why: str = ""  # a sentence on what is missing; empty where nothing is


@runtime_checkable
class Capable(Protocol):
    """What a kind of sink has besides, if its section says what it can do. Nothing is asked of the target.

    What has no capability for an action answers it with ``unsupported``.
    """

    def capabilities(self, settings: SinkSettings) -> Mapping[Action, Capability]:
        """What a sink with this section can do of each action that a task may have.

        Raises:
            ConfigError: the section is wrong.
        """
        ...


@runtime_checkable
class Remembering(Protocol):
    """What a sink has besides, if its memory can be asked without doing anything.

    No sink needs it. It is asked of tasks whose boxes cannot be opened any more: what was done
    before its key was destroyed is done.
    """

    def remembered(self, batch: Sequence[Task]) -> Sequence[Receipt | None]:
        """The receipt of the first time for each task, in their order, or None. Changes nothing.

        Raises:
            Unavailable: the target does not answer.
        """
        ...


@runtime_checkable
class Knowing(Protocol):
    """What a sink has besides, if its memory can be asked for many tasks at once, by their keys alone."""

    def known(self, keys: Collection[IdempotencyKey]) -> Set[IdempotencyKey]:
        """Those of the tasks that were done. What it answered once and does not know, a restore has undone.

        Raises:
            Unavailable: the target does not answer.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """What a task would do if it came now."""

    task: Task
    remembered: bool  # it was done before: it would be answered from memory and change nothing
    # What is new would be answered with; None where its box does not open here, or the target refuses it.
    receipt: Receipt | None


@runtime_checkable
class Rehearsing(Protocol):
    """What a sink has besides, if its target can try something and take it back.

    No sink needs it. One whose target cannot may say why, in an attribute ``not_rehearsed``.
    """

    def rehearse(
        self, batch: Sequence[Task], opening: Callable[[Task], OpenedTask | None]
    ) -> Sequence[Rehearsal]:
        """Say what the tasks would do, and change nothing: one rehearsal for each task, in their order.

        The memory is asked first. Only what is not remembered is opened, done, and rolled back.

        Args:
            batch: the tasks, with their boxes closed.
            opening: opens one; None where that cannot be done here.

        Raises:
            Unavailable: the target does not answer.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """What came of one step of looking again."""

    look: LaterLook | None  # None: no erasure is due
    overdue: timedelta  # for how long the oldest look should have been taken when the step began
    more: bool  # whether others are due now


@runtime_checkable
class LookingAgain(Protocol):
    """What a sink has besides, if it keeps the boxes of what it erased and can search for the people again.

    No sink needs it. What it erased is then never shown as verified.
    """

    def look_again(
        self, opening: Callable[[Task], OpenedTask | None], publish: Callable[[LaterLook], None]
    ) -> Swept | None:
        """Look at some of what is due: a bounded step. None where another process does that now.

        That they were looked at is noted only after ``publish`` has returned.

        Args:
            opening: opens a box; None where it does not open here. It raises ``Forgotten`` where the key
                is destroyed, which is counted.
            publish: hands the record to the broker.

        Raises:
            Unavailable: the target or the broker does not answer. It is tried again later.
            Refused: the target refuses the search.
        """
        ...

    def look_at(
        self,
        opening: Callable[[Task], OpenedTask | None],
        publish: Callable[[LaterLook], None],
        *,
        done_after: datetime,
    ) -> LaterLook | None:
        """Look at the next of those done after an instant, due or not, and note nothing; None: no more.

        Raises:
            Unavailable: the target or the broker does not answer.
            Refused: the target refuses the search.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Reapplied:
    """What came of one step of applying decisions again."""

    looked: int  # decisions that stand and were looked at
    reapplied: int  # of those, how many were applied again
    more: bool  # whether others are due now


@runtime_checkable
class Reapplying(Protocol):
    """What a sink has besides, if it keeps the boxes of decisions and can mark rows that came after them."""

    def reapply(
        self, opening: Callable[[Task], OpenedTask | None], publish: Callable[[LaterLook], None]
    ) -> Reapplied | None:
        """Apply some decisions again that are due: a bounded step. None where another process does that now.

        The arguments are those of :meth:`LookingAgain.look_again`.

        Raises:
            Unavailable: the target or the broker does not answer. It is tried again later.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class StandingPeople:
    """What is found of canary people."""

    rows: tuple[int, ...]  # of each of them
    at: datetime  # when it was searched, by the target's clock if it has one


@runtime_checkable
class Planting(Protocol):
    """What a sink has besides, if a canary person can be put into its target and looked for there.

    No sink needs it. Neither method may use what erases: it is the erasure that is tried.
    """

    def plant(self, rows: Sequence[PlantedRow]) -> None:
        """Put all rows in, or none; and make sure that they are found again.

        Raises:
            ConfigError: they do not fit the data map, or are not found after they were put in.
            Unavailable: the target does not answer.
            Refused: the target refuses them.
        """
        ...

    def standing(self, people: Sequence[Sequence[PlantedRow]]) -> StandingPeople:
        """Look for the rows of each person by the columns that hold the address, all at one instant.

        Raises:
            ConfigError: they do not fit the data map.
            Unavailable: the target does not answer.
            Refused: the target refuses the search.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage:
    """Which history a target goes on with, by what its server says of itself."""

    name: str  # for PostgreSQL the cluster's identifier and the timeline
    # When the target was last seen with another one; None if it never was. What it had committed by then it
    # has still; what came after may be lost, by a fail-over or since a backup was put back.
    left_at: datetime | None


@runtime_checkable
class TellingLineage(Protocol):
    """What a sink has besides, if its target's server tells when it failed over or a backup was put back."""

    def lineage(self) -> Lineage | None:
        """Ask the target; None if it does not tell. Changes nothing in it.

        Raises:
            Unavailable: the target does not answer.
        """
        ...


class SinkFactory(Protocol):
    """Makes a sink of one kind out of its section in olvido.toml."""

    def __call__(self, settings: SinkSettings) -> Sink:
        """
        Raises:
            ConfigError: naming the key under ``sinks.<name>`` and the fix.
        """
        ...
