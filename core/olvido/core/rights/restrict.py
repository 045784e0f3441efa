"""Restriction (GDPR art. 18)."""

from dataclasses import dataclass
from typing import ClassVar

from olvido.core.outcomes import Outcome
from olvido.core.rights.names import Action, Right
from olvido.core.rights.what import OfRequest


@dataclass(frozen=True, slots=True)
class Restrict(OfRequest):
    """Keep the person's data, and use them no longer."""

    action: ClassVar[Action] = Action.RESTRICT
    right: ClassVar[Right] = Right.RESTRICT
    summary: ClassVar[str] = "Ask for a person's data to be kept but not used."
    # The person's own later lift of it is not a lack: nothing is left to do.
    done: ClassVar[frozenset[Outcome]] = frozenset({Outcome.RESTRICTED, Outcome.BLOCKED, Outcome.SUPERSEDED})
    lasting: ClassVar[bool] = True
    backfilled: ClassVar[bool] = True
