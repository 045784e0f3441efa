"""From what a caller knows of a person to an event: normalised, pseudonymised, sealed. Nothing is sent here.

The one module of this room that sees identities in clear. What leaves it holds pseudonyms and sealed boxes.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NoReturn
from uuid import UUID

from uuid_utils.compat import uuid7

from olvido.core.errors import InvalidInput, Refused
from olvido.core.events import (
    ConsentChange,
    Decision,
    PrivacyRequest,
    Verification,
    Verified,
    check_instant,
)
from olvido.core.ids import canonical_uuid
from olvido.core.law.deadlines import is_jurisdiction
from olvido.core.rights.known import RIGHTS
from olvido.core.rights.names import Right
from olvido.core.subject import Handle, Identity, IdentityKind, is_handle
from olvido.schemas.privacy.handle_key import HandleKey
from olvido.schemas.privacy.identities import identities_from
from olvido.schemas.privacy.sealing import Sealer
from olvido.schemas.settings.deployment import Connections

WORD_LENGTH_MAX = 64

# Purposes, methods and policy versions travel in clear, so nothing that looks like an address may be one.
_WORD = re.compile(
    rf"[^\s@\x00-\x1f\x7f](?:[^@\x00-\x1f\x7f]{{0,{WORD_LENGTH_MAX - 2}}}[^\s@\x00-\x1f\x7f])?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """An event that the broker has. What becomes of it is on ``olvido.request-status.v1``."""

    id: UUID  # the request_id or event_id: keep it, and give it again with a retry
    topic: str
    subject_id: str


class Builder:
    """Builds events for one deployment. Safe to share between threads; its repr shows no secret."""

    def __init__(
        self,
        *,
        handle_key: HandleKey,
        sealer: Sealer,
        identity_order: Sequence[IdentityKind] = tuple(IdentityKind),
        purposes: Collection[str] | None = None,
    ) -> None:
        """
        Args:
            handle_key: makes handles.
            sealer: seals to the regions it has public keys of, and signs.
            identity_order: the deployment's order of kinds; the first one given names the subject.
            purposes: the deployment's purposes, to check against early; None where they are not known.
                The processors check in any case.
        """
        self._handle_key = handle_key
        self._sealer = sealer
        self._order = tuple(identity_order)
        self._purposes = None if purposes is None else frozenset(purposes)

    @classmethod
    def of(cls, connections: Connections, *, purposes: Collection[str] | None = None) -> "Builder":
        """With the keys that the connections name.

        Args:
            connections: where the keys are.
            purposes: the deployment's; those that the connections name, if not given.

        Raises:
            ConfigError: a key is missing or cannot be read.
        """
        return cls(
            handle_key=HandleKey.load(connections.keys.handle_file),
            sealer=Sealer(connections.keys.public_dir, connections.keys.signing_file),
            identity_order=connections.identity_order,
            purposes=connections.purposes or None if purposes is None else purposes,
        )

    def __repr__(self) -> str:
        return f"Builder(regions={', '.join(self._sealer.regions)})"

    def request(
        self,
        right: Right | str,
        identities: Mapping[str, str],
        *,
        regions: Sequence[str] | None,
        purposes: Sequence[str],
        request_id: UUID | str | None,
        requested_at: datetime | None,
        verification_required: bool,
        verified: Verified | None,
        jurisdiction: str = "",
    ) -> PrivacyRequest:
        """A privacy request. Its id and, unless given, its instant are made here, before anything is sent.

        Raises:
            InvalidInput: naming the argument, never its value.
        """
        now = datetime.now(UTC)
        which = _right(right)
        identified, handles = self._identify(identities)
        source_id = _id(request_id, "request_id")
        places = self._regions(regions)
        asked = PrivacyRequest(
            request_id=source_id,
            right=which,
            subject_id=handles[0].value,
            handles=handles,
            regions=places,
            boxes=(),
            purposes=self._objected(which, purposes),
            requested_at=now if requested_at is None else _instant(requested_at, now, "requested_at"),
            verification_required=bool(verification_required),
            verified=None if verified is None else _verified(verified.method, verified.verified_at, now),
            jurisdiction=_jurisdiction(jurisdiction),
        )
        return self._sealer.sealed_source(asked, identified)

    def consent(
        self,
        decision: Decision,
        identities: Mapping[str, str],
        *,
        purpose: str,
        occurred_at: datetime,
        policy_version: str = "",
        regions: Sequence[str] | None = None,
        event_id: UUID | str | None = None,
    ) -> ConsentChange:
        """A consent change. When it occurred is its place in the order, so there is no default for it.

        Raises:
            InvalidInput: naming the argument, never its value.
        """
        identified, handles = self._identify(identities)
        source_id = _id(event_id, "event_id")
        places = self._regions(regions)
        change = ConsentChange(
            event_id=source_id,
            purpose=self._purpose(purpose, "purpose"),
            decision=decision,
            subject_id=handles[0].value,
            handles=handles,
            regions=places,
            boxes=(),
            occurred_at=_instant(occurred_at, datetime.now(UTC), "occurred_at"),
            policy_version=policy_version and _word(policy_version, "policy_version"),
        )
        return self._sealer.sealed_source(change, identified)

    def verification(
        self,
        request_id: UUID | str,
        *,
        method: str,
        verified_at: datetime,
        identities: Mapping[str, str] | None,
        subject_id: str | None,
        event_id: UUID | str | None,
    ) -> Verification:
        """A verification of a request that was sent before.

        Raises:
            InvalidInput: naming the argument, never its value.
        """
        if request_id is None:
            raise InvalidInput("request_id", "is needed: which request was verified")
        verification = Verification(
            event_id=_id(event_id, "event_id"),
            request_id=_id(request_id, "request_id"),
            subject_id=self._subject(identities, subject_id),
            verified=_verified(method, verified_at, datetime.now(UTC)),
        )
        return self._sealer.sealed(verification)

    def _identify(self, given: Mapping[str, str]) -> tuple[tuple[Identity, ...], tuple[Handle, ...]]:
        identities = identities_from(given, self._order)
        return identities, tuple(self._handle_key.handle(identity) for identity in identities)

    def _regions(self, given: Sequence[str] | None) -> tuple[str, ...]:
        known = self._sealer.regions
        if given is None:
            return known
        if isinstance(given, str) or not given:
            raise InvalidInput("regions", 'is not a list of regions such as ["cn"]; leave it out for all')
        if not set(given) <= set(known):
            raise InvalidInput(
                "regions", f"names one without a public key here (there are: {', '.join(known)})"
            )
        return tuple(dict.fromkeys(given))

    def _objected(self, right: Right, purposes: Sequence[str]) -> tuple[str, ...]:
        if isinstance(purposes, str):
            raise InvalidInput("purposes", 'is not a list of purposes such as ["marketing"]')
        takes = RIGHTS[right].takes_purposes
        if purposes and not takes:
            taking = " and ".join(one.value for one, asked in RIGHTS.items() if asked.takes_purposes)
            raise InvalidInput("purposes", f"is for {taking} only, not for {right.value}")
        if takes and not purposes:
            raise InvalidInput("purposes", f"{right.value} names at least one")
        return tuple(dict.fromkeys(self._purpose(purpose, "purposes") for purpose in purposes))

    def _purpose(self, purpose: str, field: str) -> str:
        word = _word(purpose, field)
        if self._purposes is not None and word not in self._purposes:
            raise InvalidInput(field, f"is none of {', '.join(sorted(self._purposes))}")
        return word

    def _subject(self, identities: Mapping[str, str] | None, subject_id: str | None) -> str:
        if (identities is None) == (subject_id is None):
            raise InvalidInput(
                "subject_id", "give either this, as Accepted.subject_id says it, or identities"
            )
        if identities is not None:
            return self._identify(identities)[1][0].value
        if not isinstance(subject_id, str) or not is_handle(subject_id):
            raise InvalidInput("subject_id", "is not a handle, as Accepted.subject_id is")
        return subject_id


def _jurisdiction(given: str) -> str:
    if given and not (isinstance(given, str) and is_jurisdiction(given)):
        raise InvalidInput("jurisdiction", "is no code of ISO 3166, such as ES or US-CA")
    return given


def _right(given: Right | str) -> Right:
    for right in RIGHTS:
        if given == right.value:
            return right
    raise InvalidInput("right", f"is none of {', '.join(RIGHTS)}")


def _id(given: UUID | str | None, field: str) -> UUID:
    if given is None:
        return uuid7()
    if isinstance(given, UUID):
        return given
    try:
        return canonical_uuid(given, field=field)
    except (Refused, TypeError):
        _refuse_id(field)


def _refuse_id(field: str) -> NoReturn:
    raise InvalidInput(field, "is not a UUID in its canonical form of 36 characters, in lower case")


def _instant(given: datetime, now: datetime, field: str) -> datetime:
    if not isinstance(given, datetime):
        raise InvalidInput(field, "is needed: a datetime with a time zone")
    if given.utcoffset() is None:
        raise InvalidInput(field, "has no time zone; use datetime.now(UTC), for example")
    try:
        check_instant(given, now, field=field)
        return given.astimezone(UTC)
    except (Refused, OverflowError) as error:
        reason = error.reason if isinstance(error, Refused) else "is outside what a calendar holds"
        raise InvalidInput(field, reason) from None


def _verified(method: str, verified_at: datetime, now: datetime) -> Verified:
    return Verified(method=_word(method, "method"), verified_at=_instant(verified_at, now, "verified_at"))


def _word(given: str, field: str) -> str:
    if not isinstance(given, str) or not _WORD.fullmatch(given):
        raise InvalidInput(field, f"is not a word or two of 1 to {WORD_LENGTH_MAX} characters, without @")
    return given
