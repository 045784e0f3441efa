"""Events that an earlier version kept under the id of a registry get their schema's fingerprint instead.

A registry that is made anew gives other ids: what stands under the old ones could never be read again.
"""

import logging
from collections.abc import Mapping
from uuid import UUID

from olvido.core.errors import Refused
from olvido.core.events import ConsentChange, PrivacyRequest
from olvido.ledger.events import Events, FramedEvent, RewrittenEvent
from olvido.schemas.codec import Codec, consents_codec, requests_codec
from olvido.schemas.registry import Registry
from olvido.schemas.topics import CONSENTS, REQUESTS

logger = logging.getLogger("olvido.processors")

ROWS_MAX = 1000
BATCHES_MAX = 20  # that one look goes through: the timer is soon back
_FIRST = UUID(int=0)


class Fingerprints:
    """Rewrites events in small batches, once over all of them. Several may run."""

    def __init__(self, registry: Registry, events: Events) -> None:
        self._codecs: Mapping[str, Codec[PrivacyRequest] | Codec[ConsentChange]] = {
            REQUESTS.name: requests_codec(registry),
            CONSENTS.name: consents_codec(registry),
        }
        self._events = events
        # Where the pass is. It is not stored: a process that dies begins anew, and finds what is left.
        self._after: UUID | None = _FIRST
        self._unreadable = 0

    def run_once(self, *, limit: int = ROWS_MAX) -> int:
        """Rewrite some of what is left; returns how many events that were.

        An event that cannot be read stays as it is: the step that needs it answers that it is unreadable.

        Raises:
            Unavailable: the ledger or the registry does not answer.
        """
        rewritten = 0
        for _ in range(BATCHES_MAX):
            if self._after is None:
                break
            found = self._events.framed(after=self._after, limit=limit)
            new = [one for one in map(self._rewritten, found) if one is not None]
            if new:
                self._events.rewrite(new)
            # Killed from here on: the next pass finds those that are left.
            rewritten += len(new)
            self._unreadable += len(found) - len(new)
            self._after = found[-1].source_id if len(found) == limit else None
            if self._after is None and self._unreadable:
                logger.warning(
                    "%d stored events stand under schema ids that the registry does not give; nothing can be "
                    "asked again of a sink for them", self._unreadable,
                )  # fmt: skip
        if rewritten:
            logger.info("kept %d events under the fingerprints of their schemas", rewritten)
        return rewritten

    def _rewritten(self, framed: FramedEvent) -> RewrittenEvent | None:
        codec = self._codecs.get(framed.topic)
        if codec is None:
            return None
        try:
            # Whole, and not its id alone: a registry made anew may give that id to another schema.
            codec.decode(framed.event)
        except Refused:
            return None
        return RewrittenEvent(
            source_id=framed.source_id, before=framed.event, event=codec.stored(framed.event)
        )
