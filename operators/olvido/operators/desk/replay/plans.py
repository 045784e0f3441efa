"""Replays: planned, saved, found, carried out, rehearsed, paused, resumed and cancelled."""

import re
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from uuid_utils.compat import uuid7

from olvido.broker.kafka import KafkaPublisher
from olvido.core.acts import Act
from olvido.core.errors import InvalidInput
from olvido.core.replay import Plan, ReplayState
from olvido.ledger.replays import ForgottenTask, Replay, Replays, Taken
from olvido.operators.desk.faults import NotAllowed, NotThere
from olvido.operators.desk.ledger import database
from olvido.operators.desk.progress import Progress
from olvido.operators.desk.replay.asking import ReplayQuery
from olvido.operators.desk.replay.planning import check_same, destroyed_here, make_plan
from olvido.operators.desk.replay.running import Ended, Runner
from olvido.operators.desk.replay.shadow import Rehearser, Shadow
from olvido.operators.settings import private_keys
from olvido.schemas.registry import Registry
from olvido.schemas.settings.deployment import NAME, Deployment

NAME_MAX = 60  # letters
OVER = frozenset({ReplayState.DONE, ReplayState.CANCELLED})


class WrongState(NotAllowed):
    """A replay is in a state in which this cannot be done with it.

    Args:
        message: what it is, and what is possible only.
        replay: as it is.
    """

    def __init__(self, message: str, replay: Replay) -> None:
        super().__init__(message)
        self.replay = replay


def plan(declared: Deployment, asked: ReplayQuery, *, rate: float, name: str | None, now: datetime) -> Replay:
    """Count what would be sent again and what it costs, and save that. Nothing is sent.

    Args:
        declared: the deployment.
        asked: what is to be sent again.
        rate: tasks a second at most, all sinks together.
        name: what the plan is called; made if not given.
        now: when.

    Raises:
        InvalidInput: what is asked for is not there, or the name is not possible or taken.
        NothingSelected: nothing in it is selected.
    """
    if name is not None and (not re.fullmatch(NAME, name) or len(name) > NAME_MAX):
        raise InvalidInput(
            "name", f"is small letters, digits and single dashes, at most {NAME_MAX}, such as friday-2"
        )
    replays = _replays(declared)
    made = make_plan(declared, replays, asked, rate=rate, destroyed=_destroyed(declared), now=now)
    return find(declared, _save(replays, made, name, now=now))


def find(declared: Deployment, name: str) -> Replay:
    """A replay by its name.

    Raises:
        NotThere: there is none of that name.
    """
    found = next(iter(_replays(declared).newest(name=name, limit=1)), None)
    if found is None:
        raise NotThere("plan", name)
    return found


def newest(declared: Deployment, *, limit: int) -> list[Replay]:
    """The replays there are, newest first."""
    return _replays(declared).newest(limit=limit)


def forgotten(declared: Deployment, replay: Replay, *, limit: int) -> list[ForgottenTask]:
    """The tasks of a replay that nobody can issue any more."""
    rows = _replays(declared).forgotten(replay.operation_id, limit=limit)
    return [ForgottenTask(**row) for row in rows]


def check_runnable(declared: Deployment, replay: Replay) -> None:
    """Check that a plan can be carried out, here and now.

    Raises:
        WrongState: it is over.
        InvalidInput: it was made against another cluster or ledger.
    """
    if replay.state in OVER:
        raise WrongState(f"{replay.name} is {replay.state} already", replay)
    check_same(declared, _replays(declared), replay.plan)


def run(declared: Deployment, replay: Replay, act: Act, *, rate: float, bar: Progress) -> Replay:
    """Carry a plan out, to its end or until somebody ends it; returns it as it is then.

    Raises:
        WrongState: another process runs it, or it is over; nothing was sent.
        KeyboardInterrupt: what was sent is noted, or will be found; a repeat goes on.
    """
    replays = _replays(declared)
    with closing(KafkaPublisher(declared.kafka, client_id="olvido.replay")) as publisher:
        runner = Runner(
            declared, replay, replays, publisher, Registry(declared.registry),
            destroyed=_destroyed(declared), rate=rate, bar=bar,
        )  # fmt: skip
        try:
            runner.run(act)
        except Taken:
            now = find(declared, replay.name)
            raise WrongState(f"{replay.name} runs already, in another process", now) from None
        except Ended as over:
            now = find(declared, replay.name)
            raise WrongState(f"{replay.name} is {over.state} by now; nothing was sent", now) from None
    return find(declared, replay.name)


def rehearse(declared: Deployment, replay: Replay, *, bar: Progress) -> Shadow:
    """Go all the way without an effect, and count what would differ.

    Raises:
        InvalidInput: the plan was made against another cluster or ledger.
    """
    replays = _replays(declared)
    check_same(declared, replays, replay.plan)
    return Rehearser(
        declared, replay, replays, Registry(declared.registry), destroyed=_destroyed(declared),
        private_dirs=_private_dirs(declared), bar=bar,
    ).run()  # fmt: skip


def pause(declared: Deployment, name: str) -> Replay:
    """Have a running replay wait; it stays ready in its own process.

    Raises:
        NotThere: there is no such plan.
        WrongState: it does not run.
    """
    replay = find(declared, name)
    if replay.state is not ReplayState.RUNNING or not _move(declared, replay, ReplayState.PAUSED):
        raise WrongState(f"{name} is {replay.state}: only what runs can be paused", replay)
    return replay


def resume(declared: Deployment, name: str) -> Replay:
    """Have a paused replay go on, in the process where it waits.

    Raises:
        NotThere: there is no such plan.
        WrongState: it is not paused, or no process runs it any more.
    """
    replay = find(declared, name)
    if replay.state is not ReplayState.PAUSED:
        raise WrongState(f"{name} is {replay.state}, not paused", replay)
    if not replay.has_runner:
        raise WrongState(f"no process runs {name} any more", replay)
    _move(declared, replay, ReplayState.RUNNING)
    return replay


def cancel(declared: Deployment, replay: Replay, act: Act) -> None:
    """End a replay for good. What it has sent stays sent.

    Raises:
        WrongState: it is over already.
    """
    if not _replays(declared).move(replay.operation_id, ReplayState.CANCELLED, now=act.at, act=act):
        raise WrongState(f"{replay.name} is {replay.state} already", replay)


def _replays(declared: Deployment) -> Replays:
    return Replays(database(declared))


def _move(declared: Deployment, replay: Replay, to: ReplayState) -> bool:
    return _replays(declared).move(replay.operation_id, to, now=datetime.now(UTC))


def _private_dirs(declared: Deployment) -> Mapping[str, Path]:
    given = declared.keys.private_dir
    return {region: given or private_keys(region) for region in declared.regions}


def _destroyed(declared: Deployment) -> Mapping[str, Sequence[str]]:
    return destroyed_here(declared, _private_dirs(declared))


def _save(replays: Replays, made: Plan, name: str | None, *, now: datetime) -> str:
    while True:
        operation_id = uuid7()
        called = name or f"replay-{now:%Y%m%d}-{str(operation_id)[-4:]}"
        # A crash after this line leaves a plan whose name nobody saw; it does nothing by itself.
        if replays.save(operation_id, called, made, now=now):
            return called
        if name is not None:
            raise InvalidInput("name", f"{name} is taken; choose another")
