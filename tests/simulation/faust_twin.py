"""A Faust worker as far as it can lose records: agents that take batches and ack, and its own commit rule.

The rule is Faust's own code, faults and all: it commits over a hole of one unacknowledged record,
and over any hole where nothing was committed before (faust#606). The agents follow
``olvido.processors.engine_faust.app``: take without ack, handle, then ack each.
"""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from faust.transport.consumer import Consumer
from intervaltree import IntervalTree
from simulation.carriers import STILL_S, STILL_S_MAX, Group, Member
from simulation.process import Process

from olvido.broker.contract import Handler, Received
from olvido.broker.runtime.movement import Activity
from olvido.core.errors import Unavailable
from olvido.core.offsets import Partition
from olvido.processors.engine_faust.app import PATIENCE

COMMIT_EVERY_S = 2.0


class CommitRule:
    """Which offset of a partition Faust would commit."""

    def __init__(self) -> None:
        self._acked: dict[Partition, list[int]] = defaultdict(list)
        self._acked_index: dict[Partition, set[int]] = defaultdict(set)
        self._gap: dict[Partition, Any] = defaultdict(IntervalTree)
        self._committed_offset: dict[Partition, int | None] = defaultdict(lambda: None)

    _new_offset = Consumer._new_offset
    _should_commit = Consumer._should_commit
    committable = Consumer._filter_committable_offsets

    def assigned(self, place: Partition, committed: int) -> None:
        """The partition is read from there."""
        self._committed_offset[place] = committed

    def revoked(self, place: Partition) -> None:
        """As ``Consumer.on_partitions_revoked``."""
        for known in (self._gap, self._acked, self._acked_index, self._committed_offset):
            known.pop(place, None)

    def ack(self, place: Partition, offset: int) -> None:
        """As ``Consumer.ack``."""
        committed = self._committed_offset[place]
        if (committed is None or offset >= committed) and offset not in self._acked_index[place]:
            self._acked_index[place].add(offset)
            self._acked[place].append(offset)

    def committed(self, place: Partition, offset: int) -> None:
        """The broker has it."""
        self._committed_offset[place] = offset


class FaustWorker:
    """One worker process: an agent for each topic, and a timer that commits."""

    def __init__(
        self, process: Process, group: Group, handlers: Mapping[str, Handler], activity: Activity
    ) -> None:
        self.process = process
        self.group = group
        self.handlers = handlers
        self.member = Member(process)
        self.rule = CommitRule()
        self.position: dict[Partition, int] = {}
        self._activity = activity
        activity.add_reader(self.assignment)

    def start(self) -> None:
        """Join the group and read."""
        self.group.join(self.member)
        self.process.start(self._commit_for_ever)
        for topic in self.handlers:
            self.process.start(lambda topic=topic: self._agent(topic))

    def assignment(self) -> list[Partition]:
        """The partitions it reads."""
        return sorted(self.position)

    # --- an agent ----------------------------------------------------------------------------

    def _agent(self, topic: str) -> None:
        still_s = STILL_S
        while True:
            batch = self._take(topic)
            if not batch:
                self.process.scheduler.sleep(still_s)
                still_s = min(2 * still_s, STILL_S_MAX)
                self.process.must_live()
                continue
            still_s = STILL_S
            with self._activity.batch_in_hand([topic]):
                self.handle_and_ack(topic, batch)

    def handle_and_ack(self, topic: str, batch: list[Received]) -> None:
        """The body of an agent."""
        self.carry_out(self.handlers[topic], batch)
        for record in batch:
            self.rule.ack((record.topic, record.partition), record.offset)

    def carry_out(self, handler: Handler, batch: list[Received]) -> None:
        """Bring the batch until it is handled; after long enough, let a fresh process try."""
        scheduler = self.process.scheduler
        give_up_at = scheduler.seconds + PATIENCE.total_seconds()
        delay_s = 0.5
        while True:
            try:
                handler(batch)
            except Unavailable as error:
                if scheduler.seconds > give_up_at:
                    self.process.die()
                with self._activity.resting([batch[0].topic], str(error)):
                    scheduler.sleep(delay_s)
                self.process.must_live()
                delay_s = min(2 * delay_s, 10.0)
            else:
                return

    def _take(self, topic: str) -> list[Received]:
        """What ``noack_take`` gives: records of several partitions, each partition in order."""
        self.process.act("take")
        self._serve()
        rng, taken = self.process.faults.rng, []
        places = [place for place in self.position if place[0] == topic]
        rng.shuffle(places)
        most = rng.choice((1, 3, 12, 40))
        for place in places:
            records = self.group.broker.read(*place, self.position[place], most - len(taken))
            if records:
                self.position[place] = records[-1].offset + 1
            for record in records:
                if self.process.faults.strikes("stream_loses"):
                    self.process.history.note(
                        self.process.scheduler.seconds, "stream lost", *place, record.offset
                    )
                else:
                    taken.append(record)
            if len(taken) >= most:
                break
        return taken

    # --- the group ---------------------------------------------------------------------------

    def _serve(self) -> None:
        member = self.member
        given_up = [*member.lost, *member.revoked]
        released, member.lost, member.revoked = member.revoked, [], []
        for place in given_up:
            self.position.pop(place, None)
            self.rule.revoked(place)
        self.group.release(released)
        places, member.assigned = member.assigned, []
        for place in places:
            self.position[place] = self.group.committed(place)
            self.rule.assigned(place, self.position[place])

    def _commit_for_ever(self) -> None:
        while True:
            self.process.scheduler.sleep(COMMIT_EVERY_S)
            self.process.act("commit offsets")
            self._serve()
            offsets = self.rule.committable(sorted(self.position))
            for place, offset in offsets.items():
                if self.process.faults.strikes("commit_lost"):
                    continue
                if self.group.commit(self.member, place, offset):
                    self.rule.committed(place, offset)
            self.process.did("commit offsets")
