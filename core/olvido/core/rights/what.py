"""What a task asks of a sink: the base of one class for each right, and of the one for a consent change.

A class says all that differs from right to right: what it carries, which outcomes count as done, which
sinks are concerned, what it adds to the digest of a request. ``registry.py`` lists the classes.
"""

from abc import ABC, abstractmethod
from collections.abc import Set
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, NamedTuple, Self

from olvido.core.causes import Cause
from olvido.core.errors import Refused
from olvido.core.events import Decision, PrivacyRequest
from olvido.core.outcomes import Outcome
from olvido.core.rights.names import Action, Right


class Particulars(NamedTuple):
    """The fields of a task on the wire that not every action has."""

    purposes: tuple[str, ...] = ()
    decision: Decision | None = None
    policy_version: str = ""


_NONE = Particulars()


class What(ABC):
    """What is asked of a sink, with just what its action has."""

    __slots__ = ()

    action: ClassVar[Action]
    done: ClassVar[frozenset[Outcome]]  # what counts as having done what was asked
    gone: ClassVar[frozenset[Outcome]] = frozenset()  # claims that nothing is left, which a search can test
    # It leaves something behind in the system, which an older backup does not have: a restore asks again.
    lasting: ClassVar[bool]

    @classmethod
    @abstractmethod
    def of_wire(cls, at: datetime, particulars: Particulars) -> Self:
        """What a task on the wire asks.

        Raises:
            Refused: it has what the action does not have. Writing it again would not give the same
                bytes, so nobody of ours wrote it.
        """

    @property
    @abstractmethod
    def at(self) -> datetime:
        """When the person asked or decided."""

    @property
    def particulars(self) -> Particulars:
        """What the wire says of it beyond the action and the time."""
        return _NONE

    def concerns(self, purposes: Set[str]) -> bool:
        """Whether a sink that uses data for these purposes is asked."""
        return True


@dataclass(frozen=True, slots=True)
class OfRequest(What):
    """What a request asks of a sink: one right. Most of them carry nothing but the time."""

    asked_at: datetime

    right: ClassVar[Right]
    summary: ClassVar[str]  # what a person asks for, in one sentence
    takes_purposes: ClassVar[bool] = False  # whether it is against purposes that the person names
    backfilled: ClassVar[bool]  # whether a system that is added later is asked too

    @classmethod
    def of_request(cls, request: PrivacyRequest) -> Self:
        """What a request asks of each sink."""
        return cls(asked_at=request.requested_at)

    @classmethod
    def of_wire(cls, at: datetime, particulars: Particulars) -> Self:
        """See :meth:`What.of_wire`."""
        cls._check(particulars)
        return cls(asked_at=at)

    @classmethod
    def digest_part(cls, request: PrivacyRequest) -> dict[str, object]:
        """What the digest of a request has of its right. Stored digests name the purposes of every right."""
        return {"purposes": sorted(request.purposes)}

    @property
    def at(self) -> datetime:
        """When the person asked."""
        return self.asked_at

    @classmethod
    def _check(cls, particulars: Particulars) -> None:
        if particulars.decision is not None or particulars.policy_version:
            raise Refused(Cause.NON_CANONICAL, field="decision", reason="only a consent has one")
        if particulars.purposes and not cls.takes_purposes:
            raise Refused(Cause.NON_CANONICAL, field="purposes", reason="this right has none")
