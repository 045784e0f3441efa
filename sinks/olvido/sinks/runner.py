"""Tasks in, receipts out: opens the boxes, has the sink do the work, acknowledges, and only then returns.

No identity leaves this module but into the sink: not in an exception, not in a log line.
"""

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from olvido.broker.contract import Publisher, Received, Record
from olvido.broker.reading import Read, dead_letter_of, read_batch
from olvido.broker.runtime.metrics import FORGOTTEN
from olvido.broker.runtime.tracing import HandOn, following
from olvido.core.causes import Cause
from olvido.core.dead_letters import DeadLetter
from olvido.core.errors import ConfigError, Refused, Unavailable
from olvido.core.outcomes import Outcome
from olvido.core.receipts import Receipt, receipt_for
from olvido.core.tasks import IdempotencyKey, Task
from olvido.schemas.codec import Codec
from olvido.schemas.envelope import headers_of
from olvido.schemas.privacy.opening import Forgotten, Opener
from olvido.schemas.privacy.sealing import Sealer
from olvido.schemas.privacy.seals import Seals
from olvido.sinks.contract import OpenedTask, RefusedTogether, Remembering, Sink

log = logging.getLogger("olvido.sinks")

IDLE_AFTER_S = 1.0  # without a task; then the sink may do what can wait
ASK_AFTER_S = 30.0  # without an answer of the target; then an idle sink is asked whether it is there


@dataclass(frozen=True, slots=True)
class _Work:
    """A task ready to be done, and the record it came in first."""

    opened: OpenedTask
    read: Read[Task]


class SinkRunner:
    """Handles batches of one sink's tasks. Keeps :class:`olvido.broker.contract.Handler`."""

    def __init__(
        self,
        sink: Sink,
        *,
        name: str,
        opener: Opener,
        seals: Seals,
        sealer: Sealer,
        tasks: Codec[Task],
        receipts: Codec[Receipt],
        dead_letters: Codec[DeadLetter],
        publisher: Publisher,
        group: str,
        source: str,
        clock: Callable[[], datetime],
    ) -> None:
        """
        Args:
            sink: does the work.
            name: the sink's name; a task for another one is refused.
            opener: opens the boxes of the sink's region.
            seals: checks who asks.
            sealer: seals the receipts, as the sink's principal.
            tasks, receipts, dead_letters: the codecs of the three topics.
            publisher: writes receipts and dead letters.
            group: the consumer group, which dead letters name.
            source: the CloudEvents source of what is written.
            clock: the time, for what never reaches the target.
        """
        self._sink = sink
        self._name = name
        self._opener = opener
        self._seals = seals
        self._sealer = sealer
        self._tasks = tasks
        self._receipts = receipts
        self._dead_letters = dead_letters
        self._publisher = publisher
        self._group = group
        self._source = source
        self._clock = clock
        FORGOTTEN.labels(name)  # shown as 0 before the first
        self._busy_at = self._heard_at = time.monotonic()
        self._problem = ""  # with the target, when it was last spoken to

    def __call__(self, batch: Sequence[Received]) -> None:
        """Do the tasks of a batch and publish a receipt or a dead letter for each record.

        A batch that comes again, whole or in part, gives the same receipts and no second effect.

        Raises:
            Unavailable: the target, the registry or the broker is down; bring the batch again.
        """
        now = self._clock()
        read, letters = read_batch(
            batch, self._tasks, key_of=lambda task: task.subject_id, group=self._group, now=now
        )
        traces = (one.traceparent for one in read)
        with following("apply", self._tasks.topic.name, traces) as hand_on:
            todo: dict[IdempotencyKey, _Work] = {}
            receipts: list[tuple[Receipt, Read[Task]]] = []
            closed: list[tuple[Read[Task], str]] = []
            for one in read:
                try:
                    todo.setdefault(one.value.key, _Work(self._open(one.value, now), one))
                except Forgotten as forgotten:
                    closed.append((one, str(forgotten)))
                except Refused as refused:
                    letters.append(self._letter(one, refused, now))
            receipts += self._recall(closed, now)
            for work, answer in self._apply(list(todo.values())):
                if isinstance(answer, Refused):
                    letters.append(self._letter(work.read, answer, now))
                else:
                    receipts.append((answer, work.read))
            # Killed before this line: the effects and their memory are in the target, no receipt is out.
            # The batch comes again and is answered from the memory. Killed after it: published twice, with
            # the same ids.
            self._publish(receipts, letters, hand_on)
        self._busy_at = time.monotonic()
        # The caller commits the offsets only now.

    def idle(self) -> None:
        """There was nothing to read: after a second of that, let the sink do what can wait.

        A target that nobody has spoken to for half a minute is asked whether it is there and as it should be.
        """
        if time.monotonic() - self._busy_at > IDLE_AFTER_S:
            self._sink.idle()
            self._busy_at = time.monotonic()
        if time.monotonic() - self._heard_at > ASK_AFTER_S:
            try:
                self._sink.ping()
            except (Unavailable, ConfigError) as error:
                self._note(str(error))
            else:
                self._note("")

    def reach(self) -> None:
        """Say how the target was when it was last spoken to. It is not asked: another thread works with it.

        Raises:
            Unavailable: it did not answer, or is not as olvido.toml says.
        """
        if self._problem:
            raise Unavailable(self._problem)

    def _note(self, problem: str) -> None:
        self._problem, self._heard_at = problem, time.monotonic()

    def _open(self, task: Task, now: datetime) -> OpenedTask:
        """The task with its identities in clear.

        Raises:
            Forgotten: the key of its epoch is destroyed.
            Refused: it is another sink's, nobody who may asks for it, or its box does not open here.
        """
        if task.sink != self._name:
            raise Refused(Cause.WRONG_SINK, field="sink")
        self._seals.check_task(task, now)
        return OpenedTask(
            task=task,
            identities=self._opener.open(task.box, task),
            released=self._seals.is_released(task),
        )

    def _apply(self, works: Sequence[_Work]) -> Iterable[tuple[_Work, Receipt | Refused]]:
        """Have the sink do the work; where it refuses, divide until the task at fault stands alone.

        Each part is work of its own that is done and remembered, so a fault in a later part loses nothing.
        """
        if not works:
            return []
        try:
            receipts = self._sink.apply([work.opened for work in works])
        except Unavailable as error:
            self._note(str(error))
            raise
        except RefusedTogether as refused:
            held = [work for work in works if work.opened.task.key in refused.keys]
            others = [work for work in works if work.opened.task.key not in refused.keys]
            assert held, "some task is refused"
            return [*((work, refused) for work in held), *self._apply(others)]
        except Refused as refused:
            if len(works) == 1:
                return [(works[0], refused)]
            return [answer for part in _parts(works, refused.cause) for answer in self._apply(part)]
        self._note("")
        return list(zip(works, receipts, strict=True))

    def _recall(
        self, closed: Sequence[tuple[Read[Task], str]], now: datetime
    ) -> list[tuple[Receipt, Read[Task]]]:
        """The answers to tasks whose keys are destroyed: that of the first time, if they were done before."""
        tasks = [read.value for read, _ in closed]
        if not tasks:
            return []
        known = self._sink.remembered(tasks) if isinstance(self._sink, Remembering) else [None] * len(tasks)
        return [
            (receipt or self._forgotten(read.value, why, now), read)
            for (read, why), receipt in zip(closed, known, strict=True)
        ]

    def _forgotten(self, task: Task, why: str, now: datetime) -> Receipt:
        FORGOTTEN.labels(self._name).inc()
        log.warning("sink %s: task %s is forgotten: %s", self._name, task.task_id, why)
        return receipt_for(task, Outcome.FAILED, applied_at=now, detail=f"forgotten: {why}")

    def _letter(self, read: Read[Task], refused: Refused, now: datetime) -> DeadLetter:
        task = read.value
        return dead_letter_of(
            read.received,
            refused,
            group=self._group,
            now=now,
            task_id=task.task_id,
            generation=task.generation,
            source_id=task.source_id,
        )

    def _publish(
        self,
        receipts: Iterable[tuple[Receipt, Read[Task]]],
        letters: Sequence[DeadLetter],
        hand_on: HandOn,
    ) -> None:
        for letter in letters:
            log.warning(
                "sink %s: %s[%d] at %d is a dead letter: %s %s",
                self._name, letter.topic, letter.partition, letter.offset, letter.cause.value, letter.field,
            )  # fmt: skip
        self._publisher.publish(
            [
                *(self._receipt_record(receipt, hand_on(read.traceparent)) for receipt, read in receipts),
                *(self._letter_record(letter) for letter in letters),
            ]
        )

    def _receipt_record(self, receipt: Receipt, traceparent: str) -> Record:
        return Record(
            self._receipts.topic.name,
            receipt.subject_id.encode(),
            self._sealer.sealed_record("receipt", self._receipts.encode(receipt)),
            headers_of(
                receipt.receipt_id,
                "olvido.receipt.v1",
                source=self._source,
                at=receipt.applied_at,
                traceparent=traceparent,
            ),
        )

    def _letter_record(self, letter: DeadLetter) -> Record:
        return Record(
            self._dead_letters.topic.name,
            str(letter.dead_letter_id).encode(),
            self._dead_letters.encode(letter),
            headers_of(
                letter.dead_letter_id, "olvido.dead_letter.v1", source=self._source, at=letter.failed_at
            ),
        )


def _parts(works: Sequence[_Work], cause: Cause) -> Iterable[Sequence[_Work]]:
    """What a refused batch is tried in next: its halves.

    A task that is too slow costs its whole time each time it is tried. With ten halvings that would be longer
    than a reader may take over a batch, so it stands alone at once.
    """
    if cause is Cause.TOO_SLOW:
        return [[work] for work in works]
    middle = len(works) // 2
    return [works[:middle], works[middle:]]
