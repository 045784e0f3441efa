"""The brake at the desk: what two people decide about what it holds, and a request that is withdrawn."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from uuid import UUID

from olvido.core.acts import Verb
from olvido.core.brake import HeldDecision
from olvido.core.errors import InvalidInput
from olvido.core.lifecycle import RequestState
from olvido.ledger.brake import Brake, Decided, ReleaseTask
from olvido.operators.desk import dead_letters
from olvido.operators.desk.acts import new_act
from olvido.operators.desk.faults import NotThere, check_declared
from olvido.operators.desk.ledger import database
from olvido.operators.desk.requests import RequestWithTasks, show
from olvido.operators.settings import own_signing_file
from olvido.schemas.privacy.principal_keys import Signer
from olvido.schemas.settings.deployment import DESK, Deployment

_VERBS = {HeldDecision.RELEASE: Verb.RELEASE, HeldDecision.DISCARD: Verb.DISCARD}


@dataclass(frozen=True, slots=True, kw_only=True)
class WhichHeld:
    """Which of the erasures above a limit are decided about: some, one asker's, one sink's, or all."""

    ids: Sequence[UUID] = ()  # of requests
    asked_by: str | None = None
    sink: str | None = None  # only tasks that are above a limit of this sink
    every: bool = False

    def check(self) -> None:
        """
        Raises:
            InvalidInput: none of ids, asker and all was said, nor a sink; or more than one of the three.
        """
        said = sum((bool(self.ids), self.asked_by is not None, self.every))
        if said > 1 or (not said and self.sink is None):
            raise InvalidInput(
                "ids", "say which: some by their ids, those of one who asked, those of one sink, or all"
            )


def decide(declared: Deployment, which: WhichHeld, decision: HeldDecision, reason: str) -> Decided:
    """Decide about what is above a limit. It has its effect when a second person decides the same.

    Raises:
        InvalidInput: it is not said which, there is no such sink, or the reason cannot be recorded.
        ConfigError: the key of the desk is not here, which signs what is decided about tasks.
        Unavailable: broker or ledger does not answer. The second person's repeat goes on where it was.
    """
    which.check()
    if which.sink is not None:
        check_declared(which.sink, declared.sinks)
    selected = {
        "ids": [str(one) for one in which.ids],
        "asked_by": which.asked_by,
        "sink": which.sink,
        "all": which.every,
    }
    act = new_act(
        _VERBS[decision], reason, of="brake", **{name: value for name, value in selected.items() if value}
    )
    decided = Brake(database(declared)).decide(
        act, decision, ids=which.ids or None, asked_by=which.asked_by, sink=which.sink,
        release=_released_by(declared),
    )  # fmt: skip
    # Killed here, the tasks that two people discard wait still, with what was decided of them.
    if decided.given_up:
        dead_letters.give_up(declared, decided.given_up)
    return decided


def _released_by(declared: Deployment) -> ReleaseTask:
    """Signs releases. The key is read when the first one is to be signed: a proposal needs none."""
    signer = cache(lambda: Signer.load(own_signing_file(declared, DESK)))
    return lambda task_id, generation: signer().release(task_id, generation)


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
