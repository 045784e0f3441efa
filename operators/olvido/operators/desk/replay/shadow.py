"""A replay in shadow: all of the way and none of the effects. Read, decode, plan, and ask each target.

A target that can roll back is asked what the tasks would do. Of one that cannot, what the ledger
says is told, and that it is no more than that. Nothing is published, committed or noted.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from olvido.broker.groups import lag
from olvido.broker.ranges import read_range
from olvido.core.errors import ConfigError, Refused, Unavailable
from olvido.core.replay import FIRST, Plan
from olvido.core.source import id_of
from olvido.core.tasks import Task
from olvido.ledger.replays import Replay, Replays, ReplaySource, plan_document
from olvido.operators.desk.progress import Progress
from olvido.operators.desk.replay.issuing import Issuer
from olvido.operators.desk.replay.planning import unknown_ranges
from olvido.schemas.privacy.opening import Forgotten as BoxForgotten
from olvido.schemas.privacy.opening import Opener
from olvido.schemas.registry import Registry
from olvido.schemas.settings.deployment import Deployment
from olvido.schemas.topics import CONSENTS, PROCESSORS_GROUP, REQUESTS
from olvido.sinks.contract import OpenedTask, Rehearsing, Sink
from olvido.sinks.plugins import load_sink

BATCH = 1000  # sources between two questions to each target
TOLD_MAX = 20  # differences that are shown one by one


@dataclass(slots=True)
class SinkShadow:
    """What one sink would do."""

    sink: str
    why_not: str = ""  # it could not be asked, or not to the end
    tasks: int = 0
    remembered: int = 0  # it would answer from memory: no effect
    new: int = 0  # it does not remember: an effect
    unexpected: int = 0  # of these: done already, as the ledger has it
    outcomes: Counter[str] = field(default_factory=Counter)  # of what is new, where it could be tried
    not_asked: int = 0
    done: int = 0  # of these, as the ledger has it; the target may know better


@dataclass(slots=True)
class Shadow:
    """What a replay would do."""

    sinks: dict[str, SinkShadow]
    records: int = 0
    forgotten: int = 0
    unread: int = 0
    unknown: int = 0  # of these: new to the ledger, so that they would be handled for the first time
    differences: list[dict[str, object]] = field(default_factory=list)  # the first few

    @property
    def new(self) -> int:
        """Effects there would be, as far as targets were asked, and records that nobody has handled."""
        return self.unknown + sum(one.new for one in self.sinks.values())

    @property
    def rehearsed(self) -> bool:
        """Whether every sink with something to do was asked."""
        return not any(one.not_asked for one in self.sinks.values())


class Rehearser:
    """Goes through a plan without doing it."""

    def __init__(
        self,
        deployment: Deployment,
        replay: Replay,
        replays: Replays,
        registry: Registry,
        *,
        destroyed: Mapping[str, Sequence[str]],
        private_dirs: Mapping[str, Path],
        bar: Progress,
    ) -> None:
        """
        Args:
            deployment: where everything is.
            replay: what to go through.
            replays: knows what it selects.
            registry: holds the schemas.
            destroyed: by sink, keys that its region has destroyed.
            private_dirs: by region, where its private keys would be.
            bar: is given how far it is.
        """
        self._deployment = deployment
        self._plan: Plan = replay.plan
        self._replays = replays
        self._issuer = Issuer(deployment.kafka, registry, deployment.catalogue, destroyed=destroyed)
        self._private_dirs = private_dirs
        self._bar = bar
        self._shadow = Shadow({sink: SinkShadow(sink) for sink in self._plan.issued})
        self._targets = {sink: self._target(sink) for sink in self._plan.issued}
        self._openings = {sink: self._opening(sink) for sink in self._plan.issued}

    def run(self) -> Shadow:
        """Go through all of it.

        Raises:
            Unavailable: broker, registry or ledger does not answer. Begin anew: nothing was changed.
        """
        try:
            document, after = plan_document(self._plan), FIRST
            while sources := self._replays.next(document, after=after, limit=BATCH):
                self._rehearse(sources)
                after = sources[-1].source_id
                self._bar.to(self._shadow.records)
            self._look_at_unknown()
        finally:
            for target in self._targets.values():
                if target is not None:
                    target.close()
        return self._shadow

    def _rehearse(self, sources: Sequence[ReplaySource]) -> None:
        tasks, forgotten = self._issuer.issue(sources)
        self._shadow.records += len(sources)
        self._shadow.forgotten += len(forgotten)
        answered = {
            (source.source_id, sink)
            for source in sources
            for sink, (_, outcome) in source.tasks.items()
            if outcome is not None and outcome.final
        }
        by_sink: dict[str, list[Task]] = {}
        for task in tasks:
            by_sink.setdefault(task.sink, []).append(task)
        for sink, batch in by_sink.items():
            self._ask(self._shadow.sinks[sink], batch, answered)

    def _ask(self, tally: SinkShadow, batch: Sequence[Task], answered: set[tuple[UUID, str]]) -> None:
        tally.tasks += len(batch)
        target = self._targets[tally.sink]
        if isinstance(target, Rehearsing):
            try:
                rehearsals = target.rehearse(batch, self._openings[tally.sink])
            except (Unavailable, ConfigError) as error:
                tally.why_not = str(error)
                self._targets[tally.sink] = None
                target.close()
            else:
                for one in rehearsals:
                    done = (one.task.source_id, tally.sink) in answered
                    tally.remembered += one.remembered
                    if not one.remembered:
                        outcome = one.receipt.outcome.value if one.receipt else "not tried"
                        self._differs(tally, one.task, outcome, done=done)
                return
        tally.not_asked += len(batch)
        tally.done += sum((task.source_id, tally.sink) in answered for task in batch)

    def _differs(self, tally: SinkShadow, task: Task, outcome: str, *, done: bool) -> None:
        tally.new += 1
        tally.unexpected += done
        tally.outcomes[outcome] += 1
        if len(self._shadow.differences) < TOLD_MAX:
            self._shadow.differences.append(
                {
                    "source_id": task.source_id,
                    "sink": task.sink,
                    "action": task.action,
                    "task_id": task.task_id,
                    "would_be": outcome,
                    "ledger_says": "done" if done else "owed",
                }
            )

    def _look_at_unknown(self) -> None:
        kafka = self._deployment.kafka
        lags = {
            (one.topic, one.partition): one
            for one in lag(kafka, PROCESSORS_GROUP, [REQUESTS.name, CONSENTS.name])
        }
        for gap in unknown_ranges(self._replays, self._plan, lags):
            for record in read_range(kafka, gap.topic, gap.partition, [(gap.low, gap.high)]):
                self._shadow.unread += 1
                try:
                    source_id = id_of(self._issuer.read(gap.topic, record.value))
                except Refused:
                    continue  # it would become the dead letter that it is, or should be
                self._shadow.unknown += not self._replays.known_sources([source_id])

    # --- targets ------------------------------------------------------------------------------

    def _target(self, name: str) -> Sink | None:
        tally = self._shadow.sinks[name]
        try:
            target = load_sink(self._deployment, name)
        except ConfigError as error:
            tally.why_not = f"its target cannot be reached from here: {error}"
            return None
        if not isinstance(target, Rehearsing):
            tally.why_not = getattr(target, "not_rehearsed", "its kind has no way to try something out")
            target.close()
            return None
        return target

    def _opening(self, name: str) -> Callable[[Task], OpenedTask | None]:
        region = self._deployment.sinks[name].region
        openers: list[Opener] = []

        def opening(task: Task) -> OpenedTask | None:
            try:
                if not openers:
                    openers.append(Opener(region, self._private_dirs[region]))
                identities = openers[0].open(task.box, task)
            except (ConfigError, Refused, BoxForgotten):
                return None  # this machine does not hold the region's key
            return OpenedTask(task=task, identities=identities)

        return opening
