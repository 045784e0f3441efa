"""One world: real steps, handlers, loop, codec and commit rule on twins of everything that does I/O.

``World(seed).run()`` is a function of the seed: a workload is written while faults strike, then the
faults end and the world must come to rest. What is left is for the checker.
"""

import logging
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any
from unittest.mock import patch
from uuid import UUID

from key_files import NEVER
from simulation.boxes import SIGNERS, OpenerTwin, SealerTwin, Vault, principals_of
from simulation.carriers import AdminTwin, ConsumerTwin, Group, PublisherTwin
from simulation.faults import Faults
from simulation.faust_twin import FaustWorker
from simulation.history import History
from simulation.ledger_twin import DatabaseTwin, Tables, ledger_on
from simulation.process import Process
from simulation.registry_twin import RegistryTwin
from simulation.scheduler import BEGIN, Scheduler
from simulation.targets import SYSTEMS, SinkTwin, System
from simulation.workload import CATALOGUE, EPOCHS, REGIONS, Item, Workload, second_receipt, workload

from olvido.broker import commits as commits_module
from olvido.broker import loop as loop_module
from olvido.broker.contract import Received
from olvido.broker.loop import Loop
from olvido.broker.memory import MemoryBroker
from olvido.broker.runtime.movement import Activity, Movement
from olvido.core.acts import Act, Verb
from olvido.core.brake import HeldDecision, Limits
from olvido.core.errors import Unavailable
from olvido.ledger.brake import Brake
from olvido.ledger.restores import Restores
from olvido.ledger.sink_operations import SinkOperations
from olvido.processors import offset_audit
from olvido.processors.emission import Emission
from olvido.processors.handlers import batches as batches_module
from olvido.processors.handlers.batches import ConsentsHandler, RequestsHandler
from olvido.processors.handlers.held import HeldRequests
from olvido.processors.handlers.recorded import RecordedHandler
from olvido.processors.handlers.verifications import VerificationsHandler
from olvido.processors.offset_audit import Audit
from olvido.processors.publication import GIVEN_UP_AFTER, Publication
from olvido.processors.reconciler import Reconciler
from olvido.processors.watchdog import Watchdog
from olvido.schemas import codec as codec_module
from olvido.schemas.codec import Codec, dead_letters_codec, looks_codec, receipts_codec, tasks_codec
from olvido.schemas.privacy.seals import ControlSeals, Seals
from olvido.schemas.settings.deployment import KafkaSection
from olvido.schemas.topics import (
    CANARIES,
    CONSENTS,
    DEAD_LETTERS,
    LOOKS,
    PROCESSORS_GROUP,
    RECEIPTS,
    RECORDER_GROUP,
    REQUESTS,
    VERIFICATIONS,
    sink_group,
    tasks_topic,
    topics_of,
)
from olvido.sinks import runner as runner_module
from olvido.sinks import sweeping as sweeping_module
from olvido.sinks.runner import SinkRunner
from olvido.sinks.sweeping import Sweeping

SOURCE = "simulation"
FIRST_AFTER = timedelta(seconds=30)
RECONCILE_EVERY_S = 5.0
AUDIT_EVERY_S = 10.0
LOOK_EVERY_S = 10.0
PATIENCE_OF_GROUP_S = 10.0  # until a dead member's partitions go to the others
RESTART_S = 2.0
MARGIN = timedelta(seconds=5)  # how much before the backup an operator says, to be sure
UPSTREAM = (REQUESTS.name, CONSENTS.name, VERIFICATIONS.name)


@dataclass(kw_only=True)
class Makers:
    """Who makes the collaborators of a world: a planted bug replaces one of them."""

    sink: Callable[[Process, Any], SinkTwin] = SinkTwin
    worker: Callable[..., FaustWorker] = FaustWorker
    publisher: Callable[[Process, MemoryBroker], PublisherTwin] = PublisherTwin
    opener: Callable[[Process, Vault, str], OpenerTwin] = OpenerTwin
    loop: Callable[..., Loop] = Loop
    audits: bool = True
    kafka: KafkaSection = field(default_factory=KafkaSection)  # how many partitions the topics have
    patches: Sequence[tuple[Any, str, Any]] = ()  # (module, name, instead)


@dataclass
class World:
    """Everything there is."""

    seed: int
    without: frozenset[str] = frozenset()  # faults that are left out
    dropped: frozenset[int] = frozenset()  # items of the workload that are left out
    makers: Makers = field(default_factory=Makers)

    def __post_init__(self) -> None:
        self._names = 0
        self._values: dict[tuple[str, bytes], Any] = {}  # what was read, by topic and bytes
        self._emitting = 0
        self.rng = random.Random(self.seed)
        self.history = History()
        self.scheduler = Scheduler(self.rng)
        self.faults = Faults.swarm(self.rng, self.without)
        self.topics = tuple(topic for topic in topics_of(CATALOGUE) if topic != CANARIES)
        self.broker = MemoryBroker.of(self.topics, self.makers.kafka, clock=lambda: self.scheduler.now)
        self.catalogue = replace(CATALOGUE, limits=self._limits())
        self.registry = RegistryTwin(self.topics)
        self.receipts = receipts_codec(self.registry)
        self.vault = Vault()
        self.tables = Tables(clock=lambda: self.scheduler.now)
        self.processes: list[Process] = []
        self.accepted: list[Item] = []
        self.seals = Seals(principals_of(CATALOGUE), SIGNERS, accept_unsigned_until=NEVER)
        self.control = ControlSeals(
            principals_of(CATALOGUE),
            SIGNERS,
            self.vault,
            accept_unsigned_until=NEVER,  # type: ignore[arg-type]
        )
        with self._patched():  # what is sealed is sealed as it will be opened
            whole: Workload = workload(
                random.Random(self.rng.random()), self.registry, self.vault,
                refuses=self.faults.has("sink_refuses"), limits=self.faults.has("limit"),
            )  # fmt: skip
        self.targets = whole.targets
        self.items = [item for item in whole.items if item.number not in self.dropped]
        self.groups: dict[str, Group] = {
            name: Group(name, topics, self.broker)
            for name, topics in (
                (PROCESSORS_GROUP, UPSTREAM),
                (RECORDER_GROUP, (RECEIPTS.name, LOOKS.name, DEAD_LETTERS.name)),
                *((sink_group(one.name), (tasks_topic(one.name).name,)) for one in SYSTEMS),
            )
        }

    def _limits(self) -> Limits:
        few = self.rng.randint(2, 6) if self.faults.strikes("brake") else 10_000
        grace_s = self.rng.choice((5, 30)) if self.faults.strikes("grace") else 0
        return Limits(
            erasures_per_hour=few, erasures_per_hour_of_one=few, erase_after=timedelta(seconds=grace_s)
        )

    # --- the whole of it ---------------------------------------------------------------------

    def run(self) -> None:
        """Let it happen, then let it come to rest.

        Raises:
            Stuck: it does not come to rest although nothing is wrong any more.
        """
        with self._patched():
            self._begin()
            turns = self.rng.randint(300, 1500)
            while self._emitting or self.scheduler.turns < turns:
                self.scheduler.turn()
            self._faults_end()
            self._to_rest()

    def replay(self) -> None:
        """Read every topic once more from its beginning, and come to rest again."""
        with self._patched():
            for group in self.groups.values():
                for place in group.places:
                    self.broker.commit(group.name, *place, 0)
            for process in list(self.processes):
                process.die()  # so that whoever reads begins where the group now is
            self.scheduler.turns_max += self.scheduler.turns_max
            self._to_rest()

    def end(self) -> None:
        """Let go of everybody: greenlets that stand still are ended where they stand."""
        with self._patched():
            for process in self.processes:
                process.alive = False
            self.scheduler.end()

    def _begin(self) -> None:
        rng = self.rng
        for _ in range(rng.choice((1, 1, 2))):
            self._processors()
        for _ in range(rng.choice((1, 1, 2))):
            self._recorder()
        for system in SYSTEMS:
            for _ in range(rng.choice((1, 1, 1, 2))):
                self._sink(system)
        for share in range(3):
            self._upstream([item for item in self.items if item.number % 3 == share])
        self._nemesis()

    def _faults_end(self) -> None:
        self.faults.off_for_good = True
        self.registry.down = False
        self.scheduler.weights.clear()
        for process in self.processes:
            process.skew = timedelta()
        self.history.note(self.scheduler.seconds, "faults end")

    def _to_rest(self) -> None:
        """Go on until everything is read and nothing is owed."""
        calm_since = None
        while True:
            self.scheduler.turn()
            if self.scheduler.turns % 40:
                continue
            if not self._all_read():
                calm_since = None
                continue
            if due_at := self._due_at():
                # Nothing but time is missing: a sink that put something off is asked again in a day.
                self.scheduler.seconds = max(self.scheduler.seconds, due_at)
                calm_since = None
                continue
            calm_since = calm_since or self.scheduler.seconds
            # Long enough for an audit and a look of the reconciler to find nothing either.
            if self.scheduler.seconds - calm_since > 2 * AUDIT_EVERY_S:
                return

    def _all_read(self) -> bool:
        return all(
            group.committed(place) >= self.broker.end(*place)
            for group in self.groups.values()
            for place in group.places
        )

    def _due_at(self) -> float | None:
        """When what is owed or half told is due next, in seconds; None where there is nothing."""
        due_ats = [
            task["due_at"]
            for task in self.tables.tasks.values()
            if task["outcome"] in {None, "deferred"} and task["parked"] is None
        ]
        due_ats += [row["start_at"] for row in self.tables.held.values() if row["start_at"] is not None]
        due_ats += [target.due_at(one) for target in self.targets.values() for one in target.kept.values()]
        due_ats += [row["begun_at"] + GIVEN_UP_AFTER for row in self.tables.publications.values()]
        return (min(due_ats) - BEGIN).total_seconds() if due_ats else None

    # --- who there is ------------------------------------------------------------------------

    def _process(self, kind: str, again: Callable[[], None], groups: Sequence[str] = ()) -> Process:
        self._names += 1
        process = Process(
            f"{kind}/{self._names}", kind.split(".", maxsplit=1)[0], self.scheduler, self.faults, self.history
        )
        self.processes.append(process)
        process.on_death = lambda: self.scheduler.start(
            "supervisor", lambda: self._follow(process, again, groups)
        )
        return process

    def _follow(self, process: Process, again: Callable[[], None], groups: Sequence[str]) -> None:
        """Start a dead process again, and have its group forget it when its patience is over."""
        self.processes.remove(process)
        self.scheduler.sleep(RESTART_S)
        again()
        self.scheduler.sleep(PATIENCE_OF_GROUP_S - RESTART_S)
        for name in groups:
            group = self.groups[name]
            for member in [member for member in group.members if member.process is process]:
                group.leave(member)

    def _patiently(self, process: Process, make: Callable[[], Any]) -> Any:
        while True:
            process.must_live()
            try:
                return make()
            except Unavailable:
                self.scheduler.sleep(1.0)

    def _processors(self) -> None:
        process = self._process("processors", self._processors, [PROCESSORS_GROUP])
        process.start(lambda: self._patiently(process, lambda: self._run_processors(process)))

    def _run_processors(self, process: Process) -> None:
        database = DatabaseTwin(self.tables, process)
        ledger = ledger_on(database)
        emission = Emission(
            self.registry, self.catalogue, self.makers.publisher(process, self.broker), source=SOURCE
        )
        shared: dict[str, Any] = {"clock": process.clock, "due_after": FIRST_AFTER}
        parts = (self.registry, ledger, emission, self.catalogue, self.control)
        verifications = VerificationsHandler(*parts, **shared)
        handlers: dict[str, Any] = {
            REQUESTS.name: RequestsHandler(*parts, **shared),
            CONSENTS.name: ConsentsHandler(*parts, **shared),
            VERIFICATIONS.name: verifications,
        }
        admin = AdminTwin(process, self.broker)
        reconciler = Reconciler(
            self.registry,
            ledger,
            SinkOperations(database),  # type: ignore[arg-type]
            emission,
            self.catalogue,
            seal=self._sealer(process, "desk").sealed,
            clock=process.clock,
            first_after=FIRST_AFTER,
            unread=admin.unread,
        )
        activity = Activity(clock=self.scheduler.monotonic)
        worker = self.makers.worker(process, self.groups[PROCESSORS_GROUP], handlers, activity)
        movement = Movement(activity, apart=True)
        watchdog = Watchdog(end=lambda code: process.die())
        audit = Audit(admin, ledger, group=PROCESSORS_GROUP, handlers=handlers)  # type: ignore[arg-type]

        def look() -> None:
            movement.look(admin.lag(PROCESSORS_GROUP, UPSTREAM), self.scheduler.seconds)
            watchdog.look(movement.still(self.scheduler.seconds))

        worker.start()
        self._repeat(process, RECONCILE_EVERY_S, reconciler.run_once)
        self._repeat(process, RECONCILE_EVERY_S, HeldRequests(*parts[:4], clock=process.clock).run_once)
        self._repeat(process, RECONCILE_EVERY_S, verifications.release_crossed)
        self._repeat(process, RECONCILE_EVERY_S, Publication(ledger, emission).run_once)
        self._repeat(process, AUDIT_EVERY_S, look)
        if self.makers.audits:
            self._repeat(process, AUDIT_EVERY_S, audit.run_once)

    def _repeat(self, process: Process, every_s: float, act: Callable[[], object]) -> None:
        def for_ever() -> None:
            while True:
                self.scheduler.sleep(every_s)
                process.must_live()
                try:
                    act()
                except Unavailable:
                    continue

        process.start(for_ever)

    def _recorder(self) -> None:
        process = self._process("recorder", self._recorder, [RECORDER_GROUP])
        process.start(lambda: self._patiently(process, lambda: self._run_recorder(process)))

    def _run_recorder(self, process: Process) -> None:
        ledger = ledger_on(DatabaseTwin(self.tables, process))
        emission = Emission(
            self.registry, self.catalogue, self.makers.publisher(process, self.broker), source=SOURCE
        )
        handler = RecordedHandler(self.registry, ledger, emission, self.control, clock=process.clock)
        self._loop(process, RECORDER_GROUP, handler)

    def _sink(self, system: System) -> None:
        process = self._process(f"sink.{system.name}", lambda: self._sink(system), [sink_group(system.name)])
        process.start(lambda: self._patiently(process, lambda: self._run_sink(process, system)))

    def _run_sink(self, process: Process, system: System) -> None:
        sink = self.makers.sink(process, self.targets[system.name])
        parts: dict[str, Any] = {
            "name": system.name,
            "opener": self.makers.opener(process, self.vault, system.region),
            "sealer": self._sealer(process, f"sink-{system.name}"),
            "publisher": self.makers.publisher(process, self.broker),
            "source": SOURCE,
        }
        sweeping = Sweeping(sink, looks=looks_codec(self.registry), every_s=LOOK_EVERY_S, **parts)
        self._repeat(process, LOOK_EVERY_S, sweeping.step)
        runner = SinkRunner(
            sink,
            seals=self.seals,
            tasks=tasks_codec(self.registry, system.name),
            receipts=receipts_codec(self.registry),
            dead_letters=dead_letters_codec(self.registry),
            group=sink_group(system.name),
            clock=process.clock,
            **parts,
        )
        self._loop(process, sink_group(system.name), runner)

    def _sealer(self, process: Process, principal: str) -> SealerTwin:
        """Seals as a principal, by the world's own time: a wrong clock has no say in what is sealed."""
        rng = random.Random(f"{self.seed}/{process.name}")
        return SealerTwin(self.vault, rng, principal, clock=lambda: self.scheduler.now)

    def _loop(self, process: Process, group: str, handler: Callable[[Sequence[Received]], None]) -> None:
        """Run the real loop until the process dies."""
        loop = self.makers.loop(
            (process, self.groups[group]),  # what the twin of open_consumer is given
            group=group,
            topics=self.groups[group].topics,
            handler=handler,
        )
        loop.run(_Never())

    def _upstream(self, items: Sequence[Item]) -> None:
        """Services that write, each record until it is accepted: at least once, with the same id."""
        left = list(items)
        self._emitting += 1

        def emit(process: Process) -> None:
            publisher = PublisherTwin(process, self.broker)
            while left:
                item = left[0]
                if item.at_s > self.scheduler.seconds:
                    self.scheduler.sleep(item.at_s - self.scheduler.seconds)
                process.must_live()
                try:
                    publisher.publish([item.record])
                except Unavailable:
                    self.scheduler.sleep(1.0)
                    process.must_live()
                    continue
                self.accepted.append(item)
                self.history.note(self.scheduler.seconds, "accepted", item.what, item.number)
                left.pop(0)
            self._emitting -= 1

        def start() -> None:
            process = self._process("upstream", start)
            process.start(lambda: emit(process))

        start()

    # --- what befalls them -------------------------------------------------------------------

    def _nemesis(self) -> None:
        def befall() -> None:
            while not self.faults.off_for_good:
                self.scheduler.sleep(self.rng.random() * 20)
                if self.faults.off_for_good:
                    return
                for act in (
                    self._rebalance, self._jump, self._slow, self._registry, self._destroy, self._restore,
                    self._forge, self._decide, self._come_back,
                ):  # fmt: skip
                    if self.rng.random() < 0.25:
                        act()

        self.scheduler.start("nemesis", befall)

    def _rebalance(self) -> None:
        group = self.rng.choice(list(self.groups.values()))
        if len(group.members) < 2 or not self.faults.strikes("rebalance"):
            return
        zombies = self.faults.strikes("zombie")
        if zombies:
            victim = self.rng.choice(group.members).process
            victim.frozen_until = self.scheduler.seconds + self.rng.random() * 60
        self.history.note(self.scheduler.seconds, "rebalance", group.name, zombies)
        group.rebalance(self.rng.random, zombies=zombies)

    def _jump(self) -> None:
        if self.faults.strikes("clock"):
            process = self.rng.choice(self.processes)
            process.skew = timedelta(seconds=self.rng.choice((-3600, -120, 0, 120, 3600)))
            self.history.note(self.scheduler.seconds, "clock", process.name, process.skew.total_seconds())

    def _slow(self) -> None:
        if self.faults.strikes("slow"):
            self.scheduler.weights = {self.rng.choice(self.processes).name: 0.1}

    def _registry(self) -> None:
        if self.registry.down or self.faults.strikes("registry_down"):
            self.registry.down = not self.registry.down

    def _destroy(self) -> None:
        if len(self.vault.destroyed) < 1 and self.faults.strikes("key_destroyed"):
            key_id = f"{self.rng.choice(REGIONS)}-{self.rng.choice(EPOCHS)}"
            self.vault.destroyed.add(key_id)
            self.history.note(self.scheduler.seconds, "key destroyed", key_id)

    def _restore(self) -> None:
        """A target is set back to a backup, and an operator says so: what was done since is asked again."""
        system = self.rng.choice(SYSTEMS)
        target = self.targets[system.name]
        if target.backup is None:
            target.take_backup(self.scheduler.now)
            return
        if not self.faults.strikes("restore"):
            return
        taken_at = target.go_back()
        self.history.note(self.scheduler.seconds, "restored", system.name)
        operation_id, act_id = (UUID(int=self.rng.getrandbits(128), version=4) for _ in range(2))
        act = Act(
            act_id=act_id, at=self.scheduler.now, who="an operator", verb=Verb.RESTORE, reason="a backup",
            details={},
        )  # fmt: skip
        Restores(DatabaseTwin(self.tables)).declare(  # type: ignore[arg-type]
            act, operation_id=operation_id, name=f"restore-{operation_id}", sink=system.name,
            backup_taken_at=taken_at, since=taken_at - MARGIN,
        )  # fmt: skip

    def _come_back(self) -> None:
        """A row that was erased stands there again, and nobody says so."""
        erased = [
            (name, row) for name, target in sorted(self.targets.items()) for row in target.rows
            if row.gone or row.identities != row.original
        ]  # fmt: skip
        if erased and self.faults.strikes("comes_back"):
            name, row = self.rng.choice(erased)
            row.come_back()
            self.history.note(self.scheduler.seconds, "came back", name, row.number)

    def _forge(self) -> None:
        """Somebody who has the key of a sink contradicts what it has answered, or says what cannot be."""
        tasks = self.tables.tasks
        answered = [
            key for key, task in tasks.items() if task["outcome"] not in {None, "deferred", "superseded"}
        ]
        if not answered or not self.faults.strikes("receipt_forged"):
            return
        key = self.rng.choice(answered)
        early = self.rng.random() < 0.3 and key[0] in self.tables.requests
        item = second_receipt(
            self.receipts, *key, tasks[key], sealer=self._forger(key[1]),
            number=len(self.items) + len(self.dropped), at=self.scheduler.now,
            subject_id=self.tables.subject_of(key[0]), early=early,
        )  # fmt: skip
        self.items.append(item)
        self.broker.append(item.record)

    def _forger(self, sink: str) -> SealerTwin:
        rng = random.Random(f"{self.seed}/forger/{len(self.items)}")
        return SealerTwin(self.vault, rng, f"sink-{sink}", clock=lambda: self.scheduler.now)

    def _decide(self) -> None:
        """A person decides about what is above a limit; when a second one decides the same, it is so."""
        waiting = [one for one, row in self.tables.held.items() if row["start_at"] is None]
        tasks = {
            key: row for key, row in self.tables.held_tasks.items()
            if (self.tables.tasks[key]["parked"], self.tables.tasks[key]["outcome"]) == ("ABOVE_LIMIT", None)
        }  # fmt: skip
        if not waiting and not tasks:
            return
        who, decision = self.rng.choice(("ana", "bo")), self.rng.choice(list(HeldDecision))
        act_id = UUID(int=self.rng.getrandbits(128), version=4)
        act = Act(
            act_id=act_id, at=self.scheduler.now, who=who, verb=Verb.RELEASE, reason="of ours", details={}
        )
        chosen = sorted({*waiting, *(source_id for source_id, _, _ in tasks)})
        some = self.rng.sample(chosen, self.rng.randint(1, len(chosen)))
        both = (decision.value, "bo" if who == "ana" else "ana")  # what makes this one the second
        held = self.tables.held
        second = [
            one for one in some
            if one in waiting and (held[one]["proposal"], held[one]["proposed_by"] or who) == both
        ]  # fmt: skip
        released = [
            key for key, row in tasks.items()
            if key[0] in some and (row["proposal"], row["proposed_by"]) == both
            and decision is HeldDecision.RELEASE
        ]  # fmt: skip
        # What two people discard of tasks is answered by the desk: that is for the tests with a broker.
        release = SIGNERS.signer("desk").release if decision is HeldDecision.RELEASE else None
        brake = Brake(DatabaseTwin(self.tables))  # type: ignore[arg-type]
        brake.decide(act, decision, ids=some, release=release)
        self.history.note(self.scheduler.seconds, "decided", decision.value, tuple(sorted(map(str, second))))
        for source_id, sink, generation in released:
            self.history.note(self.scheduler.seconds, "released", sink, str(source_id), generation)

    # --- what stands in for the machine ------------------------------------------------------

    @contextmanager
    def _patched(self) -> Iterator[None]:
        """The real code sees this world's clock, dice and consumers."""
        with ExitStack() as stack:
            for module, name, instead in (
                (loop_module, "open_consumer", _open_consumer),
                (loop_module, "time", self.scheduler),
                (commits_module, "time", self.scheduler),
                (loop_module, "delays", self._delays),
                (loop_module, "PAUSE_POLL_S", 30.0),
                (loop_module, "RETRY_AFTER_S_MAX", 120.0),
                (codec_module, "time", self.scheduler),
                (Codec, "decode", self._decoder()),
                (runner_module, "time", self.scheduler),
                (sweeping_module, "time", self.scheduler),
                (offset_audit, "lag", lambda admin, *what: admin.lag(*what)),
                (offset_audit, "topic_ids", lambda *_: {}),  # no topic is ever made anew
                (offset_audit, "read_range", lambda admin, *what: admin.read_range(*what)),
                (batches_module, "ThreadPoolExecutor", _AtOnce),
                *self.makers.patches,
            ):
                stack.enter_context(patch.object(module, name, instead))
            stack.enter_context(_listening(self.history.logs))
            yield

    def _decoder(self) -> Callable[[Codec[Any], bytes | None], Any]:
        """The codec's strict reading; what a topic's bytes say is worked out once in a world."""
        values = self._values

        def decode(codec: Codec[Any], data: bytes | None) -> Any:
            key = (codec.topic.name, data or b"")
            if key not in values:
                values[key] = _STRICTLY(codec, data)  # what is refused is read, and refused, each time
            return values[key]

        return decode

    def _delays(self) -> Iterator[float]:
        delay_s = 0.5
        while True:
            yield delay_s * (0.5 + self.rng.random() / 2)
            delay_s = min(delay_s * 2, 10.0)


_STRICTLY = Codec.decode


def _open_consumer(
    kafka: tuple[Process, Group], *, group: str, client_id: str, more: dict[str, Any]
) -> ConsumerTwin:
    process, of = kafka
    return ConsumerTwin(process, of, more["on_commit"])


@contextmanager
def _listening(lines: list[str]) -> Iterator[None]:
    """Keep what is logged, and show it to nobody."""
    handler = _Lines(lines)
    logger = logging.getLogger("olvido")
    before = (logger.level, logger.propagate)
    logger.addHandler(handler)
    logger.setLevel(logging.WARNING)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before[0])
        logger.propagate = before[1]


class _Lines(logging.Handler):
    def __init__(self, lines: list[str]) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(record.getMessage())


class _Never:
    """A stop that nobody sets."""

    def is_set(self) -> bool:
        return False


class _AtOnce:
    """An executor that does what it is given at once: encoding is no I/O."""

    def __init__(self, **options: Any) -> None: ...

    def submit(self, act: Callable[..., Any], /, *args: Any, **more: Any) -> "_Done":
        return _Done(act(*args, **more))


@dataclass(frozen=True, slots=True)
class _Done:
    value: Any

    def result(self) -> Any:
        return self.value
