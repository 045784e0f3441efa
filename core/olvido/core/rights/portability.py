"""Portability (GDPR art. 20)."""

from dataclasses import dataclass
from typing import ClassVar

from olvido.core.outcomes import Outcome
from olvido.core.rights.names import Action, Right
from olvido.core.rights.what import OfRequest


@dataclass(frozen=True, slots=True)
class Portability(OfRequest):
    """Give out the person's data in a machine-readable form."""

    action: ClassVar[Action] = Action.PORTABILITY
    right: ClassVar[Right] = Right.PORTABILITY
    summary: ClassVar[str] = "Ask for a person's data in a machine-readable form."
    done: ClassVar[frozenset[Outcome]] = frozenset({Outcome.EXPORTED})
    lasting: ClassVar[bool] = False
    backfilled: ClassVar[bool] = False
