"""How a process is: alive while its work moves, ready while everything it needs answers.

Alive is not that the process is there. A reader before which records wait and which moves nothing
is dead, whatever its threads do; one that waits for a target that is down is alive, and not ready.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from olvido.broker.groups import lag
from olvido.broker.runtime.metrics import PART_UP, READY, STANDING_STILL
from olvido.broker.runtime.movement import STILL_S_MAX, Activity, Movement, Still
from olvido.core.errors import OlvidoError, Unavailable
from olvido.core.redaction import redacted
from olvido.schemas.settings.deployment import KafkaSection
from olvido.schemas.topics import CANARIES

LOOK_EVERY_S = 10.0
LOOKED_S_MAX = 120.0  # a look at a broker that is silent takes half a minute at most

KAFKA = "kafka"


class Health(Protocol):
    """What ``/healthz`` and ``/readyz`` ask."""

    def why_not_alive(self) -> str:
        """One plain sentence; empty while the process is alive."""
        ...

    def why_not_ready(self) -> str:
        """One plain sentence; empty while the process is ready. What is not alive is not ready."""
        ...


class ReaderHealth:
    """The health of a process that reads topics. Ask it from any thread."""

    def __init__(
        self,
        kafka: KafkaSection,
        *,
        group: str,
        topics: Sequence[str],
        activity: Activity,
        apart: bool = False,
        on_look: Callable[[Still | None], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Args:
            kafka: where the broker is.
            group: the consumer group.
            topics: what it reads; the canaries are looked at as well.
            activity: of its readers.
            apart: whether each topic is read on its own (:class:`~olvido.broker.runtime.movement.Movement`).
            on_look: called after each look with what stands still.
            clock: a monotonic one.
        """
        self._kafka = kafka
        self._group = group
        self._topics = [*topics, CANARIES.name]
        self._movement = Movement(activity, apart=apart)
        self._on_look = on_look
        self._clock = clock
        self._parts: Mapping[str, Callable[[], object]] = {}
        self._down: Mapping[str, str] = {}
        self._started = False
        self._looked_at = clock()

    def started(self, parts: Mapping[str, Callable[[], object]]) -> None:
        """The process has all it needs and begins to read.

        Args:
            parts: what it needs beside the broker; each is asked at every look, and raises if it is down.
        """
        self._parts = parts
        self._looked_at = self._clock()
        self._started = True

    def watch(self, stop: threading.Event) -> None:
        """Look every ten seconds until ``stop`` is set. For a thread of its own."""
        while not stop.wait(LOOK_EVERY_S):
            if self._started:
                self.look()

    def look(self) -> None:
        """Look at the broker and the parts once."""
        down = {}
        try:
            self._movement.look(lag(self._kafka, self._group, self._topics), self._clock())
        except Unavailable as error:
            self._movement.reset()
            down[KAFKA] = str(error)
        for part, ask in self._parts.items():
            try:
                ask()
            except OlvidoError as error:
                down[part] = str(error)
        self._down = down
        self._looked_at = self._clock()
        still = self._movement.still(self._clock())
        for part in (KAFKA, *self._parts):
            PART_UP.labels(part).set(part not in down)
        STANDING_STILL.set(still.for_s if still else 0)
        READY.set(not self.why_not_ready())
        if self._on_look is not None:
            self._on_look(still)

    def why_not_alive(self) -> str:
        """One plain sentence; empty while the process is alive."""
        if not self._started:
            return ""
        unseen_s = self._clock() - self._looked_at
        if unseen_s > LOOKED_S_MAX:
            return f"nobody has looked after {self._group} for {unseen_s:.0f} s: who should stands still"
        still = self._movement.still(self._clock())
        if still is not None and still.for_s > STILL_S_MAX:
            return f"{still.records} records wait for {self._group} and nothing moved for {still.for_s:.0f} s"
        return ""

    def why_not_ready(self) -> str:
        """One plain sentence; empty while the process is ready."""
        if not self._started:
            return "it has not started yet: something it needs does not answer"
        if why := self.why_not_alive():
            return why
        if self._down:
            part, why = next(iter(self._down.items()))
            return redacted(f"{part}: {why}")
        still = self._movement.still(self._clock())
        if still is not None and still.down:
            return redacted(f"{still.records} records wait: {still.down}")
        return ""
