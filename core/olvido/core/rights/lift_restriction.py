"""The end of a restriction, as the person asks for it (GDPR art. 18(2) and (3))."""

from dataclasses import dataclass
from typing import ClassVar

from olvido.core.outcomes import Outcome
from olvido.core.rights.names import Action, Right
from olvido.core.rights.what import OfRequest


@dataclass(frozen=True, slots=True)
class LiftRestriction(OfRequest):
    """Use the person's data again: what an earlier restriction set is undone."""

    action: ClassVar[Action] = Action.LIFT_RESTRICTION
    right: ClassVar[Right] = Right.LIFT_RESTRICTION
    summary: ClassVar[str] = "Ask for a person's restriction to be lifted."
    done: ClassVar[frozenset[Outcome]] = frozenset({Outcome.RELEASED, Outcome.SUPERSEDED})
    # An older backup has the restriction, and so has a system that is added later and asked for it.
    lasting: ClassVar[bool] = True
    backfilled: ClassVar[bool] = True
