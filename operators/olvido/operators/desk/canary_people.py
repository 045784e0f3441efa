"""A canary person in each sink and day: planted, erased by an ordinary request, looked for without the sink.

What is known is in the ledger and in the target, and nothing is remembered here: a process that is killed
goes on where it was.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from olvido.broker.runtime.metrics import CANARY_FORGOTTEN_AGE, CANARY_STANDING, TIME_TO_FORGET
from olvido.broker.runtime.patience import Stopped, patiently
from olvido.broker.runtime.serving import serving
from olvido.core.canary_people import (
    DAYS,
    Asked,
    CanaryPerson,
    CanaryState,
    Value,
    canary_people,
    canary_state,
)
from olvido.core.errors import ConfigError, OlvidoError
from olvido.core.events import Verified
from olvido.core.outcomes import Outcome
from olvido.ledger.figures import Figures
from olvido.operators.desk.faults import check_declared
from olvido.operators.desk.ledger import database
from olvido.operators.settings import CANARY_PEOPLE
from olvido.producers.client import Producer
from olvido.schemas.settings.deployment import FILE_NAME, Deployment
from olvido.sinks.contract import Planting
from olvido.sinks.plugins import load_sink

logger = logging.getLogger("olvido.operators")

METHOD = "canary person"  # how it was made sure of that the request is the person's
EVERY_S = 30.0
SOON_S = 2.0  # while something is under way
STILL_S_MAX = 600.0  # of one step: every sink's target may take its own time-out


@dataclass(frozen=True, slots=True, kw_only=True)
class PlantedSink:
    """A sink with what is planted there."""

    name: str
    region: str
    target: Planting
    tables: Mapping[str, Mapping[str, Value]]


@dataclass(frozen=True, slots=True)
class _Looked:
    """What came of one look."""

    person: CanaryPerson
    state: CanaryState
    asked: Asked | None


Ask = Callable[[CanaryPerson, PlantedSink, datetime], object]


class CanaryPeople:
    """The canary people of some sinks. Keeps :class:`olvido.broker.runtime.health.Health`."""

    def __init__(
        self,
        sinks: Sequence[PlantedSink],
        figures: Figures,
        ask: Ask,
        *,
        clock: Callable[[], datetime],
    ) -> None:
        """
        Args:
            sinks: where canary people are planted.
            figures: the ledger.
            ask: emits the request for one of them, as an upstream service does.
            clock: the time.
        """
        self._sinks = sinks
        self._figures = figures
        self._ask = ask
        self._clock = clock
        self._wrong: dict[str, str] = {}  # by sink, what is wrong
        self._stepped_at = time.monotonic()

    def run(self, stop: threading.Event) -> None:
        """Step until ``stop`` is set. What does not answer is asked again at the next step."""
        while not stop.is_set():
            stop.wait(SOON_S if self.step() else EVERY_S)

    def step(self) -> bool:
        """Do for each sink what is next; whether something is under way."""
        under_way = [self._step(one) for one in self._sinks]
        self._stepped_at = time.monotonic()
        return any(under_way)

    def why_not_alive(self) -> str:
        """See :class:`olvido.broker.runtime.health.Health`."""
        still_s = time.monotonic() - self._stepped_at
        return f"a step has taken {still_s:.0f} s" if still_s > STILL_S_MAX else ""

    def why_not_ready(self) -> str:
        """See :class:`olvido.broker.runtime.health.Health`. It names a sink that is not as it says."""
        return self.why_not_alive() or next(iter(self._wrong.values()), "")

    def _step(self, sink: PlantedSink) -> bool:
        now = self._clock()
        people = canary_people(sink.name, now)
        try:
            # The ledger first: see canary_state.
            asked = [self._asked(sink, person) for person in people]
            found = sink.target.standing([person.rows(sink.tables) for person in people])
            looked = [
                _Looked(person, canary_state(known, stands=rows > 0), known)
                for person, known, rows in zip(people, asked, found.rows, strict=True)
            ]
            today = looked[0]
            if today.state is CanaryState.ABSENT:
                # Killed after this line: the rows stand, and the next step asks for them.
                sink.target.plant(today.person.rows(sink.tables))
            elif today.state is CanaryState.PLANTED:
                # Not before the target's own clock: rows that it calls newer than the request are left alone.
                # Killed after this line: until the ledger knows of it, it is asked again, and is one request.
                self._ask(today.person, sink, max(now, found.at))
        except OlvidoError as error:
            self._note(sink, f"sink {sink.name}: nothing is known of its canary person: {error}")
            return False
        self._show(sink, looked, now)
        return today.state in {CanaryState.ABSENT, CanaryState.PLANTED, CanaryState.OWED}

    def _asked(self, sink: PlantedSink, person: CanaryPerson) -> Asked | None:
        request = self._figures.request(person.request_id)
        if request is None:
            return None
        tasks = [task for task in self._figures.tasks(person.request_id) if task["sink"] == sink.name]
        newest = tasks[-1] if tasks else None  # of the newest generation: who is found again is erased again
        outcome = None if newest is None or newest["outcome"] is None else Outcome(newest["outcome"])
        if newest is None or outcome is None or not outcome.final:
            return Asked(requested_at=request["requested_at"])
        return Asked(requested_at=request["requested_at"], outcome=outcome, applied_at=newest["applied_at"])

    def _show(self, sink: PlantedSink, looked: Sequence["_Looked"], now: datetime) -> None:
        age = timedelta(days=DAYS)
        gone = [one.asked for one in looked if one.state is CanaryState.FORGOTTEN and one.asked]
        if gone:
            newest = gone[0]
            assert newest.applied_at is not None
            age = max(now - newest.applied_at, timedelta())
            TIME_TO_FORGET.labels(sink.name).set(newest.time_to_forget.total_seconds())
        CANARY_FORGOTTEN_AGE.labels(sink.name).set(age.total_seconds())
        standing = [one for one in looked if one.state is CanaryState.STANDING]
        CANARY_STANDING.labels(sink.name).set(len(standing))
        if standing:
            days = ", ".join(one.person.day.isoformat() for one in standing)
            self._note(sink, f"sink {sink.name} has answered, and rows of its canary person stand: {days}")
        else:
            self._wrong.pop(sink.name, None)

    def _note(self, sink: PlantedSink, what: str) -> None:
        if self._wrong.get(sink.name) != what:  # logged once, and not with each step
            logger.warning("%s", what)
        self._wrong[sink.name] = what


def planted(declared: Deployment, names: Sequence[str] = ()) -> list[str]:
    """The sinks that have a section ``canary``; of those named, all must.

    Raises:
        InvalidInput: there is no such sink.
        ConfigError: nobody is planted there, or nowhere.
    """
    for name in names:
        check_declared(name, declared.sinks)
        if declared.sinks[name].canary is None:
            raise ConfigError(f"{FILE_NAME}: sinks.{name}.canary: is missing; say what is planted there")
    found = list(names) or [name for name, sink in declared.sinks.items() if sink.canary is not None]
    if not found:
        raise ConfigError(f"{FILE_NAME}: no sink has a section canary: nobody is planted anywhere")
    return found


def run_canary_people(declared: Deployment, stop: threading.Event, names: Sequence[str] = ()) -> None:
    """Plant, ask and look until ``stop`` is set.

    Args:
        declared: the deployment.
        stop: ends it.
        names: of the sinks; all with a section ``canary`` if not given.

    Raises:
        InvalidInput: there is no such sink.
        ConfigError: what is planted does not fit, or a key, an address or a schema is missing.
    """
    with ExitStack() as stack:
        sinks = [stack.enter_context(_opened(declared, name)) for name in planted(declared, names)]
        try:
            producer = patiently(CANARY_PEOPLE, lambda: Producer.of(declared), stop)
        except Stopped:
            return
        stack.enter_context(producer)
        people = CanaryPeople(
            sinks,
            Figures(database(declared)),
            lambda person, sink, at: producer.request_erasure(
                identities={"email": person.address},
                regions=[sink.region],
                request_id=person.request_id,
                requested_at=at,
                verified=Verified(method=METHOD, verified_at=at),
            ),
            clock=lambda: datetime.now(UTC),
        )
        stack.enter_context(serving(declared.metrics, people))
        logger.info("canary people of %s", ", ".join(sink.name for sink in sinks))
        people.run(stop)


@contextmanager
def _opened(declared: Deployment, name: str) -> Iterator[PlantedSink]:
    section = declared.sinks[name]
    assert section.canary is not None
    sink = load_sink(declared, name)
    try:
        if not isinstance(sink, Planting):
            raise ConfigError(
                f"{FILE_NAME}: sinks.{name}.canary: a sink of kind {section.kind} can plant nobody; remove it"
            )
        yield PlantedSink(name=name, region=section.region, target=sink, tables=section.canary)
    finally:
        sink.close()
