"""Rectification (GDPR art. 16)."""

from dataclasses import dataclass
from typing import ClassVar

from olvido.core.outcomes import Outcome
from olvido.core.rights.names import Action, Right
from olvido.core.rights.what import OfRequest


@dataclass(frozen=True, slots=True)
class Rectify(OfRequest):
    """Correct the person's data."""

    action: ClassVar[Action] = Action.RECTIFY
    right: ClassVar[Right] = Right.RECTIFY
    summary: ClassVar[str] = "Ask for a person's data to be corrected."
    done: ClassVar[frozenset[Outcome]] = frozenset({Outcome.RECTIFIED})
    lasting: ClassVar[bool] = True
    backfilled: ClassVar[bool] = False
