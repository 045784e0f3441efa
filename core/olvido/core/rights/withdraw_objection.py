"""The withdrawal of an objection (GDPR art. 21)."""

from dataclasses import dataclass
from typing import ClassVar

from olvido.core.outcomes import Outcome
from olvido.core.rights.names import Action, Right
from olvido.core.rights.object import AboutPurposes


@dataclass(frozen=True, slots=True)
class WithdrawObjection(AboutPurposes):
    """Follow what the person decided about some purposes without an earlier objection to them."""

    action: ClassVar[Action] = Action.WITHDRAW_OBJECTION
    right: ClassVar[Right] = Right.WITHDRAW_OBJECTION
    summary: ClassVar[str] = "Take back a person's objection to some purposes."
    done: ClassVar[frozenset[Outcome]] = frozenset({Outcome.RELEASED, Outcome.SUPERSEDED})
