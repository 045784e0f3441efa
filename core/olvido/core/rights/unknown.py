"""An action of a newer version: a sink answers that it does not support it."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Self

from olvido.core.events import Decision
from olvido.core.outcomes import Outcome
from olvido.core.rights.names import Action, Right
from olvido.core.rights.what import OfRequest, Particulars


@dataclass(frozen=True, slots=True)
class Unknown(OfRequest):
    """What it means is not known here, so it keeps what was on the wire as it came."""

    purposes: tuple[str, ...] = ()
    decision: Decision | None = None
    policy_version: str = ""

    action: ClassVar[Action] = Action.UNKNOWN
    right: ClassVar[Right] = Right.UNKNOWN
    done: ClassVar[frozenset[Outcome]] = frozenset()
    lasting: ClassVar[bool] = False

    @classmethod
    def of_wire(cls, at: datetime, particulars: Particulars) -> Self:
        """See :meth:`olvido.core.rights.what.What.of_wire`. Nothing is refused."""
        return cls(at, *particulars)

    @property
    def particulars(self) -> Particulars:
        """What was on the wire."""
        return Particulars(self.purposes, self.decision, self.policy_version)
