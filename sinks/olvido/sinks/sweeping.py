"""Has a sink look again for people it erased: while it is idle, and between batches while it is not."""

import logging
import time
from collections.abc import Iterator
from datetime import datetime

from olvido.broker.contract import Publisher, Record
from olvido.broker.runtime.metrics import REAPPLIED, RESURRECTED, VERIFIED_AGE
from olvido.core.errors import Refused, Unavailable
from olvido.core.looks import LaterLook
from olvido.core.tasks import Task
from olvido.schemas.codec import Codec
from olvido.schemas.envelope import headers_of
from olvido.schemas.privacy.opening import Opener
from olvido.schemas.privacy.sealing import Sealer
from olvido.sinks.contract import LookingAgain, OpenedTask, Reapplying, Swept

log = logging.getLogger("olvido.sinks")

EVERY_S = 10.0  # between two steps: so what is due in the meantime is one record
AFTER_FAULT_S = 60.0


class Sweeping:
    """The later looks of one sink. One thread has it: that which works with the target."""

    def __init__(
        self,
        sink: LookingAgain,
        *,
        name: str,
        opener: Opener,
        sealer: Sealer,
        looks: Codec[LaterLook],
        publisher: Publisher,
        source: str,
        every_s: float = EVERY_S,
    ) -> None:
        """
        Args:
            sink: searches.
            name: its name.
            opener: opens the boxes of its region.
            sealer: seals what is published, as the sink's principal.
            looks: the codec of what is published.
            publisher: writes it.
            source: the CloudEvents source of it.
            every_s: how long to wait after a step that left nothing due.
        """
        self._sink = sink
        self._name = name
        self._opener = opener
        self._sealer = sealer
        self._looks = looks
        self._publisher = publisher
        self._source = source
        self._every_s = every_s
        self._next_at = 0.0
        self._overdue_s, self._asked_at = 0.0, time.monotonic()
        RESURRECTED.labels(name)  # shown as 0 before the first
        REAPPLIED.labels(name)
        VERIFIED_AGE.labels(name)

    def step(self) -> None:
        """Look at some of what is due, if it is time. No task waits for what cannot be done now."""
        began = time.monotonic()
        if began < self._next_at:
            return
        try:
            swept = self._sink.look_again(self._open, self._publish)
        except (Unavailable, Refused) as error:
            self._next_at = began + AFTER_FAULT_S
            # What was due then still is, and what nobody could ask about may be.
            VERIFIED_AGE.labels(self._name).set(self._overdue_s + began - self._asked_at)
            log.warning("sink %s: looking again waits: %s", self._name, error)
            return
        self._next_at = began + self._every_s
        self._note(swept, began)
        if isinstance(self._sink, Reapplying):
            self._reapply(self._sink, began)

    def _note(self, swept: Swept | None, began: float) -> None:
        if swept is None:
            return
        self._overdue_s, self._asked_at = swept.overdue.total_seconds(), began
        VERIFIED_AGE.labels(self._name).set(self._overdue_s)
        if swept.more:
            self._next_at = began
        if swept.look is not None and swept.look.found_again:
            again = len(swept.look.found_again)
            RESURRECTED.labels(self._name).inc(again)
            log.warning("sink %s: %d of %d erasures were found again", self._name, again, swept.look.looked)

    def _reapply(self, sink: Reapplying, began: float) -> None:
        try:
            done = sink.reapply(self._open, self._publish)
        except (Unavailable, Refused) as error:
            self._next_at = began + AFTER_FAULT_S
            log.warning("sink %s: applying decisions again waits: %s", self._name, error)
            return
        if done is None:
            return
        if done.more:
            self._next_at = began
        if done.reapplied:
            REAPPLIED.labels(self._name).inc(done.reapplied)
            log.warning(
                "sink %s: %d of %d decisions were applied again, to rows that came after them",
                self._name, done.reapplied, done.looked,
            )  # fmt: skip

    def looks_since(self, since: datetime) -> Iterator[LaterLook]:
        """Look at all that was done after an instant and is kept, due or not, some at a time.

        Raises:
            Unavailable: the target or the broker does not answer.
            Refused: the target refuses the search.
        """
        while (look := self._sink.look_at(self._open, self._publish, done_after=since)) is not None:
            yield look
            since = look.applied_to

    def _open(self, task: Task) -> OpenedTask | None:
        """The task with its identities in clear; None where its box does not open here.

        Raises:
            Forgotten: the key of its epoch is destroyed.
        """
        try:
            identities = self._opener.open(task.box, task)
        except Refused:
            return None
        return OpenedTask(task=task, identities=identities)

    def _publish(self, look: LaterLook) -> None:
        headers = headers_of(look.look_id, "olvido.later_look.v1", source=self._source, at=look.looked_at)
        self._publisher.publish(
            [
                Record(
                    self._looks.topic.name,
                    look.sink.encode(),
                    self._sealer.sealed_record("later_look", self._looks.encode(look)),
                    headers,
                )
            ]
        )
