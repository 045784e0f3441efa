"""Erasure (GDPR art. 17)."""

from dataclasses import dataclass
from typing import ClassVar

from olvido.core.outcomes import Outcome
from olvido.core.rights.names import Action, Right
from olvido.core.rights.what import OfRequest


@dataclass(frozen=True, slots=True)
class Erase(OfRequest):
    """Delete or anonymise the person's data, as far as they are not newer than the request."""

    action: ClassVar[Action] = Action.ERASE
    right: ClassVar[Right] = Right.ERASE
    summary: ClassVar[str] = "Ask for a person's data to be deleted or anonymised."
    done: ClassVar[frozenset[Outcome]] = frozenset({Outcome.ERASED, Outcome.ANONYMISED})
    lasting: ClassVar[bool] = True
    backfilled: ClassVar[bool] = True
    gone: ClassVar[frozenset[Outcome]] = done
