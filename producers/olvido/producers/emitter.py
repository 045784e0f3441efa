"""The methods by which upstream publishes a person's decision: build the event, encode it, hand it on.

An emitter is given the function that hands an encoded event on: the client's waits for the broker, a batch's
collects, the outbox's writes to the caller's own database.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar, Unpack
from uuid import UUID

from olvido.broker.contract import Record
from olvido.broker.runtime.tracing import emitting
from olvido.core.errors import InvalidInput
from olvido.core.events import ConsentChange, Decision, PrivacyRequest, Verification, Verified
from olvido.core.rights.names import Right
from olvido.producers.arguments import ConsentArguments, ConsentContent, ErasureArguments
from olvido.producers.build import Accepted, Builder
from olvido.schemas.codec import VALUE_BYTES_MAX, consents_codec, requests_codec, verifications_codec
from olvido.schemas.envelope import headers_of
from olvido.schemas.registry import Registry
from olvido.schemas.topics import CONSENTS, REQUESTS, VERIFICATIONS

Event = PrivacyRequest | ConsentChange | Verification
Answer = TypeVar("Answer")

_TOPICS = {PrivacyRequest: REQUESTS, ConsentChange: CONSENTS, Verification: VERIFICATIONS}
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """An event in its envelope, and what the caller gets once it has arrived."""

    accepted: Accepted
    record: Record


class Writer:
    """Builds events and encodes them. All it needs of the registry it asks for when it is made."""

    def __init__(self, builder: Builder, registry: Registry, *, source: str) -> None:
        """
        Raises:
            ConfigError: a schema is not registered.
            Unavailable: the registry does not answer.
        """
        self.build = builder
        self._source = source
        self._requests = requests_codec(registry)
        self._consents = consents_codec(registry)
        self._verifications = verifications_codec(registry)

    def envelope(self, event: Event, *, traceparent: str) -> Outgoing:
        """Encode an event and put it into its envelope.

        Raises:
            InvalidInput: the event is too large.
        """
        match event:
            case PrivacyRequest(request_id=event_id, requested_at=at):
                topic, value = self._requests.topic, self._requests.encode(event)
            case ConsentChange(event_id=event_id, occurred_at=at):
                topic, value = self._consents.topic, self._consents.encode(event)
            case Verification(event_id=event_id, verified=Verified(verified_at=at)):
                topic, value = self._verifications.topic, self._verifications.encode(event)
        if len(value) > VALUE_BYTES_MAX:
            raise InvalidInput("identities", f"sealed to this many regions exceed {VALUE_BYTES_MAX} bytes")
        headers = headers_of(
            event_id, f"olvido.{topic.schema}.v1", source=self._source, at=at, traceparent=traceparent
        )
        return Outgoing(
            accepted=Accepted(id=event_id, topic=topic.name, subject_id=event.subject_id),
            record=Record(topic.name, event.subject_id.encode(), value, headers),
        )


class Emitter(Generic[Answer]):
    """The methods by which upstream publishes what a person decided."""

    def __init__(self, writer: Writer, publish: Callable[[Outgoing], Answer]) -> None:
        """
        Args:
            writer: builds and encodes events.
            publish: hands an encoded event on; what it gives, the methods give.
        """
        self._writer = writer
        self._publish = publish

    def request_erasure(self, **arguments: Unpack[ErasureArguments]) -> Answer:
        """Ask that a person be forgotten (GDPR art. 17). The arguments are those of :meth:`request`."""
        return self.request(right=Right.ERASE, **arguments)

    def request(
        self,
        *,
        right: Right | str,
        identities: Mapping[str, str],
        regions: Sequence[str] | None = None,
        purposes: Sequence[str] = (),
        request_id: UUID | str | None = None,
        requested_at: datetime | None = None,
        verification_required: bool = False,
        verified: Verified | None = None,
        jurisdiction: str = "",
        traceparent: str = "",
    ) -> Answer:
        """Ask for one right of a person.

        Args:
            right: ``ERASE``, ``ACCESS``, ``PORTABILITY``, ``RECTIFY``, ``RESTRICT`` or ``OBJECT``.
            identities: by kind, such as ``{"email": …, "customer_id": …}``; all that are known.
            regions: where the person's data may live; all regions, if not given.
            purposes: what an objection or its withdrawal is about: at least one, and none with another
                right.
            request_id: give the same with a retry. Made here, if not given.
            requested_at: when the person asked, with a time zone; now, if not given. What the
                person did afterwards is not touched by an erasure.
            verification_required: wait until somebody says that it is really this person.
            verified: that this was made sure of already.
            jurisdiction: under whose law the person asks, by ISO 3166, such as ``ES`` or ``US-CA``: by when
                it is to be answered. Of one that the deployment does not declare, all its laws count.
            traceparent: the W3C trace context to hand on.

        Raises:
            InvalidInput: naming the argument, never its value. Nothing was sent.
        """
        return self._send(
            self._writer.build.request(
                right,
                identities,
                regions=regions,
                purposes=purposes,
                request_id=request_id,
                requested_at=requested_at,
                verification_required=verification_required,
                verified=verified,
                jurisdiction=jurisdiction,
            ),
            traceparent,
        )

    def grant_consent(
        self,
        *,
        identities: Mapping[str, str],
        purpose: str,
        occurred_at: datetime,
        policy_version: str = "",
        regions: Sequence[str] | None = None,
        event_id: UUID | str | None = None,
        traceparent: str = "",
    ) -> Answer:
        """Say that a person agreed to a purpose.

        Args:
            identities: by kind, such as ``{"email": …}``: the decision holds for each of them.
            purpose: one that the deployment declares.
            occurred_at: when the person decided, with a time zone. It decides which decision is the
                later one, so there is no default.
            policy_version: the privacy policy the person was shown.
            regions: where the person's data may live; all regions, if not given.
            event_id: give the same with a retry. Made here, if not given.
            traceparent: the W3C trace context to hand on.

        Raises:
            InvalidInput: naming the argument, never its value. Nothing was sent.
        """
        return self._consent(
            Decision.GRANTED,
            identities=identities,
            purpose=purpose,
            occurred_at=occurred_at,
            policy_version=policy_version,
            regions=regions,
            event_id=event_id,
            traceparent=traceparent,
        )

    def withdraw_consent(self, **arguments: Unpack[ConsentArguments]) -> Answer:
        """Say that a person agrees no longer. The arguments are those of :meth:`grant_consent`."""
        return self._consent(Decision.WITHDRAWN, **arguments)

    def verify(
        self,
        request_id: UUID | str,
        *,
        method: str,
        verified_at: datetime,
        identities: Mapping[str, str] | None = None,
        subject_id: str | None = None,
        event_id: UUID | str | None = None,
        traceparent: str = "",
    ) -> Answer:
        """Say that a request really came from the person it is about.

        Args:
            request_id: the request's.
            method: how it was made sure of, such as ``"e-mail link"``; never a document's number.
            verified_at: when, with a time zone.
            identities: the same as the request's; or else
            subject_id: as :class:`Accepted` gave it.
            event_id: give the same with a retry. Made here, if not given.
            traceparent: the W3C trace context to hand on.

        Raises:
            InvalidInput: naming the argument, never its value. Nothing was sent.
        """
        return self._send(
            self._writer.build.verification(
                request_id,
                method=method,
                verified_at=verified_at,
                identities=identities,
                subject_id=subject_id,
                event_id=event_id,
            ),
            traceparent,
        )

    def _consent(
        self, decision: Decision, *, traceparent: str = "", **content: Unpack[ConsentContent]
    ) -> Answer:
        return self._send(self._writer.build.consent(decision, **content), traceparent)

    def _send(self, event: Event, traceparent: str) -> Answer:
        if traceparent and not _TRACEPARENT.fullmatch(traceparent):
            raise InvalidInput("traceparent", "is not a W3C trace context")
        with emitting(_TOPICS[type(event)].name, traceparent) as handed_on:
            return self._publish(self._writer.envelope(event, traceparent=handed_on))
