"""Access (GDPR art. 15)."""

from dataclasses import dataclass
from typing import ClassVar

from olvido.core.outcomes import Outcome
from olvido.core.rights.names import Action, Right
from olvido.core.rights.what import OfRequest


@dataclass(frozen=True, slots=True)
class Access(OfRequest):
    """Give out a copy of the person's data."""

    action: ClassVar[Action] = Action.ACCESS
    right: ClassVar[Right] = Right.ACCESS
    summary: ClassVar[str] = "Ask for a copy of a person's data."
    done: ClassVar[frozenset[Outcome]] = frozenset({Outcome.EXPORTED})
    lasting: ClassVar[bool] = False
    backfilled: ClassVar[bool] = False
