"""A run: batch by batch in the order of the ids, paced, and noted so that SIGKILL loses and repeats nothing.

What is behind ``position.after`` is sent and noted. Of the batch at hand some may be sent and not
noted; it lies at ``position.ends`` or beyond, under a header that names the replay. Whoever goes
on looks there first, and does not send it again.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import ParamSpec, TypeVar
from uuid import UUID

from olvido.broker.contract import Handler, Publisher, Received
from olvido.broker.groups import end_offsets, lag
from olvido.broker.ranges import read_range
from olvido.broker.runtime.metrics import UNSIGNED
from olvido.broker.runtime.patience import patiently
from olvido.core.acts import Act
from olvido.core.errors import OlvidoError, Refused, Unavailable
from olvido.core.offsets import Offset
from olvido.core.rates import Pace
from olvido.core.replay import ReplayPosition, ReplayState
from olvido.core.sessions import CONTROL
from olvido.core.source import id_of
from olvido.core.tasks import Task
from olvido.ledger.replays import ForgottenTask, Replay, Replays, plan_document
from olvido.ledger.store import Ledger
from olvido.operators.desk.progress import Paused, Progress, Resumed, Waiting
from olvido.operators.desk.replay.issuing import Issuer
from olvido.operators.desk.replay.planning import pace_of, unknown_ranges
from olvido.operators.settings import private_keys
from olvido.processors.emission import Emission
from olvido.processors.handlers.batches import ConsentsHandler, RequestsHandler
from olvido.schemas.privacy.seals import ControlSeals
from olvido.schemas.registry import Registry
from olvido.schemas.settings.deployment import Deployment
from olvido.schemas.topics import CONSENTS, PROCESSORS_GROUP, REQUESTS, sink_group, tasks_topic

HEADER = "olvido_replay"  # on each task that is sent: whose it is
BATCH = 200  # sources between two notes
ENDS_EVERY = 20  # notes between two looks at where the topics end: what a resumed run reads again at most
SLICES_PER_S = 10  # how evenly a rate is kept
BEHIND_MAX = (
    1_000  # records a sink may have before it; then the replay waits, for the work of the day waits too
)
LOOK_EVERY_S = 1.0  # how soon a pause from another terminal is noticed
# What the broker had taken from a run that was killed, and not written yet, is written by then.
SETTLE_S = 1.0
UNREAD_BATCH = 100  # records that the ledger does not know, handled at once


P = ParamSpec("P")
T = TypeVar("T")


class Ended(OlvidoError):
    """The replay was ended from another terminal.

    Args:
        state: what it is now.
    """

    def __init__(self, state: ReplayState) -> None:
        super().__init__(f"the replay is {state.value}")
        self.state = state


class Runner:
    """Carries out one plan."""

    def __init__(
        self,
        deployment: Deployment,
        replay: Replay,
        replays: Replays,
        publisher: Publisher,
        registry: Registry,
        *,
        destroyed: Mapping[str, Sequence[str]],
        rate: float,
        bar: Progress,
    ) -> None:
        """
        Args:
            deployment: where everything is.
            replay: what to do, and how far it is.
            replays: where that is noted.
            publisher: sends.
            registry: holds the schemas.
            destroyed: by sink, keys that its region has destroyed.
            rate: tasks a second, all sinks together.
            bar: is given how far it is.
        """
        self._deployment = deployment
        self._replay = replay
        self._replays = replays
        self._publisher = publisher
        self._emission = Emission(registry, deployment.catalogue, publisher, source=deployment.source)
        self._issuer = Issuer(deployment.kafka, registry, deployment.catalogue, destroyed=destroyed)
        self._ledger = Ledger(replays.database)
        self._registry = registry
        self._position = replay.position
        self._rate = rate
        self._pace = Pace(rate)
        self._paces = {sink: Pace(pace_of(deployment, sink, rate)) for sink in replay.plan.issued}
        self._bar = bar
        self._never = Event()
        self._sent: dict[UUID, UUID] = {}  # sent and not noted: task and source
        self._uncounted: list[str] = []  # the sinks of what was sent since the last note
        self._unsure = bool(replay.position.ends)  # whether something may be there that was not noted
        self._looked_at = 0.0
        self._since_behind = BEHIND_MAX  # so that the first batch looks, too
        self._notes = 0

    def run(self, act: Act) -> ReplayState:
        """Run to the end, or until somebody ends it.

        Returns:
            ``done`` or ``cancelled``.

        Raises:
            Taken: another process runs it; nothing was done.
            Ended: there is nothing to run any more; nothing was done.
            KeyboardInterrupt: what was sent is noted, or will be found; a repeat goes on.
        """
        operation_id = self._replay.operation_id
        if not self._replays.begin(operation_id, act):
            raise Ended(self._replay.state)
        try:
            self._walk()
            self._read_unknown()
            self._replays.move(operation_id, ReplayState.DONE, now=datetime.now(UTC))
        except Ended as ended:
            if ended.state is ReplayState.CANCELLED:
                # Nobody goes on from here, so nobody looks for what was sent of the batch at hand.
                counts = self._position.counts.plus(sinks=self._uncounted)
                self._patiently(self._replays.note, operation_id, replace(self._position, counts=counts))
            return ended.state
        except KeyboardInterrupt:
            with suppress(Unavailable):  # without a runner it is seen as interrupted all the same
                self._replays.move(operation_id, ReplayState.INTERRUPTED, now=datetime.now(UTC))
            raise
        finally:
            with suppress(Unavailable):  # the lock ends with its connection
                self._replays.let_go()
        return ReplayState.DONE

    # --- what the ledger knows ----------------------------------------------------------------

    def _walk(self) -> None:
        document = plan_document(self._replay.plan)
        while not self._position.known_done:
            sources = self._patiently(self._replays.next, document, after=self._position.after, limit=BATCH)
            if not sources:
                self._note(replace(self._position, known_done=True))
                return
            tasks, forgotten = self._patiently(self._issuer.issue, sources)
            self._send(tasks)
            # Killed before this line: all or some of the batch is on the topics, and the next run finds it
            # there. Killed after it: the next run begins behind it.
            self._note(
                replace(
                    self._position,
                    after=sources[-1].source_id,
                    counts=self._position.counts.plus(
                        records=len(sources),
                        sinks=[task.sink for task in tasks],
                        forgotten=len(forgotten),
                    ),
                ),
                forgotten,
            )

    def _send(self, tasks: Sequence[Task]) -> None:
        if tasks and not self._position.ends:
            # Before anything is sent it stands in the ledger from where on to look for it.
            self._note(replace(self._position, ends=self._ends()))
        if self._unsure:
            self._patiently(self._look_back)
        # What is there already takes nothing of the rate a second time.
        left = [task for task in tasks if task.task_id not in self._sent]
        size = max(1, int(self._rate / SLICES_PER_S))
        done = self._position.counts.tasks + len(tasks) - len(left)
        for start in range(0, len(left), size):
            batch = left[start : start + size]
            self._look()
            self._wait_for_turn(batch)
            self._patiently(self._publish, batch)
            self._uncounted += [task.sink for task in batch]
            done += len(batch)
            self._bar.to(done)

    def _publish(self, tasks: Sequence[Task]) -> None:
        """Publish what is not on its topic already. May be called again after any failure."""
        if self._unsure:
            self._look_back()
        # From here until all is confirmed nobody knows what arrived, whatever ends the call.
        self._unsure = True
        left = [task for task in tasks if task.task_id not in self._sent]
        prepared = self._emission.prepare(tasks=left)
        self._publisher.publish(
            [
                replace(record, headers=(*record.headers, (HEADER, self._mark(task.source_id))))
                for task, record in zip(left, prepared.tasks, strict=True)
            ]
        )
        self._unsure = False

    def _look_back(self) -> None:
        """Learn what of ours is sent and not noted, from where the topics ended at the last look."""
        time.sleep(SETTLE_S)
        kafka = self._deployment.kafka
        ends = end_offsets(kafka, [tasks_topic(sink).name for sink in self._replay.plan.issued])
        sent: dict[UUID, UUID] = {}
        for noted in self._position.ends:
            end = ends.get((noted.topic, noted.partition), 0)
            for record in read_range(kafka, noted.topic, noted.partition, [(noted.offset, end)]):
                headers = dict(record.headers)
                mark, task_id = headers.get(HEADER) or b"", headers.get("ce_id") or b""
                if mark.startswith(self._mark()):
                    sent[UUID(task_id.decode())] = UUID(mark.rpartition(b"/")[2].decode())
        self._sent = self._behind_position(sent, self._position)
        self._unsure = False

    def _mark(self, source_id: UUID | None = None) -> bytes:
        return f"{self._replay.operation_id}/{source_id or ''}".encode()

    @staticmethod
    def _behind_position(sent: Mapping[UUID, UUID], position: ReplayPosition) -> dict[UUID, UUID]:
        return {task_id: source_id for task_id, source_id in sent.items() if source_id > position.after}

    def _ends(self) -> tuple[Offset, ...]:
        topics = [tasks_topic(sink).name for sink in self._replay.plan.issued]
        ends = self._patiently(end_offsets, self._deployment.kafka, topics)
        return tuple(
            Offset(topic=topic, partition=partition, offset=end) for (topic, partition), end in ends.items()
        )

    # --- what it does not know ----------------------------------------------------------------

    def _read_unknown(self) -> None:
        """Read records that the ledger has no row of, and handle those that are new as the processors would.

        They need no looking back: what was handled is known to the ledger, and what was saved and not
        sent is sent by the reconciler.
        """
        if self._replay.plan.selection.needs_ledger:
            return
        kafka = self._deployment.kafka
        lags = {
            (one.topic, one.partition): one
            for one in self._patiently(lag, kafka, PROCESSORS_GROUP, [REQUESTS.name, CONSENTS.name])
        }
        gaps = self._patiently(unknown_ranges, self._replays, self._replay.plan, lags)
        if not gaps:
            return
        handlers = self._handlers()
        read = {(one.topic, one.partition): one.offset for one in self._position.read}
        for topic, partition in dict.fromkeys((one.topic, one.partition) for one in gaps):
            after = read.get((topic, partition), 0)
            ranges = [
                (max(one.low, after), one.high)
                for one in gaps
                if (one.topic, one.partition) == (topic, partition) and one.high > after
            ]
            for batch in _batches(read_range(kafka, topic, partition, ranges), UNREAD_BATCH):
                new = self._patiently(self._unknown, topic, batch)
                self._look()
                self._sleep(self._pace.take(max(1, len(new) * len(self._paces)), time.monotonic()))
                if new:
                    self._patiently(handlers[topic], new)
                read[topic, partition] = batch[-1].offset + 1
                self._note(
                    replace(
                        self._position,
                        read=tuple(
                            Offset(topic=name, partition=number, offset=at)
                            for (name, number), at in read.items()
                        ),
                        counts=self._position.counts.plus(unread=len(batch), handled=len(new)),
                    )
                )

    def _unknown(self, topic: str, batch: Sequence[Received]) -> list[Received]:
        """Those records whose id the ledger does not know, and those that nobody can read: handled, too."""
        ids: dict[int, UUID] = {}
        for number, record in enumerate(batch):
            try:
                ids[number] = id_of(self._issuer.read(topic, record.value))
            except Refused:
                continue
        known = self._replays.known_sources(list(ids.values()))
        return [record for number, record in enumerate(batch) if ids.get(number) not in known]

    def _handlers(self) -> Mapping[str, Handler]:
        due_after = timedelta(seconds=self._deployment.reconciler.first_after_s)
        keys = self._deployment.keys.private_dir or private_keys(CONTROL)
        seals = ControlSeals.of_control(
            self._deployment, keys, on_unsigned=UNSIGNED.labels(PROCESSORS_GROUP).inc
        )
        return {
            topic: handler(
                self._registry, self._ledger, self._emission, self._deployment.catalogue, seals,
                clock=lambda: datetime.now(UTC), due_after=due_after,
            )
            for topic, handler in ((REQUESTS.name, RequestsHandler), (CONSENTS.name, ConsentsHandler))
        }  # fmt: skip

    # --- pace, pause, note --------------------------------------------------------------------

    def _wait_for_turn(self, tasks: Sequence[Task]) -> None:
        now = time.monotonic()
        waits = [self._pace.take(len(tasks), now)]
        for sink, pace in self._paces.items():
            count = sum(task.sink == sink for task in tasks)
            if count:
                waits.append(pace.take(count, now))
        self._sleep(max(waits))
        self._since_behind += len(tasks)
        if self._since_behind >= BEHIND_MAX:
            self._let_catch_up()
            self._since_behind = 0

    def _let_catch_up(self) -> None:
        """Wait while a sink has much before it: what people ask today stands behind it."""
        announced = False
        while late := self._patiently(self._behind):
            if not announced:
                self._bar.notice(Waiting(dict(late)))
                announced = True
            self._sleep(LOOK_EVERY_S)
            self._look()

    def _behind(self) -> list[tuple[str, int]]:
        counts = [
            (
                sink,
                sum(
                    one.behind
                    for one in lag(self._deployment.kafka, sink_group(sink), [tasks_topic(sink).name])
                ),
            )
            for sink in self._replay.plan.issued
        ]
        return [(sink, count) for sink, count in counts if count > BEHIND_MAX]

    def _sleep(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(left, LOOK_EVERY_S))
            if left > LOOK_EVERY_S:
                self._look()

    def _look(self) -> None:
        """See now and then what is wanted of us."""
        if time.monotonic() - self._looked_at >= LOOK_EVERY_S:
            self._obey(self._patiently(self._replays.state, self._replay.operation_id))

    def _obey(self, state: ReplayState) -> None:
        """Go on, wait while it is paused, or end.

        Raises:
            Ended: somebody ended it.
        """
        announced = False
        while state is ReplayState.PAUSED:
            if not announced:
                self._bar.notice(Paused(self._replay.name))
                announced = True
            time.sleep(LOOK_EVERY_S)
            state = self._patiently(self._replays.state, self._replay.operation_id)
        if announced and state is ReplayState.RUNNING:
            self._bar.notice(Resumed())
        if state is not ReplayState.RUNNING:
            raise Ended(state)
        self._looked_at = time.monotonic()

    def _note(self, position: ReplayPosition, forgotten: Sequence[ForgottenTask] = ()) -> None:
        self._notes += 1
        left = self._behind_position(self._sent, position)  # of which the place may not be forgotten
        if self._notes % ENDS_EVERY == 0 and not self._unsure and not left:
            position = replace(position, ends=self._ends())
        state = self._patiently(self._replays.note, self._replay.operation_id, position, forgotten=forgotten)
        self._position = position
        self._sent, self._uncounted = left, []
        self._obey(state)

    def _patiently(self, act: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
        """Act, and wait for whatever is down: nothing is lost by waiting."""
        return patiently(f"replay {self._replay.name}", lambda: act(*args, **named), self._never)


def _batches(records: Iterator[Received], size: int) -> Iterator[list[Received]]:
    batch: list[Received] = []
    for record in records:
        batch.append(record)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
