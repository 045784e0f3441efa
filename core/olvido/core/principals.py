"""Principals: who may write to Olvido's topics, by which keys, and what each may say."""

from collections.abc import Mapping, Set
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NoReturn

from olvido.core.causes import Cause
from olvido.core.errors import Refused
from olvido.core.events import ConsentChange, PrivacyRequest
from olvido.core.outcomes import Outcome
from olvido.core.rights.names import Action, Right
from olvido.core.rights.what import What
from olvido.core.source import what_of
from olvido.core.subject import Handle, IdentityKind
from olvido.core.tasks import Task

BY_DESK = frozenset({Outcome.FAILED, Outcome.UNSUPPORTED})  # what may be answered where no sink can be asked


class Role(StrEnum):
    """What a principal is there for. Nobody has two."""

    PRODUCER = "producer"  # asks for what people decided
    VERIFIER = "verifier"  # confirms who asks, and asks for nothing
    SINK = "sink"  # answers for its sinks
    DESK = "desk"  # answers, for any sink, what no sink can be asked for


@dataclass(frozen=True, slots=True, kw_only=True)
class PrincipalKey:
    """A key that a principal signs with."""

    key_id: str
    public_key: bytes  # Ed25519, 32 bytes
    revoked_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """A service, a sink or the desk, and what it may say."""

    name: str
    role: Role
    rights: Set[Right]
    purposes: Set[str]
    regions: Set[str]
    identities: Set[IdentityKind]
    may_verify: bool = False  # a verification in a request of its own counts
    sinks: Set[str] = frozenset()  # those it answers for

    def check_asks(self, asked: PrivacyRequest | ConsentChange | Task, regions: Set[str]) -> None:
        """Check that it may ask for this.

        Args:
            asked: an event, or a task of one.
            regions: all regions that are asked.

        Raises:
            Refused: ``NOT_IN_SCOPE``, naming what is outside its scope.
        """
        what = asked.what if isinstance(asked, Task) else what_of(asked)
        if self.role is not Role.PRODUCER:
            self._refuse("seal", f"a {self.role} asks for nothing")
        if what.action is not Action.CONSENT and what.action.value not in self.rights:
            self._refuse("right", f"{what.action.value} is not in its rights")
        if not set(_purposes(asked, what)) <= self.purposes:
            self._refuse("purposes", "a purpose is not in its purposes")
        if not regions <= self.regions:
            self._refuse("regions", "a region is not in its regions")
        if not _kinds(asked.handles) <= self.identities:
            self._refuse("handles", "a kind of identity is not in its identities")

    def check_verifies(self) -> None:
        """Check that the principal may verify: say that it is really the person who asked.

        Raises:
            Refused: ``NOT_IN_SCOPE``.
        """
        if not (self.role is Role.VERIFIER or self.may_verify):
            self._refuse("seal", "it may not verify")

    def check_answers(self, sink: str, outcome: Outcome | None) -> None:
        """Check that it may answer for a sink.

        Args:
            sink: the sink's name.
            outcome: of its receipt; None for a later look.

        Raises:
            Refused: ``NOT_IN_SCOPE``.
        """
        if self.role is Role.DESK and outcome in BY_DESK:
            return
        if self.role is not Role.SINK or sink not in self.sinks:
            self._refuse("sink", "it may not answer for that sink")

    def _refuse(self, field: str, reason: str) -> NoReturn:
        raise Refused(Cause.NOT_IN_SCOPE, field=field, reason=f"principal {self.name}: {reason}")


Principals = Mapping[str, Principal]


def _purposes(asked: PrivacyRequest | ConsentChange | Task, what: What) -> tuple[str, ...]:
    """The purposes that are named: by a request also where its right takes none."""
    return asked.purposes if isinstance(asked, PrivacyRequest) else what.particulars.purposes


def _kinds(handles: tuple[Handle, ...]) -> set[IdentityKind]:
    return {handle.kind for handle in handles}
