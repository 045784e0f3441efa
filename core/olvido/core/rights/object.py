"""Objection (GDPR art. 21)."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Self

from olvido.core.events import PrivacyRequest
from olvido.core.outcomes import Outcome
from olvido.core.rights.names import Action, Right
from olvido.core.rights.what import OfRequest, Particulars


@dataclass(frozen=True, slots=True)
class AboutPurposes(OfRequest):
    """What a request asks about some purposes: to use data for them no longer, or that again."""

    purposes: tuple[str, ...]  # none: all purposes

    takes_purposes: ClassVar[bool] = True
    lasting: ClassVar[bool] = True
    backfilled: ClassVar[bool] = True

    @classmethod
    def of_request(cls, request: PrivacyRequest) -> Self:
        """See :meth:`OfRequest.of_request`."""
        return cls(asked_at=request.requested_at, purposes=request.purposes)

    @classmethod
    def of_wire(cls, at: datetime, particulars: Particulars) -> Self:
        """See :meth:`olvido.core.rights.what.What.of_wire`."""
        cls._check(particulars)
        return cls(asked_at=at, purposes=particulars.purposes)

    @property
    def particulars(self) -> Particulars:
        """The purposes that it is about."""
        return Particulars(purposes=self.purposes)


@dataclass(frozen=True, slots=True)
class Object(AboutPurposes):
    """Use the person's data no longer for some purposes."""

    action: ClassVar[Action] = Action.OBJECT
    right: ClassVar[Right] = Right.OBJECT
    summary: ClassVar[str] = "Object to the use of a person's data for some purposes."
    # The person's own later withdrawal of it is not a lack: nothing is left to do.
    done: ClassVar[frozenset[Outcome]] = frozenset({Outcome.SUPPRESSED, Outcome.SUPERSEDED})
