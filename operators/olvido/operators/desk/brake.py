"""The brake at the desk: what is held, what two people decide about it, and a request that is withdrawn."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from olvido.core.acts import Verb
from olvido.core.brake import BRAKED, HeldDecision
from olvido.core.errors import InvalidInput
from olvido.core.lifecycle import RequestState
from olvido.ledger.brake import Brake, Decided
from olvido.operators.desk.acts import new_act
from olvido.operators.desk.faults import NotThere
from olvido.operators.desk.ledger import database
from olvido.operators.desk.requests import RequestWithTasks, show
from olvido.schemas.settings.deployment import Deployment

_VERBS = {HeldDecision.RELEASE: Verb.RELEASE, HeldDecision.DISCARD: Verb.DISCARD}


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedHeld:
    """A request that no sink is asked for yet."""

    request_id: UUID
    right: str
    held_for: str
    asked_by: str
    held_at: datetime
    start_at: datetime | None
    proposal: str | None  # what one person has decided
    proposed_by: str | None
    proposed_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WhichHeld:
    """Which of the erasures above a limit are decided about: some, one asker's, or all there are."""

    ids: Sequence[UUID] = ()
    asked_by: str | None = None
    every: bool = False

    def check(self) -> None:
        """
        Raises:
            InvalidInput: none of the three was given, or more than one.
        """
        if sum((bool(self.ids), self.asked_by is not None, self.every)) != 1:
            raise InvalidInput("ids", "say which: some by their ids, those of one who asked, or all")


def held(declared: Deployment, *, asked_by: str | None, limit: int) -> list[ListedHeld]:
    """The requests that no sink is asked for yet, the oldest first."""
    rows = Brake(database(declared)).held(asked_by=asked_by, limit=limit)
    return [ListedHeld(**row) for row in rows]


def waiting(declared: Deployment) -> int:
    """How many erasures wait for people."""
    return braked(Brake(database(declared)).counts())


def braked(counts: dict[str, tuple[int, datetime]]) -> int:
    """Of those that are held, how many wait for people."""
    return sum(count for held_for, (count, _) in counts.items() if held_for in BRAKED)


def decide(declared: Deployment, which: WhichHeld, decision: HeldDecision, reason: str) -> Decided:
    """Decide about erasures above a limit. It has its effect when a second person decides the same.

    Raises:
        InvalidInput: none is named, or the reason cannot be recorded.
    """
    which.check()
    selected = {
        "ids": [str(one) for one in which.ids],
        "asked_by": which.asked_by,
        "all": which.every,
    }
    act = new_act(
        _VERBS[decision], reason, of="brake", **{name: value for name, value in selected.items() if value}
    )
    return Brake(database(declared)).decide(act, decision, ids=which.ids or None, asked_by=which.asked_by)


def withdraw(declared: Deployment, request_id: UUID, reason: str) -> RequestWithTasks | None:
    """Withdraw a request that no sink was asked for yet.

    Returns:
        The request with its tasks if sinks were asked before: then nothing was done. None if it is withdrawn.

    Raises:
        NotThere: the ledger knows no such request.
        InvalidInput: the reason cannot be recorded.
    """
    act = new_act(Verb.WITHDRAW, reason, request_id=str(request_id))
    state = Brake(database(declared)).withdraw(act, request_id)
    if state is None:
        raise NotThere("request", str(request_id))
    return None if state is RequestState.WITHDRAWN else show(declared, request_id)
