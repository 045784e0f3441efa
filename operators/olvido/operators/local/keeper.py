"""What runs inside supervisord: it keeps trying, counts restarts, and ends with its owner.

supervisord gives a program up after some failed starts, and its pauses grow without bound. This extension
(an rpcinterface factory, https://supervisord.org/xmlrpc.html) holds both down, so that a program which
can't start tonight is tried every 15 s until morning. Nothing of Olvido is imported here: it stays small.
"""

from collections import Counter
from typing import Protocol

import psutil  # type: ignore[import-untyped, unused-ignore]
from supervisor import events
from supervisor.states import ProcessStates, SupervisorStates

PAUSE_S_MAX = 15


class _Config(Protocol):
    name: str


class _Process(Protocol):
    config: _Config
    backoff: int  # failed starts in a row
    delay: float  # the instant of the next one


class _Event(Protocol):
    process: _Process
    from_state: int


class _Options(Protocol):
    mood: int


class _Supervisord(Protocol):
    options: _Options


class Keeper:
    """The extension; its public methods can be called by XML-RPC as `olvido.…`."""

    def __init__(self, supervisord: _Supervisord, *, owner: str) -> None:
        self._supervisord = supervisord
        self._owner = owner
        self._restarts: Counter[str] = Counter()
        events.subscribe(events.ProcessStateBackoffEvent, self._hold)
        events.subscribe(events.ProcessStateStartingEvent, self._count)
        events.subscribe(events.Tick5Event, self._look_for_owner)

    def restarts(self) -> dict[str, int]:
        """How often each program was started again after it ended by itself."""
        return dict(self._restarts)

    def _hold(self, event: _Event) -> None:
        process = event.process
        beyond = process.backoff - PAUSE_S_MAX
        if beyond > 0:
            process.backoff = PAUSE_S_MAX
            process.delay -= beyond

    def _count(self, event: _Event) -> None:
        if event.from_state in (ProcessStates.EXITED, ProcessStates.BACKOFF):
            self._restarts[event.process.config.name] += 1

    def _look_for_owner(self, _event: object) -> None:
        """A test's stack ends when the test's process is gone, however it went."""
        if self._owner and not _lives(self._owner):
            self._supervisord.options.mood = SupervisorStates.SHUTDOWN


def _lives(owner: str) -> bool:
    pid, _, created = owner.partition("@")
    try:
        return f"{psutil.Process(int(pid)).create_time():.2f}" == created
    except psutil.NoSuchProcess:
        return False


def make_keeper(supervisord: _Supervisord, owner: str = "") -> Keeper:
    """What supervisord calls; `owner` is `pid@created` or empty."""
    return Keeper(supervisord, owner=owner)
