"""What the processors do now and then, beside what they read: one list, whichever engine reads.

Each timer has a thread of its own. So it goes on while a batch is waited for or an event loop
stands still, and one that takes long holds up no other.
"""

import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from olvido.core.errors import Refused, Unavailable
from olvido.processors.watchdog import EXIT_TRY_AGAIN

logger = logging.getLogger("olvido.processors")

LEAVE_S = 10.0  # how long the end of the process waits for timers that are at work


@dataclass(frozen=True, slots=True, kw_only=True)
class Timer:
    """Something that is done again and again, and may be broken off at any line."""

    name: str
    every: timedelta
    act: Callable[[], object]


@contextmanager
def running(timers: Sequence[Timer], stop: threading.Event) -> Iterator[None]:
    """Have timers act while the block runs; at its end ``stop`` is set, and they end."""
    threads = [
        threading.Thread(target=repeat, args=(timer, stop), name=timer.name, daemon=True) for timer in timers
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(timeout=LEAVE_S)


def repeat(timer: Timer, stop: threading.Event, *, end: Callable[[int], object] = os._exit) -> None:
    """Act at each interval until ``stop`` is set; what a part that is down leaves undone is done next time.

    Anything unforeseen ends the process: a timer that is silently gone would be missed by nobody.
    """
    while not stop.wait(timer.every.total_seconds()):
        try:
            timer.act()
        except (Unavailable, Refused) as error:
            logger.warning("%s: %s; trying again in %s", timer.name, error, timer.every)
        except Exception as error:  # noqa: BLE001 - the process ends; nothing is swallowed
            # The type alone: messages of unknown exceptions may hold values.
            logger.critical("%s failed with %s; ending the process", timer.name, type(error).__name__)
            end(EXIT_TRY_AGAIN)
            return
